"""Banded affine-gap alignment with free read ends at a price (Gotoh 1982, J Mol Biol 162:705).

The path maximises score + `END_BONUS` for each end of the read that it reaches. Gaps open from a match or a
mismatch only, so that no insertion touches a deletion. Cell (i, b) pairs query base i with window base i + b:
column b is a diagonal, and an insertion comes from column b + 1 of the row above, a deletion from column b - 1.
"""

from __future__ import annotations

import numpy as np

from esa.align.scoring import AMBIGUOUS, END_BONUS, GAP_EXTEND, GAP_OPEN, MATCH, MISMATCH
from esa.kernels.decorator import inline_njit

OUTSIDE = np.uint8(5)
"""Code of a window position beyond the contig; nothing aligns there."""

IMPOSSIBLE = np.int32(-(1 << 24))


@inline_njit
def fill_profile(window, width, profile):  # type: ignore[no-untyped-def]
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
def align_banded(query, profile, columns, matched, inserted, deleted):  # type: ignore[no-untyped-def]
    """Fill the band of ``query`` against a window of ``len(query) + columns - 1`` bases.

    ``matched``, ``inserted`` and ``deleted`` (``int32[rows, >= columns + 1]``) get the best totals of paths that
    end in cell (i, b) with a pair, an insertion or a deletion. With rows = len(query) + 1 they can be traced
    (`trace`); rows = 2 suffice for the score alone. Row i + 1 is query base i.

    Returns (total, i, b): the best total, end bonuses included, and the cell where its path ends.
    """
    rows = matched.shape[0]
    matched[0, : columns + 1] = IMPOSSIBLE
    inserted[0, : columns + 1] = IMPOSSIBLE
    deleted[0, : columns + 1] = IMPOSSIBLE
    best, end_i, end_b = IMPOSSIBLE, -1, -1
    last = len(query) - 1
    for i in range(len(query)):
        above_m = matched[i % rows]
        above_i = inserted[i % rows]
        above_d = deleted[i % rows]
        m = matched[(i + 1) % rows]
        ins = inserted[(i + 1) % rows]
        dele = deleted[(i + 1) % rows]
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


@inline_njit(forceinline=False)
def trace(query, profile, matched, inserted, deleted, end_i, end_b, ops):  # type: ignore[no-untyped-def]
    """Walk back from a cell of a band filled with rows = len(query) + 1.

    Writes one operation a column of the alignment into ``ops`` (``uint8``: 0 pair, 1 insertion, 2 deletion),
    last first, and returns (how many, first query base, its column). Of equal paths the one with the leftmost
    gaps is taken, and the one that clips less: a pair is preferred as long as one explains the total.
    """
    count = 0
    i, b = end_i, end_b
    while True:
        ops[count] = 0
        count += 1
        rest = matched[i + 1, b] - profile[query[i], i + b]
        if matched[i, b] == rest:
            i -= 1
        elif inserted[i, b] == rest:
            # The insertion's last base is query base i - 1; extend it upwards until a pair opened it.
            i -= 1
            while True:
                ops[count] = 1
                count += 1
                opened = matched[i, b + 1] - GAP_OPEN - GAP_EXTEND == inserted[i + 1, b]
                i -= 1
                b += 1
                if opened:
                    break
        elif deleted[i, b] == rest:
            i -= 1
            while True:
                ops[count] = 2
                count += 1
                opened = matched[i + 1, b - 1] - GAP_OPEN - GAP_EXTEND == deleted[i + 1, b]
                b -= 1
                if opened:
                    break
        else:
            # Nothing before explains the total: the path begins here.
            return count, i, b


@inline_njit(forceinline=False)
def local_score_of_path(query, profile, ops, i, j):  # type: ignore[no-untyped-def]
    """Best score of a stretch of a path (``ops`` of `trace`, last first) that begins with query base i on window base
    j, without the bonuses of the ends."""
    best, running, before = 0, 0, 0
    for op in ops[::-1]:
        if op == 0:
            running = max(running, 0) + profile[query[i], j]
            best = max(best, running)
        else:
            running -= GAP_EXTEND + (GAP_OPEN if op != before else 0)
        i += op != 2
        j += op != 1
        before = op
    return best
