"""Bytes of a file, a FIFO or standard input, decompressed if they are gzip (multi-member and bgzip too).

Compression is recognised by content, here for reads, references and indexes alike: `is_gzip`, `other_compression`.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import sys
import threading
import zlib
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import IO, Any, cast

from isal import igzip, isal_zlib

from esa.errors import EsaError
from esa.io import bgzf

STDIN = "-"
_GZIP_MAGIC = b"\x1f\x8b"
_OTHER_MAGICS = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\3\4": "zip"}
NO_BGZF_END = (
    "truncated bgzip file: it has no end-of-file block; copy or download it again, or give --no-eof-check if it was "
    "made without"
)
_TAIL_BYTES = len(bgzf.END)
_BLOCK_BYTES = 1 << 20
_BLOCKS_AHEAD = 4
_JOIN_SECONDS = 1.0
GZIP_DAMAGE = (gzip.BadGzipFile, zlib.error, cast(type[Exception], isal_zlib.error))
"""Errors of damaged gzip data (isal's stubs declare its error as an instance); a truncated file is an `EOFError`."""


def is_gzip(head: bytes) -> bool:
    """Whether a file that starts with these bytes is gzip (or bgzip)."""
    return head.startswith(_GZIP_MAGIC)


def other_compression(head: bytes) -> str | None:
    """The compression, other than gzip, of a file that starts with these bytes; None if it is none that is known."""
    return next((name for magic, name in _OTHER_MAGICS.items() if head.startswith(magic)), None)


def file_label(path: str) -> str:
    """The name of the file in messages."""
    return "standard input" if path == STDIN else path


def size_on_disk(path: str) -> int | None:
    """Bytes of a regular file as stored; None for standard input, a FIFO or a device."""
    if path == STDIN:
        return None
    status = os.stat(path)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def file_identity(path: str) -> tuple[int, int] | None:
    """Device and inode of a file, or of the file behind standard input; None if it has none."""
    try:
        status = os.fstat(sys.stdin.fileno()) if path == STDIN else os.stat(path)
    except (OSError, ValueError, AttributeError):
        return None
    return status.st_dev, status.st_ino


def _open(path: str) -> IO[bytes]:
    if path != STDIN:
        return open(path, "rb", buffering=0)
    try:
        # Not sys.stdin.buffer: its lock, held by a thread that waits for data, aborts Python at exit.
        return open(os.dup(sys.stdin.fileno()), "rb", buffering=0)
    except (OSError, ValueError):
        return sys.stdin.buffer  # a stand-in without a descriptor


def lacks_bgzf_end(path: str) -> bool:
    """Whether a regular file is bgzip without its end-of-file block: cut between two blocks it is valid gzip.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or not bgzf.is_bgzf(file.read(len(bgzf.END))):
            return False
        file.seek(-min(len(bgzf.END), file.seek(0, os.SEEK_END)), os.SEEK_END)
        return file.read() != bgzf.END


class _CountedFile(io.RawIOBase):
    """The stored bytes of a file. Counts them; `peek` shows the next ones without consuming them.

    Attributes:
        count: bytes read.
        tail: the last of them.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._head = b""
        self._expected = _rest(file)
        self.count = 0
        self.tail = b""

    def readable(self) -> bool:
        return True

    def peek(self, size: int) -> bytes:
        """The next bytes, up to ``size`` of them; fewer only at the end of the file."""
        while len(self._head) < size and (more := self._file.read(size - len(self._head))):
            self._head += more
        return self._head[:size]

    def readinto(self, out: Any) -> int:
        view = memoryview(out)
        if self._head:
            n = min(len(view), len(self._head))
            view[:n], self._head = self._head[:n], self._head[n:]
        else:
            n = self._file.readinto(view) or 0  # type: ignore[attr-defined]
        self.count += n
        if n:
            self.tail = (self.tail + bytes(view[max(0, n - _TAIL_BYTES) : n]))[-_TAIL_BYTES:]
        elif len(view) and self.count < self._expected:
            raise OSError(
                errno.EIO, f"it ended after {self.count:,} of the {self._expected:,} bytes that it had"
            )
        return n

    def close(self) -> None:
        if not self.closed and self._file is not getattr(sys.stdin, "buffer", None):
            self._file.close()
        super().close()


def _rest(file: IO[bytes]) -> int:
    """Bytes of a regular file from here on, when it was opened; 0 for anything else."""
    try:
        status = os.fstat(file.fileno())
        return status.st_size - file.tell() if stat.S_ISREG(status.st_mode) else 0
    except (OSError, ValueError):
        return 0


class _Blocks:
    """Blocks that a thread hands over, at most `_BLOCKS_AHEAD` of them unless `unbounded`."""

    def __init__(self) -> None:
        self._blocks: deque[tuple[bytes, int] | BaseException] = deque()
        self._changed = threading.Condition()
        self._unbounded = self._closed = False

    def put(self, block: tuple[bytes, int] | BaseException) -> bool:
        """Hand over a block when there is a place for it; False: nobody wants more."""
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._blocks) < _BLOCKS_AHEAD or self._unbounded or self._closed
            )
            self._blocks.append(block)
            self._changed.notify_all()
            return not self._closed

    def get(self) -> tuple[bytes, int] | BaseException:
        """The next block, or the exception that ended them: then and ever after."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._blocks))
            block = self._blocks[0]
            if not isinstance(block, BaseException):
                self._blocks.popleft()
                self._changed.notify_all()
            return block

    def unbounded(self, state: bool) -> None:
        """Whether any number of blocks may wait."""
        with self._changed:
            self._unbounded = state
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody wants more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class _Ahead:
    """Reads, and decompresses what is gzip, ahead in a thread of its own. The thread opens the file and closes it.

    Attributes:
        partner: the file of the mates. While this one is waited for, any number of its blocks may wait: one process may
            write both into pipes in turn.
    """

    def __init__(
        self, opened: Callable[[], _CountedFile], label: str, error: type[EsaError], eof_check: bool
    ) -> None:
        self._open, self._label, self._error, self._eof_check = opened, label, error, eof_check
        self._blocks = _Blocks()
        self._block = b""
        self._ended = False
        self.partner: _Ahead | None = None
        self.count = 0
        # A daemon: a thread that waits for a silent FIFO must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"read {label}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._open() as file:
                if is_gzip(file.peek(len(_GZIP_MAGIC))):
                    self._inflate(file)
                else:
                    self._hand_over(file, partial(_some, file))
        except EOFError:
            self._fail("truncated gzip file: it ends before its data does; copy or download it again")
        except GZIP_DAMAGE as fault:
            self._fail(f"corrupt gzip file ({fault}); test it with `gzip -t`, and copy or download it again")
        except OSError as fault:
            self._fail(f"cannot be read: {fault.strerror or fault}")
        except BaseException as fault:  # whatever it is, the reader must not wait for ever
            self._blocks.put(fault)

    def _inflate(self, file: _CountedFile) -> None:
        whole = self._eof_check and bgzf.is_bgzf(file.peek(len(bgzf.END)))
        with igzip.IGzipFile(fileobj=file, mode="rb") as stream:

            def block() -> bytes:
                data: bytes = stream.read(_BLOCK_BYTES)
                if not data and whole and file.tail != bgzf.END:
                    raise self._error(f"{self._label}: {NO_BGZF_END}")
                return data

            self._hand_over(file, block)

    def _hand_over(self, file: _CountedFile, read: Callable[[], bytes]) -> None:
        while True:
            block = read()
            if not self._blocks.put((block, file.count)) or not block:
                return

    def _fail(self, what: str) -> None:
        self._blocks.put(self._error(f"{self._label}: {what}"))

    def readinto(self, view: memoryview) -> int:
        if not self._block and not self._ended:
            item = self._next_block()
            if isinstance(item, BaseException):
                raise item
            self._block, self.count = item
            self._ended = not self._block
        n = min(len(view), len(self._block))
        view[:n], self._block = self._block[:n], self._block[n:]
        return n

    def _next_block(self) -> tuple[bytes, int] | BaseException:
        if self.partner is None:
            return self._blocks.get()
        self.partner._blocks.unbounded(True)
        try:
            return self._blocks.get()
        finally:
            self.partner._blocks.unbounded(False)

    def close(self) -> None:
        self._blocks.close()
        self._thread.join(_JOIN_SECONDS)


def _some(file: _CountedFile) -> bytes:
    """What a pipe has, at most `_BLOCK_BYTES`; waits for something, unless it has ended."""
    buffer = bytearray(_BLOCK_BYTES)
    return bytes(memoryview(buffer)[: file.readinto(buffer)])


class ByteSource:
    """The decompressed bytes of a file. All failures are raised as an ``error`` that names the file.

    A thread of its own reads what is compressed, or is no regular file; it waits for the writer of a FIFO.

    Args:
        path: a file, a FIFO, or ``-`` for standard input.
        error: the class of the errors raised, here and by `readinto`.
        eof_check: whether bgzip files must have their end-of-file block.
    """

    def __init__(self, path: str, error: type[EsaError], eof_check: bool = True) -> None:
        self._label, self._error = file_label(path), error
        self._stream: _CountedFile | _Ahead
        if path == STDIN and sys.stdin is None:
            raise error(f"{self._label}: is closed; give a file or pipe the reads in")
        try:
            self._pipe = size_on_disk(path) is None
            if self._pipe:
                self._stream = _Ahead(lambda: _CountedFile(_open(path)), self._label, error, eof_check)
                return
            file = _CountedFile(_open(path))
        except OSError as fault:
            raise self._cannot("opened", fault) from fault
        try:
            compressed = is_gzip(file.peek(len(_GZIP_MAGIC)))
        except OSError as fault:
            file.close()
            raise self._cannot("read", fault) from fault
        self._stream = _Ahead(lambda: file, self._label, error, eof_check) if compressed else file

    def _cannot(self, verb: str, fault: OSError) -> EsaError:
        return self._error(f"{self._label}: cannot be {verb}: {fault.strerror or fault}")

    def goes_with(self, other: ByteSource) -> None:
        """The other source holds the mates of this one's reads: waiting for either keeps nobody from writing both."""
        if (
            isinstance(self._stream, _Ahead)
            and isinstance(other._stream, _Ahead)
            and self._pipe
            and other._pipe
        ):
            self._stream.partner, other._stream.partner = other._stream, self._stream

    @property
    def bytes_read(self) -> int:
        """Stored (compressed) bytes consumed for what `readinto` has returned so far."""
        return self._stream.count

    def readinto(self, view: memoryview) -> int:
        """Fill the start of ``view`` and return how many bytes that was; 0 only at the end."""
        try:
            return self._stream.readinto(view)
        except OSError as fault:
            raise self._cannot("read", fault) from fault

    def close(self) -> None:
        """Release the file and end its thread; allowed twice, and before the end of the file."""
        self._stream.close()
