"""Read a reference FASTA (plain, gzip or bgzip) into a packed `Genome`, or say what is wrong with it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from esa.errors import FastaError
from esa.io.compressed import NO_BGZF_END, ByteSource, lacks_bgzf_end, other_compression
from esa.io.records import MAX_CONTIG_BASES
from esa.kernels.arrays import BoolArray, I64Array, Int, U8Array
from esa.kernels.decorator import inline_njit, njit
from esa.sequence import dna
from esa.sequence.genome import Genome

CHUNK_BYTES = 1 << 20
"""Sequence text held at a time: all that is unpacked in memory."""

NAME = re.compile(r"[0-9A-Za-z!#$%&+./:;?@^_|~-][0-9A-Za-z!#$%&*+./:;=?@^_|~-]*")
"""What SAM allows as a reference sequence name (specification, section 1.2.1)."""

PROTEIN_LETTERS = b"EFIJLOPQXZ*"
"""Letters of protein sequences that are no nucleotide codes."""

_BLANK = b" \t\r\n"
_NEWLINE = 10
_LETTER_N = ord("N")
_END, _HEADER, _BAD = range(3)


def _upper_table() -> NDArray[np.uint8]:
    upper = np.zeros(256, np.uint8)
    for letter in dna.IUPAC_LETTERS:
        upper[letter] = upper[letter | 0x20] = letter
    return upper


_UPPER = _upper_table()
"""Upper-case letter of each nucleotide letter; 0 for any other byte."""

_IS_BLANK = np.isin(np.arange(256), np.frombuffer(_BLANK, np.uint8))


@dataclass(frozen=True)
class FastaContents:
    """What a FASTA holds.

    Attributes:
        genome: its contigs, in file order.
        n_bases: bases that are N for alignment, IUPAC letters included.
        iupac_bases: IUPAC letters (other than N) that became N.
    """

    genome: Genome
    n_bases: int
    iupac_bases: int


def read_genome(path: str) -> Genome:
    """The genome in a FASTA file; see `read_fasta`."""
    return read_fasta(path).genome


def read_fasta(path: str, eof_check: bool = True) -> FastaContents:
    """Read a FASTA file, plain, gzip or bgzip (recognised by content).

    A contig is named by its header up to the first whitespace. Lower case is upper-cased, U is T, IUPAC
    letters are N; M5 is of the upper-cased letters as they stand. Memory: 0.25 bytes a base, 0.75 while it
    grows. ``eof_check``: whether a bgzip file must have its end-of-file block.

    Raises:
        FastaError: the file is missing, empty, damaged, no FASTA of nucleotides, or holds names or records
            that no SAM header can describe; the message names file, record, line and remedy.
    """
    parser = _Parser(path)
    for data in _chunks(path, eof_check):
        parser.feed(data)
    return parser.finish()


def _chunks(path: str, eof_check: bool) -> Iterator[bytes]:
    """The decompressed text of a file, in pieces of at most `CHUNK_BYTES`."""
    _check_file(path, eof_check)
    source = ByteSource(path, FastaError, eof_check)
    try:
        first = True
        while data := _filled(source):
            if first and (name := other_compression(data)):
                raise FastaError(f"{path}: compressed with {name}: decompress it, or use gzip or bgzip")
            first = False
            yield data
    finally:
        source.close()


def _filled(source: ByteSource) -> bytes:
    """The next `CHUNK_BYTES`; fewer only at the end."""
    buffer = bytearray(CHUNK_BYTES)
    filled = 0
    while filled < CHUNK_BYTES and (got := source.readinto(memoryview(buffer)[filled:])):
        filled += got
    return bytes(buffer[:filled])


def _check_file(path: str, eof_check: bool) -> None:
    if path == "-":
        raise FastaError("-: a reference cannot be read from standard input: give a FASTA file")
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError as error:
        raise FastaError(f"{path}: no such file: check the path of the reference FASTA") from error
    except OSError as error:
        raise FastaError(f"{path}: cannot be read: {error.strerror or error}") from error
    if stat.S_ISDIR(mode):
        raise FastaError(f"{path}: is a directory: give the FASTA file itself")
    try:
        if eof_check and stat.S_ISREG(mode) and lacks_bgzf_end(path):
            raise FastaError(f"{path}: {NO_BGZF_END}")
    except OSError as error:
        raise FastaError(f"{path}: cannot be read: {error.strerror or error}") from error


class _Scanned(NamedTuple):
    """Where a scan stopped, why (`_END`, `_HEADER`, `_BAD`), letters written and line ends passed."""

    stop: int
    reason: int
    written: int
    lines: int


@njit
def _scan(
    chunk: U8Array, start: Int, previous: Int, upper: U8Array, blank: BoolArray, letters: U8Array
) -> _Scanned:
    """Copy the letters of ``chunk[start:]`` to ``letters``, upper-cased, up to a header, a bad byte or the end.

    ``previous`` is the byte before ``chunk[0]``.
    """
    written = 0
    lines = 0
    for i in range(start, len(chunk)):
        byte = chunk[i]
        letter = upper[byte]
        if letter != 0:
            letters[written] = letter
            written += 1
        elif byte == _NEWLINE:
            lines += 1
        elif not blank[byte]:
            before = chunk[i - 1] if i > 0 else previous
            is_header = byte == ord(">") and before == _NEWLINE
            return _Scanned(i, _HEADER if is_header else _BAD, written, lines)
    return _Scanned(len(chunk), _END, written, lines)


@inline_njit
def _append(
    letters: U8Array, code: U8Array, packed: U8Array, position: Int, n_starts: I64Array, n_ends: I64Array
) -> tuple[Int, Int]:
    """Pack letters behind the ``position`` bases that ``packed`` already holds.

    Writes their runs of N to ``n_starts`` and ``n_ends``. Returns (runs, IUPAC letters other than N).
    """
    runs = 0
    iupac = 0
    in_run = False
    value = np.uint8(0)
    if position & 3:
        value = packed[position >> 2]
    for i in range(len(letters)):
        base = code[letters[i]]
        at = position + i
        if base == dna.N:
            if letters[i] != _LETTER_N:
                iupac += 1
            if not in_run:
                n_starts[runs] = at
                in_run = True
            base = np.uint8(0)
        elif in_run:
            n_ends[runs] = at
            runs += 1
            in_run = False
        value |= np.uint8(base << (2 * (at & 3)))
        if at & 3 == 3:
            packed[at >> 2] = value
            value = np.uint8(0)
    end = position + len(letters)
    if end & 3:
        packed[end >> 2] = value
    if in_run:
        n_ends[runs] = end
        runs += 1
    return runs, iupac


class _PackedBases:
    """The bases read so far, 2 bits each, with their runs of N."""

    def __init__(self) -> None:
        self.bases = 0
        self.iupac = 0
        self._packed = np.empty(CHUNK_BYTES, np.uint8)
        self._starts: list[NDArray[np.int64]] = []
        self._ends: list[NDArray[np.int64]] = []
        # A run and a base between it and the next: no more runs than this in a chunk.
        self._run_starts = np.empty(CHUNK_BYTES // 2 + 1, np.int64)
        self._run_ends = np.empty_like(self._run_starts)

    def append(self, letters: NDArray[np.uint8]) -> None:
        need = (self.bases + len(letters)) // dna.BASES_PER_BYTE + 1
        if need > len(self._packed):
            grown = np.empty(2 * len(self._packed), np.uint8)
            grown[: len(self._packed)] = self._packed
            self._packed = grown
        runs, iupac = _append(letters, dna.CODE, self._packed, self.bases, self._run_starts, self._run_ends)
        if runs:
            self._starts.append(self._run_starts[:runs].copy())
            self._ends.append(self._run_ends[:runs].copy())
        self.bases += len(letters)
        self.iupac += iupac

    def packed(self) -> NDArray[np.uint8]:
        return self._packed[: -(-self.bases // dna.BASES_PER_BYTE)].copy()

    def n_runs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Starts and ends of the runs; those that touch (cut by the end of a chunk or contig) are merged."""
        if not self._starts:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        starts, ends = np.concatenate(self._starts), np.concatenate(self._ends)
        apart = starts[1:] != ends[:-1]
        return starts[np.append(True, apart)], ends[np.append(apart, True)]


