"""Keys that a fragment would have without an insertion or deletion of one base.

An indel shifts all bases on one of its sides. The minimizer in the middle stays where it is. So the bases between the
indel and the fragment's nearer end are taken from one base farther in or out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.encoders.keys import GROUP, KEY_LANES, KeySet, KeyTable, Span, add_key, key_of
from esa.kernels.arrays import Bool, I16Array, I64Array, Int, U8Array
from esa.kernels.decorator import inline_njit, njit

OUT, AT, IN = range(3)
"""Windows of the fragment's length that begin one base before it, with it, and one base after it (oriented)."""


class Windows(NamedTuple):
    """The three windows of one fragment (`OUT`, `AT`, `IN`), and sums of their groups.

    Attributes:
        bases: ``uint8[length + 2]``, the oriented fragment with the bases beside it; a base outside the read is an A.
        rows: ``int64[3, groups]``, table rows.
        prefix: ``int16[3, groups + 1, KEY_LANES]``, sums of the first g groups.
        suffix: the same of the groups from g on.
        total: ``int16[KEY_LANES]``, scratch space.
    """

    bases: U8Array
    rows: I64Array
    prefix: I16Array
    suffix: I16Array
    total: I16Array


class Around(NamedTuple):
    """Whether the read has a base before the oriented fragment, and one after it."""

    before: Bool
    after: Bool


class Splice(NamedTuple):
    """A fragment without an indel, put together from two windows.

    Attributes:
        left: window of the bases ``[:at]``.
        right: window of the bases behind them.
        at: bases from the left window.
        inserted: base code between the two; -1: none.
    """

    left: Int
    right: Int
    at: Int
    inserted: Int


@njit
def make_windows(groups: Int, length: Int) -> Windows:
    """Uninitialized `Windows` for fragments of ``length`` bases in ``groups`` groups."""
    return Windows(
        np.empty(length + 2, np.uint8),
        np.empty((3, groups), np.int64),
        np.zeros((3, groups + 1, KEY_LANES), np.int16),
        np.zeros((3, groups + 1, KEY_LANES), np.int16),
        np.empty(KEY_LANES, np.int16),
    )


@njit
def load_windows(
    tables: KeyTable, codes: U8Array, start: Int, reverse: Int, read: Span, windows: Windows
) -> Around:
    """Fill the windows of one fragment.

    Args:
        tables: of the encoder.
        codes: ``uint8``, base codes of the reads.
        start: first base of the fragment in ``codes``.
        reverse: 1 if the fragment is the reverse complement of its window.
        read: the bases of its read in ``codes``.
        windows: filled in place.
    """
    table, step = tables
    groups = len(table)
    length = len(windows.bases) - 2
    for i in range(length + 2):
        at = start + length - i if reverse else start - 1 + i
        base = codes[at] if read.begin <= at < read.end else np.uint8(0)
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
    left, right = start > read.begin, start + length < read.end
    return Around(right, left) if reverse else Around(left, right)


@inline_njit
def _add_spliced(tables: KeyTable, windows: Windows, splice: Splice, fragment: Int, found: KeySet) -> None:
    """Add the key of a splice of two windows."""
    table, step = tables
    left, right, j, inserted = splice.left, splice.right, splice.at, splice.inserted
    groups = len(table)
    after = j + (inserted >= 0)
    # Groups within the left window's bases: [:lo]; within the right window's: [hi:].
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
    add_key(key_of(total, windows.suffix[right, hi], nothing), fragment, found)


@inline_njit
def add_indels(
    tables: KeyTable, windows: Windows, around: Around, minimizer: Span, fragment: Int, found: KeySet
) -> None:
    """Add the keys of a fragment without one inserted base, or with one deleted base, outside its minimizer.

    Args:
        tables: of the encoder.
        windows: filled by `load_windows`.
        around: returned by it.
        minimizer: its bases within the oriented fragment.
        fragment: number of the fragment.
        found: its keys, added to.
    """
    length = len(windows.bases) - 2
    for j in range(1, minimizer.begin + 1):
        if around.before:
            _add_spliced(tables, windows, Splice(OUT, AT, j, -1), fragment, found)
        for base in range(4):
            _add_spliced(tables, windows, Splice(IN, AT, j - 1, base), fragment, found)
    for j in range(minimizer.end, length):
        if around.after:
            _add_spliced(tables, windows, Splice(AT, IN, j, -1), fragment, found)
        for base in range(4):
            _add_spliced(tables, windows, Splice(AT, OUT, j, base), fragment, found)
