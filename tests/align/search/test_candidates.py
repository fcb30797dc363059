"""`esa.align.search.candidates` against a slow clustering of one read at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from align_oracles import offsets_of

from esa.align.config import ClusterConfig
from esa.align.inserts import FR, InsertRange
from esa.align.loci import Candidates
from esa.align.search.candidates import RIVAL_WEIGHT, cluster_hits
from esa.align.search.clusters import ENOUGH, contig_of
from esa.fragments.base import Fragments
from esa.sequence.hashing import tie_break
from esa.stores.base import REPEAT_BUCKET, Hits


def worth(score: int) -> int:
    """What a hit counts in a cluster: near hits more than in proportion."""
    return score**2


CONFIG = ClusterConfig(diagonal_slack=12, max_candidates=5, min_weight_share=20)


@dataclass(frozen=True)
class Hit:
    position: int
    reverse: int
    score: int


@dataclass(frozen=True)
class Query:
    """A fragment of a read: where it begins in the read, its length and orientation, and what it hit."""

    start: int
    length: int
    reverse: int
    hits: Sequence[Hit]
    truncated: int = 0


@dataclass(frozen=True)
class World:
    """Reads (their lengths and queries) and the contigs' offsets."""

    lengths: Sequence[int]
    queries: Sequence[Sequence[Query]]
    contigs: Sequence[int]
    in_order: bool = False

    def cluster(
        self, config: ClusterConfig, salts: Sequence[int], inserts: InsertRange | None = None
    ) -> Candidates:
        offsets = offsets_of([b"x" * n for n in self.lengths])
        flat = [(r, query) for r, queries in enumerate(self.queries) for query in queries]
        hits = [hit for _, query in flat for hit in query.hits]
        fragments = Fragments(
            np.array([offsets[r] + query.start for r, query in flat], np.int64),
            np.array([query.length for _, query in flat], np.int32),
            np.array([query.reverse for _, query in flat], np.uint8),
            np.array([r for r, _ in flat], np.int32),
        )
        return cluster_hits(
            Hits(
                offsets_of([query.hits for _, query in flat]),
                np.array([hit.position for hit in hits], np.int64),
                np.array([hit.reverse for hit in hits], np.uint8),
                np.array([hit.score for hit in hits], np.int32),
                np.array([query.truncated for _, query in flat], np.uint8),
                0,
                self.in_order,
            ),
            fragments,
            offsets,
            np.array(salts, np.uint64),
            np.array(self.contigs, np.int64),
            config,
            inserts,
        )


@dataclass(frozen=True)
class Cluster:
    """``diagonal``, ``reverse``, ``contig`` and ``weight`` as in `Candidates`."""

    diagonal: int
    reverse: int
    contig: int
    weight: int


def clusters_of(queries: Sequence[Query], length: int, contigs: Sequence[int], slack: int) -> list[Cluster]:
    """All clusters of one read, in order of strand and diagonal."""
    placed = []
    for q, query in enumerate(queries):
        for hit in query.hits:
            reverse = query.reverse ^ hit.reverse
            begin = length - query.start - query.length if reverse else query.start
            contig = next(c for c in range(len(contigs)) if contigs[c] <= hit.position < contigs[c + 1])
            placed.append((reverse, hit.position - begin, contig, q, hit.score))
    # Hits of one strand in order of diagonal, of one diagonal in order of the query.
    placed.sort(key=lambda p: p[:2])
    out = []
    while placed:
        reverse, first, contig, _, _ = placed[0]
        size = 0
        for p in placed:
            if p[0] != reverse or p[1] > first + slack or p[2] != contig:
                break
            size += 1
        cluster, placed = placed[:size], placed[size:]
        best: dict[int, int] = defaultdict(int)
        on_diagonal: dict[int, int] = defaultdict(int)
        for _, diagonal, _, q, score in cluster:
            best[q] = max(best[q], worth(score))
            on_diagonal[diagonal] += worth(score)
        heaviest = max(on_diagonal, key=lambda d: (on_diagonal[d], -d))
        out.append(Cluster(heaviest, reverse, contig, sum(best.values())))
    return out


