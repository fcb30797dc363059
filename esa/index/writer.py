"""Write an index directory (`esa.index.storage`) aside, and put it in place when it is complete."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import mmap
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from esa.errors import OutputError
from esa.index.manifest import (
    DIGEST,
    DTYPES,
    MANIFEST_NAME,
    NAME,
    ArrayEntry,
    Contig,
    FileEntry,
    Manifest,
    array_bytes,
    digest_of_file,
    is_manifest,
    npy_header,
    parse,
    render,
)

BLOCK_BYTES = 1 << 22
"""Arrays are digested and written in pieces that end at multiples of this size. So much written at once comes to lie
in large pages of the file's cache, where the file system has them (`esa.kernels.madvise`); but for the first, which
the header begins."""

LOCK_NAME = "writing.lock"
"""File of a directory that is being written, locked by the process that writes it as long as that lives."""
_TOKEN_BYTES = 4


class DirectoryWriter:
    """Builds an index directory aside and puts it in place when it is complete.

    A context manager. Everything goes into a hidden sibling of the final directory; leaving without `commit`
    removes that sibling. What a killed process leaves of it is never taken for an index; the next writer of the same
    directory removes it. Whether its process is alive, a lock tells, which the kernel takes from the dead; a process's
    number would not, in another container. (Two machines that write the same directory at a time, on a file system
    whose locks each machine has by itself, take each other for dead.)

    Args:
        final: the directory to make.
        force: replace an index (or an empty directory) that is there.

    Raises:
        OutputError: at once, if `final` cannot be made: it exists (without `force`), it is not an index (with
            `force`: nothing else is ever deleted), or its folder does not exist. Later, if writing fails.
    """

    def __init__(self, final: Path | str, force: bool = False) -> None:
        self.path = Path(final)
        self._force = force
        # Through symbolic links, so that the link stays and what it points to is replaced.
        self._final = Path(os.path.realpath(self.path))
        with self._output_errors():
            self._check_final()
        self._temporary = self._sibling("tmp")
        self._arrays: list[ArrayEntry] = []
        self._files: list[FileEntry] = []
        self._lock = -1
        self._grown: list[str] = []
        self._growing: list[GrowingFile] = []

    def __enter__(self) -> Self:
        _remove_leftovers(self._final)
        with self._output_errors():
            self._temporary.mkdir()
            try:
                self._lock = _lock(self._temporary)
            except BaseException:
                shutil.rmtree(self._temporary, ignore_errors=True)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for grown in self._growing:
            grown.close()
        shutil.rmtree(self._temporary, ignore_errors=True)
        os.close(self._lock)

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Write an array; its digest is taken on the way."""
        array = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        dtype, file = _dtype(array.dtype), self._file_of(name, ".npy")
        content = array.reshape(-1).view(np.uint8).data
        digest = self._write(file, npy_header(dtype, array.shape), content)
        size = array_bytes(dtype, array.shape)
        self._arrays.append(ArrayEntry(name, file, size, digest, dtype, array.shape))

    def add_file(self, name: str, content: bytes) -> None:
        """Write a file as it is; ``name`` is its name in the directory too."""
        file = self._file_of(name, "")
        digest = self._write(file, content)
        self._files.append(FileEntry(name, file, len(content), digest))

    def grow(self, name: str, dtype: DTypeLike, row: tuple[int, ...]) -> GrowingFile:
        """An array that is written row by row; the index holds it once it is finished.

        Its digest is taken at `commit`.
        """
        letter, file = _dtype(np.dtype(dtype).newbyteorder("<")), self._file_of(name, ".npy")

        def finished(shape: tuple[int, ...]) -> None:
            self._grown.append(file)
            self._arrays.append(ArrayEntry(name, file, array_bytes(letter, shape), "", letter, shape))

        grown = GrowingFile(self._temporary / file, letter, row, self._output_errors, finished)
        self._growing.append(grown)
        return grown

    def __contains__(self, name: str) -> bool:
        """Whether an array or file of that name was written."""
        return any(entry.name == name for entry in (*self._arrays, *self._files))

    def commit(
        self,
        *,
        preset: str,
        parameters: Mapping[str, Any],
        contigs: Sequence[Contig],
        statistics: Mapping[str, Any],
        threads: int = 1,
    ) -> Manifest:
        """Write the manifest and put the directory in its place.

        Returns:
            The manifest, as `esa.index.storage.open_directory` will give it.
        """
        with self._output_errors():
            digests = self._digests_of_grown(threads)
            arrays = [replace(entry, digest=digests.get(entry.file, entry.digest)) for entry in self._arrays]
            text = render(
                Manifest(preset, parameters, statistics, tuple(arrays), tuple(self._files), tuple(contigs))
            )
            manifest = parse(text, self.path / MANIFEST_NAME)
            self._write(MANIFEST_NAME, text)
            _sync(self._temporary)
            self._check_final()
            self._put_in_place()
            # Not before: a directory beside the final one that has no lock would be nobody's, and stay.
            (self._final / LOCK_NAME).unlink()
            _sync(self._final.parent)
        return manifest

    def _sibling(self, purpose: str) -> Path:
        return self._final.with_name(f".{self._final.name}.{purpose}-{secrets.token_hex(_TOKEN_BYTES)}")

    def _check_final(self) -> None:
        folder = self._final.parent
        if not folder.is_dir():
            raise OutputError(f"{self.path}: the folder {folder} does not exist: create it first")
        if not os.path.lexists(self._final):
            return
        if not self._force:
            raise OutputError(f"{self.path}: exists: replace it with --force, or give another path with -o")
        if not self._final.is_dir():
            raise OutputError(
                f"{self.path}: is a file: --force replaces only an index: give another path with -o"
            )
        foreign = _foreign_entries(self._final)
        if foreign:
            raise OutputError(
                f"{self.path}: holds '{foreign[0]}', which is no part of an esa index, so --force does not "
                "replace the directory: delete it yourself, or give another path with -o"
            )

    def _file_of(self, name: str, ending: str) -> str:
        file = name + ending
        if not NAME.fullmatch(file) or file in (MANIFEST_NAME, LOCK_NAME):
            raise ValueError(f"{name!r} cannot name an array or file of an index")
        if any(entry.file == file or entry.name == name for entry in (*self._arrays, *self._files)):
            raise ValueError(f"the index already holds {name!r}")
        return file

    def _write(self, file: str, *parts: bytes | memoryview) -> str:
        digest = hashlib.new(DIGEST)
        with self._output_errors(), open(self._temporary / file, "xb") as out:
            written = 0
            for part in parts:
                start = 0
                while start < len(part):
                    block = part[start : start + BLOCK_BYTES - written % BLOCK_BYTES]
                    digest.update(block)
                    out.write(block)
                    start += len(block)
                    written += len(block)
            out.flush()
            os.fsync(out.fileno())
        return f"{DIGEST}:{digest.hexdigest()}"

    def _digests_of_grown(self, threads: int) -> dict[str, str]:
        """Digests of the grown arrays, by file."""
        with ThreadPoolExecutor(threads) as pool:
            digests = pool.map(lambda file: digest_of_file(self._temporary / file), self._grown)
            return dict(zip(self._grown, digests, strict=True))

    def _put_in_place(self) -> None:
        if not os.path.lexists(self._final):
            os.rename(self._temporary, self._final)
            return
        old = self._sibling("old")
        try:
            os.rename(self._final, old)
            os.rename(self._temporary, self._final)
        finally:  # also when interrupted: there is an index under the final name, the old or the new
            if self._final.exists():
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.rename(old, self._final)

    @contextmanager
    def _output_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{self.path}: cannot be written: {error.strerror or error}: make room, give permission, "
                "or give another path with -o"
            ) from error


