"""Records of supplementary and secondary alignments, put behind the primary record of their read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esa.align.config import VerifyConfig
from esa.align.loci import Reference
from esa.align.records.report import Placed, align_chosen, signed_length
from esa.align.records.split import Alignments
from esa.io.records import (
    CIGAR_H,
    CIGAR_S,
    FLAG_FIRST,
    FLAG_MATE_REVERSE,
    FLAG_MATE_UNMAPPED,
    FLAG_PAIRED,
    FLAG_PROPER,
    FLAG_REVERSE,
    FLAG_SECOND,
    FLAG_UNMAPPED,
    NONE,
    Records,
)
from esa.kernels.decorator import njit
from esa.sequence.reads import ReadBatch

OF_THE_READ = np.uint16(
    FLAG_PAIRED | FLAG_PROPER | FLAG_MATE_UNMAPPED | FLAG_MATE_REVERSE | FLAG_FIRST | FLAG_SECOND
)
"""Flags that all records of a read have in common, as in bwa mem."""


def with_nonprimary(
    records: Records,
    further: Alignments,
    batch: ReadBatch,
    reference: Reference,
    config: VerifyConfig,
    eqx: bool,
    soft_clips: bool,
) -> Records:
    """Primary records (one a read) and those of further alignments, in the order of the reads.

    What is said of the mate is said of its primary record. TLEN is counted from the further alignment's own end.
    ``soft_clips``: further records have soft clips and all bases; else hard clips.
    """
    extra = _records_of(records, further, batch, reference, config, eqx, soft_clips)
    read = np.concatenate([records.read, extra.read])
    order = np.argsort(read, kind="stable")
    primary_at = np.flatnonzero(order < len(records)).astype(np.int32)
    joined = {
        name: np.concatenate([getattr(records, name), getattr(extra, name)])[order]
        for name in records.__dataclass_fields__
        if not name.startswith(("cigar", "md"))
    }
    paired = joined["mate"] != NONE
    joined["mate"][paired] = primary_at[joined["mate"][paired]]
    cigar, cigar_offsets = _joined_texts(
        records.cigar, records.cigar_offsets, extra.cigar, extra.cigar_offsets, order
    )
    md, md_offsets = _joined_texts(records.md, records.md_offsets, extra.md, extra.md_offsets, order)
    return Records(**joined, cigar=cigar, cigar_offsets=cigar_offsets, md=md, md_offsets=md_offsets)


def _records_of(
    records: Records,
    further: Alignments,
    batch: ReadBatch,
    reference: Reference,
    config: VerifyConfig,
    eqx: bool,
    soft_clips: bool,
) -> Records:
    read, m = further.read, len(further)
    stretches = batch.stretches(read, further.low, further.high)
    placed = Placed.nowhere(m)
    cigar, cigar_offsets, md, md_offsets = align_chosen(
        stretches.codes, stretches.offsets, further.loci, further.locus, reference, config, eqx, placed
    )
    reverse = further.loci.reverse[np.arange(m), further.locus] == 1
    before, after = further.low, np.diff(batch.offsets)[read] - further.high
    cigar, cigar_offsets = _clipped(
        cigar, cigar_offsets, np.where(reverse, after, before), np.where(reverse, before, after),
        np.uint32(CIGAR_S if soft_clips else CIGAR_H),
    )  # fmt: skip
    mate = records.mate[read]
    flag = (records.flag[read] & OF_THE_READ) | further.flag
    flag[reverse] |= FLAG_REVERSE
    return Records(
        read=read,
        flag=flag,
        contig=placed.contig,
        position=placed.position,
        mapq=further.mapq,
        cigar=cigar,
        cigar_offsets=cigar_offsets,
        mate_contig=records.mate_contig[read],
        mate_position=records.mate_position[read],
        mate=mate,
        template_length=_template_lengths(records, placed, reverse, mate),
        nm=placed.nm,
        alignment_score=placed.score,
        second_score=further.second,
        md=md,
        md_offsets=md_offsets,
    )


def _template_lengths(
    records: Records, placed: Placed, reverse: NDArray[np.bool_], mate: NDArray[np.int32]
) -> NDArray[np.int64]:
    """TLEN of further alignments: to the 5' end of the mate's primary one, where that is on the same contig."""
    spans = _spans(records.cigar, records.cigar_offsets, mate)
    mates = records.position[mate] + np.where(records.flag[mate] & FLAG_REVERSE, spans - 1, 0)
    mine = placed.position + np.where(reverse, placed.span - 1, 0)
    both = (
        (mate != NONE) & (records.flag[mate] & FLAG_UNMAPPED == 0) & (records.contig[mate] == placed.contig)
    )
    return np.where(both, signed_length(mates - mine), 0)


@njit
def _spans(cigar, offsets, rows):  # type: ignore[no-untyped-def]
    """Bases of the reference that the records ``rows`` cover."""
    spans = np.zeros(len(rows), np.int64)
    for i in range(len(rows)):
        for element in cigar[offsets[rows[i]] : offsets[rows[i] + 1]]:
            # M, D, N, = and X.
            if element & np.uint32(15) in (0, 2, 3, 7, 8):
                spans[i] += element >> np.uint32(4)
    return spans


@njit
def _clipped(cigar, offsets, left, right, clip):  # type: ignore[no-untyped-def]
    """CIGARs of stretches of reads with so many bases more left and right of them, all clips of kind ``clip``."""
    new = np.empty(len(cigar) + 2 * len(left), np.uint32)
    new_offsets = np.zeros(len(offsets), np.int64)
    at = 0
    for i in range(len(left)):
        begin, end = offsets[i], offsets[i + 1]
        first, last = left[i], right[i]
        if cigar[begin] & np.uint32(15) == CIGAR_S:
            first += np.int64(cigar[begin] >> np.uint32(4))
            begin += 1
        if cigar[end - 1] & np.uint32(15) == CIGAR_S:
            last += np.int64(cigar[end - 1] >> np.uint32(4))
            end -= 1
        if first:
            new[at] = np.uint32(first << 4) | clip
            at += 1
        for k in range(begin, end):
            new[at] = cigar[k]
            at += 1
        if last:
            new[at] = np.uint32(last << 4) | clip
            at += 1
        new_offsets[i + 1] = at
    return new[:at].copy(), new_offsets


@njit
def _joined_texts(text, offsets, other, other_offsets, order):  # type: ignore[no-untyped-def]
    """The rows of two tables (rows from ``len(offsets) - 1`` on are the other's) in a new order."""
    n = len(offsets) - 1
    new = np.empty(len(text) + len(other), text.dtype)
    new_offsets = np.zeros(len(order) + 1, np.int64)
    at = 0
    for i in range(len(order)):
        row = order[i]
        source, begin, end = text, offsets[min(row, n - 1)], offsets[min(row + 1, n)]
        if row >= n:
            source, begin, end = other, other_offsets[row - n], other_offsets[row - n + 1]
        for k in range(begin, end):
            new[at] = source[k]
            at += 1
        new_offsets[i + 1] = at
    return new, new_offsets
