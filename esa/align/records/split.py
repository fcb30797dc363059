"""Chimeric reads: their segments, that is, alignments of the bases that the primary alignment leaves over.

The bases left over at an end of an alignment are searched once more, by themselves (`Segments.gaps`). The best
alignment that is not masked by the known segments (`esa.align.loci.same_bases`) becomes a new segment
(`Segments.add`). This goes on until nothing is left over or found. The mapping quality of each segment is computed
against its own rivals. `nonprimary_alignments` lists what is reported beside the primary alignments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.config import AlignConfig, SecondaryConfig, SplitConfig
from esa.align.extend.band_state import min_score_of
from esa.align.loci import Loci, rival, same_bases
from esa.align.pairing.choose import Choice, judge_alone
from esa.io.records import FLAG_SECONDARY, FLAG_SUPPLEMENTARY, NONE
from esa.kernels.arrays import Bool, I32Array, I64Array, Int
from esa.kernels.decorator import inline_njit, njit

SEGMENT_FLOOR = 16
"""In place of `esa.align.pairing.mapq.FLOOR`, for segments.

Gaps are searched with so many probes that a better locus is missed less often than by the first levels of a whole
read's search."""


class Gaps(NamedTuple):
    """Stretches of reads that no segment aligns yet, one row each.

    read: ``int32[gaps]``, ascending.
    begin, end: ``int64[gaps]``, interval of the read that is left over.
    low, high: ``int64[gaps]``, that interval, extended by its own length into each neighbouring segment. A segment
        that reached farther into its neighbour would be masked by it.
    """

    read: NDArray[np.int32]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]


class Cover(NamedTuple):
    """The segments of each read, as intervals of the read.

    segments: ``int32[reads]``, number of segments.
    begin, end: ``int64[reads, max_segments]``, in the order in which they were found, the primary first.
    fresh: ``int32[reads]``, the first segment that was found in the last round.
    """

    segments: NDArray[np.int32]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    fresh: NDArray[np.int32]


