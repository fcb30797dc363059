"""The loop over rounds of banded alignments that verification and mate rescue share.

Each row of a `BandTable` is a read at a place with its `esa.align.extend.band_state.BandState`. A round asks every row
which band it wants next, and aligns all that want one side by side (`esa.align.extend.gapped.score_tasks`). A row that
wants none is done and leaves the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from esa.align.extend.band_state import BAND_STATE_FIELDS, Place, after_band, put_state, state_at
from esa.align.extend.gapped import make_tasks, result_of_task, score_tasks
from esa.align.loci import Reads, Reference
from esa.kernels.arrays import I32Array, I64Array, Int, U8Array
from esa.kernels.decorator import inline_njit, njit


class BandTable(NamedTuple):
    """Reads at places, with how far each is aligned there; arrays of one length.

    read: ``int32``, row of the batch.
    diagonal, reverse, contig: the place, with the dtypes of `esa.align.loci.Candidates`.
    states: ``int64[rows, BAND_STATE_FIELDS]``, the `BandState` of each.
    """

    read: I32Array
    diagonal: I64Array
    reverse: U8Array
    contig: I32Array
    states: I64Array


@njit
def make_states(rows: Int) -> I64Array:
    """States that want no band."""
    return np.zeros((rows, BAND_STATE_FIELDS), np.int64)


@inline_njit
def place_of(table: BandTable, row: Int) -> Place:
    """The place of a row."""
    return Place(table.diagonal[row], np.int64(table.reverse[row]), np.int64(table.contig[row]))


@njit(inline="always")
def keep_wanting(next_band_of: Callable[[Any, Int], Int], run: Any, rows: I64Array, bands: I64Array) -> Int:
    """Ask every row for its next band; returns how many want one, which with their bands come first afterwards.

    Args:
        next_band_of: kernel ``(run, row) -> half-width`` of the band that a row wants next; 0: none ever. It may first
            replace the row's place and state by another one to be aligned.
        run: its first argument.
        rows, bands: ``int64``, overwritten.
    """
    count = 0
    for x in range(len(rows)):
        band = next_band_of(run, rows[x])
        if band:
            rows[count], bands[count] = rows[x], band
            count += 1
    return count


@njit(inline="always")
def align_until_done(
    next_bands: Callable[[Any, I64Array, I64Array], Int],
    run: Any,
    rows: I64Array,
    table: BandTable,
    reads: Reads,
    reference: Reference,
) -> None:
    """Align rows of a table with gaps until none of them wants another band.

    Args:
        next_bands: kernel ``(run, rows, bands) -> count``, `keep_wanting` of some rows. It is an inline kernel, so that
            no references to the arrays of ``run`` are counted for each row.
        run: its first argument.
        rows: ``int64``, the rows to begin with; overwritten.
        table, reads, reference: the rows, the batch that they belong to, and the reference.
    """
    bands = np.empty(len(rows), np.int64)
    while len(rows):
        count = next_bands(run, rows, bands)
        rows = rows[:count]
        if count:
            _align_round(rows, bands, table, reads, reference)


@njit
def _align_round(
    rows: I64Array, bands: I64Array, table: BandTable, reads: Reads, reference: Reference
) -> None:
    """Align rows within their bands and go on to the states after these."""
    tasks = make_tasks(len(rows))
    for t in range(len(rows)):
        row = rows[t]
        tasks.read[t], tasks.band[t] = table.read[row], bands[t]
        tasks.diagonal[t], tasks.reverse[t] = table.diagonal[row], table.reverse[row]
        tasks.contig[t], tasks.to_beat[t] = table.contig[row], state_at(table.states, row).total
    done = score_tasks(tasks, len(rows), reads.codes, reads.offsets, reference)
    for t in range(len(rows)):
        row, read = rows[t], table.read[rows[t]]
        length = reads.offsets[read + 1] - reads.offsets[read]
        state = after_band(state_at(table.states, row), length, bands[t], result_of_task(done, t))
        put_state(table.states, row, state)
