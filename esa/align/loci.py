"""Candidates and loci: the flat arrays that pass between the stages of the mapper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.scoring import MASKED_SHARE
from esa.kernels.decorator import inline_njit
from esa.sequence.hashing import tie_break

HOPELESS = np.int64(-(1 << 32))
"""Less than any score of a read or of a pair."""


class Reads(NamedTuple):
    """What kernels need of a batch of reads.

    codes, offsets: as in `esa.sequence.reads.ReadBatch`.
    salts: ``uint64[reads]``, `esa.sequence.hashing.salt_reads`.
    """

    codes: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    salts: NDArray[np.uint64]


class Candidates(NamedTuple):
    """Places where a read may belong, grouped by read, the most promising first.

    offsets: ``int64[reads + 1]``, read i has candidates ``offsets[i]:offsets[i + 1]``.
    diagonal: ``int64``, global position of the base that pairs with the first base of the read, in the
        orientation in which it aligns; may lie outside the contig where the read hangs over its end.
    reverse: ``uint8``, 1 where the read aligns as its reverse complement.
    contig: ``int32``.
    weight: ``int32``, evidence.
    truncated: ``uint8[reads]``, 1 where a limit cut hits or candidates off.
    """

    offsets: NDArray[np.int64]
    diagonal: NDArray[np.int64]
    reverse: NDArray[np.uint8]
    contig: NDArray[np.int32]
    weight: NDArray[np.int32]
    truncated: NDArray[np.uint8]

    def without_rivals(self, reads: NDArray[np.bool_]) -> Candidates:
        """Without those of the ``reads`` (``bool[reads]``) that have more than one."""
        counts = np.diff(self.offsets)
        kept = np.where(reads & (counts > 1), 0, counts)
        rows = np.flatnonzero(np.repeat(kept > 0, counts))
        offsets = np.zeros(len(self.offsets), np.int64)
        np.cumsum(kept, out=offsets[1:])
        return Candidates(
            offsets,
            self.diagonal[rows],
            self.reverse[rows],
            self.contig[rows],
            self.weight[rows],
            self.truncated,
        )


_LOCUS = np.dtype(
    [
        ("diagonal", np.int64),
        ("start", np.int64),
        ("end", np.int64),
        ("score", np.int32),
        ("contig", np.int32),
        ("band", np.int32),
        ("query_begin", np.int32),
        ("query_end", np.int32),
        ("part", np.int32),
        ("reverse", np.uint8),
        ("rescued", np.uint8),
    ],
    align=True,
)
_FIELDS = _LOCUS.names or ()
_IN_WHOLE_LINES = 8
"""Loci that fill whole lines of the cache (64 bytes), an odd number of them: a locus has an odd number of words."""
assert _LOCUS.itemsize // 8 % 2


class Loci(NamedTuple):
    """Verified places of each read, best score first; row i belongs to read i, ``held[i]`` entries of it count.

    held: ``int32[reads]``.
    score: ``int32[reads, max_loci]``, alignment score (AS).
    diagonal, reverse, contig: as in `Candidates`.
    start, end: ``int64``, global interval of the reference that the alignment covers.
    band: ``int32``, half-width of the band that holds the alignment; 0: it has no gaps.
    query_begin, query_end: ``int32``, interval of the read that is aligned, in the direction it was sequenced.
    part: ``int32``, score of its best part, at least ``score``: what a least score is asked of. An end that is reached
        may cost up to `END_BONUS` of the score, yet is no reason to report less. (Of what scores enough anyhow it is
        the score.)
    rescued: ``uint8``, 1 where its mate led to it: these have room of their own, see `offer`.
    rescues: ``int32[reads]``, how many of a read's are such.
    truncated: ``uint8[reads]``, 1 where a limit may have hidden a locus.
    """

    held: NDArray[np.int32]
    score: NDArray[np.int32]
    diagonal: NDArray[np.int64]
    reverse: NDArray[np.uint8]
    contig: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    band: NDArray[np.int32]
    query_begin: NDArray[np.int32]
    query_end: NDArray[np.int32]
    part: NDArray[np.int32]
    rescued: NDArray[np.uint8]
    rescues: NDArray[np.int32]
    truncated: NDArray[np.uint8]

    @classmethod
    def empty(cls, reads: int, max_loci: int) -> Loci:
        """No loci for any read."""
        # One locus lies in one place, as it is written and moved as a whole; and as most reads have few, the first
        # of all reads lie side by side, and so on. Not zeroed: most of it is never touched.
        # Ranks are an odd number of lines of the cache apart, or all loci of a read might fall into one set of it.
        width = _IN_WHOLE_LINES * (reads // _IN_WHOLE_LINES + 1 | 1)
        table = np.empty((max_loci, width), _LOCUS)[:, :reads].T
        return cls(
            held=np.zeros(reads, np.int32),
            rescues=np.zeros(reads, np.int32),
            truncated=np.zeros(reads, np.uint8),
            **{name: table[name] for name in _FIELDS},
        )

    def select(self, rows: NDArray[np.integer]) -> Loci:
        """The loci of some reads."""
        return self._filled([array[rows] for array in self])

    def followed_by(self, others: Sequence[Loci]) -> Loci:
        """These and the rows of others, one after the other."""
        return self._filled([np.concatenate(parts) for parts in zip(self, *others, strict=True)])

    def ranked(self, k: int) -> NDArray[np.int32]:
        """``int32[reads]``, score of the locus with k better ones beside it; 0 where there is none."""
        return np.where(self.held > k, self.score[:, k], 0)

    def packed(self) -> PackedLoci:
        """The same without the room that is not used."""
        used = self._used()
        fields = [getattr(self, name).T[used] for name in _FIELDS]
        return PackedLoci(self.held, self.rescues, self.truncated, self.score.shape[1], fields)

    def _used(self) -> NDArray[np.bool_]:
        """``bool[max_loci, reads]``: entries that count."""
        return np.arange(self.score.shape[1])[:, None] < self.held

    def _filled(self, arrays: list[NDArray[Any]]) -> Loci:
        # Kernels are compiled for the layout of `empty`.
        new = Loci.empty(len(arrays[0]), self.score.shape[1])
        fields: tuple[NDArray[Any], ...] = new
        for field, array in zip(fields, arrays, strict=True):
            field[...] = array
        return new


class PackedLoci(NamedTuple):
    """`Loci` that wait: most of their room is for the few reads of large repeats.

    fields: of a locus (`_FIELDS`), entries that count alone: the first ones of all reads, and so on.
    """

    held: NDArray[np.int32]
    rescues: NDArray[np.int32]
    truncated: NDArray[np.uint8]
    max_loci: int
    fields: list[NDArray[Any]]

    def unpacked(self) -> Loci:
        """The loci as they were."""
        loci = Loci.empty(len(self.held), self.max_loci)
        loci.held[:] = self.held
        loci.rescues[:] = self.rescues
        loci.truncated[:] = self.truncated
        used = loci._used()
        for name, values in zip(_FIELDS, self.fields, strict=True):
            getattr(loci, name).T[used] = values
        return loci


class Reference(NamedTuple):
    """What kernels need of a `esa.sequence.genome.Genome`.

    packed, n_starts, n_ends, offsets: as there.
    """

    packed: NDArray[np.uint8]
    n_starts: NDArray[np.int64]
    n_ends: NDArray[np.int64]
    offsets: NDArray[np.int64]


class Locus(NamedTuple):
    """One entry of `Loci`."""

    score: int
    diagonal: int
    reverse: int
    contig: int
    start: int
    end: int
    band: int
    query_begin: int
    query_end: int
    part: int


@inline_njit
def _put(loci, r, k, locus, rescued):  # type: ignore[no-untyped-def]
    loci.score[r, k] = locus.score
    loci.diagonal[r, k] = locus.diagonal
    loci.reverse[r, k] = locus.reverse
    loci.contig[r, k] = locus.contig
    loci.start[r, k] = locus.start
    loci.end[r, k] = locus.end
    loci.band[r, k] = locus.band
    loci.query_begin[r, k] = locus.query_begin
    loci.query_end[r, k] = locus.query_end
    loci.part[r, k] = locus.part
    loci.rescued[r, k] = rescued


@inline_njit
def _move(loci, r, origin, k):  # type: ignore[no-untyped-def]
    loci.score[r, k] = loci.score[r, origin]
    loci.diagonal[r, k] = loci.diagonal[r, origin]
    loci.reverse[r, k] = loci.reverse[r, origin]
    loci.contig[r, k] = loci.contig[r, origin]
    loci.start[r, k] = loci.start[r, origin]
    loci.end[r, k] = loci.end[r, origin]
    loci.band[r, k] = loci.band[r, origin]
    loci.query_begin[r, k] = loci.query_begin[r, origin]
    loci.query_end[r, k] = loci.query_end[r, origin]
    loci.part[r, k] = loci.part[r, origin]
    loci.rescued[r, k] = loci.rescued[r, origin]


@inline_njit
def _ranks_before(loci, r, k, locus, salt):  # type: ignore[no-untyped-def]
    """Whether entry k comes before a new locus: by score, then by `tie_break`.

    What is left are places on both strands about one point; which of them is the reverse one depends on the
    strand that was read, the place itself does not.
    """
    if loci.score[r, k] != locus.score:
        return loci.score[r, k] > locus.score
    known, new = tie_break(salt, loci.diagonal[r, k]), tie_break(salt, locus.diagonal)
    if known != new:
        return known > new
    return (loci.contig[r, k], loci.start[r, k], loci.reverse[r, k]) <= (
        locus.contig,
        locus.start,
        locus.reverse,
    )


@inline_njit
def _worst(loci, r, rescued, room):  # type: ignore[no-untyped-def]
    """The last of read r's loci, rescued ones or the others, if these have no room left; else -1."""
    k = loci.held[r] - 1
    if (loci.rescues[r] if rescued else loci.held[r] - loci.rescues[r]) < room:
        return -1
    while k >= 0 and loci.rescued[r, k] != rescued:
        k -= 1
    return k


