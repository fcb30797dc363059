"""Kernels that put the pieces of records into a byte array: texts for SAM and for BAM's tags, integers for BAM.

Each puts at index p of ``out`` and returns the index where what it has put ends.
"""

from __future__ import annotations

import numpy as np

from esa.io._record_arrays import cigar_range
from esa.io.records import CIGAR_H, CIGAR_LETTERS, CIGAR_S
from esa.kernels.decorator import inline_njit

_OP_LETTERS = np.frombuffer(CIGAR_LETTERS, np.uint8)
_STAR, _MINUS, _ZERO = (ord(c) for c in "*-0")


@inline_njit
def put_text(text, start, end, out, p):  # type: ignore[no-untyped-def]
    """A copy of ``text[start:end]``."""
    target, source = np.uint64(p), np.uint64(start)
    for k in range(np.uint64(end - start)):
        out[target + k] = text[source + k]
    return p + end - start


@inline_njit
def put_integer(value, out, p):  # type: ignore[no-untyped-def]
    """An integer in decimal digits."""
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


@inline_njit
def put_little(value, size, out, p):  # type: ignore[no-untyped-def]
    """An integer of ``size`` bytes, the lowest first, a negative one in two's complement."""
    rest = np.uint64(np.int64(value))
    for k in range(np.uint64(size)):
        out[np.uint64(p) + k] = (rest >> (np.uint64(8) * k)) & np.uint64(255)
    return p + size


@inline_njit
def put_name(reads, read, out, p):  # type: ignore[no-untyped-def]
    """The name of a read; ``*`` where it has none."""
    start, end = reads.name_offsets[read], reads.name_offsets[read + 1]
    if start == end:
        out[p] = _STAR
        return p + 1
    return put_text(reads.names, start, end, out, p)


@inline_njit
def put_contig(contigs, contig, out, p):  # type: ignore[no-untyped-def]
    """The name of a contig; ``*`` for `NONE`."""
    if contig < 0:
        out[p] = _STAR
        return p + 1
    return put_text(contigs.names, contigs.offsets[contig], contigs.offsets[contig + 1], out, p)


@inline_njit
def put_cigar(table, i, soft, out, p):  # type: ignore[no-untyped-def]
    """CIGAR of record i, ``*`` where it has none; ``soft``: hard clips are printed as soft ones."""
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
