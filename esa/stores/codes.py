"""A bucketed store of 64-bit codes with query-directed multi-probe search.

A code's *key* is its first ``key_bits`` bits. Codes with the same key lie together, so that the key need not be
kept with them (`esa.stores.packed`). A search looks up the query's own key and those reached by flipping the least
certain of its bits (multi-probe: Lv et al. 2007, VLDB, "Multi-Probe LSH"), and keeps the codes within a Hamming radius
of the whole 64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from esa.kernels.bits import popcount
from esa.kernels.decorator import inline_njit, njit
from esa.kernels.intrinsics import grown, load64, prefetch
from esa.kernels.madvise import in_large_pages
from esa.stores.base import Hits, Keys, SearchEffort
from esa.stores.packed import (
    GROUP,
    GROUP_BITS,
    Packed,
    bounds,
    code_bytes,
    entry_count,
    low_bytes,
)

MIN_KEY_BITS = 8
MAX_KEY_BITS = 30
BLOCK = 64
KEYS_TOGETHER = 128
"""Queries and keys looked up together."""
COPY_DISTANCE = 12
"""Hits cut off at this distance or more are hardly copies of the query's place: nobody needs to hear of them."""
RUN = 512
"""Codes of a bucket that are compared before it is asked whether there are hits to cut off."""
TRIMMED_AT = 2
"""Times as many hits as are kept that are gathered before those that will not be kept are cut off."""
PROBE_BITS = 12
"""Thresholds certain key bits among which the flips of a probe are chosen."""


@njit
def binarize(embeddings):  # type: ignore[no-untyped-def]
    """``uint64[n]``: bit b of a code is set where component b of the embedding is positive."""
    n, bits = embeddings.shape
    out = np.empty(n, np.uint64)
    for i in range(n):
        code = np.uint64(0)
        for b in range(bits):
            code |= np.uint64(embeddings[i, b] > 0) << np.uint64(b)
        out[i] = code
    return out


def default_key_bits(fragments: int) -> int:
    """Key length for about one fragment in two buckets."""
    return int(np.clip(round(np.log2(max(fragments, 1))) + 1, MIN_KEY_BITS, MAX_KEY_BITS))


@cache
def probe_patterns(key_bits: int, probes: int) -> NDArray[np.int64]:
    """``int64[probes]``: which of the least certain bits to flip (bit r: the r-th least certain), in order.

    Heuristic: the order is that of the expected sums of squared margins (the r-th smallest of ``key_bits``
    half-normal margins) instead of each query's own, which saves a heap a query.
    """
    bits = min(PROBE_BITS, key_bits)
    # The r-th of n order statistics of a half-normal is near its quantile (r + 1/2) / n.
    sample = np.sort(np.abs(np.random.default_rng(0).standard_normal((4096, key_bits))), axis=1)
    cost = np.square(sample[:, :bits]).mean(axis=0)
    masks = np.arange(1 << bits)
    sums = np.zeros(len(masks))
    for r in range(bits):
        sums += np.where(masks >> r & 1, cost[r], 0.0)
    order = np.argsort(sums, kind="stable")[:probes].astype(np.int64)
    order.flags.writeable = False
    return order


