"""A bucketed store of 64-bit codes with query-directed multi-probe search.

A code's *key* is its first ``key_bits`` bits. Codes with the same key lie together, so that the key need not be
kept with them: its first bit makes room for the orientation. A search looks up the query's own key and those
reached by flipping the least certain of its bits (multi-probe: Lv et al. 2007, VLDB, "Multi-Probe LSH"), and keeps
the codes within a Hamming radius of the whole 64 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from esa.bits import popcount
from esa.compiled import leaf, njit
from esa.prefetch import prefetch
from esa.stores.base import Hits, Keys, SearchEffort

MIN_KEY_BITS = 8
MAX_KEY_BITS = 30
BLOCK = 64
KEYS_TOGETHER = 128
"""Queries and keys looked up together."""
COPY_DISTANCE = 12
"""Hits cut off at this distance or more are hardly copies of the query's place: nobody needs to hear of them."""
PROBE_BITS = 12
"""Least certain key bits among which the flips of a probe are chosen."""

_ORIENTATION = np.uint64(1)
"""Bit of a kept code that holds the fragment's orientation."""


@njit(cache=True, nogil=True)
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
    """Codes sorted by key, then by position.

    Attributes:
        codes: ``uint64[n]``, with the fragment's orientation in place of the first bit, which the bucket tells.
        position: ``uint32[n]`` (``uint64`` beyond 2**32 bases), global start of each fragment.
        buckets: ``uint32[2**key_bits + 1]`` (``uint64`` beyond 2**32 fragments): the fragments with key k are
            ``buckets[k]:buckets[k + 1]``.
        key_bits: bits of a key.
    """

    codes: NDArray[np.uint64]
    position: NDArray[Any]
    buckets: NDArray[Any]
    key_bits: int

    name: ClassVar[str] = "codes"

    def __post_init__(self) -> None:
        n = len(self.codes)
        if len(self.position) != n or len(self.buckets) != (1 << self.key_bits) + 1 or self.buckets[-1] != n:
            raise ValueError(f"not a code store: {n} codes, key of {self.key_bits} bits")

    def __len__(self) -> int:
        return len(self.codes)

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
        capped, if any of those left out lies under `COPY_DISTANCE`; so is one of whose buckets one was passed over.
        """
        if keys is None:
            own = (queries & np.uint64((1 << self.key_bits) - 1)).astype(np.int32)
            keys = Keys(np.arange(len(queries) + 1, dtype=np.int64), own)
        offsets, position, reverse, score, capped, scanned = _search(
            self.codes,
            self.position,
            self.buckets,
            queries,
            keys,
            (effort.radius, effort.max_hits, effort.max_bucket, effort.max_edited),
        )
        return Hits(offsets, position, reverse, score, capped, int(scanned))

    def parameters(self) -> dict[str, Any]:
        return {"name": self.name, "key_bits": self.key_bits}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"codes": self.codes, "position": self.position, "buckets": self.buckets}


class CodeStoreBuilder:
    """Binarizes embeddings as they come, so that only 13 bytes a fragment are held."""

    def __init__(self, bases: int, key_bits: int | None = None) -> None:
        self._position_type = np.uint32 if bases < 1 << 32 else np.uint64
        self._key_bits = key_bits
        self._codes: list[NDArray[np.uint64]] = []
        self._position: list[NDArray[Any]] = []
        self._reverse: list[NDArray[np.uint8]] = []

    def add(self, embeddings: NDArray[Any], position: NDArray[np.int64], reverse: NDArray[np.uint8]) -> None:
        self._codes.append(binarize(embeddings))
        self._position.append(position.astype(self._position_type))
        self._reverse.append(reverse)

    def finish(self) -> CodeStore:
        codes = np.concatenate([np.empty(0, np.uint64), *self._codes])
        position = np.concatenate([np.empty(0, self._position_type), *self._position])
        reverse = np.concatenate([np.empty(0, np.uint8), *self._reverse])
        self._codes, self._position, self._reverse = [], [], []
        key_bits = self._key_bits or default_key_bits(len(codes))
        bucket_type = np.uint32 if len(codes) < 1 << 32 else np.uint64
        buckets = np.zeros((1 << key_bits) + 1, bucket_type)
        sorted_codes, sorted_position = _sort_into_buckets(codes, position, reverse, key_bits, buckets)
        for array in (sorted_codes, sorted_position, buckets):
            array.flags.writeable = False
        return CodeStore(sorted_codes, sorted_position, buckets, key_bits)


@njit(cache=True, nogil=True)
def _sort_into_buckets(codes, position, reverse, key_bits, buckets):  # type: ignore[no-untyped-def]
    """Counting sort by key, stable, so that a bucket is in order of position."""
    mask = np.uint64((1 << key_bits) - 1)
    for i in range(len(codes)):
        buckets[np.int64(codes[i] & mask) + 1] += 1
    for b in range(1, len(buckets)):
        buckets[b] += buckets[b - 1]
    sorted_codes = np.empty_like(codes)
    sorted_position = np.empty_like(position)
    # Each bucket's start serves as its cursor; afterwards it holds the bucket's end, the next one's start.
    for i in range(len(codes)):
        key = np.int64(codes[i] & mask)
        sorted_codes[buckets[key]] = (codes[i] & ~_ORIENTATION) | np.uint64(reverse[i])
        sorted_position[buckets[key]] = position[i]
        buckets[key] += 1
    for b in range(len(buckets) - 1, 0, -1):
        buckets[b] = buckets[b - 1]
    buckets[0] = 0
    return sorted_codes, sorted_position


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def _margin_keys(embeddings, queries, key_bits, patterns):  # type: ignore[no-untyped-def]
    probes = len(patterns)
    bits = np.zeros(min(PROBE_BITS, key_bits), np.int64)
    keys = np.empty(len(queries) * probes, np.int32)
    for q in range(len(queries)):
        _probe_keys(embeddings[q], queries[q], key_bits, patterns, bits, keys[q * probes : (q + 1) * probes])
    return keys


@leaf
def _size(buckets, keys):  # type: ignore[no-untyped-def]
    """Codes in the buckets of all keys together."""
    size = np.int64(0)
    for key in keys:
        size += np.int64(buckets[key + 1]) - np.int64(buckets[key])
    return size


@leaf
def _scan(codes, position, buckets, code, keys, radius, hits, count):  # type: ignore[no-untyped-def]
    """Append the codes within ``radius`` in the buckets of the keys to ``hits``; returns how many there are then."""
    hit_position, hit_reverse, hit_score = hits
    for key in keys:
        rest = code & ~_ORIENTATION
        first = np.int64((np.uint64(key) ^ code) & _ORIENTATION)
        for j in range(np.int64(buckets[key]), np.int64(buckets[key + 1])):
            distance = first + popcount((codes[j] & ~_ORIENTATION) ^ rest)
            if distance < radius:
                hit_position[count] = position[j]
                hit_reverse[count] = codes[j] & _ORIENTATION
                hit_score[count] = radius - distance
                count += 1
    return count


@njit(cache=True, nogil=True)
def _trim(hits, begin, end, radius, max_hits):  # type: ignore[no-untyped-def]
    """Keep the best whole score classes of ``hits[begin:end]`` that fit; of the very best, as many as fit.

    Returns the new end and the least distance of what was cut off.
    """
    hit_position, hit_reverse, hit_score = hits
    classes = np.zeros(radius + 1, np.int64)
    best = 0
    for h in range(begin, end):
        classes[hit_score[h]] += 1
        best = max(best, hit_score[h])
    least = best
    total = classes[best]
    while least > 1 and total + classes[least - 1] <= max_hits:
        least -= 1
        total += classes[least]
    kept = begin
    for h in range(begin, end):
        if hit_score[h] >= least and kept - begin < max_hits:
            hit_position[kept] = hit_position[h]
            hit_reverse[kept] = hit_reverse[h]
            hit_score[kept] = hit_score[h]
            kept += 1
    return kept, radius - (least if kept - begin == max_hits and total > max_hits else least - 1)


@njit(cache=True, nogil=True)
def _search(codes, position, buckets, queries, wanted, limits):  # type: ignore[no-untyped-def]
    """`CodeStore.search` in blocks, so that the memory of many lookups is fetched at the same time."""
    radius, max_hits, max_bucket, max_edited = limits
    n = len(queries)
    offsets = np.zeros(n + 1, np.int64)
    capped = np.zeros(n, np.uint8)
    room = 16 * n + 1024
    hits = (np.empty(room, np.int64), np.empty(room, np.uint8), np.empty(room, np.int32))
    count = 0
    scanned = 0
    key_mask = np.uint64(len(buckets) - 2)
    first = 0
    kept_keys = np.empty(0, np.int64)
    kept = np.zeros(BLOCK + 1, np.int64)
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
        if hi - lo > len(kept_keys):
            kept_keys = np.empty(hi - lo, np.int64)
        for k in range(lo, hi):
            prefetch(buckets, np.int64(wanted.keys[k]))
        held = 0
        for q in range(first, last):
            kept[q - first] = held
            for k in range(wanted.offsets[q], wanted.offsets[q + 1]):
                key = np.int64(wanted.keys[k])
                begin = np.int64(buckets[key])
                size = np.int64(buckets[key + 1]) - begin
                own = np.uint64(key) == queries[q] & key_mask
                if size > (max_bucket if own else max_edited):
                    capped[q] = 1
                elif size:
                    prefetch(codes, begin)
                    prefetch(position, begin)
                    kept_keys[held] = key
                    held += 1
        kept[last - first] = held
        for q in range(first, last):
            keys = kept_keys[kept[q - first] : kept[q - first + 1]]
            size = _size(buckets, keys)
            scanned += size
            if count + size > room:
                room = 2 * (count + size)
                hits = (
                    _grown(hits[0], count, room),
                    _grown(hits[1], count, room),
                    _grown(hits[2], count, room),
                )
            low = count
            count = _scan(codes, position, buckets, queries[q], keys, radius, hits, count)
            if count - low > max_hits:
                count, nearest = _trim(hits, low, count, radius, max_hits)
                capped[q] |= nearest < COPY_DISTANCE
            offsets[q + 1] = count
        first = last
    return offsets, hits[0][:count].copy(), hits[1][:count].copy(), hits[2][:count].copy(), capped, scanned


@njit(cache=True, nogil=True)
def _grown(array, used, room):  # type: ignore[no-untyped-def]
    out = np.empty(room, array.dtype)
    out[:used] = array[:used]
    return out
