"""An index directory on disk: named arrays and files under a manifest, written beside and renamed into place.

The directory holds `manifest.json` (`esa.index.manifest`) and one file for each array (numpy's npy format, C order,
little-endian, memory-mapped on opening) or other file. The manifest gives the size and digest of every file
and a digest of itself, and is written last: a directory without it is not an index. `esa.index.writer`
writes, this module reads.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from esa.errors import IndexFormatError
from esa.index.manifest import (
    MANIFEST_NAME,
    ArrayEntry,
    Contig,
    FileEntry,
    Manifest,
    array_bytes,
    digest_of_file,
    npy_header,
    parse,
    refusal,
)
from esa.io.compressed import is_gzip
from esa.kernels.madvise import in_large_pages

if TYPE_CHECKING:  # `esa info` needs no genome, and need not wait for numba
    from esa.sequence.genome import Genome

AUTO_VERIFY_BYTES = 500_000_000
"""Opening reads this much, at most, to check digests (some 0.3 s of one core); see `_files_to_read`."""

Verify = Literal["auto", "full", "sizes"]


def read_manifest(path: Path | str) -> Manifest:
    """The manifest of an index directory, itself checked; the other files are not looked at.

    Raises:
        IndexFormatError: `path` is missing or no index directory, or its manifest was altered.
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
    """Open an index directory: its manifest, and its arrays memory-mapped, plain and read-only.

    Args:
        path: the directory.
        verify: "sizes" checks the manifest and the size and header of every file, "full" also every digest,
            "auto" the digests of as many files as make up `AUTO_VERIFY_BYTES`, smallest first.
        threads: how many files are read at a time.

    Raises:
        IndexFormatError: anything that is not as it was written; the message names it and the remedy.
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


def read_file(path: Path | str, manifest: Manifest, name: str) -> bytes:
    """Content of a file that `DirectoryWriter.add_file` wrote, its digest checked.

    Raises:
        IndexFormatError: the index holds no such file, or not as it was written.
    """
    directory = Path(path)
    for entry in manifest.files:
        if entry.name == name:
            _check_size(directory, entry)
            if not _is_intact(directory, entry):
                raise refusal(directory, f"{entry.file}: altered (the digest does not match)")
            return (directory / entry.file).read_bytes()
    raise refusal(directory, f"holds no file {name!r}")


def require_array(
    arrays: Mapping[str, NDArray[Any]], name: str, dtype: DTypeLike, ndim: int, path: Path | str = "index"
) -> NDArray[Any]:
    """The array of that name.

    Raises:
        IndexFormatError: there is none, or it is of another dtype or number of dimensions.
    """
    array = arrays.get(name)
    if array is None:
        raise refusal(path, f"holds no array '{name}'")
    if array.dtype != np.dtype(dtype) or array.ndim != ndim:
        raise refusal(path, f"array '{name}' is {array.dtype} in {array.ndim} dimensions")
    return array


def contigs_of(genome: Genome) -> tuple[Contig, ...]:
    """The genome's contigs, for the manifest."""
    return tuple(map(Contig, genome.names, genome.lengths.tolist(), genome.m5))


def genome_arrays(genome: Genome) -> dict[str, NDArray[Any]]:
    """The arrays that hold a genome in an index; names, lengths and M5 are in the manifest (`contigs_of`)."""
    return {
        "genome_packed": genome.packed,
        "genome_n_starts": genome.n_starts,
        "genome_n_ends": genome.n_ends,
    }


def genome_from(manifest: Manifest, arrays: Mapping[str, NDArray[Any]], path: Path | str = "index") -> Genome:
    """The genome of an open index (`genome_arrays`, `contigs_of`), on the mapped arrays, the bases in large pages.

    Raises:
        IndexFormatError: the arrays are missing or do not fit the contigs.
    """
    from esa.sequence.genome import Genome

    packed = require_array(arrays, "genome_packed", np.uint8, 1, path)
    starts = require_array(arrays, "genome_n_starts", np.int64, 1, path)
    ends = require_array(arrays, "genome_n_ends", np.int64, 1, path)
    if len(packed) != -(-manifest.bases // 4):
        raise refusal(path, f"'genome_packed' holds {len(packed)} bytes for {manifest.bases} bases")
    bounds = np.empty(2 * len(starts), np.int64)
    if len(starts) == len(ends):
        bounds[0::2], bounds[1::2] = starts, ends
    if len(starts) != len(ends) or (
        len(bounds) and (bounds[0] < 0 or bounds[-1] > manifest.bases or (bounds[1:] < bounds[:-1]).any())
    ):
        raise refusal(path, "'genome_n_starts' and 'genome_n_ends' are no sorted runs inside the genome")
    in_large_pages(packed)
    return Genome(
        names=tuple(contig.name for contig in manifest.contigs),
        lengths=np.array([contig.length for contig in manifest.contigs], np.int64),
        m5=tuple(contig.m5 for contig in manifest.contigs),
        packed=packed,
        n_starts=starts,
        n_ends=ends,
    )


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

    This is the place where a file too large for "auto" is passed over, and where block digests, checked when
    a block is first touched, would be set up for it. (What is read here comes into memory in small pages, if it was not
    there: of chr20's index, 109 MB, a run with those was as fast as one with large ones.)
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
