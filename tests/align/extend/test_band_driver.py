"""`esa.align.extend.band_driver`: rows aligned in rounds end where the full dynamic programme does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from align_oracles import (
    BONUS,
    OUTSIDE,
    Codes,
    best_by_ends,
    best_total,
    make_genome,
    mutate,
    offsets_of,
    reference_of,
)

from esa.align.extend.band_driver import BandTable, align_until_done, keep_wanting, make_states, place_of
from esa.align.extend.band_state import FIRST_BAND, BandState, next_band, put_state, state_at
from esa.align.loci import Reads, Reference
from esa.kernels.arrays import I64Array, Int
from esa.kernels.decorator import inline_njit, njit
from esa.sequence import dna
from esa.sequence.genome import Genome

GAP_OPEN = 6
REACH = 15
ANY = -1000


class Run(NamedTuple):
    """states: of the table; asked: how often each row was asked for a band; min_total: of `next_band`."""

    states: I64Array
    asked: I64Array
    min_total: int


@inline_njit
def band_wanted(run: Run, row: Int) -> Int:
    """The next band of a row, which is counted."""
    run.asked[row] += 1
    return next_band(state_at(run.states, row), run.min_total)


@inline_njit
def bands_wanted(run: Run, rows: I64Array, bands: I64Array) -> Int:
    """Of all rows."""
    return keep_wanting(band_wanted, run, rows, bands)


@njit
def align_all(run: Run, rows: I64Array, table: BandTable, reads: Reads, reference: Reference) -> None:
    """`align_until_done` of these rows."""
    align_until_done(bands_wanted, run, rows, table, reads, reference)


@inline_njit
def band_of(bands: I64Array, row: Int) -> Int:
    """A band that a table has."""
    return bands[row]


@njit
def wanting(known: I64Array, rows: I64Array, bands: I64Array) -> Int:
    """`keep_wanting` of known bands."""
    return keep_wanting(band_of, known, rows, bands)


def test_those_that_want_a_band_come_first_in_their_order() -> None:
    known = np.array([0, 8, 0, 3, 5, 0])
    rows, bands = np.array([5, 4, 0, 3, 1]), np.zeros(5, np.int64)
    count = wanting(known, rows, bands)
    assert rows[:count].tolist() == [4, 3, 1]
    assert bands[:count].tolist() == [5, 3, 8]
    assert wanting(known, np.array([0, 2, 5]), np.zeros(3, np.int64)) == 0
    assert wanting(known, np.empty(0, np.int64), np.empty(0, np.int64)) == 0


@pytest.fixture(scope="module")
def genome() -> Genome:
    rng = np.random.default_rng(4)
    return make_genome([rng.integers(0, 4, n).astype(np.uint8) for n in (500, 300)])


class Row(NamedTuple):
    """A read as sequenced, and where it is aligned."""

    read: Codes
    diagonal: int
    reverse: int
    contig: int


def random_row(rng: np.random.Generator, genome: Genome) -> Row:
    """Of a read with edits, near its place or over the end of a contig."""
    contig = int(rng.integers(len(genome.names)))
    n = int(rng.integers(30, 50))
    start = int(rng.integers(genome.offsets[contig], genome.offsets[contig + 1] - n))
    read = mutate(rng, genome.fetch(start, start + n), int(rng.integers(0, 4)), int(rng.integers(0, 3)), 12)
    reverse = int(rng.integers(2))
    return Row(dna.reverse_complement(read) if reverse else read, start, reverse, contig)


def best_in_band(row: Row, genome: Genome, band: int) -> int:
    """By full dynamic programming."""
    query = dna.reverse_complement(row.read) if row.reverse else row.read
    start, end = genome.offsets[row.contig], genome.offsets[row.contig + 1]
    places = range(row.diagonal - band, row.diagonal + len(query) + band)
    window = [int(genome.fetch(at, at + 1)[0]) if start <= at < end else OUTSIDE for at in places]
    return best_total(best_by_ends(query.tolist(), window, 0, 2 * band))


class Aligned(NamedTuple):
    """The table after the rounds, and how often each row was asked."""

    table: BandTable
    asked: I64Array

    def state(self, row: int) -> BandState:
        return state_at(self.table.states, row)


def aligned(rows: list[Row], genome: Genome, reach: list[int], min_total: int, which: list[int]) -> Aligned:
    """Align some rows of a table from nothing; ``reach``: longest gap of each."""
    table = BandTable(
        np.arange(len(rows), dtype=np.int32),
        np.array([row.diagonal for row in rows], np.int64),
        np.array([row.reverse for row in rows], np.uint8),
        np.array([row.contig for row in rows], np.int32),
        make_states(len(rows)),
    )
    for i, row in enumerate(rows):
        assert tuple(place_of(table, i)) == (row.diagonal, row.reverse, row.contig)
        put_state(table.states, i, BandState(0, 0, 0, row.diagonal, row.diagonal, 0, 0, reach[i]))
    codes = np.concatenate([row.read for row in rows])
    reads = Reads(codes, offsets_of([row.read for row in rows]), np.zeros(len(rows), np.uint64))
    run = Run(table.states, np.zeros(len(rows), np.int64), min_total)
    align_all(run, np.array(which, np.int64), table, reads, reference_of(genome))
    return Aligned(table, run.asked)


def test_all_rows_end_with_the_best_of_their_widest_band(genome: Genome) -> None:
    rng = np.random.default_rng(5)
    rows = [random_row(rng, genome) for _ in range(24)]
    reach = rng.choice([1, FIRST_BAND, REACH], len(rows)).tolist()
    done = aligned(rows, genome, reach, ANY, list(range(len(rows))))
    bands = set()
    for i, row in enumerate(rows):
        state = done.state(i)
        assert state.total == best_in_band(row, genome, reach[i])
        assert state.band <= state.tried <= reach[i]
        assert next_band(state, ANY) == 0
        # A wider band is tried if a gap as long could still beat the total of the first one.
        first = min(reach[i], FIRST_BAND)
        longest = len(row.read) + 2 * BONUS - best_in_band(row, genome, first) - 1 - GAP_OPEN
        wider = min(longest, reach[i])
        assert state.tried == max(first, wider)
        # Once for each band tried, and once more to be told that none is left.
        assert done.asked[i] == len({first, state.tried}) + 1
        bands.add(state.tried)
    assert bands >= {1, FIRST_BAND, REACH}


def test_rows_that_want_no_band_or_are_not_named_stay_as_they_are(genome: Genome) -> None:
    rng = np.random.default_rng(6)
    rows = [random_row(rng, genome) for _ in range(6)]
    done = aligned(rows, genome, [0, REACH] * 3, ANY, [0, 1, 4, 5])
    untouched = [0, 2, 3, 4]
    for i in untouched:
        assert done.state(i).total == done.state(i).tried == 0
    assert [done.state(i).total for i in (1, 5)] == [best_in_band(rows[i], genome, REACH) for i in (1, 5)]
    assert done.asked[[2, 3]].tolist() == [0, 0]
    assert done.asked[[0, 4]].tolist() == [1, 1]


def test_a_row_without_a_total_with_short_gaps_is_not_aligned_with_long_ones(genome: Genome) -> None:
    rng = np.random.default_rng(8)
    rows = [random_row(rng, genome) for _ in range(12)]
    everything = list(range(len(rows)))
    done = aligned(rows, genome, [REACH] * len(rows), 10_000, everything)
    for i in everything:
        assert done.state(i).tried == FIRST_BAND
        assert done.state(i).total == best_in_band(rows[i], genome, FIRST_BAND)
