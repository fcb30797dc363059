"""`esa.align.search.pair_clusters` against all pairs of clusters, asked one by one."""

from __future__ import annotations

import numpy as np
import pytest
from align_oracles import Locus, make_loci

from esa.align.inserts import FR, ORIENTATIONS, InsertRange
from esa.align.pairing.choose import is_proper
from esa.align.search import clusters
from esa.align.search.clusters import Clusters
from esa.align.search.pair_clusters import pair_clusters

LENGTHS = np.array([70, 101], np.int64)


def make_clusters(count: int) -> Clusters:
    return Clusters(*(array[:count] for array in clusters.make_clusters(count)))


def random_clusters(rng: np.random.Generator, count: int, genome: int) -> Clusters:
    """In order of strand and diagonal, no two on one diagonal."""
    made = make_clusters(count)
    strand = np.sort(rng.integers(0, 2, count))
    made.strand[:] = strand
    for reverse in (0, 1):
        rows = np.flatnonzero(strand == reverse)
        made.diagonal[rows] = np.sort(rng.choice(genome, len(rows), replace=False))
    made.weight[:] = rng.integers(1, 2000, count)
    return made


def loci_at(found: Clusters) -> list[Locus]:
    return [
        Locus(0, int(diagonal), int(strand), 0, 0, 0)
        for diagonal, strand in zip(found.diagonal, found.strand, strict=True)
    ]


def join(first: Clusters, second: Clusters, inserts: InsertRange) -> None:
    counts = np.array([len(first.weight), len(second.weight)], np.int64)
    pair_clusters(first, second, counts, LENGTHS, inserts)


@pytest.mark.parametrize("orientation", range(len(ORIENTATIONS)), ids=ORIENTATIONS)
@pytest.mark.parametrize("genome", [300, 20_000])
def test_a_cluster_gets_the_weight_of_the_heaviest_mate_that_it_makes_a_pair_with(
    orientation: int, genome: int
):
    rng = np.random.default_rng(orientation + genome)
    joined = 0
    for _ in range(60):
        low = int(rng.integers(1, 300))
        inserts = InsertRange(orientation, low, low + int(rng.integers(0, 400)))
        first, second = (random_clusters(rng, int(n), genome) for n in rng.integers(0, 60, 2))
        join(first, second, inserts)
        loci = make_loci([loci_at(first), loci_at(second)], room=60)
        proper = np.array(
            [
                [is_proper(loci, 0, j, k, LENGTHS, inserts)[0] for k in range(len(second.weight))]
                for j in range(len(first.weight))
            ],
            bool,
        ).reshape(len(first.weight), len(second.weight))
        assert first.mate.tolist() == (proper * second.weight[None, :]).max(axis=1, initial=0).tolist()
        assert second.mate.tolist() == (proper * first.weight[:, None]).max(axis=0, initial=0).tolist()
        joined += int(proper.sum())
    assert joined > 100


def test_the_bounds_of_the_insert_sizes_belong_to_them():
    for size, wanted in ((299, 0), (300, 9), (400, 9), (401, 0)):
        first, second = make_clusters(1), make_clusters(1)
        first.strand[:], first.diagonal[:], first.weight[:] = 0, 1000, 5
        second.strand[:], second.diagonal[:], second.weight[:] = 1, 1000 + size - int(LENGTHS[1]), 9
        join(first, second, InsertRange(FR, 300, 400))
        assert (first.mate[0], second.mate[0]) == (wanted, 5 if wanted else 0)