class Alignments(NamedTuple):
    """Alignments of m stretches of reads, one row each.

    read: ``int32[m]``, in ascending order.
    low, high: ``int64[m]``, the stretch of the read that was aligned; the loci are those of the stretch.
    loci: `Loci`, m rows.
    locus: ``int32[m]``, the reported locus of each row.
    flag: ``uint16[m]``, `FLAG_SUPPLEMENTARY` or `FLAG_SECONDARY`; 0 for a primary alignment.
    mapq: ``uint8[m]``.
    second: ``int32[m]``, XS or `NONE`.
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


class Segments:
    """The segments of the reads of a batch.

    Args:
        loci, choice: the primary alignments, each read's first segment.
        lengths: ``int64[reads]``, in bases.
        config, min_score: as in `esa.align.config.AlignConfig`.
    """

    def __init__(
        self, loci: Loci, choice: Choice, lengths: NDArray[np.int64], config: SplitConfig, min_score: int
    ) -> None:
        reads = len(lengths)
        self._loci, self._choice, self._lengths = loci, choice, lengths
        self._config, self._min_score = config, min_score
        self._found: list[Alignments] = []
        shape = (reads, config.max_segments)
        self._cover = Cover(
            np.zeros(reads, np.int32), np.zeros(shape, np.int64), np.zeros(shape, np.int64),
            np.zeros(reads, np.int32),
        )  # fmt: skip
        rows = np.flatnonzero(choice.locus >= 0)
        self._cover.segments[rows] = 1
        self._cover.begin[rows, 0] = loci.query_begin[rows, choice.locus[rows]]
        self._cover.end[rows, 0] = loci.query_end[rows, choice.locus[rows]]

    def gaps(self) -> Gaps:
        """The gaps between the segments found so far that were not searched yet."""
        cover, bases = self._cover, self._config.min_bases
        open_ended = (cover.begin[:, 0] >= bases) | (self._lengths - cover.end[:, 0] >= bases)
        reads = np.flatnonzero(open_ended & (cover.segments > cover.fresh)).astype(np.int32)
        gaps = _gaps(cover, self._lengths, reads, bases)
        cover.fresh[:] = cover.segments
        return gaps

    def add(self, gaps: Gaps, loci: Loci) -> None:
        """Make the best locus of each gap's stretch that no segment masks a new segment. ``loci``: one row a gap."""
        order = self._by_score(gaps, loci)
        chosen = _choose_segments(gaps, order, loci, self._cover, self._lengths, self._min_score)
        rows = order[chosen[order] >= 0]
        m = len(rows)
        self._found.append(
            Alignments(
                gaps.read[rows], gaps.low[rows], gaps.high[rows], loci.select(rows), chosen[rows],
                np.full(m, FLAG_SUPPLEMENTARY, np.uint16), np.zeros(m, np.uint8), np.full(m, NONE, np.int32),
            )
        )  # fmt: skip

    def _by_score(self, gaps: Gaps, loci: Loci) -> NDArray[np.int64]:
        """Order of the gaps: by read, then by the score of the best locus, best first.

        Ties are ordered from left to right along the reference strand of the primary alignment. So neither the
        segments nor their order depend on the strand that was sequenced.
        """
        best = loci.ranked(0)
        reverse = self._loci.reverse[gaps.read, self._choice.locus[gaps.read]] == 1
        return np.lexsort((np.where(reverse, -gaps.begin, gaps.begin), -best, gaps.read))

    def judged(self) -> Alignments | None:
        """The segments other than the primary, with MAPQ and XS, in order of read and of finding; None if none."""
        found = [alignments for alignments in self._found if len(alignments)]
        if not found:
            return None
        segments = concatenated(found)
        order = np.argsort(segments.read, kind="stable")
        segments = select(segments, order)
        _judge(segments, self._cover, self._lengths)
        return segments

    def expected(self) -> NDArray[np.int64]:
        """``int64[reads]``: bases that each primary alignment should align, those of no other segment."""
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
    segments: Alignments | None,
    config: AlignConfig,
) -> Alignments | None:
    """All that is reported beside the primary alignments; None if there is nothing.

    Within a read, the secondary alignments of the primary come first, then each supplementary alignment followed by
    its own secondary ones.

    Args:
        loci, choice: the primary alignments.
        lengths: ``int64[reads]``, in bases.
        segments: `Segments.judged`.
        config: how many secondary alignments are wanted, and which score they must reach.
    """
    if not config.secondary.most:
        return segments
    mapped = np.flatnonzero(choice.locus >= 0).astype(np.int32)
    if not len(mapped):
        return None
    m = len(mapped)
    primaries = Alignments(
        mapped, np.zeros(m, np.int64), lengths[mapped], loci.select(mapped), choice.locus[mapped],
        np.zeros(m, np.uint16), np.zeros(m, np.uint8), np.full(m, NONE, np.int32),
    )  # fmt: skip
    reported = primaries if segments is None else concatenated([primaries, segments])
    reported = select(reported, np.argsort(reported.read, kind="stable"))
    threshold = np.array([min_score_of(length, config.min_score) for length in lengths[reported.read]])
    rows, locus = _with_secondaries(reported, threshold, config.secondary)
    secondary = locus != reported.locus[rows]
    wanted = np.flatnonzero(secondary | (reported.flag[rows] != 0))
    if not len(wanted):
        return None
    rows, locus, secondary = rows[wanted], locus[wanted], secondary[wanted]
    # Of each only its own locus: whole rows of 100 would take gigabytes for reads of a tandem repeat.
    return Alignments(
        reported.read[rows], reported.low[rows], reported.high[rows], reported.loci.single(rows, locus),
        np.zeros(len(rows), np.int32),
        flag=np.where(secondary, FLAG_SECONDARY, reported.flag[rows]).astype(np.uint16),
        mapq=np.where(secondary, 0, reported.mapq[rows]).astype(np.uint8),
        second=np.where(secondary, NONE, reported.second[rows]).astype(np.int32),
    )  # fmt: skip


@njit
def _gaps(cover: Cover, lengths: I64Array, reads: I32Array, min_bases: Int) -> Gaps:
    """Stretches of the ``reads`` between segments, of ``min_bases`` bases or more.

    Only those next to a fresh segment are new.
    """
    most = len(reads) * (cover.begin.shape[1] + 1)
    read = np.empty(most, np.int32)
    begin, end = np.empty(most, np.int64), np.empty(most, np.int64)
    low, high = np.empty(most, np.int64), np.empty(most, np.int64)
    made = 0
    for r in reads:
        n, count, fresh = lengths[r], cover.segments[r], cover.fresh[r]
        order = np.argsort(cover.begin[r, :count])
        reached, last = np.int64(0), -1
        for step in range(count + 1):
            segment = order[step] if step < count else -1
            until = cover.begin[r, segment] if segment >= 0 else n
            new = (last >= 0 and last >= fresh) or (segment >= 0 and segment >= fresh)
            if until - reached >= min_bases and new:
                size = until - reached
                read[made], begin[made], end[made] = r, reached, until
                low[made], high[made] = max(0, reached - size), min(n, until + size)
                made += 1
            if segment >= 0 and cover.end[r, segment] >= reached:
                reached, last = cover.end[r, segment], segment
    return Gaps(read[:made], begin[:made], end[:made], low[:made], high[:made])


