"""Alignment records as flat arrays: `esa.align.records` makes them, `esa.io.formatter` writes them as SAM or BAM.

The constants of the SAM specification are here. `esa.align.records.flags` decides which flags a record gets; the
formatter prints them. Coordinates are 0-based; only `esa.io.formatter` and its kernels add one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLAG_PAIRED = 0x1
FLAG_PROPER = 0x2
FLAG_UNMAPPED = 0x4
FLAG_MATE_UNMAPPED = 0x8
FLAG_REVERSE = 0x10
FLAG_MATE_REVERSE = 0x20
FLAG_FIRST = 0x40
FLAG_SECOND = 0x80
FLAG_SECONDARY = 0x100
FLAG_SUPPLEMENTARY = 0x800

MAX_READ_NAME = 254
"""Longest QNAME of the SAM specification, in bytes; BAM stores the length, with a final zero, in one byte."""
MAX_CONTIG_BASES = 2**31 - 1
"""Longest contig: SAM and BAM have signed integers of four bytes for its length and for positions on it."""

CIGAR_LETTERS = b"MIDNSHP=X"
CIGAR_M, CIGAR_I, CIGAR_D, CIGAR_N, CIGAR_S, CIGAR_H, CIGAR_P, CIGAR_EQ, CIGAR_X = range(9)
"""CIGAR operations by their BAM codes; an element is ``length << 4 | code`` in ``uint32``."""

CLIPS = (CIGAR_S, CIGAR_H)
CONSUMES_READ = (CIGAR_M, CIGAR_I, CIGAR_EQ, CIGAR_X)
"""Operations that align bases of the read (clips aside)."""
CONSUMES_REFERENCE = (CIGAR_M, CIGAR_D, CIGAR_N, CIGAR_EQ, CIGAR_X)

NONE = -1
"""Absent: contig and position of an unplaced record, XS without a second locus, the mate of a single read."""


@dataclass(frozen=True)
class Records:
    """m records in output order; each read of the batch has one primary record, in input order.

    Attributes:
        read: ``int32[m]``, index of the read in its batch.
        flag: ``uint16[m]``, SAM flags.
        contig: ``int32[m]``, contig index or `NONE`. An unmapped read with a mapped mate has its mate's.
        position: ``int64[m]``, 0-based leftmost position in the contig, or `NONE`.
        mapq: ``uint8[m]``.
        cigar: ``uint32``, BAM-encoded elements of all records; `cigar_offsets`: ``int64[m + 1]``.
        mate_contig, mate_position: as contig and position, of the mate's primary record (`NONE`: unpaired
            or unplaced).
        mate: ``int32[m]``, index among the records of the mate's primary record, or `NONE`: its CIGAR and MAPQ
            make MC and MQ, which are printed only where that mate is mapped.
        template_length: ``int64[m]``, TLEN.
        nm, alignment_score, second_score: ``int32[m]``, NM, AS and XS. XS `NONE` is not printed. All three
            belong to mapped records only.
        md: ``uint8``, the MD strings one after another; `md_offsets`: ``int64[m + 1]``.
    """

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

    def __len__(self) -> int:
        return len(self.read)
