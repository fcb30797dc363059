"""A bucketed store of 64-bit codes with query-directed multi-probe search.

A code's *key* is its first ``key_bits`` bits. The codes with one key make a bucket and are stored together, so the key
need not be stored with them (`esa.stores.packed`). A search looks up the query's own key and the keys reached by
flipping its least certain bits (multi-probe: Lv et al. 2007, VLDB, "Multi-Probe LSH"). It keeps the codes within a
Hamming radius of the whole 64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from esa.kernels.arrays import I32Array, I64Array, Int, U64Array, Word
from esa.kernels.decorator import njit
from esa.kernels.madvise import in_large_pages
from esa.stores.base import Hits, Keys, SearchEffort
from esa.stores.code_search import SearchLimits, search_buckets
from esa.stores.packed import Packed, code_bytes, entry_count

MIN_KEY_BITS = 8
"""Shortest default key, bits."""
MAX_KEY_BITS = 30
"""Longest default key, bits: keys are ``int32``."""
PROBE_BITS = 12
"""Least certain key bits among which the flips of a probe are chosen."""


@njit
def binarize(embeddings: NDArray[Any]) -> U64Array:
    """Codes of embeddings, by sign.

    Args:
        embeddings: ``[n, bits]``, of any signed type, with up to 64 components.

    Returns:
        ``uint64[n]``: bit b of a code is set where component b is positive.
    """
    n, bits = embeddings.shape
    out = np.empty(n, np.uint64)
    for i in range(n):
        code = np.uint64(0)
        for b in range(bits):
            code |= np.uint64(embeddings[i, b] > 0) << np.uint64(b)
        out[i] = code
    return out


def default_key_bits(fragments: int) -> int:
    """Key length in bits that gives about two buckets per fragment."""
    return int(np.clip(round(np.log2(max(fragments, 1))) + 1, MIN_KEY_BITS, MAX_KEY_BITS))


@cache
def probe_patterns(key_bits: int, probes: int) -> NDArray[np.int64]:
    """Which of the least certain bits each probe flips.

    Heuristic: probes are in order of expected sums of squared margins, not of each query's own sums, which would take
    a heap per query. The r-th smallest margin is expected to be that of ``key_bits`` half-normal margins.

    Returns:
        ``int64[probes]``, read-only: bit r of a pattern flips the r-th least certain bit. There are no more than
        ``2**PROBE_BITS``.
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
    """Codes in buckets by key, in order of position within a bucket.

    Attributes:
        packed: the arrays.
    """

    packed: Packed

    name: ClassVar[str] = "codes"

    @classmethod
    def from_arrays(cls, parameters: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> CodeStore:
        """The store with these `parameters` and `arrays`; the operating system is asked to map them in large pages.

        Raises:
            ValueError: the parameters and arrays do not fit each other.
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
        """Length of a key in bits."""
        return self.packed.key_bits

    @cached_property
    def _length(self) -> int:
        return entry_count(self.packed)

    def __len__(self) -> int:
        return self._length

    def search(self, embeddings: NDArray[Any], effort: SearchEffort) -> Hits:
        """`search_codes` for the signs of ``embeddings`` (``int16[queries, 64]``), with `margin_keys`."""
        return self.search_codes(
            binarize(embeddings), effort, margin_keys(embeddings, self.key_bits, effort.probes)
        )

    def search_codes(
        self, queries: NDArray[np.uint64], effort: SearchEffort, keys: Keys | None = None
    ) -> Hits:
        """The codes at a Hamming distance under ``effort.radius`` in the buckets of some keys.

        A hit scores ``radius - distance``. A query with more than ``effort.max_hits`` hits keeps whole distance
        classes, nearest first, as far as they fit. Of the nearest class it keeps what fits, if all do not. A query is
        marked truncated if a hit that was left out has a distance under `COPY_DISTANCE`, or if a bucket was skipped.

        Args:
            queries: ``uint64[n]``, codes.
            effort: limits.
            keys: the buckets to look up; None: those of the queries' own keys.
        """
        if keys is None:
            own = (queries & np.uint64((1 << self.key_bits) - 1)).astype(np.int32)
            keys = Keys(np.arange(len(queries) + 1, dtype=np.int64), own)
        hits = search_buckets(
            self.packed,
            queries,
            keys,
            SearchLimits(
                effort.radius, effort.max_hits, effort.max_bucket, effort.max_edited, effort.max_scanned
            ),
        )
        # The codes of a bucket are in order of position.
        in_order = effort.probes == 1 and not effort.edits
        return hits._replace(scanned=int(hits.scanned), in_order=in_order)

    def parameters(self) -> dict[str, Any]:
        """Parameters for the index manifest."""
        return {"name": self.name, "key_bits": self.key_bits, "position_bytes": self.packed.position_bytes}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of `Packed`, by their names on disk (``crowded``: the size escapes)."""
        packed = self.packed
        return {"entries": packed.entries, "buckets": packed.buckets, "crowded": packed.escaped}


@njit
def _least_certain(embedding: NDArray[Any], key_bits: Int, bits: I64Array) -> None:
    """Write the indices of the key bits with the smallest margins into ``bits``, smallest first."""
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
def _probe_keys(
    embedding: NDArray[Any], code: Word, key_bits: Int, patterns: I64Array, bits: I64Array, keys: I32Array
) -> None:
    """Write the keys that a query looks up into ``keys``, its own first; ``bits`` is scratch space."""
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
    """Each query's own key and those reached by flipping its least certain bits, ``probes`` in all.

    ``embeddings`` are ``int16[queries, 64]``; the margin of a bit is the absolute value of its component.
    """
    patterns = probe_patterns(key_bits, probes)
    keys = _margin_keys(embeddings, binarize(embeddings), key_bits, patterns)
    return Keys(np.arange(len(embeddings) + 1, dtype=np.int64) * len(patterns), keys)


@njit
def _margin_keys(embeddings: NDArray[Any], queries: U64Array, key_bits: Int, patterns: I64Array) -> I32Array:
    probes = len(patterns)
    bits = np.zeros(min(PROBE_BITS, key_bits), np.int64)
    keys = np.empty(len(queries) * probes, np.int32)
    for q in range(len(queries)):
        _probe_keys(embeddings[q], queries[q], key_bits, patterns, bits, keys[q * probes : (q + 1) * probes])
    return keys