def _lock(directory: Path) -> int:
    """Descriptor that holds the lock of a directory; closing it, or dying, lets go of it."""
    new = directory / f"{LOCK_NAME}.new"
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        # On a file system without locks nobody else gets it either, and nothing is ever removed.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Under its name it is locked from the first moment.
        os.rename(new, directory / LOCK_NAME)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _remove_leftovers(final: Path) -> None:
    """Remove what killed processes left beside a directory that they were writing, as far as that is certain."""
    form = re.compile(rf"\.{re.escape(final.name)}\.(tmp|old)-[0-9a-f]{{{2 * _TOKEN_BYTES}}}")
    with contextlib.suppress(OSError):
        for path in list(final.parent.iterdir()):
            match = form.fullmatch(path.name)
            # While the final one is not there, an old one may be the only index, or be put back.
            if match and (final.exists() if match[1] == "old" else _is_orphan(path)):
                shutil.rmtree(path, ignore_errors=True)


def _is_orphan(directory: Path) -> bool:
    """Whether the process that wrote a directory is dead."""
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


class GrowingFile:
    """An array in a file, written row by row (`DirectoryWriter.grow`).

    Args:
        path: of the file, which is made.
        dtype: as numpy spells it.
        row: shape of a row.
        output_errors: turns what goes wrong into an error for the user.
        finished: told of the array's shape.
    """

    def __init__(
        self,
        path: Path,
        dtype: str,
        row: tuple[int, ...],
        output_errors: Callable[[], AbstractContextManager[None]],
        finished: Callable[[tuple[int, ...]], object],
    ) -> None:
        self._dtype, self._row, self._rows = dtype, row, 0
        self._path, self._output_errors, self._finished = path, output_errors, finished
        with output_errors():
            self._out = open(path, "xb")  # noqa: SIM115  (closed by `finish`, or by the directory's end)
            self._out.write(self._header())

    def append(self, rows: NDArray[Any]) -> None:
        content = np.ascontiguousarray(rows, self._dtype)
        if content.shape[1:] != self._row:
            raise ValueError(f"rows of shape {content.shape[1:]}, not {self._row}")
        with self._output_errors():
            self._out.write(content.reshape(-1).view(np.uint8).data)
        self._rows += len(content)

    def finish(self) -> NDArray[Any]:
        """All rows, mapped from the file."""
        header = self._header()
        with self._output_errors():
            if self._out.tell() != array_bytes(self._dtype, (self._rows, *self._row)):
                raise ValueError(f"a header of {len(header)} bytes does not fit before {self._rows} rows")
            self._out.seek(0)
            self._out.write(header)
            self._out.flush()
            os.fsync(self._out.fileno())
            self._out.close()
        shape = (self._rows, *self._row)
        self._finished(shape)
        if not self._rows:
            return np.empty(shape, self._dtype)
        with self._output_errors(), open(self._path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(content, self._dtype, offset=len(header)).reshape(shape)

    def close(self) -> None:
        """Without an array: what is left to write may fail."""
        with contextlib.suppress(OSError):
            self._out.close()

    def _header(self) -> bytes:
        # Of one length for every number of rows: it is padded.
        return npy_header(self._dtype, (self._rows, *self._row))


def _dtype(dtype: np.dtype[Any]) -> str:
    if dtype.str not in DTYPES:
        raise TypeError(f"arrays of {dtype} cannot be stored")
    return dtype.str


def _sync(directory: Path) -> None:
    """Make what was renamed or created in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _foreign_entries(directory: Path) -> list[str]:
    """What is in a directory that its own manifest does not name: reasons not to delete it."""
    names = sorted(os.listdir(directory))
    if MANIFEST_NAME not in names:
        return names
    try:
        text = (directory / MANIFEST_NAME).read_bytes().decode("latin-1")
    except OSError:
        return [MANIFEST_NAME]
    if not is_manifest(text):
        return [MANIFEST_NAME]
    # By text and not by parsing: a damaged index is what --force is for.
    own = (MANIFEST_NAME, LOCK_NAME)
    return [name for name in names if name not in own and f'"file": "{name}"' not in text]
