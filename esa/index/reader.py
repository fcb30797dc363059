"""Reads an index directory: manifest and memory-mapped arrays, their sizes and digests checked.

The directory holds ``manifest.json`` (`esa.index.manifest`) and one file for each array (numpy's npy format, C order,
little-endian) or other file. The manifest gives the size and digest of every file and a digest of itself. It is
written last: a directory without it is not an index. `esa.index.writer` writes what this module reads.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from esa.errors import IndexFormatError
from esa.index.manifest import (
    MANIFEST_NAME,
    ArrayEntry,
    FileEntry,
    Manifest,
    digest_of_file,
    parse,
    refusal,
)
from esa.index.npy import array_bytes, npy_header
from esa.io.compressed import is_gzip

AUTO_VERIFY_BYTES = 500_000_000
"""Most bytes that opening reads to check digests (some 0.3 s of one core); see `_files_to_read`."""

Verify = Literal["auto", "full", "sizes"]


def read_manifest(path: Path | str) -> Manifest:
    """The manifest of an index directory, its own digest checked; no other file is read.

    Raises:
        IndexFormatError: ``path`` is missing or no index directory, or its manifest was altered.
    """
    directory = Path(path)
    try:
        if not directory.is_dir():
            raise _no_directory(directory)
        if not (directory / MANIFEST_NAME).is_file():
            raise IndexFormatError(
                f"{directory}: is no esa index (it holds no {MANIFEST_NAME}): make one with 'esa index'"
            )
        text = (directory / MANIFEST_NAME).read_bytes()
    except OSError as error:
        raise IndexFormatError(
            f"{directory}: cannot be read ({error.strerror}): check the path and its permissions"
        ) from error
    return parse(text, directory / MANIFEST_NAME)


def open_directory(
    path: Path | str, *, verify: Verify = "auto", threads: int = 1
) -> tuple[Manifest, dict[str, NDArray[Any]]]:
    """Open an index directory.

    Args:
        path: the directory.
        verify: "sizes" checks the manifest and the size and header of every file. "full" checks every digest, too.
            "auto" checks the digests of files up to `AUTO_VERIFY_BYTES` in all, smallest first.
        threads: files read at a time.

    Returns:
        The manifest, and the arrays by name, memory-mapped and read-only.

    Raises:
        IndexFormatError: a file is missing, truncated or altered; the message names it and the remedy.
    """
    directory = Path(path)
    manifest = read_manifest(directory)
    for entry in manifest.entries:
        _check_size(directory, entry)
    to_read = _files_to_read(manifest, verify)
    with ThreadPoolExecutor(threads) as pool:
        intact = list(pool.map(lambda entry: _is_intact(directory, entry), to_read))
    altered = [entry.file for entry, good in zip(to_read, intact, strict=True) if not good]
    if altered:
        raise refusal(directory, f"{', '.join(altered)}: altered (the digest does not match)")
    return manifest, {entry.name: _map(directory, entry) for entry in manifest.arrays}


def require_whole(path: str, arrays: Iterable[NDArray[Any]]) -> None:
    """Check that no file behind the memory-mapped ``arrays`` of an index has become shorter.

    To read what is gone ends the process (SIGBUS). So this is asked before each batch; a file that is cut while a batch
    is aligned is not noticed in time. A file that is replaced by another one does no harm.

    Raises:
        IndexFormatError: a file has.
    """
    for array in arrays:
        mapped = _mapping_of(array)
        if mapped is not None and mapped.size() < len(mapped):
            raise refusal(
                path,
                f"a file became shorter while it was in use ({mapped.size()} bytes instead of {len(mapped)})",
            )


def _mapping_of(array: NDArray[Any]) -> mmap.mmap | None:
    """The mapping that holds an array; None if it lies in memory."""
    base: object = array
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, mmap.mmap) else None


def read_file(path: Path | str, manifest: Manifest, name: str) -> bytes:
    """Content of a file that `DirectoryWriter.add_file` wrote, its digest checked.

    Raises:
        IndexFormatError: the index holds no such file, or it was truncated or altered.
    """
    directory = Path(path)
    for entry in manifest.files:
        if entry.name == name:
            _check_size(directory, entry)
            if not _is_intact(directory, entry):
                raise refusal(directory, f"{entry.file}: altered (the digest does not match)")
            return (directory / entry.file).read_bytes()
    raise refusal(directory, f"holds no file {name!r}")


def _no_directory(path: Path) -> IndexFormatError:
    if not path.exists():
        return IndexFormatError(f"{path}: no such directory: give the directory that 'esa index' made")
    if _looks_like_fasta(path):
        return IndexFormatError(f"{path}: is a FASTA, not an index: run 'esa index {path}' first")
    return IndexFormatError(f"{path}: is a file, not an index: give the directory that 'esa index' made")


def _looks_like_fasta(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        head = file.read(mmap.PAGESIZE)
    if is_gzip(head):
        with contextlib.suppress(zlib.error):  # damaged
            head = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(head, mmap.PAGESIZE)
    return head.lstrip().startswith(b">")


def _files_to_read(manifest: Manifest, verify: Verify) -> list[FileEntry]:
    """The files whose digests are checked on opening.

    "auto" passes over a file that is too large. Block digests for such a file, checked when a block is first touched,
    would be set up here. (Files read here enter the page cache in small pages. With the index of chr20, 109 MB, a run
    on small pages was as fast as one on huge pages.)
    """
    if verify == "sizes":
        return []
    if verify == "full":
        return list(manifest.entries)
    by_size = sorted(manifest.entries, key=lambda entry: entry.bytes)
    read_so_far = np.cumsum([entry.bytes for entry in by_size])
    return by_size[: int(np.searchsorted(read_so_far, AUTO_VERIFY_BYTES, side="right"))]


def _check_size(directory: Path, entry: FileEntry) -> None:
    try:
        status = os.stat(directory / entry.file)
    except OSError as error:
        raise refusal(directory, f"{entry.file}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise refusal(directory, f"{entry.file}: is no file")
    if status.st_size != entry.bytes:
        raise refusal(directory, f"{entry.file}: {status.st_size} bytes instead of {entry.bytes}")
    if isinstance(entry, ArrayEntry) and entry.bytes != array_bytes(entry.dtype, entry.shape):
        raise refusal(directory, f"{entry.file}: its size does not fit {entry.dtype} of shape {entry.shape}")


def _is_intact(directory: Path, entry: FileEntry) -> bool:
    try:
        return digest_of_file(directory / entry.file) == entry.digest
    except OSError as error:
        raise refusal(directory, f"{entry.file}: cannot be read ({error.strerror})") from error


def _map(directory: Path, entry: ArrayEntry) -> NDArray[Any]:
    header = npy_header(entry.dtype, entry.shape)
    try:
        with open(directory / entry.file, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if content[: len(header)] == header:
            return np.frombuffer(content, entry.dtype, offset=len(header)).reshape(entry.shape)
    except (OSError, ValueError) as error:
        raise refusal(directory, f"{entry.file}: cannot be mapped ({error})") from error
    raise refusal(directory, f"{entry.file}: its header does not say {entry.dtype} of shape {entry.shape}")
