"""Candidates and loci: the flat arrays that pass between the levels of the mapper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.scoring import MASKED_SHARE
from esa.kernels.arrays import Bool, I32Array, I64Array, Int, U8Array, U64Array, Word
from esa.kernels.decorator import inline_njit
from esa.sequence.hashing import tie_break

HOPELESS = np.int64(-(1 << 32))
"""Less than any score of a read or of a pair."""


class Reads(NamedTuple):
    """What kernels need of a batch of reads.

    codes, offsets: as in `esa.sequence.reads.ReadBatch`.
    salts: ``uint64[reads]``, `esa.sequence.hashing.salt_reads`.
    """

    codes: U8Array
    offsets: I64Array
    salts: U64Array


class Candidates(NamedTuple):
    """Places where a read may belong, grouped by read, the most promising first.

    offsets: ``int64[reads + 1]``, read i has candidates ``offsets[i]:offsets[i + 1]``.
    diagonal: ``int64``, global position of the base that pairs with the read's first base. The read is in the
        orientation that aligns. It may hang over the contig's end, so that the diagonal lies outside.
    reverse: ``uint8``, 1 where the read aligns as its reverse complement.
    contig: ``int32``.
    weight: ``int32``, evidence, as `esa.align.search` weighs it.
    truncated: ``uint8[reads]``, 1 where a limit cut hits or candidates off.
    """

    offsets: I64Array
    diagonal: I64Array
    reverse: U8Array
    contig: I32Array
    weight: I32Array
    truncated: U8Array

    def without_rivals(self, reads: NDArray[np.bool_]) -> Candidates:
        """Without the candidates of the ``reads`` (``bool[reads]``) that have more than one."""
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
        ("local_score", np.int32),
        ("reverse", np.uint8),
        ("rescued", np.uint8),
    ],
    align=True,
)
_FIELDS = _LOCUS.names or ()
_IN_WHOLE_LINES = 8
"""Loci that fill whole cache lines (64 bytes), an odd number of them: a locus has an odd number of words."""
assert _LOCUS.itemsize // 8 % 2


class Loci(NamedTuple):
    """Verified places of each read, best score first; row i belongs to read i, ``held[i]`` entries of it count.

    held: ``int32[reads]``.
    score: ``int32[reads, max_loci]``, alignment score (AS).
    diagonal, reverse, contig: as in `Candidates`.
    start, end: ``int64``, global interval of the reference that the alignment covers.
    band: ``int32``, half-width of the band that holds the alignment; 0: it has no gaps.
    query_begin, query_end: ``int32``, interval of the read that is aligned, in the direction it was sequenced.
    local_score: ``int32``, best score of any stretch of the alignment, ``score`` or more. It is compared
        with the minimum score: to reach a read end may cost up to `END_BONUS` of the score, yet is no reason to
        report less. (Where the score is high enough anyhow, it stands here.)
    rescued: ``uint8``, 1 where its mate led to it: these have room of their own, see `OfferRules`.
    rescues: ``int32[reads]``, how many of a read's loci are rescued.
    truncated: ``uint8[reads]``, 1 where a limit may have left out a locus.

    The fields of all loci are ``[reads, max_loci]``.
    """

    held: I32Array
    score: I32Array
    diagonal: I64Array
    reverse: U8Array
    contig: I32Array
    start: I64Array
    end: I64Array
    band: I32Array
    query_begin: I32Array
    query_end: I32Array
    local_score: I32Array
    rescued: U8Array
    rescues: I32Array
    truncated: U8Array

    @classmethod
    def empty(cls, reads: int, max_loci: int) -> Loci:
        """No loci for any read."""
        # The fields of a locus are adjacent, as it is written and moved as a whole. Most reads have few, so the first
        # loci of all reads lie side by side, and so on. Not zeroed: most of it is never touched.
        # Ranks are an odd number of cache lines apart, or all loci of a read might fall into one cache set.
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

    def single(self, rows: NDArray[np.integer], locus: NDArray[np.integer]) -> Loci:
        """One locus of each of some reads, as their only one."""
        # Two columns: numpy calls an array of one element contiguous, and numba would compile kernels for it anew.
        new = Loci.empty(len(rows), 2)
        new.held[:] = 1
        new.truncated[:] = self.truncated[rows]
        for name in _FIELDS:
            getattr(new, name)[:, 0] = getattr(self, name)[rows, locus]
        return new

    def followed_by(self, others: Sequence[Loci]) -> Loci:
        """These and the rows of others, one after the other."""
        return self._filled([np.concatenate(parts) for parts in zip(self, *others, strict=True)])

    def ranked(self, k: int) -> I32Array:
        """``int32[reads]``, score of the locus with k better ones beside it; 0 where there is none."""
        return np.where(self.held > k, self.score[:, k], 0)

    def packed(self) -> PackedLoci:
        """The same without unused entries."""
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
    """`Loci` without unused entries, to be kept: most entries of `Loci` are for the few reads of large repeats.

    held, rescues, truncated: as there.
    max_loci: its columns.
    fields: each field of a locus (`_FIELDS`), flat: the first locus of all reads that have one, then the second.
    """

    held: I32Array
    rescues: I32Array
    truncated: U8Array
    max_loci: int
    fields: list[NDArray[Any]]

    def unpacked(self) -> Loci:
        """The `Loci` that were packed."""
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

    packed: U8Array
    n_starts: I64Array
    n_ends: I64Array
    offsets: I64Array


class Locus(NamedTuple):
    """One entry of `Loci`."""

    score: Int
    diagonal: Int
    reverse: Int
    contig: Int
    start: Int
    end: Int
    band: Int
    query_begin: Int
    query_end: Int
    local_score: Int


class OfferRules(NamedTuple):
    """How a locus is ranked among those of a read.

    salt: ``uint64``, the read's, for `esa.sequence.hashing.tie_break`.
    near: diagonals that differ by at most this are one place.
    max_loci: most loci that the read may have by itself. The rest of the columns is for rescued ones.
    rescued: 1 if its mate led to it. However many better loci there are, it has a reason that they lack.
    """

    salt: Word
    near: Int
    max_loci: Int
    rescued: Int


@inline_njit
def _put(loci: Loci, r: Int, k: Int, locus: Locus, rescued: Int) -> None:
    loci.score[r, k] = locus.score
    loci.diagonal[r, k] = locus.diagonal
    loci.reverse[r, k] = locus.reverse
    loci.contig[r, k] = locus.contig
    loci.start[r, k] = locus.start
    loci.end[r, k] = locus.end
    loci.band[r, k] = locus.band
    loci.query_begin[r, k] = locus.query_begin
    loci.query_end[r, k] = locus.query_end
    loci.local_score[r, k] = locus.local_score
    loci.rescued[r, k] = rescued


@inline_njit
def _move(loci: Loci, r: Int, origin: Int, k: Int) -> None:
    loci.score[r, k] = loci.score[r, origin]
    loci.diagonal[r, k] = loci.diagonal[r, origin]
    loci.reverse[r, k] = loci.reverse[r, origin]
    loci.contig[r, k] = loci.contig[r, origin]
    loci.start[r, k] = loci.start[r, origin]
    loci.end[r, k] = loci.end[r, origin]
    loci.band[r, k] = loci.band[r, origin]
    loci.query_begin[r, k] = loci.query_begin[r, origin]
    loci.query_end[r, k] = loci.query_end[r, origin]
    loci.local_score[r, k] = loci.local_score[r, origin]
    loci.rescued[r, k] = loci.rescued[r, origin]


@inline_njit
def _ranks_before(loci: Loci, r: Int, k: Int, locus: Locus, salt: Word) -> Bool:
    """Whether entry k comes before a new locus: by score, then by `tie_break`.

    Ties that remain are places on both strands about one point. Which of them is the reverse one depends on the
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
def _worst(loci: Loci, r: Int, rescued: Int, room: Int) -> Int:
    """The last of read r's loci, rescued ones or the others, if there are ``room`` of them; else -1."""
    k = loci.held[r] - 1
    if (loci.rescues[r] if rescued else loci.held[r] - loci.rescues[r]) < room:
        return -1
    while k >= 0 and loci.rescued[r, k] != rescued:
        k -= 1
    return k


