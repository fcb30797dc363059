"""What the C library does with freed memory: a run of `esa align` keeps it."""

from __future__ import annotations

import contextlib
import ctypes

# Parameters of glibc's mallopt (malloc.h).
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3

_OWN_PAGES_FROM = 32 << 20
_MOST_KEPT_FREE = 256 << 20
_HEAP = 64 << 20
"""glibc's largest heap of a thread (HEAP_MAX_SIZE), of which a thread has several: an empty one goes back to the system
unless this is asked for ahead."""


def keep_freed_memory() -> None:
    """Have what is freed used again instead of given back to the system. Does nothing without glibc.

    Every batch makes and frees the same dozens of arrays of 0.1 to 10 MB. glibc maps such ones page by page, and the
    system clears each page that is touched, with the address space of all threads locked: on two cores 6 % of the
    time of all threads, and some 200,000 page faults more a million reads. Resident memory peaks at
    447 MB instead of 442 (1.2 million reads of human chr20, two threads).
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES_FROM)
        mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT_FREE)
        mallopt(_M_TOP_PAD, _HEAP)
