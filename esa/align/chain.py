"""From hits to candidates: clusters of hits on neighbouring diagonals, weighed by what their anchors say."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from esa.align.config import ChainConfig
from esa.align.loci import Candidates
from esa.fragments import Fragments
from esa.hashing import tie_break
from esa.stores.base import Hits

_INDEX_BITS = 24
"""Low bits of a sort key, which hold the hit's number within its read; hits beyond are left out (and capped)."""


def chain_hits(
    hits: Hits,
    fragments: Fragments,
    offsets: NDArray[np.int64],
    salts: NDArray[np.uint64],
    contig_offsets: NDArray[np.int64],
    config: ChainConfig,
) -> Candidates:
    """Candidates of every read of a batch (reads at ``offsets``) from hits that fix strand and diagonal.

    ``salts`` (``uint64[reads]``) choose among equally heavy clusters (`esa.hashing.tie_break`).

    A cluster's weight is the sum, over the query fragments in it, of the best squared score of a hit: a tandem
    repeat that a fragment hits many times counts once, and few near hits outweigh many distant ones (the
    copies of a repeat).
    """
    out_offsets, diagonal, reverse, contig, weight, capped = _chain(
        hits.offsets,
        hits.position,
        hits.reverse,
        hits.score,
        hits.capped,
        fragments.start,
        fragments.length,
        fragments.reverse,
        fragments.owner,
        offsets,
        salts,
        contig_offsets,
        config,
    )
    return Candidates(out_offsets, diagonal, reverse, contig, weight, capped)


@njit(cache=True, nogil=True)
def contig_of(contig_offsets, position):  # type: ignore[no-untyped-def]
    """Index of the contig that holds a global position."""
    return np.searchsorted(contig_offsets, position, side="right") - 1


@njit(cache=True, nogil=True)
def _sort_keys(
    lo, hi, hit_offsets, position, hit_reverse, start, length, query_reverse, first, read_length, shift, keys, query_of
):  # type: ignore[no-untyped-def]
    """Sort key (strand, diagonal, number) of each hit of queries ``[lo, hi)``; returns how many."""
    count = 0
    for q in range(lo, hi):
        for h in range(hit_offsets[q], hit_offsets[q + 1]):
            if count == len(keys):
                return count
            strand = query_reverse[q] ^ hit_reverse[h]
            begin = start[q] - first
            if strand:
                begin = read_length - begin - length[q]
            diagonal = position[h] - begin + shift
            keys[count] = (((np.int64(strand) << 36) | diagonal) << _INDEX_BITS) | count
            query_of[count] = q - lo
            count += 1
    keys[:count].sort()
    return count


@njit(cache=True, nogil=True)
def _weigh(keys, begin, end, low, query_of, score, best_of, mask):  # type: ignore[no-untyped-def]
    """Weight of the cluster ``keys[begin:end]`` and the diagonal (as in the key) that most of it lies on."""
    weight = 0
    heaviest, here, diagonal, current = 0, 0, np.int64(0), np.int64(-1)
    for t in range(begin, end):
        number = keys[t] & mask
        value = score[low + number] * score[low + number]
        a = query_of[number]
        if value > best_of[a]:
            weight += value - best_of[a]
            best_of[a] = value
        if keys[t] >> _INDEX_BITS != current:
            current = keys[t] >> _INDEX_BITS
            here = 0
        here += value
        if here > heaviest:
            heaviest, diagonal = here, current
    for t in range(begin, end):
        best_of[query_of[keys[t] & mask]] = 0
    return weight, diagonal


@njit(cache=True, nogil=True)
def _cluster_end(keys, begin, count, slack, low, position, contig_offsets, mask):  # type: ignore[no-untyped-def]
    """End of the cluster that begins at ``keys[begin]``: same strand, near diagonal, same contig."""
    limit = (keys[begin] >> _INDEX_BITS) + slack
    end = begin + 1
    if end == count or keys[end] >> _INDEX_BITS > limit:
        return end
    contig = contig_of(contig_offsets, position[low + (keys[begin] & mask)])
    while end < count and keys[end] >> _INDEX_BITS <= limit:
        where = position[low + (keys[end] & mask)]
        if not contig_offsets[contig] <= where < contig_offsets[contig + 1]:
            break
        end += 1
    return end


