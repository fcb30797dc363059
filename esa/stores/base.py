"""What a store is: embedded reference fragments, and the search for those nearest to a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

ANY_SIZE = 1 << 62
"""No bucket is too large."""
REPEAT_BUCKET = 128
"""A bucket with more codes holds copies of a repeat. They are few among the buckets, but most of what a search of
all buckets would scan: reads of other sequence, and most of a repeat's edges, are found without them."""
SATELLITE = 1 << 14
"""A bucket with more codes holds one period of a satellite, or a homopolymer, of a genome of hundreds of megabases (the
largest of human chr20 has 11,000, of Plasmodium 10,600; of a genome of human size and kind, over a million). No search
goes there: it would cost more than all others together, to find more equal places than are kept."""
MOST_SCANNED = 1 << 13
"""Codes compared with one query that are enough where many buckets are looked up: many crowded ones are a satellite."""


@dataclass(frozen=True)
class SearchEffort:
    """How far a search goes.

    Attributes:
        max_hits: most hits that a query may have, one at least; the nearest are kept.
        probes: buckets looked up for a query (bucketed stores).
        edits: the buckets are those that so many edits lead to (`esa.encoders.edits.edited_keys`; code encoders), not
            ``probes`` of the least certain bits; 0: the latter.
        radius: a hit's Hamming distance is less than this (code stores); its score is what is left of it.
        max_bucket: a query's own bucket with more codes is passed over (bucketed stores).
        max_edited: as `max_bucket`, of the other buckets that are looked up.
        max_scanned: a bucket is passed over that would bring the codes compared with a query to more (bucketed stores).
    """

    max_hits: int
    probes: int = 1
    radius: int = 1
    max_bucket: int = ANY_SIZE
    max_edited: int = ANY_SIZE
    max_scanned: int = ANY_SIZE
    edits: int = 0


class Keys(NamedTuple):
    """Buckets to look up for each query, grouped by query.

    Attributes:
        offsets: ``int64[queries + 1]``, query i has keys ``offsets[i]:offsets[i + 1]``.
        keys: ``int32``, distinct within a query.
    """

    offsets: NDArray[np.int64]
    keys: NDArray[np.int32]


class Hits(NamedTuple):
    """Reference fragments near to the queries, grouped by query (compressed rows).

    Attributes:
        offsets: ``int64[queries + 1]``, query i has hits ``offsets[i]:offsets[i + 1]``.
        position: ``int64[hits]``, global position of the fragment's first base.
        reverse: ``uint8[hits]``, orientation of the reference fragment (`esa.fragments.base.Fragments.reverse`).
        score: ``int32[hits]``, > 0, larger is nearer.
        truncated: ``uint8[queries]``, 1 where a limit of `SearchEffort` cut off hits that matter.
        scanned: codes or vectors compared in all, for statistics.
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
        """Fragments held."""

    def search(self, embeddings: NDArray[Any], effort: SearchEffort) -> Hits:
        """Fragments nearest to each embedding. Thread-safe; releases the GIL; independent of batching."""

    def parameters(self) -> dict[str, Any]:
        """What the index manifest records (JSON)."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What the index keeps on disk."""


class Growing(Protocol):
    """An array that is written row by row, at its end."""

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows ``[n, ...]``."""

    def finish(self) -> NDArray[Any]:
        """All rows, read-only; no more can be added."""


class Room(Protocol):
    """Where a builder keeps arrays that memory may not hold, under the names that `Store.arrays` gives them."""

    def grow(self, name: str, dtype: DTypeLike, row: tuple[int, ...]) -> Growing:
        """An array without rows yet; each will have the shape ``row``."""


class Memory(Room):
    """Room in memory."""

    def grow(self, name: str, dtype: DTypeLike, row: tuple[int, ...]) -> Growing:
        return _InMemory([np.empty((0, *row), dtype)])


@dataclass(frozen=True)
class _InMemory:
    parts: list[NDArray[Any]]

    def append(self, rows: NDArray[Any]) -> None:
        self.parts.append(rows.astype(self.parts[0].dtype))

    def finish(self) -> NDArray[Any]:
        whole = np.concatenate(self.parts)
        self.parts.clear()
        whole.flags.writeable = False
        return whole


class StoreBuilder(Protocol):
    """Collects embedded fragments, chunk by chunk, in order of position."""

    def add(self, embeddings: NDArray[Any], position: NDArray[np.int64], reverse: NDArray[np.uint8]) -> None:
        """Add embeddings ``[n, dimensions]``, global starts ``int64[n]``, orientations ``uint8[n]``."""

    def finish(self) -> Store:
        """The store of all chunks."""