def with_the_others(
    clusters: list[Cluster], others: Sequence[Query], length: int, slack: int
) -> list[Cluster]:
    """The clusters with what queries weigh there that made none: each its best hit of those that lie nearest."""
    gained = [0] * len(clusters)
    for query in others:
        best: dict[int, int] = defaultdict(int)
        for hit in query.hits:
            reverse = query.reverse ^ hit.reverse
            diagonal = hit.position - (length - query.start - query.length if reverse else query.start)
            near = [
                i
                for i, c in enumerate(clusters)
                if c.reverse == reverse and abs(c.diagonal - diagonal) <= slack
            ]
            if near:
                best[near[0]] = max(best[near[0]], worth(hit.score))
        for i, value in best.items():
            gained[i] += value
    return [replace(c, weight=c.weight + gain) for c, gain in zip(clusters, gained, strict=True)]


def all_clusters(world: World, r: int, config: ClusterConfig) -> list[Cluster]:
    """Clusters of a read, from its queries with the fewest hits, where it has many."""
    queries, length = world.queries[r], world.lengths[r]
    chosen = [q for q in queries if len(q.hits) <= REPEAT_BUCKET or not world.in_order]
    others = sorted((q for q in queries if q not in chosen), key=lambda q: len(q.hits))
    while others and sum(len(q.hits) for q in chosen) < ENOUGH:
        chosen.append(others.pop(0))
    clusters = clusters_of([q for q in queries if q in chosen], length, world.contigs, config.diagonal_slack)
    return with_the_others(clusters, others, length, config.diagonal_slack)


def heaviest(
    clusters: Sequence[Cluster], together: Sequence[int], config: ClusterConfig, salt: int
) -> tuple[list[Cluster], bool]:
    """The clusters to verify, and whether some were left out for the limit; ``together``: weights to go by."""
    top, alone = max(together, default=0), max((c.weight for c in clusters), default=0)
    order = sorted(
        (
            i
            for i, weight in enumerate(together)
            if weight * 100 >= top * config.min_weight_share
            or clusters[i].weight * 100 >= alone * config.min_weight_share
        ),
        key=lambda i: (together[i], int(tie_break(np.uint64(salt), clusters[i].diagonal))),
        reverse=True,
    )
    left_out = max((together[i] for i in order[config.max_candidates :]), default=-1)
    return [clusters[i] for i in order[: config.max_candidates]], left_out * 100 >= top * RIVAL_WEIGHT


def cluster_slowly(
    world: World, config: ClusterConfig, salts: Sequence[int], inserts: InsertRange | None = None
) -> list[tuple[list[Cluster], int]]:
    """(Candidates, truncated) of each read."""
    reads = range(len(world.lengths))
    clusters = [all_clusters(world, r, config) for r in reads]
    out = []
    for r in reads:
        mine, mates, limits = clusters[r], clusters[r ^ 1] if inserts else [], config
        together = [c.weight for c in mine]
        if mine and mates:
            limits = config._replace(max_candidates=min(config.max_candidates, config.max_paired_candidates))
            together = [
                c.weight + max((m.weight for m in mates if fit(world, r, c, m, inserts)), default=0)
                for c in mine
            ]
        kept, cut = heaviest(mine, together, limits, salts[r])
        out.append((kept, int(cut or any(query.truncated for query in world.queries[r]))))
    return out


def fit(world: World, r: int, cluster: Cluster, mate: Cluster, inserts: InsertRange | None) -> bool:
    """Whether a cluster of read r and one of its mate lie as FR insert sizes say."""
    assert inserts is not None
    assert inserts.orientation == FR
    if cluster.reverse == mate.reverse:
        return False
    forward, backward, length = (
        (mate, cluster, world.lengths[r]) if cluster.reverse else (cluster, mate, world.lengths[r ^ 1])
    )
    return inserts.low <= backward.diagonal + length - forward.diagonal <= inserts.high


def unpack(candidates: Candidates) -> list[tuple[list[Cluster], int]]:
    out = []
    for r in range(len(candidates.truncated)):
        rows = range(candidates.offsets[r], candidates.offsets[r + 1])
        clusters = [
            Cluster(
                int(candidates.diagonal[k]),
                int(candidates.reverse[k]),
                int(candidates.contig[k]),
                int(candidates.weight[k]),
            )
            for k in rows
        ]
        out.append((clusters, int(candidates.truncated[r])))
    return out


def random_world(rng: np.random.Generator, contigs: int, longest_contig: int) -> World:
    ends = np.cumsum(rng.integers(60, longest_contig, contigs))
    lengths, reads = [], []
    for _ in range(6):
        length = int(rng.integers(48, 200))
        lengths.append(length)
        places = rng.integers(0, ends[-1] - 48, 3)
        queries = []
        for start in sorted(rng.integers(0, length - 47, int(rng.integers(0, 6)))):
            hits = []
            for _ in range(int(rng.integers(0, 8))):
                near = int(places[rng.integers(3)]) + int(start) + int(rng.integers(-20, 21))
                position = near if rng.random() < 0.7 else int(rng.integers(0, ends[-1] - 48))
                position = int(np.clip(position, 0, ends[-1] - 48))
                hits.append(Hit(position, int(rng.integers(2)), int(rng.integers(1, 17))))
            queries.append(Query(int(start), 48, int(rng.integers(2)), hits, int(rng.random() < 0.1)))
        reads.append(queries)
    return World(lengths, reads, [0, *ends.tolist()])


