"""The kernel behind `esa.io.bam`: alignment records to those of BAM, byte for byte what htslib makes of our SAM."""

from __future__ import annotations

import numpy as np

from esa.io._put import put_little, put_name
from esa.io._record_arrays import cigar_range, is_flipped, is_written, sequence_range
from esa.io._tags import put_tags
from esa.io.records import CIGAR_D, CIGAR_EQ, CIGAR_M, CIGAR_N, CIGAR_S, CIGAR_X, FLAG_UNMAPPED
from esa.kernels.decorator import inline_njit

# The 4-bit codes of the five base codes, and those of their complements, in one integer each (see `esa.io._sam`).
_NIBBLES = 0xF8421
_COMPLEMENT_NIBBLES = 0xF1248
_BITS_PER_NIBBLE, _NIBBLE_MASK = 4, 15

_AT_NAME_LENGTH, _AT_BASES = 12, 20
"""Where l_read_name and l_seq lie in a record, from the first byte of its block_size on."""
_PHRED_OFFSET, _STAR = 33, ord("*")
_NO_QUALITY = 0xFF
_MOST_OPS = 0xFFFF
"""CIGAR elements that the two bytes for their number can count; more go into the tag CG."""
_TAG_CG = np.frombuffer(b"CGBI", np.uint8)

_FIRST_BIN_OF_LEVEL = (4681, 585, 73, 9, 1)
_FIRST_SHIFT, _SHIFT_STEP = 14, 3
"""The binning scheme of the SAM specification: bins of 2**14 bases, each next level's are eight times as long."""


@inline_njit
def write_records(contigs, reads, table, xa, out):  # type: ignore[no-untyped-def]
    """Write the records as in BAM, not compressed, into ``out`` and return the bytes written. ``xa``: secondary
    records become an XA tag of the record that they follow."""
    p = 0
    for i in range(len(table.read)):
        if is_written(table, i, xa):
            p = _put_record(contigs, reads, table, i, xa, out, p)
    return p


@inline_njit
def _put_record(contigs, reads, table, i, xa, out, p):  # type: ignore[no-untyped-def]
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
        p = put_little(_reference_length(table.cigar, first, last) << 4 | CIGAR_N, 4, out, p)
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
def _put_fixed(table, i, out, p):  # type: ignore[no-untyped-def]
    """refID to tlen; l_read_name and l_seq are left to be filled in."""
    first, last = cigar_range(table, i)
    p = put_little(table.contig[i], 4, out, p)
    p = put_little(table.position[i], 4, out, p)
    out[p + 1] = 0 if table.flag[i] & FLAG_UNMAPPED else table.mapq[i]
    length = max(1, _reference_length(table.cigar, first, last))
    p = put_little(_bin(table.position[i], table.position[i] + length), 2, out, p + 2)
    p = put_little(last - first if last - first <= _MOST_OPS else 2, 2, out, p)
    p = put_little(table.flag[i], 2, out, p)
    p = put_little(table.mate_contig[i], 4, out, p + 4)
    p = put_little(table.mate_position[i], 4, out, p)
    return put_little(table.template_length[i], 4, out, p)


@inline_njit
def _reference_length(cigar, start, end):  # type: ignore[no-untyped-def]
    """Bases of the reference that a CIGAR covers."""
    length = np.int64(0)
    for k in range(start, end):
        if cigar[k] & 15 in (CIGAR_M, CIGAR_D, CIGAR_N, CIGAR_EQ, CIGAR_X):
            length += np.int64(cigar[k] >> 4)
    return length


@inline_njit
def _bin(start, end):  # type: ignore[no-untyped-def]
    """The smallest bin that holds an interval. Beyond 2**29 bases there is none: htslib
    has the lowest two bytes of what comes out, too."""
    shift = _FIRST_SHIFT
    for first in _FIRST_BIN_OF_LEVEL:
        if start >> shift == (end - 1) >> shift:
            return first + (start >> shift)
        shift += _SHIFT_STEP
    return 0


@inline_njit
def _put_elements(cigar, start, end, out, p):  # type: ignore[no-untyped-def]
    for k in range(start, end):
        p = put_little(cigar[k], 4, out, p)
    return p


@inline_njit
def _nibble(nibbles, code):  # type: ignore[no-untyped-def]
    return (np.uint64(nibbles) >> np.uint64(_BITS_PER_NIBBLE * code)) & np.uint64(_NIBBLE_MASK)


@inline_njit
def _put_bases(nibbles, codes, start, end, step, out, p):  # type: ignore[no-untyped-def]
    """The bases from ``start`` to ``end``, one ``step`` (1 or -1) after the other, two a byte."""
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
def _put_quals(reads, read, start, end, step, out, p):  # type: ignore[no-untyped-def]
    n = (end - start) * step
    target, source, one = np.uint64(p), np.uint64(start), np.uint64(step)
    # One base of quality 9 has the QUAL "*" in SAM, where that means none: it does in both of our formats.
    if reads.has_qual[read] and not (n == 1 and reads.quals[start] == _STAR):
        for k in range(np.uint64(n)):
            out[target + k] = reads.quals[source + one * k] - np.uint8(_PHRED_OFFSET)
    else:
        for k in range(np.uint64(n)):
            out[target + k] = _NO_QUALITY
    return p + n


@inline_njit
def _put_sequence(reads, table, i, start, end, out, p):  # type: ignore[no-untyped-def]
    """The bases ``start:end`` of the reads and their qualities, in the direction of the reference."""
    if is_flipped(table.flag[i]):
        p = _put_bases(_COMPLEMENT_NIBBLES, reads.codes, end - 1, start - 1, -1, out, p)
        return _put_quals(reads, table.read[i], end - 1, start - 1, -1, out, p)
    p = _put_bases(_NIBBLES, reads.codes, start, end, 1, out, p)
    return _put_quals(reads, table.read[i], start, end, 1, out, p)
