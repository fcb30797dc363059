"""`esa.align.extend.lanes` lane by lane against `esa.align.extend.banded`: the same totals, ends and paths, ties
included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from align_oracles import BONUS, DELETION, INSERTION, PAIR, Codes, mutate
from test_banded import align

from esa.align.extend.banded import trace
from esa.align.extend.lanes import (
    IMPOSSIBLE,
    LANES,
    LONGEST,
    Lanes,
    fill_lanes,
    make_lanes,
    result_of,
    trace_lane,
)

BANDS = [1, 2, 8, 20, 50]
SMALL = 150
"""Longest query of most tests."""


@dataclass(frozen=True)
class Found:
    """What an alignment is: its best total and where it ends, its operations, last first, and where it begins."""

    total: int
    end: tuple[int, int]
    ops: list[int]
    begin: tuple[int, int]


def alone(query: Codes, window: Codes) -> Found:
    total, i, b, profile, band = align(query, window)
    ops = np.empty(2 * len(window), np.uint8)
    count, first, column = trace(query, profile, band, i, b, ops)
    return Found(total, (i, b), ops[:count].tolist(), (first, column))


def side_by_side(lanes: Lanes, pairs: list[tuple[Codes, Codes]]) -> list[Found]:
    """The pairs in the first lanes, the others being ignored."""
    lanes.lengths[:] = 0
    columns = 0
    for lane, (query, window) in enumerate(pairs):
        lanes.widths[lane] = len(window) - len(query) + 1
        columns = max(columns, int(lanes.widths[lane]))
        lanes.codes[lane::LANES][: len(query)] = query
        lanes.window[lane::LANES][: len(window)] = window
        lanes.lengths[lane] = len(query)
    fill_lanes(lanes, max(len(query) for query, _ in pairs), columns)
    found = []
    for lane, (_, window) in enumerate(pairs):
        total, i, b = result_of(lanes, lane)
        ops = np.full(2 * len(window), 9, np.uint8)
        count, first, column = trace_lane(lanes, lane, columns, i, b, ops)
        assert np.all(ops[count:] == 9)
        found.append(Found(total, (i, b), ops[:count].tolist(), (first, column)))
    return found


def room_for(longest: int, band: int) -> Lanes:
    """Lanes that hold garbage."""
    lanes = make_lanes(longest, 2 * band + 1)
    for array in lanes:
        array.view(np.uint8)[...] = 0xA5
    return lanes


def random_pair(rng: np.random.Generator, band: int, longest: int = SMALL) -> tuple[Codes, Codes]:
    """A query and a window: related, repetitive or strange to each other, with indels and ends that do not fit."""
    n = int(rng.integers(1, longest + 1))
    letters = int(rng.integers(1, 5))
    around = rng.integers(0, letters, n + 2 * band + 60).astype(np.uint8)
    if rng.random() < 0.4:
        unit = around[: int(rng.integers(1, 9))]
        around = mutate(rng, np.resize(unit, len(around) + 20), int(rng.integers(0, 9)), 0)
    at = band + 20
    if rng.random() < 0.15:
        query = rng.integers(0, letters, n).astype(np.uint8)
    else:
        edits, indels = int(rng.integers(0, 1 + n // 6)), int(rng.integers(0, 4))
        query = mutate(rng, around[at : at + n + 12], edits, indels, longest=min(2 * band, 12))[:n]
    for side in (0, 1):
        foreign = int(rng.integers(0, 15)) if rng.random() < 0.3 else 0
        inside = slice(0, foreign) if side else slice(max(0, len(query) - foreign), len(query))
        query[inside] = rng.integers(0, 4, len(query[inside]))
    return query, around[at - band :][: len(query) + 2 * band]


@pytest.mark.parametrize("band", BANDS)
def test_every_lane_equals_its_pair_alone(band: int) -> None:
    """Queries of all lengths together, all lanes and fewer, in one room."""
    rng = np.random.default_rng(band)
    lanes = room_for(SMALL, band)
    kinds = dict.fromkeys((PAIR, INSERTION, DELETION), 0)
    clipped = 0
    for used in (LANES, 7, 1, LANES - 1, *[LANES] * 16):
        pairs = [random_pair(rng, band) for _ in range(used)]
        expected = [alone(*pair) for pair in pairs]
        assert side_by_side(lanes, pairs) == expected
        for (query, _), found in zip(pairs, expected, strict=True):
            clipped += found.begin[0] > 0 or found.end[0] < len(query) - 1
            for kind in kinds:
                kinds[kind] += kind in found.ops
    assert min(kinds.values()) > 40
    assert clipped > 100


def test_room_may_be_wider_and_longer_than_what_is_aligned() -> None:
    rng = np.random.default_rng(1)
    lanes = room_for(SMALL, 50)
    for band in (50, 1, 8, 2, 20):
        pairs = [random_pair(rng, band, 40) for _ in range(LANES)]
        assert side_by_side(lanes, pairs) == [alone(*pair) for pair in pairs]


def test_each_lane_has_a_band_of_its_own() -> None:
    rng = np.random.default_rng(4)
    lanes = room_for(SMALL, 20)
    cut = 0
    for _ in range(20):
        wide = [random_pair(rng, 20) for _ in range(LANES)]
        margins = rng.integers(0, 20, LANES)
        pairs = [
            (query, window[margin : len(window) - margin])
            for (query, window), margin in zip(wide, margins, strict=True)
        ]
        expected = [alone(*pair) for pair in pairs]
        assert side_by_side(lanes, pairs) == expected
        cut += sum(found.total < alone(*pair).total for found, pair in zip(expected, wide, strict=True))
    assert cut > 50  # what lies beyond a band would often have been better


def test_of_equal_paths_the_same_one_is_taken() -> None:
    """Sequences of one or two letters, where most cells have ties."""
    rng = np.random.default_rng(2)
    lanes = room_for(20, 4)
    for _ in range(30):
        pairs = []
        for _ in range(LANES):
            n, letters = int(rng.integers(1, 21)), int(rng.integers(1, 3))
            pairs.append(
                (
                    rng.integers(0, letters, n).astype(np.uint8),
                    rng.integers(0, letters, n + 8).astype(np.uint8),
                )
            )
        assert side_by_side(lanes, pairs) == [alone(*pair) for pair in pairs]


def test_equal_ends_go_to_the_end_of_the_read_else_to_the_first() -> None:
    """Ends that tie: the row of the read's last base wins, else the first row, and in a row the first column."""
    lanes = room_for(20, 2)
    whole = np.array([0, 1, 2, 3, 1, 0, 2, 2, 0, 3, 1, 1, 0, 3, 2], np.uint8)
    query = whole.copy()
    query[[10, 14]] ^= 1  # -4 + 3 - 4 + 5 = 0
    window = np.concatenate([[3, 3], whole, [3, 3]]).astype(np.uint8)
    same = np.zeros(6, np.uint8)
    [drawn, first] = side_by_side(lanes, [(query, window), (same, np.zeros(10, np.uint8))])
    assert (drawn.total, drawn.end) == (10 + BONUS, (14, 2))
    assert (first.total, first.end, first.begin) == (6 + 2 * BONUS, (5, 0), (0, 0))
    nowhere = side_by_side(lanes, [(same + 1, np.zeros(10, np.uint8))])
    assert nowhere == [alone(same + 1, np.zeros(10, np.uint8))]


