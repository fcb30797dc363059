"""Scanners find shortlists of vectors for exact ranking, by faiss (Douze et al. 2024, arXiv:2401.08281).

Small stores are scanned exactly. Larger ones are scanned by 4-bit product quantization in registers (André et al. 2015,
VLDB 9:288, "Cache locality is not enough"). The largest have their codes in inverted lists, so that not all need be
scanned (Jégou et al. 2011, TPAMI 33:117). The codes stand for whole vectors, not for residuals from their list's
centre. That finds more here, and a scan of all lists is then one of all codes.

Vectors, queries and centres are integers, and float32 holds their products exactly (they stay far below 2**24), in
whatever order they are summed. So a vector's list does not depend on threads or libraries.

The only module that imports faiss.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from esa.errors import IndexFormatError
from esa.kernels.madvise import give_back
from esa.stores.base import Growing

SUBVECTOR = 4
"""Components per 4-bit code of the product quantizer.

With two, codes are more precise: of 23 million vectors, a shortlist of 500 is as good as all, where with four it takes
16,000. But a scan of all codes takes twice the time, and the whole search a third to a half more.
"""

CODE_BITS = 4
"""Bits of a product-quantizer code."""

TRAINING_VECTORS = 8192
"""Vectors that the quantizer is trained on: 512 for each of its 16 centroids. More change nothing."""

TRAINING_LISTS = 64
"""Vectors per list that the lists' centres are trained on."""
ROUNDS = 10
"""Iterations of k-means."""
SEED = 1
"""Seed of k-means."""

CHUNK = 65536
"""Vectors converted to float32 at a time."""

BY_LISTS = 13
"""faiss's ``implem`` that scans list by list, for all queries, into a reservoir for each.

It is the fastest of its kind for long shortlists. It is used for any number of queries, since implementations differ
in which of equal vectors they keep.
"""


_swig: Any = faiss
"""faiss as an untyped module, for names that its stubs lack."""


class Scanner(Protocol):
    """Finds shortlists. Thread-safe; a shortlist depends on its query alone."""

    def search(self, queries: NDArray[np.int8], width: int) -> NDArray[np.int64]:
        """Rows of the (approximately) nearest vectors.

        Args:
            queries: ``int8[n, dimensions]``.
            width: rows per query.

        Returns:
            ``int64[n, width]``, filled up with -1 where there are fewer.
        """


