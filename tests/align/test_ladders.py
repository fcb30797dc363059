"""`esa.align.ladders`: the ladders keep the order and the bounds that their numbers are explained by."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from align_oracles import make_batch

from esa.align.ladders import (
    ANCHORED,
    DENSE,
    EDIT_RADIUS,
    MINIMIZER_HITS,
    MINIMIZER_RADIUS,
    TWO_EDITS_LONGEST,
    TWO_EDITS_RADIUS,
)
from esa.align.levels import ANY_SCORE, Level, Repeats
from esa.align.loci import Loci
from esa.align.scoring import MAX_READ_LENGTH
from esa.align.state import MappingState, Resolved
from esa.stores.base import REPEAT_BUCKET, SATELLITE_BUCKET

LADDERS = {"anchored": ANCHORED, "dense": DENSE}
LEVELS = [level for ladder in LADDERS.values() for level in ladder]
MOST_FRAGMENTS = 80
LENGTH = 100


def share_of(resolved: Resolved, fragments: int) -> Fraction:
    """Linear between the pairs, constant beyond: by hand."""
    if fragments <= resolved[0][0]:
        return Fraction(resolved[0][1])
    for (left, high), (right, low) in pairwise(resolved):
        if fragments <= right:
            return high + Fraction(fragments - left, right - left) * (low - high)
    return Fraction(resolved[-1][1])


def state_of(scores: list[int], searched: list[int]) -> MappingState:
    """Reads of `LENGTH` bases with a best score each; 0: no locus."""
    n = len(scores)
    batch = make_batch([np.zeros(LENGTH, np.uint8)] * n)
    loci = Loci.empty(n, 2)
    loci.held[:] = np.array(scores) > 0
    loci.score[:, 0] = scores
    nobody = np.zeros(n, np.bool_)
    return MappingState(batch, np.zeros(n, np.uint64), loci, np.array(searched, np.int32), settled=nobody)


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
def test_a_level_stops_the_reads_that_its_table_says(level: Level) -> None:
    for fragments in range(MOST_FRAGMENTS):
        scores = list(range(LENGTH + 1))
        state = state_of(scores, [fragments] * len(scores))
        share = share_of(level.resolved, fragments)
        expected = [Fraction(100 * score, LENGTH) < share for score in scores]
        assert state.unresolved(level.resolved).tolist() == expected


@pytest.mark.parametrize("level", LEVELS, ids=lambda level: level.name)
def test_more_fragments_never_demand_a_higher_score(level: Level) -> None:
    fragments = [pair[0] for pair in level.resolved]
    shares = [pair[1] for pair in level.resolved]
    assert fragments[0] == 0
    assert all(left < right for left, right in pairwise(fragments))
    assert all(left >= right for left, right in pairwise(shares))


@pytest.mark.parametrize("preset", LADDERS)
def test_a_ladder_ends(preset: str) -> None:
    ladder = LADDERS[preset]
    assert ladder[-1].resolved == ANY_SCORE
    assert len({level.name for level in ladder}) == len(ladder)
    assert all(0 < level.longest <= MAX_READ_LENGTH for level in ladder)


def test_a_later_level_demands_no_higher_score() -> None:
    """As long as fragments lie at minimizers: the farther a level looks, the less it can have missed."""
    asked = [level for level in ANCHORED if level.at_minimizers and level.resolved != ANY_SCORE]
    assert len(asked) == len(ANCHORED) - 3
    for before, after in pairwise(asked):
        for fragments in range(MOST_FRAGMENTS):
            assert share_of(after.resolved, fragments) <= share_of(before.resolved, fragments), after.name


def test_a_perfect_read_stops_once_anything_of_it_was_searched() -> None:
    """With no fragment searched even a perfect score shows nothing, until fragments are cut at every offset."""
    for level in ANCHORED:
        for searched in (0, 1, MOST_FRAGMENTS):
            (unresolved,) = state_of([LENGTH], [searched]).unresolved(level.resolved)
            by_minimizers = level.at_minimizers and level.resolved != ANY_SCORE
            assert unresolved == (searched == 0 and by_minimizers)


def test_later_levels_look_farther() -> None:
    """A fragment with more errors lies farther away, and a bucket that a limit passed over is looked into later."""
    assert MINIMIZER_RADIUS < EDIT_RADIUS < TWO_EDITS_RADIUS < 32
    assert MINIMIZER_HITS > REPEAT_BUCKET
    (repeats,) = (level for level in ANCHORED if isinstance(level, Repeats))
    before = [level for level in ANCHORED if level.name.endswith("minimizers") and not level.effort.edits]
    for level in before:
        assert level.effort.max_bucket == REPEAT_BUCKET < repeats.effort.max_bucket <= SATELLITE_BUCKET
        assert level.effort.radius == repeats.effort.radius
    assert ANCHORED[-1].longest == TWO_EDITS_LONGEST
