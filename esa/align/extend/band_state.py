"""The alignment of a read at one place: wider and wider bands until none can do better, then a locus."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.align.extend.banded import local_score_of_path
from esa.align.extend.gapped import align_gapped, load_window, result_of_task
from esa.align.extend.mismatch_masks import extend_marked, local_score_marked, mark_mismatches
from esa.align.extend.ungapped import extend_ungapped, gap_gain, local_score
from esa.align.loci import Locus, offer
from esa.align.scoring import END_BONUS, GAP_EXTEND, GAP_OPEN, MATCH
from esa.kernels.decorator import inline_njit
from esa.sequence.dna import unpack

SHORT_READ = 60
"""Reads of fewer bases are reported from a proportionally lower score up."""
LEAST_EVIDENCE = 19
"""In a whole genome unrelated sequence often scores less: no read is so short that this would do, unless asked for."""

FIRST_BAND = 8
"""Half-width of the band that is tried first: indels are mostly short."""

FILTERED_REACH = 18
"""Longest possible gap up to which `gap_gain` costs less than the bands that it may save."""


@inline_njit
def min_score_of(length, min_score):  # type: ignore[no-untyped-def]
    """Score from which an alignment of a read is reported: ``min_score``, scaled down for short reads as far as
    `LEAST_EVIDENCE`."""
    return min(min_score, max(LEAST_EVIDENCE, min_score * length // SHORT_READ))


@inline_njit
def score_of(total, begin, end, length):  # type: ignore[no-untyped-def]
    """Alignment score of a total: without the bonuses of the ends reached."""
    return total - (END_BONUS if begin == 0 else 0) - (END_BONUS if end == length else 0)


@inline_njit
def _load_diagonal(reference, contig, diagonal, n, window):  # type: ignore[no-untyped-def]
    """Bases of the contig on a diagonal into ``window``; (first, end) of the query that they pair with."""
    lo = min(n, max(0, reference.offsets[contig] - diagonal))
    hi = max(lo, min(n, reference.offsets[contig + 1] - diagonal))
    if lo < hi:
        unpack(reference.packed, reference.n_starts, reference.n_ends, diagonal + lo, diagonal + hi, window)
    return lo, hi


@inline_njit
def score_ungapped(query, reference, contig, diagonal, scratch):  # type: ignore[no-untyped-def]
    """Total and query interval of the best ungapped alignment on a diagonal (`extend_ungapped`)."""
    mismatches = mark_mismatches(query, reference, contig, diagonal, scratch.marks)
    return score_marked(query, reference, contig, diagonal, mismatches, scratch)


@inline_njit
def score_marked(query, reference, contig, diagonal, mismatches, scratch):  # type: ignore[no-untyped-def]
    """`score_ungapped` after `mark_mismatches` has returned ``mismatches``."""
    n = len(query.codes)
    if mismatches >= 0:
        return extend_marked(scratch.marks, mismatches, n)
    lo, hi = _load_diagonal(reference, contig, diagonal, n, scratch.window)
    return extend_ungapped(query.codes, scratch.window, -lo, lo, hi)


@inline_njit
def band_for(length, total, max_gap):  # type: ignore[no-untyped-def]
    """Longest gap with which an alignment of a read could beat ``total``, within ``max_gap``."""
    return min(max_gap, (length * MATCH + 2 * END_BONUS - total - 1 - GAP_OPEN) // GAP_EXTEND)


class BandState(NamedTuple):
    """The best alignment found so far of a read at a place, and what may still be tried.

    total: with the bonuses of the ends reached.
    begin, stop: query interval in the orientation that aligns.
    start, end: global interval of the reference.
    band: half-width of the band that holds it; 0: no gaps.
    tried: half-width of the widest band tried.
    reach: longest gap with which an alignment could be better.
    """

    total: int
    begin: int
    stop: int
    start: int
    end: int
    band: int
    tried: int
    reach: int


BAND_STATE_FIELDS = len(BandState._fields)


@inline_njit
def state_at(states, i):  # type: ignore[no-untyped-def]
    """The `BandState` in row i of ``int64[rows, BAND_STATE_FIELDS]``."""
    t = states[i]
    return BandState(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7])


@inline_njit
def put_state(states, i, state):  # type: ignore[no-untyped-def]
    """The inverse of `state_at`."""
    t = states[i]
    t[0], t[1], t[2], t[3] = state.total, state.begin, state.stop, state.start
    t[4], t[5], t[6], t[7] = state.end, state.band, state.tried, state.reach


@inline_njit
def ungapped_state(query, reference, place, ungapped, max_gap, scratch):  # type: ignore[no-untyped-def]
    """The `BandState` without gaps at a place (diagonal, strand, contig), of which ``ungapped`` is the
    `score_ungapped`."""
    diagonal, _, contig = place
    total, begin, stop = ungapped
    n = len(query.codes)
    reach = band_for(n, total, max_gap)
    if 0 < reach <= FILTERED_REACH and begin == 0 and stop == n:
        load_window(reference, contig, diagonal - reach, n + 2 * reach, scratch.window)
        if gap_gain(query.codes, scratch.window[: n + 2 * reach], reach, reach) == 0:
            reach = 0
    return BandState(total, begin, stop, diagonal + begin, diagonal + stop, 0, 0, reach)


@inline_njit
def next_band(state, least):  # type: ignore[no-untyped-def]
    """Half-width of the band to try next; 0: none.

    A narrow band first: what it finds mostly proves that no longer gap can do better. Heuristic: what has no total of
    ``least`` with short gaps is not aligned with long ones.
    """
    if state.tried >= state.reach:
        return 0
    if state.tried == 0:
        return min(state.reach, FIRST_BAND)
    return state.reach if state.total >= least else 0


@inline_njit
def after_band(state, n, band, gapped):  # type: ignore[no-untyped-def]
    """The state of a read of n bases after a band; ``gapped``: what `align_gapped` returns."""
    if gapped[0] <= state.total:
        return BandState(
            state.total, state.begin, state.stop, state.start, state.end, state.band, band, state.reach
        )
    total = gapped[0]
    return BandState(
        total, gapped[1], gapped[2], gapped[3], gapped[4], band, band, band_for(n, total, state.reach)
    )


@inline_njit
def take_task(states, i, n, tasks, done, t):  # type: ignore[no-untyped-def]
    """Go on from the state in row i, of a read of n bases, to that after task t
    (`esa.align.extend.gapped.align_tasks`)."""
    after = after_band(state_at(states, i), n, np.int64(tasks.band[t]), result_of_task(done, t))
    put_state(states, i, after)


@inline_njit
def locus_of(state, place, n):  # type: ignore[no-untyped-def]
    """The locus of a read of n bases at a place; its best part is not looked at."""
    diagonal, reverse, contig = place
    score = score_of(state.total, state.begin, state.stop, n)
    begin, stop = (n - state.stop, n - state.begin) if reverse else (state.begin, state.stop)
    return Locus(score, diagonal, reverse, contig, state.start, state.end, state.band, begin, stop, score)


class Thresholds(NamedTuple):
    """What is asked of a locus of a read.

    held: of its best part, to be a locus at all.
    sure: heuristic: from this score up the best part is not looked at.
    """

    held: int
    sure: int


@inline_njit
def thresholds_of(length, min_score, min_rescued_score):  # type: ignore[no-untyped-def]
    """`Thresholds` of a read, of the least score and that in a proper pair."""
    return Thresholds(min(min_score_of(length, min_score), min_rescued_score), min_score + 2 * END_BONUS)


@inline_njit
def _local_score_of(query, reference, place, state, scratch):  # type: ignore[no-untyped-def]
    """Score of the best part of an alignment."""
    diagonal, _, contig = place
    if state.band == 0:
        if mark_mismatches(query, reference, contig, diagonal, scratch.marks) >= 0:
            return local_score_marked(scratch.marks, state.begin, state.stop)
        lo, _ = _load_diagonal(reference, contig, diagonal, len(query.codes), scratch.window)
        return local_score(query.codes, scratch.window, -lo, state.begin, state.stop)
    _, first, _, start, _, count = align_gapped(query, reference, contig, diagonal, state.band, scratch)
    return local_score_of_path(
        query.codes, scratch.profile, scratch.ops[:count], first, start - (diagonal - state.band)
    )


@inline_njit
def needs_local_score(score, least):  # type: ignore[no-untyped-def]
    """Whether the best part of an alignment tells if it is a locus (`Thresholds`)."""
    return score < least.sure and score + 2 * END_BONUS >= least.held


@inline_njit
def offer_state(loci, r, query, place, state, reference, least, known, scratch):  # type: ignore[no-untyped-def]
    """Offer read r the locus of a state, if that scores enough; returns whether it does.

    ``least``: a `Thresholds`. ``known``: (salt, near, room, rescued) of `offer`.
    """
    locus = locus_of(state, place, len(query.codes))
    if needs_local_score(locus.score, least):
        locus = Locus(
            locus.score, locus.diagonal, locus.reverse, locus.contig, locus.start, locus.end, locus.band,
            locus.query_begin, locus.query_end, _local_score_of(query, reference, place, state, scratch),
        )  # fmt: skip
    if locus.part < least.held:
        return False
    salt, near, room, rescued = known
    offer(loci, r, locus, salt, near, room, rescued)
    return True
