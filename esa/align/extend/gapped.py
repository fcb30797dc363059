"""Alignment with gaps about a diagonal: one read, or many side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.extend.banded import OUTSIDE, align_banded, fill_profile, trace
from esa.align.extend.lanes import LANES, LONGEST, Lanes, fill_lanes, make_lanes, result_of, trace_lane
from esa.align.extend.mismatch_masks import Strands, is_plain, make_strands, orient, query_on, words_for
from esa.kernels.decorator import inline_njit, njit
from esa.sequence.dna import N, base_at, unpack

FEWEST_LANES = 4
"""Fewer pairs of about one band are aligned one by one, which is then quicker."""

BAND_CLASSES = (8, 12, 18, 27, 40, 60)
"""Half-widths up to which bands go into lanes together. Wide ones are each asked for once or twice; but all lanes take
as long as the widest."""


class Scratch(NamedTuple):
    """Buffers of one kernel call, for reads of up to a length and bands of up to a half-width."""

    window: NDArray[np.uint8]
    marks: NDArray[np.uint64]
    profile: NDArray[np.int32]
    matched: NDArray[np.int32]
    inserted: NDArray[np.int32]
    deleted: NDArray[np.int32]
    ops: NDArray[np.uint8]


@njit
def make_scratch(longest, max_gap):  # type: ignore[no-untyped-def]
    """`Scratch` for reads of up to ``longest`` bases."""
    width = longest + 2 * max_gap
    shape = (longest + 1, 2 * max_gap + 2)
    return Scratch(
        np.empty(width, np.uint8),
        np.empty(words_for(longest), np.uint64),
        np.empty((5, width), np.int32),
        np.empty(shape, np.int32),
        np.empty(shape, np.int32),
        np.empty(shape, np.int32),
        np.empty(longest + width, np.uint8),
    )


@inline_njit(forceinline=False)
def load_window(reference, contig, start, width, window):  # type: ignore[no-untyped-def]
    """Bases ``[start, start + width)`` (global) into ``window``, `OUTSIDE` where the contig has none."""
    lo = min(max(start, reference.offsets[contig]), start + width)
    hi = max(min(start + width, reference.offsets[contig + 1]), lo)
    window[: lo - start] = OUTSIDE
    window[hi - start : width] = OUTSIDE
    if lo < hi:
        unpack(reference.packed, reference.n_starts, reference.n_ends, lo, hi, window[lo - start :])


@inline_njit(forceinline=False)
def align_gapped(query, reference, contig, diagonal, band, scratch):  # type: ignore[no-untyped-def]
    """Best alignment within ``band`` of a diagonal.

    Returns (total, query begin, query end, global start, global end, number of operations); the operations are
    in ``scratch.ops``, last first (`esa.align.extend.banded.trace`).
    """
    codes = query.codes
    n = len(codes)
    columns = 2 * band + 1
    origin = diagonal - band
    load_window(reference, contig, origin, n + 2 * band, scratch.window)
    fill_profile(scratch.window, n + 2 * band, scratch.profile)
    bands = (scratch.matched[: n + 1], scratch.inserted[: n + 1], scratch.deleted[: n + 1])
    total, last, column = align_banded(codes, scratch.profile, columns, *bands)
    count, first, first_column = trace(codes, scratch.profile, *bands, last, column, scratch.ops)
    return total, first, last + 1, origin + first + first_column, origin + last + column + 1, count


class Tasks(NamedTuple):
    """Alignments to make: of read ``read`` (``int32``) of a batch about a diagonal of a contig, as in
    `esa.align.loci.Candidates`, within ``band`` (``int32``)."""

    read: NDArray[np.int32]
    reverse: NDArray[np.uint8]
    contig: NDArray[np.int32]
    diagonal: NDArray[np.int64]
    band: NDArray[np.int32]


class Gapped(NamedTuple):
    """What `align_gapped` returns for each of some tasks.

    ops: the operations of task t are ``ops[ops_offsets[t]:][:steps[t]]``, last first.
    """

    total: NDArray[np.int32]
    begin: NDArray[np.int32]
    stop: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    steps: NDArray[np.int32]
    ops: NDArray[np.uint8]
    ops_offsets: NDArray[np.int64]


@inline_njit
def result_of_task(done, t):  # type: ignore[no-untyped-def]
    """(Total, query begin, query end, global start, global end) of a task, as `align_gapped` returns them."""
    return (
        np.int64(done.total[t]), np.int64(done.begin[t]), np.int64(done.stop[t]), done.start[t], done.end[t]
    )  # fmt: skip


@njit
def make_tasks(room):  # type: ignore[no-untyped-def]
    """Room for so many `Tasks`."""
    return Tasks(
        np.empty(room, np.int32),
        np.empty(room, np.uint8),
        np.empty(room, np.int32),
        np.empty(room, np.int64),
        np.empty(room, np.int32),
    )


class _Room(NamedTuple):
    """Buffers of `align_tasks`. ``task``: ``int64[LANES]``, the one in each lane."""

    strands: Strands
    scratch: Scratch
    lanes: Lanes
    task: NDArray[np.int64]


@inline_njit
def _class_of(band):  # type: ignore[no-untyped-def]
    """The first of `BAND_CLASSES` that is no less than a band; beyond the last each is by itself."""
    for widest in BAND_CLASSES:
        if band <= widest:
            return np.int64(widest)
    return np.int64(band)


@njit
def align_tasks(tasks, count, codes, offsets, reference):  # type: ignore[no-untyped-def]
    """`Gapped` of the first ``count`` tasks, for reads ``codes`` at ``offsets``."""
    ops_offsets = np.zeros(count + 1, np.int64)
    keys = np.empty(count, np.int64)
    longest, rows = 1, 1
    widest = np.int64(0)
    for t in range(count):
        n = offsets[tasks.read[t] + 1] - offsets[tasks.read[t]]
        band = np.int64(tasks.band[t])
        # However often a path crosses the band: it deletes what it inserts, and 2 * band bases more, at most.
        ops_offsets[t + 1] = ops_offsets[t] + 2 * n + 2 * band
        keys[t] = (_class_of(band) << 32) | n
        longest = max(longest, n)
        widest = max(widest, band)
        if n <= LONGEST:
            rows = max(rows, n)
    done = Gapped(
        np.empty(count, np.int32),
        np.empty(count, np.int32),
        np.empty(count, np.int32),
        np.empty(count, np.int64),
        np.empty(count, np.int64),
        np.empty(count, np.int32),
        np.empty(ops_offsets[-1], np.uint8),
        ops_offsets,
    )
    if count:
        # Together what has about one band and one length.
        order = np.argsort(keys)
        room = _Room(
            make_strands(longest),
            make_scratch(longest, widest),
            make_lanes(rows, 2 * widest + 1),
            np.empty(LANES, np.int64),
        )
        _align_in_order(tasks, order, codes, offsets, reference, room, done)
    return done


@inline_njit
def _align_in_order(tasks, order, codes, offsets, reference, room, done):  # type: ignore[no-untyped-def]
    used = 0
    for x in range(len(order)):
        t = order[x]
        if used and (used == LANES or _class_of(tasks.band[t]) != _class_of(tasks.band[room.task[0]])):
            _finish_lanes(tasks, used, codes, offsets, reference, room, done)
            used = 0
        if _load_lane(tasks, t, codes, offsets, reference, room.lanes, used):
            room.task[used] = t
            used += 1
        else:
            _align_alone(tasks, t, codes, offsets, reference, room, done)
    if used:
        _finish_lanes(tasks, used, codes, offsets, reference, room, done)


@inline_njit
def _load_lane(tasks, t, codes, offsets, reference, lanes, lane):  # type: ignore[no-untyped-def]
    """Put a task into a lane, if it can be aligned there."""
    read, band = tasks.read[t], tasks.band[t]
    n = offsets[read + 1] - offsets[read]
    origin, width = tasks.diagonal[t] - band, n + 2 * band
    if n > LONGEST or not is_plain(reference, tasks.contig[t], origin, origin + width):
        return False
    sequence = codes[offsets[read] : offsets[read + 1]]
    seen = np.uint8(0)
    for i in range(n):
        base = sequence[n - 1 - i] if tasks.reverse[t] else sequence[i]
        seen |= base
        lanes.codes[i * LANES + lane] = 3 - base if tasks.reverse[t] else base
    if seen >= N:
        return False
    for j in range(width):
        lanes.window[j * LANES + lane] = base_at(reference.packed, origin + j)
    lanes.lengths[lane] = n
    lanes.widths[lane] = 2 * band + 1
    return True


@inline_njit
def _finish_lanes(tasks, used, codes, offsets, reference, room, done):  # type: ignore[no-untyped-def]
    """Align what the first ``used`` lanes hold: tasks of one class of bands, the last one the longest."""
    lanes = room.lanes
    if used < FEWEST_LANES:
        for lane in range(used):
            _align_alone(tasks, room.task[lane], codes, offsets, reference, room, done)
        return
    lanes.lengths[used:] = 0
    columns = np.int64(0)
    for lane in range(used):
        columns = max(columns, np.int64(lanes.widths[lane]))
    fill_lanes(lanes, np.int64(lanes.lengths[used - 1]), columns)
    for lane in range(used):
        t = room.task[lane]
        total, last, column = result_of(lanes, lane)
        count, first, first_column = trace_lane(
            lanes, lane, columns, last, column, done.ops[done.ops_offsets[t] :]
        )
        origin = tasks.diagonal[t] - tasks.band[t]
        _keep(
            done,
            t,
            (total, first, last + 1, origin + first + first_column, origin + last + column + 1, count),
        )


@inline_njit
def _align_alone(tasks, t, codes, offsets, reference, room, done):  # type: ignore[no-untyped-def]
    begin, end = offsets[tasks.read[t]], offsets[tasks.read[t] + 1]
    orient(codes, begin, end, room.strands)
    query = query_on(room.strands, end - begin, tasks.reverse[t])
    result = align_gapped(
        query, reference, tasks.contig[t], tasks.diagonal[t], np.int64(tasks.band[t]), room.scratch
    )
    _keep(done, t, result)
    ops = done.ops[done.ops_offsets[t] :]
    for x in range(result[5]):
        ops[x] = room.scratch.ops[x]


@inline_njit
def _keep(done, t, result):  # type: ignore[no-untyped-def]
    done.total[t], done.begin[t], done.stop[t] = result[0], result[1], result[2]
    done.start[t], done.end[t], done.steps[t] = result[3], result[4], result[5]