@dataclass(frozen=True)
class CodeStore:
    """Codes by key, then by position.

    Attributes:
        packed: where they are.
    """

    packed: Packed

    name: ClassVar[str] = "codes"

    @classmethod
    def from_arrays(cls, parameters: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> CodeStore:
        """The store with these `parameters` and `arrays`, which it asks for in large pages.

        Raises:
            ValueError: they do not fit each other.
        """
        key_bits = parameters["key_bits"]
        packed = Packed(
            arrays["entries"], arrays["buckets"], arrays["crowded"], key_bits, code_bytes(key_bits),
            parameters["position_bytes"],
        )  # fmt: skip
        entry_count(packed)
        in_large_pages(packed.entries)
        in_large_pages(packed.buckets)
        return cls(packed)

    @property
    def key_bits(self) -> int:
        return self.packed.key_bits

    @cached_property
    def _length(self) -> int:
        return entry_count(self.packed)

    def __len__(self) -> int:
        return self._length

    def search(self, embeddings: NDArray[Any], effort: SearchEffort) -> Hits:
        """`search_codes` for the signs of the embeddings, under the keys that their margins make likely."""
        return self.search_codes(
            binarize(embeddings), effort, margin_keys(embeddings, self.key_bits, effort.probes)
        )

    def search_codes(
        self, queries: NDArray[np.uint64], effort: SearchEffort, keys: Keys | None = None
    ) -> Hits:
        """Codes at a Hamming distance under ``effort.radius`` in the buckets of these keys; None: of the query's own.

        A hit scores ``radius - distance``. A query with more than ``effort.max_hits`` keeps whole distance
        classes, nearest first, as far as they fit (and the nearest class in any case, in part), and is marked
        truncated, if any of those left out lies under `COPY_DISTANCE`; so is one of whose buckets one was passed over.
        """
        if keys is None:
            own = (queries & np.uint64((1 << self.key_bits) - 1)).astype(np.int32)
            keys = Keys(np.arange(len(queries) + 1, dtype=np.int64), own)
        offsets, position, reverse, score, truncated, scanned = _search(
            self.packed,
            queries,
            keys,
            (effort.radius, effort.max_hits, effort.max_bucket, effort.max_edited, effort.max_scanned),
        )
        # A bucket is in order of position.
        in_order = effort.probes == 1 and not effort.edits
        return Hits(offsets, position, reverse, score, truncated, int(scanned), in_order)

    def parameters(self) -> dict[str, Any]:
        return {"name": self.name, "key_bits": self.key_bits, "position_bytes": self.packed.position_bytes}

    def arrays(self) -> dict[str, NDArray[Any]]:
        packed = self.packed
        return {"entries": packed.entries, "buckets": packed.buckets, "crowded": packed.escaped}


@njit
def _least_certain(embedding, key_bits, bits):  # type: ignore[no-untyped-def]
    """Writes the indices of the key bits with the least margins into ``bits``, least first."""
    margins = np.empty(len(bits), np.int64)
    held = 0
    for b in range(key_bits):
        margin = abs(np.int64(embedding[b]))
        if held < len(bits) or margin < margins[held - 1]:
            if held < len(bits):
                held += 1
            j = held - 1
            while j > 0 and margins[j - 1] > margin:
                margins[j] = margins[j - 1]
                bits[j] = bits[j - 1]
                j -= 1
            margins[j] = margin
            bits[j] = b


@njit
def _probe_keys(embedding, code, key_bits, patterns, bits, keys):  # type: ignore[no-untyped-def]
    """Writes the keys to look up, the query's own first."""
    if len(patterns) > 1:
        _least_certain(embedding, key_bits, bits)
    own = np.int64(code & np.uint64((1 << key_bits) - 1))
    for p in range(len(patterns)):
        key = own
        pattern = patterns[p]
        r = 0
        while pattern:
            if pattern & 1:
                key ^= np.int64(1) << bits[r]
            pattern >>= 1
            r += 1
        keys[p] = key


def margin_keys(embeddings: NDArray[Any], key_bits: int, probes: int) -> Keys:
    """The query's own key and those reached by flipping the least certain of its bits, ``probes`` in all."""
    patterns = probe_patterns(key_bits, probes)
    keys = _margin_keys(embeddings, binarize(embeddings), key_bits, patterns)
    return Keys(np.arange(len(embeddings) + 1, dtype=np.int64) * len(patterns), keys)


@njit
def _margin_keys(embeddings, queries, key_bits, patterns):  # type: ignore[no-untyped-def]
    probes = len(patterns)
    bits = np.zeros(min(PROBE_BITS, key_bits), np.int64)
    keys = np.empty(len(queries) * probes, np.int32)
    for q in range(len(queries)):
        _probe_keys(embeddings[q], queries[q], key_bits, patterns, bits, keys[q * probes : (q + 1) * probes])
    return keys


@inline_njit
def _scan(packed, bucket, code, limits, hits, count):  # type: ignore[no-untyped-def]
    """Append the near codes of a bucket (key, begin, end), or of a run of it, to ``hits``; returns how many there are
    then.

    ``limits``: (radius, reach): what is at a distance d under the reach scores the radius less d.
    """
    radius, reach = limits
    hit_position, hit_reverse, hit_score = hits
    key, begin, end = bucket
    size = packed.code_bytes + packed.position_bytes
    key_bits = np.uint64(packed.key_bits)
    differ = popcount((np.uint64(key) ^ code) & ((np.uint64(1) << key_bits) - np.uint64(1)))
    rest = code >> key_bits
    code_mask, position_mask = low_bytes(packed.code_bytes), low_bytes(packed.position_bytes)
    # Unsigned: an index that may be negative is looked at twice.
    held = np.uint64(count)
    for at in range(begin * size, end * size, size):
        # Written whether near or not: a branch would be guessed wrong again and again.
        word = load64(packed.entries, at) & code_mask
        distance = differ + popcount((word >> np.uint64(1)) ^ rest)
        hit_position[held] = load64(packed.entries, at + packed.code_bytes) & position_mask
        hit_reverse[held] = word & np.uint64(1)
        hit_score[held] = radius - distance
        held += np.uint64(distance < reach)
    return np.int64(held)


@inline_njit(forceinline=False)
def _trim(hits, begin, end, radius, max_hits, counters):  # type: ignore[no-untyped-def]
    """Keep the best whole score classes of ``hits[begin:end]`` that fit; of the very best, as many as fit.

    ``counters`` (``int64[2, radius + 1]``): room. Returns the new end and the least distance of what was cut off.
    """
    hit_position, hit_reverse, hit_score = hits
    # Two counters a class: one that was just written cannot be read at once.
    counters[:] = 0
    for h in range(begin, end):
        counters[h & 1, hit_score[h]] += 1
    classes = counters[0]
    for score in range(radius + 1):
        classes[score] += counters[1, score]
    best = radius
    while classes[best] == 0:
        best -= 1
    least = best
    total = classes[best]
    while least > 1 and total + classes[least - 1] <= max_hits:
        least -= 1
        total += classes[least]
    kept, last = np.uint64(begin), np.uint64(begin + max_hits)
    for h in range(begin, end):
        # Moved whether kept or not: a branch would be guessed wrong again and again.
        score = hit_score[h]
        hit_position[kept], hit_reverse[kept], hit_score[kept] = hit_position[h], hit_reverse[h], score
        kept += np.uint64(score >= least)
        if kept == last:
            break
    cut = kept == last and total > max_hits
    return np.int64(kept), radius - (least if cut else least - 1)


@inline_njit(forceinline=False)
def _scan_many(packed, buckets, code, limits, hits, low, counters):  # type: ignore[no-untyped-def]
    """Append the nearest codes of buckets that hold more than the most hits to the first ``low`` hits; ``limits``:
    (radius, most hits).

    Returns how many there are then, and the least distance of what was cut off, the radius if nothing was.
    """
    radius, max_hits = limits
    count = low
    reach = np.int64(radius)
    for k in range(len(buckets)):
        key, begin, end = buckets[k]
        while begin < end:
            run = min(end, begin + RUN)
            count = _scan(packed, (key, begin, run), code, (radius, reach), hits, count)
            begin = run
            if count - low > TRIMMED_AT * max_hits:
                # Whatever comes later and is no nearer than what was cut off would be cut off, too.
                count, reach = _trim(hits, low, count, radius, max_hits, counters)
    if count - low > max_hits:
        count, reach = _trim(hits, low, count, radius, max_hits, counters)
    return count, reach


@inline_njit
def _find_buckets(packed, keys, found):  # type: ignore[no-untyped-def]
    """Key, begin and end of the bucket of each key into ``found``; the memory of all is fetched at the same time."""
    group_bytes = GROUP + packed.position_bytes
    entry_bytes = packed.code_bytes + packed.position_bytes
    for k in range(len(keys)):
        # First and last byte, here and below: most of what is looked up lies in two lines of the cache.
        group = np.int64(keys[k]) >> GROUP_BITS
        prefetch(packed.buckets, group * group_bytes)
        prefetch(packed.buckets, (group + 1) * group_bytes - 1)
    # Whether a bucket is wanted is not asked yet: the answer would be waited for, and no further bucket asked for.
    for k in range(len(keys)):
        key = np.int64(keys[k])
        begin, end = bounds(packed, key)
        found[k, 0], found[k, 1], found[k, 2] = key, begin, end
        prefetch(packed.entries, begin * entry_bytes)
        prefetch(packed.entries, end * entry_bytes - 1)


@njit
def _search(packed, queries, wanted, limits):  # type: ignore[no-untyped-def]
    """`CodeStore.search` in blocks, so that the memory of many lookups is fetched at the same time."""
    radius, max_hits, max_bucket, max_edited, max_scanned = limits
    n = len(queries)
    offsets = np.zeros(n + 1, np.int64)
    truncated = np.zeros(n, np.uint8)
    room = 16 * n + 1024
    hits = (np.empty(room, np.int64), np.empty(room, np.uint8), np.empty(room, np.int32))
    count = 0
    scanned = 0
    key_mask = np.uint64((1 << packed.key_bits) - 1)
    first = 0
    found = np.empty((0, 3), np.int64)  # key, begin and end of the buckets, then of those chosen among them
    kept = np.zeros(BLOCK + 1, np.int64)
    sizes = np.zeros(BLOCK, np.int64)
    counters = np.empty((2, radius + 1), np.int64)
    while first < n:
        # As many queries together as have about so many keys.
        last = first + 1
        while (
            last < n
            and last - first < BLOCK
            and wanted.offsets[last + 1] - wanted.offsets[first] <= KEYS_TOGETHER
        ):
            last += 1
        lo, hi = wanted.offsets[first], wanted.offsets[last]
        if hi - lo > len(found):
            found = np.empty((hi - lo, 3), np.int64)
        _find_buckets(packed, wanted.keys[lo:hi], found)
        held = 0
        for q in range(first, last):
            kept[q - first] = held
            total = 0
            for k in range(wanted.offsets[q] - lo, wanted.offsets[q + 1] - lo):
                key, begin, end = found[k]
                own = np.uint64(key) == queries[q] & key_mask
                if end - begin > min(max_bucket if own else max_edited, max_scanned - total):
                    truncated[q] = 1
                elif begin < end:
                    found[held, 0], found[held, 1], found[held, 2] = key, begin, end
                    held += 1
                    total += end - begin
            sizes[q - first] = total
        kept[last - first] = held
        size = sizes[: last - first].sum()
        scanned += size
        if count + size > room:
            room = 2 * (count + size)
            hits = (grown(hits[0], count, room), grown(hits[1], count, room), grown(hits[2], count, room))
        for q in range(first, last):
            buckets = found[kept[q - first] : kept[q - first + 1]]
            if sizes[q - first] <= max_hits:
                # Most queries: nothing can be cut off, so it is not asked run by run whether anything is to be.
                for k in range(len(buckets)):
                    key, begin, end = buckets[k]
                    count = _scan(packed, (key, begin, end), queries[q], (radius, radius), hits, count)
            else:
                count, reach = _scan_many(
                    packed, buckets, queries[q], (radius, max_hits), hits, count, counters
                )
                truncated[q] |= reach < min(radius, COPY_DISTANCE)
            offsets[q + 1] = count
        first = last
    return offsets, hits[0][:count].copy(), hits[1][:count].copy(), hits[2][:count].copy(), truncated, scanned
