"""From hits to clusters: hits of a read on neighbouring diagonals, weighed by their scores.

The *diagonal* of a hit is the reference position of the read's first base, if the read aligns there without gaps. On
the reverse strand it is that of the first base of the reverse complement. Hits of one alignment lie on one diagonal,
or on neighbouring ones if there are indels between them. Nothing is chained collinearly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.align.search.sorting import SortScratch, make_sort_scratch, sort_keys
from esa.fragments.base import FragmentArrays
from esa.kernels.arrays import Bool, I32Array, I64Array, Int, U8Array
from esa.kernels.decorator import inline_njit, njit
from esa.stores.base import REPEAT_BUCKET, Hits

ENOUGH = 1024
"""Heuristic: clusters of a read are made from at least so many hits, those of the queries with the fewest hits. Queries
with more than `REPEAT_BUCKET` hits beyond that only add weight to these clusters. Where most fragments have hundreds of
copies, those with the fewest say where the read may lie."""

_INDEX_BITS = 24
"""Low bits of a sort key: the hit's number within its read. Hits beyond that number make no cluster (truncated)."""
_INDEX_MASK = np.int64((1 << _INDEX_BITS) - 1)


@inline_njit
def contig_of(contig_offsets: I64Array, position: Int) -> Int:
    """Index of the contig that holds a global position. ``contig_offsets``: ``int64[contigs + 1]``."""
    return np.searchsorted(contig_offsets, position, side="right") - 1


class Clusters(NamedTuple):
    """Space for the clusters of one read.

    weight: ``int32``, see `esa.align.search.candidates.cluster_hits`.
    diagonal: ``int64``, where most of the cluster's weight lies.
    strand: ``uint8``, 1: reverse.
    place: ``int64``, a position in the contig that the cluster lies in.
    mate: ``int32``, weight of the heaviest cluster of the mate that makes a pair with it, 0 if there is none.
    """

    weight: I32Array
    diagonal: I64Array
    strand: U8Array
    place: I64Array
    mate: I32Array


@njit
def make_clusters(most: Int) -> Clusters:
    """`Clusters` with space for ``most`` and one more, which `build_clusters` needs; ``mate`` is 0."""
    rows = most + 1
    return Clusters(
        np.empty(rows, np.int32), np.empty(rows, np.int64), np.empty(rows, np.uint8), np.empty(rows, np.int64),
        np.zeros(rows, np.int32),
    )  # fmt: skip


@inline_njit
def most_of_a_read(owner: I32Array, hit_offsets: I64Array) -> tuple[Int, Int]:
    """(Largest number of queries, largest number of hits) of a read.

    ``owner``: ``int32[queries]``, non-decreasing. ``hit_offsets``: `Hits.offsets`.
    """
    queries, hits = 0, 0
    q = 0
    while q < len(owner):
        lo = q
        while q < len(owner) and owner[q] == owner[lo]:
            q += 1
        queries = max(queries, q - lo)
        hits = max(hits, hit_offsets[q] - hit_offsets[lo])
    return queries, hits


class ReadQueries(NamedTuple):
    """The queries (fragments) of one read.

    lo, hi: they are queries ``[lo, hi)`` of the batch.
    offset, length: of the read among the bases of the batch.
    """

    lo: int
    hi: int
    offset: int
    length: int


class ClusterLimits(NamedTuple):
    """What makes a cluster.

    slack: `esa.align.config.ClusterConfig.diagonal_slack`.
    min_share: a cluster lighter than this share (per cent) of the heaviest one is not wanted.
    """

    slack: int
    min_share: int


class ClusterScratch(NamedTuple):
    """Scratch space for the hits of one read. One tuple, as each step below takes most of it.

    contig_offsets: ``int64[contigs + 1]``, where contigs begin.
    keys, sorting: to sort hits by strand and diagonal.
    query_of: ``int32[most hits]``, the number within the read of the query that a hit belongs to.
    best_of: ``int32[most queries]``, zero, see `_weigh`.
    chosen: ``uint8[most queries]``, 1: clusters are made of its hits.
    last, worth: ``int32[most clusters + 1]``, the last query that added to each cluster, and what it added.
    places: ``int64[most clusters + 1]``, strand and diagonal of each cluster, as in keys, and one beyond all.
    shift, diagonal_bits: what makes diagonals positive, and the bits that then hold them.
    """

    contig_offsets: I64Array
    keys: I64Array
    sorting: SortScratch
    query_of: I32Array
    best_of: I32Array
    chosen: U8Array
    last: I32Array
    worth: I32Array
    places: I64Array
    shift: int
    diagonal_bits: int


