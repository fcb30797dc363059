"""The kernel behind `esa.io.sam`: alignment records as SAM text."""

from __future__ import annotations

import numpy as np

from esa.io._put import put_cigar, put_contig, put_name
from esa.io._record_arrays import Contigs, Reads, Table, is_flipped, is_written, sequence_range
from esa.io._tags import put_tags
from esa.io.records import FLAG_UNMAPPED
from esa.io.text import put_integer, put_text
from esa.kernels.arrays import Bool, Int, U8Array, Word
from esa.kernels.decorator import inline_njit
from esa.sequence.dna import LETTERS

# The letters of the five base codes in one integer each: a shift instead of a table, so that loops vectorise.
_LETTERS = int.from_bytes(LETTERS.tobytes(), "little")
_COMPLEMENT_LETTERS = int.from_bytes(b"TGCAN", "little")
_BITS_PER_LETTER, _LETTER_MASK = 8, 255

_TAB, _NEWLINE, _STAR, _EQUALS = (ord(c) for c in "\t\n*=")


@inline_njit
def write_lines(contigs: Contigs, reads: Reads, table: Table, xa: Bool, out: U8Array) -> Int:
    """Write all records as SAM lines into ``out``; returns the bytes written.

    ``xa``: secondary records become an XA tag of the record that they follow.
    """
    p = 0
    for i in range(len(table.read)):
        if is_written(table, i, xa):
            p = _put_fields(contigs, reads, table, i, out, p)
            p = _put_sequence(reads, table, i, out, p)
            p = put_tags(contigs, table, i, xa, False, out, p)
            out[p] = _NEWLINE
            p += 1
    return p


@inline_njit
def _put_fields(contigs: Contigs, reads: Reads, table: Table, i: Int, out: U8Array, p: Int) -> Int:
    """Write QNAME to TLEN and the tab behind it."""
    p = put_name(reads, table.read[i], out, p)
    out[p] = _TAB
    p = put_integer(table.flag[i], out, p + 1)
    out[p] = _TAB
    p = put_contig(contigs, table.contig[i], out, p + 1)
    out[p] = _TAB
    p = put_integer(table.position[i] + 1, out, p + 1)
    out[p] = _TAB
    p = put_integer(0 if table.flag[i] & FLAG_UNMAPPED else table.mapq[i], out, p + 1)
    out[p] = _TAB
    p = put_cigar(table, i, False, out, p + 1)
    out[p] = _TAB
    p += 1
    if table.mate_contig[i] >= 0 and table.mate_contig[i] == table.contig[i]:
        out[p] = _EQUALS
        p += 1
    else:
        p = put_contig(contigs, table.mate_contig[i], out, p)
    out[p] = _TAB
    p = put_integer(table.mate_position[i] + 1, out, p + 1)
    out[p] = _TAB
    p = put_integer(table.template_length[i], out, p + 1)
    out[p] = _TAB
    return p + 1


@inline_njit
def _letter(letters: Int, code: Int) -> Word:
    return (np.uint64(letters) >> np.uint64(_BITS_PER_LETTER * code)) & np.uint64(_LETTER_MASK)


@inline_njit
def _put_sequence(reads: Reads, table: Table, i: Int, out: U8Array, p: Int) -> Int:
    """Write SEQ and QUAL, in the direction of the reference."""
    start, end = sequence_range(reads, table, i)
    reverse = is_flipped(table.flag[i])
    if start == end:
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
    if not reads.has_qual[table.read[i]]:
        out[p] = _STAR
        return p + 1
    if reverse:
        target = np.uint64(p)
        for k in range(np.uint64(n)):
            out[target + k] = reads.quals[final - k]
        return p + n
    return put_text(reads.quals, start, end, out, p)