@pytest.mark.parametrize("band", [8, 50])
def test_the_longest_queries_fit_16_bits(band: int) -> None:
    """The highest and the lowest totals, and paths that go from side to side of the band."""
    rng = np.random.default_rng(3)
    n = LONGEST
    lanes = room_for(n, band)
    reference = rng.integers(0, 4, n + 2 * band).astype(np.uint8)
    here = reference[band:][:n]
    deleted = np.concatenate([reference[: n // 2], reference[n // 2 + 2 * band :]])
    inserted = np.concatenate([reference[2 * band :][: n // 2], reference[n // 2 :]])[:n]
    pairs = [
        (here.copy(), reference),
        (3 - here, reference),
        (np.zeros(n, np.uint8), np.ones(n + 2 * band, np.uint8)),
        (np.zeros(n, np.uint8), np.zeros(n + 2 * band, np.uint8)),
        (deleted, reference),
        (inserted, reference),
        (here[: n - 1].copy(), reference[:-1]),
        (mutate(rng, here, 60, 6, longest=9)[: n - 80], reference[: n - 80 + 2 * band]),
        (here[:1].copy(), reference[: 1 + 2 * band]),
    ]
    found = side_by_side(lanes, pairs)
    assert found == [alone(*pair) for pair in pairs]
    assert found[0].total == found[3].total == n + 2 * BONUS
    assert found[2].total == 1
    assert found[4].ops.count(DELETION) == 2 * band
    assert found[5].ops.count(INSERTION) == 2 * band
    # Nothing has wrapped around: the lowest total is `IMPOSSIBLE`, less a gap.
    lowest = int(lanes.state[:-LANES].min())  # behind it, the widths of lanes that hold garbage
    assert IMPOSSIBLE - 2 * band - LONGEST - 10 <= lowest <= IMPOSSIBLE
    assert int(lanes.state[: LANES * 3 * (2 * band + 1)].max()) <= n + 2 * BONUS