@njit
def make_cluster_scratch(
    hits: Hits, fragments: FragmentArrays, offsets: I64Array, contig_offsets: I64Array, slack: Int
) -> ClusterScratch:
    """`ClusterScratch` for the reads of a batch. ``offsets``: ``int64[reads + 1]``, where the reads begin."""
    queries, most = most_of_a_read(fragments.owner, hits.offsets)
    most = min(most, 1 << _INDEX_BITS)
    shift = 0
    for r in range(len(offsets) - 1):
        shift = max(shift, offsets[r + 1] - offsets[r])
    diagonal_bits = 1
    # In a key, the strands are more than the slack apart.
    while contig_offsets[-1] + 2 * shift + slack >> diagonal_bits:
        diagonal_bits += 1
    return ClusterScratch(
        contig_offsets,
        np.empty(most, np.int64),
        make_sort_scratch(most, diagonal_bits + 1),
        np.empty(most, np.int32),
        np.zeros(queries, np.int32),
        np.empty(queries, np.uint8),
        np.empty(most + 1, np.int32),
        np.empty(most + 1, np.int32),
        np.empty(most + 1, np.int64),
        shift,
        diagonal_bits,
    )


@inline_njit
def build_clusters(
    hits: Hits,
    fragments: FragmentArrays,
    read: ReadQueries,
    limits: ClusterLimits,
    scratch: ClusterScratch,
    clusters: Clusters,
) -> tuple[Int, Int]:
    """Build the clusters of a read, in order of strand and diagonal.

    Returns (how many, the most that a cluster may weigh that was not built because only queries that were not chosen
    lead there).
    """
    low, high = hits.offsets[read.lo], hits.offsets[read.hi]
    if low == high:
        return 0, 0
    all_chosen = _choose(hits, read, scratch.chosen)
    count = _sorted_keys(hits, fragments, read, scratch)
    position, score = hits.position[low:high], hits.score[low:high]
    strand_bit = np.int64(1) << scratch.diagonal_bits
    made, top = 0, 0
    t = 0
    while t < count:
        end = _cluster_end(scratch.keys, t, count, limits.slack, position, scratch.contig_offsets)
        weight, diagonal = _weigh(scratch.keys, t, end, score, scratch.query_of, scratch.best_of)
        top = max(top, weight)
        # A cluster too light beside those seen so far is too light beside all: most clusters end here.
        if weight * 100 >= top * limits.min_share or not all_chosen:
            clusters.weight[made] = weight
            clusters.strand[made] = diagonal >= strand_bit
            clusters.diagonal[made] = (diagonal & (strand_bit - 1)) - scratch.shift
            clusters.place[made] = position[scratch.keys[t] & _INDEX_MASK]
            clusters.mate[made] = 0
            made += 1
        t = end
    if not all_chosen:
        _add_unchosen(hits, fragments, read, limits.slack, scratch, clusters, made)
        return made, np.int64(clusters.weight[made])
    return made, 0


@inline_njit
def _choose(hits: Hits, read: ReadQueries, chosen: U8Array) -> Bool:
    """Choose the queries that clusters are made of, those with the fewest hits; returns whether it is all of them."""
    left, total = 0, 0
    for q in range(read.lo, read.hi):
        size = hits.offsets[q + 1] - hits.offsets[q]
        chosen[q - read.lo] = size <= REPEAT_BUCKET or not hits.in_order
        left += chosen[q - read.lo] == 0
        total += size if chosen[q - read.lo] else 0
    while left and total < ENOUGH:
        fewest = -1
        for q in range(read.lo, read.hi):
            size = hits.offsets[q + 1] - hits.offsets[q]
            if not chosen[q - read.lo] and (
                fewest < 0 or size < hits.offsets[fewest + 1] - hits.offsets[fewest]
            ):
                fewest = q
        chosen[fewest - read.lo] = 1
        left -= 1
        total += hits.offsets[fewest + 1] - hits.offsets[fewest]
    return left == 0


@inline_njit
def _begins(fragments: FragmentArrays, q: Int, read: ReadQueries) -> tuple[Int, Int]:
    """First base of a query in its read, and in the reverse complement of the read."""
    begin = fragments.start[q] - read.offset
    return begin, read.length - begin - fragments.length[q]


@inline_njit
def _place_of(strand: Int, diagonal: Int, scratch: ClusterScratch) -> Int:
    """Strand and diagonal as one number."""
    return (np.int64(strand) << scratch.diagonal_bits) | (diagonal + scratch.shift)


