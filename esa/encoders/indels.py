"""Keys that a fragment would have without an insertion or deletion of one base.

An indel shifts all bases on one of its sides. The anchor in the middle stays where it is, so what lies between the
indel and the fragment's nearer end is taken from one base farther in or out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.encoders.keys import GROUP, KEY_LANES, add_key, key_of
from esa.kernels.decorator import inline_njit, njit

OUT, AT, IN = range(3)
"""Windows of a fragment's length: one base before it, its own, one base after it (of the oriented fragment)."""


class Windows(NamedTuple):
    """The three windows of one fragment, and the sums of their groups.

    bases: ``uint8[length + 2]``, oriented, with the base before and the one after; what is outside the read is an A.
    rows: ``int64[3, groups]``.
    prefix, suffix: ``int16[3, groups + 1, KEY_LANES]``: sums of the first g groups, and of those from g on.
    total: ``int16[KEY_LANES]``, room.
    """

    bases: NDArray[np.uint8]
    rows: NDArray[np.int64]
    prefix: NDArray[np.int16]
    suffix: NDArray[np.int16]
    total: NDArray[np.int16]


@njit
def make_windows(groups, length):  # type: ignore[no-untyped-def]
    """Room for `Windows`."""
    return Windows(
        np.empty(length + 2, np.uint8),
        np.empty((3, groups), np.int64),
        np.zeros((3, groups + 1, KEY_LANES), np.int16),
        np.zeros((3, groups + 1, KEY_LANES), np.int16),
        np.empty(KEY_LANES, np.int16),
    )


@njit
def load_windows(table, step, codes, start, reverse, bounds, windows):  # type: ignore[no-untyped-def]
    """Fill the windows of a fragment of the read ``codes[bounds[0]:bounds[1]]``.

    Returns whether the read has a base before the oriented fragment, and one after it.
    """
    groups = len(table)
    length = len(windows.bases) - 2
    for i in range(length + 2):
        at = start + length - i if reverse else start - 1 + i
        base = codes[at] if bounds[0] <= at < bounds[1] else np.uint8(0)
        windows.bases[i] = (3 - base if reverse else base) if base < 4 else 0
    for shift in range(3):
        for g in range(groups):
            row = np.int64(0)
            for k in range(GROUP):
                row |= np.int64(windows.bases[shift + g * step + k]) << (2 * k)
            windows.rows[shift, g] = row
            for b in range(KEY_LANES):
                windows.prefix[shift, g + 1, b] = windows.prefix[shift, g, b] + table[g, row, b]
        for g in range(groups - 1, -1, -1):
            row = windows.rows[shift, g]
            for b in range(KEY_LANES):
                windows.suffix[shift, g, b] = windows.suffix[shift, g + 1, b] + table[g, row, b]
    left, right = start > bounds[0], start + length < bounds[1]
    return (right, left) if reverse else (left, right)


@inline_njit
def _add_spliced(table, step, windows, left, right, j, inserted, mask, fragment, found):  # type: ignore[no-untyped-def]
    """Add the key of bases ``[:j]`` of one window, ``inserted`` at j (-1: nothing) and the rest of another one."""
    groups = len(table)
    after = j + (inserted >= 0)
    # Groups that lie whole in the left part: [:lo]; in the right part: [hi:].
    lo = max(0, (j - GROUP) // step + 1) if j >= GROUP else 0
    hi = min(groups, (after + step - 1) // step)
    total = windows.total
    for b in range(KEY_LANES):
        total[b] = -windows.prefix[left, lo, b]
    for g in range(lo, hi):
        mine = max(0, min(GROUP, j - g * step))
        theirs = max(0, min(GROUP, after - g * step))
        row = windows.rows[left, g] & ((1 << (2 * mine)) - 1)
        row |= windows.rows[right, g] & ~((1 << (2 * theirs)) - 1)
        if theirs > mine:
            row |= inserted << (2 * mine)
        for b in range(KEY_LANES):
            total[b] -= table[g, row, b]
    nothing = windows.prefix[AT, 0]
    add_key(key_of(total, windows.suffix[right, hi], nothing) & mask, fragment, found)


@inline_njit
def add_indels(table, step, windows, around, anchor, mask, fragment, found):  # type: ignore[no-untyped-def]
    """Add the keys of a fragment without one inserted base or with one that was deleted, outside its anchor.

    ``windows``, ``around``: what `load_windows` filled and returned.
    """
    length = len(windows.bases) - 2
    before, beyond = around
    for j in range(1, anchor[0] + 1):
        if before:
            _add_spliced(table, step, windows, OUT, AT, j, -1, mask, fragment, found)
        for base in range(4):
            _add_spliced(table, step, windows, IN, AT, j - 1, base, mask, fragment, found)
    for j in range(anchor[1], length):
        if beyond:
            _add_spliced(table, step, windows, AT, IN, j, -1, mask, fragment, found)
        for base in range(4):
            _add_spliced(table, step, windows, AT, OUT, j, base, mask, fragment, found)
