"""Chimeric reads: alignments of what the primary one leaves over, and other places for each.

A read whose alignment leaves bases over at an end is searched once more with those bases alone
(`Parts.gaps`), and the best alignment that is not masked by the parts known (`esa.align.loci.same_bases`)
becomes one more part (`Parts.add`), until nothing is left over or found. Every part is judged against its own
rivals. `nonprimary_alignments` lists what is reported beside the primary alignments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.config import AlignConfig, SplitConfig
from esa.align.extend.band_state import min_score_of
from esa.align.loci import Candidates, Loci, rival, same_bases
from esa.align.pairing.choose import Choice, judge_alone
from esa.io.records import FLAG_SECONDARY, FLAG_SUPPLEMENTARY, NONE
from esa.kernels.decorator import njit
from esa.sequence.reads import ReadBatch

SEGMENT_FLOOR = 16
"""In place of `esa.align.pairing.mapq.FLOOR`: what is left over is searched with so many probes that a better place is
overlooked less often than a whole read's is by its first levels."""


class Gaps(NamedTuple):
    """Stretches of reads that no part aligns yet.

    read: ``int32``, ascending.
    begin, end: ``int64``, the bases left over, an interval of the read.
    low, high: ``int64``, that interval and as many bases again on the sides where a part is its neighbour: a part
        that reached farther into its neighbour would be masked by it.
    """

    read: NDArray[np.int32]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """``int64``, bases left over."""
        return self.end - self.begin

    def padded(self, batch: ReadBatch, padding: int) -> ReadBatch:
        """The bases left over, padded (`ReadBatch.padded`): no fragment of theirs finds what the neighbouring part
        aligns."""
        return batch.stretches(self.read, self.begin, self.end).padded(padding)

    def on_stretches(self, candidates: Candidates, padding: int) -> Candidates:
        """Candidates of the padded bases as those of the stretches."""
        of = np.repeat(np.arange(len(self.read)), np.diff(candidates.offsets))
        before = np.where(candidates.reverse[:] == 1, (self.high - self.end)[of], (self.begin - self.low)[of])
        return candidates._replace(diagonal=candidates.diagonal + padding - before)


class Cover(NamedTuple):
    """The parts of each read: intervals of the read.

    parts: ``int32[reads]``, how many.
    begin, end: ``int64[reads, max_segments]``, in the order of finding, the primary first.
    fresh: ``int32[reads]``: parts from this one on were found in the last round.
    """

    parts: NDArray[np.int32]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    fresh: NDArray[np.int32]


class Alignments(NamedTuple):
    """Alignments of m stretches of reads, one row each.

    read: ``int32[m]``, in ascending order.
    low, high: ``int64[m]``, the stretch of the read that was aligned; the loci are those of the stretch.
    loci: `Loci`, m rows.
    locus: ``int32[m]``, the entry of the row.
    flag: ``uint16[m]``, supplementary or secondary.
    mapq: ``uint8[m]``.
    second: ``int32[m]``, XS or -1.
    """

    read: NDArray[np.int32]
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    loci: Loci
    locus: NDArray[np.int32]
    flag: NDArray[np.uint16]
    mapq: NDArray[np.uint8]
    second: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.read)


