"""Sorting without branches, for many short runs of keys and some long ones.

A sort that branches on each comparison has a branch misprediction at about every second one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.kernels.arrays import I32Array, I64Array, Int
from esa.kernels.bits import popcount
from esa.kernels.decorator import inline_njit, njit

FEW = 224
"""Up to this number of keys, counting for each how many are smaller is faster. It compares all pairs, but many at a
time."""
DIGITS = 3
"""Digits of the radix sort of more keys; with fewer, their tables are larger."""
SELECTED_BITS = 11
"""Bits of the keys that one round of the selection of the largest looks at."""


class SortScratch(NamedTuple):
    """Scratch space of `sort_keys`.

    keys: ``int64[most]``.
    counts: ``int32[DIGITS, 2**width]``, occurrences of each value of a digit; width 0 if there are never more than
        `FEW` keys.
    """

    keys: I64Array
    counts: I32Array


@njit
def make_sort_scratch(most: Int, bits: Int) -> SortScratch:
    """`SortScratch` for runs of up to ``most`` keys that differ in ``bits`` bits."""
    width = (bits + DIGITS - 1) // DIGITS if most > FEW else 0
    return SortScratch(np.empty(most, np.int64), np.empty((DIGITS, 1 << width), np.int32))


@inline_njit
def sort_keys(keys: I64Array, count: Int, low: Int, scratch: SortScratch) -> None:
    """Sort ``keys[:count]`` (``int64``, distinct, not negative) in place.

    Keys that are equal from bit ``low`` up must be in order already.
    """
    if count <= FEW:
        _sort_by_rank(keys, count, scratch.keys)
    else:
        _sort_by_digits(keys, count, low, scratch.keys, scratch.counts)


@inline_njit
def _sort_by_rank(keys: I64Array, count: Int, unsorted: I64Array) -> None:
    for i in range(count):
        unsorted[i] = keys[i]
    for i in range(count):
        key = unsorted[i]
        rank = 0
        for j in range(count):
            rank += unsorted[j] < key
        keys[rank] = key


@inline_njit
def _sort_by_digits(keys: I64Array, count: Int, low: Int, scratch: I64Array, counts: I32Array) -> None:
    """Radix sort, least significant digit first."""
    mask = np.int64(counts.shape[1] - 1)
    width = popcount(np.uint64(mask))
    counts[:] = 0
    for i in range(count):
        rest = keys[i] >> low
        for digit in range(DIGITS):
            counts[digit, (rest >> (digit * width)) & mask] += 1
    source, target = keys, scratch
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
            keys[i] = scratch[i]


class RankScratch(NamedTuple):
    """Keys to be ranked, largest first, each with a number.

    keys, numbers: ``int64[most]``, the input.
    ranked_keys, ranked_numbers: ``int64[most]``, the output.
    counts: ``int32[2**SELECTED_BITS]``, scratch space.
    """

    keys: I64Array
    numbers: I64Array
    ranked_keys: I64Array
    ranked_numbers: I64Array
    counts: I32Array


@njit
def make_rank_scratch(most: Int) -> RankScratch:
    """`RankScratch` for up to ``most`` keys."""
    return RankScratch(
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
        np.empty(1 << SELECTED_BITS, np.int32),
    )


@inline_njit
def largest_first(scratch: RankScratch, count: Int, wanted: Int) -> Int:
    """Rank the ``wanted`` largest of the first ``count`` keys (not negative), largest first; ties in order of input.

    Returns the largest key left out, -1 if there is none. If there is one, ``scratch.keys`` has changed.
    """
    left_out = np.int64(-1)
    if count > wanted:
        left_out = _select_largest(scratch, count, wanted)
        count = wanted
    keys = scratch.keys
    for i in range(count):
        key = keys[i]
        rank = 0
        for j in range(i):
            rank += keys[j] >= key
        for j in range(i + 1, count):
            rank += keys[j] > key
        scratch.ranked_keys[rank], scratch.ranked_numbers[rank] = key, scratch.numbers[i]
    return left_out


@inline_njit
def _select_largest(scratch: RankScratch, count: Int, wanted: Int) -> Int:
    """Move the ``wanted`` largest keys to the front, in the order of input; returns the largest of the others.

    ``wanted`` is less than ``count``. A histogram of `SELECTED_BITS` bits at a time finds the smallest key wanted.
    """
    keys, numbers, counts = scratch.keys, scratch.numbers, scratch.counts
    lowest, most = keys[0], keys[0]
    for i in range(count):
        lowest, most = min(lowest, keys[i]), max(most, keys[i])
    shift = np.int64(0)
    while (most - lowest) >> shift >= len(counts):
        shift += 1
    # The smallest keys wanted lie from ``low`` on, in bins of 1 << shift; ``left`` of the keys there are wanted.
    low, left, width = lowest, wanted, SELECTED_BITS
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
