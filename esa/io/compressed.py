"""Bytes of a file, a FIFO or standard input, decompressed if they are gzip (multi-member and bgzip too).

Compression is recognised by content, here for reads, references and indexes alike: `is_gzip`, `other_compression`.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import queue
import stat
import sys
import threading
import zlib
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


class _Inflater:
    """Decompresses in a thread of its own, `_BLOCKS_AHEAD` blocks ahead. The thread owns the file and closes it.

    ``ends_with``: the stored bytes must.
    """

    def __init__(self, file: _CountedFile, label: str, error: type[EsaError], ends_with: bytes) -> None:
        self._file, self._label, self._error, self._ends_with = file, label, error, ends_with
        self._queue: queue.Queue[tuple[bytes, int] | BaseException] = queue.Queue(_BLOCKS_AHEAD)
        self._stopped = threading.Event()
        self._block = b""
        self._ended = False
        self.count = 0
        # A daemon: a thread that waits for a silent FIFO must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=f"inflate {label}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._file, igzip.IGzipFile(fileobj=self._file, mode="rb") as stream:
                block = None
                while block != b"":
                    block = stream.read(_BLOCK_BYTES)
                    if not block and not self._file.tail.endswith(self._ends_with):
                        return self._fail(NO_BGZF_END)
                    self._queue.put((block, self._file.count))
                    if self._stopped.is_set():
                        return None
        except EOFError:
            self._fail("truncated gzip file: it ends before its data does; copy or download it again")
        except GZIP_DAMAGE as fault:
            self._fail(f"corrupt gzip file ({fault}); test it with `gzip -t`, and copy or download it again")
        except OSError as fault:
            self._fail(f"cannot be read: {fault.strerror or fault}")
        except BaseException as fault:  # whatever it is, the reader must not wait for ever
            self._queue.put(fault)

    def _fail(self, what: str) -> None:
        self._queue.put(self._error(f"{self._label}: {what}"))

    def readinto(self, view: memoryview) -> int:
        if not self._block and not self._ended:
            item = self._queue.get()
            if isinstance(item, BaseException):
                self._queue.put(item)  # whoever reads on meets it again
                raise item
            self._block, self.count = item
            self._ended = not self._block
        n = min(len(view), len(self._block))
        view[:n], self._block = self._block[:n], self._block[n:]
        return n

    def close(self) -> None:
        self._stopped.set()
        while not self._queue.empty():  # room for the block that the thread may be waiting to hand over
            self._queue.get_nowait()
        self._thread.join(_JOIN_SECONDS)


class ByteSource:
    """The decompressed bytes of a file. All failures are raised as an ``error`` that names the file.

    Args:
        path: a file, a FIFO, or ``-`` for standard input. Opening a FIFO waits for its writer.
        error: the class of the errors raised, here and by `readinto`.
        eof_check: whether bgzip files must have their end-of-file block.
    """

    def __init__(self, path: str, error: type[EsaError], eof_check: bool = True) -> None:
        self._label, self._error = file_label(path), error
        self._stream: _CountedFile | _Inflater
        try:
            file = _CountedFile(_open(path))
        except OSError as fault:
            raise self._cannot("opened", fault) from fault
        except AttributeError as fault:  # sys.stdin is None
            raise error(f"{self._label}: is closed; give a file or pipe the reads in") from fault
        try:
            compressed = is_gzip(file.peek(len(_GZIP_MAGIC)))
            whole = compressed and eof_check and bgzf.is_bgzf(file.peek(len(bgzf.END)))
        except OSError as fault:
            file.close()
            raise self._cannot("read", fault) from fault
        self._stream = _Inflater(file, self._label, error, bgzf.END if whole else b"") if compressed else file

    def _cannot(self, verb: str, fault: OSError) -> EsaError:
        return self._error(f"{self._label}: cannot be {verb}: {fault.strerror or fault}")

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
