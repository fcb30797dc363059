"""The store of dense embeddings: faiss finds a shortlist, exact products of 8-bit vectors rank it.

Vectors are kept as ``int8`` with one scale for all components, and queries are rounded alike. So every
product that ranks is a sum of integers: the same on any number of threads, in any batch. A small store is
scanned exactly; a large one by 4-bit product quantization in registers (André et al. 2015, VLDB 9:288, "Cache
locality is not enough"; faiss: Douze et al. 2024, arXiv:2401.08281). Inverted lists are no help here:
sketches are nearly isotropic, and a query's neighbours lie in many lists (see `scripts/bench_stores.py`).

The only module that imports faiss.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import faiss
import numpy as np
from numpy.typing import NDArray

from esa.compiled import njit
from esa.stores.base import Hits, SearchEffort

SUBVECTOR = 4
"""Components that one 4-bit product-quantizer code stands for."""

CODE_BITS = 4

TRAINING_VECTORS = 8192
"""Vectors that the quantizer is trained on: 512 for each of its 16 centroids, more changes nothing."""

LARGEST = 127
"""Largest component of an ``int8`` vector; -128 is not used."""

CHUNK = 65536
"""Vectors turned to float32 at a time."""

SCORE_SCALE = 1000
"""A hit's score is its cosine in thousandths."""


@dataclass(frozen=True)
class DenseParameters:
    """How vectors are kept and which are found.

    Attributes:
        exact_limit: a store of at most so many vectors is scanned exactly.
        shortlist: vectors that faiss finds for a query, for each probe of the `SearchEffort`.
        clip: components beyond this multiple of 1 / sqrt(dimensions) are cut.
        floor: least cosine of a hit. Measured on a human chromosome: the nearest vector to a random sequence
            has a cosine of about 0.29, to a read with 10 % edits 0.37, to one with 1 % 0.8.
        ratio: least cosine of a hit as a share of its query's best.
    """

    exact_limit: int = 50_000
    shortlist: int = 500
    clip: float = 6.0
    floor: float = 0.25
    ratio: float = 0.6

    def __post_init__(self) -> None:
        if self.shortlist < 1 or self.clip <= 0 or not 0 < self.floor <= 1 or not 0 <= self.ratio <= 1:
            raise ValueError(f"no search can be made with {self}")

    def scale(self, dimensions: int) -> float:
        """What a component is multiplied by before it is rounded."""
        return LARGEST * float(np.sqrt(dimensions)) / self.clip


@dataclass(frozen=True)
class DenseStore:
    """Unit vectors rounded to 8 bits, in order of position.

    Attributes:
        vectors: ``int8[n, dimensions]``.
        position: ``int64[n]``, global start of each fragment.
        reverse: ``uint8[n]``, its orientation.
        scanner: ``uint8``, the faiss index that finds the shortlists, serialized; empty for an exact store.
        settings: how it was built and is searched.
    """

    vectors: NDArray[np.int8]
    position: NDArray[np.int64]
    reverse: NDArray[np.uint8]
    scanner: NDArray[np.uint8]
    settings: DenseParameters = field(default_factory=DenseParameters)

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

    @cached_property
    def _index(self) -> faiss.Index:
        if len(self.scanner):
            return faiss.deserialize_index(self.scanner)
        # float32 holds the products of int8 vectors exactly (they stay far below 2**24), however summed.
        index = faiss.IndexFlatIP(self.dimensions)
        _add(index, self.vectors)
        return index

    def search(self, embeddings: NDArray[np.float32], effort: SearchEffort) -> Hits:
        """The nearest vectors by cosine, at most ``effort.max_hits``, those above the floor.

        ``effort.probes`` multiplies the shortlist of a large store. A score is the cosine in thousandths.
        Hits are in order of score, then of position; a zero vector has none.
        """
        queries = _quantize(
            np.ascontiguousarray(embeddings, np.float32), self.settings.scale(self.dimensions)
        )
        candidates = self._shortlist(queries, effort)
        offsets, position, reverse, score, capped = _rank(
            self.vectors,
            self.position,
            self.reverse,
            queries,
            candidates,
            SCORE_SCALE / self.settings.scale(self.dimensions) ** 2,
            SCORE_SCALE * self.settings.floor,
            self.settings.ratio,
            effort.max_hits,
        )
        return Hits(offsets, position, reverse, score, capped, len(self) * len(queries))

    def _shortlist(self, queries: NDArray[np.int8], effort: SearchEffort) -> NDArray[np.int64]:
        """``int64[queries, width]``, indices of vectors, -1 where there are no more."""
        # One more than may be kept, to know whether any was left out.
        width = min(len(self), effort.max_hits + 1)
        if len(self.scanner):
            width = min(len(self), max(width, self.settings.shortlist * effort.probes))
        if not width or not len(queries):
            return np.empty((len(queries), 0), np.int64)
        with _one_thread():
            found: NDArray[np.int64] = self._index.search(queries.astype(np.float32), width)[1]
        return found

    def parameters(self) -> dict[str, Any]:
        return {"name": self.name, "dimensions": self.dimensions, **asdict(self.settings)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "vectors": self.vectors,
            "position": self.position,
            "reverse": self.reverse,
            "scanner": self.scanner,
        }


