"""The kernel behind `esa.io.sam`: alignment records to SAM text.

All arrays reach the kernels as read-only views (`sam.SamFormatter` sees to it), so that there is one
compiled version of each, whoever made the arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.compiled import njit
from esa.dna import LETTERS
from esa.records import (
    CIGAR_H,
    CIGAR_LETTERS,
    CIGAR_S,
    FLAG_REVERSE,
    FLAG_SECONDARY,
    FLAG_UNMAPPED,
)

# The letters of the five base codes in one integer each: a shift instead of a table, so that loops vectorise.
_LETTERS = int.from_bytes(LETTERS.tobytes(), "little")
_COMPLEMENT_LETTERS = int.from_bytes(b"TGCAN", "little")
_BITS_PER_LETTER, _LETTER_MASK = 8, 255
_OP_LETTERS = np.frombuffer(CIGAR_LETTERS, np.uint8)

_FIXED_SIZE = 256
"""Bytes of a record without its texts, at most: tabs, 9 integers of up to 20 digits, 6 heads of tags."""
_OP_SIZE = 10
"""Bytes of a CIGAR element, at most: a length below 2**28 and a letter."""
_SA_SIZE = 64
"""Bytes of an SA element without contig name and CIGAR, at most."""

_TAG_NM = np.frombuffer(b"\tNM:i:", np.uint8)
_TAG_MD = np.frombuffer(b"\tMD:Z:", np.uint8)
_TAG_MC = np.frombuffer(b"\tMC:Z:", np.uint8)
_TAG_MQ = np.frombuffer(b"\tMQ:i:", np.uint8)
_TAG_AS = np.frombuffer(b"\tAS:i:", np.uint8)
_TAG_XS = np.frombuffer(b"\tXS:i:", np.uint8)
_TAG_XA = np.frombuffer(b"\tXA:Z:", np.uint8)
_TAG_SA = np.frombuffer(b"\tSA:Z:", np.uint8)

_TAB, _NEWLINE, _STAR, _EQUALS, _COMMA, _SEMICOLON = (ord(c) for c in "\t\n*=,;")
_PLUS, _MINUS, _ZERO = (ord(c) for c in "+-0")


class Contigs(NamedTuple):
    """Contig names laid one after another (``uint8``), their offsets (``int64``), and the whole RG tag."""

    names: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    rg_tag: NDArray[np.uint8]


class Reads(NamedTuple):
    """The arrays of `esa.reads.ReadBatch`, under the same names."""

    names: NDArray[np.uint8]
    name_offsets: NDArray[np.int64]
    codes: NDArray[np.uint8]
    quals: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    has_qual: NDArray[np.uint8]


class Table(NamedTuple):
    """The arrays of `esa.records.Records`, under the same names."""

    read: NDArray[np.int32]
    flag: NDArray[np.uint16]
    contig: NDArray[np.int32]
    position: NDArray[np.int64]
    mapq: NDArray[np.uint8]
    cigar: NDArray[np.uint32]
    cigar_offsets: NDArray[np.int64]
    mate_contig: NDArray[np.int32]
    mate_position: NDArray[np.int64]
    mate: NDArray[np.int32]
    template_length: NDArray[np.int64]
    nm: NDArray[np.int32]
    alignment_score: NDArray[np.int32]
    second_score: NDArray[np.int32]
    md: NDArray[np.uint8]
    md_offsets: NDArray[np.int64]


@njit
def text_size(contigs, reads, table):  # type: ignore[no-untyped-def]
    """Bytes that `write_text` may need, an upper bound."""
    size = 0
    longest_name = np.int64(1)
    for c in range(len(contigs.offsets) - 1):
        longest_name = max(longest_name, contigs.offsets[c + 1] - contigs.offsets[c])
    r = 0
    while r < len(table.read):
        end = _end_of_read(table, r)
        read = table.read[r]
        ops = table.cigar_offsets[end] - table.cigar_offsets[r]
        linear = _count_linear(table, r, end)
        if linear > 1:
            size += linear * (linear * (_SA_SIZE + longest_name) + ops * _OP_SIZE)
        for i in range(r, end):
            if table.mate[i] >= 0:
                ops += table.cigar_offsets[table.mate[i] + 1] - table.cigar_offsets[table.mate[i]]
            size += 2 * longest_name + table.md_offsets[i + 1] - table.md_offsets[i]
        own = reads.name_offsets[read + 1] - reads.name_offsets[read]
        own += 2 * (reads.offsets[read + 1] - reads.offsets[read]) + _FIXED_SIZE + len(contigs.rg_tag)
        size += (end - r) * own + ops * _OP_SIZE
        r = end
    return size


@njit
def write_text(contigs, reads, table, xa, out):  # type: ignore[no-untyped-def]
    """Write the records as SAM lines into ``out`` and return the bytes written. ``xa``: secondary records become
    an XA tag of the record that they follow."""
    p = 0
    r = 0
    while r < len(table.read):
        end = _end_of_read(table, r)
        linear = _count_linear(table, r, end)
        for i in range(r, end):
            if xa and table.flag[i] & FLAG_SECONDARY:
                continue
            p = _put_fields(contigs, reads, table, i, out, p)
            p = _put_sequence(reads, table, i, out, p)
            p = _put_tags(contigs, table, i, out, p)
            if linear > 1 and _is_linear(table.flag[i]):
                p = _put_other_parts(contigs, table, i, r, end, out, p)
            if xa and i + 1 < end and table.flag[i + 1] & FLAG_SECONDARY:
                p = _put_other_places(contigs, table, i, end, out, p)
            out[p] = _NEWLINE
            p += 1
        r = end
    return p


@njit(forceinline=True)
def _end_of_read(table, r):  # type: ignore[no-untyped-def]
    """End of the run of records that belong to the read of record r."""
    end = r + 1
    while end < len(table.read) and table.read[end] == table.read[r]:
        end += 1
    return end


@njit(forceinline=True)
def _is_linear(flag):  # type: ignore[no-untyped-def]
    """Whether a record is a part of its read's one (perhaps chimeric) alignment: primary or supplementary."""
    return flag & (FLAG_UNMAPPED | FLAG_SECONDARY) == 0


