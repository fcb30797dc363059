"""From hits to candidates: clusters of hits on neighbouring diagonals, weighed by what their anchors say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.config import ChainConfig
from esa.align.loci import Candidates
from esa.align.sorting import make_sort_room, sort_keys
from esa.compiled import leaf, njit
from esa.fragments import Fragments
from esa.hashing import tie_break
from esa.stores.base import Hits

RIVAL_WEIGHT = 50
"""A cluster left out for the limit is spoken of if it has this share (per cent) of the heaviest one's weight."""

_INDEX_BITS = 24
"""Low bits of a sort key, which hold the hit's number within its read; hits beyond are left out (and capped)."""
_INDEX_MASK = np.int64((1 << _INDEX_BITS) - 1)


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
    candidates: Candidates = _chain(hits, fragments.arrays, offsets, salts, contig_offsets, config)
    return candidates


@leaf
def contig_of(contig_offsets, position):  # type: ignore[no-untyped-def]
    """Index of the contig that holds a global position."""
    return np.searchsorted(contig_offsets, position, side="right") - 1


@leaf
def _sorted_keys(hits, fragments, queries, read, layout, keys, query_of, room):  # type: ignore[no-untyped-def]
    """Sort key (strand, diagonal, number) of each hit of the queries ``[lo, hi)``; returns how many.

    ``read``: its (offset, length) in the batch. ``layout``: (what makes diagonals positive, bits that then hold them).
    """
    shift, diagonal_bits = layout
    lo, hi = queries
    offset, read_length = read
    count = 0
    for q in range(lo, hi):
        begin = fragments.start[q] - offset
        begin_reversed = read_length - begin - fragments.length[q]
        for h in range(hits.offsets[q], hits.offsets[q + 1]):
            if count == len(keys):
                break
            strand = fragments.reverse[q] ^ hits.reverse[h]
            diagonal = hits.position[h] - (begin_reversed if strand else begin) + shift
            keys[count] = (((np.int64(strand) << diagonal_bits) | diagonal) << _INDEX_BITS) | count
            query_of[count] = q - lo
            count += 1
    sort_keys(keys, count, _INDEX_BITS, room)
    return count


@leaf
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


@leaf
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


class Order(NamedTuple):
    """Clusters to verify, heaviest first.

    cluster: ``int64[most]``, which.
    weight, tie: ``int64[most]`` and ``uint64[most]``, what they are sorted by, beside it: most of a large repeat's
        clusters weigh the same.
    """

    cluster: NDArray[np.int64]
    weight: NDArray[np.int64]
    tie: NDArray[np.uint64]


@njit
def make_order(most):  # type: ignore[no-untyped-def]
    """`Order` with room for ``most``."""
    return Order(np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint64))


@leaf
def keep_heaviest(clusters, count, salt, config, order):  # type: ignore[no-untyped-def]
    """The clusters to verify into ``order``; ties by `tie_break`.

    Returns (how many, whether one was left out for the limit alone).
    """
    kept = 0
    cut = False
    top = 0
    for c in range(count):
        top = max(top, clusters.weight[c])
    for c in range(count):
        weight = np.int64(clusters.weight[c])
        if weight * 100 < top * config.least_weight:
            continue
        tie = tie_break(salt, clusters.diagonal[c])
        if kept == config.max_candidates:
            # Whatever is lighter by far is no rival.
            cut |= min(weight, order.weight[kept - 1]) * 100 >= top * RIVAL_WEIGHT
            if not _heavier(weight, tie, order, kept - 1):
                continue
        else:
            kept += 1
        j = kept - 1
        while j > 0 and _heavier(weight, tie, order, j - 1):
            order.cluster[j], order.weight[j], order.tie[j] = (
                order.cluster[j - 1], order.weight[j - 1], order.tie[j - 1]
            )  # fmt: skip
            j -= 1
        order.cluster[j], order.weight[j], order.tie[j] = c, weight, tie
    return kept, cut


@leaf
def _heavier(weight, tie, order, j):  # type: ignore[no-untyped-def]
    return weight > order.weight[j] or (weight == order.weight[j] and tie > order.tie[j])


class Clusters(NamedTuple):
    """Clusters of one read: room for as many as it may have.

    place: ``int64``, a position in the contig that the cluster lies in.
    """

    weight: NDArray[np.int32]
    diagonal: NDArray[np.int64]
    strand: NDArray[np.uint8]
    place: NDArray[np.int64]


@njit
def make_clusters(most):  # type: ignore[no-untyped-def]
    """`Clusters` with room for ``most``."""
    return Clusters(
        np.empty(most, np.int32), np.empty(most, np.int64), np.empty(most, np.uint8), np.empty(most, np.int64)
    )


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


@leaf
def append_heaviest(clusters, count, r, salt, contig_offsets, config, order, candidates):  # type: ignore[no-untyped-def]
    """Append the heaviest of read r's clusters to the candidates, reads in ascending order."""
    kept, cut = keep_heaviest(clusters, count, salt, config, order)
    candidates.capped[r] |= cut
    at = candidates.offsets[r]
    for c in order.cluster[:kept]:
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
        candidates.capped,
    )


@leaf
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


@njit
def _chain(hits, fragments, offsets, salts, contig_offsets, config):  # type: ignore[no-untyped-def]
    reads = len(offsets) - 1
    queries, most = most_of_a_read(fragments.owner, hits.offsets)
    most = min(most, 1 << _INDEX_BITS)
    shift = 0
    for r in range(reads):
        shift = max(shift, offsets[r + 1] - offsets[r])
    diagonal_bits = 1
    # The strands are more than the slack apart.
    while contig_offsets[-1] + 2 * shift + config.diagonal_slack >> diagonal_bits:
        diagonal_bits += 1
    strand_bit = np.int64(1) << diagonal_bits
    keys = np.empty(most, np.int64)
    room = make_sort_room(most, diagonal_bits + 1)
    query_of = np.empty(most, np.int32)
    best_of = np.zeros(queries, np.int32)
    clusters = make_clusters(most)
    order = make_order(config.max_candidates)
    candidates = make_candidates(reads, config.max_candidates)
    q = 0
    for r in range(reads):
        lo = q
        while q < len(fragments.owner) and fragments.owner[q] == r:
            candidates.capped[r] |= hits.capped[q]
            q += 1
        low, high = hits.offsets[lo], hits.offsets[q]
        candidates.capped[r] |= high - low > most
        read = (offsets[r], offsets[r + 1] - offsets[r])
        count = (
            _sorted_keys(hits, fragments, (lo, q), read, (shift, diagonal_bits), keys, query_of, room)
            if high > low
            else 0
        )
        position, score = hits.position[low:high], hits.score[low:high]
        made, top = 0, 0
        t = 0
        while t < count:
            end = _cluster_end(keys, t, count, config.diagonal_slack, position, contig_offsets)
            weight, diagonal = _weigh(keys, t, end, score, query_of, best_of)
            top = max(top, weight)
            # What is too light beside those seen so far is so beside all of them: most clusters end here.
            if weight * 100 >= top * config.least_weight:
                clusters.weight[made] = weight
                clusters.strand[made] = diagonal >= strand_bit
                clusters.diagonal[made] = (diagonal & (strand_bit - 1)) - shift
                clusters.place[made] = position[keys[t] & _INDEX_MASK]
                made += 1
            t = end
        append_heaviest(clusters, made, r, salts[r], contig_offsets, config, order, candidates)
    return trimmed(candidates)
