"""From chosen loci to records: CIGAR, MD, NM, AS of each read, and what a read's record says of its mate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.config import VerifyConfig
from esa.align.extend.band_state import score_marked, score_of
from esa.align.extend.gapped import Gapped, Scratch, align_tasks, load_window, make_scratch, make_tasks
from esa.align.extend.mismatch_masks import (
    Strands,
    make_strands,
    mark_mismatches,
    orient,
    query_on,
    words_for,
)
from esa.align.loci import Loci, Reference
from esa.align.pairing.choose import Choice
from esa.io.records import (
    CIGAR_D,
    CIGAR_EQ,
    CIGAR_I,
    CIGAR_M,
    CIGAR_S,
    CIGAR_X,
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
from esa.kernels.bits import lowest_bit
from esa.kernels.decorator import inline_njit, njit
from esa.kernels.intrinsics import grown
from esa.sequence.dna import LETTERS, WORD, base_at
from esa.sequence.reads import ReadBatch

PAIR, INSERTION, DELETION = range(3)
"""Operations as `esa.align.extend.banded.trace` writes them."""

_CARET = ord("^")
_ZERO = ord("0")


class Placed(NamedTuple):
    """Where the reads of a batch lie: arrays of that length, as in `esa.io.records.Records`; ``span``: bases of the
    reference covered."""

    contig: NDArray[np.int32]
    position: NDArray[np.int64]
    span: NDArray[np.int64]
    nm: NDArray[np.int32]
    score: NDArray[np.int32]

    @classmethod
    def nowhere(cls, reads: int) -> Placed:
        """Unplaced reads."""
        return cls(
            np.full(reads, NONE, np.int32),
            np.full(reads, NONE, np.int64),
            np.zeros(reads, np.int64),
            np.zeros(reads, np.int32),
            np.zeros(reads, np.int32),
        )


def make_records(
    batch: ReadBatch, loci: Loci, choice: Choice, reference: Reference, config: VerifyConfig, eqx: bool
) -> Records:
    """One primary record for each read of a batch, in order. ``eqx``: CIGAR with = and X instead of M."""
    n = len(batch)
    read = np.arange(n, dtype=np.int32)
    placed = Placed.nowhere(n)
    cigar, cigar_offsets, md, md_offsets = align_chosen(
        batch.codes, batch.offsets, loci, choice.locus, reference, config, eqx, placed
    )
    contig, position, span, nm, score = placed
    flag = np.zeros(n, np.uint16)
    mapped = choice.locus >= 0
    rows = np.flatnonzero(mapped)
    reverse = np.zeros(n, np.bool_)
    reverse[rows] = loci.reverse[rows, choice.locus[rows]] == 1
    flag[~mapped] |= FLAG_UNMAPPED
    flag[reverse] |= FLAG_REVERSE
    mate = np.full(n, NONE, np.int32)
    mate_contig = np.full(n, NONE, np.int32)
    mate_position = np.full(n, NONE, np.int64)
    template_length = np.zeros(n, np.int64)
    if batch.paired:
        mate[:] = read ^ 1
        flag |= FLAG_PAIRED
        flag[0::2] |= FLAG_FIRST
        flag[1::2] |= FLAG_SECOND
        flag[~mapped[mate]] |= FLAG_MATE_UNMAPPED
        flag[reverse[mate]] |= FLAG_MATE_REVERSE
        flag[choice.proper == 1] |= FLAG_PROPER
        # An unmapped read is placed by its mapped mate.
        lost = ~mapped & mapped[mate]
        contig[lost] = contig[mate[lost]]
        position[lost] = position[mate[lost]]
        mate_contig[:] = contig[mate]
        mate_position[:] = position[mate]
        template_length[:] = _template_lengths(mapped, contig, position, span, reverse, mate)
    return Records(
        read=read,
        flag=flag,
        contig=contig,
        position=position,
        mapq=choice.mapq,
        cigar=cigar,
        cigar_offsets=cigar_offsets,
        mate_contig=mate_contig,
        mate_position=mate_position,
        mate=mate,
        template_length=template_length,
        nm=nm,
        alignment_score=score,
        second_score=choice.second,
        md=md,
        md_offsets=md_offsets,
    )


def _template_lengths(
    mapped: NDArray[np.bool_],
    contig: NDArray[np.int32],
    position: NDArray[np.int64],
    span: NDArray[np.int64],
    reverse: NDArray[np.bool_],
    mate: NDArray[np.int32],
) -> NDArray[np.int64]:
    """TLEN as bwa mem: from 5' end to 5' end of the aligned bases, positive for the one further left."""
    five_prime = position + np.where(reverse, span - 1, 0)
    length = signed_length(five_prime[mate] - five_prime)
    return np.where(mapped & mapped[mate] & (contig == contig[mate]), length, 0)


def signed_length(ahead: NDArray[np.int64]) -> NDArray[np.int64]:
    """TLEN from how far ahead the mate's 5' base lies: both bases count."""
    return ahead + np.sign(ahead)


@inline_njit
def _append_number(out, at, number):  # type: ignore[no-untyped-def]
    digits = 1
    rest = number // 10
    while rest:
        digits += 1
        rest //= 10
    for d in range(digits - 1, -1, -1):
        out[at + d] = _ZERO + number % 10
        number //= 10
    return at + digits


@inline_njit
def _append_ops(cigar, begin, end, op, count):  # type: ignore[no-untyped-def]
    """Add so many bases of an operation to the CIGAR ``cigar[begin:end]``; returns its new end."""
    if count == 0:
        return end
    if end > begin and cigar[end - 1] & np.uint32(15) == op:
        cigar[end - 1] += np.uint32(count << 4)
        return end
    cigar[end] = np.uint32(count << 4 | op)
    return end + 1


@inline_njit
def _describe(query, first, window, ops, count, eqx, texts):  # type: ignore[no-untyped-def]
    """Append the CIGAR (without clips) and MD of an alignment; its operations are ``ops[:count]``, last first.

    ``query[first]`` and ``window[0]`` are its first bases. Returns (new CIGAR end, new MD end, NM, bases of the
    reference covered).
    """
    i, j, edits, run = first, 0, 0, 0
    cigar, at, md, md_at = texts
    begin = at
    deleting = False
    for step in range(count - 1, -1, -1):
        op = ops[step]
        if op == PAIR:
            same = query[i] == window[j] and query[i] < 4
            at = _append_ops(cigar, begin, at, (CIGAR_EQ if same else CIGAR_X) if eqx else CIGAR_M, 1)
            if same:
                run += 1
            else:
                md_at = _append_number(md, md_at, run)
                md[md_at] = LETTERS[window[j]]
                md_at += 1
                run = 0
                edits += 1
            i += 1
            j += 1
        elif op == INSERTION:
            at = _append_ops(cigar, begin, at, CIGAR_I, 1)
            edits += 1
            i += 1
        else:
            at = _append_ops(cigar, begin, at, CIGAR_D, 1)
            if not deleting:
                md_at = _append_number(md, md_at, run)
                md[md_at] = _CARET
                md_at += 1
                run = 0
            md[md_at] = LETTERS[window[j]]
            md_at += 1
            edits += 1
            j += 1
        deleting = op == DELETION
    return at, _append_number(md, md_at, run), edits, j


@inline_njit
def _describe_marked(marks, reference, diagonal, interval, eqx, texts):  # type: ignore[no-untyped-def]
    """`_describe` of an alignment without gaps, of the query bases ``interval``, from `mark_mismatches`.

    Returns (new CIGAR end, new MD end, NM).
    """
    first, last = interval
    cigar, at, md, md_at = texts
    begin, edits, done = at, 0, first
    for w in range(first // WORD, words_for(last)):
        bits = marks[w]
        while bits:
            i = w * WORD + (lowest_bit(bits) >> 1)
            bits &= bits - np.uint64(1)
            if not first <= i < last:
                continue
            md_at = _append_number(md, md_at, i - done)
            md[md_at] = LETTERS[base_at(reference.packed, diagonal + i)]
            md_at += 1
            if eqx:
                at = _append_ops(cigar, begin, at, CIGAR_EQ, i - done)
                at = _append_ops(cigar, begin, at, CIGAR_X, 1)
            edits += 1
            done = i + 1
    at = (
        _append_ops(cigar, begin, at, CIGAR_EQ, last - done)
        if eqx
        else _append_ops(cigar, begin, at, CIGAR_M, last - first)
    )
    return at, _append_number(md, md_at, last - done), edits


@inline_njit
def _longest_chosen(offsets, locus):  # type: ignore[no-untyped-def]
    longest = 1
    for r in range(len(locus)):
        if locus[r] >= 0:
            longest = max(longest, offsets[r + 1] - offsets[r])
    return longest


class _Texts(NamedTuple):
    """CIGARs and MDs one behind the other; where the next ones go."""

    cigar: NDArray[np.uint32]
    cigar_end: int
    md: NDArray[np.uint8]
    md_end: int


class _Buffers(NamedTuple):
    """Room of `align_chosen`.

    strands, scratch: for the longest read.
    gapped: the alignments with gaps; that of read r is number ``task[r]`` (``int32[reads]``), where it has one.
    """

    strands: Strands
    scratch: Scratch
    gapped: Gapped
    task: NDArray[np.int32]


@njit
def align_chosen(codes, offsets, loci, locus, reference, config, eqx, placed):  # type: ignore[no-untyped-def]
    """Align each read at its chosen locus for good; fills ``placed``; returns CIGARs and MDs with offsets."""
    reads = len(locus)
    longest = _longest_chosen(offsets, locus)
    task = np.empty(reads, np.int32)
    tasks = make_tasks(_gather(loci, locus, make_tasks(0), task))
    count = _gather(loci, locus, tasks, task)
    buffers = _Buffers(
        make_strands(longest),
        make_scratch(longest, config.max_gap),
        align_tasks(tasks, count, codes, offsets, reference),
        task,
    )
    most = len(buffers.scratch.ops)
    cigar = np.empty(reads * 4 + 2 * most, np.uint32)
    cigar_offsets = np.zeros(reads + 1, np.int64)
    md = np.empty(reads * 16 + 4 * most, np.uint8)
    md_offsets = np.zeros(reads + 1, np.int64)
    at, md_at = 0, 0
    for r in range(reads):
        if locus[r] >= 0:
            if at + 2 * most > len(cigar):
                cigar = grown(cigar, at, len(cigar) * 2)
            if md_at + 4 * most > len(md):
                md = grown(md, md_at, len(md) * 2)
            texts = _Texts(cigar, at, md, md_at)
            at, md_at = _report(r, locus[r], (codes, offsets), loci, reference, eqx, buffers, placed, texts)
        cigar_offsets[r + 1] = at
        md_offsets[r + 1] = md_at
    return cigar[:at].copy(), cigar_offsets, md[:md_at].copy(), md_offsets


@inline_njit
def _gather(loci, locus, tasks, task):  # type: ignore[no-untyped-def]
    """Count the chosen loci with gaps, and put them into the tasks as far as these have room; fills ``task``."""
    made = 0
    for r in range(len(locus)):
        k = locus[r]
        task[r] = made
        if k < 0 or loci.band[r, k] == 0:
            continue
        if made < len(tasks.read):
            tasks.read[made], tasks.band[made], tasks.reverse[made] = r, loci.band[r, k], loci.reverse[r, k]
            tasks.contig[made], tasks.diagonal[made] = loci.contig[r, k], loci.diagonal[r, k]
        made += 1
    return made


@inline_njit
def _report(r, k, reads, loci, reference, eqx, buffers, placed, texts):  # type: ignore[no-untyped-def]
    """Place read r at locus k, append its CIGAR and MD, and return where these end; ``reads``: (codes, offsets)."""
    contig, position, span, nm, score = placed
    codes, offsets = reads
    cigar, at, md, md_at = texts
    scratch, gapped = buffers.scratch, buffers.gapped
    n = offsets[r + 1] - offsets[r]
    orient(codes, offsets[r], offsets[r + 1], buffers.strands)
    query = query_on(buffers.strands, n, loci.reverse[r, k])
    where, diagonal = loci.contig[r, k], loci.diagonal[r, k]
    banded = loci.band[r, k] != 0
    mismatches = -1
    if banded:
        t = buffers.task[r]
        total, first, last = np.int64(gapped.total[t]), np.int64(gapped.begin[t]), np.int64(gapped.stop[t])
        start, end, count = gapped.start[t], gapped.end[t], np.int64(gapped.steps[t])
    else:
        mismatches = mark_mismatches(query, reference, where, diagonal, scratch.marks)
        total, first, last = score_marked(query, reference, where, diagonal, mismatches, scratch)
        start, end, count = diagonal + first, diagonal + last, last - first
    if first:
        cigar[at] = np.uint32(first << 4 | CIGAR_S)
        at += 1
    texts = _Texts(cigar, at, md, md_at)
    if mismatches >= 0:
        at, md_at, nm[r] = _describe_marked(scratch.marks, reference, diagonal, (first, last), eqx, texts)
        span[r] = count
    else:
        if not banded:
            scratch.ops[:count] = PAIR
        ops = gapped.ops[gapped.ops_offsets[buffers.task[r]] :] if banded else scratch.ops
        load_window(reference, where, start, end - start, scratch.window)
        at, md_at, nm[r], span[r] = _describe(query.codes, first, scratch.window, ops, count, eqx, texts)
    if last < n:
        cigar[at] = np.uint32((n - last) << 4 | CIGAR_S)
        at += 1
    contig[r] = where
    position[r] = start - reference.offsets[where]
    score[r] = score_of(total, first, last, n)
    return at, md_at
