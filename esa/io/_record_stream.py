"""The records of one read file, batch by batch: a growing buffer and a table of the record boundaries in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esa.errors import ReadsError
from esa.io import _read_kernels as kernels
from esa.io._mate_names import Ends
from esa.io._read_faults import FOREIGN_BYTES, fasta_fault, fastq_fault, foreign_fault, name_of, show
from esa.io._record_arrays import Reads
from esa.io.compressed import ByteSource, file_label
from esa.sequence.reads import ReadBatch

_FIRST_ROWS = 1 << 10
_FAULT_BYTES = 1 << 20
"""Bytes of a malformed record that the parser reads on for, at least, to find the fault."""
_FASTQ_LINES = 4
_NEWLINE = 10


class RecordStream:
    """One read file and the records of the current batch in it.

    Attributes:
        label: the name of the file in messages.
        fasta: whether it is FASTA; None until a record is seen.
        table: ``int64[rows, COLUMNS]``, see `esa.io._read_kernels`.
        count: records of the current batch.
        problem: the fault of the record after those, if it is malformed.
        records_before: records of all earlier batches.
    """

    def __init__(self, path: str, chunk_bytes: int, eof_check: bool = True) -> None:
        self.label = file_label(path)
        self.fasta: bool | None = None
        self.table: NDArray[np.int64] = np.empty((0, kernels.COLUMNS), np.int64)
        self.count = 0
        self.problem: ReadsError | None = None
        self.records_before = 0
        self._chunk = chunk_bytes
        self._source = ByteSource(path, ReadsError, eof_check)
        self._buffer: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._begin = self._next = self._end = 0  # in the buffer: current batch, next record, data
        self._last = False  # whether the file ends at _end
        self._failure: ReadsError | None = None  # why it ends there, if not because it is whole

    def goes_with(self, other: RecordStream) -> None:
        """The other stream holds the mates (`ByteSource.goes_with`)."""
        self._source.goes_with(other._source)

    @property
    def bytes_read(self) -> int:
        """Stored (compressed) bytes read so far."""
        return self._source.bytes_read

    def close(self) -> None:
        """Release the file."""
        self._source.close()

    def fill(self, limit: int) -> int:
        """Drop the current batch and find the next ``limit`` records; returns how many there are.

        Fewer than ``limit``: the file ends there, or the next record is malformed (`problem`).
        """
        self.records_before += self.count
        self._begin, self.count = self._next, 0
        if self.fasta is None:
            self._detect_format()
        scan = kernels.scan_fasta if self.fasta else kernels.scan_fastq
        while self.problem is None:
            rows = self.table[: min(limit, len(self.table))]
            self.count, self._next, outcome = scan(
                self._buffer, self._next, self._end, self._last, rows, self.count
            )
            if self.count == limit:
                break
            if outcome == kernels.FULL:
                self._grow_table(limit)
            elif outcome == kernels.MORE and not self._last:
                # At least as much again: a long record is then rescanned only a few times.
                self._read(max(self._chunk, self._end - self._next))
            elif self._failure is not None:
                reached = self.records_before + self.count
                after = f" (after record {reached:,})" if reached else ""
                self.problem = ReadsError(f"{self._failure}{after}")
            elif self._next < self._end:
                end = self._four_lines_end()  # reads on, which may move the record
                self.problem = self._fault_at(self.count, self._next, end)
            else:
                break
        return self.count

    def fault(self, row: int) -> ReadsError:
        """The fault of a record that `gather` refused."""
        start, end = self.table[row, [kernels.START, kernels.SEQ_END]]
        if not self.fasta:
            # With the line end, if there is one: without it the record would look cut off.
            end = self.table[row, kernels.QUAL] + self.table[row, kernels.LENGTH] + len(b"\r\n")
            end = min(end, self._end)
        return self._fault_at(row, start, end)

    def error(self, row: int, what: str) -> ReadsError:
        """An error at a record of the current batch."""
        return ReadsError(f"{self.label}: record {self.number(row)} ('{self.name(row)}'): {what}")

    def number(self, row: int) -> int:
        """The 1-based number in the file of a record of the current batch."""
        return self.records_before + row + 1

    def name(self, row: int) -> str:
        """The name of a record of the current batch, for messages."""
        start, end = self.table[row, kernels.NAME], self.table[row, kernels.NAME_END]
        return show(self._buffer[start:end].tobytes())

    def ends(self, first: int, step: int) -> Ends:
        """Every ``step``-th record of the current batch, from ``first`` on, for kernels."""
        return Ends(self._buffer, self.table, first, step)

    def gather(self, batch: ReadBatch, first: int, step: int) -> tuple[int, int]:
        """Copy the records into reads ``first, first + step, ...`` of a batch, as `_read_kernels.gather` does."""
        row, ambiguous = kernels.gather(
            self._buffer, self.table, len(batch) // step, first, step, not self.fasta,
            Reads(batch.names, batch.name_offsets, batch.codes, batch.quals, batch.offsets, batch.has_qual),
        )  # fmt: skip
        return row, ambiguous

    def _detect_format(self) -> None:
        self._read(self._chunk)
        while True:
            while self._next < self._end and self._buffer[self._next] in b"\r\n":
                self._next += 1
            if self._last or self._end - self._next >= FOREIGN_BYTES:
                break
            self._read(self._chunk)
        self._begin = self._next
        if self._next == self._end:
            if self._failure is not None:
                raise self._failure
            return
        head = self._buffer[self._next : min(self._end, self._next + FOREIGN_BYTES)].tobytes()
        if fault := foreign_fault(head):
            raise ReadsError(f"{self.label}: {fault}")
        self.fasta = head.startswith(b">")

    def _grow_table(self, limit: int) -> None:
        grown = np.empty((min(limit, max(_FIRST_ROWS, 2 * len(self.table))), kernels.COLUMNS), np.int64)
        grown[: self.count] = self.table[: self.count]
        self.table = grown

    def _read(self, size: int) -> None:
        """Append ``size`` bytes to the data; fewer only at the end of the file."""
        if self._end + size > len(self._buffer):
            self._make_room(size)
        view = self._buffer.data[self._end : self._end + size]
        while view:
            try:
                got = self._source.readinto(view)
            except ReadsError as error:
                # What was read so far counts, up to the last whole record.
                self._failure, got = error, 0
            if not got:
                self._last = True
                return
            self._end += got
            view = view[got:]

    def _make_room(self, size: int) -> None:
        """Move the current batch to the start of the buffer, or of a larger new one."""
        begin, used = self._begin, self._end - self._begin
        old = self._buffer
        if used + size > len(old):
            self._buffer = np.empty(max(2 * len(old), used + size), np.uint8)
        self._buffer[:used] = old[begin : self._end]
        self.table[: self.count, : kernels.LENGTH] -= begin
        self._begin, self._next, self._end = 0, self._next - begin, used

    def _four_lines_end(self) -> int:
        """End of the fourth line from the next record on; reads on for it, up to a limit."""
        enough = 4 * (self._end - self._next) + _FAULT_BYTES
        while True:
            feeds = np.flatnonzero(self._buffer[self._next : self._end] == _NEWLINE)
            if len(feeds) >= _FASTQ_LINES:
                return self._next + int(feeds[_FASTQ_LINES - 1]) + 1
            if self._last or self._end - self._next > enough:
                return self._end
            self._read(self._chunk)

    def _fault_at(self, row: int, start: int, end: int) -> ReadsError:
        record = self._buffer[start:end].tobytes()
        fault = fasta_fault(record) if self.fasta else fastq_fault(record)
        assert fault is not None, f"a record refused without a reason: {record!r}"
        name = name_of(record[1:]) if record[:1] in (b"@", b">") else b""
        shown = f" ('{show(name)}')" if name else ""
        return ReadsError(f"{self.label}: record {self.number(row)}{shown}: {fault}")