@pytest.mark.parametrize(("contigs", "longest"), [(1, 1000), (3, 400), (300, 61)])
@pytest.mark.parametrize("slack", [0, 12, 50])
def test_clusters_equal_the_slow_version(contigs: int, longest: int, slack: int):
    rng = np.random.default_rng(contigs + slack)
    several = cut = 0
    for _ in range(40):
        world = random_world(rng, contigs, longest)
        salts = rng.integers(0, 1 << 62, len(world.lengths)).tolist()
        config = CONFIG._replace(diagonal_slack=slack)
        found = unpack(world.cluster(config, salts))
        # Clusters may share weight and diagonal (two strands, two contigs): any order of those will do.
        expected = cluster_slowly(world, config, salts)
        for (mine, my_cap), (theirs, their_cap) in zip(found, expected, strict=True):
            assert [(c.weight, c.diagonal) for c in mine] == [(c.weight, c.diagonal) for c in theirs]
            assert my_cap == their_cap
            several += len(mine) > 1
            cut += my_cap
            if len({(c.weight, c.diagonal) for c in mine}) == len(mine) and not my_cap:
                assert mine == theirs
    assert several > 50
    assert cut > 10


def repeat_world(rng: np.random.Generator, reads: int) -> World:
    """Reads of a repeat with hundreds of copies, of which no fragment hits all."""
    # Some so near to each other that a fragment hits one cluster twice.
    copies = np.cumsum(rng.choice([7, 90], 700, p=[0.2, 0.8]))
    lengths, queries = [], []
    for _ in range(reads):
        length = int(rng.integers(100, 200))
        lengths.append(length)
        mine = []
        for start in sorted(rng.choice(length - 48, 7, replace=False)):
            shares = rng.random(len(copies)) < rng.choice([0.05, 0.25, 0.6, 0.9])
            positions = np.sort(copies[shares] + int(start) + rng.integers(-3, 4, int(shares.sum())))
            scores, turned = rng.integers(1, 13, len(positions)), int(rng.integers(2))
            # Now and then on the other strand.
            reverse = np.where(rng.random(len(positions)) < 0.1, 1 - turned, turned)
            hits = [Hit(int(p), int(v), int(x)) for p, v, x in zip(positions, reverse, scores, strict=True)]
            mine.append(Query(int(start), 48, turned, hits))
        queries.append(mine)
    return World(lengths, queries, [0, int(copies[300]) + 40, int(copies[-1]) + 400], in_order=True)


@pytest.mark.parametrize("inserts", [None, InsertRange(FR, 100, 320)])
def test_clusters_of_reads_of_repeats_equal_the_slow_version(inserts: InsertRange | None):
    rng = np.random.default_rng(21)
    config = ClusterConfig(diagonal_slack=12, max_candidates=60, max_paired_candidates=40)
    left_out = 0
    for _ in range(4):
        world = repeat_world(rng, 6)
        salts = rng.integers(0, 1 << 62, 6).tolist()
        found = unpack(world.cluster(config, salts, inserts))
        expected = cluster_slowly(world, config, salts, inserts)
        assert [cap for _, cap in found] == [cap for _, cap in expected]
        for (mine, _), (theirs, _) in zip(found, expected, strict=True):
            assert [(c.diagonal, c.reverse) for c in mine] == [(c.diagonal, c.reverse) for c in theirs]
            assert [c.weight for c in mine] == [c.weight for c in theirs]
            assert len(mine) == (60 if inserts is None else 40)
        left_out += sum(len(q.hits) > REPEAT_BUCKET for queries in world.queries for q in queries)
    assert left_out > 40


