"""`esa.align.extend.banded` for `LANES` pairs of sequences side by side, one in each lane of a vector.

Inter-sequence vectors as in Rognes 2011 (BMC Bioinformatics 12:221), here with affine gaps, free ends at a price and
paths. Recurrence, ties and paths are those of `esa.align.extend.banded`.

numba does not vectorise a loop over the many rows of one array, so the step is given as LLVM vector arithmetic. It is
integer arithmetic of 16 bits, which LLVM lowers to whatever vectors a processor has: the results are the same on all.

There are two ways to know where the best path of a lane begins. `fill_lanes` keeps the directions of all cells. From
these `esa.align.extend.banded.trace` also gives the operations. `score_lanes` carries along the cell where each path
begins (its *origin*) and keeps nothing else. It needs no traceback, but gives no operations.
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
    trace,
)
from esa.align.scoring import END_BONUS, GAP_EXTEND, GAP_OPEN, MATCH, MISMATCH
from esa.kernels.arrays import Bool, I16Array, Int, U8Array
from esa.kernels.decorator import inline_njit, njit
from esa.kernels.intrinsics import first_item

LANES = 32
"""Pairs aligned together."""

LONGEST = 1024
"""Bases of a query, at most: totals and `IMPOSSIBLE` have room in 16 bits, the directions in the caches."""

MAX_ORIGINS = 1 << 16
"""Cells of a band, at most, for `score_lanes`: an origin has 16 bits."""

IMPOSSIBLE = np.int16(-(1 << 13))

_CELL = 3 * LANES
"""Of the state: a column has the totals that end with a pair, an insertion, a deletion."""
_RUNNING, _TOP, _COLUMN, _QUERY, _WIDTH, _EXTRA = (k * LANES for k in range(6))
"""Of a row, behind its columns: total of the deletion that goes on, best total, its column, query bases, columns."""
_BEST, _END_ROW, _END_COLUMN, _ORIGIN, _RESULT = (k * LANES for k in range(5))


class Lanes(NamedTuple):
    """Buffers for `LANES` pairs of queries of up to ``rows`` bases and bands of up to ``columns`` diagonals each.

    codes: ``uint8[rows * LANES]``, query base i of lane k at ``i * LANES + k``.
    window: ``uint8[(rows + columns - 1) * LANES]``, in the same way; base i pairs with window base i + column.
    lengths: ``int16[LANES]``, of the queries.
    widths: ``int16[LANES]``, diagonals of the bands.
    state: ``int16``, one row of the band.
    origins: ``int16``, where the paths of the totals in ``state`` begin, in the same places: cell (i, b) is
        ``i * columns + b``, as an unsigned number.
    directions: ``uint8[rows * columns * LANES]``, of cell (i, b) of lane k at ``(i * columns + b) * LANES + k``.
    best: ``int16``, of each lane the best total so far, the row and the column where it ends, and its origin.
    """

    codes: U8Array
    window: U8Array
    lengths: I16Array
    widths: I16Array
    state: I16Array
    origins: I16Array
    directions: U8Array
    best: I16Array


@njit
def make_lanes(rows: Int, columns: Int) -> Lanes:
    """`Lanes` for queries of up to so many bases and bands of up to so many diagonals."""
    return Lanes(
        np.empty(rows * LANES, np.uint8),
        np.empty((rows + columns - 1) * LANES, np.uint8),
        np.zeros(LANES, np.int16),
        np.zeros(LANES, np.int16),
        np.empty((columns + 1) * _CELL + _EXTRA, np.int16),
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


def _cell_step(with_origins: bool) -> Generator:
    """Code for one cell of every lane: what ``esa.align.extend.banded.align_banded`` does in its loop over columns.

    Its arguments: state, origins or directions, window, row, column, number of columns.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = _Vectors(builder)
        state, kept, window = (first_item(context, builder, signature, arguments, k) for k in range(3))
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

        holds = {
            FROM_PAIR: v.compare("==", pair, before),
            FROM_INSERTION: v.compare("==", insertion, before),
            FROM_DELETION: v.compare("==", deletion, before),
            INSERTION_OPENS: v.compare(">=", opened_insertion, next_insertion),
            DELETION_OPENS: v.compare(">=", opened_deletion, running),
        }
        if with_origins:
            _carry_origins(v, kept, (cell, extra), v.spread(here), holds, better)
        else:
            direction = _all(0)
            for bit, holding in holds.items():
                direction = builder.or_(direction, v.choose(holding, _all(bit), _all(0)))
            to = builder.mul(here, number(LANES))
            v.store(builder.trunc(direction, _BYTES), v.place(kept, to, kind=_BYTES))
        return context.get_dummy_value()

    return generate