class FaissScanner:
    """A scan of all vectors."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def exact(cls, vectors: NDArray[np.int8]) -> FaissScanner:
        """A scanner of ``vectors`` (``int8[n, dimensions]``) by their exact products."""
        index = faiss.IndexFlatIP(vectors.shape[1])
        _add(index, vectors)
        return cls(index)

    def search(self, queries: NDArray[np.int8], width: int) -> NDArray[np.int64]:
        """`Scanner.search`."""
        with _threads(1):
            found: NDArray[np.int64] = self._index.search(queries.astype(np.float32), width)[1]
        return found


class ListScanner(FaissScanner):
    """A scan of codes in inverted lists."""

    def __init__(self, index: Any) -> None:
        super().__init__(index)
        index.implem = BY_LISTS
        self.sizes = np.array([index.invlists.list_size(i) for i in range(index.nlist)], np.int64)
        """``int64[lists]``, vectors per list."""

    @property
    def count(self) -> int:
        """Number of lists."""
        return len(self.sizes)

    @property
    def centres(self) -> NDArray[np.float32]:
        """``float32[lists, dimensions]``; a vector is in the list whose centre has the largest product with it."""
        centres: NDArray[np.float32] = self._index.quantizer.reconstruct_n(0, self.count)
        return centres

    def search(self, queries: NDArray[np.int8], width: int) -> NDArray[np.int64]:
        """`Scanner.search` in all lists."""
        every = np.arange(self.count)
        return self.search_lists(queries, np.tile(every, (len(queries), 1)), width)

    def nearest_lists(self, queries: NDArray[np.int8], count: int) -> NDArray[np.int64]:
        """``int64[queries, count]``, the lists whose centres are nearest."""
        with _threads(1):
            lists: NDArray[np.int64] = self._index.quantizer.search(queries.astype(np.float32), count)[1]
        return lists

    def search_lists(
        self, queries: NDArray[np.int8], lists: NDArray[np.int64], width: int
    ) -> NDArray[np.int64]:
        """`Scanner.search` in some ``lists`` for each query (``int64[queries, lists]``)."""
        n, count = lists.shape
        found = np.full((n, width), -1, np.int64)
        if not n or not count or not width:
            return found
        x, lists = queries.astype(np.float32), np.ascontiguousarray(lists)
        scores = np.empty((n, width), np.float32)
        # Distances of the centres: only residual codes need them.
        unused = np.zeros((n, count), np.float32)
        # faiss's wrapper for numpy takes the number of lists from the index, which all threads share.
        parameters = _swig.SearchParametersIVF(nprobe=count)
        pointers = (faiss.swig_ptr(a) for a in (lists, unused, scores, found))
        with _threads(1):
            self._index.search_preassigned_c(n, faiss.swig_ptr(x), width, *pointers, False, parameters, None)
        return found


def open_scanner(serialized: NDArray[np.uint8]) -> FaissScanner:
    """The scanner that `write_scanner` wrote as ``serialized`` (``uint8``).

    Raises:
        IndexFormatError: the bytes are no such scanner.
    """
    reader = _swig.ZeroCopyIOReader(faiss.swig_ptr(serialized), serialized.size)
    try:
        index = faiss.read_index(reader)
    except RuntimeError as error:
        raise IndexFormatError(f"the store's scanner cannot be read ({error}): rebuild the index") from error
    give_back(serialized)
    return ListScanner(index) if isinstance(index, faiss.IndexIVFPQFastScan) else FaissScanner(index)


def write_scanner(vectors: NDArray[np.int8], lists: int, threads: int, out: Growing) -> None:
    """Train the quantizers on evenly spaced vectors, encode all vectors, and write the scanner.

    Args:
        vectors: ``int8[n, dimensions]``.
        lists: number of inverted lists; 0: none.
        threads: threads that encode; their number does not change a byte.
        out: ``uint8`` array that the serialized scanner is appended to.
    """
    dimensions = vectors.shape[1]
    index: Any
    kind = (dimensions // SUBVECTOR, CODE_BITS, faiss.METRIC_INNER_PRODUCT)
    # Trained on one thread, so that an index does not depend on their number.
    with _threads(1):
        if lists:
            centres = faiss.IndexFlatIP(dimensions)
            centres.add(_centres(vectors, lists))
            index = faiss.IndexIVFPQFastScan(centres, dimensions, lists, *kind)
            index.by_residual = False
        else:
            index = faiss.IndexPQFastScan(dimensions, *kind)
        index.train(_spread(vectors, TRAINING_VECTORS))
    with _threads(threads if lists else 1):
        _add(index, vectors)
    writer = _swig.PyCallbackIOWriter(lambda chunk: out.append(np.frombuffer(chunk, np.uint8)))
    faiss.write_index(index, writer)


def _centres(vectors: NDArray[np.int8], lists: int) -> NDArray[np.float32]:
    """``float32[lists, dimensions]``: centres by spherical k-means, scaled to the vectors' norm and rounded."""
    sample = _spread(vectors, lists * TRAINING_LISTS)
    means: Any = faiss.Kmeans(
        vectors.shape[1],
        lists,
        niter=ROUNDS,
        spherical=True,
        seed=SEED,
        min_points_per_centroid=1,
        max_points_per_centroid=TRAINING_LISTS,
    )
    means.train(sample)
    length = float(np.sqrt((sample**2).sum(axis=1).mean()))
    centres: NDArray[np.float32] = np.rint(means.centroids * length)
    return centres


def _spread(vectors: NDArray[np.int8], count: int) -> NDArray[np.float32]:
    """About ``count`` of the vectors, evenly spaced, or all."""
    spread = vectors[:: -(-len(vectors) // count)].astype(np.float32)
    give_back(vectors)
    return spread


def _add(index: faiss.Index, vectors: NDArray[np.int8]) -> None:
    """Add vectors to an index, chunk by chunk."""
    for begin in range(0, len(vectors), CHUNK):
        index.add(vectors[begin : begin + CHUNK].astype(np.float32))
        give_back(vectors)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """faiss on ``count`` threads, for calls from this thread (the setting belongs to the calling thread)."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
