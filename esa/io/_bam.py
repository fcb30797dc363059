"""The kernel behind `esa.io.bam`: alignment records as BAM, byte for byte what htslib makes of our SAM."""

from __future__ import annotations

import numpy as np

from esa.io._put import put_name
from esa.io._record_arrays import (
    Contigs,
    Reads,
    Table,
    cigar_range,
    is_flipped,
    is_written,
    sequence_range,
)
from esa.io._tags import put_tags
from esa.io.cigar import reference_span
from esa.io.records import CIGAR_N, CIGAR_S, FLAG_UNMAPPED
from esa.io.text import put_little
from esa.kernels.arrays import Bool, Int, U8Array, U32Array, Word
from esa.kernels.decorator import inline_njit

# The 4-bit codes of the five base codes, and those of their complements, in one integer each (see `esa.io._sam`).
_NIBBLES = 0xF8421
_COMPLEMENT_NIBBLES = 0xF1248
_BITS_PER_NIBBLE, _NIBBLE_MASK = 4, 15

_AT_NAME_LENGTH, _AT_BASES = 12, 20
"""Offsets of l_read_name and l_seq in a record, counted from the first byte of block_size."""
_PHRED_OFFSET, _STAR = 33, ord("*")
_NO_QUALITY = 0xFF
_MOST_OPS = 0xFFFF
"""Most CIGAR elements that n_cigar_op can count; longer CIGARs go into the tag CG."""
_TAG_CG = np.frombuffer(b"CGBI", np.uint8)

_FIRST_BIN_OF_LEVEL = (4681, 585, 73, 9, 1)
_FIRST_SHIFT, _SHIFT_STEP = 14, 3
"""The binning scheme of the SAM specification: bins of 2**14 bases, each level eight times as long as the last."""


@inline_njit
def write_records(contigs: Contigs, reads: Reads, table: Table, xa: Bool, out: U8Array) -> Int:
    """Write all records as uncompressed BAM into ``out``; returns the bytes written.

    ``xa``: secondary records become an XA tag of the record that they follow.
    """
    p = 0
    for i in range(len(table.read)):
        if is_written(table, i, xa):
            p = _put_record(contigs, reads, table, i, xa, out, p)
    return p


@inline_njit
def _put_record(contigs: Contigs, reads: Reads, table: Table, i: Int, xa: Bool, out: U8Array, p: Int) -> Int:
    start = p
    first, last = cigar_range(table, i)
    p = _put_fixed(table, i, out, p + 4)
    name = p
    p = put_name(reads, table.read[i], out, p)
    out[p] = 0
    p += 1
    out[start + _AT_NAME_LENGTH] = p - name
    bases_start, bases_end = sequence_range(reads, table, i)
    put_little(bases_end - bases_start, 4, out, start + _AT_BASES)
    if last - first <= _MOST_OPS:
        p = _put_elements(table.cigar, first, last, out, p)
    else:
        p = put_little((bases_end - bases_start) << 4 | CIGAR_S, 4, out, p)
        p = put_little(reference_span(table.cigar, first, last) << 4 | CIGAR_N, 4, out, p)
    p = _put_sequence(reads, table, i, bases_start, bases_end, out, p)
    p = put_tags(contigs, table, i, xa, True, out, p)
    if last - first > _MOST_OPS:
        for k in range(len(_TAG_CG)):
            out[p + k] = _TAG_CG[k]
        p = put_little(last - first, 4, out, p + len(_TAG_CG))
        p = _put_elements(table.cigar, first, last, out, p)
    put_little(p - start - 4, 4, out, start)
    return p


@inline_njit
def _put_fixed(table: Table, i: Int, out: U8Array, p: Int) -> Int:
    """Write refID to tlen; l_read_name and l_seq are left for the caller."""
    first, last = cigar_range(table, i)
    p = put_little(table.contig[i], 4, out, p)
    p = put_little(table.position[i], 4, out, p)
    out[p + 1] = 0 if table.flag[i] & FLAG_UNMAPPED else table.mapq[i]
    length = max(1, reference_span(table.cigar, first, last))
    p = put_little(_bin(table.position[i], table.position[i] + length), 2, out, p + 2)
    p = put_little(last - first if last - first <= _MOST_OPS else 2, 2, out, p)
    p = put_little(table.flag[i], 2, out, p)
    p = put_little(table.mate_contig[i], 4, out, p + 4)
    p = put_little(table.mate_position[i], 4, out, p)
    return put_little(table.template_length[i], 4, out, p)


@inline_njit
def _bin(start: Int, end: Int) -> Int:
    """The smallest bin that holds an interval.

    Beyond 2**29 bases there is none; the caller writes the lowest two bytes of the result, as htslib does.
    """
    shift = _FIRST_SHIFT
    for first in _FIRST_BIN_OF_LEVEL:
        if start >> shift == (end - 1) >> shift:
            return first + (start >> shift)
        shift += _SHIFT_STEP
    return 0


@inline_njit
def _put_elements(cigar: U32Array, start: Int, end: Int, out: U8Array, p: Int) -> Int:
    for k in range(start, end):
        p = put_little(cigar[k], 4, out, p)
    return p


@inline_njit
def _nibble(nibbles: Int, code: Int) -> Word:
    return (np.uint64(nibbles) >> np.uint64(_BITS_PER_NIBBLE * code)) & np.uint64(_NIBBLE_MASK)


@inline_njit
def _put_bases(nibbles: Int, codes: U8Array, start: Int, end: Int, step: Int, out: U8Array, p: Int) -> Int:
    """Write the bases from ``start`` to ``end`` in steps of ``step`` (1 or -1), two a byte."""
    n = (end - start) * step
    target, source, one = np.uint64(p), np.uint64(start), np.uint64(step)
    two, four = np.uint64(2 * step), np.uint64(_BITS_PER_NIBBLE)
    for k in range(np.uint64(n // 2)):
        at = source + two * k  # modulo 2**64, so that a step of -1 goes backwards
        out[target + k] = _nibble(nibbles, codes[at]) << four | _nibble(nibbles, codes[at + one])
    p += n // 2
    if n & 1:
        out[p] = _nibble(nibbles, codes[end - step]) << four
        p += 1
    return p


@inline_njit
def _put_quals(reads: Reads, read: Int, start: Int, end: Int, step: Int, out: U8Array, p: Int) -> Int:
    n = (end - start) * step
    target, source, one = np.uint64(p), np.uint64(start), np.uint64(step)
    # A single base of quality 9 has the QUAL "*" in SAM, which means no quality: so it does in our BAM.
    if reads.has_qual[read] and not (n == 1 and reads.quals[start] == _STAR):
        for k in range(np.uint64(n)):
            out[target + k] = reads.quals[source + one * k] - np.uint8(_PHRED_OFFSET)
    else:
        for k in range(np.uint64(n)):
            out[target + k] = _NO_QUALITY
    return p + n


@inline_njit
def _put_sequence(reads: Reads, table: Table, i: Int, start: Int, end: Int, out: U8Array, p: Int) -> Int:
    """Write the bases ``start:end`` of the reads and their qualities, in the direction of the reference."""
    if is_flipped(table.flag[i]):
        p = _put_bases(_COMPLEMENT_NIBBLES, reads.codes, end - 1, start - 1, -1, out, p)
        return _put_quals(reads, table.read[i], end - 1, start - 1, -1, out, p)
    p = _put_bases(_NIBBLES, reads.codes, start, end, 1, out, p)
    return _put_quals(reads, table.read[i], start, end, 1, out, p)