@njit(cache=True, nogil=True)
def keep_heaviest(weight, diagonal, count, salt, config, order):  # type: ignore[no-untyped-def]
    """Indices of the clusters to verify, heaviest first, into ``order``; ties by `tie_break`.

    Returns (how many, whether one was left out for the limit alone).
    """
    kept = 0
    cut = False
    top = 0
    for c in range(count):
        top = max(top, weight[c])
    for c in range(count):
        if weight[c] * 100 < top * config.least_weight:
            continue
        if kept == config.max_candidates:
            cut = True
            if not _heavier(weight, diagonal, c, order[kept - 1], salt):
                continue
        else:
            kept += 1
        j = kept - 1
        while j > 0 and _heavier(weight, diagonal, c, order[j - 1], salt):
            order[j] = order[j - 1]
            j -= 1
        order[j] = c
    return kept, cut


@njit(cache=True, nogil=True)
def _heavier(weight, diagonal, a, b, salt):  # type: ignore[no-untyped-def]
    if weight[a] != weight[b]:
        return weight[a] > weight[b]
    return tie_break(salt, diagonal[a]) > tie_break(salt, diagonal[b])


@njit(cache=True, nogil=True)
def _chain(
    hit_offsets,
    position,
    hit_reverse,
    score,
    query_capped,
    start,
    length,
    query_reverse,
    owner,
    offsets,
    salts,
    contig_offsets,
    config,
):  # type: ignore[no-untyped-def]
    reads = len(offsets) - 1
    queries = len(start)
    most = 0
    longest = 0
    q = 0
    while q < queries:
        lo = q
        while q < queries and owner[q] == owner[lo]:
            q += 1
        most = max(most, hit_offsets[q] - hit_offsets[lo])
        longest = max(longest, q - lo)
    most = min(most, 1 << _INDEX_BITS)
    shift = 0
    for r in range(reads):
        shift = max(shift, offsets[r + 1] - offsets[r])
    mask = np.int64((1 << _INDEX_BITS) - 1)
    strand_bit = np.int64(1) << 36
    keys = np.empty(most, np.int64)
    query_of = np.empty(most, np.int32)
    best_of = np.zeros(longest, np.int32)
    cluster_weight = np.empty(most, np.int32)
    cluster_diagonal = np.empty(most, np.int64)
    cluster_strand = np.empty(most, np.uint8)
    cluster_position = np.empty(most, np.int64)
    order = np.empty(config.max_candidates, np.int64)
    room = reads * config.max_candidates
    out_offsets = np.zeros(reads + 1, np.int64)
    out_diagonal = np.empty(room, np.int64)
    out_reverse = np.empty(room, np.uint8)
    out_contig = np.empty(room, np.int32)
    out_weight = np.empty(room, np.int32)
    capped = np.zeros(reads, np.uint8)
    made = 0
    q = 0
    for r in range(reads):
        lo = q
        while q < queries and owner[q] == r:
            capped[r] |= query_capped[q]
            q += 1
        low = hit_offsets[lo]
        count = 0
        if hit_offsets[q] > low:
            count = _sort_keys(
                lo, q, hit_offsets, position, hit_reverse, start, length, query_reverse,
                offsets[r], offsets[r + 1] - offsets[r], shift, keys, query_of,
            )  # fmt: skip
        clusters = 0
        t = 0
        while t < count:
            end = _cluster_end(keys, t, count, config.diagonal_slack, low, position, contig_offsets, mask)
            weight, diagonal = _weigh(keys, t, end, low, query_of, score, best_of, mask)
            cluster_weight[clusters] = weight
            cluster_strand[clusters] = diagonal >= strand_bit
            cluster_diagonal[clusters] = (diagonal & (strand_bit - 1)) - shift
            cluster_position[clusters] = position[low + (keys[t] & mask)]
            clusters += 1
            t = end
        kept, cut = keep_heaviest(cluster_weight, cluster_diagonal, clusters, salts[r], config, order)
        capped[r] |= cut
        for k in range(kept):
            c = order[k]
            out_reverse[made] = cluster_strand[c]
            out_diagonal[made] = cluster_diagonal[c]
            out_contig[made] = contig_of(contig_offsets, cluster_position[c])
            out_weight[made] = cluster_weight[c]
            made += 1
        out_offsets[r + 1] = made
    return (
        out_offsets,
        out_diagonal[:made].copy(),
        out_reverse[:made].copy(),
        out_contig[:made].copy(),
        out_weight[:made].copy(),
        capped,
    )
