"""`esa.align.segments`: the stretches that are searched for what segments leave over."""

from __future__ import annotations

import numpy as np
from align_oracles import make_batch, make_candidates, make_loci

from esa.align.records.split import Gaps
from esa.align.segments import stretches_of
from esa.align.state import MappingState
from esa.sequence import dna

PADDING = 5


def stretches_and_reads():
    rng = np.random.default_rng(3)
    reads = [rng.integers(0, 4, n).astype(np.uint8) for n in (100, 150, 80)]
    state = MappingState.unsearched(make_batch(reads), np.arange(3, dtype=np.uint64) + 7, 4)
    begin, end = np.array([60, 0, 120]), np.array([100, 40, 150])
    low, high = np.array([20, 0, 90]), np.array([100, 80, 150])
    gaps = Gaps(np.array([0, 1, 1], np.int32), begin, end, low, high)
    return reads, gaps, stretches_of(state, gaps, PADDING)


def test_stretches_are_the_bases_left_over_and_their_neighbours():
    reads, gaps, stretches = stretches_and_reads()
    nothing = [dna.N] * PADDING
    for g, r in enumerate(gaps.read.tolist()):
        assert np.array_equal(stretches.batch.sequence(g), reads[r][gaps.low[g] : gaps.high[g]])
        left_over = reads[r][gaps.begin[g] : gaps.end[g]].tolist()
        assert stretches.padded.sequence(g).tolist() == [*nothing, *left_over, *nothing]
        # Ties are broken as for the read.
        assert stretches.salts[g] == 7 + r
    assert stretches.expected.tolist() == (gaps.end - gaps.begin).tolist()
    assert not stretches.batch.paired
    assert make_loci([[]] * 3).held.tolist() == stretches.loci.held.tolist()


def test_candidates_of_the_bases_left_over_become_those_of_the_stretch():
    """The same reference base lies below the same base of the read, on either strand."""
    _, gaps, stretches = stretches_and_reads()
    at = 1000  # where the first of the bases left over lies, in the direction of the reference
    for reverse in (0, 1):
        found = make_candidates([[(at - PADDING, reverse, 0)]] * len(gaps.read))
        before = gaps.high - gaps.end if reverse else gaps.begin - gaps.low
        assert np.array_equal(stretches.on_stretches(found, PADDING).diagonal, at - before)
