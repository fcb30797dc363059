"""The arrays that the kernels of SAM and BAM take, and queries that both share.

`esa.io.formatter` passes all arrays as read-only views: each kernel is compiled once, wherever the arrays come from.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.io.records import CIGAR_H, FLAG_REVERSE, FLAG_SECONDARY, FLAG_UNMAPPED
from esa.kernels.arrays import Bool, Int
from esa.kernels.decorator import inline_njit

_FIXED_SIZE = 256
"""Most bytes of a record without its texts: in SAM tabs, 9 integers of up to 20 digits, 9 tag names."""
_OP_SIZE = 10
"""Most bytes of a CIGAR element: a length below 2**28 and a letter."""
_SA_SIZE = 64
"""Most bytes of an SA element without contig name and CIGAR."""


class Contigs(NamedTuple):
    """Contig names one after another (``uint8``) with offsets (``int64``), and the value of RG (empty: no tag)."""

    names: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    read_group: NDArray[np.uint8]


class Reads(NamedTuple):
    """The arrays of `esa.sequence.reads.ReadBatch`, under the same names."""

    names: NDArray[np.uint8]
    name_offsets: NDArray[np.int64]
    codes: NDArray[np.uint8]
    quals: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    has_qual: NDArray[np.uint8]


class Table(NamedTuple):
    """The arrays of `esa.io.records.Records`, under the same names: numba takes no dataclass, only a tuple."""

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


@inline_njit
def most_bytes(contigs: Contigs, reads: Reads, table: Table) -> Int:
    """Upper bound of the bytes that the records need, in SAM and in BAM.

    `_OP_SIZE` and `_FIXED_SIZE` bound both formats, BAM's tag CG included.
    """
    size = 0
    longest_name = np.int64(1)
    for c in range(len(contigs.offsets) - 1):
        longest_name = max(longest_name, contigs.offsets[c + 1] - contigs.offsets[c])
    r = 0
    while r < len(table.read):
        end = end_of_read(table, r)
        read = table.read[r]
        ops = table.cigar_offsets[end] - table.cigar_offsets[r]
        linear = count_linear(table, r, end)
        if linear > 1:
            size += linear * (linear * (_SA_SIZE + longest_name) + ops * _OP_SIZE)
        for i in range(r, end):
            if table.mate[i] >= 0:
                ops += table.cigar_offsets[table.mate[i] + 1] - table.cigar_offsets[table.mate[i]]
            size += 2 * longest_name + table.md_offsets[i + 1] - table.md_offsets[i]
        own = reads.name_offsets[read + 1] - reads.name_offsets[read]
        own += 2 * (reads.offsets[read + 1] - reads.offsets[read]) + _FIXED_SIZE + len(contigs.read_group)
        size += (end - r) * own + ops * _OP_SIZE
        r = end
    return size


@inline_njit
def start_of_read(table: Table, i: Int) -> Int:
    """First of the records of record i's read; records of one read are adjacent."""
    while i > 0 and table.read[i - 1] == table.read[i]:
        i -= 1
    return i


@inline_njit
def end_of_read(table: Table, i: Int) -> Int:
    """End (exclusive) of the records of record i's read."""
    end = i + 1
    while end < len(table.read) and table.read[end] == table.read[i]:
        end += 1
    return end


@inline_njit
def is_linear(flag: Int) -> Bool:
    """Whether a record is a segment of its read's (perhaps chimeric) alignment: primary or supplementary."""
    return flag & (FLAG_UNMAPPED | FLAG_SECONDARY) == 0


@inline_njit
def count_linear(table: Table, start: Int, end: Int) -> Int:
    """Linear records (`is_linear`) among ``start:end``."""
    count = 0
    for i in range(start, end):
        count += is_linear(table.flag[i])
    return count


@inline_njit
def is_written(table: Table, i: Int, xa: Bool) -> Bool:
    """Whether record i is written as a record, not as an element of another's XA tag."""
    return not (xa and table.flag[i] & FLAG_SECONDARY)


@inline_njit
def cigar_range(table: Table, i: Int) -> tuple[Int, Int]:
    """Start and end of the CIGAR of record i; empty for an unmapped record."""
    start = table.cigar_offsets[i]
    return start, start if table.flag[i] & FLAG_UNMAPPED else table.cigar_offsets[i + 1]


@inline_njit
def is_flipped(flag: Int) -> Bool:
    """Whether SEQ and QUAL are reversed. Those of an unmapped read never are, whatever its flags."""
    return flag & (FLAG_UNMAPPED | FLAG_REVERSE) == FLAG_REVERSE


@inline_njit
def _hard_clip(element: Int) -> Int:
    return np.int64(element >> 4) if element & 15 == CIGAR_H else 0


@inline_njit
def sequence_range(reads: Reads, table: Table, i: Int) -> tuple[Int, Int]:
    """Start and end in ``reads.codes`` of the bases in SEQ and QUAL of record i.

    Hard-clipped bases are left out; a secondary record has none.
    """
    read, flag = table.read[i], table.flag[i]
    start, end = reads.offsets[read], reads.offsets[read + 1]
    first, last = cigar_range(table, i)
    if first < last:
        left = _hard_clip(table.cigar[first])
        right = _hard_clip(table.cigar[last - 1]) if first < last - 1 else 0
        start += right if is_flipped(flag) else left
        end -= left if is_flipped(flag) else right
    if flag & FLAG_SECONDARY or end < start:
        end = start
    return start, end