def _carry_origins(
    v: _Vectors, origins: Any, at: tuple[Any, Any], here: Any, holds: dict[int, Any], better: Any
) -> None:
    """Where the cell's paths begin, by the choices of ``esa.align.extend.banded.trace``.

    at: index of the cell's column, and of what goes with the row.
    here: the cell itself, for a path that begins here.
    holds: each direction of the cell.
    better: whether the cell's total is the row's best so far.
    """
    cell, extra = at
    places = [v.place(origins, cell, k * LANES) for k in range(3)]
    pair, insertion, deletion = map(v.load, places)
    next_pair, next_insertion = (v.load(v.place(origins, cell, _CELL + k * LANES)) for k in range(2))
    running_place, top_place = (v.place(origins, extra, k) for k in (_RUNNING, _TOP))
    running = v.load(running_place)
    origin = v.choose(holds[FROM_DELETION], deletion, here)
    origin = v.choose(holds[FROM_INSERTION], insertion, origin)
    origin = v.choose(holds[FROM_PAIR], pair, origin)
    v.store(origin, places[0])
    v.store(v.choose(holds[INSERTION_OPENS], next_pair, next_insertion), places[1])
    v.store(running, places[2])
    v.store(v.choose(holds[DELETION_OPENS], origin, running), running_place)
    v.store(v.choose(better, origin, v.load(top_place)), top_place)


@intrinsic
def _advance_directions(
    _context: Any, state: Any, directions: Any, window: Any, row: Any, column: Any, columns: Any
) -> tuple[Any, Generator]:
    """`_cell_step` that keeps directions."""
    return types.none(state, directions, window, row, column, columns), _cell_step(with_origins=False)


@intrinsic
def _advance_origins(
    _context: Any, state: Any, origins: Any, window: Any, row: Any, column: Any, columns: Any
) -> tuple[Any, Generator]:
    """`_cell_step` that carries origins."""
    return types.none(state, origins, window, row, column, columns), _cell_step(with_origins=True)


@intrinsic
def _end_row(
    _context: Any, state: Any, origins: Any, extra: Any, best: Any, lengths: Any, row: Any
) -> tuple[Any, Generator]:
    """Keep the best total of every lane, where it ends, and its origin, after a row; as in ``align_banded``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        v = _Vectors(builder)
        state, origins, best, lengths = (
            first_item(context, builder, signature, arguments, k) for k in (0, 1, 3, 4)
        )
        extra, zero = arguments[2], ir.Constant(arguments[2].type, 0)
        row = v.spread(arguments[5])
        length = v.load(v.place(lengths, zero))
        last = v.compare("==", length, builder.add(row, _all(1)))
        total = v.load(v.place(state, extra, _TOP))
        total = builder.add(total, v.choose(last, _all(END_BONUS), _all(0)))
        known = v.load(v.place(best, zero, _BEST))
        # At equal totals the path that reaches the end of the read wins over a clipped one.
        wins = builder.or_(v.compare(">", total, known), builder.and_(last, v.compare("==", total, known)))
        wins = builder.and_(wins, v.compare("<", row, length))
        column, origin = v.load(v.place(state, extra, _COLUMN)), v.load(v.place(origins, extra, _TOP))
        results = ((_BEST, total), (_END_ROW, row), (_END_COLUMN, column), (_ORIGIN, origin))
        for k, value in results:
            place = v.place(best, zero, k)
            v.store(v.choose(wins, value, v.load(place)), place)
        return context.get_dummy_value()

    return types.none(state, origins, extra, best, lengths, row), generate


@inline_njit
def _align(lanes: Lanes, rows: Int, columns: Int, with_origins: Bool) -> None:
    state, codes = lanes.state, lanes.codes
    extra = (columns + 1) * _CELL
    state[: extra + _EXTRA] = IMPOSSIBLE
    lanes.origins[: extra + _EXTRA] = 0
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
        if with_origins:
            for b in range(columns):
                _advance_origins(state, lanes.origins, lanes.window, i, b, columns)
        else:
            for b in range(columns):
                _advance_directions(state, lanes.directions, lanes.window, i, b, columns)
        _end_row(state, lanes.origins, extra, lanes.best, lanes.lengths, i)


@inline_njit
def fill_lanes(lanes: Lanes, rows: Int, columns: Int) -> None:
    """Align the pairs in ``lanes`` and keep the directions; ``rows``: the longest query, ``columns``: the widest band.

    No N, and nothing beyond a contig, may be among them. Afterwards `result_of` and `trace_lane` describe each lane.
    """
    _align(lanes, rows, columns, False)


@inline_njit
def score_lanes(lanes: Lanes, rows: Int, columns: Int) -> None:
    """`fill_lanes` without directions: afterwards `result_of` and `origin_of` describe each lane.

    ``rows * columns`` is `MAX_ORIGINS` at most.
    """
    _align(lanes, rows, columns, True)


@inline_njit
def result_of(lanes: Lanes, lane: Int) -> tuple[Int, Int, Int]:
    """(Best total, end bonuses included, and the row and column where its path ends) of a lane."""
    best = lanes.best
    return np.int64(best[_BEST + lane]), np.int64(best[_END_ROW + lane]), np.int64(best[_END_COLUMN + lane])


@inline_njit
def origin_of(lanes: Lanes, lane: Int, columns: Int) -> tuple[Int, Int]:
    """(First query base, its column) of a lane's best path, after `score_lanes`."""
    origin = np.int64(lanes.best[_ORIGIN + lane]) & (MAX_ORIGINS - 1)
    return origin // columns, origin % columns


@inline_njit(forceinline=False)
def trace_lane(lanes: Lanes, lane: Int, columns: Int, i: Int, b: Int, ops: U8Array) -> tuple[Int, Int, Int]:
    """`esa.align.extend.banded.trace` of a lane, after `fill_lanes`."""
    return trace(lanes.directions[lane:], LANES, columns, i, b, ops)
