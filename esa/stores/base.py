"""The interface of a store: it holds embedded reference fragments and finds those nearest to a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

ANY_SIZE = 1 << 62
"""Bucket size that means "no limit", codes."""
REPEAT_BUCKET = 128
"""Codes of the largest bucket that is searched at first; a larger one (a *repeat bucket*) holds copies of a repeat.

Few buckets are that large, but they hold most of the codes that a search of all buckets would scan. Reads of other
sequence are found without them, and so are most edges of a repeat.
Chosen with ``make bench-encoders ARGS=--frontier``.
"""
SATELLITE_BUCKET = 1 << 14
"""Codes of the largest bucket that any level searches.

In a genome of hundreds of megabases, a larger bucket holds one period of a satellite, or a homopolymer. The largest
bucket of human chr20 has 11,000 codes, that of Plasmodium 10,600, and that of a genome of human size and kind over a
million. To search it would cost more than all other buckets together, and would find more equal places than are kept.
Fitted by `make bench-scaling` on the 3.1 Gb genome of `scripts/data/big_genome.py`, where 0.7 % of the reads lie
in such buckets and took three quarters of the time.
"""
MAX_SCANNED = 1 << 13
"""Codes compared with one query, at most, at levels that look up many buckets per query.

Many repeat buckets around one query mean a satellite. Fitted like `SATELLITE_BUCKET`.
"""


@dataclass(frozen=True)
class SearchEffort:
    """Limits of a search.

    Attributes:
        max_hits: largest number of hits per query, at least 1; the nearest are kept.
        probes: buckets looked up per query (bucketed stores), and a factor of the shortlist (dense stores).
        radius: exclusive upper limit of a hit's Hamming distance in bits (code stores); a hit scores
            ``radius - distance``.
        max_bucket: the bucket of a query's own key is skipped if it has more codes (bucketed stores).
        max_edited: the same for the other buckets that are looked up.
        max_scanned: a bucket is skipped if it would raise the codes compared with a query above this (bucketed stores).
        edits: number of edits whose keys are looked up (`esa.encoders.edits.edited_keys`; code encoders). With 0, keys
            are made by flipping the least certain bits instead, ``probes`` in all.
    """

    max_hits: int
    probes: int = 1
    radius: int = 1
    max_bucket: int = ANY_SIZE
    max_edited: int = ANY_SIZE
    max_scanned: int = ANY_SIZE
    edits: int = 0


class Keys(NamedTuple):
    """Keys of the buckets to look up, grouped by query (compressed rows).

    Attributes:
        offsets: ``int64[queries + 1]``; query i has keys ``offsets[i]:offsets[i + 1]``.
        keys: ``int32[offsets[-1]]``, distinct within a query.
    """

    offsets: NDArray[np.int64]
    keys: NDArray[np.int32]


class Hits(NamedTuple):
    """Reference fragments near the queries, grouped by query (compressed rows).

    Attributes:
        offsets: ``int64[queries + 1]``; query i has hits ``offsets[i]:offsets[i + 1]``.
        position: ``int64[hits]``, global 0-based position of the fragment's first base.
        reverse: ``uint8[hits]``, orientation of the reference fragment (`esa.fragments.base.Fragments.reverse`).
        score: ``int32[hits]``, positive; larger is nearer.
        truncated: ``uint8[queries]``, 1 where a limit of `SearchEffort` cut off hits that matter.
        scanned: codes or vectors compared with all queries together, for statistics.
        in_order: whether the positions of each query's hits ascend.
    """

    offsets: NDArray[np.int64]
    position: NDArray[np.int64]
    reverse: NDArray[np.uint8]
    score: NDArray[np.int32]
    truncated: NDArray[np.uint8]
    scanned: int
    in_order: bool = False


class Store(Protocol):
    """A searchable set of embedded fragments."""

    name: ClassVar[str]

    def __len__(self) -> int:
        """Number of fragments."""

    def search(self, embeddings: NDArray[Any], effort: SearchEffort) -> Hits:
        """The fragments nearest to each of the ``embeddings`` (``[queries, dimensions]``).

        Thread-safe, and independent of how queries are batched. Releases the GIL.
        """

    def parameters(self) -> dict[str, Any]:
        """Parameters for the index manifest (JSON)."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays that the index keeps on disk, by name."""


class Growing(Protocol):
    """An array that rows are appended to."""

    def append(self, rows: NDArray[Any]) -> None:
        """Append rows ``[n, ...]``."""

    def finish(self) -> NDArray[Any]:
        """All rows, read-only. Nothing can be appended afterwards."""


class ArrayStorage(Protocol):
    """Storage for the arrays of a store under construction, which may not fit into memory."""

    def grow(self, name: str, dtype: DTypeLike, row: tuple[int, ...]) -> Growing:
        """A new array without rows, called ``name`` as in `Store.arrays`; each row has the shape ``row``."""


class MemoryStorage(ArrayStorage):
    """`ArrayStorage` in memory."""

    def grow(self, name: str, dtype: DTypeLike, row: tuple[int, ...]) -> Growing:
        """A new array in memory (`ArrayStorage.grow`)."""
        return _InMemory([np.empty((0, *row), dtype)])


@dataclass(frozen=True)
class _InMemory:
    chunks: list[NDArray[Any]]

    def append(self, rows: NDArray[Any]) -> None:
        self.chunks.append(rows.astype(self.chunks[0].dtype))

    def finish(self) -> NDArray[Any]:
        whole = np.concatenate(self.chunks)
        self.chunks.clear()
        whole.flags.writeable = False
        return whole


class StoreBuilder(Protocol):
    """Builds a store from embedded fragments, which are added in order of position."""

    def add(self, embeddings: NDArray[Any], position: NDArray[np.int64], reverse: NDArray[np.uint8]) -> None:
        """Add fragments.

        Args:
            embeddings: ``[n, dimensions]``, as `esa.encoders.base.Encoder.embed` gives them.
            position: ``int64[n]``, global 0-based positions of the first bases.
            reverse: ``uint8[n]``, orientations.
        """

    def finish(self) -> Store:
        """The store of all fragments added."""