class DenseStoreBuilder:
    """Rounds embeddings as they come, so that only a byte a component is held."""

    def __init__(self, dimensions: int, settings: DenseParameters | None = None) -> None:
        self._dimensions = dimensions
        self._settings = settings or DenseParameters()
        if dimensions % SUBVECTOR:
            raise ValueError(f"{dimensions} dimensions: not a multiple of {SUBVECTOR}")
        self._vectors: list[NDArray[np.int8]] = []
        self._position: list[NDArray[np.int64]] = []
        self._reverse: list[NDArray[np.uint8]] = []

    def add(self, embeddings: NDArray[Any], position: NDArray[np.int64], reverse: NDArray[np.uint8]) -> None:
        scale = self._settings.scale(self._dimensions)
        self._vectors.append(_quantize(np.ascontiguousarray(embeddings, np.float32), scale))
        self._position.append(position.astype(np.int64))
        self._reverse.append(reverse)

    def finish(self) -> DenseStore:
        vectors = np.concatenate([np.empty((0, self._dimensions), np.int8), *self._vectors])
        position = np.concatenate([np.empty(0, np.int64), *self._position])
        reverse = np.concatenate([np.empty(0, np.uint8), *self._reverse])
        self._vectors, self._position, self._reverse = [], [], []
        if len(vectors) > self._settings.exact_limit:
            scanner = _train_scanner(vectors)
        else:
            scanner = np.empty(0, np.uint8)
        for array in (vectors, position, reverse, scanner):
            array.flags.writeable = False
        return DenseStore(vectors, position, reverse, scanner, self._settings)


def _train_scanner(vectors: NDArray[np.int8]) -> NDArray[np.uint8]:
    dimensions = vectors.shape[1]
    index = faiss.IndexPQFastScan(dimensions, dimensions // SUBVECTOR, CODE_BITS, faiss.METRIC_INNER_PRODUCT)
    step = -(-len(vectors) // TRAINING_VECTORS)
    # On one thread, so that an index does not depend on how many there were.
    with _one_thread():
        index.train(vectors[::step].astype(np.float32))
        _add(index, vectors)
    serialized: NDArray[np.uint8] = faiss.serialize_index(index)
    return serialized


def _add(index: faiss.Index, vectors: NDArray[np.int8]) -> None:
    for begin in range(0, len(vectors), CHUNK):
        index.add(vectors[begin : begin + CHUNK].astype(np.float32))


@contextmanager
def _one_thread() -> Iterator[None]:
    """faiss on the calling thread alone: the callers are the threads (the setting is each thread's own)."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


@njit
def _quantize(embeddings, scale):  # type: ignore[no-untyped-def]
    """``int8``: components times ``scale``, rounded, cut at `LARGEST`."""
    out = np.empty(embeddings.shape, np.int8)
    for i in range(embeddings.shape[0]):
        for t in range(embeddings.shape[1]):
            value = np.rint(np.float64(embeddings[i, t]) * scale)
            out[i, t] = np.int8(min(max(value, -LARGEST), LARGEST))
    return out


@njit
def _rank(vectors, position, reverse, queries, candidates, unit, floor, ratio, max_hits):  # type: ignore[no-untyped-def]
    """Scores the candidates of each query and keeps the best; see `DenseStore.search`.

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
            product = np.int32(0)
            if candidates[q, j] >= 0:
                vector = vectors[candidates[q, j]]
                for t in range(len(vector)):
                    product += np.int32(vector[t]) * np.int32(queries[q, t])
            scores[j] = np.int64(np.rint(product * unit))
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
    return offsets, position[kept[:count]], reverse[kept[:count]], score[:count].copy(), capped
