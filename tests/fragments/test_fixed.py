"""The fixed-stride fragmenter: coverage, contig borders, N."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from esa.fragments.base import Fragmenter, Fragments
from esa.fragments.fixed import FixedFragmenter
from esa.sequence import dna

SMALL = FixedFragmenter(length=16, stride=6, shortest=5)

lengths_of_contigs = st.lists(st.integers(0, 70), min_size=1, max_size=6)


def offsets_of(lengths: list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def rows(fragments: Fragments) -> list[tuple[int, int, int]]:
    assert not fragments.reverse.any()
    return list(
        zip(fragments.owner.tolist(), fragments.start.tolist(), fragments.length.tolist(), strict=True)
    )


def slow_windows(
    lengths: list[int], chosen: list[int], stride: int, shortest: int
) -> list[tuple[int, int, int]]:
    """The obvious version: every stride-th start that fits, and the one flush with the end."""
    offsets = offsets_of(lengths)
    out = []
    for o in chosen:
        n = lengths[o]
        if n >= shortest:
            size = min(n, SMALL.length)
            starts = sorted({*range(0, n - size + 1, stride), n - size})
            out += [(o, int(offsets[o]) + s, size) for s in starts]
    return out


@given(lengths_of_contigs)
def test_reference_fragments_are_those_of_the_slow_version(lengths: list[int]) -> None:
    offsets = offsets_of(lengths)
    fragments = SMALL.reference(np.zeros(offsets[-1], np.uint8), offsets)
    assert rows(fragments) == slow_windows(lengths, list(range(len(lengths))), SMALL.stride, SMALL.shortest)


@given(lengths_of_contigs)
def test_every_base_of_a_long_enough_contig_is_covered_and_no_fragment_leaves_its_contig(
    lengths: list[int],
) -> None:
    offsets = offsets_of(lengths)
    covered = np.zeros(offsets[-1], np.bool_)
    reached = {}
    for owner, start, length in rows(SMALL.reference(np.zeros(offsets[-1], np.uint8), offsets)):
        assert offsets[owner] <= start
        assert start + length <= offsets[owner + 1]
        assert length == min(SMALL.length, lengths[owner])
        covered[start : start + length] = True
        reached[owner] = start + length
    for owner, length in enumerate(lengths):
        held = length >= SMALL.shortest
        assert covered[offsets[owner] : offsets[owner + 1]].all() == (held or length == 0)
        assert reached.get(owner) == (offsets[owner + 1] if held else None)


@given(lengths_of_contigs, st.integers(0, 20), st.data())
def test_queries_are_windows_of_the_chosen_reads(
    lengths: list[int], stride: int, data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(lengths) - 1), unique=True).map(sorted))
    offsets = offsets_of(lengths)
    fragments = SMALL.queries(np.zeros(offsets[-1], np.uint8), offsets, np.array(chosen, np.int32), stride)
    assert rows(fragments) == slow_windows(lengths, chosen, stride or SMALL.stride, 1)


def test_a_read_up_to_the_fragment_length_is_one_query_and_an_empty_one_none() -> None:
    fragments = FixedFragmenter().queries(
        np.zeros(507, np.uint8), offsets_of([0, 1, 250, 256]), np.arange(4, dtype=np.int32), 0
    )
    assert rows(fragments) == [(1, 0, 1), (2, 1, 250), (3, 251, 256)]


def test_fragments_more_than_half_n_are_left_out() -> None:
    codes = np.zeros(16 + 4 * 6, np.uint8)
    codes[16 : 16 + 13] = dna.N  # windows at 0, 6, 12, 18, 24 hold 0, 6, 12, 11 and 5 of them
    starts = SMALL.reference(codes, offsets_of([len(codes)])).start
    assert starts.tolist() == [0, 6, 24]
    codes[8 + 12 : 12 + 16] = 0
    codes[12:20] = dna.N  # exactly half of the window at 12
    assert 12 in SMALL.reference(codes, offsets_of([len(codes)])).start


def test_it_is_a_fragmenter_and_its_parameters_rebuild_it() -> None:
    fragmenter: Fragmenter = FixedFragmenter(length=300, stride=100, shortest=70)
    assert FixedFragmenter(**fragmenter.parameters()) == fragmenter
    assert fragmenter.length == 300


@pytest.mark.parametrize(
    "wrong", [{"stride": 0}, {"stride": 300}, {"length": 0}, {"shortest": 0}, {"shortest": 257}]
)
def test_parameters_that_leave_bases_uncovered_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no sequence can be covered"):
        FixedFragmenter(**wrong)
