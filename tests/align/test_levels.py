"""`esa.align.levels`: the ladders keep the order and the bounds that their numbers are explained by."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from align_oracles import make_batch

from esa.align.levels import (
    ANCHORED_LEVELS,
    DENSE_LEVELS,
    EDIT_RADIUS,
    MINIMIZER_HITS,
    MINIMIZER_RADIUS,
    NEVER,
    TWO_EDITS_LONGEST,
    TWO_EDITS_RADIUS,
)
from esa.align.loci import Loci
from esa.align.scoring import MAX_READ_LENGTH
from esa.align.stages import Minimizers, Repeats, SampledMinimizers, Stage
from esa.align.state import MappingState, Resolved
from esa.stores.base import REPEAT_BUCKET, SATELLITE_BUCKET

LADDERS = {"anchored": ANCHORED_LEVELS, "dense": DENSE_LEVELS}
STAGES = [stage for ladder in LADDERS.values() for stage in ladder]
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


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_a_stage_stops_the_reads_that_its_table_says(stage: Stage) -> None:
    for fragments in range(MOST_FRAGMENTS):
        scores = list(range(LENGTH + 1))
        state = state_of(scores, [fragments] * len(scores))
        share = share_of(stage.resolved, fragments)
        expected = [Fraction(100 * score, LENGTH) < share for score in scores]
        assert state.unresolved(stage.resolved).tolist() == expected


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_more_fragments_never_demand_a_higher_score(stage: Stage) -> None:
    fragments = [pair[0] for pair in stage.resolved]
    shares = [pair[1] for pair in stage.resolved]
    assert fragments[0] == 0
    assert all(left < right for left, right in pairwise(fragments))
    assert all(left >= right for left, right in pairwise(shares))


@pytest.mark.parametrize("preset", LADDERS)
def test_a_ladder_ends(preset: str) -> None:
    ladder = LADDERS[preset]
    assert ladder[-1].resolved == NEVER
    assert len({stage.name for stage in ladder}) == len(ladder)
    assert all(0 < stage.longest <= MAX_READ_LENGTH for stage in ladder)


def test_a_later_stage_demands_no_higher_score() -> None:
    """As long as fragments lie at minimizers: the farther a stage looks, the less it can have missed."""
    asked = [stage for stage in ANCHORED_LEVELS if stage.at_minimizers and stage.resolved != NEVER]
    assert len(asked) == len(ANCHORED_LEVELS) - 3
    for before, after in pairwise(asked):
        for fragments in range(MOST_FRAGMENTS):
            assert share_of(after.resolved, fragments) <= share_of(before.resolved, fragments), after.name


def test_a_perfect_read_stops_once_anything_of_it_was_searched() -> None:
    """With no fragment searched even a perfect score shows nothing, until fragments are cut at every offset."""
    for stage in ANCHORED_LEVELS:
        for searched in (0, 1, MOST_FRAGMENTS):
            (unresolved,) = state_of([LENGTH], [searched]).unresolved(stage.resolved)
            by_minimizers = stage.at_minimizers and stage.resolved != NEVER
            assert unresolved == (searched == 0 and by_minimizers)


def test_later_stages_look_farther() -> None:
    """A fragment with more errors lies farther away, and a bucket that a limit passed over is looked into later."""
    assert MINIMIZER_RADIUS < EDIT_RADIUS < TWO_EDITS_RADIUS < 32
    assert MINIMIZER_HITS > REPEAT_BUCKET
    (repeats,) = (stage for stage in ANCHORED_LEVELS if isinstance(stage, Repeats))
    before = [stage for stage in ANCHORED_LEVELS if isinstance(stage, SampledMinimizers | Minimizers)]
    for stage in before:
        assert stage.effort.max_bucket == REPEAT_BUCKET < repeats.effort.max_bucket <= SATELLITE_BUCKET
        assert stage.effort.radius == repeats.effort.radius
    assert ANCHORED_LEVELS[-1].longest == TWO_EDITS_LONGEST
