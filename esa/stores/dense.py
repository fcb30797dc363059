"""The store of dense embeddings: a scanner finds a shortlist, exact products of 8-bit vectors rank it.

Vectors are kept as ``int8`` with one scale for all components, and queries are rounded alike. So every
product that ranks is a sum of integers: the same on any number of threads, in any batch.

Sketches are nearly isotropic: what is near to a query lies in a few lists of a large store, but what is not so near
may lie in any (`scripts/bench_dense.py` has the figures). So a query looks into the nearest lists, and into all at once
if what it found there is not near enough to be what it looks for.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from esa.compiled import njit
from esa.stores.base import Hits, SearchEffort
from esa.stores.scanner import FaissScanner, ListScanner, Scanner, open_scanner

LARGEST = 127
"""Largest component of an ``int8`` vector; -128 is not used."""

QUERIES = 512
"""Searched together: their shortlists of thousands take 0.2 MB each."""

Integer = TypeVar("Integer", np.int32, np.int64)

SCORE_SCALE = 1000
"""A hit's score is its cosine in thousandths."""


@dataclass(frozen=True)
class DenseParameters:
    """How vectors are kept and which are found.

    Attributes:
        exact_limit: a store of at most so many vectors is scanned exactly.
        shortlist: vectors that a scan finds for a query, for each probe of the `SearchEffort`.
        lists_from: a store of so many vectors has its codes in inverted lists.
        visited: one list in so many, the nearest ones, is looked into at first.
        settled: Heuristic: a query whose best cosine there is at least this is done; others look into all lists.
            (The cosine of a read with 5 % edits and its fragment has a median of 0.65, of one with 10 % 0.44.)
        far_shortlist: vectors that a scan of all lists finds, in place of ``shortlist``: among more vectors the
            codes put more of the wrong ones before the right one.
        clip: components beyond this multiple of 1 / sqrt(dimensions) are cut.
        floor: least cosine of a hit. Measured on a human chromosome: the nearest vector to a random sequence
            has a cosine of about 0.29, to a read with 10 % edits 0.37, to one with 1 % 0.8.
        ratio: least cosine of a hit as a share of its query's best.
    """

    exact_limit: int = 50_000
    shortlist: int = 500
    lists_from: int = 2_000_000
    visited: int = 32
    settled: float = 0.6
    far_shortlist: int = 4000
    clip: float = 6.0
    floor: float = 0.25
    ratio: float = 0.6

    def __post_init__(self) -> None:
        least = min(self.shortlist, self.far_shortlist, self.visited)
        shares = 0 < self.floor <= 1 and 0 <= self.ratio <= 1 and self.settled >= 0
        if least < 1 or self.clip <= 0 or not shares:
            raise ValueError(f"no search can be made with {self}")

    def scale(self, dimensions: int) -> float:
        """What a component is multiplied by before it is rounded."""
        return LARGEST * float(np.sqrt(dimensions)) / self.clip


class _Shortlist(NamedTuple):
    """What is ranked.

    Attributes:
        rows: ``int64[queries, width]``, of vectors; -1 where there are no more.
        products: ``int32[queries, width]``, with the query; 0 where there are no more.
        compared: vectors, of which these were found.
    """

    rows: NDArray[np.int64]
    products: NDArray[np.int32]
    compared: int


