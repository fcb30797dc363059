"""The store of dense embeddings: a scanner finds a shortlist, which exact products of 8-bit vectors rank.

Vectors are kept as ``int8`` with one scale for all components, and queries are rounded in the same way. So every
product that ranks is a sum of integers, independent of threads and batches.

Sketches are nearly isotropic. The near neighbours of a query lie in a few inverted lists of a large store, but those
that are less near may lie in any (`make bench-dense` has the figures). So a query is searched in the nearest
lists first. If the best vector found there is not near enough, it is searched in all lists.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.kernels.arrays import F32Array, Float, I8Array, I32Array, I64Array, Int, U8Array
from esa.kernels.decorator import njit
from esa.stores.base import Hits, SearchEffort
from esa.stores.scanner import FaissScanner, ListScanner, Scanner, open_scanner

MAX_COMPONENT = 127
"""Largest component of an ``int8`` vector; -128 is not used."""

QUERIES = 512
"""Queries searched together in a few lists: the more there are, the less often a list is read."""
FAR_QUERIES = 128
"""Queries searched together in all lists: faiss and their shortlists take 0.7 MB for each."""

SCORE_SCALE = 1000
"""Score of a hit with cosine 1."""


@dataclass(frozen=True)
class DenseParameters:
    """Settings of a dense store: quantization, scanning, and which vectors are hits.

    Attributes:
        exact_limit: a store of at most this many vectors is scanned exactly.
        shortlist: vectors that a scan finds for a query, per probe of the `SearchEffort`.
        lists_from: a store of at least this many vectors has its codes in inverted lists.
        visited: the nearest lists, 1 / ``visited`` of them, are searched first.
        settled: Heuristic: a query whose best cosine there is at least this is done; others are searched in all lists.
            (The cosine of a read with 5 % edits and its fragment has a median of 0.65; of a read with 10 %, 0.44. With
            0.6 in place of 0.5, 39 % and not 15 % of the former are searched in all lists. That finds at most one read
            in 300 more.)
        far_shortlist: vectors that a scan of all lists finds, in place of ``shortlist``. Among more vectors, the codes
            put more of the wrong ones before the right one. Take 23 million vectors, reads with 10 % edits, and the
            best 50 after ranking: a shortlist of 4,000 holds the read's fragment 3 points less often than all vectors
            do. One of 16,000 loses less than one point.
        clip: components beyond this multiple of 1 / sqrt(dimensions) are clipped.
        floor: minimum cosine of a hit. Measured on a human chromosome, the nearest vector to a random sequence has a
            cosine of about 0.29. To a read with 10 % edits it has 0.37, to one with 1 %, 0.8.
        ratio: minimum cosine of a hit as a share of its query's best.

    Raises:
        ValueError: a setting out of its range.
    """

    exact_limit: int = 50_000
    shortlist: int = 500
    lists_from: int = 2_000_000
    visited: int = 32
    settled: float = 0.5
    far_shortlist: int = 16_000
    clip: float = 6.0
    floor: float = 0.25
    ratio: float = 0.6

    def __post_init__(self) -> None:
        smallest = min(self.shortlist, self.far_shortlist, self.visited)
        shares = 0 < self.floor <= 1 and 0 <= self.ratio <= 1 and self.settled >= 0
        if smallest < 1 or self.clip <= 0 or not shares:
            raise ValueError(f"no search can be made with {self}")

    def scale(self, dimensions: int) -> float:
        """Factor by which components are multiplied before they are rounded."""
        return MAX_COMPONENT * float(np.sqrt(dimensions)) / self.clip


class _SomeHits(NamedTuple):
    """Hits of some of the queries, whose indices are ``queried`` (``int64[n]``)."""

    queried: NDArray[np.int64]
    hits: Hits


@dataclass(frozen=True)
class DenseStore:
    """Unit vectors rounded to 8 bits, in order of position.

    Attributes:
        vectors: ``int8[n, dimensions]``.
        position: ``int64[n]``, global start of each fragment.
        reverse: ``uint8[n]``, its orientation.
        scanner: ``uint8``, the serialized scanner that finds shortlists (`esa.stores.scanner`); empty for an exact
            store.
        settings: of the build and the search.
        exact: an exact scanner to use in place of ``scanner``.

    Raises:
        ValueError: arrays that do not fit each other.
    """

    vectors: NDArray[np.int8]
    position: NDArray[np.int64]
    reverse: NDArray[np.uint8]
    scanner: NDArray[np.uint8]
    settings: DenseParameters = field(default_factory=DenseParameters)
    exact: Scanner | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    name: ClassVar[str] = "dense"

    @classmethod
    def from_arrays(cls, parameters: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> DenseStore:
        """The store that `parameters` and `arrays` describe; the arrays may be mapped and read-only."""
        settings = DenseParameters(**{k: v for k, v in parameters.items() if k not in ("name", "dimensions")})
        return cls(
            arrays["vectors"], arrays["position"], arrays["reverse"], arrays["scanner"], settings=settings
        )

    def __post_init__(self) -> None:
        n = len(self.vectors)
        if self.vectors.ndim != 2 or len(self.position) != n or len(self.reverse) != n:
            raise ValueError(f"not a dense store: {self.vectors.shape}, {len(self.position)} positions")

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dimensions(self) -> int:
        """Components of a vector."""
        return int(self.vectors.shape[1])

    @property
    def _scanner(self) -> FaissScanner:
        # A cached property has no lock, and two threads would load the codes twice.
        with self._lock:
            return self._opened

    @cached_property
    def _opened(self) -> FaissScanner:
        return open_scanner(self.scanner) if len(self.scanner) else FaissScanner.exact(self.vectors)

    def search(self, embeddings: NDArray[np.float32], effort: SearchEffort) -> Hits:
        """The vectors nearest by cosine, at most ``effort.max_hits`` per query, and none below the floor.

        Hits are in order of score, then of position. A score is the cosine in thousandths. A zero vector has no hits.

        Args:
            embeddings: ``float32[queries, dimensions]``, unit or zero vectors.
            effort: limits; ``probes`` multiplies the shortlist of a large store.
        """
        queries = quantize(np.ascontiguousarray(embeddings, np.float32), self.settings.scale(self.dimensions))
        every = np.arange(len(queries))
        found = [
            some
            for begin in range(0, max(1, len(queries)), QUERIES)
            for some in self._search(queries, every[begin : begin + QUERIES], effort)
        ]
        return _merged(found, len(queries))

    def _search(
        self, queries: NDArray[np.int8], queried: NDArray[np.int64], effort: SearchEffort
    ) -> Iterator[_SomeHits]:
        """Hits of the queries with the indices ``queried``."""
        # One more than is kept, to know whether any was left out.
        width = min(len(self), effort.max_hits + 1)
        if not width or not len(queried):
            yield self._of_all(queries, queried, np.empty((len(queried), 0), np.int64), effort)
            return
        if self.exact is not None:
            yield self._of_all(queries, queried, self.exact.search(queries[queried], width), effort)
            return
        if len(self.scanner):
            width = min(len(self), max(width, self.settings.shortlist * effort.probes))
        scanner = self._scanner
        if isinstance(scanner, ListScanner):
            yield from self._from_lists(scanner, queries, queried, width, effort)
        else:
            yield self._of_all(queries, queried, scanner.search(queries[queried], width), effort)

    def _from_lists(
        self,
        scanner: ListScanner,
        queries: NDArray[np.int8],
        queried: NDArray[np.int64],
        width: int,
        effort: SearchEffort,
    ) -> Iterator[_SomeHits]:
        """Hits from the nearest lists for queries that are settled there; from all lists for the others.

        With more than one probe, all queries are searched in all lists.
        """
        if effort.probes == 1:
            near = scanner.nearest_lists(queries[queried], max(1, scanner.count // self.settings.visited))
            rows = scanner.search_lists(queries[queried], near, width)
            products = _products(self.vectors, queries[queried], rows)
            threshold = self.settings.settled * self.settings.scale(self.dimensions) ** 2
            # A zero vector has no neighbours.
            settled = (products.max(axis=1) >= threshold) | ~queries[queried].any(axis=1)
            compared = int(scanner.sizes[near].sum())
            yield self._best(queried[settled], rows[settled], products[settled], effort, compared)
            queried = queried[~settled]
        wide = min(len(self), max(width, self.settings.far_shortlist))
        for begin in range(0, len(queried), FAR_QUERIES):
            some = queried[begin : begin + FAR_QUERIES]
            yield self._of_all(queries, some, scanner.search(queries[some], wide), effort)

    def _of_all(
        self,
        queries: NDArray[np.int8],
        queried: NDArray[np.int64],
        rows: NDArray[np.int64],
        effort: SearchEffort,
    ) -> _SomeHits:
        """The best of the ``rows`` (``int64[queried, width]``) that were found among all vectors."""
        products = _products(self.vectors, queries[queried], rows)
        return self._best(queried, rows, products, effort, len(self) * len(queried))

    def _best(
        self,
        queried: NDArray[np.int64],
        rows: NDArray[np.int64],
        products: NDArray[np.int32],
        effort: SearchEffort,
        compared: int,
    ) -> _SomeHits:
        """The best of the ``rows`` by their ``products``, found among ``compared`` vectors in all."""
        kept = _keep(
            rows,
            products,
            SCORE_SCALE / self.settings.scale(self.dimensions) ** 2,
            SCORE_SCALE * self.settings.floor,
            self.settings.ratio,
            effort.max_hits,
        )
        return _SomeHits(
            queried,
            Hits(
                kept.offsets,
                self.position[kept.row],
                self.reverse[kept.row],
                kept.score,
                kept.truncated,
                compared,
            ),
        )

    def parameters(self) -> dict[str, Any]:
        """Parameters for the index manifest."""
        return {"name": self.name, "dimensions": self.dimensions, **asdict(self.settings)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays among the attributes, by name."""
        return {
            "vectors": self.vectors,
            "position": self.position,
            "reverse": self.reverse,
            "scanner": self.scanner,
        }


