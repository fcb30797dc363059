"""The store of dense embeddings: a scanner finds a shortlist, exact products of 8-bit vectors rank it.

Vectors are kept as ``int8`` with one scale for all components, and queries are rounded alike. So every
product that ranks is a sum of integers: the same on any number of threads, in any batch.

Sketches are nearly isotropic: what is near to a query lies in a few lists of a large store, but what is not so near
may lie in any (`make bench-dense` has the figures). So a query looks into the nearest lists, and into all at once
if what it found there is not near enough to be what it looks for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.kernels.decorator import njit
from esa.stores.base import Hits, SearchEffort
from esa.stores.scanner import FaissScanner, ListScanner, Scanner, open_scanner

LARGEST = 127
"""Largest component of an ``int8`` vector; -128 is not used."""

QUERIES = 512
"""Searched together in a few lists: the more, the seldomer a list is read."""
FAR_QUERIES = 128
"""Searched together in all lists: faiss and their shortlists take 0.7 MB each."""

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
            (The cosine of a read with 5 % edits and its fragment has a median of 0.65, of one with 10 % 0.44. With 0.6
            in place of 0.5, 39 and not 15 % of the former look into all, to find at most one read in 300 more.)
        far_shortlist: vectors that a scan of all lists finds, in place of ``shortlist``: among more vectors the
            codes put more of the wrong ones before the right one. Of 23 million, 4,000 hold the fragment of a read with
            10 % edits 3 points less often among their best 50 than all vectors do, 16,000 less than one point.
        clip: components beyond this multiple of 1 / sqrt(dimensions) are cut.
        floor: least cosine of a hit. Measured on a human chromosome: the nearest vector to a random sequence
            has a cosine of about 0.29, to a read with 10 % edits 0.37, to one with 1 % 0.8.
        ratio: least cosine of a hit as a share of its query's best.
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
        least = min(self.shortlist, self.far_shortlist, self.visited)
        shares = 0 < self.floor <= 1 and 0 <= self.ratio <= 1 and self.settled >= 0
        if least < 1 or self.clip <= 0 or not shares:
            raise ValueError(f"no search can be made with {self}")

    def scale(self, dimensions: int) -> float:
        """What a component is multiplied by before it is rounded."""
        return LARGEST * float(np.sqrt(dimensions)) / self.clip


class _Part(NamedTuple):
    """Hits of the queries ``asked`` (``int64[n]``)."""

    asked: NDArray[np.int64]
    hits: Hits


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
        every = np.arange(len(queries))
        parts = [
            part
            for begin in range(0, max(1, len(queries)), QUERIES)
            for part in self._search(queries, every[begin : begin + QUERIES], effort)
        ]
        return _joined(parts, len(queries))

    def _search(
        self, queries: NDArray[np.int8], asked: NDArray[np.int64], effort: SearchEffort
    ) -> Iterator[_Part]:
        """The hits of the queries ``asked``."""
        # One more than may be kept, to know whether any was left out.
        width = min(len(self), effort.max_hits + 1)
        if not width or not len(asked):
            yield self._of_all(queries, asked, np.empty((len(asked), 0), np.int64), effort)
            return
        if self.exact is not None:
            yield self._of_all(queries, asked, self.exact.search(queries[asked], width), effort)
            return
        if len(self.scanner):
            width = min(len(self), max(width, self.settings.shortlist * effort.probes))
        scanner = self._scanner
        if isinstance(scanner, ListScanner):
            yield from self._from_lists(scanner, queries, asked, width, effort)
        else:
            yield self._of_all(queries, asked, scanner.search(queries[asked], width), effort)

    def _from_lists(
        self,
        scanner: ListScanner,
        queries: NDArray[np.int8],
        asked: NDArray[np.int64],
        width: int,
        effort: SearchEffort,
    ) -> Iterator[_Part]:
        """From the nearest lists, for who finds something near there; from all for others, and with more probes."""
        if effort.probes == 1:
            near = scanner.nearest_lists(queries[asked], max(1, scanner.count // self.settings.visited))
            rows = scanner.search_lists(queries[asked], near, width)
            products = _products(self.vectors, queries[asked], rows)
            least = self.settings.settled * self.settings.scale(self.dimensions) ** 2
            # A zero vector is near to nothing.
            settled = (products.max(axis=1) >= least) | ~queries[asked].any(axis=1)
            compared = int(scanner.sizes[near].sum())
            yield self._best(asked[settled], rows[settled], products[settled], effort, compared)
            asked = asked[~settled]
        wide = min(len(self), max(width, self.settings.far_shortlist))
        for begin in range(0, len(asked), FAR_QUERIES):
            some = asked[begin : begin + FAR_QUERIES]
            yield self._of_all(queries, some, scanner.search(queries[some], wide), effort)

    def _of_all(
        self,
        queries: NDArray[np.int8],
        asked: NDArray[np.int64],
        rows: NDArray[np.int64],
        effort: SearchEffort,
    ) -> _Part:
        """The best of the ``rows`` that were found among all vectors."""
        products = _products(self.vectors, queries[asked], rows)
        return self._best(asked, rows, products, effort, len(self) * len(asked))

    def _best(
        self,
        asked: NDArray[np.int64],
        rows: NDArray[np.int64],
        products: NDArray[np.int32],
        effort: SearchEffort,
        compared: int,
    ) -> _Part:
        """The best of the ``rows``, by their products; they were found among so many vectors."""
        offsets, kept, score, truncated = _keep(
            rows,
            products,
            SCORE_SCALE / self.settings.scale(self.dimensions) ** 2,
            SCORE_SCALE * self.settings.floor,
            self.settings.ratio,
            effort.max_hits,
        )
        return _Part(
            asked, Hits(offsets, self.position[kept], self.reverse[kept], score, truncated, compared)
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


def _joined(parts: Sequence[_Part], count: int) -> Hits:
    """The hits of ``count`` queries, each of which is in one of the parts."""
    query = np.concatenate([np.repeat(asked, np.diff(hits.offsets)) for asked, hits in parts])
    order = np.argsort(query, kind="stable")
    truncated = np.zeros(count, np.uint8)
    for asked, hits in parts:
        truncated[asked] = hits.truncated
    return Hits(
        np.concatenate([[0], np.cumsum(np.bincount(query, minlength=count))]),
        np.concatenate([hits.position for _, hits in parts])[order],
        np.concatenate([hits.reverse for _, hits in parts])[order],
        np.concatenate([hits.score for _, hits in parts])[order],
        truncated,
        sum(hits.scanned for _, hits in parts),
    )


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
    truncated = np.zeros(n, np.uint8)
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
        truncated[q] = held > max_hits
        for key in np.sort(keys[:held])[:max_hits]:
            kept[count] = key & 0xFFFFFFFF
            score[count] = -(key >> 32)
            count += 1
        offsets[q + 1] = count
    return offsets, kept[:count].copy(), score[:count].copy(), truncated