def test_a_place_that_only_queries_with_many_hits_lead_to_makes_the_read_truncated():
    """Fragments with an error, say, have fewer hits than those without."""
    few = [
        Query(start, 48, 0, [Hit(1000 * i + start, 0, 12) for i in range(300)]) for start in (0, 9, 18, 27)
    ]
    elsewhere = [Hit(500_000 + 1000 * i + 60, 0, 12) for i in range(400)]
    for many, expected in (
        ([Query(60, 48, 0, elsewhere)] * 3, 1),
        ([Query(60, 48, 0, elsewhere)], 0),
        ([], 0),
    ):
        world = World([150], [[*few, *many]], [0, 1_000_000], in_order=True)
        [(clusters, truncated)] = unpack(world.cluster(CONFIG._replace(max_candidates=2000), [1]))
        assert len(clusters) == 300
        assert truncated == expected


def test_an_end_keeps_its_own_best_place_beside_heavy_ones_of_the_mate():
    """Its mate lies elsewhere, beside a poor copy."""
    mine = [Query(0, 48, 0, [Hit(40_000, 0, 12), Hit(1000, 0, 2)])]
    mates = [Query(start, 48, 1, [Hit(1200 + start, 0, 12)]) for start in range(0, 50, 5)]
    world = World([48, 100], [mine, mates], [0, 50_000])
    (ends, _) = unpack(world.cluster(CONFIG, [1, 2], InsertRange(FR, 200, 400)))
    assert [(c.diagonal, c.weight) for c in ends[0]] == [(1000, worth(2)), (40_000, worth(12))]


def test_mates_are_told_by_each_other_which_of_many_copies_they_lie_in():
    """Each end has 40 equal places, and but one of each has the mate beside it."""
    ends = [[1000 * i for i in range(1, 41)], [1000 * i + 500 for i in range(1, 41)]]
    ends[1][17] = ends[0][17] + 200
    queries = [[Query(0, 48, strand, [Hit(p, 0, 9) for p in places])] for strand, places in enumerate(ends)]
    world = World([48, 48], queries, [0, 50_000])
    few = ClusterConfig(max_candidates=4, max_paired_candidates=3)
    for mine, place in zip(
        unpack(world.cluster(few, [1, 2], InsertRange(FR, 200, 300))), (18_000, 18_200), strict=True
    ):
        assert mine[0][0].diagonal == place
        assert (len(mine[0]), mine[1]) == (3, 1)
    alone = unpack(world.cluster(few, [1, 2]))
    assert [(len(clusters), truncated) for clusters, truncated in alone] == [(4, 1), (4, 1)]
    # An end without clusters says nothing.
    single = World([48, 48], [queries[0], []], [0, 50_000])
    assert unpack(single.cluster(few, [1, 2], InsertRange(FR, 200, 300)))[0] == alone[0]


def one_read(
    queries: Sequence[Query], contigs: Sequence[int], length: int = 150, **changes: int
) -> list[Cluster]:
    [(clusters, _)] = unpack(World([length], [queries], contigs).cluster(CONFIG._replace(**changes), [1]))
    return clusters


def test_hits_without_number_make_the_same_clusters():
    """So many that another way of sorting is taken."""
    rng = np.random.default_rng(4)
    hits = [
        Hit(int(x), int(s), 9)
        for x, s in zip(rng.integers(0, 9000, 3000), rng.integers(0, 2, 3000), strict=True)
    ]
    world = World([150], [[Query(20, 48, 0, hits)]], [0, 4000, 9048])
    [(mine, cap)] = unpack(world.cluster(CONFIG, [1]))
    [(theirs, their_cap)] = cluster_slowly(world, CONFIG, [1])
    assert [(c.weight, c.diagonal) for c in mine] == [(c.weight, c.diagonal) for c in theirs]
    assert cap == their_cap


def test_a_read_on_either_strand_has_one_diagonal():
    """The diagonal is that of the read's first base in the orientation in which it aligns."""
    forward = [Query(10, 48, 0, [Hit(1010, 0, 16)]), Query(60, 48, 1, [Hit(1060, 1, 16)])]
    assert one_read(forward, [0, 5000]) == [Cluster(1000, 0, 0, 2 * worth(16))]
    # The reverse complement: fragments mirrored, orientations turned.
    backward = [Query(150 - q.start - q.length, q.length, 1 - q.reverse, q.hits) for q in reversed(forward)]
    assert one_read(backward, [0, 5000]) == [Cluster(1000, 1, 0, 2 * worth(16))]


def test_a_fragment_that_hits_a_tandem_repeat_many_times_counts_once():
    tandem = [Query(0, 48, 0, [Hit(1000 + 2 * i, 0, 10) for i in range(6)])]
    assert [c.weight for c in one_read(tandem, [0, 5000])] == [worth(10)]
    two = [*tandem, Query(50, 48, 0, [Hit(1052, 0, 4)])]
    assert [(c.weight, c.diagonal) for c in one_read(two, [0, 5000])] == [(worth(10) + worth(4), 1002)]