@inline_njit
def _remove(loci: Loci, r: Int, k: Int) -> None:
    loci.rescues[r] -= loci.rescued[r, k]
    for later in range(k + 1, loci.held[r]):
        _move(loci, r, later, later - 1)
    loci.held[r] -= 1


@inline_njit
def _insert(loci: Loci, r: Int, locus: Locus, rescued: Int, salt: Word, room: Int) -> None:
    """Put a locus in its place; drop the worst of its kind if there are already ``room`` of them."""
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
def same_bases(begin: Int, end: Int, other_begin: Int, other_end: Int) -> Bool:
    """Whether two query intervals cover about the same bases: they overlap by `MASKED_SHARE` of the shorter one.

    Alignments that do not are no rivals: the read may be chimeric.
    """
    overlap = min(end, other_end) - max(begin, other_begin)
    return overlap * 100 >= MASKED_SHARE * min(end - begin, other_end - other_begin)


@inline_njit
def rival(loci: Loci, r: Int, chosen: Int, k: Int) -> Bool:
    """Whether locus k of read r is another place for the bases that its chosen locus aligns."""
    return k != chosen and same_bases(
        loci.query_begin[r, chosen], loci.query_end[r, chosen], loci.query_begin[r, k], loci.query_end[r, k]
    )


@inline_njit
def _same_place(loci: Loci, r: Int, k: Int, locus: Locus, near: Int) -> Bool:
    # The test that tells most copies of a repeat apart comes first.
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
def offer(loci: Loci, r: Int, locus: Locus, rules: OfferRules) -> None:
    """Add a locus to read r unless a better one stands at the same place; remove the worse ones that do."""
    room = min(rules.max_loci, loci.score.shape[1])
    rescued = rules.rescued
    if not rescued and loci.rescues[r] == 0:
        # Most of a large repeat's; but a locus that stands where a rescued one does may replace it.
        worst = _worst(loci, r, 0, room)
        if worst >= 0 and locus.score < loci.score[r, worst]:
            return
    k = 0
    while k < loci.held[r]:
        if _same_place(loci, r, k, locus, rules.near):
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
    _insert(loci, r, locus, rescued, rules.salt, loci.score.shape[1] - room if rescued else room)
