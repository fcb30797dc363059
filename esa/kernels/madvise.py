"""What the kernel is told of arrays that lie in mapped memory, that of files most of all."""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_SHARE = 0.5
"""Of the machine's memory: what is larger, beside all else, may not stay there."""


def in_large_pages(array: NDArray[Any]) -> None:
    """Ask for pages of 2 MB: for what is read, or written, all over, and most of it sooner or later.

    Each access to another page asks first where that is, and of pages of 4 KB a processor keeps in mind too few for an
    index of gigabytes. The pages stay those of the file, which processes share. A file system that has large folios
    (ext4 from Linux 6.16 on, XFS from 5.18) has them as the file comes into memory under this advice, and where it was
    written by large pieces; what lies there in small pages already stays so until it leaves.

    Elsewhere the kernel still reads a file by megabytes where it would read 128 KB. That costs little where all of it
    stays in memory, and much where it does not: so what may not fit (`LARGEST_SHARE`) is left alone.
    """
    if array.nbytes <= LARGEST_SHARE * _memory():
        _advise(array, "MADV_HUGEPAGE")


def give_back(array: NDArray[Any]) -> None:
    """The pages of the file that an array lies in, all of it, are not needed for now: what was copied from them need
    not be in memory twice. The mapping must be a shared one: a private one would lose what was written to it."""
    _advise(array, "MADV_DONTNEED")


def _memory() -> int:
    """Bytes of the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _advise(array: NDArray[Any], advice: str) -> None:
    mapping = _mapping_of(array)
    option = getattr(mmap, advice, None)
    if mapping is not None and option is not None:
        # Advice: a kernel that was built without what it is about refuses it.
        with contextlib.suppress(OSError):
            mapping.madvise(option)


def _mapping_of(array: NDArray[Any]) -> mmap.mmap | None:
    """The mapping that an array lies in, if it lies in one."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    return base if isinstance(base, mmap.mmap) else None
