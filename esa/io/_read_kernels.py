"""Kernels of the read parser: a scan for record boundaries, then names, base codes and qualities into a batch.

A buffer is ``uint8``. A record is a row of an ``int64[rows, COLUMNS]`` table of positions in that buffer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esa.io._record_arrays import Reads
from esa.io.records import MAX_READ_NAME
from esa.kernels.arrays import Bool, I64Array, Int, U8Array
from esa.kernels.bits import lowest_bit
from esa.kernels.decorator import inline_njit
from esa.kernels.intrinsics import load64
from esa.sequence import dna

START, NAME, NAME_END, SEQ, SEQ_END, QUAL, LENGTH = range(7)
"""Table columns: positions, and `LENGTH` in bases; ``[SEQ, SEQ_END)`` of FASTA holds line ends too."""
COLUMNS = 7

MORE, FULL, BAD = range(3)
"""Outcome of a scan: the buffer is used up, the table is full, or the record at the position is malformed."""

MIN_QUAL, MAX_QUAL = 33, 126
"""ASCII qualities (Phred + 33): all printable bytes but the space."""

_NEWLINE, _RETURN, _SPACE, _TAB = 10, 13, 32, 9
_AT, _GREATER, _PLUS, _SLASH, _ONE, _TWO = 64, 62, 43, 47, 49, 50
_A, _C, _G, _T = b"ACGT"
_LOW_BITS = np.uint64(0x0101010101010101)
_HIGH_BITS = np.uint64(0x8080808080808080)
_NEWLINES = np.uint64(_NEWLINE) * _LOW_BITS
_STRIDE = 32
"""Bytes tested at once for a line end: a loop without exits, which the compiler vectorises."""

AMBIGUOUS = 5
"""In `_CODES`: an IUPAC letter other than N."""


def _parse_codes() -> NDArray[np.uint8]:
    table = dna.CODE_CHECKED.copy()
    table[table == dna.N] = AMBIGUOUS
    # Old Illumina pipelines wrote '.' for N.
    for letter in b"Nn.":
        table[letter] = dna.N
    return table


_CODES = _parse_codes()


@inline_njit
def _line_end_of_block(buffer: U8Array, i: Int) -> Int:
    """Position of the first line feed in the `_STRIDE` bytes from i on, which must hold one."""
    while True:
        # A line feed is a zero byte of x, and the high bit of the lowest one is the lowest that is set in ``zeros``.
        x = load64(buffer, i) ^ _NEWLINES
        zeros = (x - _LOW_BITS) & ~x & _HIGH_BITS
        if zeros:
            return i + (lowest_bit(zeros) >> 3)
        i += 8


@inline_njit
def line_end(buffer: U8Array, i: Int, end: Int) -> Int:
    """Position of the first line feed in ``[i, end)``, or ``end``."""
    while i + _STRIDE <= end:
        block = buffer[i : i + _STRIDE]
        hits = np.uint8(0)
        for k in range(_STRIDE):
            hits |= np.uint8(block[k] == _NEWLINE)
        if hits:
            return _line_end_of_block(buffer, i)
        i += _STRIDE
    while i < end and buffer[i] != _NEWLINE:
        i += 1
    return i


@inline_njit
def _skip_blank_lines(buffer: U8Array, i: Int, end: Int) -> Int:
    while i < end and (buffer[i] == _NEWLINE or buffer[i] == _RETURN):
        i += 1
    return i


@inline_njit
def _strip_return(buffer: U8Array, start: Int, end: Int) -> Int:
    if end > start and buffer[end - 1] == _RETURN:
        return end - 1
    return end


@inline_njit
def _name_end(buffer: U8Array, start: Int, end: Int) -> Int:
    """End of the name in the header ``[start, end)``: before the first white space, and before /1 or /2."""
    i = start
    while i < end and buffer[i] != _SPACE and not (_TAB <= buffer[i] <= _RETURN):
        i += 1
    # A name that is nothing but "/1" keeps it, as in bwa.
    if i - start > 2 and buffer[i - 2] == _SLASH and (buffer[i - 1] == _ONE or buffer[i - 1] == _TWO):
        i -= 2
    return i


@inline_njit(forceinline=False)
def _unwrap(buffer: U8Array, i: Int, end: Int, last: Bool) -> Int:
    """Make a wrapped FASTQ record at i one of four lines, in place; blank lines fill what is left.

    SEQ goes on to a line that begins with '+', QUAL until it is as long; behind it another record begins. Returns
    `FULL` if that was done, `MORE` if the record does not end in ``[i, end)``, and `BAD` if it is none. Then nothing
    has changed.
    """
    plus = min(line_end(buffer, i, end) + 1, end)
    bases = 0
    while plus < end and buffer[plus] != _PLUS:
        feed = line_end(buffer, plus, end)
        for k in range(plus, _strip_return(buffer, plus, feed)):
            if _CODES[buffer[k]] > AMBIGUOUS:
                return BAD
            bases += 1
        plus = feed + 1
    if plus >= end:
        return BAD if last else MORE
    if not bases:
        return BAD
    line = line_end(buffer, plus, end) + 1
    quals = 0
    while line < end and quals < bases:
        feed = line_end(buffer, line, end)
        quals += _strip_return(buffer, line, feed) - line
        if feed == end and not last:
            return MORE
        line = feed + 1
    if quals < bases or line > end + 1:
        return BAD if last else MORE
    # Else a record's header may have been taken for QUAL that is missing.
    behind = _skip_blank_lines(buffer, min(line, end), end)
    if behind == end and not last:
        return MORE
    if quals > bases or (behind < end and buffer[behind] != _AT):
        return BAD
    _join_lines(buffer, i, min(line, end), plus, bases)
    return FULL


@inline_njit
def _join_lines(buffer: U8Array, i: Int, end: Int, plus: Int, bases: Int) -> None:
    """Join the lines of SEQ, and those of QUAL, of the record ``buffer[i:end]`` whose '+' is at ``plus``."""
    to = line_end(buffer, i, end) + 1
    at = to
    for part in range(2):
        copied = 0
        while copied < bases:
            feed = line_end(buffer, at, end)
            for k in range(at, _strip_return(buffer, at, feed)):
                buffer[to] = buffer[k]
                to += 1
                copied += 1
            at = feed + 1
        if part == 0:
            at = line_end(buffer, plus, end) + 1
            buffer[to], buffer[to + 1], buffer[to + 2] = _NEWLINE, _PLUS, _NEWLINE
            to += 3
    buffer[to:end] = _NEWLINE


@inline_njit
def scan_fastq(
    buffer: U8Array, i: Int, end: Int, last: Bool, table: I64Array, n: Int
) -> tuple[Int, Int, Int]:
    """Enter the FASTQ records of ``buffer[i:end]`` into rows ``n`` onwards of the table.

    A record of more than four lines becomes one of four, in the buffer.

    ``last``: whether the file ends at ``end``. Returns (rows filled, position of the next record, outcome).
    Letters, qualities and names are left to `gather`.
    """
    while n < len(table):
        i = _skip_blank_lines(buffer, i, end)
        if i == end:
            return n, i, MORE
        if buffer[i] != _AT:
            return n, i, BAD
        header_end = line_end(buffer, i + 1, end)
        seq = header_end + 1
        if seq > end:
            return n, i, MORE
        seq_line_end = line_end(buffer, seq, end)
        plus = seq_line_end + 1
        if plus >= end:
            return n, i, MORE
        if buffer[plus] != _PLUS:
            outcome = _unwrap(buffer, i, end, last)
            if outcome == FULL:
                continue
            return n, i, outcome
        qual = line_end(buffer, plus, end) + 1
        if qual > end:
            return n, i, MORE
        seq_end = _strip_return(buffer, seq, seq_line_end)
        qual_line_end = line_end(buffer, qual, end)
        if qual_line_end == end and not last:
            return n, i, MORE
        if _strip_return(buffer, qual, qual_line_end) - qual != seq_end - seq:
            outcome = _unwrap(buffer, i, end, last)
            if outcome == FULL:
                continue
            return n, i, outcome
        table[n, START] = i
        table[n, NAME] = i + 1
        table[n, NAME_END] = _name_end(buffer, i + 1, header_end)
        table[n, SEQ] = seq
        table[n, SEQ_END] = seq_end
        table[n, QUAL] = qual
        table[n, LENGTH] = seq_end - seq
        n += 1
        i = min(qual_line_end + 1, end)
    return n, i, FULL


@inline_njit
def scan_fasta(
    buffer: U8Array, i: Int, end: Int, last: Bool, table: I64Array, n: Int
) -> tuple[Int, Int, Int]:
    """Enter FASTA records, of any number of lines, as `scan_fastq` does."""
    while n < len(table):
        i = _skip_blank_lines(buffer, i, end)
        if i == end:
            return n, i, MORE
        if buffer[i] != _GREATER:
            return n, i, BAD
        header_end = line_end(buffer, i + 1, end)
        seq = min(header_end + 1, end)
        line = seq
        length = 0
        while line < end and buffer[line] != _GREATER:
            feed = line_end(buffer, line, end)
            length += _strip_return(buffer, line, feed) - line
            line = min(feed + 1, end)
        # Only the next record's '>' or the end of the file ends a record.
        if line == end and not last:
            return n, i, MORE
        table[n, START] = i
        table[n, NAME] = i + 1
        table[n, NAME_END] = _name_end(buffer, i + 1, header_end)
        table[n, SEQ] = seq
        table[n, SEQ_END] = line
        table[n, QUAL] = line
        table[n, LENGTH] = length
        n += 1
        i = line
    return n, i, FULL


@inline_njit
def _copy_printable(source: U8Array, out: U8Array) -> Bool:
    """Copy a name or qualities; returns whether all bytes are printable (`MIN_QUAL` to `MAX_QUAL`)."""
    outside = np.uint8(0)
    for k in range(len(source)):
        value = source[k]
        out[k] = value
        outside |= np.uint8((value < MIN_QUAL) | (value > MAX_QUAL))
    return outside == 0


@inline_njit
def _gather_name(source: U8Array, out: U8Array) -> Bool:
    """Copy a name; returns False if SAM cannot hold it."""
    if len(source) == 0 or len(source) > MAX_READ_NAME or source[0] == _AT:
        return False
    return _copy_printable(source, out)


@inline_njit
def _gather_plain(source: U8Array, out: U8Array) -> Bool:
    """`_gather_sequence` for upper-case A, C, G and T only, the common case; returns False if there is another byte.

    Bits 1 and 2 distinguish these letters, so the compiler vectorises the encoding.
    """
    if len(source) != len(out):
        return False
    other = np.uint8(0)
    for k in range(len(source)):
        value = source[k]
        bits = (value >> np.uint8(1)) & np.uint8(3)
        out[k] = bits ^ (bits >> np.uint8(1))
        other |= np.uint8((value != _A) & (value != _C) & (value != _G) & (value != _T))
    return other == 0


@inline_njit
def _gather_sequence(source: U8Array, out: U8Array) -> Int:
    """Encode a sequence, skipping line ends; returns its ambiguous letters, or -1 if one is no nucleotide."""
    if _gather_plain(source, out):
        return 0
    ambiguous = 0
    k = 0
    for i in range(len(source)):
        value = source[i]
        code = _CODES[value]
        if code > dna.N:
            if value == _NEWLINE:
                continue
            if value == _RETURN and (i + 1 == len(source) or source[i + 1] == _NEWLINE):
                continue
            if code != AMBIGUOUS:
                return -1
            ambiguous += 1
            code = np.uint8(dna.N)
        out[k] = code
        k += 1
    # Fewer than counted: a carriage return in a FASTQ sequence, whose line end was taken off before.
    return ambiguous if k == len(out) else -1


@inline_njit
def gather(
    buffer: U8Array, table: I64Array, n: Int, first: Int, step: Int, has_qual: Bool, batch: Reads
) -> tuple[Int, Int]:
    """Copy ``n`` records into a batch, as its reads ``first, first + step, ...``.

    Returns (row of the first malformed record, or -1; ambiguous bases).
    """
    ambiguous = 0
    for row in range(n):
        read = first + row * step
        start, end = batch.offsets[read], batch.offsets[read + 1]
        name = buffer[table[row, NAME] : table[row, NAME_END]]
        room = batch.names[batch.name_offsets[read] : batch.name_offsets[read + 1]]
        if not _gather_name(name, room):
            return row, ambiguous
        here = _gather_sequence(buffer[table[row, SEQ] : table[row, SEQ_END]], batch.codes[start:end])
        if here < 0:
            return row, ambiguous
        ambiguous += here
        if has_qual:
            qual = buffer[table[row, QUAL] : table[row, QUAL] + table[row, LENGTH]]
            if not _copy_printable(qual, batch.quals[start:end]):
                return row, ambiguous
    return -1, ambiguous
