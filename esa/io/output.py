"""Where alignments go: stdout, a .sam or a .bam file.

A regular file is written under a temporary name beside its final one and renamed in the end: a file with the final
name is complete. What a killed run left under a temporary name, the next one removes (`esa.io.unfinished`). Anything
else (/dev/stdout, a FIFO, a device) is written directly.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import re
import secrets
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TextIO

import numpy as np
from numpy.typing import NDArray

from esa.errors import OutputError, UsageError
from esa.io import unfinished

_NEW_FILE_MODE = 0o666
_MAX_LINKS = 40
_NAME_KEPT = 40
_TOKEN_BYTES = 4
_ENDING = ".tmp"
_PIPE_BYTES = 1 << 20
"""Size to which pipes are enlarged: the most an unprivileged process may have (/proc/sys/fs/pipe-max-size).

It holds a third of a batch's records; the default is 64 KB."""

_DESCRIPTOR = re.compile(
    r"/dev/(?:std(?P<name>out|err)|fd/(?P<dev>\d+))|/proc/(?:self|thread-self)/fd/(?P<proc>\d+)"
)
_STANDARD = {"out": 1, "err": 2}


def names_bam(path: str | None) -> bool:
    """Whether the name of an output (of a FIFO or device, too) selects BAM. None: stdout."""
    return _ending(path) == ".bam"


def open_output(path: str | None) -> AlignmentOutput:
    """Open the output for alignments; use it at once in a ``with`` statement.

    Args:
        path: None or ``-`` for stdout; else a name that ends in ``.sam`` or ``.bam``. Existing FIFOs and devices
            may have any name.

    Raises:
        UsageError: another ending.
        OutputError: no such folder, a folder or file without permission, a directory.
    """
    place = _place(path)
    if place.final is not None and _ending(path) not in (".sam", ".bam"):
        raise UsageError(f"output {path!r} ends neither in .sam nor in .bam; without -o, SAM goes to stdout")
    place.open()
    return AlignmentOutput(place)


def open_file(path: str) -> AlignmentOutput:
    """Open an output for any bytes, with the same guarantees as `open_output`; use it at once in a ``with`` statement.

    Raises:
        OutputError: no such folder, a folder or file without permission, a directory.
    """
    place = _place(path)
    place.open()
    return AlignmentOutput(place)


def _ending(path: str | None) -> str:
    return os.path.splitext(path or "")[1].lower()