def test_clusters_begin_anew_beyond_the_slack_of_their_first_hit():
    def diagonals(*positions: int) -> list[int]:
        queries = [Query(0, 48, 0, [Hit(p, 0, 10)]) for p in positions]
        return sorted(c.diagonal for c in one_read(queries, [0, 5000]))

    assert diagonals(100, 112) == [100]
    assert diagonals(100, 113) == [100, 113]
    # 100 to 110 is one cluster, and 120 does not join it by way of 110.
    assert diagonals(100, 110, 120) == [100, 120]


def test_a_cluster_never_spans_two_strands():
    """The largest diagonal of the one, the least of the other, in a genome that fills the bits of a sort key."""
    length = 10
    for bases in range((1 << 12) - 4 * length, (1 << 12) + 2):
        queries = [Query(0, length, 0, [Hit(bases - length, 0, 9), Hit(0, 1, 9)])]
        found = {(c.diagonal, c.reverse) for c in one_read(queries, [0, bases], length, diagonal_slack=50)}
        assert found == {(bases - length, 0), (0, 1)}


def test_a_cluster_never_spans_two_contigs():
    """Neighbours on one diagonal, on both sides of a border."""
    queries = [Query(0, 48, 0, [Hit(952, 0, 10)]), Query(50, 48, 0, [Hit(1002, 0, 12)])]
    assert {(c.diagonal, c.contig) for c in one_read(queries, [0, 2000])} == {(952, 0)}
    parted = one_read(queries, [0, 1000, 2000], min_weight_share=0)
    assert parted == [Cluster(952, 0, 1, worth(12)), Cluster(952, 0, 0, worth(10))]


def test_light_clusters_are_dropped_without_a_word_and_the_limit_is_said():
    heavy = [Query(0, 48, 0, [Hit(100 * i, 0, 12 if i else 16) for i in range(9)])]
    world = World([150], [heavy], [0, 5000])
    light = unpack(world.cluster(CONFIG._replace(min_weight_share=60), [1]))
    assert light == [([Cluster(0, 0, 0, worth(16))], 0)]
    [(all_of_them, truncated)] = unpack(
        world.cluster(CONFIG._replace(min_weight_share=0, max_candidates=9), [1])
    )
    assert (len(all_of_them), truncated) == (9, 0)
    [(some, truncated)] = unpack(world.cluster(CONFIG._replace(min_weight_share=0, max_candidates=8), [1]))
    assert (len(some), truncated) == (8, 1)
    assert some == all_of_them[:8]
    # What weighs less than half of the heaviest is no rival, within the limit or beyond.
    assert worth(8) * 100 < worth(16) * RIVAL_WEIGHT <= worth(12) * 100
    world = World([150], [[Query(0, 48, 0, [Hit(100 * i, 0, 8 if i else 16) for i in range(9)])]], [0, 5000])
    [(some, truncated)] = unpack(world.cluster(CONFIG._replace(min_weight_share=0, max_candidates=8), [1]))
    assert (len(some), truncated) == (8, 0)


def test_a_read_that_hangs_over_the_genome_s_start_has_a_negative_diagonal():
    assert one_read([Query(60, 48, 0, [Hit(0, 0, 9)])], [0, 100]) == [Cluster(-60, 0, 0, worth(9))]


def test_positions_beyond_32_bits():
    far = (1 << 33) + 12345
    assert one_read([Query(10, 48, 0, [Hit(far, 0, 9)])], [0, 1 << 34]) == [Cluster(far - 10, 0, 0, worth(9))]


def test_reads_without_queries_or_hits_have_no_candidates():
    queries = [[], [Query(0, 48, 0, [], 1)], [], [Query(0, 48, 0, [Hit(5, 0, 2)])]]
    world = World([30, 150, 20, 150], queries, [0, 900])
    expected = [([], 0), ([], 1), ([], 0), ([Cluster(5, 0, 0, worth(2))], 0)]
    assert unpack(world.cluster(CONFIG, [1, 2, 3, 4])) == expected
    assert unpack(World([], [], [0, 900]).cluster(CONFIG, [])) == []


def test_contig_of_finds_the_contig_among_thousands():
    offsets = np.concatenate([[0], np.cumsum(np.random.default_rng(1).integers(1, 90, 4000))])
    for contig in (0, 1, 1999, 3999):
        assert contig_of(offsets, offsets[contig]) == contig
        assert contig_of(offsets, offsets[contig + 1] - 1) == contig
