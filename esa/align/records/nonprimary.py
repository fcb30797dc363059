"""Records of supplementary and secondary alignments, inserted behind the primary record of their read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from esa.align.config import VerifyConfig
from esa.align.loci import Reference
from esa.align.records.flags import nonprimary_flags
from esa.align.records.report import Placed, align_chosen
from esa.align.records.split import Alignments
from esa.align.records.template import five_prime_ends, template_lengths
from esa.io.cigar import reference_span
from esa.io.records import CIGAR_H, CIGAR_S, FLAG_REVERSE, FLAG_UNMAPPED, NONE, Records
from esa.kernels.arrays import BoolArray, I32Array, I64Array, U32Array, Word
from esa.kernels.decorator import njit
from esa.sequence.reads import ReadBatch


def with_nonprimary(
    records: Records,
    nonprimary: Alignments,
    batch: ReadBatch,
    reference: Reference,
    config: VerifyConfig,
    eqx: bool,
    soft_clips: bool,
) -> Records:
    """The primary records (one a read) and those of nonprimary alignments, in the order of the reads.

    Mate fields refer to the mate's primary record. TLEN is counted from the nonprimary alignment's own 5' end.

    Args:
        eqx: CIGAR with = and X instead of M.
        soft_clips: nonprimary records have soft clips and all bases of the read; else hard clips.
    """
    extra = _records_of(records, nonprimary, batch, reference, config, eqx, soft_clips)
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
    nonprimary: Alignments,
    batch: ReadBatch,
    reference: Reference,
    config: VerifyConfig,
    eqx: bool,
    soft_clips: bool,
) -> Records:
    read, m = nonprimary.read, len(nonprimary)
    stretches = batch.stretches(read, nonprimary.low, nonprimary.high)
    loci, locus = nonprimary.loci, nonprimary.locus
    aligned = align_chosen(stretches.codes, stretches.offsets, loci, locus, reference, config.max_gap, eqx)
    placed = aligned.placed
    reverse = loci.reverse[np.arange(m), locus] == 1
    before, after = nonprimary.low, np.diff(batch.offsets)[read] - nonprimary.high
    cigar, cigar_offsets = _clipped(
        aligned.cigar, aligned.cigar_offsets, np.where(reverse, after, before), np.where(reverse, before, after),
        np.uint32(CIGAR_S if soft_clips else CIGAR_H),
    )  # fmt: skip
    mate = records.mate[read]
    return Records(
        read=read,
        flag=nonprimary_flags(records.flag[read], nonprimary.flag, reverse),
        contig=placed.contig,
        position=placed.position,
        mapq=nonprimary.mapq,
        cigar=cigar,
        cigar_offsets=cigar_offsets,
        mate_contig=records.mate_contig[read],
        mate_position=records.mate_position[read],
        mate=mate,
        template_length=_template_lengths(records, placed, reverse, mate),
        nm=placed.nm,
        alignment_score=placed.score,
        second_score=nonprimary.second,
        md=aligned.md,
        md_offsets=aligned.md_offsets,
    )


def _template_lengths(records: Records, placed: Placed, reverse: BoolArray, mate: I32Array) -> I64Array:
    """TLEN of nonprimary alignments, to the 5' end of the mate's primary alignment."""
    flag = records.flag[mate]
    spans = _spans(records.cigar, records.cigar_offsets, mate)
    mate_ends = five_prime_ends(records.position[mate], spans, flag & FLAG_REVERSE != 0)
    mate_mapped = (mate != NONE) & (flag & FLAG_UNMAPPED == 0)
    same_contig = mate_mapped & (records.contig[mate] == placed.contig)
    return template_lengths(five_prime_ends(placed.position, placed.span, reverse), mate_ends, same_contig)


@njit
def _spans(cigar: U32Array, offsets: I64Array, rows: I32Array) -> I64Array:
    """Reference bases that the CIGAR of each of the ``rows`` covers; 0 for `NONE`."""
    spans = np.zeros(len(rows), np.int64)
    for i in range(len(rows)):
        if rows[i] != NONE:
            spans[i] = reference_span(cigar, offsets[rows[i]], offsets[rows[i] + 1])
    return spans


@njit
def _clipped(
    cigar: U32Array, offsets: I64Array, left: I64Array, right: I64Array, clip: Word
) -> tuple[U32Array, I64Array]:
    """CIGARs of stretches of reads as CIGARs of the reads, with all clips of the kind ``clip``.

    ``left``, ``right``: ``int64[rows]``, bases of the read on either side of its stretch, in the direction of the
    reference.
    """
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
def _joined_texts(
    text: NDArray[Any], offsets: I64Array, other: NDArray[Any], other_offsets: I64Array, order: I64Array
) -> tuple[NDArray[Any], I64Array]:
    """The rows of two tables of texts in a new ``order``; rows from ``len(offsets) - 1`` on are the other's."""
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
