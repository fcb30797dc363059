"""Banded affine-gap alignment with free read ends at a price (Gotoh 1982, J Mol Biol 162:705).

The path maximises score + `END_BONUS` for each end of the read that it reaches. Gaps open from a match or a
mismatch only, so that no insertion touches a deletion. Cell (i, b) pairs query base i with window base i + b.
Column b is a diagonal: an insertion comes from column b + 1 of the row above, a deletion from column b - 1 of the row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from esa.align.extend.ungapped import pair_score
from esa.align.scoring import AMBIGUOUS, END_BONUS, GAP_EXTEND, GAP_OPEN, MATCH, MISMATCH
from esa.kernels.arrays import I32Array, Int, U8Array
from esa.kernels.decorator import inline_njit, njit

OUTSIDE = np.uint8(5)
"""Code of a window position beyond the contig; nothing aligns there."""

IMPOSSIBLE = np.int32(-(1 << 24))

PAIR, INSERTION, DELETION = range(3)
"""Operations of a path, one a column of the alignment."""

FROM_PAIR, FROM_INSERTION, FROM_DELETION, INSERTION_OPENS, DELETION_OPENS = (1 << k for k in range(5))
"""Directions of a cell, as bits.

The first three say what the best total before the cell's pair ends with; several may hold. The others say whether the
insertion into the cell, and the deletion out of it, begin with this cell.
"""


class Band(NamedTuple):
    """Totals of the cells of a band, as `align_banded` fills them; all ``int32[bases + 1, >= columns + 1]``.

    matched, inserted, deleted: best totals of the paths that end in cell (i, b) with a pair, an insertion, a deletion,
        at ``[i + 1, b]``; row 0 is before the query.
    """

    matched: I32Array
    inserted: I32Array
    deleted: I32Array


@inline_njit
def fill_profile(window: U8Array, width: Int, profile: I32Array) -> None:
    """``profile[q, j]`` (``int32[5, >= width]``): score of query base q against ``window[j]``."""
    for q in range(5):
        for j in range(width):
            base = window[j]
            if base == OUTSIDE:
                profile[q, j] = IMPOSSIBLE
            elif base == 4 or q == 4:
                profile[q, j] = AMBIGUOUS
            else:
                profile[q, j] = MATCH if base == q else MISMATCH


@inline_njit(forceinline=False)
def align_banded(query: U8Array, profile: I32Array, columns: Int, band: Band) -> tuple[Int, Int, Int]:
    """Fill the band of ``query`` against a window of ``len(query) + columns - 1`` bases.

    ``profile``: of the window (`fill_profile`). Afterwards `trace` finds the path in ``band``.

    Returns (total, i, b): the best total, end bonuses included, and the cell where its path ends.
    """
    band.matched[0, : columns + 1] = IMPOSSIBLE
    band.inserted[0, : columns + 1] = IMPOSSIBLE
    band.deleted[0, : columns + 1] = IMPOSSIBLE
    best, end_i, end_b = IMPOSSIBLE, -1, -1
    last = len(query) - 1
    for i in range(len(query)):
        above_m, m = band.matched[i], band.matched[i + 1]
        above_i, ins = band.inserted[i], band.inserted[i + 1]
        above_d, dele = band.deleted[i], band.deleted[i + 1]
        scores = profile[query[i]]
        begin = np.int32(END_BONUS if i == 0 else 0)
        top = IMPOSSIBLE
        for b in range(columns):
            total = max(max(above_m[b], above_i[b]), max(above_d[b], begin)) + scores[i + b]
            m[b] = total
            top = max(top, total)
            ins[b] = max(above_m[b + 1] - np.int32(GAP_OPEN), above_i[b + 1]) - np.int32(GAP_EXTEND)
        m[columns] = IMPOSSIBLE
        ins[columns] = IMPOSSIBLE
        dele[columns] = IMPOSSIBLE
        running = IMPOSSIBLE
        for b in range(columns):
            dele[b] = running
            running = max(m[b] - np.int32(GAP_OPEN), running) - np.int32(GAP_EXTEND)
        if i == last:
            top += END_BONUS
        # At equal totals the path that reaches the end of the read wins over a clipped one.
        if top > best or (i == last and top == best):
            best = top
            end_i = i
            wanted = top - END_BONUS if i == last else top
            for b in range(columns):
                if m[b] == wanted:
                    end_b = b
                    break
    return best, end_i, end_b


@njit(inline="always")
def walk_back(
    directions_at: Callable[[Any, Int, Int], Int], band: Any, i: Int, b: Int, ops: U8Array
) -> tuple[Int, Int, Int]:
    """Walk back from cell (i, b) of a band to the begin of the best path that ends there.

    Of equal paths the one with the leftmost gaps is taken, and the one that clips less. A pair is preferred as long as
    one explains the total, then an insertion, then a deletion.

    Args:
        directions_at: kernel ``(band, i, b) -> directions`` of a cell (`FROM_PAIR` and so on).
        band: its first argument.
        i, b: the cell where the path ends.
        ops: ``uint8``, gets the operations (`PAIR`, `INSERTION`, `DELETION`), last first.

    Returns:
        (how many operations, first query base, its column).
    """
    count = 0
    begun = False
    while not begun:
        ops[count] = PAIR
        count += 1
        directions = directions_at(band, i, b)
        if directions & FROM_PAIR:
            i -= 1
        elif directions & FROM_INSERTION:
            # The insertion's last base is query base i - 1; extend it upwards until a pair opened it.
            i -= 1
            opened = False
            while not opened:
                ops[count] = INSERTION
                count += 1
                opened = directions_at(band, i, b) & INSERTION_OPENS != 0
                i -= 1
                b += 1
        elif directions & FROM_DELETION:
            i -= 1
            opened = False
            while not opened:
                ops[count] = DELETION
                count += 1
                b -= 1
                opened = directions_at(band, i, b) & DELETION_OPENS != 0
        else:
            # Nothing before explains the total: the path begins here.
            begun = True
    return count, i, b


class _Filled(NamedTuple):
    """A band after `align_banded`, for `_directions_at`."""

    query: U8Array
    profile: I32Array
    band: Band


@inline_njit
def _directions_at(filled: _Filled, i: Int, b: Int) -> Int:
    """Directions of a cell from the totals.

    A path needs those of a few cells. To store all of them when a band is filled took 1.15 times as long with 150
    bases and half-width 8, and as long with half-width 50.
    """
    matched, inserted, deleted = filled.band
    before = matched[i + 1, b] - filled.profile[filled.query[i], i + b]
    directions = FROM_PAIR if matched[i, b] == before else 0
    directions |= FROM_INSERTION if inserted[i, b] == before else 0
    directions |= FROM_DELETION if deleted[i, b] == before else 0
    gap = GAP_OPEN + GAP_EXTEND
    directions |= INSERTION_OPENS if matched[i, b + 1] - gap == inserted[i + 1, b] else 0
    directions |= DELETION_OPENS if matched[i + 1, b] - gap == deleted[i + 1, b + 1] else 0
    return directions


@inline_njit(forceinline=False)
def trace(
    query: U8Array, profile: I32Array, band: Band, i: Int, b: Int, ops: U8Array
) -> tuple[Int, Int, Int]:
    """`walk_back` from cell (i, b) of a band that `align_banded` has filled."""
    return walk_back(_directions_at, _Filled(query, profile, band), i, b, ops)


@inline_njit(forceinline=False)
def local_score_of_path(query: U8Array, window: U8Array, ops: U8Array, i: Int, j: Int) -> Int:
    """Best score of any stretch of a path, without end bonuses.

    Args:
        query, window: ``uint8``, base codes.
        ops: ``uint8[operations]``, as `trace` writes them, last first.
        i, j: query and window base of the path's first pair.
    """
    best, running, before = 0, 0, PAIR
    for op in ops[::-1]:
        if op == PAIR:
            running = max(running, 0) + pair_score(query[i], window[j])
            best = max(best, running)
        else:
            running -= GAP_EXTEND + (GAP_OPEN if op != before else 0)
        i += op != DELETION
        j += op != INSERTION
        before = op
    return best
