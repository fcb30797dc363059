"""`esa.eval.recall` against a search written out."""

from __future__ import annotations

import numpy as np
import pytest

from esa.encoders.projection import ProjectionEncoder
from esa.eval.recall import (
    DIAGONAL_SLACK,
    Found,
    ReadSet,
    anchored_recall,
    code_store,
    recall_at_cost,
    simulate_reads,
)
from esa.fragments import AnchoredFragmenter
from esa.genome import Genome
from esa.stores.codes import CodeStore, binarize, probe_patterns

FRAGMENTER = AnchoredFragmenter()
ENCODER = ProjectionEncoder.untrained(FRAGMENTER.length)
KEY_BITS = 10


@pytest.fixture(scope="module")
def genome() -> Genome:
    rng = np.random.default_rng(1)
    repeat = rng.integers(0, 4, 600).astype(np.uint8)
    pieces = [part for _ in range(4) for part in (rng.integers(0, 4, 4000).astype(np.uint8), repeat)]
    return Genome.of_contigs({"a": np.concatenate(pieces), "b": rng.integers(0, 4, 5000).astype(np.uint8)})


@pytest.fixture(scope="module")
def store(genome: Genome) -> CodeStore:
    return code_store(genome, FRAGMENTER, ENCODER, KEY_BITS)


def recall_slowly(genome: Genome, reads: ReadSet, probes: int) -> Found:
    """Every code of the genome against every key that a read's fragments probe."""
    codes = genome.fetch(0, genome.bases)
    fragments = FRAGMENTER.reference(codes, genome.offsets)
    keys = (binarize(ENCODER.embed(codes, fragments)) & np.uint64((1 << KEY_BITS) - 1)).astype(int)
    found = scanned = 0
    for i in range(len(reads)):
        bases = reads.codes[i * reads.length : (i + 1) * reads.length]
        own = FRAGMENTER.queries(bases, np.array([0, len(bases)]), np.array([0], np.int32), 0)
        hit = False
        for start, reverse, sums in zip(own.start, own.reverse, ENCODER.embed(bases, own), strict=True):
            least_certain = np.argsort(np.abs(sums[:KEY_BITS].astype(int)), kind="stable")
            own_key = sum(1 << b for b in range(KEY_BITS) if sums[b] > 0)
            flips = [
                sum(1 << int(least_certain[r]) for r in range(KEY_BITS) if pattern >> r & 1)
                for pattern in probe_patterns(KEY_BITS, probes).tolist()
            ]
            probed = np.isin(keys, [own_key ^ flip for flip in flips])
            scanned += int(probed.sum())
            place = reads.length - start - FRAGMENTER.length if reads.reverse[i] else start
            near = np.abs(fragments.start - (reads.start[i] + place)) <= DIAGONAL_SLACK
            alike = fragments.reverse == (reverse ^ int(reads.reverse[i]))
            hit |= bool((probed & near & alike).any())
        found += hit
    return Found(found / len(reads), scanned / len(reads))


@pytest.mark.parametrize(("substitutions", "probes"), [(0.0, 1), (0.05, 1), (0.1, 4)])
def test_recall_is_what_a_search_of_everything_finds(
    genome: Genome, store: CodeStore, substitutions: float, probes: int
):
    reads = simulate_reads(genome, 60, 80, substitutions)
    found = anchored_recall(FRAGMENTER, ENCODER, store, reads, probes)
    assert found == recall_slowly(genome, reads, probes)
    assert found.scanned > 0
    assert found.share == 1 if substitutions == 0 else 0 < found.share < 1


def test_reads_come_from_where_they_say(genome: Genome):
    reads = simulate_reads(genome, 40, 70, 0.0)
    for i in range(len(reads)):
        bases = reads.codes[i * 70 : (i + 1) * 70]
        origin = genome.fetch(int(reads.start[i]), int(reads.start[i]) + 70)
        np.testing.assert_array_equal(bases, 3 - origin[::-1] if reads.reverse[i] else origin)
    assert 0 < reads.reverse.sum() < len(reads)


def test_recall_at_a_cost_lies_between_the_probes_beside_it(genome: Genome, store: CodeStore):
    reads = simulate_reads(genome, 200, 100, 0.1)
    two, four = (anchored_recall(FRAGMENTER, ENCODER, store, reads, probes) for probes in (2, 4))
    middle = (two.scanned + four.scanned) / 2
    assert two.share < recall_at_cost(FRAGMENTER, ENCODER, store, reads, middle) < four.share
    at = recall_at_cost(FRAGMENTER, ENCODER, store, reads, four.scanned)
    assert at == pytest.approx(four.share)
    # More than all probes can scan: what they find. Less than one probe scans: a share of it.
    most = anchored_recall(FRAGMENTER, ENCODER, store, reads, 128)
    assert recall_at_cost(FRAGMENTER, ENCODER, store, reads, 1e9) == most.share
    one = anchored_recall(FRAGMENTER, ENCODER, store, reads, 1)
    half = recall_at_cost(FRAGMENTER, ENCODER, store, reads, one.scanned / 2)
    assert half == pytest.approx(one.share / 2)
