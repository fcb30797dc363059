"""Bit operations on 64-bit words."""

from __future__ import annotations

import numpy as np

from esa.kernels.arrays import Int, Word
from esa.kernels.decorator import inline_njit, njit


@njit(inline="always")
def popcount(x: Word) -> Int:
    """Number of set bits of a ``uint64``. LLVM turns this into one instruction where the processor has it."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@inline_njit
def lowest_bit(x: Word) -> Int:
    """Index (0 to 63) of the lowest set bit of a ``uint64`` that is not 0."""
    return popcount((x & (~x + np.uint64(1))) - np.uint64(1))
