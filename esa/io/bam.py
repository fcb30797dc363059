"""BAM: the records of SAM in binary form, in compressed blocks (SAM specification, section 4)."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from esa.errors import UsageError
from esa.io import _bam, bgzf
from esa.io._record_arrays import Reads, Table
from esa.io.formatter import Formatter
from esa.io.records import MAX_CONTIG_BASES

_MAGIC = b"BAM\1"
_INTEGER = struct.Struct("<i")


class BamFormatter(Formatter):
    """Formats records as BAM, byte for byte what htslib makes of `SamFormatter`'s lines.

    No block spans two batches, so that each batch can be compressed by itself. So the blocks depend on the batch
    size; the records in them do not.
    """

    end = bgzf.END

    def header(self, *, command_line: str, version: str) -> bytes:
        """The SAM header and the table of contigs, in binary form.

        Raises:
            UsageError: a contig longer than BAM allows.
        """
        text = super().header(command_line=command_line, version=version)
        parts = [_MAGIC, _INTEGER.pack(len(text)), text, _INTEGER.pack(len(self._genome.names))]
        for name, length in zip(self._genome.names, self._genome.lengths.tolist(), strict=True):
            if length > MAX_CONTIG_BASES:
                raise UsageError(
                    f"contig {name} has {length:,} bases, and BAM allows {MAX_CONTIG_BASES:,}; "
                    "write .sam instead"
                )
            encoded = name.encode() + b"\0"
            parts += [_INTEGER.pack(len(encoded)), encoded, _INTEGER.pack(length)]
        return b"".join(parts)

    def compress(self, data: bytes | NDArray[np.uint8]) -> bytes:
        """BGZF blocks."""
        return bgzf.compress(data)

    def _write(self, reads: Reads, table: Table, out: NDArray[np.uint8]) -> int:
        written: int = _bam.write_records(self._contigs, reads, table, self._xa, out)
        return written
