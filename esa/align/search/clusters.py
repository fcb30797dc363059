"""From hits to clusters on neighbouring diagonals, weighed by what their anchors say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.search.sorting import SortRoom, make_sort_room, sort_keys
from esa.kernels.decorator import inline_njit, njit
from esa.stores.base import REPEAT_BUCKET

ENOUGH = 1024
"""Heuristic: hits of a read from which clusters are made: the queries with more than `REPEAT_BUCKET` hits that are
beyond only add to these. Where most fragments have hundreds of copies, those with the fewest say where the read may
lie."""

_INDEX_BITS = 24
"""Low bits of a sort key, which hold the hit's number within its read; hits beyond make no cluster (truncated)."""
_INDEX_MASK = np.int64((1 << _INDEX_BITS) - 1)


@inline_njit
def contig_of(contig_offsets, position):  # type: ignore[no-untyped-def]
    """Index of the contig that holds a global position."""
    return np.searchsorted(contig_offsets, position, side="right") - 1


class Clusters(NamedTuple):
    """Clusters of one read: room for as many as it may have.

    place: ``int64``, a position in the contig that the cluster lies in.
    mate: ``int32``, weight of the heaviest cluster of the mate that makes a pair with it, 0 if there is none.
    """

    weight: NDArray[np.int32]
    diagonal: NDArray[np.int64]
    strand: NDArray[np.uint8]
    place: NDArray[np.int64]
    mate: NDArray[np.int32]


@njit
def make_clusters(most):  # type: ignore[no-untyped-def]
    """`Clusters` with room for ``most`` and one beyond, of reads without mates."""
    room = most + 1
    return Clusters(
        np.empty(room, np.int32), np.empty(room, np.int64), np.empty(room, np.uint8), np.empty(room, np.int64),
        np.zeros(room, np.int32),
    )  # fmt: skip


@inline_njit
def most_of_a_read(owner, hit_offsets):  # type: ignore[no-untyped-def]
    """(Most queries, most hits) of a read, the queries' owners being non-decreasing."""
    queries, hits = 0, 0
    q = 0
    while q < len(owner):
        lo = q
        while q < len(owner) and owner[q] == owner[lo]:
            q += 1
        queries = max(queries, q - lo)
        hits = max(hits, hit_offsets[q] - hit_offsets[lo])
    return queries, hits


class ClusterRoom(NamedTuple):
    """Room for the hits of one read.

    keys, sorting: to sort hits by strand and diagonal.
    query_of: ``int32[most hits]``, which query of the read a hit is of.
    best_of: ``int32[most queries]``, zero, see `_weigh`.
    chosen: ``uint8[most queries]``, 1: clusters are made of its hits.
    last, worth: ``int32[most clusters + 1]``, of each cluster the last query that added to it, and what that added.
    places: ``int64[most clusters + 1]``, strand and diagonal of each cluster, as in keys, and one beyond all.
    shift, diagonal_bits: what makes diagonals positive, bits that then hold them.
    """

    keys: NDArray[np.int64]
    sorting: SortRoom
    query_of: NDArray[np.int32]
    best_of: NDArray[np.int32]
    chosen: NDArray[np.uint8]
    last: NDArray[np.int32]
    worth: NDArray[np.int32]
    places: NDArray[np.int64]
    shift: int
    diagonal_bits: int


