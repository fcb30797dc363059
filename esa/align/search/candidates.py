"""From hits to candidates: the heaviest clusters of hits of each read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.align.config import ClusterConfig
from esa.align.inserts import InsertRange
from esa.align.loci import Candidates
from esa.align.search.clusters import (
    ClusterLimits,
    Clusters,
    ReadQueries,
    build_clusters,
    contig_of,
    make_cluster_scratch,
    make_clusters,
)
from esa.align.search.pair_clusters import pair_clusters
from esa.align.search.sorting import RankScratch, largest_first, make_rank_scratch
from esa.fragments.base import FragmentArrays, Fragments
from esa.kernels.arrays import Bool, I64Array, Int, U64Array, Word
from esa.kernels.decorator import inline_njit, njit
from esa.sequence.hashing import tie_break
from esa.stores.base import Hits

RIVAL_WEIGHT = 50
"""A cluster left out for the limit is a rival, and the read truncated, if it has this share (per cent) of the heaviest
one's weight."""

TIE_BITS = 40
"""Bits of the hash that breaks ties, in the keys by which clusters are ranked."""
MOST_WEIGHT = (1 << 63 - TIE_BITS) - 1
"""Largest weight that the rest of a key can hold: more than tens of thousands of fragments weigh."""
_NO_PAIRS = InsertRange(-1, 0, 0)


class _Configs(NamedTuple):
    """Settings for reads whose clusters are weighed alone, and together with the mate's."""

    alone: ClusterConfig
    paired: ClusterConfig


class CandidateScratch(NamedTuple):
    """Where the candidates of a batch are collected; see `append_heaviest`.

    candidates: with space for more than there will be.
    order: scratch space to rank the clusters of one read.
    contig_offsets: ``int64[contigs + 1]``, where contigs begin.
    """

    candidates: Candidates
    order: RankScratch
    contig_offsets: I64Array


def cluster_hits(
    hits: Hits,
    fragments: Fragments,
    offsets: I64Array,
    salts: U64Array,
    contig_offsets: I64Array,
    config: ClusterConfig,
    inserts: InsertRange | None = None,
) -> Candidates:
    """Candidates of every read of a batch, from hits that fix strand and diagonal.

    A cluster's weight is the sum, over its query fragments, of the squared score of their best hit. So a tandem repeat
    that a fragment hits many times counts once. And few near hits outweigh many distant ones, the copies of a repeat.

    Args:
        hits: Of the fragments, in the same order.
        fragments: Of the reads.
        offsets: ``int64[reads + 1]``, where the reads begin among the bases of the batch.
        salts: ``uint64[reads]``, which choose among clusters of equal weight (`esa.sequence.hashing.tie_break`).
        contig_offsets: ``int64[contigs + 1]``, where contigs begin.
        config: What makes a cluster, and how many are kept.
        inserts: Reads 2 i and 2 i + 1 are a pair. Where both have clusters, each is ranked by its weight together with
            the heaviest cluster of the mate that makes a pair with it (`ClusterConfig.max_paired_candidates`).
    """
    paired = config._replace(max_candidates=min(config.max_paired_candidates, config.max_candidates))
    candidates: Candidates = _cluster_hits(
        hits,
        fragments.arrays,
        offsets,
        salts,
        contig_offsets,
        _Configs(config, paired),
        inserts or _NO_PAIRS,
    )
    return candidates


@inline_njit
def keep_heaviest(
    clusters: Clusters, count: Int, salt: Word, config: ClusterConfig, order: RankScratch
) -> tuple[Int, Bool, Int]:
    """Rank the clusters to verify into ``order.ranked_numbers``, the heaviest first; ties by `tie_break`.

    Returns (how many, whether a rival was left out for the limit, weight of the heaviest).
    """
    top, top_alone = np.int64(0), np.int64(0)
    for c in range(count):
        top_alone = max(top_alone, np.int64(clusters.weight[c]))
        top = max(top, np.int64(clusters.weight[c]) + clusters.mate[c])
    listed: Int = 0
    for c in range(count):
        alone = np.int64(clusters.weight[c])
        weight = min(alone + clusters.mate[c], MOST_WEIGHT)
        order.keys[listed] = (weight << TIE_BITS) | np.int64(
            tie_break(salt, clusters.diagonal[c]) >> np.uint64(64 - TIE_BITS)
        )
        order.numbers[listed] = c
        # A cluster that is heavy by itself is kept, even beside heavier ones that the mate supports.
        listed += (
            weight * 100 >= top * config.min_weight_share
            or alone * 100 >= top_alone * config.min_weight_share
        )
    left_out = largest_first(order, listed, config.max_candidates)
    # A much lighter cluster is no rival.
    cut = left_out >= 0 and (left_out >> TIE_BITS) * 100 >= top * RIVAL_WEIGHT
    return min(listed, config.max_candidates), cut, top