@njit(forceinline=True)
def _count_linear(table, start, end):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(start, end):
        count += _is_linear(table.flag[i])
    return count


@njit(forceinline=True)
def _put_text(text, start, end, out, p):  # type: ignore[no-untyped-def]
    target, source = np.uint64(p), np.uint64(start)
    for k in range(np.uint64(end - start)):
        out[target + k] = text[source + k]
    return p + end - start


@njit(forceinline=True)
def _put_integer(value, out, p):  # type: ignore[no-untyped-def]
    if value < 0:
        out[np.uint64(p)] = _MINUS
        p += 1
    rest = np.uint64(abs(np.int64(value)))
    digits = 1
    power = np.uint64(10)
    while rest >= power:
        digits += 1
        power *= np.uint64(10)
    for k in range(digits - 1, -1, -1):
        quotient = rest // np.uint64(10)
        out[np.uint64(p + k)] = np.uint64(_ZERO) + rest - np.uint64(10) * quotient
        rest = quotient
    return p + digits


@njit(forceinline=True)
def _put_contig(contigs, contig, out, p):  # type: ignore[no-untyped-def]
    if contig < 0:
        out[p] = _STAR
        return p + 1
    return _put_text(contigs.names, contigs.offsets[contig], contigs.offsets[contig + 1], out, p)


@njit(forceinline=True)
def _put_cigar(table, i, soft, out, p):  # type: ignore[no-untyped-def]
    """CIGAR of record i; ``soft``: hard clips are printed as soft ones."""
    start, end = table.cigar_offsets[i], table.cigar_offsets[i + 1]
    if start == end or table.flag[i] & FLAG_UNMAPPED:
        out[p] = _STAR
        return p + 1
    for k in range(start, end):
        op = table.cigar[k] & 15
        if soft and op == CIGAR_H:
            op = np.uint32(CIGAR_S)
        p = _put_integer(table.cigar[k] >> 4, out, p)
        out[p] = _OP_LETTERS[op]
        p += 1
    return p


@njit(forceinline=True)
def _put_fields(contigs, reads, table, i, out, p):  # type: ignore[no-untyped-def]
    """QNAME to TLEN, with the tab that follows."""
    read = table.read[i]
    start, end = reads.name_offsets[read], reads.name_offsets[read + 1]
    if start == end:
        out[p] = _STAR
        p += 1
    else:
        p = _put_text(reads.names, start, end, out, p)
    out[p] = _TAB
    p = _put_integer(table.flag[i], out, p + 1)
    out[p] = _TAB
    p = _put_contig(contigs, table.contig[i], out, p + 1)
    out[p] = _TAB
    p = _put_integer(table.position[i] + 1, out, p + 1)
    out[p] = _TAB
    p = _put_integer(0 if table.flag[i] & FLAG_UNMAPPED else table.mapq[i], out, p + 1)
    out[p] = _TAB
    p = _put_cigar(table, i, False, out, p + 1)
    out[p] = _TAB
    p += 1
    if table.mate_contig[i] >= 0 and table.mate_contig[i] == table.contig[i]:
        out[p] = _EQUALS
        p += 1
    else:
        p = _put_contig(contigs, table.mate_contig[i], out, p)
    out[p] = _TAB
    p = _put_integer(table.mate_position[i] + 1, out, p + 1)
    out[p] = _TAB
    p = _put_integer(table.template_length[i], out, p + 1)
    out[p] = _TAB
    return p + 1


@njit(forceinline=True)
def _letter(letters, code):  # type: ignore[no-untyped-def]
    return (np.uint64(letters) >> np.uint64(_BITS_PER_LETTER * code)) & np.uint64(_LETTER_MASK)


@njit(forceinline=True)
def _hard_clip(element):  # type: ignore[no-untyped-def]
    return np.int64(element >> 4) if element & 15 == CIGAR_H else 0


