"""Sorting of many short runs of keys, and some long ones, where comparing two at a time would be guessed wrong again
and again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.bits import popcount
from esa.compiled import leaf, njit

FEW = 224
"""Up to so many keys it is faster to count for each how many are less: all pairs are compared, but many at a time."""
DIGITS = 3
"""By which more are sorted: the fewer, the larger their tables."""


class SortRoom(NamedTuple):
    """Room to sort in.

    keys: ``int64[most]``.
    counts: ``int32[DIGITS, 2**width]``, of each value of a digit; width 0 where there are never many keys.
    """

    keys: NDArray[np.int64]
    counts: NDArray[np.int32]


@njit
def make_sort_room(most, bits):  # type: ignore[no-untyped-def]
    """`SortRoom` for runs of up to ``most`` keys that differ in ``bits`` bits."""
    width = (bits + DIGITS - 1) // DIGITS if most > FEW else 0
    return SortRoom(np.empty(most, np.int64), np.empty((DIGITS, 1 << width), np.int32))


@leaf
def sort_keys(keys, count, low, room):  # type: ignore[no-untyped-def]
    """Sort the distinct keys ``keys[:count]``, which are not negative. Those that are alike from bit ``low`` up must be
    in order already."""
    if count <= FEW:
        _sort_by_rank(keys, count, room.keys)
    else:
        _sort_by_digits(keys, count, low, room.keys, room.counts)


@leaf
def _sort_by_rank(keys, count, unsorted):  # type: ignore[no-untyped-def]
    for i in range(count):
        unsorted[i] = keys[i]
    for i in range(count):
        key = unsorted[i]
        rank = 0
        for j in range(count):
            rank += unsorted[j] < key
        keys[rank] = key


@leaf
def _sort_by_digits(keys, count, low, room, counts):  # type: ignore[no-untyped-def]
    """By least significant digit."""
    mask = np.int64(counts.shape[1] - 1)
    width = popcount(np.uint64(mask))
    counts[:] = 0
    for i in range(count):
        rest = keys[i] >> low
        for digit in range(DIGITS):
            counts[digit, (rest >> (digit * width)) & mask] += 1
    source, target = keys, room
    for digit in range(DIGITS):
        before = 0
        for value in range(counts.shape[1]):
            here = counts[digit, value]
            counts[digit, value] = before
            before += here
        shift = low + digit * width
        for i in range(count):
            value = (source[i] >> shift) & mask
            target[counts[digit, value]] = source[i]
            counts[digit, value] += 1
        source, target = target, source
    if DIGITS % 2:
        for i in range(count):
            keys[i] = room[i]
