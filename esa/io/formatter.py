"""What the formats of alignments share: `esa.io.sam` writes SAM, `esa.io.bam` BAM.

Only these modules and their kernels write 1-based coordinates, and reverse SEQ and QUAL of reverse records.
CIGARs are written as the records have them: `esa.align.records` chooses between M and =/X.

The writers are our own because the mapper gives arrays. On 200,000 reads they are 15 (SAM) and 12 to 18 times (BAM) as
fast as pysam, which makes a Python object a record (`make bench-io`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from esa.errors import ReadsError
from esa.io._record_arrays import Contigs, Reads, Table, most_bytes
from esa.io.records import MAX_READ_NAME, Records
from esa.io.sam_header import ReadGroup, header
from esa.sequence.genome import Genome
from esa.sequence.reads import ReadBatch


class Formatter(ABC):
    """Formats alignments: the header of a file, the records of one batch after another, and its `end`.

    Header and records go through `compress` before they are written. The end is written as it is, last.

    Args:
        genome: its contigs make @SQ.
        read_group: goes into the header, its ID into the RG tag of every record.
        xa: secondary records become an XA tag of the primary or supplementary record that they follow, as in bwa mem.
    """

    end: ClassVar[bytes] = b""

    def __init__(
        self,
        genome: Genome,
        *,
        read_group: ReadGroup | None = None,
        xa: bool = False,
    ) -> None:
        self._genome = genome
        self._read_group = read_group
        names = [name.encode() for name in genome.names]
        offsets = np.zeros(len(names) + 1, np.int64)
        np.cumsum([len(name) for name in names], out=offsets[1:])
        group = b"" if read_group is None else read_group.id.encode()
        self._contigs = Contigs(
            _flat(np.frombuffer(b"".join(names), np.uint8), np.uint8),
            _flat(offsets, np.int64),
            _flat(np.frombuffer(group, np.uint8), np.uint8),
        )
        self._xa = xa

    def header(self, *, command_line: str, version: str) -> bytes:
        """The header of the file, uncompressed."""
        return header(self._genome, read_group=self._read_group, command_line=command_line, version=version)

    def format(self, batch: ReadBatch, records: Records) -> NDArray[np.uint8]:
        """The records of a batch, uncompressed: ``uint8[bytes]``.

        Records of one read must be adjacent; the segments of a chimeric alignment (primary and supplementary)
        refer to each other in SA. QNAME, SEQ and QUAL are ``*`` where the read has none. SEQ and QUAL of secondary
        records are ``*``, too.

        Raises:
            ReadsError: a read name longer than SAM allows.
        """
        _check_names(batch)
        reads = Reads(
            _flat(batch.names, np.uint8),
            _flat(batch.name_offsets, np.int64),
            _flat(batch.codes, np.uint8),
            _flat(batch.quals, np.uint8),
            _flat(batch.offsets, np.int64),
            _flat(batch.has_qual, np.uint8),
        )
        table = _table_of(records)
        out = np.empty(most_bytes(self._contigs, reads, table), np.uint8)
        return out[: self._write(reads, table, out)]

    @abstractmethod
    def _write(self, reads: Reads, table: Table, out: NDArray[np.uint8]) -> int:
        """Write the records into ``out``; returns the bytes written."""

    def compress(self, data: bytes | NDArray[np.uint8]) -> bytes | NDArray[np.uint8]:
        """Header or records in the form in which they are written: here unchanged."""
        return data


def _table_of(records: Records) -> Table:
    return Table(
        read=_flat(records.read, np.int32),
        flag=_flat(records.flag, np.uint16),
        contig=_flat(records.contig, np.int32),
        position=_flat(records.position, np.int64),
        mapq=_flat(records.mapq, np.uint8),
        cigar=_flat(records.cigar, np.uint32),
        cigar_offsets=_flat(records.cigar_offsets, np.int64),
        mate_contig=_flat(records.mate_contig, np.int32),
        mate_position=_flat(records.mate_position, np.int64),
        mate=_flat(records.mate, np.int32),
        template_length=_flat(records.template_length, np.int64),
        nm=_flat(records.nm, np.int32),
        alignment_score=_flat(records.alignment_score, np.int32),
        second_score=_flat(records.second_score, np.int32),
        md=_flat(records.md, np.uint8),
        md_offsets=_flat(records.md_offsets, np.int64),
    )


def _check_names(batch: ReadBatch) -> None:
    lengths = np.diff(batch.name_offsets)
    if len(lengths) and lengths.max() > MAX_READ_NAME:
        name = batch.name(int(lengths.argmax()))
        raise ReadsError(
            f"read {name[:40]}...: its name has {lengths.max()} characters, SAM allows {MAX_READ_NAME}; "
            "shorten the read names"
        )


def _flat(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """A contiguous, read-only view, so that the kernels are compiled for one type of array only."""
    view = np.ascontiguousarray(array, dtype).view()
    view.flags.writeable = False
    return view
