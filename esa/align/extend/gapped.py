"""Alignment with gaps about a diagonal: one read, or many side by side.

`score_tasks` is for the choice of loci: totals and intervals. `align_tasks` is for the loci that are reported: it
gives operations, too. Both find the same alignments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.align.extend.banded import IMPOSSIBLE, OUTSIDE, Band, align_banded, fill_profile, trace
from esa.align.extend.lanes import (
    LANES,
    LONGEST,
    Lanes,
    fill_lanes,
    make_lanes,
    result_of,
    trace_lane,
)
from esa.align.extend.mismatch_masks import (
    Query,
    Strands,
    is_plain,
    make_strands,
    orient,
    query_on,
    words_for,
)
from esa.align.loci import Reference
from esa.kernels.arrays import Bool, I32Array, I64Array, Int, U8Array, U64Array
from esa.kernels.decorator import inline_njit, njit
from esa.sequence.dna import N, base_at, unpack

FEWEST_LANES = 4
"""Fewer pairs of about one band are aligned one by one, which is then quicker."""

BAND_CLASSES = (8, 12, 18, 27, 40, 60)
"""Half-widths up to which bands share lanes.

Few tasks ask for each of the wide ones, but all lanes take as long as the widest.
"""


class Scratch(NamedTuple):
    """Buffers of one kernel call, for reads of up to a length and bands of up to a half-width.

    window: ``uint8[length + 2 * half-width]``, base codes of the reference.
    marks: ``uint64``, see `esa.align.extend.mismatch_masks.mark_mismatches`.
    profile: ``int32[5, length + 2 * half-width]``, see `esa.align.extend.banded.fill_profile`.
    band: of `esa.align.extend.banded.align_banded`.
    ops: ``uint8``, operations of one alignment, last first.
    """

    window: U8Array
    marks: U64Array
    profile: I32Array
    band: Band
    ops: U8Array


@njit
def make_scratch(longest: Int, max_gap: Int) -> Scratch:
    """`Scratch` for reads of up to ``longest`` bases and bands of up to half-width ``max_gap``."""
    width = longest + 2 * max_gap
    shape = (longest + 1, 2 * max_gap + 2)
    return Scratch(
        np.empty(width, np.uint8),
        np.empty(words_for(longest), np.uint64),
        np.empty((5, width), np.int32),
        Band(np.empty(shape, np.int32), np.empty(shape, np.int32), np.empty(shape, np.int32)),
        np.empty(longest + width, np.uint8),
    )


@inline_njit(forceinline=False)
def load_window(reference: Reference, contig: Int, start: Int, width: Int, window: U8Array) -> None:
    """Bases ``[start, start + width)`` (global) into ``window``, `OUTSIDE` where the contig has none."""
    lo = min(max(start, reference.offsets[contig]), start + width)
    hi = max(min(start + width, reference.offsets[contig + 1]), lo)
    window[: lo - start] = OUTSIDE
    window[hi - start : width] = OUTSIDE
    if lo < hi:
        unpack(reference.packed, reference.n_starts, reference.n_ends, lo, hi, window[lo - start :])


class GappedAlignment(NamedTuple):
    """One alignment within a band.

    total: with the bonuses of the ends reached.
    begin, stop: query interval in the orientation that aligns.
    start, end: global interval of the reference.
    steps: number of operations.
    """

    total: Int
    begin: Int
    stop: Int
    start: Int
    end: Int
    steps: Int


@inline_njit(forceinline=False)
def align_gapped(
    query: Query, reference: Reference, contig: Int, diagonal: Int, band: Int, scratch: Scratch
) -> GappedAlignment:
    """Best alignment within ``band`` diagonals of a diagonal, on either side.

    Its operations are in ``scratch.ops``, last first (`esa.align.extend.banded.trace`); ``scratch.window`` holds the
    reference from ``diagonal - band`` on.
    """
    codes = query.codes
    n = len(codes)
    columns = 2 * band + 1
    origin = diagonal - band
    load_window(reference, contig, origin, n + 2 * band, scratch.window)
    fill_profile(scratch.window, n + 2 * band, scratch.profile)
    total, last, column = align_banded(codes, scratch.profile, columns, scratch.band)
    steps, first, first_column = trace(codes, scratch.profile, scratch.band, last, column, scratch.ops)
    return GappedAlignment(
        np.int64(total), first, last + 1, origin + first + first_column, origin + last + column + 1, steps
    )


class Tasks(NamedTuple):
    """Alignments with gaps to make, as arrays of one length.

    read: ``int32``, row of the batch.
    reverse, contig, diagonal: as in `esa.align.loci.Candidates`.
    band: ``int32``, half-width of the band about the diagonal.
    to_beat: ``int32``; of an alignment without a higher total only the total is needed.
    """

    read: I32Array
    reverse: U8Array
    contig: I32Array
    diagonal: I64Array
    band: I32Array
    to_beat: I32Array


class Gapped(NamedTuple):
    """A `GappedAlignment` for each of some tasks, as arrays.

    Where the total is not higher than `Tasks.to_beat`, ``begin``, ``start`` and ``steps`` may be undefined.

    ops: ``uint8``, the operations of task t are ``ops[ops_offsets[t]:][:steps[t]]``, last first; after `score_tasks`
        undefined, as are ``steps``.
    ops_offsets: ``int64[tasks + 1]``.
    """

    total: I32Array
    begin: I32Array
    stop: I32Array
    start: I64Array
    end: I64Array
    steps: I32Array
    ops: U8Array
    ops_offsets: I64Array


@inline_njit
def result_of_task(done: Gapped, t: Int) -> GappedAlignment:
    """The alignment of a task."""
    return GappedAlignment(
        np.int64(done.total[t]), np.int64(done.begin[t]), np.int64(done.stop[t]), done.start[t], done.end[t],
        np.int64(done.steps[t]),
    )  # fmt: skip


@njit
def make_tasks(count: Int) -> Tasks:
    """`Tasks` to be filled in, with nothing to beat."""
    return Tasks(
        np.empty(count, np.int32),
        np.empty(count, np.uint8),
        np.empty(count, np.int32),
        np.empty(count, np.int64),
        np.empty(count, np.int32),
        np.full(count, IMPOSSIBLE, np.int32),
    )


class _Buffers(NamedTuple):
    """What a run of tasks works with.

    strands, scratch, lanes: for the longest read and the widest band.
    task: ``int64[LANES]``, the one in each lane.
    scores_only: whether no operations are kept.
    """

    strands: Strands
    scratch: Scratch
    lanes: Lanes
    task: I64Array
    scores_only: bool


@inline_njit
def _class_of(band: Int) -> Int:
    """The first of `BAND_CLASSES` that is no less than a band; a wider band is a class of its own."""
    for widest in BAND_CLASSES:
        if band <= widest:
            return np.int64(widest)
    return np.int64(band)


@njit
def align_tasks(tasks: Tasks, count: Int, codes: U8Array, offsets: I64Array, reference: Reference) -> Gapped:
    """Align the first ``count`` tasks and keep their operations.

    ``codes`` (``uint8``) and ``offsets`` (``int64[reads + 1]``): the reads, as in `esa.align.loci.Reads`.
    """
    return _align_tasks(tasks, count, codes, offsets, reference, False)


@njit
def score_tasks(tasks: Tasks, count: Int, codes: U8Array, offsets: I64Array, reference: Reference) -> Gapped:
    """`align_tasks` without operations; a total that does not beat `Tasks.to_beat` is not traced.

    The others are: where the path begins and ends decides the local score, which the totals do not hold. Operations are
    not kept, since most of these loci are never reported. What is reported is traced once more by `align_tasks`.

    Against `align_tasks` the CPU time of verification was .95 times as long on simulated pairs (2x150) and as long on
    CEU pairs (2x76). That of mate rescue did not change (medians of seven runs in turns).
    """
    return _align_tasks(tasks, count, codes, offsets, reference, True)


@njit
def _align_tasks(
    tasks: Tasks, count: Int, codes: U8Array, offsets: I64Array, reference: Reference, scores_only: Bool
) -> Gapped:
    ops_offsets = np.zeros(count + 1, np.int64)
    keys = np.empty(count, np.int64)
    longest, rows = 1, 1
    widest = np.int64(0)
    for t in range(count):
        n = offsets[tasks.read[t] + 1] - offsets[tasks.read[t]]
        band = np.int64(tasks.band[t])
        # However often a path crosses the band: it deletes what it inserts, and 2 * band bases more, at most.
        ops_offsets[t + 1] = ops_offsets[t] + (0 if scores_only else 2 * n + 2 * band)
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
        # Tasks of about one band and one length go together.
        order = np.argsort(keys)
        buffers = _Buffers(
            make_strands(longest),
            make_scratch(longest, widest),
            make_lanes(rows, 2 * widest + 1),
            np.empty(LANES, np.int64),
            scores_only,
        )
        _align_in_order(tasks, order, codes, offsets, reference, buffers, done)
    return done


@inline_njit
def _align_in_order(
    tasks: Tasks,
    order: I64Array,
    codes: U8Array,
    offsets: I64Array,
    reference: Reference,
    buffers: _Buffers,
    done: Gapped,
) -> None:
    used = 0
    for x in range(len(order)):
        t = order[x]
        if used and (used == LANES or _class_of(tasks.band[t]) != _class_of(tasks.band[buffers.task[0]])):
            _finish_lanes(tasks, used, codes, offsets, reference, buffers, done)
            used = 0
        if _load_lane(tasks, t, codes, offsets, reference, buffers.lanes, used):
            buffers.task[used] = t
            used += 1
        else:
            _align_alone(tasks, t, codes, offsets, reference, buffers, done)
    if used:
        _finish_lanes(tasks, used, codes, offsets, reference, buffers, done)


@inline_njit
def _load_lane(
    tasks: Tasks, t: Int, codes: U8Array, offsets: I64Array, reference: Reference, lanes: Lanes, lane: Int
) -> Bool:
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
def _finish_lanes(
    tasks: Tasks,
    used: Int,
    codes: U8Array,
    offsets: I64Array,
    reference: Reference,
    buffers: _Buffers,
    done: Gapped,
) -> None:
    """Align what the first ``used`` lanes hold: tasks of one class of bands, the last one the longest."""
    lanes = buffers.lanes
    if used < FEWEST_LANES:
        for lane in range(used):
            _align_alone(tasks, buffers.task[lane], codes, offsets, reference, buffers, done)
        return
    lanes.lengths[used:] = 0
    columns = np.int64(0)
    for lane in range(used):
        columns = max(columns, np.int64(lanes.widths[lane]))
    rows = np.int64(lanes.lengths[used - 1])
    fill_lanes(lanes, rows, columns)
    for lane in range(used):
        t = buffers.task[lane]
        total, last, column = result_of(lanes, lane)
        steps, first, first_column = 0, 0, 0
        if total > tasks.to_beat[t]:
            ops = buffers.scratch.ops if buffers.scores_only else done.ops[done.ops_offsets[t] :]
            steps, first, first_column = trace_lane(lanes, lane, columns, last, column, ops)
        origin = tasks.diagonal[t] - tasks.band[t]
        start, end = origin + first + first_column, origin + last + column + 1
        _keep(done, t, GappedAlignment(total, first, last + 1, start, end, steps))


@inline_njit
def _align_alone(
    tasks: Tasks,
    t: Int,
    codes: U8Array,
    offsets: I64Array,
    reference: Reference,
    buffers: _Buffers,
    done: Gapped,
) -> None:
    begin, end = offsets[tasks.read[t]], offsets[tasks.read[t] + 1]
    orient(codes, begin, end, buffers.strands)
    query = query_on(buffers.strands, end - begin, tasks.reverse[t])
    result = align_gapped(
        query, reference, tasks.contig[t], tasks.diagonal[t], np.int64(tasks.band[t]), buffers.scratch
    )
    _keep(done, t, result)
    if not buffers.scores_only:
        ops = done.ops[done.ops_offsets[t] :]
        for x in range(result.steps):
            ops[x] = buffers.scratch.ops[x]


@inline_njit
def _keep(done: Gapped, t: Int, result: GappedAlignment) -> None:
    done.total[t], done.begin[t], done.stop[t] = result.total, result.begin, result.stop
    done.start[t], done.end[t], done.steps[t] = result.start, result.end, result.steps