def _merged(found: Sequence[_SomeHits], count: int) -> Hits:
    """The hits of ``count`` queries, each of which is in one item of ``found``."""
    query = np.concatenate([np.repeat(queried, np.diff(hits.offsets)) for queried, hits in found])
    order = np.argsort(query, kind="stable")
    truncated = np.zeros(count, np.uint8)
    for queried, hits in found:
        truncated[queried] = hits.truncated
    return Hits(
        np.concatenate([[0], np.cumsum(np.bincount(query, minlength=count))]),
        np.concatenate([hits.position for _, hits in found])[order],
        np.concatenate([hits.reverse for _, hits in found])[order],
        np.concatenate([hits.score for _, hits in found])[order],
        truncated,
        sum(hits.scanned for _, hits in found),
    )


@njit
def quantize(embeddings: F32Array, scale: Float) -> I8Array:
    """Round vectors to 8 bits.

    Args:
        embeddings: ``float32[n, dimensions]``.
        scale: factor of the components (`DenseParameters.scale`).

    Returns:
        ``int8[n, dimensions]``, clipped at +-`MAX_COMPONENT`.
    """
    out = np.empty(embeddings.shape, np.int8)
    for i in range(embeddings.shape[0]):
        for t in range(embeddings.shape[1]):
            value = np.rint(np.float64(embeddings[i, t]) * scale)
            out[i, t] = np.int8(min(max(value, -MAX_COMPONENT), MAX_COMPONENT))
    return out