@inline_njit
def _remove(loci, r, k):  # type: ignore[no-untyped-def]
    loci.rescues[r] -= loci.rescued[r, k]
    for later in range(k + 1, loci.held[r]):
        _move(loci, r, later, later - 1)
    loci.held[r] -= 1


@inline_njit
def _insert(loci, r, locus, rescued, salt, room):  # type: ignore[no-untyped-def]
    """Put a locus in its place; drop the worst of its kind if there is ``room`` for no more of it."""
    if room == 0:
        return
    worst = _worst(loci, r, rescued, room)
    if worst >= 0:
        if _ranks_before(loci, r, worst, locus, salt):
            return
        _remove(loci, r, worst)
    at = loci.held[r]
    while at > 0 and not _ranks_before(loci, r, at - 1, locus, salt):
        _move(loci, r, at - 1, at)
        at -= 1
    _put(loci, r, at, locus, rescued)
    loci.held[r] += 1
    loci.rescues[r] += rescued


@inline_njit
def same_bases(begin, end, other_begin, other_end):  # type: ignore[no-untyped-def]
    """Whether two query intervals are about the same part of the read: their overlap is `MASKED_SHARE` of the
    shorter one. Alignments that are not do not rival each other: the read may be chimeric."""
    overlap = min(end, other_end) - max(begin, other_begin)
    return overlap * 100 >= MASKED_SHARE * min(end - begin, other_end - other_begin)


