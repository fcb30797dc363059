"""The kernels that search a `CodeStore`: look up buckets, compare codes, keep the nearest.

Memory decides the speed: bucket sizes and entries of many queries are prefetched together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.kernels.arrays import I32Array, I64Array, Int, U8Array, U64Array, Word
from esa.kernels.bits import popcount
from esa.kernels.decorator import inline_njit, njit
from esa.kernels.intrinsics import grown, load64, prefetch
from esa.stores.base import Hits, Keys
from esa.stores.packed import GROUP, GROUP_BITS, Packed, bounds, low_bytes

BLOCK = 64
"""Queries looked up together, at most."""
KEYS_TOGETHER = 128
"""Keys looked up together, about."""
COPY_DISTANCE = 12
"""Hamming distance in bits from which a hit is hardly a copy of the query's place.

A query whose hits are cut off only at this distance or beyond is not marked truncated.
"""
RUN = 512
"""Codes of a bucket that are compared between two tests for too many hits."""
TRIMMED_AT = 2
"""Hits are cut off once there are more than this multiple of ``max_hits``."""


class SearchLimits(NamedTuple):
    """The limits of `SearchEffort` that the search kernel applies."""

    radius: Int
    max_hits: Int
    max_bucket: Int
    max_edited: Int
    max_scanned: Int


class Bucket(NamedTuple):
    """A bucket, or a run of its entries."""

    key: Int
    begin: Int
    end: Int


class HitArrays(NamedTuple):
    """Hits of a search, in arrays that may be longer than there are hits.

    Attributes:
        position: ``int64``.
        reverse: ``uint8``.
        score: ``int32``.
    """

    position: I64Array
    reverse: U8Array
    score: I32Array


@inline_njit
def _scan(
    packed: Packed, bucket: Bucket, code: Word, radius: Int, reach: Int, hits: HitArrays, count: Int
) -> Int:
    """Append the codes of a bucket at a distance under ``reach`` to the first ``count`` hits.

    A hit at distance d scores ``radius - d``. Returns the new number of hits.
    """
    hit_position, hit_reverse, hit_score = hits
    key, begin, end = bucket
    size = packed.code_bytes + packed.position_bytes
    key_bits = np.uint64(packed.key_bits)
    differ = popcount((np.uint64(key) ^ code) & ((np.uint64(1) << key_bits) - np.uint64(1)))
    rest = code >> key_bits
    code_mask, position_mask = low_bytes(packed.code_bytes), low_bytes(packed.position_bytes)
    # Unsigned: numba adds a wrap-around check to an index that may be negative.
    held = np.uint64(count)
    for at in range(begin * size, end * size, size):
        # Written whether near or not, which avoids branch mispredictions.
        word = load64(packed.entries, at) & code_mask
        distance = differ + popcount((word >> np.uint64(1)) ^ rest)
        hit_position[held] = load64(packed.entries, at + packed.code_bytes) & position_mask
        hit_reverse[held] = word & np.uint64(1)
        hit_score[held] = radius - distance
        held += np.uint64(distance < reach)
    return np.int64(held)


@inline_njit(forceinline=False)
def _trim(
    hits: HitArrays, begin: Int, end: Int, radius: Int, max_hits: Int, counters: I64Array
) -> tuple[Int, Int]:
    """Keep the best whole score classes of ``hits[begin:end]`` that fit; of the best class, as many hits as fit.

    ``counters`` (``int64[2, radius + 1]``) is scratch space.

    Returns:
        The new end, and the smallest distance among the hits that were cut off.
    """
    hit_position, hit_reverse, hit_score = hits
    # Two counters per class, as a counter that was just written cannot be read at once (store forwarding).
    counters[:] = 0
    for h in range(begin, end):
        counters[h & 1, hit_score[h]] += 1
    classes = counters[0]
    for score in range(radius + 1):
        classes[score] += counters[1, score]
    best = radius
    while classes[best] == 0:
        best -= 1
    lowest = best
    total = classes[best]
    while lowest > 1 and total + classes[lowest - 1] <= max_hits:
        lowest -= 1
        total += classes[lowest]
    kept, last = np.uint64(begin), np.uint64(begin + max_hits)
    for h in range(begin, end):
        # Moved whether kept or not, which avoids branch mispredictions.
        score = hit_score[h]
        hit_position[kept], hit_reverse[kept], hit_score[kept] = hit_position[h], hit_reverse[h], score
        kept += np.uint64(score >= lowest)
        if kept == last:
            break
    cut = kept == last and total > max_hits
    return np.int64(kept), radius - (lowest if cut else lowest - 1)


@inline_njit(forceinline=False)
def _scan_many(
    packed: Packed,
    buckets: I64Array,
    code: Word,
    limits: SearchLimits,
    hits: HitArrays,
    low: Int,
    counters: I64Array,
) -> tuple[Int, Int]:
    """Append the nearest codes of ``buckets`` to the first ``low`` hits, where there may be too many of them.

    Args:
        packed: the store.
        buckets: ``int64[n, 3]``, key, begin and end of each bucket; together they hold more than ``max_hits`` codes.
        code: of the query.
        limits: of the search.
        hits: scratch for all codes of the buckets.
        low: number of hits so far.
        counters: scratch space of `_trim`.

    Returns:
        The new number of hits, and the smallest distance among those that were cut off (the radius if none was).
    """
    radius, max_hits = limits.radius, limits.max_hits
    count = low
    reach = np.int64(radius)
    for k in range(len(buckets)):
        key, begin, end = buckets[k]
        while begin < end:
            run = min(end, begin + RUN)
            count = _scan(packed, Bucket(key, begin, run), code, radius, reach, hits, count)
            begin = run
            if count - low > TRIMMED_AT * max_hits:
                # A later hit that is no nearer than one that was cut off would be cut off, too.
                count, reach = _trim(hits, low, count, radius, max_hits, counters)
    if count - low > max_hits:
        count, reach = _trim(hits, low, count, radius, max_hits, counters)
    return count, reach


@inline_njit
def _find_buckets(packed: Packed, keys: I32Array, found: I64Array) -> None:
    """Write key, begin and end of each key's bucket into ``found`` (``int64[len(keys), 3]``).

    All are prefetched before the first is read, so that their cache misses overlap.
    """
    group_bytes = GROUP + packed.position_bytes
    entry_bytes = packed.code_bytes + packed.position_bytes
    for k in range(len(keys)):
        # First and last byte, here and below: most of what is looked up spans two cache lines.
        group = np.int64(keys[k]) >> GROUP_BITS
        prefetch(packed.buckets, group * group_bytes)
        prefetch(packed.buckets, (group + 1) * group_bytes - 1)
    # No test of the size yet: a branch on it would wait for memory and hold up the next prefetches.
    for k in range(len(keys)):
        key = np.int64(keys[k])
        begin, end = bounds(packed, key)
        found[k, 0], found[k, 1], found[k, 2] = key, begin, end
        prefetch(packed.entries, begin * entry_bytes)
        prefetch(packed.entries, end * entry_bytes - 1)


@inline_njit
def _end_of_block(offsets: I64Array, first: Int) -> Int:
    """The end of the block of queries from ``first`` on: up to `BLOCK` queries with about `KEYS_TOGETHER` keys."""
    last = first + 1
    while (
        last < len(offsets) - 1
        and last - first < BLOCK
        and offsets[last + 1] - offsets[first] <= KEYS_TOGETHER
    ):
        last += 1
    return last


@inline_njit
def _choose_buckets(
    found: I64Array, begin: Int, end: Int, held: Int, own_key: Word, limits: SearchLimits
) -> tuple[Int, Int, Int]:
    """Move the buckets ``found[begin:end]`` of one query that are not too large to ``found[held:]``.

    Returns:
        The new ``held``, the codes in the buckets chosen, and 1 if a bucket was skipped.
    """
    total = 0
    skipped = 0
    for k in range(begin, end):
        key, first, last = found[k]
        max_size = limits.max_bucket if np.uint64(key) == own_key else limits.max_edited
        if last - first > min(max_size, limits.max_scanned - total):
            skipped = 1
        elif first < last:
            found[held, 0], found[held, 1], found[held, 2] = key, first, last
            held += 1
            total += last - first
    return held, total, skipped


@njit
def search_buckets(packed: Packed, queries: U64Array, keys: Keys, limits: SearchLimits) -> Hits:
    """`CodeStore.search_codes` in blocks of queries, so that their cache misses overlap.

    ``queries`` is ``uint64[n]``. Of the hits, ``in_order`` is left False.
    """
    n = len(queries)
    offsets = np.zeros(n + 1, np.int64)
    truncated = np.zeros(n, np.uint8)
    capacity = 16 * n + 1024
    hits = HitArrays(np.empty(capacity, np.int64), np.empty(capacity, np.uint8), np.empty(capacity, np.int32))
    count = 0
    scanned = 0
    key_mask = np.uint64((1 << packed.key_bits) - 1)
    first = 0
    found = np.empty((0, 3), np.int64)  # key, begin and end of the buckets, then of those chosen among them
    chosen = np.zeros(BLOCK + 1, np.int64)
    sizes = np.zeros(BLOCK, np.int64)
    counters = np.empty((2, limits.radius + 1), np.int64)
    while first < n:
        last = _end_of_block(keys.offsets, first)
        lo, hi = keys.offsets[first], keys.offsets[last]
        if hi - lo > len(found):
            found = np.empty((hi - lo, 3), np.int64)
        _find_buckets(packed, keys.keys[lo:hi], found)
        held = 0
        for q in range(first, last):
            chosen[q - first] = held
            begin, end = keys.offsets[q] - lo, keys.offsets[q + 1] - lo
            held, total, skipped = _choose_buckets(found, begin, end, held, queries[q] & key_mask, limits)
            truncated[q] = skipped
            sizes[q - first] = total
        chosen[last - first] = held
        size = sizes[: last - first].sum()
        scanned += size
        if count + size > capacity:
            capacity = 2 * (count + size)
            hits = HitArrays(
                grown(hits.position, count, capacity),
                grown(hits.reverse, count, capacity),
                grown(hits.score, count, capacity),
            )
        for q in range(first, last):
            buckets = found[chosen[q - first] : chosen[q - first + 1]]
            if sizes[q - first] <= limits.max_hits:
                # Most queries: nothing can be cut off, so no test after each run.
                for k in range(len(buckets)):
                    bucket = Bucket(buckets[k, 0], buckets[k, 1], buckets[k, 2])
                    count = _scan(packed, bucket, queries[q], limits.radius, limits.radius, hits, count)
            else:
                count, reach = _scan_many(packed, buckets, queries[q], limits, hits, count, counters)
                truncated[q] |= reach < min(limits.radius, COPY_DISTANCE)
            offsets[q + 1] = count
        first = last
    position, reverse, score = hits.position[:count], hits.reverse[:count], hits.score[:count]
    return Hits(offsets, position.copy(), reverse.copy(), score.copy(), truncated, scanned, False)
