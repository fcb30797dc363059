"""Integer hashes: for k-mers, for ties, and for random numbers in kernels."""

from __future__ import annotations

import numpy as np

from esa.kernels.arrays import Float, I64Array, Int, U8Array, U64Array, Word
from esa.kernels.decorator import inline_njit


@inline_njit
def mix64(value: Int) -> Word:
    """Hash of a 64-bit integer as a ``uint64``: the finalizer of MurmurHash3 (Appleby, public domain), a bijection."""
    h = np.uint64(value)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    h ^= h >> np.uint64(33)
    return h


GAMMA = np.uint64(0x9E3779B97F4A7C15)
"""Step of splitmix64 (Steele, Lea & Flood 2014, OOPSLA), whose state is so small that each item can have its own."""


@inline_njit
def splitmix64(value: Word) -> Word:
    """Output function of splitmix64: a bijection of ``uint64``."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@inline_njit
def uniform(state: U64Array) -> Float:
    """A uniform random number in [0, 1); advances ``state`` (``uint64[1]``)."""
    state[0] += GAMMA
    return (splitmix64(state[0]) >> np.uint64(11)) * 2.0**-53


@inline_njit
def salt_reads(names: U8Array, name_offsets: I64Array, seed: Int, salts: U64Array) -> None:
    """Write to ``salts[i]`` the hash of read i's name, ``names[name_offsets[i]:name_offsets[i + 1]]``, and the seed."""
    for i in range(len(salts)):
        h = mix64(np.uint64(seed))
        for j in range(name_offsets[i], name_offsets[i + 1]):
            h = mix64(h ^ np.uint64(names[j]))
        salts[i] = h


@inline_njit
def tie_break(salt: Word, diagonal: Int) -> Word:
    """Rank of a locus among those with equal scores, given the read's salt (`salt_reads`).

    It is the same for a read and its reverse complement, and differs between reads.
    """
    return mix64(salt ^ np.uint64(diagonal))
