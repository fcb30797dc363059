"""The stores table of `make bench-encoders`: ways to search dense vectors, with recall and cost.

"A + int8" is a search on two levels: A, in memory, finds a shortlist; exact products of 8-bit vectors from a mapped
file rank it. Those rows are `DenseStore` with A as its scanner. "esa" is `DenseStore` as `esa index` builds it, with
its floor and its ratio of a hit's cosine, which the other rows lack.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from esa.eval.recall import ReadSet, in_chunks, nearest, recall_at_depths, share_in_common
from esa.fragments.base import Fragments
from esa.stores.base import SearchEffort
from esa.stores.dense import DenseParameters, DenseStore
from esa.stores.dense_builder import DenseStoreBuilder
from scripts.common.markdown_tables import MarkdownTable
from scripts.common.programs import note
from scripts.common.timed_runs import MICROS, median_seconds

HITS = 50
DEPTHS = (1, HITS)
SHORTLISTS = (100, 500)
LONG_SHORTLIST = 500
SHORT_STORE_SHORTLIST = 200
"""Tried in place of the default of `DenseParameters`."""
LEAST_FLOOR = 0.001
"""Every vector with a positive cosine is a hit."""

TRAINING_VECTORS = 100_000
VISITED = (64, 16, 4)
"""One inverted list in so many is looked into."""
SIGNS = "signs"
"""One bit a component, compared by Hamming distance."""
NEIGHBOURS = 32
"""Links of a vector in HNSW."""

TIMED_QUERIES = 200
REPEATS = 3

Search = Callable[[NDArray[np.float32]], NDArray[np.int64]]
"""Of queries ``[n, d]``, the rows of the vectors found, best first, -1 where there are no more."""


@dataclass(frozen=True)
class Candidate:
    """A way to search: bytes a vector in memory and on disk, positions aside."""

    name: str
    memory: float
    disk: float
    build_seconds: float
    search: Search


@dataclass(frozen=True)
class Queries:
    """A read set and its vectors."""

    label: str
    reads: ReadSet
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class Kept:
    """Vectors in memory, and rounded to 8 bits in a file that is mapped; the indexes made of them."""

    vectors: NDArray[np.float32]
    mapped: NDArray[np.int8]
    indexes: dict[str, tuple[faiss.Index, float]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dimensions(self) -> int:
        """Components of a vector."""
        return int(self.vectors.shape[1])

    @property
    def sample(self) -> NDArray[np.float32]:
        """What an index is trained on."""
        return self.vectors[:: -(-len(self) // TRAINING_VECTORS)]

    @property
    def lists(self) -> int:
        """Inverted lists: the power of two under twice the root of the vectors."""
        return 1 << int(math.log2(2 * math.sqrt(len(self))))


def built(kept: Kept, description: str) -> tuple[faiss.Index, float]:
    """A faiss index of the vectors, made once, and the seconds that it took."""
    if description not in kept.indexes:
        begin = time.perf_counter()
        index: faiss.Index
        if description == SIGNS:
            # Of the components about their medians.
            index = faiss.IndexLSH(kept.dimensions, kept.dimensions, False, True)
        else:
            index = faiss.index_factory(kept.dimensions, description, faiss.METRIC_INNER_PRODUCT)
        index.train(kept.sample)
        index.add(kept.vectors)
        kept.indexes[description] = index, time.perf_counter() - begin
        note(f"built {description}")
    return kept.indexes[description]


def look_into(index: faiss.Index, lists: int) -> None:
    """So many inverted lists at a search; 0 if it has none."""
    if lists:
        faiss.extract_index_ivf(index).nprobe = lists


def plain(kept: Kept, description: str, lists: Sequence[int] = (0,)) -> Iterator[Candidate]:
    """One index alone, with each number of lists."""
    index, seconds = built(kept, description)
    size = len(faiss.serialize_index(index)) / len(kept)

    def search(probes: int, queries: NDArray[np.float32]) -> NDArray[np.int64]:
        look_into(index, probes)
        found: NDArray[np.int64] = index.search(queries, HITS)[1]
        return found

    for probes in lists:
        yield Candidate(named(description, probes), size, size, seconds, partial(search, probes))


def named(description: str, lists: int) -> str:
    """The name of a row; ``lists``: 0 where there are none."""
    return f"{description}, {lists} lists" if lists else description


def two_level(
    kept: Kept, description: str, shortlists: Sequence[int], lists: Sequence[int] = (0,)
) -> Iterator[Candidate]:
    """One index as the scanner of a `DenseStore`."""
    index, seconds = built(kept, description)
    for probes in lists:
        look_into(index, probes)
        scanner = faiss.serialize_index(index)
        for shortlist in shortlists:
            visited = kept.lists // probes if probes else 1
            settings = DenseParameters(
                shortlist=shortlist, visited=visited, settled=0.0, floor=LEAST_FLOOR, ratio=0
            )
            yield of_store(
                f"{named(description, probes)}, {shortlist} + int8",
                stored(kept.mapped, scanner, settings),
                seconds,
            )


def stored(vectors: NDArray[np.int8], scanner: NDArray[np.uint8], settings: DenseParameters) -> DenseStore:
    """A `DenseStore` whose positions are the vectors' rows."""
    n = len(vectors)
    return DenseStore(vectors, np.arange(n, dtype=np.int64), np.zeros(n, np.uint8), scanner, settings)


