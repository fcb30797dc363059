"""`esa.align.extend.mismatch_masks` base by base: both strands of a read, and its mismatches along a diagonal."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from align_oracles import PAIR, Codes, local_score, make_genome, query_of, reference_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from esa.align.config import VerifyConfig
from esa.align.extend.band_state import score_ungapped
from esa.align.extend.banded import local_score_of_path
from esa.align.extend.gapped import make_scratch
from esa.align.extend.mismatch_masks import (
    WORD,
    Strands,
    extend_marked,
    local_score_marked,
    make_strands,
    mark_mismatches,
    orient,
    words_for,
)
from esa.align.extend.ungapped import extend_ungapped
from esa.sequence import dna
from esa.sequence.genome import Genome

LONGEST = 130
SPARE_BYTES = 16
"""What must lie behind a diagonal in the packed reference, for it to be read in words."""


def packed_words(codes: Codes) -> NDArray[np.uint64]:
    """The codes as `esa.sequence.dna.pack` packs them, in whole words."""
    packed = np.zeros(8 * -(-len(codes) // 32), np.uint8)
    dna.pack(codes, packed)
    return packed.view(np.dtype("<u8"))


def bases_in(words: NDArray[np.uint64], n: int) -> list[int]:
    return [int(words[i // 32]) >> 2 * (i % 32) & 3 for i in range(n)]


def check_strands(strands: Strands, read: Codes) -> None:
    n, words = len(read), -(-len(read) // 32)
    assert words_for(n) == words
    has_n = bool(np.any(read == dna.N))
    assert bool(strands.plain[0]) == (not has_n)
    for strand, codes in enumerate((read, dna.reverse_complement(read))):
        assert strands.codes[strand, :n].tolist() == codes.tolist()
        if has_n:
            found = bases_in(strands.words[strand], n)
            assert [b for b, code in zip(found, codes, strict=True) if code != dna.N] == [
                code for code in codes if code != dna.N
            ]
        else:
            assert strands.words[strand, :words].tolist() == packed_words(codes).tolist()


def test_reads_of_all_lengths_one_after_the_other_on_both_strands() -> None:
    """In one room, from anywhere in a batch: what a longer read has left there does not show."""
    rng = np.random.default_rng(1)
    strands = make_strands(LONGEST)
    for array in (strands.codes, strands.words):
        array[...] = 0x77
    batch = rng.integers(0, 4, 1000).astype(np.uint8)
    lengths = [LONGEST, 1, 128, 32, 127, 33, 96, 64, 65, 31, 0]
    for n in [*lengths, *rng.permutation(LONGEST + 1).tolist()]:
        begin = int(rng.integers(0, len(batch) - n + 1))
        orient(batch, begin, begin + n, strands)
        check_strands(strands, batch[begin : begin + n])


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 31, 32, 33, 64, 65, 130])
def test_an_n_anywhere_makes_a_read_not_plain(n: int) -> None:
    rng = np.random.default_rng(n)
    strands = make_strands(LONGEST)
    read = rng.integers(0, 4, n).astype(np.uint8)
    for at in range(n):
        spoilt = read.copy()
        spoilt[at] = dna.N
        orient(spoilt, 0, n, strands)
        check_strands(strands, spoilt)
        # The next one is plain again.
        orient(read, 0, n, strands)
        check_strands(strands, read)
    orient(np.full(n, dna.N, np.uint8), 0, n, strands)
    assert not strands.plain[0]


@pytest.fixture(scope="module")
def genome() -> Genome:
    """Contigs that begin at all places of a byte, with runs of N of one base and more, at ends and side by side."""
    rng = np.random.default_rng(2)
    contigs = [rng.integers(0, 4, n).astype(np.uint8) for n in (131, 1, 210, 66, 190, 99)]
    for contig, begin, end in (
        (0, 60, 61),
        (2, 0, 3),
        (2, 104, 113),
        (2, 115, 116),
        (3, 65, 66),
        (4, 90, 91),
    ):
        contigs[contig][begin:end] = dna.N
    return make_genome(contigs)


def relative(rng: np.random.Generator, whole: Codes, start: int, n: int) -> Codes:
    """A read of n bases from a place that may hang over the genome's ends, with many mismatches and no N."""
    inside = np.arange(start, start + n)
    read = whole[np.clip(inside, 0, len(whole) - 1)]
    changed = (rng.random(n) < rng.choice([0, 0.03, 0.3])) | (read == dna.N)
    read[changed] = rng.integers(0, 4, np.count_nonzero(changed))
    return read