class Parts:
    """The parts of the reads of a batch.

    Args:
        loci, choice: the primary alignments.
        lengths: ``int64[reads]``.
        config, min_score: as in `esa.align.config.AlignConfig`.
    """

    def __init__(
        self, loci: Loci, choice: Choice, lengths: NDArray[np.int64], config: SplitConfig, min_score: int
    ) -> None:
        reads = len(lengths)
        self._loci, self._choice, self._lengths = loci, choice, lengths
        self._config, self._least_score = config, min_score
        self._found: list[Alignments] = []
        shape = (reads, config.max_segments)
        self._cover = Cover(
            np.zeros(reads, np.int32), np.zeros(shape, np.int64), np.zeros(shape, np.int64),
            np.zeros(reads, np.int32),
        )  # fmt: skip
        rows = np.flatnonzero(choice.locus >= 0)
        self._cover.parts[rows] = 1
        self._cover.begin[rows, 0] = loci.query_begin[rows, choice.locus[rows]]
        self._cover.end[rows, 0] = loci.query_end[rows, choice.locus[rows]]

    def gaps(self) -> Gaps:
        """What the parts found leave over and was not yet searched."""
        cover, least = self._cover, self._config.min_bases
        open_ended = (cover.begin[:, 0] >= least) | (self._lengths - cover.end[:, 0] >= least)
        reads = np.flatnonzero(open_ended & (cover.parts > cover.fresh)).astype(np.int32)
        gaps = Gaps(*_gaps(cover, self._lengths, reads, least))
        cover.fresh[:] = cover.parts
        return gaps

    def add(self, gaps: Gaps, loci: Loci) -> None:
        """Take from the loci of each gap's stretch the best one that is a part of its own."""
        order = self._by_score(gaps, loci)
        chosen = _choose_segments(gaps, order, loci, self._cover, self._lengths, self._least_score)
        rows = order[chosen[order] >= 0]
        m = len(rows)
        self._found.append(
            Alignments(
                gaps.read[rows], gaps.low[rows], gaps.high[rows], loci.select(rows), chosen[rows],
                np.full(m, FLAG_SUPPLEMENTARY, np.uint16), np.zeros(m, np.uint8), np.full(m, NONE, np.int32),
            )
        )  # fmt: skip

    def _by_score(self, gaps: Gaps, loci: Loci) -> NDArray[np.int64]:
        """The gaps of each read, that with the best locus first; equal ones from left to right along the reference
        strand of the primary alignment: so it matters neither for the parts nor for their order which strand was
        read."""
        best = loci.ranked(0)
        reverse = self._loci.reverse[gaps.read, self._choice.locus[gaps.read]] == 1
        return np.lexsort((np.where(reverse, -gaps.begin, gaps.begin), -best, gaps.read))

    def judged(self) -> Alignments | None:
        """The parts beside the primary ones, in their order within each read; None if there are none."""
        found = [alignments for alignments in self._found if len(alignments)]
        if not found:
            return None
        parts = concatenated(found)
        order = np.argsort(parts.read, kind="stable")
        parts = select(parts, order)
        _judge(parts, self._cover, self._lengths)
        return parts

    def expected(self) -> NDArray[np.int64]:
        """``int64[reads]``: bases that each primary alignment should align: those that no other part does."""
        return _expected_of_primaries(self._cover, self._lengths)


def concatenated(alignments: list[Alignments]) -> Alignments:
    """All rows, one table after the other."""
    first, *others = (a.loci for a in alignments)
    columns = {
        name: np.concatenate([getattr(a, name) for a in alignments])
        for name in Alignments._fields
        if name != "loci"
    }
    return Alignments(loci=first.followed_by(others), **columns)


def select(alignments: Alignments, rows: NDArray[np.integer]) -> Alignments:
    """Some of the rows."""
    columns = {name: getattr(alignments, name)[rows] for name in Alignments._fields if name != "loci"}
    return Alignments(loci=alignments.loci.select(rows), **columns)


def nonprimary_alignments(
    loci: Loci,
    choice: Choice,
    lengths: NDArray[np.int64],
    parts: Alignments | None,
    config: AlignConfig,
) -> Alignments | None:
    """All that is reported beside the primary alignments, in the order of output: the secondary ones of the
    primary, then each supplementary one followed by its secondary ones. None if there is nothing."""
    if not config.secondary.most:
        return parts
    mapped = np.flatnonzero(choice.locus >= 0).astype(np.int32)
    if not len(mapped):
        return None
    m = len(mapped)
    primaries = Alignments(
        mapped, np.zeros(m, np.int64), lengths[mapped], loci.select(mapped), choice.locus[mapped],
        np.zeros(m, np.uint16), np.zeros(m, np.uint8), np.full(m, NONE, np.int32),
    )  # fmt: skip
    reported = primaries if parts is None else concatenated([primaries, parts])
    reported = select(reported, np.argsort(reported.read, kind="stable"))
    least = np.array([min_score_of(length, config.min_score) for length in lengths[reported.read]])
    rows, locus = _with_secondaries(reported.read, reported.loci, reported.locus, least, config.secondary)
    further = select(reported, rows)
    secondary = locus != further.locus
    further.locus[:] = locus
    further.flag[secondary] = FLAG_SECONDARY
    further.mapq[secondary] = 0
    further.second[secondary] = NONE
    wanted = np.flatnonzero(further.flag)
    return select(further, wanted) if len(wanted) else None


