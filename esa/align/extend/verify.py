"""From candidates to loci: score each, first without gaps, then with gaps where that may pay."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.align.config import AlignConfig, VerifyConfig
from esa.align.extend.band_driver import BandTable, align_until_done, keep_wanting, make_states, place_of
from esa.align.extend.band_state import (
    Site,
    Ungapped,
    needs_local_score,
    next_band,
    offer_state,
    put_state,
    score_of,
    score_ungapped,
    state_at,
    thresholds_of,
    ungapped_state,
)
from esa.align.extend.gapped import Scratch, make_scratch
from esa.align.extend.mismatch_masks import Strands, make_strands, orient, query_on
from esa.align.loci import HOPELESS, Candidates, Loci, OfferRules, Reads, Reference
from esa.align.scoring import END_BONUS, MATCH, MAX_READ_LENGTH
from esa.kernels.arrays import I64Array, Int
from esa.kernels.decorator import inline_njit, njit
from esa.kernels.intrinsics import prefetch

PREFETCHED = 32
"""Candidates whose reference is prefetched before their turn comes."""


class _Limits(NamedTuple):
    """What a read may have as loci: see `AlignConfig`, and `PairConfig` for the score of rescued ones."""

    min_score: int
    min_rescued_score: int
    max_loci: int


def verify(
    reads: Reads,
    candidates: Candidates,
    reference: Reference,
    config: AlignConfig,
    loci: Loci,
    paired: bool = False,
) -> None:
    """Align each read at its candidates and put the best of them beside the loci that it has, in place.

    Args:
        reads: n reads.
        candidates: of these reads.
        reference: what they are aligned to.
        config: its ``verify``, and the limits of loci.
        loci: of these reads; changed.
        paired: whether also loci are wanted that are reported in a proper pair only.
    """
    rescued = config.pair.min_rescued_score if paired else config.min_score
    limits = _Limits(config.min_score, rescued, config.max_loci)
    _verify(reads, candidates, reference, config.verify, limits, loci)


@inline_njit
def _sizes(offsets: I64Array, candidates: Candidates) -> tuple[Int, Int]:
    """(Longest read that has candidates, most candidates of a read)."""
    longest, most = 1, 1
    for r in range(len(offsets) - 1):
        length = offsets[r + 1] - offsets[r]
        count = candidates.offsets[r + 1] - candidates.offsets[r]
        if count and length <= MAX_READ_LENGTH:
            longest = max(longest, length)
            most = max(most, count)
    return longest, most


@inline_njit
def _best_of(values: I64Array, rank: Int, best: I64Array) -> Int:
    """The value that fewer than ``rank`` others exceed; ``best``: ``int64[>= rank]``, overwritten."""
    best[:rank] = HOPELESS
    for value in values:
        if value > best[rank - 1]:
            j = rank - 1
            while j > 0 and value > best[j - 1]:
                best[j] = best[j - 1]
                j -= 1
            best[j] = value
    return best[rank - 1]


@inline_njit
def _prefetch(reference: Reference, candidates: Candidates, length: Int, begin: Int, end: Int) -> Int:
    """Prefetch the reference at the candidates ``[begin, end)``, for reads of about ``length`` bases.

    Returns where the next ones begin.
    """
    end = min(end, len(candidates.diagonal))
    for c in range(begin, end):
        # First and last byte: a read of 150 bases lies in two cache lines more often than in one.
        byte = candidates.diagonal[c] >> 2
        for wanted in (byte, byte + (length >> 2)):
            if 0 <= wanted < len(reference.packed):
                prefetch(reference.packed, wanted)
    return max(begin, end)


class _Buffers(NamedTuple):
    """Buffers of one call of `verify`.

    strands, scratch: for the longest read.
    ungapped: ``int64[most candidates of a read, 3]``, the `Ungapped` of each.
    best: ``int64[max_gapped]``, see `_best_of`.
    wanting: ``int64[candidates]``, those that want a band.
    """

    strands: Strands
    scratch: Scratch
    ungapped: I64Array
    best: I64Array
    wanting: I64Array


class _Run(NamedTuple):
    """What one call of `verify` works on: one tuple, as kernels hand it on whole. ``table``: a row is a candidate."""

    reads: Reads
    candidates: Candidates
    reference: Reference
    config: VerifyConfig
    limits: _Limits
    loci: Loci
    table: BandTable
    buffers: _Buffers


@njit
def _verify(
    reads: Reads,
    candidates: Candidates,
    reference: Reference,
    config: VerifyConfig,
    limits: _Limits,
    loci: Loci,
) -> None:
    longest, most = _sizes(reads.offsets, candidates)
    count = len(candidates.diagonal)
    buffers = _Buffers(
        make_strands(longest),
        make_scratch(longest, config.max_gap),
        np.empty((most, 3), np.int64),
        np.empty(config.max_gapped, np.int64),
        np.empty(count, np.int64),
    )
    read = np.empty(count, np.int32)
    table = BandTable(read, candidates.diagonal, candidates.reverse, candidates.contig, make_states(count))
    run = _Run(reads, candidates, reference, config, limits, loci, table, buffers)
    wanting = buffers.wanting[: _score_reads(run)]
    align_until_done(_next_bands, run, wanting, table, reads, reference)
    _offer_reads(run)


@inline_njit
def _next_band_of(run: _Run, c: Int) -> Int:
    """Half-width of the band that a candidate wants next; 0: none."""
    offsets, limits, r = run.reads.offsets, run.limits, run.table.read[c]
    thresholds = thresholds_of(offsets[r + 1] - offsets[r], limits.min_score, limits.min_rescued_score)
    return next_band(state_at(run.table.states, c), thresholds.min_local_score)


@inline_njit
def _next_bands(run: _Run, candidates: I64Array, bands: I64Array) -> Int:
    return keep_wanting(_next_band_of, run, candidates, bands)


@inline_njit
def _score_reads(run: _Run) -> Int:
    """The first state of every candidate; returns how many may want a band, ``buffers.wanting``."""
    reads, candidates, loci = run.reads, run.candidates, run.loci
    fetched, wanting = 0, 0
    for r in range(len(reads.offsets) - 1):
        n = reads.offsets[r + 1] - reads.offsets[r]
        first, end = candidates.offsets[r], candidates.offsets[r + 1]
        loci.truncated[r] |= candidates.truncated[r]
        if first < end and n <= MAX_READ_LENGTH:
            orient(reads.codes, reads.offsets[r], reads.offsets[r + 1], run.buffers.strands)
            top, fetched = _score_read_ungapped(run, r, fetched)
            wanting = _make_states(run, r, top, wanting)
    return wanting


@inline_njit
def _score_read_ungapped(run: _Run, r: Int, fetched: Int) -> tuple[Int, Int]:
    """Score the candidates of read r, which ``buffers.strands`` holds, without gaps (``buffers.ungapped``).

    ``fetched``: number of candidates whose reference was prefetched. Returns (the best total of the read, its loci's
    scores among them; the new ``fetched``).
    """
    candidates, loci, buffers = run.candidates, run.loci, run.buffers
    n = run.reads.offsets[r + 1] - run.reads.offsets[r]
    first, end = candidates.offsets[r], candidates.offsets[r + 1]
    top = np.int64(loci.score[r, 0]) if loci.held[r] else 0
    for c in range(first, end):
        fetched = _prefetch(run.reference, candidates, n, fetched, c + PREFETCHED)
        query = query_on(buffers.strands, n, candidates.reverse[c])
        found = score_ungapped(
            query, run.reference, candidates.contig[c], candidates.diagonal[c], buffers.scratch
        )
        row = buffers.ungapped[c - first]
        row[0], row[1], row[2] = found.total, found.begin, found.stop
        top = max(top, found.total)
    return top, fetched


@inline_njit
def _make_states(run: _Run, r: Int, top: Int, wanting: Int) -> Int:
    """The first states of the candidates of read r after `_score_read_ungapped` has returned ``top``.

    ``wanting``: how many candidates so far may want a band; the new count is returned.
    """
    candidates, config, table, buffers = run.candidates, run.config, run.table, run.buffers
    n = run.reads.offsets[r + 1] - run.reads.offsets[r]
    first, end = candidates.offsets[r], candidates.offsets[r + 1]
    # Without gaps a locus with an indel may look worse than a copy without; its minimizers tell it apart.
    heavy = top < n * MATCH + 2 * END_BONUS - config.gapped_margin
    rank = _best_of(buffers.ungapped[: end - first, 0], config.max_gapped, buffers.best)
    min_gapped = max(top - config.gapped_margin, rank)
    for c in range(first, end):
        total, begin, stop = buffers.ungapped[c - first]
        promising = total >= min_gapped or (heavy and c - first < config.heaviest)
        query = query_on(buffers.strands, n, candidates.reverse[c])
        site = Site(query, place_of(table, c), run.reference, buffers.scratch)
        state = ungapped_state(site, Ungapped(total, begin, stop), config.max_gap if promising else 0)
        table.read[c] = r
        put_state(table.states, c, state)
        if state.reach > 0:
            buffers.wanting[wanting] = c
            wanting += 1
    return wanting


@inline_njit
def _offer_reads(run: _Run) -> None:
    """Offer every read the loci of its states."""
    reads, candidates, limits, strands = run.reads, run.candidates, run.limits, run.buffers.strands
    for r in range(len(reads.offsets) - 1):
        n = reads.offsets[r + 1] - reads.offsets[r]
        first, end = candidates.offsets[r], candidates.offsets[r + 1]
        if first == end or n > MAX_READ_LENGTH:
            continue
        rules = OfferRules(reads.salts[r], n * run.config.same_locus // 100, limits.max_loci, 0)
        thresholds = thresholds_of(n, limits.min_score, limits.min_rescued_score)
        oriented = False
        for c in range(first, end):
            state = state_at(run.table.states, c)
            score = score_of(state.total, state.begin, state.stop, n)
            if not oriented and needs_local_score(score, thresholds):
                # Only a local score needs the bases.
                orient(reads.codes, reads.offsets[r], reads.offsets[r + 1], strands)
                oriented = True
            query = query_on(strands, n, candidates.reverse[c])
            site = Site(query, place_of(run.table, c), run.reference, run.buffers.scratch)
            offer_state(run.loci, r, site, state, thresholds, rules)