@njit
def _product(a: I8Array, b: I8Array) -> Int:
    """Scalar product of two vectors."""
    product = np.int32(0)
    for t in range(len(a)):
        # Narrowed at each step: numba computes in 64 bits, of which a vector register holds half as many.
        product = np.int32(product + np.int32(np.int32(a[t]) * np.int32(b[t])))
    return product


@njit
def _products(vectors: I8Array, queries: I8Array, candidates: I64Array) -> I32Array:
    """``int32[queries, width]``: products of each query with its candidates' vectors; 0 for a candidate of -1."""
    products = np.zeros(candidates.shape, np.int32)
    for q in range(candidates.shape[0]):
        for j in range(candidates.shape[1]):
            if candidates[q, j] >= 0:
                products[q, j] = _product(vectors[candidates[q, j]], queries[q])
    return products


class _Kept(NamedTuple):
    """What is kept of the candidates of n queries: compressed rows of ``offsets`` (``int64[n + 1]``).

    row: ``int64[hits]``, of the vectors.
    score: ``int32[hits]``.
    truncated: ``uint8[n]``, 1 for queries with more hits than are kept.
    """

    offsets: I64Array
    row: I64Array
    score: I32Array
    truncated: U8Array


@njit
def _keep(
    candidates: I64Array, products: I32Array, unit: Float, floor: Float, ratio: Float, max_hits: Int
) -> _Kept:
    """The best of each query's candidates by their products (see `DenseStore.search`).

    Args:
        candidates: ``int64[queries, width]``, rows of vectors.
        products: ``int32[queries, width]``.
        unit: score of a product of 1.
        floor: minimum score of a hit.
        ratio: minimum score of a hit as a share of its query's best.
        max_hits: hits per query, at most.
    """
    n, width = candidates.shape
    kept = np.empty(n * min(width, max_hits), np.int64)
    score = np.empty(len(kept), np.int32)
    offsets = np.zeros(n + 1, np.int64)
    truncated = np.zeros(n, np.uint8)
    scores = np.empty(width, np.int64)
    keys = np.empty(width, np.int64)
    count = 0
    for q in range(n):
        best = np.int64(0)
        for j in range(width):
            scores[j] = np.int64(np.rint(products[q, j] * unit))
            best = max(best, scores[j])
        threshold = max(floor, ratio * best)
        held = 0
        for j in range(width):
            if scores[j] >= threshold:
                # Sorted as one number: best score first, then position, which is the order of the vectors.
                keys[held] = (-scores[j] << 32) | candidates[q, j]
                held += 1
        truncated[q] = held > max_hits
        for key in np.sort(keys[:held])[:max_hits]:
            kept[count] = key & 0xFFFFFFFF
            score[count] = -(key >> 32)
            count += 1
        offsets[q + 1] = count
    return _Kept(offsets, kept[:count].copy(), score[:count].copy(), truncated)
