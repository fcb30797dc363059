"""What the two formats of alignments share: `esa.io.sam` has SAM, `esa.io.bam` BAM.

With these modules and their kernels, the only owner of 1-based coordinates and of the SEQ and QUAL flip of reverse
records.

`make bench-io` times it beside pysam, in whose place it stands.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from esa.errors import ReadsError
from esa.io import _cigar
from esa.io._record_arrays import Contigs, Reads, Table, most_bytes
from esa.io.records import CIGAR_EQ, CIGAR_X, Records
from esa.io.sam_header import ReadGroup, header
from esa.sequence.genome import Genome
from esa.sequence.reads import ReadBatch

MAX_NAME = 254
"""Longest QNAME of the SAM specification; BAM has one byte for it."""


class Formatter(ABC):
    """Makes a file of alignments: its header, the records of one batch after another, and its `end`.

    Header and records go through `compress` before they are written; the end is as it is to be written, once all
    the rest is.

    Args:
        genome: gives the contigs.
        read_group: goes into the header, its ID into the RG tag of every record.
        eqx: CIGARs with = and X; else with M. The records may hold either (M is split as their MD has it).
        xa: secondary records become an XA tag of the part of the read that they follow, as bwa mem has it.
    """

    end: ClassVar[bytes] = b""

    def __init__(
        self,
        genome: Genome,
        *,
        read_group: ReadGroup | None = None,
        eqx: bool = False,
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
        self._eqx = eqx
        self._xa = xa

    def header(self, *, command_line: str, version: str) -> bytes:
        """What comes before the records."""
        return header(self._genome, read_group=self._read_group, command_line=command_line, version=version)

    def format(self, batch: ReadBatch, records: Records) -> NDArray[np.uint8]:
        """The records of a batch: ``uint8[bytes]``.

        Records of one read lie next to each other; the parts of a chimeric alignment (primary and
        supplementary) refer to each other in SA. QNAME, SEQ and QUAL are ``*`` where the read has none, SEQ
        and QUAL in secondary records, too.

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
        table = self._table(records)
        out = np.empty(most_bytes(self._contigs, reads, table), np.uint8)
        return out[: self._write(reads, table, out)]

    @abstractmethod
    def _write(self, reads: Reads, table: Table, out: NDArray[np.uint8]) -> int:
        """Put the records into ``out`` and return how many bytes that was."""

    def compress(self, data: bytes | NDArray[np.uint8]) -> bytes | NDArray[np.uint8]:
        """Header or records as they are to be written."""
        return data

    def _table(self, records: Records) -> Table:
        table = Table(
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
        has_eqx = bool(np.any((table.cigar & 15 == CIGAR_EQ) | (table.cigar & 15 == CIGAR_X)))
        if has_eqx == self._eqx or not len(table.cigar):
            return table
        if self._eqx:
            new = _cigar.split_matches(table.cigar, table.cigar_offsets, table.md, table.md_offsets)
        else:
            new = _cigar.merge_matches(table.cigar, table.cigar_offsets)
        return table._replace(cigar=_flat(new[0], np.uint32), cigar_offsets=_flat(new[1], np.int64))


def _check_names(batch: ReadBatch) -> None:
    lengths = np.diff(batch.name_offsets)
    if len(lengths) and lengths.max() > MAX_NAME:
        name = batch.name(int(lengths.argmax()))
        raise ReadsError(
            f"read {name[:40]}...: its name has {lengths.max()} characters, SAM allows {MAX_NAME}; "
            "shorten the read names"
        )


def _flat(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """A contiguous, read-only view, so that the kernels compile once and not for each mixture of arrays."""
    view = np.ascontiguousarray(array, dtype).view()
    view.flags.writeable = False
    return view
