"""The one integer hash: scatters k-mers and breaks ties."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def mix64(value):  # type: ignore[no-untyped-def]
    """Finalizer of MurmurHash3 (Appleby, public domain): a bijection of 64-bit integers."""
    h = np.uint64(value)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    h ^= h >> np.uint64(33)
    return h


@njit(cache=True, nogil=True)
def salt_reads(names, name_offsets, seed, salts):  # type: ignore[no-untyped-def]
    """``salts[i]`` (``uint64``): hash of read i's name and the seed."""
    for i in range(len(salts)):
        h = mix64(np.uint64(seed))
        for j in range(name_offsets[i], name_offsets[i + 1]):
            h = mix64(h ^ np.uint64(names[j]))
        salts[i] = h


@njit(cache=True, nogil=True)
def tie_break(salt, diagonal):  # type: ignore[no-untyped-def]
    """Rank of a locus among equals: the same for a read and its reverse complement, another for another read."""
    return mix64(salt ^ np.uint64(diagonal))