@njit
def make_candidate_scratch(
    reads: Int, most_clusters: Int, most: Int, contig_offsets: I64Array
) -> CandidateScratch:
    """`CandidateScratch` for ``most`` candidates a read, from at most ``most_clusters`` clusters each."""
    scratch = reads * most
    candidates = Candidates(
        np.zeros(reads + 1, np.int64),
        np.empty(scratch, np.int64),
        np.empty(scratch, np.uint8),
        np.empty(scratch, np.int32),
        np.empty(scratch, np.int32),
        np.zeros(reads, np.uint8),
    )
    return CandidateScratch(candidates, make_rank_scratch(most_clusters), contig_offsets)


@inline_njit
def append_heaviest(
    clusters: Clusters,
    count: Int,
    unmade_weight: Int,
    r: Int,
    salt: Word,
    config: ClusterConfig,
    scratch: CandidateScratch,
) -> None:
    """Append the heaviest of read r's ``count`` clusters to its candidates; reads in ascending order.

    ``unmade_weight``: the most that a cluster may weigh that was not built (`build_clusters`).
    """
    candidates = scratch.candidates
    kept, cut, top = keep_heaviest(clusters, count, salt, config, scratch.order)
    candidates.truncated[r] |= cut or unmade_weight * 100 >= max(1, top * RIVAL_WEIGHT)
    at = candidates.offsets[r]
    for c in scratch.order.ranked_numbers[:kept]:
        candidates.diagonal[at] = clusters.diagonal[c]
        candidates.reverse[at] = clusters.strand[c]
        candidates.contig[at] = contig_of(scratch.contig_offsets, clusters.place[c])
        candidates.weight[at] = clusters.weight[c]
        at += 1
    candidates.offsets[r + 1] = at


@njit
def trimmed(candidates: Candidates) -> Candidates:
    """A copy of candidates without the unused space at the arrays' ends."""
    made = candidates.offsets[-1]
    return Candidates(
        candidates.offsets,
        candidates.diagonal[:made].copy(),
        candidates.reverse[:made].copy(),
        candidates.contig[:made].copy(),
        candidates.weight[:made].copy(),
        candidates.truncated,
    )


@njit
def _cluster_hits(
    hits: Hits,
    fragments: FragmentArrays,
    offsets: I64Array,
    salts: U64Array,
    contig_offsets: I64Array,
    configs: _Configs,
    inserts: InsertRange,
) -> Candidates:
    reads, config = len(offsets) - 1, configs.alone
    scratch = make_cluster_scratch(hits, fragments, offsets, contig_offsets, config.diagonal_slack)
    most = len(scratch.keys)
    ends = (make_clusters(most), make_clusters(most))
    made, unmade_weight = np.zeros(2, np.int64), np.zeros(2, np.int64)
    lengths = np.zeros(2, np.int64)
    out = make_candidate_scratch(reads, most, config.max_candidates, contig_offsets)
    truncated = out.candidates.truncated
    paired = inserts.orientation >= 0
    # What is light may be heavy together with the mate.
    limits = ClusterLimits(config.diagonal_slack, 0 if paired else config.min_weight_share)
    q = 0
    for r in range(reads):
        lo = q
        while q < len(fragments.owner) and fragments.owner[q] == r:
            truncated[r] |= hits.truncated[q]
            q += 1
        truncated[r] |= hits.offsets[q] - hits.offsets[lo] > most
        end = r % 2 if paired else 0
        lengths[end] = offsets[r + 1] - offsets[r]
        read = ReadQueries(lo, q, offsets[r], lengths[end])
        made[end], unmade_weight[end] = build_clusters(hits, fragments, read, limits, scratch, ends[end])
        if not paired:
            append_heaviest(ends[0], made[0], unmade_weight[0], r, salts[r], config, out)
        elif end == 1:
            both = made[0] > 0 and made[1] > 0
            if both:
                pair_clusters(ends[0], ends[1], made, lengths, inserts)
            choice = configs.paired if both else config
            append_heaviest(ends[0], made[0], unmade_weight[0], r - 1, salts[r - 1], choice, out)
            append_heaviest(ends[1], made[1], unmade_weight[1], r, salts[r], choice, out)
    return trimmed(out.candidates)
