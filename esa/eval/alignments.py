"""Reads SAM or BAM of any aligner into flat arrays, one row for each primary record."""

from __future__ import annotations

import errno
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pysam
from numpy.typing import NDArray

from esa.errors import EsaError
from esa.io.records import (
    CIGAR_M,
    CLIPS,
    CONSUMES_READ,
    CONSUMES_REFERENCE,
    FLAG_FIRST,
    FLAG_PAIRED,
    FLAG_PROPER,
    FLAG_REVERSE,
    FLAG_SECOND,
    FLAG_SECONDARY,
    FLAG_SUPPLEMENTARY,
    FLAG_UNMAPPED,
    NONE,
)

END_MASK = 3
"""The two low bits of a read's key are its end of the pair: 0 unpaired, 1 first, 2 second."""


class Contigs:
    """Numbers of contigs by name: the same for all files, whatever the order in their headers."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._ids: dict[str, int] = {}

    def add(self, name: str) -> int:
        """Number of the contig; an unknown contig gets the next number."""
        if name not in self._ids:
            self._ids[name] = len(self.names)
            self.names.append(name)
        return self._ids[name]

    def get(self, name: str) -> int:
        """Number of the contig, `NONE` for an unknown one."""
        return self._ids.get(name, NONE)


@dataclass(frozen=True)
class Alignments:
    """The primary records of one file, sorted by key.

    Attributes:
        path: the file.
        header: ``int32[contigs]``, numbers (`Contigs`) of the header's contigs, in its order.
        key: ``int64[n]``, unique: a hash of the read's name without ``/1`` and ``/2``, with the end of the pair in its
            two low bits (`END_MASK`). Valid within one process.
        contig: ``int32[n]``, `NONE` for unmapped.
        start, end: ``int64[n]``, 0-based half-open interval on the contig with the clipped bases added back
            at both ends, so it may reach over the contig's ends; 0 for unmapped.
        length: ``int32[n]``, bases of the read, hard-clipped ones included.
        reverse, proper: ``bool[n]``.
        mapq: ``uint8[n]``.
    """

    path: str
    header: NDArray[np.int32]
    key: NDArray[np.int64]
    contig: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    length: NDArray[np.int32]
    reverse: NDArray[np.bool_]
    proper: NDArray[np.bool_]
    mapq: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True)
class ReadNames:
    """The names of the reads of an `Alignments`.

    Attributes:
        text: the names, without ``/1`` and ``/2``, in the order of the file, each with a newline.
        row: ``int64[n]``, the row in `Alignments` of each name.
    """

    text: bytearray
    row: NDArray[np.int64]

    def __iter__(self) -> Iterator[bytes]:
        start = 0
        while start < len(self.text):
            stop = self.text.index(b"\n", start)
            yield bytes(self.text[start:stop])
            start = stop + 1


def unclipped(position: int, cigar: Iterable[tuple[int, int]]) -> tuple[int, int, int]:
    """Start, end and read length of an alignment with the clipped bases added back at both ends.

    Args:
        position: 0-based leftmost aligned position.
        cigar: pairs of BAM operation code and length.
    """
    leading = trailing = read = reference = 0
    for operation, length in cigar:
        if operation in CLIPS:
            if reference:
                trailing += length
            else:
                leading += length
        if operation in CONSUMES_READ:
            read += length
        if operation in CONSUMES_REFERENCE:
            reference += length
    return position - leading, position + reference + trailing, read + leading + trailing


def read_alignments(path: str, contigs: Contigs) -> tuple[Alignments, ReadNames]:
    """Read the primary records of a SAM or BAM file.

    Raises:
        EsaError: the file is missing, no SAM or BAM, truncated, without a header, or has two primary records for a
            read.
    """
    columns = _Columns()
    with _open(path) as file:
        header = np.array([contigs.add(name) for name in file.references], np.int32)
        for record in _primary_records(file, path):
            columns.add(record)
    return columns.finish(path, header)


class _Columns:
    """Collects records by column, so that no object per read stays in memory."""

    def __init__(self) -> None:
        self.key, self.start, self.end = array("q"), array("q"), array("q")
        self.reference, self.length = array("i"), array("i")
        self.flag, self.mapq = array("H"), array("B")
        self.names = bytearray()

    def add(self, record: Any) -> None:
        flag = record.flag
        name = record.query_name or "*"
        if name[-2:-1] == "/" and name[-1] in "12":
            name = name[:-2]
        self.names += name.encode() + b"\n"
        end = (flag & (FLAG_FIRST | FLAG_SECOND)) >> 6 if flag & FLAG_PAIRED else 0
        self.key.append(hash(name) & ~END_MASK | end)
        self.flag.append(flag)
        self.mapq.append(record.mapping_quality)
        contig = NONE if flag & FLAG_UNMAPPED else record.reference_id
        self.reference.append(contig)
        if contig == NONE:
            place = 0, 0, record.query_length
        else:
            cigar = record.cigartuples or ((CIGAR_M, record.query_length),)
            place = unclipped(record.reference_start, cigar)
        self.start.append(place[0])
        self.end.append(place[1])
        self.length.append(place[2])

    def finish(self, path: str, header: NDArray[np.int32]) -> tuple[Alignments, ReadNames]:
        key = np.array(self.key, np.int64)
        order = np.argsort(key, kind="stable")
        row = np.empty(len(order), np.int64)
        row[order] = np.arange(len(order))
        names = ReadNames(self.names, row)
        key = key[order]
        _check_unique(path, key, order, names)
        reference = np.array(self.reference, np.int32)[order]
        contig = np.full(len(reference), NONE, np.int32)
        contig[reference != NONE] = header[reference[reference != NONE]]
        flag = np.array(self.flag, np.uint16)[order]
        alignments = Alignments(
            path=path,
            header=header,
            key=key,
            contig=contig,
            start=np.array(self.start, np.int64)[order],
            end=np.array(self.end, np.int64)[order],
            length=np.array(self.length, np.int32)[order],
            reverse=(flag & FLAG_REVERSE) != 0,
            proper=(flag & FLAG_PROPER) != 0,
            mapq=np.array(self.mapq, np.uint8)[order],
        )
        return alignments, names


def _check_unique(path: str, key: NDArray[np.int64], order: NDArray[np.int64], names: ReadNames) -> None:
    repeated = np.flatnonzero(key[1:] == key[:-1])
    if len(repeated) == 0:
        return
    ordinal = int(order[repeated[0] + 1])
    name = next(name for i, name in enumerate(names) if i == ordinal).decode()
    raise EsaError(
        f"{path}: read {name!r} has two primary records; give every read a name of its own "
        "(both ends of a pair share one), and align each read set once"
    )


@contextmanager
def _open(path: str) -> Iterator[Any]:
    """An open `pysam.AlignmentFile`; its errors become `EsaError`."""
    if not Path(path).exists():
        raise EsaError(f"{path}: no such file; give a SAM or BAM file")
    if Path(path).is_dir():
        raise EsaError(f"{path}: is a folder; give a SAM or BAM file")
    # htslib would print the message of each exception, too.
    verbosity = pysam.set_verbosity(0)
    try:
        file = _opened(path)
        try:
            yield file
        finally:
            # Closing a file after a read error raises again.
            with suppress(OSError):
                file.close()
    finally:
        pysam.set_verbosity(verbosity)


def _opened(path: str) -> Any:
    try:
        file = pysam.AlignmentFile(path, check_sq=False)
    except ValueError as error:
        raise EsaError(f"{path}: no SAM or BAM file ({error}); give the output of an aligner") from error
    except PermissionError as error:
        raise EsaError(f"{path}: cannot be read: permission denied; change its permissions") from error
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            raise EsaError(f"{path}: no SAM or BAM file; give the output of an aligner") from error
        raise EsaError(f"{path}: is truncated ({error}); run the aligner again") from error
    if not (file.is_sam or file.is_bam):
        description = file.description
        file.close()
        raise EsaError(f"{path}: is {description}; give a SAM or BAM file")
    return file


def _primary_records(file: Any, path: str) -> Iterator[Any]:
    read = 0
    try:
        for record in file:
            read += 1
            if not record.flag & (FLAG_SECONDARY | FLAG_SUPPLEMENTARY):
                yield record
    except NotImplementedError as error:
        raise EsaError(f"{path}: has no @SQ lines; write SAM with its header (samtools view -h)") from error
    except OSError as error:
        raise EsaError(
            f"{path}: record {read + 1} is truncated or malformed; run the aligner again"
        ) from error
