"""The name that both reads of a pair share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.io._read_kernels import NAME, NAME_END
from esa.kernels.arrays import Bool, I64Array, Int, U8Array
from esa.kernels.decorator import inline_njit, njit

_SLASH, _DOT, _UNDERSCORE, _COLON, _ZERO, _ONE, _TWO, _NINE, _FORWARD, _REVERSE = b"/._:0129FR"
_SUFFIX = 2
"""Bytes of a separator and a mate's number."""


class Ends(NamedTuple):
    """Records of one end of pairs: rows ``first, first + step, ...`` of a table of positions in ``buffer``."""

    buffer: U8Array
    table: I64Array
    first: int
    step: int


@njit
def settle_mate_names(ends: Ends, mates: Ends, pairs: Int) -> Int:
    """Give both records of a pair the name that they share; returns the first pair whose names differ, or -1.

    Names that differ in their last character alone lose it, with the separator before it, if these are digits (or F and
    R) behind one of ``/._:``.
    """
    for pair in range(pairs):
        row, mate = ends.first + pair * ends.step, mates.first + pair * mates.step
        begin, end = ends.table[row, NAME], ends.table[row, NAME_END]
        mate_begin, mate_end = mates.table[mate, NAME], mates.table[mate, NAME_END]
        if _equal(ends.buffer[begin:end], mates.buffer[mate_begin:mate_end]):
            continue
        end, mate_end = _raw_end(ends.buffer, end), _raw_end(mates.buffer, mate_end)
        name, mate_name = ends.buffer[begin:end], mates.buffer[mate_begin:mate_end]
        stems = name[: len(name) - 1], mate_name[: len(mate_name) - 1]
        if not (_has_number(name) and _has_number(mate_name) and _equal(stems[0], stems[1])):
            return pair
        ends.table[row, NAME_END], mates.table[mate, NAME_END] = end - _SUFFIX, mate_end - _SUFFIX
    return -1


@inline_njit
def _equal(a: U8Array, b: U8Array) -> Bool:
    if len(a) != len(b):
        return False
    different = np.uint8(0)
    for k in range(len(a)):
        different |= a[k] ^ b[k]
    return different == 0


@inline_njit
def _raw_end(buffer: U8Array, end: Int) -> Int:
    """Where a name ends with the /1 or /2 that the scan took off."""
    if (
        end + 1 < len(buffer)
        and buffer[end] == _SLASH
        and (buffer[end + 1] == _ONE or buffer[end + 1] == _TWO)
    ):
        return end + _SUFFIX
    return end


@inline_njit
def _has_number(name: U8Array) -> Bool:
    """Whether a name ends in a separator and the number of a mate, behind something else."""
    n = len(name)
    if n <= _SUFFIX:
        return False
    number, separator = name[n - 1], name[n - 2]
    if separator == _SLASH and number in (_FORWARD, _REVERSE):
        return True
    return _ZERO <= number <= _NINE and separator in (_SLASH, _DOT, _UNDERSCORE, _COLON)