class AlignmentOutput:
    """Accepts bytes; the file appears when the context ends without an exception.

    After an exception there is no new file, and an old one is unchanged.
    """

    def __init__(self, place: _Place) -> None:
        self._place = place

    def write(self, data: bytes | bytearray | memoryview | NDArray[np.uint8]) -> None:
        """Append bytes.

        Raises:
            OutputError: a full disk, a file too large.
            BrokenPipeError: the reader of a pipe went away.
        """
        rest = memoryview(data)  # type: ignore[arg-type]  # an array has the buffer protocol
        try:
            while rest:
                rest = rest[self._place.write(rest) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._place.explain(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._place.discard()
            return
        try:
            self._place.commit()
        except BaseException:
            self._place.discard()
            raise


def _widen(pipe: int | TextIO) -> None:
    """Enlarge a pipe, so that the writer waits less for its reader; does nothing if that is not possible."""
    # Not everywhere: Linux alone has it, and a stdout that is closed or replaced has no descriptor.
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        if fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) < _PIPE_BYTES:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


@dataclass
class _Place:
    """The destination of the bytes.

    Attributes:
        label: its name in messages.
        open_descriptor: opens a place that is written directly; returns its file descriptor.
        final: absolute name of a regular file, links resolved.
    """

    label: str
    open_descriptor: Callable[[], int] | None = None
    final: str | None = None
    _descriptor: int | None = None
    _temporary: str | None = None
    _lock: int | None = None

    def open(self) -> None:
        try:
            if self.final is not None:
                self._open_beside(self.final)
            elif self.open_descriptor is not None:
                self._descriptor = self.open_descriptor()
                _widen(self._descriptor)
            else:
                _widen(sys.stdout)
        except OSError as error:
            raise self.explain(error) from error

    def _open_beside(self, final: str) -> None:
        folder, name = os.path.split(final)
        if not os.path.isdir(folder):
            raise OutputError(f"cannot write {self.label}: there is no folder {folder}; create it first")
        if os.path.exists(final) and not os.access(final, os.W_OK):
            raise OutputError(
                f"cannot write {self.label}: it is write-protected; remove it or name another file"
            )
        stem = os.path.join(folder, f".{name[:_NAME_KEPT]}.")
        _remove_leftovers(folder, os.path.basename(stem))
        token = secrets.token_hex(_TOKEN_BYTES)
        with unfinished.changing():
            try:
                self._create(f"{stem}{token}.new", f"{stem}{token}{_ENDING}")
            except PermissionError as error:
                raise OutputError(
                    f"cannot write {self.label}: no permission to create files in {folder}; choose another folder"
                ) from error

    def _create(self, new: str, temporary: str) -> None:
        self._temporary = temporary
        unfinished.note(new)
        unfinished.note(temporary)
        try:
            self._descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _NEW_FILE_MODE)
            unfinished.lock(self._descriptor)
            # Under this name it is never seen unlocked.
            os.rename(new, temporary)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise
        finally:
            unfinished.forget(new)

    def write(self, data: memoryview) -> int:
        if self._descriptor is None:
            return sys.stdout.buffer.write(data)
        return os.write(self._descriptor, data)

    def commit(self) -> None:
        """Close, and rename a regular file to its final name."""
        try:
            if self._descriptor is not None:
                descriptor, self._descriptor = self._descriptor, None
                if self._temporary is not None:
                    self._lock = os.dup(descriptor)
                os.close(descriptor)
            if self._temporary is not None and self.final is not None:
                with unfinished.changing():
                    os.replace(self._temporary, self.final)
                    unfinished.forget(self._temporary)
                    self._temporary = None
                self._unlock()
        except OSError as error:
            raise self.explain(error) from error

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def discard(self) -> None:
        """Close, and remove a file that was not committed."""
        if self._temporary is not None:
            with unfinished.changing(), contextlib.suppress(OSError):
                os.unlink(self._temporary)
            unfinished.forget(self._temporary)
            self._temporary = None
        self._unlock()
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def explain(self, error: OSError) -> OutputError:
        """Our error for one of the operating system."""
        remedy = "choose another place"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            remedy = f"make room there or {remedy}"
        return OutputError(f"cannot write {self.label}: {error.strerror or error}; {remedy}")


def _remove_leftovers(folder: str, stem: str) -> None:
    """Remove what killed runs left of a file, and say so. ``stem``: with which its temporary names begin."""
    form = re.compile(re.escape(stem) + rf"[0-9a-f]{{{2 * _TOKEN_BYTES}}}" + re.escape(_ENDING))
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if form.fullmatch(name) and unfinished.is_abandoned(path):
                os.unlink(path)
                unfinished.tell_removed(path)


def _place(path: str | None) -> _Place:
    if path is None or path == "-":
        return _Place("standard output", open_descriptor=_stdout_descriptor())
    descriptor = _named_descriptor(path)
    if descriptor is not None:
        return _Place(path, open_descriptor=lambda: os.dup(descriptor))
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    except OSError as error:
        raise _Place(path).explain(error) from error
    if stat.S_ISDIR(mode):
        raise OutputError(f"cannot write {path}: it is a directory; name a file in it")
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        return _Place(path, open_descriptor=lambda: os.open(path, os.O_WRONLY))
    if not stat.S_ISREG(mode):
        raise OutputError(f"cannot write {path}: it is neither a file nor a pipe; name a file")
    return _Place(path, final=os.path.realpath(path))


def _stdout_descriptor() -> Callable[[], int] | None:
    """Opens a copy of stdout's descriptor; None if stdout has none (a test that captures it)."""
    if sys.stdout is None:
        raise OutputError("cannot write standard output: it is closed; redirect it or name a file by -o")
    try:
        descriptor = sys.stdout.fileno()
    except io.UnsupportedOperation:
        return None
    sys.stdout.flush()
    return lambda: os.dup(descriptor)


def _named_descriptor(path: str) -> int | None:
    """N of /dev/fd/N and the like, through links.

    Opening such a name would truncate a regular file behind it: its descriptor is duplicated instead.
    """
    path = os.path.abspath(path)
    for _ in range(_MAX_LINKS):
        match = _DESCRIPTOR.fullmatch(path)
        if match:
            return _STANDARD[match["name"]] if match["name"] else int(match["dev"] or match["proc"])
        if not os.path.islink(path):
            break
        path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return None