@njit
def make_cluster_room(hits, fragments, offsets, contig_offsets, slack):  # type: ignore[no-untyped-def]
    """`ClusterRoom` for the reads of a batch (at ``offsets``)."""
    queries, most = most_of_a_read(fragments.owner, hits.offsets)
    most = min(most, 1 << _INDEX_BITS)
    shift = 0
    for r in range(len(offsets) - 1):
        shift = max(shift, offsets[r + 1] - offsets[r])
    diagonal_bits = 1
    # The strands are more than the slack apart.
    while contig_offsets[-1] + 2 * shift + slack >> diagonal_bits:
        diagonal_bits += 1
    return ClusterRoom(
        np.empty(most, np.int64),
        make_sort_room(most, diagonal_bits + 1),
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
def make_up_clusters(hits, fragments, queries, read, contig_offsets, limits, room, clusters):  # type: ignore[no-untyped-def]
    """The clusters of a read's queries ``[lo, hi)``, in order of strand and diagonal.

    Returns how many, and what those may weigh at most that were not made since only queries lead there that were not
    chosen.

    ``read``: its (offset, length) in the batch. ``limits``: (`ClusterConfig.diagonal_slack`, least share of the
    heaviest one's weight (per cent) that a cluster must have to be wanted).
    """
    slack, least = limits
    low, high = hits.offsets[queries[0]], hits.offsets[queries[1]]
    if low == high:
        return 0, 0
    all_chosen = _choose(hits, queries, room.chosen)
    count = _sorted_keys(hits, fragments, queries, read, room)
    position, score = hits.position[low:high], hits.score[low:high]
    strand_bit = np.int64(1) << room.diagonal_bits
    made, top = 0, 0
    t = 0
    while t < count:
        end = _cluster_end(room.keys, t, count, slack, position, contig_offsets)
        weight, diagonal = _weigh(room.keys, t, end, score, room.query_of, room.best_of)
        top = max(top, weight)
        # What is too light beside those seen so far is so beside all of them: most clusters end here.
        if weight * 100 >= top * least or not all_chosen:
            clusters.weight[made] = weight
            clusters.strand[made] = diagonal >= strand_bit
            clusters.diagonal[made] = (diagonal & (strand_bit - 1)) - room.shift
            clusters.place[made] = position[room.keys[t] & _INDEX_MASK]
            clusters.mate[made] = 0
            made += 1
        t = end
    if not all_chosen:
        _add_the_others(hits, fragments, queries, read, slack, room, clusters, made)
        return made, np.int64(clusters.weight[made])
    return made, 0


@inline_njit
def _choose(hits, queries, chosen):  # type: ignore[no-untyped-def]
    """Choose the queries that clusters are made of: those with the fewest hits; returns whether it is all of them."""
    lo, hi = queries
    left, total = 0, 0
    for q in range(lo, hi):
        size = hits.offsets[q + 1] - hits.offsets[q]
        chosen[q - lo] = size <= REPEAT_BUCKET or not hits.in_order
        left += chosen[q - lo] == 0
        total += size if chosen[q - lo] else 0
    while left and total < ENOUGH:
        fewest = -1
        for q in range(lo, hi):
            size = hits.offsets[q + 1] - hits.offsets[q]
            if not chosen[q - lo] and (fewest < 0 or size < hits.offsets[fewest + 1] - hits.offsets[fewest]):
                fewest = q
        chosen[fewest - lo] = 1
        left -= 1
        total += hits.offsets[fewest + 1] - hits.offsets[fewest]
    return left == 0


@inline_njit
def _begins(fragments, q, read):  # type: ignore[no-untyped-def]
    """Where a query begins in its read, on either strand."""
    begin = fragments.start[q] - read[0]
    return begin, read[1] - begin - fragments.length[q]


@inline_njit
def _place_of(strand, diagonal, room):  # type: ignore[no-untyped-def]
    """Strand and diagonal as one number."""
    return (np.int64(strand) << room.diagonal_bits) | (diagonal + room.shift)


@inline_njit
def _add_the_others(hits, fragments, queries, read, slack, room, clusters, made):  # type: ignore[no-untyped-def]
    """Add to the first ``made`` clusters what the queries weigh there that were not chosen.

    A hit is of the first cluster of its strand, if there is one, whose diagonal is not more than the ``slack`` away.
    (Heuristic: whether the next one is nearer, or this one lies in another contig, is not asked.) The hits of a query
    are in order of position, so they go through the clusters of a strand once.
    """
    places, last, worth, weight = room.places, room.last, room.worth, clusters.weight
    turned = 0
    for c in range(made):
        turned += clusters.strand[c] == 0
        places[c] = _place_of(clusters.strand[c], clusters.diagonal[c], room)
        last[c] = -1
    # What is of no cluster is added to one beyond all: a branch would be guessed wrong again and again.
    places[made], weight[made], last[made] = np.int64(1) << 62, 0, -1
    for q in range(queries[0], queries[1]):
        if room.chosen[q - queries[0]]:
            continue
        begin, begin_reversed = _begins(fragments, q, read)
        onward, backward = np.uint64(0), np.uint64(turned)
        for h in range(hits.offsets[q], hits.offsets[q + 1]):
            strand = fragments.reverse[q] ^ hits.reverse[h]
            place = _place_of(strand, hits.position[h] - (begin_reversed if strand else begin), room)
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
def _sorted_keys(hits, fragments, queries, read, room):  # type: ignore[no-untyped-def]
    """Sort key (strand, diagonal, number) of each hit of the chosen queries; returns how many."""
    lo, hi = queries
    first = hits.offsets[lo]
    # Hits beyond what a number can tell are left out.
    last = first + len(room.keys)
    count = 0
    for q in range(lo, hi):
        if not room.chosen[q - lo]:
            continue
        begin, begin_reversed = _begins(fragments, q, read)
        for h in range(hits.offsets[q], min(hits.offsets[q + 1], last)):
            strand = fragments.reverse[q] ^ hits.reverse[h]
            place = _place_of(strand, hits.position[h] - (begin_reversed if strand else begin), room)
            number = h - first
            room.keys[count] = (place << _INDEX_BITS) | number
            room.query_of[number] = q - lo
            count += 1
    sort_keys(room.keys, count, _INDEX_BITS, room.sorting)
    return count


@inline_njit
def _weigh(keys, begin, end, score, query_of, best_of):  # type: ignore[no-untyped-def]
    """Weight of the cluster ``keys[begin:end]`` and the diagonal (as in the key) that most of it lies on.

    ``score``: of the read's hits. ``best_of`` (a number a query, zero) is zero again afterwards.
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
def _cluster_end(keys, begin, count, slack, position, contig_offsets):  # type: ignore[no-untyped-def]
    """End of the cluster that begins at ``keys[begin]``: same strand, near diagonal, same contig.

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