def marked(query: Codes, partners: Codes) -> list[int]:
    """The words of a mask: bit 2 i where base i differs."""
    bits = sum(1 << 2 * i for i in np.flatnonzero(query != partners).tolist())
    return [bits >> 64 * w & (1 << 64) - 1 for w in range(-(-len(query) // 32))]


@pytest.mark.parametrize("n", [1, 3, 31, 32, 33, 63, 64, 65, 97])
def test_mismatches_of_every_diagonal(n: int, genome: Genome) -> None:
    """All that lie in a contig or hang over its ends, at all alignments to a byte, on both strands.

    There are no marks exactly where the diagonal leaves the contig, touches an N, or lies too near the end of the
    packed bases; there, too, its score is right.
    """
    rng = np.random.default_rng(n)
    reference, whole = reference_of(genome), genome.fetch(0, genome.bases)
    scratch = make_scratch(n, VerifyConfig().max_gap)
    mask = np.empty(words_for(n) + 1, np.uint64)
    seen: dict[str, int] = dict.fromkeys(("marked", "outside", "n", "near the end"), 0)
    for contig in range(len(genome.names)):
        lo, hi = (int(x) for x in genome.offsets[contig : contig + 2])
        for diagonal in range(lo - 4, hi - n + 5):
            codes = relative(rng, whole, diagonal, n)
            reverse = int(rng.integers(2))
            query = query_of(dna.reverse_complement(codes) if reverse else codes, reverse)
            mask[:] = 0x1234567
            count = mark_mismatches(query, reference, contig, diagonal, mask)
            end = diagonal + n
            if diagonal < lo or end > hi:
                why = "outside"
            elif np.any(whole[diagonal:end] == dna.N):
                why = "n"
            elif end // 4 + SPARE_BYTES > len(genome.packed):
                why = "near the end"
            else:
                why = "marked"
            seen[why] += 1
            if why == "marked":
                assert count == np.count_nonzero(codes != whole[diagonal:end])
                assert mask.tolist() == [*marked(codes, whole[diagonal:end]), 0x1234567]
            else:
                assert count == -1
            first = min(n, max(0, lo - diagonal))
            last = max(first, min(n, hi - diagonal))
            window = whole[diagonal + first : diagonal + last]
            expected = extend_ungapped(codes, window, -first, first, last)
            assert score_ungapped(query, reference, contig, diagonal, scratch) == expected
    assert all(seen.values())


@pytest.mark.parametrize("at", [0, 31, 32, 39])
@pytest.mark.parametrize("reverse", [0, 1])
def test_a_query_with_an_n_has_no_marks(at: int, reverse: int, genome: Genome) -> None:
    reference, start = reference_of(genome), int(genome.offsets[2]) + 20
    codes = genome.fetch(start, start + 40)
    mask = np.empty(2, np.uint64)
    for base, count in ((codes[at], 0), (3 - codes[at], 1), (dna.N, -1)):
        read = codes.copy()
        read[at] = base
        query = query_of(dna.reverse_complement(read) if reverse else read, reverse)
        assert mark_mismatches(query, reference, 2, start, mask) == count


# --- what is made of the marks


def mask_of(differs: list[bool]) -> NDArray[np.uint64]:
    n = len(differs)
    return np.array(marked(np.array(differs), np.zeros(n, np.bool_)), np.uint64)


def sequences(differs: list[bool]) -> tuple[Codes, Codes]:
    """A query and a window that differ there."""
    window = np.arange(len(differs), dtype=np.uint8) % 4
    return (window + np.array(differs, np.uint8)) % 4, window


def check_extension(differs: list[bool]) -> None:
    query, window = sequences(differs)
    n = len(differs)
    assert extend_marked(mask_of(differs), sum(differs), n) == extend_ungapped(query, window, 0, 0, n)


def test_extension_of_every_pattern_of_a_few_bases() -> None:
    """Where the shortcut for at most one mismatch does not hold yet, and where it begins to."""
    for n in range(1, 11):
        for differs in itertools.product((False, True), repeat=n):
            check_extension(list(differs))
    for n in range(11, 14):
        for k in (0, 1, 2):
            for places in itertools.combinations(range(n), k):
                check_extension([i in places for i in range(n)])


runs = st.lists(st.integers(0, 9), min_size=1, max_size=16).map(
    lambda lengths: [x for k in lengths for x in [*[False] * k, True]][:80]
)
"""Matches between mismatches: as many as decide about a clip."""
patterns = st.one_of(st.lists(st.booleans(), min_size=1, max_size=80), runs, runs.map(lambda x: x[::-1]))


@given(patterns)
@settings(max_examples=400)
def test_extension_from_marks_equals_that_base_by_base(differs: list[bool]) -> None:
    check_extension(differs)


@given(patterns, st.data())
@settings(max_examples=400)
def test_local_score_from_marks_equals_that_base_by_base(differs: list[bool], data: st.DataObject) -> None:
    query, window = sequences(differs)
    lo = data.draw(st.integers(0, len(differs)))
    hi = data.draw(st.integers(lo, len(differs)))
    expected = local_score(query.tolist(), window.tolist(), 0, lo, hi)
    assert local_score_marked(mask_of(differs), lo, hi) == expected
    pairs = np.full(hi - lo, PAIR, np.uint8)
    assert local_score_of_path(query, window, pairs, lo, lo) == expected


def test_a_word_holds_as_many_bases_as_these_tests_say() -> None:
    assert WORD == 32
