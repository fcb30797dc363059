"""Reads from FASTQ or FASTA files, single-end or in pairs, as `esa.sequence.reads.ReadBatch` objects of fixed size.

The parser is our own because the mapper takes arrays. On 200,000 reads it is 1.4 to 4.7 times as fast as dnaio, which
makes a Python object a read (`make bench-io`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from esa.errors import ReadsError, UsageError
from esa.io import _read_kernels as kernels
from esa.io._mate_names import settle_mate_names
from esa.io._record_stream import RecordStream
from esa.io.compressed import (
    NO_BGZF_END,
    STDIN,
    file_identity,
    file_label,
    lacks_bgzf_end,
    size_on_disk,
)
from esa.sequence.reads import ReadBatch

DEFAULT_BATCH_SIZE = 8192
"""Reads a batch: enough to amortise the time spent in Python, few enough for the CPU caches."""

_CHUNK_BYTES = 4 << 20
_SAME_PAIRS = "give two files that hold the same pairs in the same order (`seqkit pair` makes them)"


@dataclass(frozen=True)
class ReadInput:
    """The read files as the user gave them.

    Attributes:
        path1: a file, a FIFO or ``-`` (standard input).
        path2: the file of the mates, if they have their own.
        interleaved: whether ``path1`` holds first and second reads in turn.
        eof_check: whether bgzip files must have their end-of-file block.
    """

    path1: str
    path2: str | None = None
    interleaved: bool = False
    eof_check: bool = True

    @property
    def paths(self) -> tuple[str, ...]:
        """The files, one or two."""
        return (self.path1,) if self.path2 is None else (self.path1, self.path2)

    @property
    def paired(self) -> bool:
        """Whether the reads come in pairs."""
        return self.interleaved or self.path2 is not None

    def check(self) -> None:
        """Refuse inputs that cannot work, whatever the files hold.

        Raises:
            UsageError: the same file twice, or two files called interleaved.
            ReadsError: a file that is missing, a directory or not readable.
        """
        if self.interleaved and self.path2 is not None:
            raise UsageError(
                f"--interleaved takes one file of pairs; leave out '{self.path2}' or --interleaved"
            )
        for path in self.paths:
            _check_file(path, self.eof_check)
        if self.path2 is None:
            return
        identity = file_identity(self.path1)
        if self.path1 == self.path2 or (identity is not None and identity == file_identity(self.path2)):
            raise UsageError(
                f"{file_label(self.path1)} is given as R1 and as R2; "
                "give the two files of a pair, or --interleaved for one file that holds both"
            )


def _check_file(path: str, eof_check: bool) -> None:
    if path == STDIN:
        return
    try:
        mode = os.stat(path).st_mode
    except OSError as fault:
        raise ReadsError(f"{path}: {fault.strerror}; check the path of the reads") from fault
    if stat.S_ISDIR(mode):
        raise ReadsError(f"{path}: is a directory; give a FASTQ or FASTA file")
    if not os.access(path, os.R_OK):
        raise ReadsError(f"{path}: Permission denied; make the file readable")
    if eof_check and stat.S_ISREG(mode) and lacks_bgzf_end(path):
        raise ReadsError(f"{path}: {NO_BGZF_END}")


class ReadSource:
    """The reads of one file, or of two files of mates, as batches. A context manager and an iterator.

    Files are FASTQ (four lines a record) or FASTA, plain or gzip, recognised by content. Iterate and close in one
    thread; any thread may read the counters.

    Args:
        path1, path2, interleaved, eof_check: see `ReadInput`.
        batch_size: reads a batch, a pair counting 2; an odd number is rounded up for pairs. Every batch but
            the last holds exactly as many.
        chunk_bytes: bytes read at a time; affects the speed only.

    Raises:
        UsageError: invalid arguments.
        ReadsError: a file that cannot be read, is malformed or does not match its mate. The iterator raises it, too,
            after the batches before the offending record.
    """

    def __init__(
        self,
        path1: str,
        path2: str | None = None,
        *,
        interleaved: bool = False,
        eof_check: bool = True,
        batch_size: int = DEFAULT_BATCH_SIZE,
        chunk_bytes: int = _CHUNK_BYTES,
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"a batch size of {batch_size} makes no sense; give 1 or more")
        self.input = ReadInput(path1, path2, interleaved, eof_check)
        self.input.check()
        self.paired = self.input.paired
        self.ambiguous_bases = 0
        """IUPAC letters other than N that became N, so far."""
        sizes = [size_on_disk(path) for path in self.input.paths]
        self.total_bytes = None if None in sizes else sum(size for size in sizes if size is not None)
        """Size of the files as stored (compressed); None if one is standard input or a FIFO."""
        self._batch_size = batch_size + batch_size % 2 if self.paired else batch_size
        self._chunk_bytes = chunk_bytes
        self._streams: list[RecordStream] = []
        self._bytes_read = 0
        self._ended = False

    @property
    def bytes_read(self) -> int:
        """Stored (compressed) bytes read so far."""
        return self._bytes_read + sum(stream.bytes_read for stream in self._streams)

    def __enter__(self) -> ReadSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the files; also in mid file. Nothing more can be read then."""
        streams, self._streams, self._ended = self._streams, [], True
        for stream in streams:
            self._bytes_read += stream.bytes_read
            stream.close()

    def __iter__(self) -> Iterator[ReadBatch]:
        return self

    def __next__(self) -> ReadBatch:
        if self._ended:
            raise StopIteration
        try:
            batch = self._next_batch()
        except BaseException:
            self.close()
            raise
        if not len(batch):
            self.close()
            raise StopIteration
        return batch

    def _open(self) -> None:
        # Not before the first batch: opening a FIFO waits for its writer.
        for path in self.input.paths:
            self._streams.append(RecordStream(path, self._chunk_bytes, self.input.eof_check))
        if len(self._streams) > 1:
            self._streams[0].goes_with(self._streams[1])

    def _next_batch(self) -> ReadBatch:
        if not self._streams:
            self._open()
        limit = self._batch_size // len(self._streams)
        records = min([stream.fill(limit) for stream in self._streams])
        self._check_formats()
        unlike = self._settle_names(records) if self.paired else -1
        batch = _empty_batch(self._streams, records, self.paired)
        faults = self._gather(batch, unlike)
        if faults:
            raise min(faults, key=lambda fault: fault[0])[1]
        return batch

    def _check_formats(self) -> None:
        kinds = {stream.fasta: stream.label for stream in self._streams if stream.fasta is not None}
        if len(kinds) > 1:
            raise ReadsError(
                f"{kinds[False]} is FASTQ but {kinds[True]} is FASTA; give both mates in the same format"
            )

    def _settle_names(self, records: int) -> int:
        """The first pair whose names differ, -1: none; the others get the name that both ends share."""
        first, second = self._streams[0], self._streams[-1]
        if first is second:
            return int(settle_mate_names(first.ends(0, 2), first.ends(1, 2), records // 2))
        return int(settle_mate_names(first.ends(0, 1), second.ends(0, 1), records))

    def _gather(self, batch: ReadBatch, unlike: int) -> list[tuple[int, ReadsError]]:
        """Fill the batch; returns the faults, each with the index of the read in the batch. ``unlike``: a pair."""
        faults = []
        ways = len(self._streams)
        for way, stream in enumerate(self._streams):
            row, ambiguous = stream.gather(batch, way, ways)
            self.ambiguous_bases += ambiguous
            if row >= 0:
                faults.append((row * ways + way, stream.fault(row)))
            if stream.problem is not None:
                faults.append((stream.count * ways + way, stream.problem))
        if self.paired:
            faults += self._pairing_faults(batch, unlike)
        return faults

    def _pairing_faults(self, batch: ReadBatch, unlike: int) -> list[tuple[int, ReadsError]]:
        faults = []
        first, second = self._streams[0], self._streams[-1]
        if unlike >= 0:
            faults.append((2 * unlike + 1, self._unlike_names(unlike)))
        if len(batch) % 2:
            what = "is odd in number and so has no mate; an interleaved file holds whole pairs"
            faults.append((len(batch), first.error(len(batch) - 1, what)))
        # A file that stops at a malformed record is not short: that record is the fault.
        shorter = first if first.count < second.count else second
        if first.count != second.count and shorter.problem is None:
            faults.append((len(batch), _lengths_differ(first, second)))
        return faults

    def _unlike_names(self, pair: int) -> ReadsError:
        first, second = self._streams[0], self._streams[-1]
        if self.input.interleaved:
            where = f"{first.label}: records {first.number(2 * pair)} and {first.number(2 * pair + 1)}"
            names = first.name(2 * pair), first.name(2 * pair + 1)
            remedy = "an interleaved file holds the two reads of a pair one after the other"
        else:
            where = f"{first.label} and {second.label}: record {first.number(pair)}"
            names = first.name(pair), second.name(pair)
            remedy = _SAME_PAIRS
        return ReadsError(f"{where}: the names of the mates differ, '{names[0]}' and '{names[1]}'; {remedy}")


def _lengths_differ(first: RecordStream, second: RecordStream) -> ReadsError:
    short, long = (first, second) if first.count < second.count else (second, first)
    last = short.number(short.count - 1)
    end = f"ends after record {last}" if last else "holds none"
    return ReadsError(
        f"{short.label} has fewer records than {long.label}: it {end}, "
        f"where the other goes on with record {last + 1} ('{long.name(short.count)}'); {_SAME_PAIRS}"
    )


def _empty_batch(streams: list[RecordStream], records: int, paired: bool) -> ReadBatch:
    """A batch with room for ``records`` records of each stream, in turn."""
    lengths = np.stack([stream.table[:records, kernels.LENGTH] for stream in streams], axis=1)
    name_ends = np.stack([stream.table[:records, kernels.NAME_END] for stream in streams], axis=1)
    name_starts = np.stack([stream.table[:records, kernels.NAME] for stream in streams], axis=1)
    offsets, name_offsets = _offsets(lengths), _offsets(name_ends - name_starts)
    has_qual = np.full(lengths.size, not any(stream.fasta for stream in streams), np.uint8)
    # Zeros where nothing will be written, so that equal input gives equal batches.
    allocate = np.empty if has_qual.all() else np.zeros
    return ReadBatch(
        names=np.empty(name_offsets[-1], np.uint8),
        name_offsets=name_offsets,
        codes=np.empty(offsets[-1], np.uint8),
        quals=allocate(offsets[-1], np.uint8),
        offsets=offsets,
        has_qual=has_qual,
        paired=paired,
    )


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    offsets = np.zeros(lengths.size + 1, np.int64)
    np.cumsum(lengths.ravel(), out=offsets[1:])
    return offsets
