"""`esa.align.search.kmer_voting` against counting k-mers by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from align_oracles import Codes, make_batch, make_genome, mutate, offsets_of, reference_of

from esa.align.config import ClusterConfig, VotingConfig
from esa.align.extend.ungapped import extend_ungapped
from esa.align.loci import Candidates, Reads
from esa.align.search.candidates import RIVAL_WEIGHT
from esa.align.search.kmer_voting import KmerIndex, best_diagonal, clear_kmers, index_kmers, vote, vote_hits
from esa.fragments.base import Fragments
from esa.sequence import dna
from esa.sequence.genome import Genome
from esa.stores.base import Hits

K = 5
CLUSTER = ClusterConfig(max_candidates=4, min_weight_share=0)
CONFIG = VotingConfig(k=8, slack=3, min_votes=6)


def votes_slowly(window: Sequence[int], query: Sequence[int], k: int) -> Counter[int]:
    """Shared k-mers without N on each diagonal."""
    out: Counter[int] = Counter()
    for i in range(len(query) - k + 1):
        for j in range(len(window) - k + 1):
            kmer = tuple(query[i : i + k])
            if kmer == tuple(window[j : j + k]) and max(kmer) < dna.N:
                out[j - i] += 1
    return out


def vote_fast(
    window: Codes, query: Codes, k: int, slack: int, known: int = 0, apart: int = -1
) -> tuple[int, int]:
    kmers = KmerIndex(np.zeros(4**k, np.int32), np.empty(len(query), np.int32))
    votes = np.zeros(len(window) + len(query) + 1, np.int32)
    index_kmers(query, len(query), k, kmers)
    out: tuple[int, int] = vote(window, len(query), VotingConfig(k, slack), kmers, votes, known, apart)
    clear_kmers(query, len(query), k, kmers)
    assert not kmers.head.any()
    assert not votes.any()
    return out


@pytest.mark.parametrize("slack", [0, 1, 3])
def test_the_diagonal_with_the_most_votes_around_it_wins(slack: int):
    rng = np.random.default_rng(slack)
    for _ in range(120):
        letters = int(rng.integers(2, 6))
        window = rng.integers(0, letters, int(rng.integers(0, 60))).astype(np.uint8)
        source = (
            window if rng.random() < 0.7 and len(window) > 10 else rng.integers(0, 4, 30).astype(np.uint8)
        )
        query = mutate(rng, source[3:], 2, 1)
        on = votes_slowly(window.tolist(), query.tolist(), K)
        known, apart = int(rng.integers(-10, 60)), int(rng.integers(-1, 8))
        diagonal, best = vote_fast(window, query, K, slack, known, apart)
        on = Counter({d: votes for d, votes in on.items() if abs(d - known) > apart})
        around = {d: sum(on[d + s] for s in range(-slack, slack + 1)) for d in list(on)}
        assert best == max(around.values(), default=0)
        if best:
            winner = min(d for d in around if around[d] == best)
            near = {d: on[d] for d in range(winner - slack, winner + slack + 1)}
            # The heaviest single diagonal of the winner's surroundings.
            assert on[diagonal] == max(near.values())
            assert abs(diagonal - winner) <= slack


def test_the_best_diagonal_is_the_best_of_all_that_lie_in_the_window():
    rng = np.random.default_rng(6)
    ties = 0
    for _ in range(300):
        letters = int(rng.integers(2, 6))
        window = rng.integers(0, letters, int(rng.integers(0, 70))).astype(np.uint8)
        query = rng.integers(0, letters, int(rng.integers(0, 40))).astype(np.uint8)
        if rng.random() < 0.5 and len(window) > 30:
            query = mutate(rng, window[8:30], 6, 0)
        totals = [
            extend_ungapped(query, window, d, 0, len(query))[0] for d in range(len(window) - len(query) + 1)
        ]
        best = max(totals, default=0)
        room = np.full((2, len(window)), 99, np.int32)
        at = totals.index(best) if best else 0
        assert best_diagonal(query, window, len(window), *room) == (at, best)
        ties += totals.count(best) > 1
    assert ties > 30


def candidates_for(
    genome: Genome,
    reads: Sequence[Codes],
    hits: Sequence[Sequence[int]],
    length: int,
    cluster: ClusterConfig = CLUSTER,
) -> Candidates:
    """Each read is one query fragment, which hit fragments of ``length`` bases at these positions."""
    batch = make_batch(reads)
    n = len(reads)
    positions = np.array([p for read in hits for p in read], np.int64)
    return vote_hits(
        Reads(batch.codes, batch.offsets, np.arange(n, dtype=np.uint64)),
        Hits(
            offsets_of(list(hits)),
            positions,
            np.zeros(len(positions), np.uint8),
            np.ones(len(positions), np.int32),
            np.zeros(n, np.uint8),
            0,
        ),
        Fragments(
            batch.offsets[:-1],
            np.diff(batch.offsets).astype(np.int32),
            np.zeros(n, np.uint8),
            np.arange(n, dtype=np.int32),
        ),
        length,
        reference_of(genome),
        cluster,
        CONFIG,
    )


def candidates_of(candidates: Candidates, read: int) -> list[tuple[int, int, int]]:
    rows = slice(candidates.offsets[read], candidates.offsets[read + 1])
    columns = (candidates.diagonal[rows], candidates.reverse[rows], candidates.contig[rows])
    return [tuple(int(x) for x in row) for row in zip(*columns, strict=True)]


@pytest.fixture(scope="module")
def genome() -> Genome:
    rng = np.random.default_rng(2)
    return make_genome([rng.integers(0, 4, n).astype(np.uint8) for n in (1000, 700, 3000)])


@pytest.mark.parametrize("reverse", [0, 1])
def test_a_read_is_found_on_its_strand_wherever_its_window_was_hit(genome: Genome, reverse: int):
    rng = np.random.default_rng(reverse)
    length, reads, hits, truth = 128, [], [], []
    for _ in range(60):
        contig = int(rng.integers(3))
        size = int(rng.integers(60, 129))
        lo, hi = int(genome.offsets[contig]), int(genome.offsets[contig + 1])
        start = int(rng.integers(lo, hi - size))
        read = mutate(rng, genome.fetch(start, start + size), size // 12, 0)
        reads.append(dna.reverse_complement(read) if reverse else read)
        # Any fragment that overlaps the read.
        near = int(rng.integers(max(lo, start - length + 20), min(hi - length, start + size - 20) + 1))
        hits.append([near])
        truth.append((start, reverse, contig))
    found = candidates_for(genome, reads, hits, length)
    assert [candidates_of(found, r)[:1] for r in range(60)] == [[t] for t in truth]
    assert not found.truncated.any()


def test_neighbouring_contigs_are_not_seen(genome: Genome):
    border = int(genome.offsets[1])
    read = genome.fetch(border + 5, border + 105)
    # The fragment that was hit lies in the contig before.
    assert candidates_of(candidates_for(genome, [read], [[border - 64]], 64), 0) == []
    assert candidates_of(candidates_for(genome, [read], [[border]], 64), 0)[0] == (border + 5, 0, 1)


def test_a_read_that_hangs_over_the_end_is_found(genome: Genome):
    end = int(genome.offsets[1])
    over = np.random.default_rng(3).integers(0, 4, 50).astype(np.uint8)
    read = np.concatenate([genome.fetch(end - 60, end), over])
    assert candidates_of(candidates_for(genome, [read], [[end - 64]], 64), 0)[0] == (end - 60, 0, 0)
    start = np.concatenate([over, genome.fetch(0, 60)])
    assert candidates_of(candidates_for(genome, [start], [[0]], 64), 0)[0] == (-50, 0, 0)


def test_windows_without_enough_votes_are_no_candidates(genome: Genome):
    stranger = np.random.default_rng(4).integers(0, 4, 100).astype(np.uint8)
    short = genome.fetch(100, 105)
    n = np.full(80, dna.N, np.uint8)
    found = candidates_for(genome, [stranger, short, n, np.empty(0, np.uint8)], [[90], [90], [90], [90]], 64)
    assert found.offsets.tolist() == [0] * 5


def test_candidates_are_ordered_by_votes_and_those_beyond_the_limit_are_reported(genome: Genome):
    rng = np.random.default_rng(5)
    unit = rng.integers(0, 4, 100).astype(np.uint8)
    parts: list[Codes] = []
    for copies in range(5):
        parts += [rng.integers(0, 4, 400).astype(np.uint8), mutate(rng, unit, 3 * copies, 0)]
    repeats = make_genome([np.concatenate(parts)])
    places = [400 + 500 * i for i in range(5)]
    found = candidates_for(repeats, [unit], [places[::-1]], 100, CLUSTER._replace(max_candidates=5))
    assert candidates_of(found, 0)[0] == (400, 0, 0)
    assert {c[0] for c in candidates_of(found, 0)} == set(places)
    assert np.all(np.diff(found.weight) <= 0)
    assert found.weight[0] == 100 - 8 + 1
    assert not found.truncated[0]
    # Left out for the limit: one with half the votes of the best is a rival, one with less is not.
    votes = found.weight.tolist()
    for most in range(1, 5):
        few = candidates_for(repeats, [unit], [places[::-1]], 100, CLUSTER._replace(max_candidates=most))
        assert candidates_of(few, 0) == candidates_of(found, 0)[:most]
        assert bool(few.truncated[0]) == (votes[most] * 100 >= votes[0] * RIVAL_WEIGHT)
    assert votes[4] * 100 < votes[0] * RIVAL_WEIGHT <= votes[1] * 100
