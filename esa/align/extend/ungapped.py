"""Ungapped alignment along one diagonal, base by base, and an upper bound of what gaps could add to it."""

from __future__ import annotations

from esa.align.scoring import AMBIGUOUS, END_BONUS, GAP_EXTEND, GAP_OPEN, MATCH, MISMATCH
from esa.kernels.arrays import Int, U8Array
from esa.kernels.decorator import inline_njit, njit


@njit(inline="always")
def pair_score(a: Int, b: Int) -> Int:
    """Score of two base codes."""
    if a > 3 or b > 3:
        return AMBIGUOUS
    return MATCH if a == b else MISMATCH


@inline_njit(forceinline=False)
def extend_ungapped(query: U8Array, window: U8Array, shift: Int, lo: Int, hi: Int) -> tuple[Int, Int, Int]:
    """Best local alignment of ``query[i]`` with ``window[i + shift]``, i in ``[lo, hi)``.

    Reaching an end of the query is worth `END_BONUS`.

    This is for N in the read or on the diagonal, and for diagonals that leave the contig. All others go to
    `esa.align.extend.mismatch_masks.extend_marked`, for its speed.

    Args:
        query: ``uint8[bases]``, base codes of the whole read in the orientation that aligns.
        window: ``uint8``, base codes of the reference.
        shift: window index of the base that pairs with query base 0.
        lo, hi: bases of the query that may be aligned.

    Returns:
        (total, begin, end): the total with bonuses and the query interval; begin == end where nothing scores.
    """
    mismatches = 0
    for i in range(lo, hi):
        mismatches += (query[i] != window[i + shift]) | (query[i] > 3)
    whole = lo == 0 and hi == len(query)
    if whole and mismatches <= 1 and hi * MATCH > 2 * (MATCH - MISMATCH):
        # One mismatch never pays for a clip. (N scores more than a mismatch; count it exactly.)
        total = 2 * END_BONUS + hi * MATCH
        if mismatches:
            for i in range(hi):
                if query[i] != window[i + shift] or query[i] > 3:
                    total += pair_score(query[i], window[i + shift]) - MATCH
        return total, 0, hi
    best, best_begin, best_end = 0, lo, lo
    running, begin = 0, lo
    for i in range(lo, hi):
        if i == 0:
            running = END_BONUS
        elif running < 0:
            running = 0
            begin = i
        running += pair_score(query[i], window[i + shift])
        total = running + (END_BONUS if i + 1 == len(query) else 0)
        if total > best or (total == best and i + 1 == len(query)):
            best, best_begin, best_end = total, begin, i + 1
    return best, best_begin, best_end


@inline_njit
def _loss(query: U8Array, window: U8Array, i: Int, j: Int) -> Int:
    """What query base i loses on window base j against a match."""
    if 0 <= j < len(window):
        return MATCH - pair_score(query[i], window[j])
    return MATCH - MISMATCH


@inline_njit(forceinline=False)
def gap_gain(query: U8Array, window: U8Array, shift: Int, max_gap: Int) -> Int:
    """Upper bound of what gaps could add to the ungapped alignment of the whole of ``query``; 0 if nothing.

    Two kinds of gapped alignment are tried on every diagonal within ``max_gap``. With one gap, an end of the query
    moves there (and may be clipped); with two, a stretch moves there and back. Each is followed until it has lost more
    than there is to win, so that a hopeless diagonal costs a few comparisons.
    Heuristic: alignments in which three gaps pay, where neither one nor two do, are not considered.

    Args:
        query: ``uint8[bases]``, base codes.
        window: ``uint8``, base codes of the reference.
        shift: window index of the base that pairs with query base 0.
        max_gap: longest gap, in bases.
    """
    n = len(query)
    at_stake = 0
    for i in range(n):
        at_stake += _loss(query, window, i, i + shift)
    best = 0
    for gap in range(1, min(max_gap, (at_stake - GAP_OPEN) // GAP_EXTEND) + 1):
        for side in range(4):
            moved = shift + (gap if side & 1 else -gap)
            # An end that moves inwards leaves bases that pair with nothing: they are inserted.
            inserted = gap if (side & 1) == (side >> 1) else 0
            price = GAP_OPEN + gap * GAP_EXTEND + inserted * MATCH
            if at_stake <= price + best:
                continue
            loss, gain = 0, 0
            for step in range(inserted):
                i = step if side & 2 else n - 1 - step
                gain += _loss(query, window, i, i + shift)
            for step in range(n - inserted):
                i = step if side & 2 else n - 1 - step
                loss = min(loss + _loss(query, window, i, i + moved), (step + 1) * MATCH + END_BONUS)
                if at_stake - loss <= price + best:
                    break
                i = i + inserted if side & 2 else i - inserted
                gain += _loss(query, window, i, i + shift)
                best = max(best, gain - loss - price)
        best = max(best, _there_and_back(query, window, shift, gap, best, at_stake))
    return best


@inline_njit
def _there_and_back(query: U8Array, window: U8Array, shift: Int, gap: Int, best: Int, at_stake: Int) -> Int:
    """Most that moving one stretch of the query by ``gap`` diagonals, either way, could add; else ``best``.

    One of the two gaps inserts ``gap`` bases: those behind a stretch that moves right, those before one that
    moves left.
    """
    n = len(query)
    price = 2 * (GAP_OPEN + gap * GAP_EXTEND) + gap * MATCH
    for sign in range(2):
        moved = shift + (gap if sign else -gap)
        left = at_stake
        for first in range(n - gap):
            if left <= price + best:
                break
            here = _loss(query, window, first, first + shift)
            if here == 0:
                continue
            # The stretch that moves or is inserted begins with a base that loses where it is.
            loss, gain = 0, 0
            for i in range(first, first + gap):
                gain += _loss(query, window, i, i + shift)
            for end in range(first + gap, n):
                i = end - gap if sign else end
                loss += _loss(query, window, i, i + moved)
                if left - loss <= price + best:
                    break
                gain += _loss(query, window, end, end + shift)
                best = max(best, gain - loss - price)
            left -= here
    return best