@njit(forceinline=True)
def _put_sequence(reads, table, i, out, p):  # type: ignore[no-untyped-def]
    """SEQ and QUAL in the direction of the reference, without hard-clipped bases."""
    read, flag = table.read[i], table.flag[i]
    start, end = reads.offsets[read], reads.offsets[read + 1]
    mapped = flag & FLAG_UNMAPPED == 0
    reverse = mapped and flag & FLAG_REVERSE != 0
    first, last = table.cigar_offsets[i], table.cigar_offsets[i + 1] - 1
    if mapped and first <= last:
        left = _hard_clip(table.cigar[first])
        right = _hard_clip(table.cigar[last]) if first < last else 0
        start += right if reverse else left
        end -= left if reverse else right
    if flag & FLAG_SECONDARY or start >= end:
        out[p], out[p + 1], out[p + 2] = _STAR, _TAB, _STAR
        return p + 3
    n = end - start
    target, source, final = np.uint64(p), np.uint64(start), np.uint64(end - 1)
    if reverse:
        for k in range(np.uint64(n)):
            out[target + k] = _letter(_COMPLEMENT_LETTERS, reads.codes[final - k])
    else:
        for k in range(np.uint64(n)):
            out[target + k] = _letter(_LETTERS, reads.codes[source + k])
    out[p + n] = _TAB
    p += n + 1
    if not reads.has_qual[read]:
        out[p] = _STAR
        return p + 1
    if reverse:
        target = np.uint64(p)
        for k in range(np.uint64(n)):
            out[target + k] = reads.quals[final - k]
        return p + n
    return _put_text(reads.quals, start, end, out, p)


@njit(forceinline=True)
def _put_tag_integer(tag, value, out, p):  # type: ignore[no-untyped-def]
    return _put_integer(value, out, _put_text(tag, 0, len(tag), out, p))


@njit(forceinline=True)
def _put_tags(contigs, table, i, out, p):  # type: ignore[no-untyped-def]
    """NM MD MC MQ AS XS RG, each with the tab before it."""
    mapped = table.flag[i] & FLAG_UNMAPPED == 0
    if mapped:
        p = _put_tag_integer(_TAG_NM, table.nm[i], out, p)
        p = _put_text(_TAG_MD, 0, len(_TAG_MD), out, p)
        p = _put_text(table.md, table.md_offsets[i], table.md_offsets[i + 1], out, p)
    mate = table.mate[i]
    if mate >= 0 and table.flag[mate] & FLAG_UNMAPPED == 0:
        p = _put_text(_TAG_MC, 0, len(_TAG_MC), out, p)
        p = _put_cigar(table, mate, False, out, p)
        p = _put_tag_integer(_TAG_MQ, table.mapq[mate], out, p)
    if mapped:
        p = _put_tag_integer(_TAG_AS, table.alignment_score[i], out, p)
        if table.second_score[i] >= 0:
            p = _put_tag_integer(_TAG_XS, table.second_score[i], out, p)
    return _put_text(contigs.rg_tag, 0, len(contigs.rg_tag), out, p)


@njit(forceinline=True)
def _put_other_parts(contigs, table, i, start, end, out, p):  # type: ignore[no-untyped-def]
    """SA: the other parts of a chimeric alignment, hard clips as soft ones (as in bwa mem)."""
    p = _put_text(_TAG_SA, 0, len(_TAG_SA), out, p)
    for j in range(start, end):
        if j == i or not _is_linear(table.flag[j]):
            continue
        p = _put_contig(contigs, table.contig[j], out, p)
        out[p] = _COMMA
        p = _put_integer(table.position[j] + 1, out, p + 1)
        out[p] = _COMMA
        out[p + 1] = _MINUS if table.flag[j] & FLAG_REVERSE else _PLUS
        out[p + 2] = _COMMA
        p = _put_cigar(table, j, True, out, p + 3)
        out[p] = _COMMA
        p = _put_integer(table.mapq[j], out, p + 1)
        out[p] = _COMMA
        p = _put_integer(table.nm[j], out, p + 1)
        out[p] = _SEMICOLON
        p += 1
    return p


@njit(forceinline=True)
def _put_other_places(contigs, table, i, end, out, p):  # type: ignore[no-untyped-def]
    """XA: the secondary records that follow record i, hard clips as soft ones (as in bwa mem)."""
    p = _put_text(_TAG_XA, 0, len(_TAG_XA), out, p)
    for j in range(i + 1, end):
        if table.flag[j] & FLAG_SECONDARY == 0:
            break
        p = _put_contig(contigs, table.contig[j], out, p)
        out[p] = _COMMA
        out[p + 1] = _MINUS if table.flag[j] & FLAG_REVERSE else _PLUS
        p = _put_integer(table.position[j] + 1, out, p + 2)
        out[p] = _COMMA
        p = _put_cigar(table, j, True, out, p + 1)
        out[p] = _COMMA
        p = _put_integer(table.nm[j], out, p + 1)
        out[p] = _SEMICOLON
        p += 1
    return p
