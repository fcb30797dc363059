"""`esa.align.extend.ungapped` against brute force: ungapped extension, and what gaps could add to it."""

from __future__ import annotations

import numpy as np
import pytest
from align_oracles import (
    BONUS,
    DELETION,
    INSERTION,
    OUTSIDE,
    PAIR,
    Codes,
    Path,
    best_ungapped,
    local_score,
    mutate,
    score_pair,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from test_banded import align_path

from esa.align.extend.banded import local_score_of_path
from esa.align.extend.ungapped import extend_ungapped, gap_gain
from esa.sequence import dna

bases = st.integers(0, 4)


@given(st.lists(st.tuples(bases, bases), max_size=30), st.data())
@settings(max_examples=300)
def test_extend_equals_all_intervals(pairs: list[tuple[int, int]], data: st.DataObject):
    query, window = np.array(pairs, np.uint8).reshape(-1, 2).T.copy()
    n = len(query)
    lo = data.draw(st.integers(0, n))
    hi = data.draw(st.integers(lo, n))
    shift = data.draw(st.integers(-lo, 3))
    padded = np.concatenate([window, np.zeros(4, np.uint8)])
    total, begin, end = extend_ungapped(query, padded, shift, lo, hi)
    assert total == best_ungapped(query.tolist(), padded.tolist(), shift, lo, hi)
    assert lo <= begin <= end <= hi
    ends = (begin == 0) + (end == n) if end > begin else 0
    scored = sum(score_pair(int(query[i]), int(padded[i + shift])) for i in range(begin, end))
    assert scored + BONUS * ends == total


def test_extend_reaches_the_ends_unless_a_clip_gains_more_than_the_bonus():
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(500):
        window = rng.integers(0, 4, 24).astype(np.uint8)
        query = mutate(rng, window, int(rng.integers(0, 7)), 0)
        total, begin, end = extend_ungapped(query, window, 0, 0, 24)
        scores = [score_pair(int(a), int(b)) for a, b in zip(query, window, strict=True)]
        if begin > 0:
            assert sum(scores[begin:end]) > sum(scores[:end]) + BONUS
        if end < 24:
            assert total > best_ungapped(query.tolist(), window.tolist(), 0, begin, 24) - 1
            assert sum(scores[begin:end]) > sum(scores[begin:]) + BONUS
        seen.add((begin > 0, end < 24))
    assert len(seen) == 4


@pytest.mark.parametrize("length", range(1, 14))
def test_extend_of_short_reads_with_one_mismatch(length: int):
    """Where the shortcut for at most one mismatch begins to hold."""
    window = np.array([0, 1, 2, 3] * 4, np.uint8)[:length]
    for at in range(length):
        for wrong in ((window[at] + 1) % 4, dna.N):
            query = window.copy()
            query[at] = wrong
            total, begin, end = extend_ungapped(query, window, 0, 0, length)
            assert total == best_ungapped(query.tolist(), window.tolist(), 0, 0, length)
            assert total == 0 or end > begin


def test_the_local_score_is_the_best_of_all_stretches():
    rng = np.random.default_rng(4)
    for _ in range(300):
        window = rng.integers(0, 5, 30).astype(np.uint8)
        query = mutate(rng, window[4:24], int(rng.integers(0, 8)), 0)
        lo = int(rng.integers(0, 4))
        hi = int(rng.integers(lo, len(query) + 1))
        scores = [score_pair(int(query[i]), int(window[i + 4])) for i in range(len(query))]
        stretches = [sum(scores[i:j]) for i in range(lo, hi) for j in range(i, hi + 1)]
        expected = max(stretches, default=0)
        assert local_score(query.tolist(), window.tolist(), 4, lo, hi) == expected
        pairs = np.full(hi - lo, PAIR, np.uint8)
        assert local_score_of_path(query, window, pairs, lo, lo + 4) == expected


def best_one_gap(query: Codes, window: Codes, shift: int, max_gap: int) -> int:
    """Best total of the query with one gap of up to ``max_gap`` bases and one flank on diagonal ``shift``;
    the flank that the gap moves may be clipped."""
    n = len(query)

    def scores(diagonal: int) -> list[int]:
        inside = [0 <= i + diagonal < len(window) for i in range(n)]
        return [
            score_pair(int(query[i]), int(window[i + diagonal]) if inside[i] else OUTSIDE) for i in range(n)
        ]

    def grow(values: list[int]) -> list[int]:
        """Entry k: best total of the first k values from any begin, at least one."""
        out = [-(10**9)]
        running = BONUS
        for value in values:
            running = max(running, 0) + value
            out.append(running)
        return out

    at_home = scores(shift)
    home_left = np.cumsum([BONUS, *at_home])  # the flank that stays is not clipped
    home_right = np.cumsum([BONUS, *at_home[::-1]])
    best = -(10**9)
    for gap in range(1, max_gap + 1):
        for kind in (INSERTION, DELETION):
            used = gap if kind == INSERTION else 0
            price = 6 + gap
            away = gap if kind == DELETION else -gap
            right = grow(scores(shift + away)[::-1])
            left = grow(scores(shift - away))
            for k in range(1, n - used):
                rest = n - used - k
                best = max(best, home_left[k] + right[rest] - price, left[k] + home_right[rest] - price)
    return int(best)


def gapped_case(rng: np.random.Generator) -> tuple[Codes, Codes, int]:
    """(Query, window, shift): related, and repetitive, since elsewhere an end beyond a gap is clipped."""
    unit = rng.integers(0, 4, int(rng.integers(1, 9))).astype(np.uint8)
    window = mutate(rng, np.resize(unit, 60), int(rng.integers(0, 8)), int(rng.integers(0, 2)))
    window = np.concatenate([window, rng.integers(0, 4, 4).astype(np.uint8)])
    query = mutate(rng, window[15:50], int(rng.integers(0, 3)), int(rng.integers(1, 3)), longest=4)
    return query, window, 15


def diagonals(path: Path) -> set[int]:
    """The diagonals that a path has pairs on."""
    i, j, out = path.query_begin, path.window_begin, set()
    for op in path.ops:
        if op == PAIR:
            out.add(j - i)
        i += op != DELETION
        j += op != INSERTION
    return out


def test_gap_gain_bounds_one_gap_and_says_nothing_only_where_there_is_nothing():
    rng = np.random.default_rng(3)
    max_gap = 8
    paying = 0
    for _ in range(1500):
        query, window, shift = gapped_case(rng)
        total, begin, end = extend_ungapped(query, window, shift, 0, len(query))
        if (begin, end) != (0, len(query)):
            continue  # asked only of alignments of the whole read
        gain = gap_gain(query, window, shift, max_gap)
        true_gain = best_one_gap(query, window, shift, max_gap) - total
        assert gain >= true_gain
        paying += true_gain > 0
        if gain == 0:
            around = np.concatenate([np.full(max_gap, OUTSIDE), window, np.full(max_gap + 40, OUTSIDE)])
            start = shift  # window base shift - max_gap, after the margin in front
            piece = around[start : start + len(query) + 2 * max_gap].astype(np.uint8)
            banded, path = align_path(query, piece)
            if banded > total:
                gaps = [run for run in path.runs() if run[0] != PAIR]
                assert len(gaps) > 1 or max_gap not in diagonals(path)
    assert paying > 60


def test_gap_gain_is_nothing_for_a_perfect_read():
    window = dna.encode(b"ACGTTGCATCAGGATTACACGGCATTAGC")
    assert gap_gain(window[4:24], window, 4, 8) == 0