@inline_njit
def _add_unchosen(
    hits: Hits,
    fragments: FragmentArrays,
    read: ReadQueries,
    slack: Int,
    scratch: ClusterScratch,
    clusters: Clusters,
    made: Int,
) -> None:
    """Add to the first ``made`` clusters the weight of the queries that were not chosen.

    A hit belongs to the first cluster of its strand whose diagonal is within the ``slack``, if there is one.
    (Heuristic: the next cluster may be nearer, and this one may lie in another contig.) The hits of a query are in
    order of position, so one pass goes through the clusters of each strand.

    Entry ``made`` of the clusters gets the weight of all hits that belong to none: a bound on the weight there.
    """
    places, last, worth, weight = scratch.places, scratch.last, scratch.worth, clusters.weight
    turned = 0
    for c in range(made):
        turned += clusters.strand[c] == 0
        places[c] = _place_of(clusters.strand[c], clusters.diagonal[c], scratch)
        last[c] = -1
    # Hits of no cluster are added to one beyond all: a branch would cost a misprediction at many hits.
    places[made], weight[made], last[made] = np.int64(1) << 62, 0, -1
    for q in range(read.lo, read.hi):
        if scratch.chosen[q - read.lo]:
            continue
        begin, begin_reversed = _begins(fragments, q, read)
        onward, backward = np.uint64(0), np.uint64(turned)
        for h in range(hits.offsets[q], hits.offsets[q + 1]):
            strand = fragments.reverse[q] ^ hits.reverse[h]
            place = _place_of(strand, hits.position[h] - (begin_reversed if strand else begin), scratch)
            at = backward if strand else onward
            while places[at] < place - slack:
                at += np.uint64(1)
            onward, backward = (onward, at) if strand else (at, backward)
            near = places[at] <= place + slack
            at = at if near else np.uint64(made)
            value = hits.score[h] * hits.score[h]
            known = worth[at] if last[at] == q else np.int32(0)
            weight[at] += max(np.int32(0), value - known)
            last[at], worth[at] = q, max(value, known)


@inline_njit
def _sorted_keys(hits: Hits, fragments: FragmentArrays, read: ReadQueries, scratch: ClusterScratch) -> Int:
    """Sort the keys (strand, diagonal, number) of the hits of the chosen queries; returns how many there are."""
    first = hits.offsets[read.lo]
    # Hits beyond the largest number are left out.
    last = first + len(scratch.keys)
    count = 0
    for q in range(read.lo, read.hi):
        if not scratch.chosen[q - read.lo]:
            continue
        begin, begin_reversed = _begins(fragments, q, read)
        for h in range(hits.offsets[q], min(hits.offsets[q + 1], last)):
            strand = fragments.reverse[q] ^ hits.reverse[h]
            place = _place_of(strand, hits.position[h] - (begin_reversed if strand else begin), scratch)
            number = h - first
            scratch.keys[count] = (place << _INDEX_BITS) | number
            scratch.query_of[number] = q - read.lo
            count += 1
    sort_keys(scratch.keys, count, _INDEX_BITS, scratch.sorting)
    return count


@inline_njit
def _weigh(
    keys: I64Array, begin: Int, end: Int, score: I32Array, query_of: I32Array, best_of: I32Array
) -> tuple[Int, Int]:
    """(Weight of the cluster ``keys[begin:end]``, the diagonal, as in the key, with most of that weight).

    ``score``: of the read's hits. ``best_of`` (one number for each query, zero) is zero again afterwards.
    """
    if end == begin + 1:
        value = score[keys[begin] & _INDEX_MASK]
        return value * value, keys[begin] >> _INDEX_BITS
    weight = 0
    heaviest, here, diagonal, current = 0, 0, np.int64(0), np.int64(-1)
    for t in range(begin, end):
        number = keys[t] & _INDEX_MASK
        value = score[number] * score[number]
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
        best_of[query_of[keys[t] & _INDEX_MASK]] = 0
    return weight, diagonal


@inline_njit
def _cluster_end(
    keys: I64Array, begin: Int, count: Int, slack: Int, position: I64Array, contig_offsets: I64Array
) -> Int:
    """End of the cluster that begins at ``keys[begin]``: same strand, neighbouring diagonal, same contig.

    ``position``: of the read's hits.
    """
    limit = (keys[begin] >> _INDEX_BITS) + slack
    end = begin + 1
    if end == count or keys[end] >> _INDEX_BITS > limit:
        return end
    contig = contig_of(contig_offsets, position[keys[begin] & _INDEX_MASK])
    while end < count and keys[end] >> _INDEX_BITS <= limit:
        where = position[keys[end] & _INDEX_MASK]
        if not contig_offsets[contig] <= where < contig_offsets[contig + 1]:
            break
        end += 1
    return end