class _Parser:
    """Parses the text of a FASTA fed in pieces; its state is the record, the line, and the open header if any."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.line = 1
        self.header: bytearray | None = None
        self.header_line = 0
        self.previous = _NEWLINE
        self.names: dict[str, int] = {}  # name: line of its header
        self.lengths: list[int] = []
        self.m5: list[str] = []
        self.bases = _PackedBases()
        self._digest = hashlib.md5(usedforsecurity=False)
        self._letters = np.empty(CHUNK_BYTES, np.uint8)

    def feed(self, data: bytes) -> None:
        start = 0
        if not self.names and self.header is None:
            start = self._find_first_header(data)
        chunk = np.frombuffer(data, np.uint8)
        while start < len(data):
            start = (
                self._feed_header(data, start) if self.header is not None else self._feed_bases(chunk, start)
            )
        self.previous = data[-1]

    def finish(self) -> FastaContents:
        if self.header is not None:
            self._begin_record()
        if not self.names:
            raise FastaError(f"{self.path}: empty: give a FASTA file with at least one sequence")
        self._end_record()
        n_starts, n_ends = self.bases.n_runs()
        genome = Genome(
            names=tuple(self.names),
            lengths=np.array(self.lengths, np.int64),
            m5=tuple(self.m5),
            packed=self.bases.packed(),
            n_starts=n_starts,
            n_ends=n_ends,
        )
        return FastaContents(genome, int((n_ends - n_starts).sum()), self.bases.iupac)

    def _find_first_header(self, data: bytes) -> int:
        start = len(data) - len(data.lstrip(_BLANK))
        self.line += data.count(b"\n", 0, start)
        if start == len(data):
            return start
        before = data[start - 1] if start else self.previous
        if data[start] != ord(">") or before != _NEWLINE:
            self._refuse_start(data[start:])
        self._enter_header()
        return start + 1

    def _enter_header(self) -> None:
        self.header = bytearray()
        self.header_line = self.line

    def _feed_header(self, data: bytes, start: int) -> int:
        assert self.header is not None
        newline = data.find(b"\n", start)
        if newline < 0:
            self.header += data[start:]
            return len(data)
        self.header += data[start:newline]
        self._begin_record()
        self.line += 1
        return newline + 1

    def _feed_bases(self, chunk: NDArray[np.uint8], start: int) -> int:
        scanned = _scan(chunk, start, self.previous, _UPPER, _IS_BLANK, self._letters)
        self.line += scanned.lines
        if scanned.reason == _BAD:
            self._refuse_byte(int(chunk[scanned.stop]))
        letters = self._letters[: scanned.written]
        self._digest.update(letters.data)
        self.bases.append(letters)
        self.lengths[-1] += scanned.written
        if scanned.reason == _END:
            return int(scanned.stop)
        self._end_record()
        self._enter_header()
        return int(scanned.stop) + 1

    def _begin_record(self) -> None:
        header = bytes(self.header or b"")
        self.header = None
        words = header.split(maxsplit=1)
        where = f"{self.path}: line {self.header_line}, record {len(self.names) + 1}"
        if not words or header[0] in _BLANK:
            raise FastaError(f"{where}: no name after '>': name every sequence")
        name = words[0].decode("ascii", "backslashreplace")
        if not NAME.fullmatch(name):
            raise FastaError(
                f"{where}: the name {name!r} holds characters that SAM does not allow in a reference name "
                "(such as , \\ \" ' ( ) < > [ ] { } or a leading * or =): rename the sequence"
            )
        if name in self.names:
            raise FastaError(
                f"{where}: the name '{name}' is taken by the record on line {self.names[name]}: "
                "give every sequence a name of its own"
            )
        self.names[name] = self.header_line
        self.lengths.append(0)
        self._digest = hashlib.md5(usedforsecurity=False)

    def _end_record(self) -> None:
        where = f"{self.path}: line {self.header_line}, record '{next(reversed(self.names))}'"
        if self.lengths[-1] == 0:
            raise FastaError(f"{where}: no sequence after the header: remove the record or complete the file")
        if self.lengths[-1] > MAX_CONTIG_BASES:
            raise FastaError(
                f"{where}: {self.lengths[-1]} bases, but SAM allows {MAX_CONTIG_BASES} a sequence: split it"
            )
        self.m5.append(self._digest.hexdigest())

    def _refuse_start(self, text: bytes) -> NoReturn:
        where = f"{self.path}: line {self.line}"
        if text.startswith(b"@"):
            raise FastaError(f"{where}: begins with '@', like FASTQ or SAM: give a reference in FASTA")
        if not text[:80].split(b"\n")[0].strip().isascii() or b"\0" in text[:CHUNK_BYTES]:
            raise FastaError(f"{where}: this looks like a binary file: give a reference in FASTA")
        raise FastaError(f"{where}: a FASTA begins with '>' and a name: give a reference in FASTA")

    def _refuse_byte(self, byte: int) -> NoReturn:
        where = f"{self.path}: line {self.line}, record '{next(reversed(self.names))}'"
        if byte in PROTEIN_LETTERS or byte & ~0x20 in PROTEIN_LETTERS:
            raise FastaError(
                f"{where}: '{chr(byte)}' is no nucleotide: this looks like protein; give a DNA reference"
            )
        if byte in b"-.":
            raise FastaError(f"{where}: a gap '{chr(byte)}' in the sequence: remove the gaps")
        if chr(byte).isascii() and chr(byte).isprintable():
            raise FastaError(f"{where}: '{chr(byte)}' is no nucleotide letter: correct or remove it")
        raise FastaError(f"{where}: byte 0x{byte:02x} in the sequence: damaged or binary file; give a FASTA")