@inline_njit
def rival(loci, r, chosen, k):  # type: ignore[no-untyped-def]
    """Whether locus k of read r is another place for the bases that its chosen locus aligns."""
    return k != chosen and same_bases(
        loci.query_begin[r, chosen], loci.query_end[r, chosen], loci.query_begin[r, k], loci.query_end[r, k]
    )


@inline_njit
def _same_place(loci, r, k, locus, near):  # type: ignore[no-untyped-def]
    # What tells most copies of a repeat apart comes first.
    if not (
        abs(loci.diagonal[r, k] - locus.diagonal) <= near
        or loci.start[r, k] == locus.start
        or loci.end[r, k] == locus.end
    ):
        return False
    if loci.contig[r, k] != locus.contig or loci.reverse[r, k] != locus.reverse:
        return False
    return same_bases(loci.query_begin[r, k], loci.query_end[r, k], locus.query_begin, locus.query_end)


@inline_njit
def offer(loci, r, locus, salt, near, room, rescued):  # type: ignore[no-untyped-def]
    """Add a locus to read r unless a better one stands at the same place; remove the worse ones that do.

    ``near``: diagonals that differ by at most this are one place. ``room``: most loci that the read may have by
    itself; what is left of the columns is for those ``rescued``, which its mate led to: however many better ones there
    are, these have a reason that the others lack.
    """
    room = min(room, loci.score.shape[1])
    if not rescued and loci.rescues[r] == 0:
        # Most of a large repeat's; but what stands where a rescued one does may take its room.
        worst = _worst(loci, r, 0, room)
        if worst >= 0 and locus.score < loci.score[r, worst]:
            return
    k = 0
    while k < loci.held[r]:
        if _same_place(loci, r, k, locus, near):
            known = loci.score[r, k]
            rescued |= loci.rescued[r, k]
            if known > locus.score or (
                known == locus.score
                and (loci.band[r, k], loci.diagonal[r, k]) <= (locus.band, locus.diagonal)
            ):
                return
            _remove(loci, r, k)
        else:
            k += 1
    _insert(loci, r, locus, rescued, salt, loci.score.shape[1] - room if rescued else room)
