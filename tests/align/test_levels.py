"""`esa.align.levels`: which reads a level takes, what it cuts from them, and what it says of them."""

from __future__ import annotations

import numpy as np
import pytest
from align_oracles import Locus, make_batch, make_candidates, make_genome, make_loci

from esa.align.ladders import ANCHORED, DENSE
from esa.align.levels import ANY_SCORE, Edits, Level, Overhang, Repeats, SampledMinimizers, Sliding
from esa.align.state import MappingState
from esa.fragments.minimizers import MinimizerFragmenter
from esa.stores.base import SearchEffort

EFFORT = SearchEffort(16)
READ = 100
SAMPLE = SampledMinimizers("sample", EFFORT, ANY_SCORE, fragments=8, min_searched=6, settled=90)


def state_of(
    scores: list[list[int]], searched: list[int], truncated: list[int] | None = None
) -> MappingState:
    """Reads of 100 bases with loci of these scores, each at a place of its own."""
    batch = make_batch([np.zeros(READ, np.uint8)] * len(scores), paired=len(scores) % 2 == 0)
    loci = make_loci(
        [[Locus(s, 1000 * k, 0, 0, 1000 * k, 1000 * k + READ) for k, s in enumerate(row)] for row in scores]
    )
    loci.truncated[:] = truncated or [0] * len(scores)
    state = MappingState.unsearched(batch, np.zeros(len(scores), np.uint64), 8)
    state.loci = loci
    state.searched[:] = searched
    return state


def test_a_sample_settles_a_single_good_locus_that_enough_fragments_led_to():
    state = state_of([[90], [89], [100, 60], [90], []], [6, 8, 8, 5, 8])
    assert SAMPLE.settles(state).tolist() == [True, False, False, False, False]
    assert not Level("all", EFFORT, ANY_SCORE).settles(state).any()


@pytest.mark.parametrize("paired", [False, True])
def test_repeats_takes_reads_that_a_limit_left_something_out_of(paired: bool):
    level = Repeats("repeats", EFFORT, ANY_SCORE, below=((4, 100), (5, 88)))
    # Wanted, and below its share; wanted, but nothing was left out, and resolved; wanted, and resolved.
    scores = [[50], [95], [50], [95], [50], [100]]
    state = state_of(scores, [9, 4, 9, 9, 9, 9], [1, 1, 0, 1, 1, 1])
    wanted = np.array([True, False, True, False, True, False])
    active = level.active(state, wanted, paired).tolist()
    assert active == [True, True, False, False, True, paired]


def test_other_levels_take_what_is_wanted():
    state = state_of([[50], [95]], [9, 9], [1, 0])
    for wanted in ([True, False], [False, True]):
        for level in (*ANCHORED, *DENSE):
            if not isinstance(level, Repeats):
                assert level.active(state, np.array(wanted), paired=True).tolist() == wanted


def test_edits_counts_truncated_fragments_as_searched():
    truncated = np.array([0, 1, 1], np.uint8)
    assert Edits("edits", EFFORT, ANY_SCORE, 1).uncounted(truncated).tolist() == [0, 0, 0]
    assert Level("all", EFFORT, ANY_SCORE).uncounted(truncated).tolist() == [0, 1, 1]


def test_what_is_cut():
    fragmenter = MinimizerFragmenter()
    rng = np.random.default_rng(1)
    batch = make_batch([rng.integers(0, 4, n).astype(np.uint8) for n in (150, 20, 250, 400)])
    reads = np.array([0, 1, 3], np.int32)
    everything, none_thinned = Level("all", EFFORT, ANY_SCORE).cut(fragmenter, batch, reads)
    assert set(everything.owner) == {0, 3}
    assert not none_thinned.any()
    sample, thinned = SAMPLE.cut(fragmenter, batch, reads)
    counts = np.bincount(everything.owner, minlength=4)
    assert np.bincount(sample.owner, minlength=4).tolist() == np.minimum(counts, SAMPLE.fragments).tolist()
    assert thinned.tolist() == (counts > SAMPLE.fragments).tolist()
    sliding, _ = Sliding("sliding", EFFORT, ANY_SCORE, stride=2).cut(fragmenter, batch, reads)
    offsets = 1 + (np.array([150, 400]) - fragmenter.length) // 2
    assert np.bincount(sliding.owner, minlength=4)[[0, 3]].tolist() == (2 * offsets).tolist()


def test_an_overhanging_level_counts_from_the_read():
    level = Overhang("overhang", EFFORT, ANY_SCORE)
    padding = 3
    batch = make_batch([np.array([0, 1, 2], np.uint8)])
    assert level.bases(batch, padding).codes.tolist() == [4, 4, 4, 0, 1, 2, 4, 4, 4]
    # On either strand the padded read begins so many bases before the read.
    candidates = make_candidates([[(10, 0, 0), (20, 1, 0)]])
    assert level.on_reads(candidates, padding).diagonal.tolist() == [13, 23]


def test_a_verdict_says_what_the_state_does():
    level = Level("all", EFFORT, ((0, 101), (10, 80), (20, 60)))
    state = state_of([[s] for s in (79, 80, 70, 69, 0)], [10, 10, 15, 15, 0])
    for r, left in enumerate(state.unresolved(level.resolved).tolist()):
        text = level.verdict(state, r, thinned=False)
        assert text.startswith("not resolved") == left
        assert text.startswith("resolved") != left
        assert SAMPLE.verdict(state, r, thinned=True).startswith("settled") == bool(SAMPLE.settles(state)[r])
    assert "last level" in Level("last", EFFORT, ANY_SCORE).verdict(state, 0, thinned=False)
    assert "all of its fragments" in SAMPLE.verdict(state, 0, thinned=False)


def test_only_a_first_level_samples_and_only_the_last_takes_any_score():
    for ladder in (ANCHORED, DENSE):
        assert not any(level.samples for level in ladder[1:])
        final = [level.resolved == ANY_SCORE for level in ladder if not level.samples]
        assert final == [False] * (len(final) - 1) + [True]
        assert len({level.name for level in ladder}) == len(ladder)


def test_fragments_are_not_estimated_much_too_low():
    """The estimate bounds memory: searches of low complexity are divided by their true number besides."""
    fragmenter = MinimizerFragmenter()
    rng = np.random.default_rng(2)
    genome = make_genome([rng.integers(0, 4, 4000).astype(np.uint8)])
    lengths = np.full(20, 200)
    batch = make_batch([genome.fetch(100 * i, 100 * i + 200) for i in range(20)])
    for level in (Level("all", EFFORT, ANY_SCORE), Sliding("sliding", EFFORT, ANY_SCORE)):
        cut, _ = level.cut(fragmenter, batch, np.arange(20, dtype=np.int32))
        assert len(cut) < 1.5 * level.estimated_fragments(lengths).sum()