@njit
def _gaps(cover, lengths, reads, least):  # type: ignore[no-untyped-def]
    """Arrays of `Gaps`: of the stretches between the parts of the ``reads`` those of ``least`` bases or more
    that lie next to a fresh part."""
    most = len(reads) * (cover.begin.shape[1] + 1)
    read = np.empty(most, np.int32)
    begin, end = np.empty(most, np.int64), np.empty(most, np.int64)
    low, high = np.empty(most, np.int64), np.empty(most, np.int64)
    made = 0
    for r in reads:
        n, count, fresh = lengths[r], cover.parts[r], cover.fresh[r]
        order = np.argsort(cover.begin[r, :count])
        reached, last = np.int64(0), -1
        for step in range(count + 1):
            part = order[step] if step < count else -1
            until = cover.begin[r, part] if part >= 0 else n
            new = (last >= 0 and last >= fresh) or (part >= 0 and part >= fresh)
            if until - reached >= least and new:
                size = until - reached
                read[made], begin[made], end[made] = r, reached, until
                low[made], high[made] = max(0, reached - size), min(n, until + size)
                made += 1
            if part >= 0 and cover.end[r, part] >= reached:
                reached, last = cover.end[r, part], part
    return read[:made], begin[:made], end[:made], low[:made], high[:made]


@njit
def _choose_segments(gaps, order, loci, cover, lengths, min_score):  # type: ignore[no-untyped-def]
    """Locus of each gap that becomes a part, or -1; the parts are put into ``cover``, in the ``order`` of their gaps.

    A part has at least as many bases as its score must be.
    """
    chosen = np.full(len(gaps.read), -1, np.int32)
    for g in order:
        r = gaps.read[g]
        count = cover.parts[r]
        least = min_score_of(lengths[r], min_score)
        for k in range(loci.held[g]):
            if count == cover.begin.shape[1]:
                break
            begin = gaps.low[g] + loci.query_begin[g, k]
            end = gaps.low[g] + loci.query_end[g, k]
            masked = loci.part[g, k] < least or end - begin < least
            for part in range(count):
                masked |= same_bases(begin, end, cover.begin[r, part], cover.end[r, part])
            if not masked:
                cover.begin[r, count], cover.end[r, count] = begin, end
                cover.parts[r] = count + 1
                chosen[g] = k
                break
    return chosen


@njit
def _expected(cover, r, part, n):  # type: ignore[no-untyped-def]
    """Bases of read r that no other part than this one aligns."""
    count = cover.parts[r]
    expected = n
    reached = np.int64(0)
    for other in np.argsort(cover.begin[r, :count]):
        if other == part:
            continue
        begin, end = max(reached, cover.begin[r, other]), cover.end[r, other]
        if begin < end:
            shared = max(0, min(end, cover.end[r, part]) - max(begin, cover.begin[r, part]))
            expected -= end - begin - shared
            reached = end
    return expected


@njit
def _expected_of_primaries(cover, lengths):  # type: ignore[no-untyped-def]
    expected = lengths.copy()
    for r in range(len(lengths)):
        if cover.parts[r] > 1:
            expected[r] = _expected(cover, r, 0, lengths[r])
    return expected


@njit
def _judge(parts, cover, lengths):  # type: ignore[no-untyped-def]
    """XS and MAPQ of parts, each against its rivals; the parts of a read lie in the order of ``cover``."""
    part = 0
    for i in range(len(parts.read)):
        r = parts.read[i]
        part = part + 1 if i > 0 and parts.read[i - 1] == r else 1
        expected = _expected(cover, r, part, lengths[r])
        parts.second[i], parts.mapq[i] = judge_alone(parts.loci, i, parts.locus[i], expected, SEGMENT_FLOOR)


@njit
def _with_secondaries(read, loci, locus, least, config):  # type: ignore[no-untyped-def]
    """(Rows, loci): each row with its own locus, then with those of its rivals that are to be reported."""
    room = len(read) * (loci.score.shape[1] + 1)
    rows, chosen = np.empty(room, np.int64), np.empty(room, np.int32)
    made, of_read = 0, 0
    for i in range(len(read)):
        if i == 0 or config.all_or_none or read[i] != read[i - 1]:
            of_read = 0
        rows[made], chosen[made] = i, locus[i]
        made += 1
        first = made
        for k in range(loci.held[i]):
            share = loci.score[i, locus[i]] * config.min_share
            worth = loci.part[i, k] >= least[i] and loci.score[i, k] * 100 >= share
            if not worth or not rival(loci, i, locus[i], k):
                continue
            if of_read == config.most:
                made = first if config.all_or_none else made
                break
            rows[made], chosen[made] = i, k
            made += 1
            of_read += 1
    return rows[:made], chosen[:made]
