"""`esa.align.pairing.rescue`: against all diagonals of a window, and each pair for itself.

(Which windows are searched, and for whom: `test_choose.py`.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from align_oracles import (
    BONUS,
    Codes,
    Locus,
    best_by_ends,
    best_total,
    loci_of,
    make_batch,
    make_genome,
    make_loci,
    mutate,
    reference_of,
)

from esa.align.config import AlignConfig
from esa.align.inserts import FR, InsertSizes
from esa.align.loci import Loci, Reads
from esa.align.pairing.rescue import rescue
from esa.sequence import dna
from esa.sequence.genome import Genome

CONFIG = AlignConfig(levels=())
INSERTS = InsertSizes(FR, 150, 260, 200.0, 20.0, 1000)
LENGTH, MATE = 60, 70


@pytest.fixture(scope="module")
def genome() -> Genome:
    rng = np.random.default_rng(30)
    return make_genome([rng.integers(0, 4, 4000).astype(np.uint8)])


def pair_at(
    genome: Genome, rng: np.random.Generator, substitutions: int, indels: int
) -> tuple[int, Codes, Codes]:
    """(Place of the first read, the read, its mate with edits)."""
    at = int(rng.integers(300, 3400))
    size = int(rng.integers(INSERTS.low + 5, INSERTS.high - 5))
    mate = genome.fetch(at + size - MATE, at + size)
    return at, genome.fetch(at, at + LENGTH), mutate(rng, dna.reverse_complement(mate), substitutions, indels)


def rescued(genome: Genome, pairs: Sequence[tuple[int, Codes, Codes]], active: Sequence[bool]) -> Loci:
    """The loci of all reads, where the first read of each pair had one and the second none."""
    first = [[Locus(LENGTH, at, 0, 0, at, at + LENGTH)] for at, _, _ in pairs]
    loci = make_loci([entries for known in first for entries in (known, [])], room=4)
    batch = make_batch([read for _, *ends in pairs for read in ends], paired=True)
    salts = np.repeat(np.arange(len(pairs), dtype=np.uint64), 2)
    reads = Reads(batch.codes, batch.offsets, salts)
    rescue(reads, np.array(active), reference_of(genome), INSERTS, CONFIG._replace(max_loci=2), loci)
    return loci


@pytest.mark.parametrize("indels", [0, 1])
def test_a_mate_gets_the_best_alignment_in_its_window(genome: Genome, indels: int) -> None:
    rng = np.random.default_rng(indels)
    for _ in range(6):
        at, read, mate = pair_at(genome, rng, 4, indels)
        loci = rescued(genome, [(at, read, mate)], [True])
        (found,) = loci_of(loci, 1)
        begin, end = int(loci.query_begin[1, 0]), int(loci.query_end[1, 0])
        window = genome.fetch(at + INSERTS.low - MATE, at + INSERTS.high)
        query = dna.reverse_complement(mate)
        expected = best_total(best_by_ends(query.tolist(), window.tolist()))
        assert found.score + BONUS * ((begin == 0) + (end == len(mate))) == expected
        assert (found.reverse, found.contig) == (1, 0)


def test_pairs_of_a_batch_do_not_see_each_other(genome: Genome) -> None:
    """All are searched for in turns, and aligned together, each as if it were alone."""
    rng = np.random.default_rng(7)
    pairs = [pair_at(genome, rng, int(rng.integers(0, 9)), int(rng.integers(0, 3))) for _ in range(40)]
    active = (rng.random(len(pairs)) < 0.8).tolist()
    together = rescued(genome, pairs, active)
    for p, pair in enumerate(pairs):
        alone = rescued(genome, [pair], [active[p]])
        for end in (0, 1):
            assert loci_of(together, 2 * p + end) == loci_of(alone, end)
        assert together.rescues[2 * p + 1] == together.held[2 * p + 1] == alone.held[1]
        if not active[p]:
            assert together.held[2 * p + 1] == 0
    bands = [locus.band for p in range(len(pairs)) for locus in loci_of(together, 2 * p + 1)]
    assert len(bands) > 25
    assert 0 in bands
    assert max(bands) > 0