def of_store(name: str, store: DenseStore, seconds: float) -> Candidate:
    """A `DenseStore` as a row of the table."""
    scanner = len(store.scanner) / len(store)
    # An exact store is scanned as float32.
    memory = scanner or float(store.dimensions * np.dtype(np.float32).itemsize)

    def search(queries: NDArray[np.float32]) -> NDArray[np.int64]:
        hits = store.search(queries, SearchEffort(max_hits=HITS))
        out = np.full((len(queries), HITS), -1, np.int64)
        query = np.repeat(np.arange(len(queries)), np.diff(hits.offsets))
        out[query, np.arange(len(query)) - hits.offsets[query]] = hits.position
        return out

    return Candidate(name, memory, scanner + store.dimensions, seconds, search)


def rounded(vectors: NDArray[np.float32]) -> tuple[DenseStore, float]:
    """The vectors as `esa index` stores them, and the seconds it took."""
    begin = time.perf_counter()
    builder = DenseStoreBuilder(vectors.shape[1])
    builder.add(vectors, np.arange(len(vectors)), np.zeros(len(vectors), np.uint8))
    return builder.finish(), time.perf_counter() - begin


def candidates(kept: Kept, default: DenseStore, seconds: float, hnsw: bool) -> Iterator[Candidate]:
    """The ways to search that are compared."""
    lists = [max(1, kept.lists // visited) for visited in VISITED]
    quantizers = [f"PQ{kept.dimensions // part}x4fs" for part in (4, 8)]
    for description in ("Flat", "SQfp16", "SQ8", quantizers[0]):
        yield from plain(kept, description)
    for kind in ("Flat", "SQ8", "RaBitQ", quantizers[0]):
        yield from plain(kept, f"IVF{kept.lists},{kind}", lists)
    if hnsw:
        yield from plain(kept, f"HNSW{NEIGHBOURS}")
    for description in (SIGNS, "RaBitQfs", *quantizers):
        yield from two_level(kept, description, SHORTLISTS)
    for kind in ("RaBitQ", quantizers[0]):
        yield from two_level(kept, f"IVF{kept.lists},{kind}", [LONG_SHORTLIST], lists[1:])
    empty = np.empty(0, np.uint8)
    exact = DenseParameters(floor=LEAST_FLOOR, ratio=0)
    yield of_store("int8, exact", stored(kept.mapped, empty, exact), seconds)
    name = f"esa, shortlist {default.settings.shortlist}" if len(default.scanner) else "esa, exact"
    yield of_store(name, stored(kept.mapped, default.scanner, default.settings), seconds)
    if len(default.scanner):
        shorter = replace(default.settings, shortlist=SHORT_STORE_SHORTLIST)
        name = f"esa, shortlist {SHORT_STORE_SHORTLIST}"
        yield of_store(name, stored(kept.mapped, default.scanner, shorter), seconds)


@contextmanager
def one_thread() -> Iterator[None]:
    """faiss on one thread: beside other work its threads wait for each other, fifty times as long."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def stores_table(
    title: str,
    origin: str,
    fragments: Fragments,
    vectors: NDArray[np.float32],
    sets: Sequence[Queries],
    hnsw: bool,
) -> MarkdownTable:
    """Print and return the table of all candidates for these vectors of these fragments.

    ``origin`` says where the reads are from.
    """
    table = MarkdownTable(
        title,
        f"{origin} {len(vectors):,} vectors of {vectors.shape[1]} components, {len(sets[0].reads):,} reads a set. "
        f"Of each set: R@{DEPTHS[0]} / R@{DEPTHS[1]} / share of exact search's {HITS} hits. us a query: one thread, "
        f"{TIMED_QUERIES} at a time, median of {REPEATS}, the stores in turn. Bytes a vector without its position. "
        "Of esa, hits below the floor or far below the best are left out.",
        {"store": ""}
        | {q.label: ".3f" for q in sets}
        | {"us a query": ".0f", "bytes in memory": ".0f", "bytes on disk": ".0f", "build s": ".1f"},
    )
    default, seconds = rounded(vectors)
    exact = [nearest(q.vectors, in_chunks(vectors), HITS) for q in sets]
    with tempfile.TemporaryDirectory() as folder, one_thread():
        path = Path(folder) / "vectors.npy"
        np.save(path, default.vectors)
        kept = Kept(vectors, np.load(path, mmap_mode="r"))
        found = list(candidates(kept, default, seconds, hnsw))
        few = sets[0].vectors[:TIMED_QUERIES]
        times = median_seconds([partial(c.search, few) for c in found], REPEATS)
        table.begin()
        for candidate, time_taken in zip(found, times, strict=True):
            cells = []
            for q, best in zip(sets, exact, strict=True):
                rows = candidate.search(q.vectors)
                recall = recall_at_depths(fragments, q.reads, rows, DEPTHS)
                cells.append((*recall, share_in_common(rows, best)))
            micros = time_taken / len(few) * MICROS
            sizes = (candidate.memory, candidate.disk, candidate.build_seconds)
            table.add(candidate.name, *cells, micros, *sizes)
    return table
