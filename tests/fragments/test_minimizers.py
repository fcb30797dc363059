"""`esa.fragments.minimizers`: fragments against naive minimizers, and the invariants they exist for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from esa.fragments.base import Fragments
from esa.fragments.minimizers import BLOCK, LONGEST_MINIMIZER, PLAUSIBLE, MinimizerFragmenter
from esa.sequence import dna
from esa.sequence.hashing import mix64

Codes = NDArray[np.uint8]
SMALL = MinimizerFragmenter(k=4, window=5, half=6)
Row = tuple[int, int, int]
"""(Start, reverse, owner)."""

sequences = st.lists(st.integers(0, 4), max_size=120).map(lambda bases: np.array(bases, np.uint8))
repetitive = st.tuples(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.integers(1, 30)).map(
    lambda unit: np.array(unit[0] * unit[1], np.uint8)
)


def rows_of(fragments: Fragments) -> list[Row]:
    columns = (fragments.start, fragments.reverse, fragments.owner)
    return [tuple(int(x) for x in row) for row in zip(*columns, strict=True)]


def join(parts: Sequence[Codes]) -> tuple[Codes, NDArray[np.int64]]:
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
    return np.concatenate([np.empty(0, np.uint8), *parts]), offsets


def queries(fragmenter: MinimizerFragmenter, parts: Sequence[Codes], stride: int = 0) -> list[Row]:
    codes, offsets = join(parts)
    return rows_of(fragmenter.queries(codes, offsets, np.arange(len(parts), dtype=np.int32), stride))


def minimizers_slowly(codes: Codes, k: int, window: int) -> list[tuple[int, int]]:
    """(Place, canonical strand) of each minimizer: every k-mer that is the least of some window of them."""
    hashes: list[float | int] = []
    strands: list[int] = []
    for i in range(len(codes) - k + 1):
        kmer = codes[i : i + k]
        forward, backward = (
            int("".join(str(b) for b in sequence), 4) if max(sequence) < dna.N else -1
            for sequence in (kmer.tolist(), dna.reverse_complement(kmer).tolist())
        )
        has_strand = forward >= 0 and forward != backward
        hashes.append(int(mix64(np.uint64(min(forward, backward)))) if has_strand else float("inf"))
        strands.append(int(backward < forward))
    width = min(window, len(hashes))
    found = set()
    for begin in range(len(hashes) - width + 1):
        least = min(hashes[begin : begin + width], default=float("inf"))
        found |= {i for i in range(begin, begin + width) if hashes[i] == least != float("inf")}
    return [(i, strands[i]) for i in sorted(found)]


@given(st.one_of(sequences, repetitive), st.integers(1, 12))
@settings(max_examples=200)
def test_fragments_are_centred_on_naive_minimizers(codes: Codes, window: int):
    fragmenter = MinimizerFragmenter(k=4, window=window, half=6)
    expected = []
    if len(codes) >= fragmenter.length:
        for place, strand in minimizers_slowly(codes, 4, window):
            start = place + 2 - 6
            if 0 <= start <= len(codes) - fragmenter.length:
                expected.append((start, strand, 0))
    assert queries(fragmenter, [codes]) == expected


@pytest.mark.parametrize("bases", [400, BLOCK + 30, 3 * BLOCK])
@pytest.mark.parametrize("window", [1, 11, MinimizerFragmenter().window])
def test_default_parameters_against_naive_minimizers(bases: int, window: int):
    """A repeat among them, that spans blocks."""
    fragmenter = MinimizerFragmenter(window=window)
    codes = np.random.default_rng(bases).integers(0, 4, bases).astype(np.uint8)
    codes[200] = dna.N
    codes[250 : bases - 50] = np.resize(codes[250 : 250 + bases // 4], bases - 300)
    starts = [
        (place + fragmenter.k // 2 - fragmenter.half, strand, 0)
        for place, strand in minimizers_slowly(codes, fragmenter.k, fragmenter.window)
    ]
    assert queries(fragmenter, [codes]) == [s for s in starts if 0 <= s[0] <= bases - fragmenter.length]


@given(st.one_of(sequences, repetitive))
@settings(max_examples=100)
def test_a_sequence_and_its_reverse_complement_have_the_same_fragments(codes: Codes):
    turned = dna.reverse_complement(codes)
    mirrored = [
        (len(codes) - start - SMALL.length, 1 - reverse, 0) for start, reverse, _ in queries(SMALL, [codes])
    ]
    assert queries(SMALL, [turned]) == mirrored[::-1]


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(60, 140))
@settings(max_examples=100)
def test_minimizers_are_defined_by_content(seed: int, begin: int, end: int):
    """Those of a piece are those of the whole, a window away from the piece's ends."""
    whole = np.random.default_rng(seed).integers(0, 4, 200).astype(np.uint8)
    margin = SMALL.window + SMALL.k
    piece = [(start + begin, reverse) for start, reverse, _ in queries(SMALL, [whole[begin:end]])]
    centre = SMALL.half - SMALL.k // 2

    def inner(rows: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return [row for row in rows if begin + margin <= row[0] + centre <= end - margin - SMALL.k]

    expected = [(start, reverse) for start, reverse, _ in queries(SMALL, [whole])]
    inside = [row for row in expected if begin <= row[0] and row[0] + SMALL.length <= end]
    assert inner(piece) == inner(inside)
    # Every window of a piece is one of the whole: its minimizers are those of the whole, too.
    if end - begin >= margin:
        assert set(piece) <= set(expected)


def test_a_read_of_the_guaranteed_length_shares_a_fragment_with_its_reference():
    """Wherever it lies: 47 bases by default; a base less is not enough everywhere.

    In so many bases a whole window of k-mers lies far enough from both ends. Its minimizer is the reference's, too.
    """
    fragmenter = MinimizerFragmenter()
    guaranteed = fragmenter.window + 2 * fragmenter.half - 1
    assert guaranteed == 47
    reference = np.random.default_rng(5).integers(0, 4, 20_000).astype(np.uint8)
    of_reference = {row[:2] for row in queries(fragmenter, [reference])}
    least = []
    for length in (guaranteed, guaranteed - 1):
        starts = range(2000, 18_000)
        found = queries(fragmenter, [reference[i : i + length] for i in starts])
        shared = {
            owner
            for start, reverse, owner in found
            if (start - owner * length + starts[owner], reverse) in of_reference
        }
        least.append(len(shared))
    assert least[0] == 16_000
    assert 15_000 < least[1] < 16_000


def test_spacing_is_about_half_a_window():
    codes = np.random.default_rng(2).integers(0, 4, 50_000).astype(np.uint8)
    fragmenter = MinimizerFragmenter(k=10, window=20, half=16)
    found = queries(fragmenter, [codes])
    assert len(found) == pytest.approx(2 * 50_000 / 21, rel=0.05)
    # Both strands, about evenly.
    assert np.mean([reverse for _, reverse, _ in found]) == pytest.approx(0.5, abs=0.03)
    gaps = np.diff([start for start, _, _ in found])
    assert gaps.max() <= 20 + 1


def test_palindromes_and_n_are_no_minimizers():
    palindrome = dna.encode(
        b"ACGT" * 20
    )  # ACGT, CGTA's reverse complement is TACG, GTAC, TACG: two palindromes
    for start, _, _ in queries(SMALL, [palindrome]):
        kmer = palindrome[start + 4 : start + 8]
        assert kmer.tolist() != dna.reverse_complement(kmer).tolist()
    only = dna.encode(b"AT" * 30)
    assert queries(SMALL, [only]) == []  # ATAT and TATA are their own reverse complements
    assert queries(SMALL, [np.full(80, dna.N, np.uint8)]) == []
    codes = np.random.default_rng(3).integers(0, 4, 300).astype(np.uint8)
    codes[::4] = dna.N
    assert queries(SMALL, [codes]) == []
    codes = np.random.default_rng(3).integers(0, 4, 300).astype(np.uint8)
    codes[100:110] = dna.N
    found = queries(SMALL, [codes])
    for start, _, _ in found:
        assert dna.N not in codes[start + 4 : start + 8]
    # The query's fragments may hold an N beside the minimizer; the reference's may not.
    assert any(dna.N in codes[start : start + 12] for start, _, _ in found)
    reference = rows_of(SMALL.reference(codes, np.array([0, 300])))
    assert reference == [row for row in found if dna.N not in codes[row[0] : row[0] + 12]]


@given(st.lists(st.one_of(sequences, repetitive), min_size=1, max_size=6))
@settings(max_examples=60)
def test_contigs_and_reads_are_cut_one_by_one(parts: list[Codes]):
    codes, offsets = join(parts)
    alone = [
        (start + int(offsets[i]), reverse, i)
        for i, part in enumerate(parts)
        for start, reverse, _ in queries(SMALL, [part])
    ]
    assert queries(SMALL, parts) == alone
    clean = [row for row in alone if dna.N not in codes[row[0] : row[0] + SMALL.length]]
    fragments = SMALL.reference(codes, offsets)
    assert rows_of(fragments) == clean
    assert fragments.length.tolist() == [SMALL.length] * len(clean)
    # Some of the reads only.
    some = np.arange(0, len(parts), 2, dtype=np.int32)
    assert rows_of(SMALL.queries(codes, offsets, some, 0)) == [row for row in alone if row[2] % 2 == 0]


@pytest.mark.parametrize("stride", [1, 2, 5, 30])
def test_sliding_fragments_lie_at_every_offset_on_both_strands(stride: int):
    lengths = [0, 5, 11, 12, 13, 40]
    parts = [np.zeros(n, np.uint8) for n in lengths]
    offsets = join(parts)[1].tolist()
    expected = [
        (offsets[i] + first, reverse, i)
        for i, n in enumerate(lengths)
        for first in range(0, n - SMALL.length + 1, stride)
        for reverse in (0, 1)
    ]
    assert queries(SMALL, parts, stride) == expected


def test_sliding_fragments_of_some_reads():
    codes, offsets = join([np.zeros(20, np.uint8)] * 4)
    found = SMALL.queries(codes, offsets, np.array([1, 3], np.int32), 4)
    assert sorted(set(found.owner.tolist())) == [1, 3]
    assert {(start - offsets[owner]) for start, _, owner in rows_of(found)} == {0, 4, 8}


@given(st.lists(st.integers(0, 30), max_size=8), st.integers(1, 9))
def test_a_sample_of_fragments_is_spread_over_each_read(counts: list[int], most: int):
    owner = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    start = np.arange(len(owner), dtype=np.int64)
    everything = Fragments(start, np.full(len(owner), 32, np.int32), (start % 2).astype(np.uint8), owner)
    sample, thinned = everything.sample(most, len(counts))
    assert thinned.tolist() == [count > most for count in counts]
    assert np.array_equal(sample.reverse, sample.start % 2)
    assert np.array_equal(owner[sample.start], sample.owner)
    for read, count in enumerate(counts):
        mine = sample.start[sample.owner == read] - sum(counts[:read])
        assert len(mine) == min(count, most)
        # As far apart as so many can be, and as near to the ends as to each other.
        gaps = np.diff([-1 - mine[0], *mine, 2 * count - 1 - mine[-1]]) if count else np.empty(0)
        assert np.all(np.abs(gaps - count / min(count, most)) <= 2) if count else not len(mine)


def test_dtypes_and_emptiness():
    codes, offsets = join([])
    for fragments in (
        SMALL.reference(codes, offsets),
        SMALL.queries(codes, offsets, np.empty(0, np.int32), 0),
        SMALL.queries(codes, offsets, np.empty(0, np.int32), 1),
        SMALL.reference(*join([np.zeros(50, np.uint8)])),
    ):
        assert fragments.start.dtype == np.int64
        assert fragments.length.dtype == np.int32
        assert fragments.reverse.dtype == np.uint8
        assert fragments.owner.dtype == np.int32


@pytest.mark.parametrize("parameters", [{"k": 9}, {"k": 2}, {"k": 32}, {"window": 0}, {"k": 20, "half": 9}])
def test_parameters_without_minimizers_are_refused(parameters: dict[str, int]):
    with pytest.raises(ValueError, match="no minimizers"):
        MinimizerFragmenter(**parameters)


def test_parameters_make_the_fragmenter_again():
    fragmenter = MinimizerFragmenter(k=12, window=9, half=20)
    assert MinimizerFragmenter(**fragmenter.parameters()) == fragmenter
    assert fragmenter.length == 40


def plausible_slowly(fragmenter: MinimizerFragmenter, window: Codes, reverse: int, limit: float) -> int:
    """`MinimizerEdits.plausible` of one fragment: every edited k-mer is hashed anew."""
    fragment = dna.reverse_complement(window) if reverse else window
    begin = fragmenter.half - fragmenter.k // 2
    mask = 0
    for i, x in [(0, 0), *((i, x) for i in range(fragmenter.k) for x in (1, 2, 3))]:
        kmer = fragment[begin : begin + fragmenter.k].copy()
        kmer[i] ^= x
        [(_, strand)] = minimizers_slowly(kmer, fragmenter.k, 1) or [(0, 1)]
        if strand == 0:
            value = int("".join(map(str, kmer.tolist())), 4)
            mask |= int(int(mix64(np.uint64(value))) <= limit) << (3 * i + x)
    return mask


@pytest.mark.parametrize("fragmenter", [SMALL, MinimizerFragmenter(), MinimizerFragmenter(window=2)])
def test_edits_count_that_leave_a_low_hash_on_the_fragment_s_strand(fragmenter: MinimizerFragmenter) -> None:
    codes = np.random.default_rng(61).integers(0, 4, 90).astype(np.uint8)
    codes[70] = dna.N
    fragments = fragmenter.queries(codes, np.array([0, 90]), np.array([0], np.int32), 1)
    edits = fragmenter.minimizer_edits(codes, fragments, on_minimizers=False)
    assert edits.end - edits.begin == fragmenter.k
    assert edits.begin == fragmenter.length - edits.end
    limit = min(1.0, PLAUSIBLE / fragmenter.window) * 2.0**64
    for row, mask in zip(rows_of(fragments), edits.plausible.tolist(), strict=True):
        window = codes[row[0] : row[0] + fragmenter.length]
        middle = window[edits.begin : edits.end]
        expected = 0 if dna.N in middle else plausible_slowly(fragmenter, window, row[1], limit)
        assert mask == expected
    known = fragmenter.minimizer_edits(codes, fragments, on_minimizers=True)
    np.testing.assert_array_equal(known.plausible, edits.plausible | 1)


def test_hardly_any_minimizer_of_a_reference_is_implausible() -> None:
    codes = np.random.default_rng(62).integers(0, 4, 200_000).astype(np.uint8)
    fragmenter = MinimizerFragmenter()
    fragments = fragmenter.reference(codes, np.array([0, len(codes)]))
    plausible = fragmenter.minimizer_edits(codes, fragments, on_minimizers=False).plausible & 1
    assert 0.975 < plausible.mean() < 0.99


def test_a_minimizer_too_long_for_its_mask_of_edits_is_refused() -> None:
    MinimizerFragmenter(k=LONGEST_MINIMIZER)
    with pytest.raises(ValueError, match="no minimizers"):
        MinimizerFragmenter(k=LONGEST_MINIMIZER + 2)
