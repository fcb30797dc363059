"""Builds a `DenseStore` from a stream of embeddings; of what grows with the genome, only the codes are in memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esa.stores.base import ArrayStorage, MemoryStorage
from esa.stores.dense import DenseParameters, DenseStore, quantize
from esa.stores.scanner import SUBVECTOR, write_scanner


class DenseStoreBuilder:
    """Rounds embeddings to 8 bits and appends them to arrays.

    Args:
        dimensions: components of an embedding, a multiple of `SUBVECTOR`.
        settings: of the store; None: the defaults.
        threads: threads that assign the vectors of a large store to its lists.
        storage: storage of the arrays; None: memory.

    Raises:
        ValueError: ``dimensions`` is no such multiple.
    """

    def __init__(
        self,
        dimensions: int,
        settings: DenseParameters | None = None,
        threads: int = 1,
        storage: ArrayStorage | None = None,
    ) -> None:
        if dimensions % SUBVECTOR:
            raise ValueError(f"{dimensions} dimensions: not a multiple of {SUBVECTOR}")
        self._settings = settings or DenseParameters()
        self._scale = self._settings.scale(dimensions)
        self._threads = threads
        self._storage = storage or MemoryStorage()
        self._vectors = self._storage.grow("vectors", np.int8, (dimensions,))
        self._position = self._storage.grow("position", np.int64, ())
        self._reverse = self._storage.grow("reverse", np.uint8, ())

    def add(self, embeddings: NDArray[Any], position: NDArray[np.int64], reverse: NDArray[np.uint8]) -> None:
        """Add fragments (`esa.stores.base.StoreBuilder.add`); ``embeddings`` are ``float32[n, dimensions]``."""
        self._vectors.append(quantize(np.ascontiguousarray(embeddings, np.float32), self._scale))
        self._position.append(position)
        self._reverse.append(reverse)

    def finish(self) -> DenseStore:
        """The store of all fragments added, with a trained scanner where it is large."""
        vectors = self._vectors.finish()
        scanner = self._storage.grow("scanner", np.uint8, ())
        if len(vectors) > self._settings.exact_limit:
            lists = lists_of(len(vectors)) if len(vectors) >= self._settings.lists_from else 0
            write_scanner(vectors, lists, self._threads, scanner)
        return DenseStore(
            vectors, self._position.finish(), self._reverse.finish(), scanner.finish(), self._settings
        )


def lists_of(vectors: int) -> int:
    """Number of inverted lists for so many vectors: a power of two, about as many as vectors per list."""
    return 1 << int(math.log2(math.sqrt(vectors)))
