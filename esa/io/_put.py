"""Kernels that write names, contigs and CIGARs as text, for SAM fields and for the tags of SAM and BAM.

Each kernel writes at index ``p`` of ``out`` and returns the index behind what it wrote.
"""

from __future__ import annotations

import numpy as np

from esa.io._record_arrays import Contigs, Reads, Table, cigar_range
from esa.io.records import CIGAR_H, CIGAR_LETTERS, CIGAR_S
from esa.io.text import put_integer, put_text
from esa.kernels.arrays import Bool, Int, U8Array
from esa.kernels.decorator import inline_njit

_OP_LETTERS = np.frombuffer(CIGAR_LETTERS, np.uint8)
_STAR = ord("*")


@inline_njit
def put_name(reads: Reads, read: Int, out: U8Array, p: Int) -> Int:
    """Write the name of a read, ``*`` if it has none."""
    start, end = reads.name_offsets[read], reads.name_offsets[read + 1]
    if start == end:
        out[p] = _STAR
        return p + 1
    return put_text(reads.names, start, end, out, p)


@inline_njit
def put_contig(contigs: Contigs, contig: Int, out: U8Array, p: Int) -> Int:
    """Write the name of a contig, ``*`` for `NONE`."""
    if contig < 0:
        out[p] = _STAR
        return p + 1
    return put_text(contigs.names, contigs.offsets[contig], contigs.offsets[contig + 1], out, p)


@inline_njit
def put_cigar(table: Table, i: Int, soft: Bool, out: U8Array, p: Int) -> Int:
    """Write the CIGAR of record i, ``*`` if it has none. ``soft``: hard clips are printed as soft clips."""
    start, end = cigar_range(table, i)
    if start == end:
        out[p] = _STAR
        return p + 1
    for k in range(start, end):
        op = table.cigar[k] & 15
        if soft and op == CIGAR_H:
            op = np.uint32(CIGAR_S)
        p = put_integer(table.cigar[k] >> 4, out, p)
        out[p] = _OP_LETTERS[op]
        p += 1
    return p
