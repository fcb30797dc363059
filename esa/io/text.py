"""Kernels that write text and integers into a byte array; for MD strings, SAM text and BAM fields alike.

Each kernel writes at index ``p`` of ``out`` (``uint8``) and returns the index behind what it wrote.
"""

from __future__ import annotations

import numpy as np

from esa.kernels.arrays import Int, U8Array
from esa.kernels.decorator import inline_njit

_MINUS, _ZERO = (ord(c) for c in "-0")


@inline_njit
def put_text(text: U8Array, start: Int, end: Int, out: U8Array, p: Int) -> Int:
    """Copy ``text[start:end]``."""
    target, source = np.uint64(p), np.uint64(start)
    for k in range(np.uint64(end - start)):
        out[target + k] = text[source + k]
    return p + end - start


@inline_njit
def put_integer(value: Int, out: U8Array, p: Int) -> Int:
    """Write an integer in decimal digits."""
    if value < 0:
        out[np.uint64(p)] = _MINUS
        p += 1
    rest = np.uint64(abs(np.int64(value)))
    digits = 1
    power = np.uint64(10)
    while rest >= power:
        digits += 1
        power *= np.uint64(10)
    for k in range(digits - 1, -1, -1):
        quotient = rest // np.uint64(10)
        out[np.uint64(p + k)] = np.uint64(_ZERO) + rest - np.uint64(10) * quotient
        rest = quotient
    return p + digits


@inline_njit
def put_little(value: Int, size: Int, out: U8Array, p: Int) -> Int:
    """Write an integer as ``size`` bytes, least significant first, negative ones in two's complement."""
    rest = np.uint64(np.int64(value))
    for k in range(np.uint64(size)):
        out[np.uint64(p) + k] = (rest >> (np.uint64(8) * k)) & np.uint64(255)
    return p + size
