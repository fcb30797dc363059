"""The alignment of a read at one place: wider and wider bands until no wider one can be better, then a locus."""

from __future__ import annotations

from typing import NamedTuple

from esa.align.extend.banded import PAIR, local_score_of_path
from esa.align.extend.gapped import GappedAlignment, Scratch, align_gapped, load_window
from esa.align.extend.mismatch_masks import Query, extend_marked, local_score_marked, mark_mismatches
from esa.align.extend.ungapped import extend_ungapped, gap_gain
from esa.align.loci import Loci, Locus, OfferRules, Reference, offer
from esa.align.scoring import END_BONUS, GAP_EXTEND, GAP_OPEN, MATCH
from esa.kernels.arrays import Bool, I64Array, Int, U8Array
from esa.kernels.decorator import inline_njit
from esa.sequence.dna import unpack

SHORT_READ = 60
"""Reads of fewer bases are reported from a proportionally lower score up."""
MIN_SCALED_SCORE = 19
"""No read is so short that it is reported from a lower score, unless the user asks for one.

In a whole genome unrelated sequence often scores less.
"""

FIRST_BAND = 8
"""Half-width of the band that is tried first: indels are mostly short. Set by hand."""

FILTERED_REACH = 18
"""Longest possible gap up to which `gap_gain` costs less than the bands that it may save. Set by timing both."""


