"""Kernels for the tags of a record, in SAM and in BAM: which it has, in which order, with which values.

``binary`` selects BAM. It is a constant at each call, and these kernels are inlined into their callers: each caller
is compiled for one format only.
"""

from __future__ import annotations

import numpy as np

from esa.io._put import put_cigar, put_contig
from esa.io._record_arrays import Contigs, Table, count_linear, end_of_read, is_linear, start_of_read
from esa.io.records import FLAG_REVERSE, FLAG_SECONDARY, FLAG_UNMAPPED
from esa.io.text import put_integer, put_little, put_text
from esa.kernels.arrays import Bool, Int, U8Array
from esa.kernels.decorator import inline_njit

_TAG_NM = np.frombuffer(b"\tNM:i:", np.uint8)
_TAG_MD = np.frombuffer(b"\tMD:Z:", np.uint8)
_TAG_MC = np.frombuffer(b"\tMC:Z:", np.uint8)
_TAG_MQ = np.frombuffer(b"\tMQ:i:", np.uint8)
_TAG_AS = np.frombuffer(b"\tAS:i:", np.uint8)
_TAG_XS = np.frombuffer(b"\tXS:i:", np.uint8)
_TAG_RG = np.frombuffer(b"\tRG:Z:", np.uint8)
_TAG_SA = np.frombuffer(b"\tSA:Z:", np.uint8)
_TAG_XA = np.frombuffer(b"\tXA:Z:", np.uint8)

_COMMA, _SEMICOLON, _PLUS, _MINUS = (ord(c) for c in ",;+-")
_BYTE, _UNSIGNED_BYTE, _SHORT, _UNSIGNED_SHORT, _INT, _UNSIGNED_INT, _STRING = (ord(c) for c in "cCsSiIZ")


@inline_njit
def put_tags(contigs: Contigs, table: Table, i: Int, xa: Bool, binary: Bool, out: U8Array, p: Int) -> Int:
    """Write all tags of record i: NM MD MC MQ AS XS RG SA XA; in SAM a tab precedes each."""
    mapped = table.flag[i] & FLAG_UNMAPPED == 0
    if mapped:
        p = _put_integer_tag(_TAG_NM, table.nm[i], binary, out, p)
        p = _begin_text_tag(_TAG_MD, binary, out, p)
        p = put_text(table.md, table.md_offsets[i], table.md_offsets[i + 1], out, p)
        p = _end_text_tag(binary, out, p)
    mate = table.mate[i]
    if mate >= 0 and table.flag[mate] & FLAG_UNMAPPED == 0:
        p = _begin_text_tag(_TAG_MC, binary, out, p)
        p = put_cigar(table, mate, False, out, p)
        p = _end_text_tag(binary, out, p)
        p = _put_integer_tag(_TAG_MQ, table.mapq[mate], binary, out, p)
    if mapped:
        p = _put_integer_tag(_TAG_AS, table.alignment_score[i], binary, out, p)
        if table.second_score[i] >= 0:
            p = _put_integer_tag(_TAG_XS, table.second_score[i], binary, out, p)
    if len(contigs.read_group):
        p = _begin_text_tag(_TAG_RG, binary, out, p)
        p = put_text(contigs.read_group, 0, len(contigs.read_group), out, p)
        p = _end_text_tag(binary, out, p)
    end = end_of_read(table, i)
    if is_linear(table.flag[i]):
        start = start_of_read(table, i)
        if count_linear(table, start, end) > 1:
            p = _begin_text_tag(_TAG_SA, binary, out, p)
            p = _put_other_segments(contigs, table, i, start, end, out, p)
            p = _end_text_tag(binary, out, p)
    if xa and i + 1 < end and table.flag[i + 1] & FLAG_SECONDARY:
        p = _begin_text_tag(_TAG_XA, binary, out, p)
        p = _put_other_loci(contigs, table, i, end, out, p)
        p = _end_text_tag(binary, out, p)
    return p


@inline_njit
def _put_integer_tag(tag: U8Array, value: Int, binary: Bool, out: U8Array, p: Int) -> Int:
    if not binary:
        return put_integer(value, out, put_text(tag, 0, len(tag), out, p))
    out[p], out[p + 1] = tag[1], tag[2]
    # The smallest type that holds the value, unsigned if possible: as htslib encodes an i of SAM.
    if value >= 0:
        size = 1 if value < 1 << 8 else 2 if value < 1 << 16 else 4
        kind = _UNSIGNED_BYTE if size == 1 else _UNSIGNED_SHORT if size == 2 else _UNSIGNED_INT
    else:
        size = 1 if value >= -(1 << 7) else 2 if value >= -(1 << 15) else 4
        kind = _BYTE if size == 1 else _SHORT if size == 2 else _INT
    out[p + 2] = kind
    return put_little(value, size, out, p + 3)


@inline_njit
def _begin_text_tag(tag: U8Array, binary: Bool, out: U8Array, p: Int) -> Int:
    if not binary:
        return put_text(tag, 0, len(tag), out, p)
    out[p], out[p + 1], out[p + 2] = tag[1], tag[2], _STRING
    return p + 3


@inline_njit
def _end_text_tag(binary: Bool, out: U8Array, p: Int) -> Int:
    if not binary:
        return p
    out[p] = 0
    return p + 1


@inline_njit
def _put_other_segments(
    contigs: Contigs, table: Table, i: Int, start: Int, end: Int, out: U8Array, p: Int
) -> Int:
    """Write SA: the other segments of a chimeric alignment, hard clips as soft ones (as in bwa mem)."""
    for j in range(start, end):
        if j == i or not is_linear(table.flag[j]):
            continue
        p = put_contig(contigs, table.contig[j], out, p)
        out[p] = _COMMA
        p = put_integer(table.position[j] + 1, out, p + 1)
        out[p] = _COMMA
        out[p + 1] = _MINUS if table.flag[j] & FLAG_REVERSE else _PLUS
        out[p + 2] = _COMMA
        p = put_cigar(table, j, True, out, p + 3)
        out[p] = _COMMA
        p = put_integer(table.mapq[j], out, p + 1)
        out[p] = _COMMA
        p = put_integer(table.nm[j], out, p + 1)
        out[p] = _SEMICOLON
        p += 1
    return p


@inline_njit
def _put_other_loci(contigs: Contigs, table: Table, i: Int, end: Int, out: U8Array, p: Int) -> Int:
    """Write XA: the secondary records that follow record i, hard clips as soft ones (as in bwa mem)."""
    for j in range(i + 1, end):
        if table.flag[j] & FLAG_SECONDARY == 0:
            break
        p = put_contig(contigs, table.contig[j], out, p)
        out[p] = _COMMA
        out[p + 1] = _MINUS if table.flag[j] & FLAG_REVERSE else _PLUS
        p = put_integer(table.position[j] + 1, out, p + 2)
        out[p] = _COMMA
        p = put_cigar(table, j, True, out, p + 1)
        out[p] = _COMMA
        p = put_integer(table.nm[j], out, p + 1)
        out[p] = _SEMICOLON
        p += 1
    return p
