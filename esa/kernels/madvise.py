"""Advice to the operating system (madvise) about memory-mapped arrays."""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_SHARE = 0.5
"""Share of the machine's memory: a larger array may not stay in the page cache."""


def in_large_pages(array: NDArray[Any]) -> None:
    """Ask for pages of 2 MB (huge pages), for an array with random accesses all over.

    With pages of 4 KB, an index of gigabytes has a TLB miss at almost every access. The pages remain those of the page
    cache, shared by processes. They are large only on file systems with large folios (ext4 from Linux 6.16, XFS from
    5.18). There a file gets them when it is read under this advice, or was written in large pieces. Small pages that
    are in the page cache already stay small until they are evicted.

    On other file systems the advice still makes Linux read a file by megabytes instead of 128 KB. That costs little
    where the whole file stays in memory, and much where it does not. So an array that may not fit (`LARGEST_SHARE`) is
    left alone. Arrays that are not memory-mapped are left alone, too.
    """
    if array.nbytes <= LARGEST_SHARE * _memory():
        _advise(array, "MADV_HUGEPAGE")


def give_back(array: NDArray[Any]) -> None:
    """Release the memory of the whole mapping that an array lies in, for data that has been copied elsewhere.

    A later access reads the file again. The mapping must be shared: a private one would lose what was written to it.
    """
    _advise(array, "MADV_DONTNEED")


def _memory() -> int:
    """Physical memory of the machine, bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _advise(array: NDArray[Any], advice: str) -> None:
    mapping = _mapping_of(array)
    option = getattr(mmap, advice, None)
    if mapping is not None and option is not None:
        # A Linux kernel built without the feature refuses the advice; that does no harm.
        with contextlib.suppress(OSError):
            mapping.madvise(option)


def _mapping_of(array: NDArray[Any]) -> mmap.mmap | None:
    """The mapping that an array is a view of, if any."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    return base if isinstance(base, mmap.mmap) else None
