"""`esa.align.placer`: a level adds to the reads it is given, and to no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from align_oracles import loci_of, make_batch, make_genome, reference_of

from esa.align.config import AlignConfig
from esa.align.levels import ANY_SCORE, Level
from esa.align.placer import Placer
from esa.align.search.searcher import Searcher
from esa.align.state import MappingState
from esa.encoders.registry import create_encoder
from esa.index.build import assemble
from esa.index.presets import PRESETS

READ = 120


@pytest.fixture(scope="module")
def made() -> tuple[Placer, MappingState, Level]:
    """A placer, reads of known places, and a level that finds them."""
    preset = PRESETS["anchored"]
    fragmenter = preset.fragmenter({})
    encoder = create_encoder(preset.default_encoder, preset.kind, fragmenter.length)
    genome = make_genome([np.random.default_rng(5).integers(0, 4, 9000).astype(np.uint8)])
    index, _ = assemble(genome, preset, fragmenter, encoder)
    config = AlignConfig(preset.levels)
    reference = reference_of(genome)
    placer = Placer(Searcher(index, reference, config.cluster, config.voting), reference, config)
    batch = make_batch([genome.fetch(1000 * i, 1000 * i + READ + i) for i in range(6)])
    state = MappingState.unsearched(batch, np.zeros(6, np.uint64), 8)
    whole = next(level for level in preset.levels if not level.samples)
    return placer, state, replace(whole, resolved=ANY_SCORE)


def fresh(state: MappingState) -> MappingState:
    return MappingState.unsearched(state.batch, state.salts, 8)


def test_only_active_reads_get_loci(made: tuple[Placer, MappingState, Level]):
    placer, state, level = made[0], fresh(made[1]), made[2]
    state.searched[:] = 99
    active = np.array([True, False, True, False, False, True])
    thinned = placer.place(level, state, active)
    assert not thinned.any()
    for r in range(6):
        found = [(locus.start, locus.score) for locus in loci_of(state.loci, r)]
        assert found == ([(1000 * r, READ + r)] if active[r] else [])
        assert (state.searched[r] == 99) != active[r]
    assert state.statistics.levels[level.name]["reads"] == 3


def test_a_second_level_adds_to_the_first_and_counts_fragments_anew(made: tuple[Placer, MappingState, Level]):
    placer, state, level = made[0], fresh(made[1]), made[2]
    everyone = np.ones(6, np.bool_)
    placer.place(level, state, everyone)
    once = state.searched.copy()
    before = [loci_of(state.loci, r) for r in range(6)]
    placer.place(level, state, everyone)
    assert np.array_equal(state.searched, once)
    assert [loci_of(state.loci, r) for r in range(6)] == before


def test_reads_longer_than_a_level_takes_stay_as_they_are(made: tuple[Placer, MappingState, Level]):
    placer, state, level = made[0], fresh(made[1]), made[2]
    placer.place(replace(level, longest=READ + 2), state, np.ones(6, np.bool_))
    assert [bool(loci_of(state.loci, r)) for r in range(6)] == [True] * 3 + [False] * 3
