"""What the kernels of SAM and of BAM take, and what both ask of it.

All arrays reach the kernels as read-only views (`esa.io.formatter` sees to it), so that there is one compiled version
of each, whoever made the arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.io.records import CIGAR_H, FLAG_REVERSE, FLAG_SECONDARY, FLAG_UNMAPPED
from esa.kernels.decorator import inline_njit

_FIXED_SIZE = 256
"""Bytes of a record without its texts, at most: in SAM tabs, 9 integers of up to 20 digits, 9 heads of tags."""
_OP_SIZE = 10
"""Bytes of a CIGAR element, at most: a length below 2**28 and a letter."""
_SA_SIZE = 64
"""Bytes of an SA element without contig name and CIGAR, at most."""


class Contigs(NamedTuple):
    """Contig names laid one after another (``uint8``), their offsets (``int64``); the value of RG, empty: no tag."""

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
    """The arrays of `esa.io.records.Records`, under the same names."""

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
def most_bytes(contigs, reads, table):  # type: ignore[no-untyped-def]
    """Bytes that the records may need, an upper bound for SAM and BAM: `_OP_SIZE` and `_FIXED_SIZE` are no less than
    what either takes, BAM's tag CG included."""
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
def start_of_read(table, i):  # type: ignore[no-untyped-def]
    """Start of the run of records that belong to the read of record i."""
    while i > 0 and table.read[i - 1] == table.read[i]:
        i -= 1
    return i


@inline_njit
def end_of_read(table, i):  # type: ignore[no-untyped-def]
    """End of the run of records that belong to the read of record i."""
    end = i + 1
    while end < len(table.read) and table.read[end] == table.read[i]:
        end += 1
    return end


@inline_njit
def is_linear(flag):  # type: ignore[no-untyped-def]
    """Whether a record is a part of its read's one (perhaps chimeric) alignment: primary or supplementary."""
    return flag & (FLAG_UNMAPPED | FLAG_SECONDARY) == 0


@inline_njit
def count_linear(table, start, end):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(start, end):
        count += is_linear(table.flag[i])
    return count


@inline_njit
def is_written(table, i, xa):  # type: ignore[no-untyped-def]
    """Whether record i is one in the file, too, and not a part of another's XA tag."""
    return not (xa and table.flag[i] & FLAG_SECONDARY)


@inline_njit
def cigar_range(table, i):  # type: ignore[no-untyped-def]
    """Start and end of the CIGAR of record i; of an unmapped one it is empty."""
    start = table.cigar_offsets[i]
    return start, start if table.flag[i] & FLAG_UNMAPPED else table.cigar_offsets[i + 1]


@inline_njit
def is_flipped(flag):  # type: ignore[no-untyped-def]
    """Whether SEQ and QUAL are reversed: an unmapped read is not, whatever its flags."""
    return flag & (FLAG_UNMAPPED | FLAG_REVERSE) == FLAG_REVERSE


@inline_njit
def _hard_clip(element):  # type: ignore[no-untyped-def]
    return np.int64(element >> 4) if element & 15 == CIGAR_H else 0


@inline_njit
def sequence_range(reads, table, i):  # type: ignore[no-untyped-def]
    """Start and end in ``reads.codes`` of what SEQ and QUAL of record i hold: no hard-clipped bases, and nothing in
    a secondary record."""
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
