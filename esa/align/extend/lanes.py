"""`esa.align.extend.banded` for `LANES` pairs of sequences side by side, one in each lane of a vector.

Inter-sequence vectors as in Rognes 2011 (BMC Bioinformatics 12:221), here with affine gaps, free ends at a price and
paths. Recurrence, ties and paths are those of `esa.align.extend.banded`.

numba does not vectorise a loop over the many rows of one array, so the step is given as LLVM vector arithmetic. It is
integer arithmetic of 16 bits, which LLVM lowers to whatever vectors a processor has: the results are the same on all.

The directions of all cells are kept, so that the path of a lane can be traced from its end. The alternative without a
traceback, to carry along the cell where each path begins, took .9 times as long with 76 bases and half-width 8. With
150 bases it took as long (half-width 8), 1.2 times as long (25) or 1.1 times (50).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from esa.align.extend.banded import (
    DELETION_OPENS,
    FROM_DELETION,
    FROM_INSERTION,
    FROM_PAIR,
    INSERTION_OPENS,
    walk_back,
)
from esa.align.scoring import END_BONUS, GAP_EXTEND, GAP_OPEN, MATCH, MISMATCH
from esa.kernels.arrays import I16Array, Int, U8Array
from esa.kernels.decorator import inline_njit, njit
from esa.kernels.intrinsics import first_item

LANES = 32
"""Pairs aligned together."""

LONGEST = 1024
"""Bases of a query, at most: totals and `IMPOSSIBLE` have room in 16 bits, the directions in the caches."""

IMPOSSIBLE = np.int16(-(1 << 13))

_CELL = 3 * LANES
"""Of the state: a column has the totals that end with a pair, an insertion, a deletion."""
_RUNNING, _TOP, _COLUMN, _QUERY, _WIDTH, _EXTRA = (k * LANES for k in range(6))
"""Of a row, behind its columns: total of the deletion that goes on, best total, its column, query bases, columns."""
_BEST, _END_ROW, _END_COLUMN, _RESULT = (k * LANES for k in range(4))


class Lanes(NamedTuple):
    """Buffers for `LANES` pairs of queries of up to ``rows`` bases and bands of up to ``columns`` diagonals each.

    codes: ``uint8[rows * LANES]``, query base i of lane k at ``i * LANES + k``.
    window: ``uint8[(rows + columns - 1) * LANES]``, in the same way; base i pairs with window base i + column.
    lengths: ``int16[LANES]``, of the queries.
    widths: ``int16[LANES]``, diagonals of the bands.
    state: ``int16``, one row of the band.
    directions: ``uint8[rows * columns * LANES]``, of cell (i, b) of lane k at ``(i * columns + b) * LANES + k``.
    best: ``int16``, of each lane the best total so far, and the row and the column where it ends.
    """

    codes: U8Array
    window: U8Array
    lengths: I16Array
    widths: I16Array
    state: I16Array
    directions: U8Array
    best: I16Array


@njit
def make_lanes(rows: Int, columns: Int) -> Lanes:
    """`Lanes` for queries and bands of given sizes, in bases and diagonals."""
    return Lanes(
        np.empty(rows * LANES, np.uint8),
        np.empty((rows + columns - 1) * LANES, np.uint8),
        np.zeros(LANES, np.int16),
        np.zeros(LANES, np.int16),
        np.empty((columns + 1) * _CELL + _EXTRA, np.int16),
        np.empty(rows * columns * LANES, np.uint8),
        np.empty(_RESULT, np.int16),
    )


_SHORTS = ir.VectorType(ir.IntType(16), LANES)
_BYTES = ir.VectorType(ir.IntType(8), LANES)


def _all(value: int) -> ir.Constant:
    return ir.Constant(_SHORTS, [value] * LANES)


class _Vectors:
    """Vector arithmetic of an LLVM builder on arrays that hold lanes."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def place(self, data: Any, index: Any, offset: int = 0, kind: Any = _SHORTS) -> Any:
        index = self.builder.add(index, ir.Constant(index.type, offset))
        return self.builder.bitcast(self.builder.gep(data, [index]), kind.as_pointer())

    def load(self, place: Any) -> Any:
        return self.builder.load(place, align=1)

    def store(self, value: Any, place: Any) -> None:
        self.builder.store(value, place, align=1)

    def load_bytes(self, data: Any, index: Any) -> Any:
        return self.builder.zext(self.load(self.place(data, index, kind=_BYTES)), _SHORTS)

    def spread(self, value: Any) -> Any:
        """A number in every lane."""
        undefined = ir.Constant(_SHORTS, ir.Undefined)
        number = self.builder.trunc(value, ir.IntType(16))
        first = self.builder.insert_element(undefined, number, ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def compare(self, how: str, a: Any, b: Any) -> Any:
        return self.builder.icmp_signed(how, a, b)

    def choose(self, condition: Any, a: Any, b: Any) -> Any:
        return self.builder.select(condition, a, b)

    def most(self, a: Any, b: Any) -> Any:
        return self.choose(self.compare(">", a, b), a, b)

    def minus(self, a: Any, number: int) -> Any:
        return self.builder.sub(a, _all(number))


Generator = Callable[[Any, Any, Any, Any], Any]


@intrinsic
def _advance(
    _context: Any, state: Any, directions: Any, window: Any, row: Any, column: Any, columns: Any
) -> tuple[Any, Generator]:
    """One cell of every lane: what ``esa.align.extend.banded.align_banded`` does in its loop over columns."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = _Vectors(builder)
        state, directions, window = (first_item(context, builder, signature, arguments, k) for k in range(3))
        row, column, columns = arguments[3:]
        number = row.type
        cell = builder.mul(column, number(_CELL))
        extra = builder.mul(builder.add(columns, number(1)), number(_CELL))
        here = builder.add(builder.mul(row, columns), column)
        at = builder.mul(builder.add(row, column), number(LANES))
        begin = builder.select(
            builder.icmp_signed("==", row, number(0)), number(END_BONUS), number(0)
        )  # total of a path that begins here

        places = [v.place(state, cell, k * LANES) for k in range(3)]
        pair, insertion, deletion = map(v.load, places)
        next_pair, next_insertion = (v.load(v.place(state, cell, _CELL + k * LANES)) for k in range(2))
        running_place, top_place, column_place = (v.place(state, extra, k) for k in (_RUNNING, _TOP, _COLUMN))
        running, top = v.load(running_place), v.load(top_place)
        query = v.load(v.place(state, extra, _QUERY))

        before = v.most(v.most(pair, insertion), v.most(deletion, v.spread(begin)))
        same = v.compare("==", query, v.load_bytes(window, at))
        total = builder.add(before, v.choose(same, _all(MATCH), _all(MISMATCH)))
        # No path is beyond a lane's own band: only a deletion leads there, and only a pair would lead out.
        within = v.compare("<", v.spread(column), v.load(v.place(state, extra, _WIDTH)))
        total = v.choose(within, total, _all(int(IMPOSSIBLE)))
        opened_insertion, opened_deletion = v.minus(next_pair, GAP_OPEN), v.minus(total, GAP_OPEN)

        v.store(total, places[0])
        v.store(v.minus(v.most(opened_insertion, next_insertion), GAP_EXTEND), places[1])
        v.store(running, places[2])
        v.store(v.minus(v.most(opened_deletion, running), GAP_EXTEND), running_place)
        v.store(v.most(total, top), top_place)
        better = v.compare(">", total, top)
        v.store(v.choose(better, v.spread(column), v.load(column_place)), column_place)

        direction = _all(0)
        for holds, bit in (
            (v.compare("==", pair, before), FROM_PAIR),
            (v.compare("==", insertion, before), FROM_INSERTION),
            (v.compare("==", deletion, before), FROM_DELETION),
            (v.compare(">=", opened_insertion, next_insertion), INSERTION_OPENS),
            (v.compare(">=", opened_deletion, running), DELETION_OPENS),
        ):
            direction = builder.or_(direction, v.choose(holds, _all(bit), _all(0)))
        to = builder.mul(here, number(LANES))
        v.store(builder.trunc(direction, _BYTES), v.place(directions, to, kind=_BYTES))
        return context.get_dummy_value()

    return types.none(state, directions, window, row, column, columns), generate


@intrinsic
def _end_row(
    _context: Any, state: Any, extra: Any, best: Any, lengths: Any, row: Any
) -> tuple[Any, Generator]:
    """Keep the best total of every lane and where it ends, after a row; as in ``align_banded``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = _Vectors(builder)
        state, best, lengths = (first_item(context, builder, signature, arguments, k) for k in (0, 2, 3))
        extra, zero = arguments[1], ir.Constant(arguments[1].type, 0)
        row = v.spread(arguments[4])
        length = v.load(v.place(lengths, zero))
        last = v.compare("==", length, builder.add(row, _all(1)))
        total = v.load(v.place(state, extra, _TOP))
        total = builder.add(total, v.choose(last, _all(END_BONUS), _all(0)))
        known = v.load(v.place(best, zero, _BEST))
        # At equal totals the path that reaches the end of the read wins over a clipped one.
        wins = builder.or_(v.compare(">", total, known), builder.and_(last, v.compare("==", total, known)))
        wins = builder.and_(wins, v.compare("<", row, length))
        column = v.load(v.place(state, extra, _COLUMN))
        for k, value in ((_BEST, total), (_END_ROW, row), (_END_COLUMN, column)):
            place = v.place(best, zero, k)
            v.store(v.choose(wins, value, v.load(place)), place)
        return context.get_dummy_value()

    return types.none(state, extra, best, lengths, row), generate


@inline_njit
def fill_lanes(lanes: Lanes, rows: Int, columns: Int) -> None:
    """Align the pairs in ``lanes``; ``rows``: the longest query, ``columns``: the widest band.

    No N, and nothing beyond a contig, may be among them. Afterwards `result_of` and `trace_lane` describe each lane.
    """
    state, codes = lanes.state, lanes.codes
    extra = (columns + 1) * _CELL
    state[: extra + _EXTRA] = IMPOSSIBLE
    lanes.best[:_RESULT] = IMPOSSIBLE
    behind = state[extra : extra + _EXTRA]
    for k in range(LANES):
        behind[_WIDTH + k] = lanes.widths[k]
    for i in range(rows):
        query = codes[i * LANES : (i + 1) * LANES]
        for k in range(LANES):
            behind[_RUNNING + k] = IMPOSSIBLE
            behind[_TOP + k] = IMPOSSIBLE
            behind[_QUERY + k] = query[k]
        for b in range(columns):
            _advance(state, lanes.directions, lanes.window, i, b, columns)
        _end_row(state, extra, lanes.best, lanes.lengths, i)


@inline_njit
def result_of(lanes: Lanes, lane: Int) -> tuple[Int, Int, Int]:
    """(Best total, end bonuses included, and the row and column where its path ends) of a lane."""
    best = lanes.best
    return np.int64(best[_BEST + lane]), np.int64(best[_END_ROW + lane]), np.int64(best[_END_COLUMN + lane])


class _Lane(NamedTuple):
    """One lane after `fill_lanes`, for `_directions_at`."""

    directions: U8Array
    lane: int
    columns: int


@njit(inline="always")
def _directions_at(lane: _Lane, i: Int, b: Int) -> Int:
    return lane.directions[(i * lane.columns + b) * LANES + lane.lane]


@inline_njit
def trace_lane(lanes: Lanes, lane: Int, columns: Int, i: Int, b: Int, ops: U8Array) -> tuple[Int, Int, Int]:
    """`esa.align.extend.banded.trace` of a lane, after `fill_lanes`."""
    return walk_back(_directions_at, _Lane(lanes.directions, lane, columns), i, b, ops)