@dataclass(frozen=True)
class DenseStore:
    """Unit vectors rounded to 8 bits, in order of position.

    Attributes:
        vectors: ``int8[n, dimensions]``.
        position: ``int64[n]``, global start of each fragment.
        reverse: ``uint8[n]``, its orientation.
        scanner: ``uint8``, what finds the shortlists (`esa.stores.scanner`); empty for an exact store.
        settings: how it was built and is searched.
        exact: an exact scanner in place of these.
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
        # A cached property has no lock of its own, and two threads would hold the codes twice.
        with self._lock:
            return self._opened

    @cached_property
    def _opened(self) -> FaissScanner:
        return open_scanner(self.scanner) if len(self.scanner) else FaissScanner.exact(self.vectors)

    def search(self, embeddings: NDArray[np.float32], effort: SearchEffort) -> Hits:
        """The nearest vectors by cosine, at most ``effort.max_hits``, those above the floor.

        ``effort.probes`` multiplies the shortlist of a large store. A score is the cosine in thousandths.
        Hits are in order of score, then of position; a zero vector has none.
        """
        queries = quantize(np.ascontiguousarray(embeddings, np.float32), self.settings.scale(self.dimensions))
        return _joined(
            [
                self._search(queries[begin : begin + QUERIES], effort)
                for begin in range(0, max(1, len(queries)), QUERIES)
            ]
        )

    def _search(self, queries: NDArray[np.int8], effort: SearchEffort) -> Hits:
        shortlist = self._shortlist(queries, effort)
        offsets, kept, score, capped = _keep(
            shortlist.rows,
            shortlist.products,
            SCORE_SCALE / self.settings.scale(self.dimensions) ** 2,
            SCORE_SCALE * self.settings.floor,
            self.settings.ratio,
            effort.max_hits,
        )
        return Hits(offsets, self.position[kept], self.reverse[kept], score, capped, shortlist.compared)

    def _shortlist(self, queries: NDArray[np.int8], effort: SearchEffort) -> _Shortlist:
        # One more than may be kept, to know whether any was left out.
        width = min(len(self), effort.max_hits + 1)
        if not width or not len(queries):
            return self._of_all(queries, np.empty((len(queries), 0), np.int64))
        if self.exact is not None:
            return self._of_all(queries, self.exact.search(queries, width))
        if len(self.scanner):
            width = min(len(self), max(width, self.settings.shortlist * effort.probes))
        scanner = self._scanner
        if isinstance(scanner, ListScanner):
            wide = min(len(self), max(width, self.settings.far_shortlist))
            if effort.probes == 1:
                return self._from_lists(scanner, queries, width, wide)
            width = wide
        return self._of_all(queries, scanner.search(queries, width))

    def _of_all(self, queries: NDArray[np.int8], rows: NDArray[np.int64]) -> _Shortlist:
        """``rows`` were found among all vectors."""
        return _Shortlist(rows, _products(self.vectors, queries, rows), len(self) * len(queries))

    def _from_lists(
        self, scanner: ListScanner, queries: NDArray[np.int8], width: int, wide: int
    ) -> _Shortlist:
        """Shortlists of ``width`` from the nearest lists, and for who finds nothing near there ``wide`` from all."""
        near = scanner.nearest_lists(queries, max(1, scanner.count // self.settings.visited))
        rows = scanner.search_lists(queries, near, width)
        products = _products(self.vectors, queries, rows)
        compared = int(scanner.sizes[near].sum())
        unsettled = products.max(axis=1) < self.settings.settled * self.settings.scale(self.dimensions) ** 2
        # A zero vector is near to nothing.
        far = np.flatnonzero(unsettled & queries.any(axis=1))
        if not len(far):
            return _Shortlist(rows, products, compared)
        of_all = self._of_all(queries[far], scanner.search(queries[far], wide))
        return _Shortlist(
            _with_rows(rows, far, of_all.rows, fill=-1),
            _with_rows(products, far, of_all.products, fill=0),
            compared + of_all.compared,
        )

    def parameters(self) -> dict[str, Any]:
        return {"name": self.name, "dimensions": self.dimensions, **asdict(self.settings)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "vectors": self.vectors,
            "position": self.position,
            "reverse": self.reverse,
            "scanner": self.scanner,
        }


def _joined(parts: list[Hits]) -> Hits:
    """The hits of queries that were searched in parts."""
    offsets, position, reverse, score, capped, scanned = zip(*parts, strict=True)
    begins = np.cumsum([0, *(own[-1] for own in offsets[:-1])])
    return Hits(
        np.concatenate(
            [offsets[0][:1], *(own[1:] + begin for own, begin in zip(offsets, begins, strict=True))]
        ),
        np.concatenate(position),
        np.concatenate(reverse),
        np.concatenate(score),
        np.concatenate(capped),
        sum(scanned),
    )


def _with_rows(
    table: NDArray[Integer], chosen: NDArray[np.int64], rows: NDArray[Integer], fill: int
) -> NDArray[Integer]:
    """``table`` as wide as ``rows``, which take the place of its ``chosen`` ones."""
    out = np.full((len(table), rows.shape[1]), fill, table.dtype)
    out[:, : table.shape[1]] = table
    out[chosen] = rows
    return out


@njit
def quantize(embeddings, scale):  # type: ignore[no-untyped-def]
    """``int8``: components times ``scale``, rounded, cut at `LARGEST`."""
    out = np.empty(embeddings.shape, np.int8)
    for i in range(embeddings.shape[0]):
        for t in range(embeddings.shape[1]):
            value = np.rint(np.float64(embeddings[i, t]) * scale)
            out[i, t] = np.int8(min(max(value, -LARGEST), LARGEST))
    return out


@njit
def _product(a, b):  # type: ignore[no-untyped-def]
    product = np.int32(0)
    for t in range(len(a)):
        # Narrowed at each step: numba computes in 64 bits, of which a register holds half as many.
        product = np.int32(product + np.int32(np.int32(a[t]) * np.int32(b[t])))
    return product


@njit
def _products(vectors, queries, candidates):  # type: ignore[no-untyped-def]
    """``int32``: of each query with its candidates; 0 in place of -1."""
    products = np.zeros(candidates.shape, np.int32)
    for q in range(candidates.shape[0]):
        for j in range(candidates.shape[1]):
            if candidates[q, j] >= 0:
                products[q, j] = _product(vectors[candidates[q, j]], queries[q])
    return products


@njit
def _keep(candidates, products, unit, floor, ratio, max_hits):  # type: ignore[no-untyped-def]
    """The best of each query's candidates by their products; see `DenseStore.search`.

    ``unit`` is the score of a product of 1; ``floor`` the least score.
    """
    n, width = candidates.shape
    kept = np.empty(n * min(width, max_hits), np.int64)
    score = np.empty(len(kept), np.int32)
    offsets = np.zeros(n + 1, np.int64)
    capped = np.zeros(n, np.uint8)
    scores = np.empty(width, np.int64)
    keys = np.empty(width, np.int64)
    count = 0
    for q in range(n):
        best = np.int64(0)
        for j in range(width):
            scores[j] = np.int64(np.rint(products[q, j] * unit))
            best = max(best, scores[j])
        least = max(floor, ratio * best)
        held = 0
        for j in range(width):
            if scores[j] >= least:
                # Sorted as one number: best score first, then position, which is the order of the vectors.
                keys[held] = (-scores[j] << 32) | candidates[q, j]
                held += 1
        capped[q] = held > max_hits
        for key in np.sort(keys[:held])[:max_hits]:
            kept[count] = key & 0xFFFFFFFF
            score[count] = -(key >> 32)
            count += 1
        offsets[q + 1] = count
    return offsets, kept[:count].copy(), score[:count].copy(), capped
