"""Writes an index directory: beside its final place, then renamed into it when complete."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from esa.errors import OutputError
from esa.index.manifest import (
    DIGEST,
    MANIFEST_NAME,
    NAME,
    ArrayEntry,
    Contig,
    FileEntry,
    Manifest,
    digest_of_file,
    is_manifest,
    parse,
    render,
)
from esa.index.npy import GrowingFile, array_bytes, dtype_name, npy_header
from esa.io import unfinished
from esa.io.unfinished import LOCK_NAME

BLOCK_BYTES = 1 << 22
"""Arrays are digested and written in blocks that end at multiples of this size.

A block written at once is stored in huge pages of the page cache, where the file system has them
(`esa.kernels.madvise`). The first block does not, because it begins with the header."""

_TOKEN_BYTES = 4


class DirectoryWriter:
    """Writes an index directory beside its final place and renames it when it is complete.

    A context manager. All files go into a hidden sibling of the final directory. Leaving without `commit` removes that
    sibling.

    A killed process may leave its sibling behind. Nothing takes that for an index, and the next writer of the same
    directory removes it. A file lock, which the operating system takes from a dead process, tells whether the process
    still runs. Its process ID would not, if it ran in another container. (On a file system with locks local to each
    machine, two machines that write the same directory at the same time take each other for dead.)

    Args:
        final: the directory to make.
        force: replace an existing index or empty directory. Nothing else is ever deleted.

    Raises:
        OutputError: at once, if ``final`` cannot be made: it exists (without ``force``), it is not an index (with
            ``force``), or its folder does not exist. Later, if writing fails.
    """

    def __init__(self, final: Path | str, force: bool = False) -> None:
        self.path = Path(final)
        self._force = force
        # Symbolic links are followed: a link stays, and its target is replaced.
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
        with self._output_errors(), unfinished.changing():
            unfinished.note(self._temporary)
            try:
                self._temporary.mkdir()
                self._lock = unfinished.lock_folder(self._temporary)
            except BaseException:
                self._remove()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for grown in self._growing:
            grown.close()
        with unfinished.changing():
            self._remove()
        os.close(self._lock)

    def _remove(self) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)
        unfinished.forget(self._temporary)

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Write an array.

        Raises:
            ValueError: an invalid name, or one that is taken.
            TypeError: an element type that is not one of `esa.index.npy.DTYPES`.
            OutputError: the file cannot be written.
        """
        array = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        dtype, file = dtype_name(array.dtype), self._file_of(name, ".npy")
        content = array.reshape(-1).view(np.uint8).data
        digest = self._write(file, npy_header(dtype, array.shape), content)
        size = array_bytes(dtype, array.shape)
        self._arrays.append(ArrayEntry(name, file, size, digest, dtype, array.shape))

    def add_file(self, name: str, content: bytes) -> None:
        """Write a file as it is, under its name in the index.

        Raises:
            ValueError: an invalid name, or one that is taken.
            OutputError: the file cannot be written.
        """
        file = self._file_of(name, "")
        digest = self._write(file, content)
        self._files.append(FileEntry(name, file, len(content), digest))

    def grow(self, name: str, dtype: DTypeLike, row: tuple[int, ...]) -> GrowingFile:
        """An array that is written row by row, of rows of shape ``row``.

        The index holds it once it is finished; its digest is computed by `commit`.

        Raises:
            ValueError, TypeError, OutputError: as `add`.
        """
        letter, file = dtype_name(np.dtype(dtype).newbyteorder("<")), self._file_of(name, ".npy")

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
        """Write the manifest and rename the directory into its place.

        Args:
            preset, parameters, contigs, statistics: as in `Manifest`.
            threads: files digested at a time.

        Returns:
            The manifest, as `esa.index.reader.open_directory` will return it.

        Raises:
            TypeError, ValueError: parameters or statistics that are not JSON.
            OutputError: the directory cannot be written or renamed.
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
            with unfinished.changing():
                self._check_final()
                self._put_in_place()
                # Last: without its lock, a directory that was left behind would never be removed.
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
        finally:  # even after an interrupt, the old or the new index has the final name
            if self._final.exists():
                _remove_index(old)
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


def _remove_leftovers(final: Path) -> None:
    """Remove the siblings that killed writers of a directory certainly left behind."""
    form = re.compile(rf"\.{re.escape(final.name)}\.(tmp|old)-[0-9a-f]{{{2 * _TOKEN_BYTES}}}")
    with contextlib.suppress(OSError):
        for path in list(final.parent.iterdir()):
            match = form.fullmatch(path.name)
            # Without a final directory, an old one may be the only index, or about to be renamed back.
            if match and (final.exists() if match[1] == "old" else unfinished.is_abandoned(path / LOCK_NAME)):
                _remove_index(path)
                unfinished.tell_removed(path)


def _sync(directory: Path) -> None:
    """Make the entries of a directory durable, so that renames survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _foreign_entries(directory: Path) -> list[str]:
    """Entries of a directory that its manifest does not name: reasons not to delete it."""
    names = sorted(os.listdir(directory))
    if MANIFEST_NAME not in names:
        return names
    try:
        text = (directory / MANIFEST_NAME).read_bytes().decode("latin-1")
    except OSError:
        return [MANIFEST_NAME]
    if not is_manifest(text):
        return [MANIFEST_NAME]
    # The text is searched, not parsed: --force must replace a damaged index, too.
    own = (MANIFEST_NAME, LOCK_NAME)
    return [
        name
        for name in names
        if not (_is_regular(directory / name) and (name in own or f'"file": "{name}"' in text))
    ]


def _is_regular(path: Path) -> bool:
    """Whether a file is regular itself: not a folder, nor a link to a file that is."""
    return stat.S_ISREG(path.lstat().st_mode)


def _remove_index(directory: Path) -> None:
    """Remove the regular files of an index directory, whole or unfinished, then the directory, if it is empty."""
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            if _is_regular(path):
                path.unlink()
        directory.rmdir()
