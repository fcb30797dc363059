"""From hits to candidates: the heaviest clusters of hits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esa.align.config import ClusterConfig
from esa.align.inserts import InsertRange
from esa.align.loci import Candidates
from esa.align.search.clusters import contig_of, make_cluster_room, make_clusters, make_up_clusters
from esa.align.search.pair_clusters import pair_clusters
from esa.align.search.sorting import largest_first, make_rank_room
from esa.fragments.base import Fragments
from esa.kernels.decorator import inline_njit, njit
from esa.sequence.hashing import tie_break
from esa.stores.base import Hits

RIVAL_WEIGHT = 50
"""A cluster left out for the limit is spoken of if it has this share (per cent) of the heaviest one's weight."""

TIE_BITS = 40
"""Of the hashes that ties are broken by."""
MOST_WEIGHT = (1 << 63 - TIE_BITS) - 1
"""What the rest of a key holds: more than tens of thousands of fragments weigh."""
_NO_PAIRS = InsertRange(-1, 0, 0)


def cluster_hits(
    hits: Hits,
    fragments: Fragments,
    offsets: NDArray[np.int64],
    salts: NDArray[np.uint64],
    contig_offsets: NDArray[np.int64],
    config: ClusterConfig,
    inserts: InsertRange | None = None,
) -> Candidates:
    """Candidates of every read of a batch (reads at ``offsets``) from hits that fix strand and diagonal.

    ``salts`` (``uint64[reads]``) choose among equally heavy clusters (`esa.sequence.hashing.tie_break`). With
    ``inserts`` reads 2 i and 2 i + 1 are a pair, and where both have clusters those come first that weigh most
    together with one of the mate (`ClusterConfig.max_paired_candidates`).

    A cluster's weight is the sum, over the query fragments in it, of the best squared score of a hit: a tandem
    repeat that a fragment hits many times counts once, and few near hits outweigh many distant ones (the
    copies of a repeat).
    """
    candidates: Candidates = _cluster_hits(
        hits, fragments.arrays, offsets, salts, contig_offsets, config,
        config._replace(max_candidates=min(config.max_paired_candidates, config.max_candidates)), inserts or _NO_PAIRS,
    )  # fmt: skip
    return candidates


@inline_njit
def keep_heaviest(clusters, count, salt, config, order):  # type: ignore[no-untyped-def]
    """The clusters to verify, heaviest first, into ``order`` (`esa.align.search.sorting.RankRoom`); ties by
    `tie_break`.

    Returns (how many, whether one was left out for the limit alone, weight of the heaviest).
    """
    top, top_alone = np.int64(0), np.int64(0)
    for c in range(count):
        top_alone = max(top_alone, np.int64(clusters.weight[c]))
        top = max(top, np.int64(clusters.weight[c]) + clusters.mate[c])
    listed = 0
    for c in range(count):
        alone = np.int64(clusters.weight[c])
        weight = min(alone + clusters.mate[c], MOST_WEIGHT)
        order.keys[listed] = (weight << TIE_BITS) | np.int64(
            tie_break(salt, clusters.diagonal[c]) >> np.uint64(64 - TIE_BITS)
        )
        order.numbers[listed] = c
        # A place of its own beside the heavy places of the mate is no light one.
        listed += (
            weight * 100 >= top * config.min_weight_share
            or alone * 100 >= top_alone * config.min_weight_share
        )
    left_out = largest_first(order, listed, config.max_candidates)
    # Whatever is lighter by far is no rival.
    cut = left_out >= 0 and (left_out >> TIE_BITS) * 100 >= top * RIVAL_WEIGHT
    return min(listed, config.max_candidates), cut, top


@njit
def make_candidates(reads, most):  # type: ignore[no-untyped-def]
    """`esa.align.loci.Candidates` with room for ``most`` a read; see `append_heaviest`."""
    room = reads * most
    return Candidates(
        np.zeros(reads + 1, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.uint8),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        np.zeros(reads, np.uint8),
    )


@inline_njit
def append_heaviest(clusters, count, r, salt, contig_offsets, config, order, candidates, unmade_weight=0):  # type: ignore[no-untyped-def]
    """Append the heaviest of read r's clusters to the candidates, reads in ascending order.

    ``unmade_weight``: what clusters may weigh that were not made.
    """
    kept, cut, top = keep_heaviest(clusters, count, salt, config, order)
    candidates.truncated[r] |= cut or unmade_weight * 100 >= max(1, top * RIVAL_WEIGHT)
    at = candidates.offsets[r]
    for c in order.ranked_numbers[:kept]:
        candidates.diagonal[at] = clusters.diagonal[c]
        candidates.reverse[at] = clusters.strand[c]
        candidates.contig[at] = contig_of(contig_offsets, clusters.place[c])
        candidates.weight[at] = clusters.weight[c]
        at += 1
    candidates.offsets[r + 1] = at


@njit
def trimmed(candidates):  # type: ignore[no-untyped-def]
    """Candidates without the room that was not needed."""
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
def _cluster_hits(hits, fragments, offsets, salts, contig_offsets, config, joined, inserts):  # type: ignore[no-untyped-def]
    reads = len(offsets) - 1
    room = make_cluster_room(hits, fragments, offsets, contig_offsets, config.diagonal_slack)
    most = len(room.keys)
    ends = (make_clusters(most), make_clusters(most))
    made, unmade_weight = np.zeros(2, np.int64), np.zeros(2, np.int64)
    lengths = np.zeros(2, np.int64)
    order = make_rank_room(most)
    candidates = make_candidates(reads, config.max_candidates)
    paired = inserts.orientation >= 0
    # What is light may be heavy together with the mate.
    limits = (config.diagonal_slack, 0 if paired else config.min_weight_share)
    q = 0
    for r in range(reads):
        lo = q
        while q < len(fragments.owner) and fragments.owner[q] == r:
            candidates.truncated[r] |= hits.truncated[q]
            q += 1
        candidates.truncated[r] |= hits.offsets[q] - hits.offsets[lo] > most
        end = r % 2 if paired else 0
        lengths[end] = offsets[r + 1] - offsets[r]
        read = (offsets[r], lengths[end])
        made[end], unmade_weight[end] = make_up_clusters(
            hits, fragments, (lo, q), read, contig_offsets, limits, room, ends[end]
        )
        if not paired:
            append_heaviest(
                ends[0], made[0], r, salts[r], contig_offsets, config, order, candidates, unmade_weight[0]
            )
        elif end == 1:
            both = made[0] > 0 and made[1] > 0
            if both:
                pair_clusters(ends[0], ends[1], made, lengths, inserts)
            choice = joined if both else config
            append_heaviest(
                ends[0],
                made[0],
                r - 1,
                salts[r - 1],
                contig_offsets,
                choice,
                order,
                candidates,
                unmade_weight[0],
            )
            append_heaviest(
                ends[1], made[1], r, salts[r], contig_offsets, choice, order, candidates, unmade_weight[1]
            )
    return trimmed(candidates)
