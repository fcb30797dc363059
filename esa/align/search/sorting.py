"""Sorting of many short runs of keys, and some long ones, where comparing two at a time would be guessed wrong again
and again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.kernels.bits import popcount
from esa.kernels.decorator import inline_njit, njit

FEW = 224
"""Up to so many keys it is faster to count for each how many are less: all pairs are compared, but many at a time."""
DIGITS = 3
"""By which more are sorted: the fewer, the larger their tables."""
SELECTED_BITS = 11
"""Of keys, by which the largest are told at a time."""


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


@inline_njit
def sort_keys(keys, count, low, room):  # type: ignore[no-untyped-def]
    """Sort the distinct keys ``keys[:count]``, which are not negative. Those that are alike from bit ``low`` up must be
    in order already."""
    if count <= FEW:
        _sort_by_rank(keys, count, room.keys)
    else:
        _sort_by_digits(keys, count, low, room.keys, room.counts)


@inline_njit
def _sort_by_rank(keys, count, unsorted):  # type: ignore[no-untyped-def]
    for i in range(count):
        unsorted[i] = keys[i]
    for i in range(count):
        key = unsorted[i]
        rank = 0
        for j in range(count):
            rank += unsorted[j] < key
        keys[rank] = key


@inline_njit
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


class RankRoom(NamedTuple):
    """Keys to be put in order, largest first, with a number each.

    keys, numbers: ``int64[most]``.
    ranked_keys, ranked_numbers: the same, room.
    counts: ``int32[2**SELECTED_BITS]``, room.
    """

    keys: NDArray[np.int64]
    numbers: NDArray[np.int64]
    ranked_keys: NDArray[np.int64]
    ranked_numbers: NDArray[np.int64]
    counts: NDArray[np.int32]


@njit
def make_rank_room(most):  # type: ignore[no-untyped-def]
    """`RankRoom` for up to ``most`` keys."""
    return RankRoom(
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(1 << SELECTED_BITS, np.int32),
    )


@inline_njit
def largest_first(room, count, wanted):  # type: ignore[no-untyped-def]
    """The ``wanted`` largest of the first ``count`` keys, none of them negative, into ``room.ranked_keys`` with their
    numbers, largest first; of equal ones those that came first.

    Returns the largest key left out, -1 if there is none. ``room.keys`` is as it was only if there is none.
    """
    left_out = np.int64(-1)
    if count > wanted:
        left_out = _select_largest(room, count, wanted)
        count = wanted
    keys = room.keys
    for i in range(count):
        key = keys[i]
        rank = 0
        for j in range(i):
            rank += keys[j] >= key
        for j in range(i + 1, count):
            rank += keys[j] > key
        room.ranked_keys[rank], room.ranked_numbers[rank] = key, room.numbers[i]
    return left_out


@inline_njit
def _select_largest(room, count, wanted):  # type: ignore[no-untyped-def]
    """Move the ``wanted`` largest keys, but not all, to the front, in the order they are in; returns the largest of the
    others."""
    keys, numbers, counts = room.keys, room.numbers, room.counts
    least, most = keys[0], keys[0]
    for i in range(count):
        least, most = min(least, keys[i]), max(most, keys[i])
    shift = np.int64(0)
    while (most - least) >> shift >= len(counts):
        shift += 1
    # The keys that may be the least ones wanted lie from ``low`` on, in steps of 1 << shift; so many of them are.
    low, left, width = least, wanted, SELECTED_BITS
    while True:
        counts[:] = 0
        for i in range(count):
            step = (keys[i] - low) >> shift
            if 0 <= step < 1 << width:
                counts[step] += 1
        step = (1 << width) - 1
        while counts[step] < left:
            left -= counts[step]
            step -= 1
        low += step << shift
        if counts[step] == left or shift == 0:
            break
        width = SELECTED_BITS if shift > SELECTED_BITS else int(shift)
        shift -= width
    kept, left_out = 0, np.int64(-1)
    for i in range(count):
        key = keys[i]
        within = low <= key < low + (np.int64(1) << shift)
        if key >= low and (not within or left > 0):
            left -= within
            keys[kept], numbers[kept] = key, numbers[i]
            kept += 1
        elif key > left_out:
            left_out = key
    return left_out
