"""From chosen loci to records: CIGAR, MD, NM and AS of each read, and what its record states about its mate."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.config import VerifyConfig
from esa.align.extend.band_state import score_marked, score_of
from esa.align.extend.gapped import Gapped, Scratch, Tasks, align_tasks, load_window, make_scratch, make_tasks
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
from esa.align.records.flags import primary_flags
from esa.align.records.template import five_prime_ends, template_lengths
from esa.io.records import CIGAR_D, CIGAR_EQ, CIGAR_I, CIGAR_M, CIGAR_S, CIGAR_X, NONE, Records
from esa.io.text import put_integer
from esa.kernels.arrays import Bool, I32Array, I64Array, Int, U8Array, U32Array, U64Array
from esa.kernels.bits import lowest_bit
from esa.kernels.decorator import inline_njit, njit
from esa.kernels.intrinsics import grown
from esa.sequence.dna import LETTERS, WORD, base_at
from esa.sequence.reads import ReadBatch

PAIR, INSERTION, DELETION = range(3)
"""Operations as `esa.align.extend.banded.trace` writes them."""

_CARET = ord("^")


class Placed(NamedTuple):
    """Where some reads lie, one entry a read, as in `esa.io.records.Records`.

    contig, position: `NONE` for an unmapped read, which has 0 in all other fields.
    span: reference bases covered.
    nm, score: NM and AS.
    """

    contig: NDArray[np.int32]
    position: NDArray[np.int64]
    span: NDArray[np.int64]
    nm: NDArray[np.int32]
    score: NDArray[np.int32]


class Aligned(NamedTuple):
    """The reported alignments of some reads.

    placed: where they lie.
    cigar: ``uint32``, BAM-encoded elements; cigar_offsets: ``int64[reads + 1]``.
    md: ``uint8``, MD strings; md_offsets: ``int64[reads + 1]``. CIGAR and MD of an unmapped read are empty.
    """

    placed: Placed
    cigar: NDArray[np.uint32]
    cigar_offsets: NDArray[np.int64]
    md: NDArray[np.uint8]
    md_offsets: NDArray[np.int64]


class _Texts(NamedTuple):
    """CIGARs and MD strings one after another, and where the next ones begin."""

    cigar: NDArray[np.uint32]
    cigar_end: int
    md: NDArray[np.uint8]
    md_end: int


class _Described(NamedTuple):
    """An alignment whose CIGAR and MD were appended: where they end, NM, reference bases covered."""

    cigar_end: int
    md_end: int
    nm: int
    span: int


def make_records(
    batch: ReadBatch, loci: Loci, choice: Choice, reference: Reference, config: VerifyConfig, eqx: bool
) -> Records:
    """One primary record for each read of a batch, in order. ``eqx``: CIGAR with = and X instead of M."""
    n = len(batch)
    read = np.arange(n, dtype=np.int32)
    aligned = align_chosen(batch.codes, batch.offsets, loci, choice.locus, reference, config.max_gap, eqx)
    contig, position, span, nm, score = aligned.placed
    mapped = choice.locus >= 0
    rows = np.flatnonzero(mapped)
    reverse = np.zeros(n, np.bool_)
    reverse[rows] = loci.reverse[rows, choice.locus[rows]] == 1
    mate = np.full(n, NONE, np.int32)
    mate_contig = np.full(n, NONE, np.int32)
    mate_position = np.full(n, NONE, np.int64)
    template_length = np.zeros(n, np.int64)
    if batch.paired:
        mate[:] = read ^ 1
        # An unmapped read is placed by its mapped mate.
        unplaced = ~mapped & mapped[mate]
        contig[unplaced] = contig[mate[unplaced]]
        position[unplaced] = position[mate[unplaced]]
        mate_contig[:] = contig[mate]
        mate_position[:] = position[mate]
        ends = five_prime_ends(position, span, reverse)
        same_contig = mapped & mapped[mate] & (contig == contig[mate])
        template_length[:] = template_lengths(ends, ends[mate], same_contig)
    return Records(
        read=read,
        flag=primary_flags(mapped, reverse, choice.proper == 1, batch.paired),
        contig=contig,
        position=position,
        mapq=choice.mapq,
        cigar=aligned.cigar,
        cigar_offsets=aligned.cigar_offsets,
        mate_contig=mate_contig,
        mate_position=mate_position,
        mate=mate,
        template_length=template_length,
        nm=nm,
        alignment_score=score,
        second_score=choice.second,
        md=aligned.md,
        md_offsets=aligned.md_offsets,
    )


@inline_njit
def _append_ops(cigar: U32Array, begin: Int, end: Int, op: Int, count: Int) -> Int:
    """Append ``count`` bases of an operation to the CIGAR ``cigar[begin:end]``; returns its new end."""
    if count == 0:
        return end
    if end > begin and cigar[end - 1] & np.uint32(15) == op:
        cigar[end - 1] += np.uint32(count << 4)
        return end
    cigar[end] = np.uint32(count << 4 | op)
    return end + 1


@inline_njit
def _append_mismatch(md: U8Array, end: Int, run: Int, base: Int) -> Int:
    """Append ``run`` matches and a mismatch at a reference base to an MD string; returns its new end."""
    end = put_integer(run, md, end)
    md[end] = LETTERS[base]
    return end + 1


@inline_njit
def _describe(
    query: U8Array, first: Int, window: U8Array, ops: U8Array, count: Int, eqx: Bool, texts: _Texts
) -> _Described:
    """Append the CIGAR (without clips) and MD of an alignment; its operations are ``ops[:count]``, last first.

    ``query[first]`` and ``window[0]`` are its first bases.
    """
    i, j, edits, run = first, 0, 0, 0
    cigar, at, md, md_at = texts.cigar, texts.cigar_end, texts.md, texts.md_end
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
                md_at = _append_mismatch(md, md_at, run, window[j])
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
                md_at = put_integer(run, md, md_at)
                md[md_at] = _CARET
                md_at += 1
                run = 0
            md[md_at] = LETTERS[window[j]]
            md_at += 1
            edits += 1
            j += 1
        deleting = op == DELETION
    return _Described(at, put_integer(run, md, md_at), edits, j)


@inline_njit
def _describe_marked(
    marks: U64Array, packed: U8Array, diagonal: Int, first: Int, last: Int, eqx: Bool, texts: _Texts
) -> _Described:
    """`_describe` of an alignment without gaps, of the query bases ``first:last``, from `mark_mismatches`.

    Not one with `_describe`: base by base, a read takes 690 ns instead of 230 (2x148 on chr20; 600 and 270 with 2x76).
    """
    cigar, at, md, md_at = texts.cigar, texts.cigar_end, texts.md, texts.md_end
    begin, edits, done = at, 0, first
    for w in range(first // WORD, words_for(last)):
        bits = marks[w]
        while bits:
            i = w * WORD + (lowest_bit(bits) >> 1)
            bits &= bits - np.uint64(1)
            if not first <= i < last:
                continue
            md_at = _append_mismatch(md, md_at, i - done, base_at(packed, diagonal + i))
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
    return _Described(at, put_integer(last - done, md, md_at), edits, last - first)


@inline_njit
def _longest_chosen(offsets: I64Array, locus: I32Array) -> Int:
    """Bases of the longest mapped read, at least 1."""
    longest = 1
    for r in range(len(locus)):
        if locus[r] >= 0:
            longest = max(longest, offsets[r + 1] - offsets[r])
    return longest


class _Chosen(NamedTuple):
    """Reads, and the locus of each that is reported (``int32[reads]``; -1: unmapped)."""

    codes: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    loci: Loci
    locus: NDArray[np.int32]
    reference: Reference


class _Buffers(NamedTuple):
    """Buffers of `align_chosen`.

    strands, scratch: for the longest read.
    gapped: the alignments with gaps; that of read r is number ``task[r]`` (``int32[reads]``), where it has one.
    """

    strands: Strands
    scratch: Scratch
    gapped: Gapped
    task: NDArray[np.int32]


@njit
def align_chosen(
    codes: U8Array,
    offsets: I64Array,
    loci: Loci,
    locus: I32Array,
    reference: Reference,
    max_gap: Int,
    eqx: Bool,
) -> Aligned:
    """Align each read at its chosen locus, for its record.

    Args:
        codes, offsets: the reads, as in `esa.sequence.reads.ReadBatch`.
        loci: one row a read.
        locus: ``int32[reads]``, the locus to report in that row; -1: the read is unmapped.
        max_gap: the longest gap that the loci may have.
        eqx: CIGAR with = and X instead of M.
    """
    reads = len(locus)
    chosen = _Chosen(codes, offsets, loci, locus, reference)
    placed = Placed(
        np.full(reads, NONE, np.int32),
        np.full(reads, NONE, np.int64),
        np.zeros(reads, np.int64),
        np.zeros(reads, np.int32),
        np.zeros(reads, np.int32),
    )
    longest = _longest_chosen(offsets, locus)
    task = np.empty(reads, np.int32)
    tasks = make_tasks(_gather(loci, locus, make_tasks(0), task))
    count = _gather(loci, locus, tasks, task)
    buffers = _Buffers(
        make_strands(longest),
        make_scratch(longest, max_gap),
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
            at, md_at = _report(r, chosen, eqx, buffers, placed, texts)
        cigar_offsets[r + 1] = at
        md_offsets[r + 1] = md_at
    return Aligned(placed, cigar[:at].copy(), cigar_offsets, md[:md_at].copy(), md_offsets)


@inline_njit
def _gather(loci: Loci, locus: I32Array, tasks: Tasks, task: I32Array) -> Int:
    """Write the chosen loci with gaps to ``tasks``, as far as there is room; returns how many there are.

    ``task``: ``int32[reads]``, gets the number of each read's task.
    """
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
def _report(
    r: Int, chosen: _Chosen, eqx: Bool, buffers: _Buffers, placed: Placed, texts: _Texts
) -> tuple[Int, Int]:
    """Align read r at its chosen locus and append its CIGAR and MD; returns where these end."""
    contig, position, span, nm, score = placed
    codes, offsets, loci, locus, reference = chosen
    k = locus[r]
    cigar, at, md, md_at = texts.cigar, texts.cigar_end, texts.md, texts.md_end
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
        made = _describe_marked(scratch.marks, reference.packed, diagonal, first, last, eqx, texts)
    else:
        if not banded:
            scratch.ops[:count] = PAIR
        ops = gapped.ops[gapped.ops_offsets[buffers.task[r]] :] if banded else scratch.ops
        load_window(reference, where, start, end - start, scratch.window)
        made = _describe(query.codes, first, scratch.window, ops, count, eqx, texts)
    at, md_at, nm[r], span[r] = made
    if last < n:
        cigar[at] = np.uint32((n - last) << 4 | CIGAR_S)
        at += 1
    contig[r] = where
    position[r] = start - reference.offsets[where]
    score[r] = score_of(total, first, last, n)
    return at, md_at