@inline_njit
def min_score_of(length: Int, min_score: Int) -> Int:
    """Score from which an alignment of a read of ``length`` bases is reported.

    That is ``min_score``, scaled down for short reads as far as `MIN_SCALED_SCORE`.
    """
    return min(min_score, max(MIN_SCALED_SCORE, min_score * length // SHORT_READ))


@inline_njit
def score_of(total: Int, begin: Int, end: Int, length: Int) -> Int:
    """Alignment score of a total: without the bonuses of the ends reached."""
    return total - (END_BONUS if begin == 0 else 0) - (END_BONUS if end == length else 0)


class Place(NamedTuple):
    """Where a read may align: see `esa.align.loci.Candidates`."""

    diagonal: Int
    reverse: Int
    contig: Int


class Site(NamedTuple):
    """A read at a place, and what it takes to align it there.

    query: the read in the place's orientation.
    scratch: buffers for it.
    """

    query: Query
    place: Place
    reference: Reference
    scratch: Scratch


class Ungapped(NamedTuple):
    """An alignment without gaps on a known diagonal.

    total: with the bonuses of the ends reached.
    begin, stop: query interval in the orientation that aligns; equal where nothing scores.
    """

    total: Int
    begin: Int
    stop: Int


@inline_njit
def _load_diagonal(
    reference: Reference, contig: Int, diagonal: Int, n: Int, window: U8Array
) -> tuple[Int, Int]:
    """Bases of the contig on a diagonal into ``window``; (first, end) of the query that they pair with."""
    lo = min(n, max(0, reference.offsets[contig] - diagonal))
    hi = max(lo, min(n, reference.offsets[contig + 1] - diagonal))
    if lo < hi:
        unpack(reference.packed, reference.n_starts, reference.n_ends, diagonal + lo, diagonal + hi, window)
    return lo, hi


@inline_njit
def score_ungapped(
    query: Query, reference: Reference, contig: Int, diagonal: Int, scratch: Scratch
) -> Ungapped:
    """The best ungapped alignment on a diagonal."""
    mismatches = mark_mismatches(query, reference, contig, diagonal, scratch.marks)
    return score_marked(query, reference, contig, diagonal, mismatches, scratch)


@inline_njit
def score_marked(
    query: Query, reference: Reference, contig: Int, diagonal: Int, mismatches: Int, scratch: Scratch
) -> Ungapped:
    """`score_ungapped` after `mark_mismatches` has returned ``mismatches``."""
    n = len(query.codes)
    if mismatches >= 0:
        total, begin, stop = extend_marked(scratch.marks, mismatches, n)
    else:
        lo, hi = _load_diagonal(reference, contig, diagonal, n, scratch.window)
        total, begin, stop = extend_ungapped(query.codes, scratch.window, -lo, lo, hi)
    return Ungapped(total, begin, stop)


@inline_njit
def band_for(length: Int, total: Int, max_gap: Int) -> Int:
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

    total: Int
    begin: Int
    stop: Int
    start: Int
    end: Int
    band: Int
    tried: Int
    reach: Int


BAND_STATE_FIELDS = len(BandState._fields)


@inline_njit
def state_at(states: I64Array, i: Int) -> BandState:
    """The `BandState` in row i of ``int64[rows, BAND_STATE_FIELDS]``."""
    t = states[i]
    return BandState(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7])


@inline_njit
def put_state(states: I64Array, i: Int, state: BandState) -> None:
    """The inverse of `state_at`."""
    t = states[i]
    t[0], t[1], t[2], t[3] = state.total, state.begin, state.stop, state.start
    t[4], t[5], t[6], t[7] = state.end, state.band, state.tried, state.reach


@inline_njit
def ungapped_state(site: Site, ungapped: Ungapped, max_gap: Int) -> BandState:
    """The `BandState` of a site whose `score_ungapped` is known, before any band.

    ``max_gap``: longest gap that may be tried; 0: none.
    """
    n, diagonal = len(site.query.codes), site.place.diagonal
    window = site.scratch.window
    total, begin, stop = ungapped.total, ungapped.begin, ungapped.stop
    reach = band_for(n, total, max_gap)
    if 0 < reach <= FILTERED_REACH and begin == 0 and stop == n:
        load_window(site.reference, site.place.contig, diagonal - reach, n + 2 * reach, window)
        if gap_gain(site.query.codes, window[: n + 2 * reach], reach, reach) == 0:
            reach = 0
    return BandState(total, begin, stop, diagonal + begin, diagonal + stop, 0, 0, reach)


@inline_njit
def next_band(state: BandState, min_total: Int) -> Int:
    """Half-width of the band to try next; 0: none.

    A narrow band first: the alignment found there mostly proves that no longer gap can be better. Heuristic: a read
    without a total of ``min_total`` with short gaps is not aligned with long ones.
    """
    if state.tried >= state.reach:
        return 0
    if state.tried == 0:
        return min(state.reach, FIRST_BAND)
    return state.reach if state.total >= min_total else 0


@inline_njit
def after_band(state: BandState, n: Int, band: Int, gapped: GappedAlignment) -> BandState:
    """The state of a read of n bases after its best alignment within a band."""
    if gapped.total <= state.total:
        return BandState(
            state.total, state.begin, state.stop, state.start, state.end, state.band, band, state.reach
        )
    reach = band_for(n, gapped.total, state.reach)
    return BandState(gapped.total, gapped.begin, gapped.stop, gapped.start, gapped.end, band, band, reach)


@inline_njit
def locus_of(state: BandState, place: Place, n: Int) -> Locus:
    """The locus of a read of n bases at a place, with its score in place of its local score."""
    score = score_of(state.total, state.begin, state.stop, n)
    begin, stop = (n - state.stop, n - state.begin) if place.reverse else (state.begin, state.stop)
    return Locus(
        score, place.diagonal, place.reverse, place.contig, state.start, state.end, state.band, begin, stop,
        score,
    )  # fmt: skip


class Thresholds(NamedTuple):
    """Scores that decide about the loci of a read.

    min_local_score: local score from which an alignment is a locus.
    high_score: Heuristic: from this score up the local score is taken to be the score.
    """

    min_local_score: Int
    high_score: Int


@inline_njit
def thresholds_of(length: Int, min_score: Int, min_rescued_score: Int) -> Thresholds:
    """`Thresholds` of a read of ``length`` bases.

    ``min_score``: score from which a read is reported; ``min_rescued_score``: the same in a proper pair.
    """
    return Thresholds(min(min_score_of(length, min_score), min_rescued_score), min_score + 2 * END_BONUS)


@inline_njit
def _local_score_of(site: Site, state: BandState) -> Int:
    """Best score of any stretch of the alignment of a state."""
    place, codes, scratch = site.place, site.query.codes, site.scratch
    window, ops = scratch.window, scratch.ops
    if state.band == 0:
        if mark_mismatches(site.query, site.reference, place.contig, place.diagonal, scratch.marks) >= 0:
            return local_score_marked(scratch.marks, state.begin, state.stop)
        lo, _ = _load_diagonal(site.reference, place.contig, place.diagonal, len(codes), window)
        ops[: state.stop - state.begin] = PAIR
        return local_score_of_path(
            codes, window, ops[: state.stop - state.begin], state.begin, state.begin - lo
        )
    found = align_gapped(site.query, site.reference, place.contig, place.diagonal, state.band, scratch)
    origin = place.diagonal - state.band
    return local_score_of_path(codes, window, ops[: found.steps], found.begin, found.start - origin)


@inline_njit
def needs_local_score(score: Int, thresholds: Thresholds) -> Bool:
    """Whether the local score of an alignment decides if it is a locus."""
    return score < thresholds.high_score and score + 2 * END_BONUS >= thresholds.min_local_score


@inline_njit
def offer_state(
    loci: Loci, r: Int, site: Site, state: BandState, thresholds: Thresholds, rules: OfferRules
) -> Bool:
    """Offer read r the locus of a state (`esa.align.loci.offer`), if it is one; returns whether it is."""
    locus = locus_of(state, site.place, len(site.query.codes))
    if needs_local_score(locus.score, thresholds):
        locus = Locus(
            locus.score, locus.diagonal, locus.reverse, locus.contig, locus.start, locus.end, locus.band,
            locus.query_begin, locus.query_end, _local_score_of(site, state),
        )  # fmt: skip
    if locus.local_score < thresholds.min_local_score:
        return False
    offer(loci, r, locus, rules)
    return True