@njit
def _choose_segments(
    gaps: Gaps, order: I64Array, loci: Loci, cover: Cover, lengths: I64Array, min_score: Int
) -> I32Array:
    """Locus of each gap that becomes a segment, or -1; adds the segments to ``cover``, in the ``order`` of the gaps.

    A segment has at least as many bases as the score that it must reach.
    """
    chosen = np.full(len(gaps.read), -1, np.int32)
    for g in order:
        r = gaps.read[g]
        count = cover.segments[r]
        threshold = min_score_of(lengths[r], min_score)
        for k in range(loci.held[g]):
            if count == cover.begin.shape[1]:
                break
            begin = gaps.low[g] + loci.query_begin[g, k]
            end = gaps.low[g] + loci.query_end[g, k]
            masked = loci.local_score[g, k] < threshold or end - begin < threshold
            for segment in range(count):
                masked |= same_bases(begin, end, cover.begin[r, segment], cover.end[r, segment])
            if not masked:
                cover.begin[r, count], cover.end[r, count] = begin, end
                cover.segments[r] = count + 1
                chosen[g] = k
                break
    return chosen


@njit
def _expected(cover: Cover, r: Int, segment: Int, n: Int) -> Int:
    """Bases of read r (of n bases) that no segment but this one aligns."""
    count = cover.segments[r]
    expected = n
    reached = np.int64(0)
    for other in np.argsort(cover.begin[r, :count]):
        if other == segment:
            continue
        begin, end = max(reached, cover.begin[r, other]), cover.end[r, other]
        if begin < end:
            shared = max(0, min(end, cover.end[r, segment]) - max(begin, cover.begin[r, segment]))
            expected -= end - begin - shared
            reached = end
    return expected


@njit
def _expected_of_primaries(cover: Cover, lengths: I64Array) -> I64Array:
    """`_expected` of each read's first segment."""
    expected = lengths.copy()
    for r in range(len(lengths)):
        if cover.segments[r] > 1:
            expected[r] = _expected(cover, r, 0, lengths[r])
    return expected


@njit
def _judge(segments: Alignments, cover: Cover, lengths: I64Array) -> None:
    """Set XS and MAPQ of segments, each against its rivals; those of a read are in the order of ``cover``."""
    segment = 0
    for i in range(len(segments.read)):
        r = segments.read[i]
        segment = segment + 1 if i > 0 and segments.read[i - 1] == r else 1
        expected = _expected(cover, r, segment, lengths[r])
        segments.second[i], segments.mapq[i] = judge_alone(
            segments.loci, i, segments.locus[i], expected, SEGMENT_FLOOR
        )


@njit
def _with_secondaries(
    reported: Alignments, threshold: I64Array, config: SecondaryConfig
) -> tuple[I64Array, I32Array]:
    """(Rows, loci): each row with its own locus, then with each rival to report as a secondary alignment.

    ``threshold``: ``int64[rows]``, the score that they must reach. Two candidates may lead to one alignment, which is
    reported once.
    """
    read, loci, locus = reported.read, reported.loci, reported.locus
    room = len(read) * (loci.score.shape[1] + 1)
    rows, chosen = np.empty(room, np.int64), np.empty(room, np.int32)
    made, of_read, begin = 0, 0, 0
    for i in range(len(read)):
        if i == 0 or read[i] != read[i - 1]:
            begin = made
        if i == 0 or config.all_or_none or read[i] != read[i - 1]:
            of_read = 0
        rows[made], chosen[made] = i, locus[i]
        made += 1
        first = made
        for k in range(loci.held[i]):
            share = loci.score[i, locus[i]] * config.min_share
            worth = loci.local_score[i, k] >= threshold[i] and loci.score[i, k] * 100 >= share
            if not worth or not rival(loci, i, locus[i], k):
                continue
            if _is_among(reported, i, k, rows[begin:made], chosen[begin:made]):
                continue
            if of_read == config.most:
                made = first if config.all_or_none else made
                break
            rows[made], chosen[made] = i, k
            made += 1
            of_read += 1
    return rows[:made], chosen[:made]


@inline_njit
def _is_among(reported: Alignments, i: Int, k: Int, rows: I64Array, chosen: I32Array) -> Bool:
    """Whether locus k of row i is the alignment that one of the loci ``chosen`` of the ``rows`` (of its read) is."""
    loci = reported.loci
    for other in range(len(rows)):
        j, known = rows[other], chosen[other]
        if (
            loci.start[i, k] == loci.start[j, known]
            and loci.end[i, k] == loci.end[j, known]
            and loci.contig[i, k] == loci.contig[j, known]
            and loci.reverse[i, k] == loci.reverse[j, known]
            and reported.low[i] + loci.query_begin[i, k] == reported.low[j] + loci.query_begin[j, known]
            and reported.low[i] + loci.query_end[i, k] == reported.low[j] + loci.query_end[j, known]
        ):
            return True
    return False
