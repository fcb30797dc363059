"""The one integer hash, which scatters k-mers and breaks ties, and the random numbers of kernels."""

from __future__ import annotations

import numpy as np

from esa.kernels.decorator import inline_njit


@inline_njit
def mix64(value):  # type: ignore[no-untyped-def]
    """Finalizer of MurmurHash3 (Appleby, public domain): a bijection of 64-bit integers."""
    h = np.uint64(value)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    h ^= h >> np.uint64(33)
    return h


# splitmix64 (Steele, Lea & Flood 2014, OOPSLA): a state so small that each item has its own.
GAMMA = np.uint64(0x9E3779B97F4A7C15)


@inline_njit
def splitmix64(value):  # type: ignore[no-untyped-def]
    """Output function of splitmix64: a bijection of 64-bit integers."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@inline_njit
def uniform(state):  # type: ignore[no-untyped-def]
    """In [0, 1); ``state`` (``uint64[1]``) goes on."""
    state[0] += GAMMA
    return (splitmix64(state[0]) >> np.uint64(11)) * 2.0**-53


@inline_njit
def salt_reads(names, name_offsets, seed, salts):  # type: ignore[no-untyped-def]
    """``salts[i]`` (``uint64``): hash of read i's name and the seed."""
    for i in range(len(salts)):
        h = mix64(np.uint64(seed))
        for j in range(name_offsets[i], name_offsets[i + 1]):
            h = mix64(h ^ np.uint64(names[j]))
        salts[i] = h


@inline_njit
def tie_break(salt, diagonal):  # type: ignore[no-untyped-def]
    """Rank of a locus among equals: the same for a read and its reverse complement, another for another read."""
    return mix64(salt ^ np.uint64(diagonal))
