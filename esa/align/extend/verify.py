"""From candidates to loci: score each, first without gaps, then with gaps where that may pay."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.config import AlignConfig
from esa.align.extend.band_state import (
    BAND_STATE_FIELDS,
    needs_local_score,
    next_band,
    offer_state,
    put_state,
    score_of,
    score_ungapped,
    state_at,
    take_task,
    thresholds_of,
    ungapped_state,
)
from esa.align.extend.gapped import Scratch, align_tasks, make_scratch, make_tasks
from esa.align.extend.mismatch_masks import Strands, make_strands, orient, query_on
from esa.align.loci import HOPELESS, Candidates, Loci, Reads, Reference
from esa.align.scoring import END_BONUS, MATCH, MAX_READ_LENGTH
from esa.kernels.decorator import inline_njit, njit
from esa.kernels.intrinsics import prefetch

ASKED_AHEAD = 32
"""Candidates whose reference is fetched from memory before their turn comes."""


def verify(
    codes: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    salts: NDArray[np.uint64],
    candidates: Candidates,
    reference: Reference,
    config: AlignConfig,
    loci: Loci,
    paired: bool = False,
) -> None:
    """Put the best of each read's candidates beside the loci that it has, in place.

    ``paired``: those, too, that count in a proper pair only.
    """
    reads = Reads(codes, offsets, salts)
    limits = (
        config.min_score,
        config.pair.min_rescued_score if paired else config.min_score,
        config.max_loci,
    )
    _verify(reads, candidates, reference, config.verify, limits, loci)


@inline_njit
def _sizes(offsets, candidates):  # type: ignore[no-untyped-def]
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
def _best_of(values, rank, best):  # type: ignore[no-untyped-def]
    """The value that fewer than ``rank`` others exceed; ``best``: room for so many."""
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
def _ask_for(reference, candidates, length, begin, end):  # type: ignore[no-untyped-def]
    """Prefetch the reference at the candidates ``[begin, end)``, for reads of about ``length`` bases; returns where the
    next ones begin."""
    end = min(end, len(candidates.diagonal))
    for c in range(begin, end):
        # First and last byte: a read of 150 bases lies in two lines of the cache more often than in one.
        byte = candidates.diagonal[c] >> 2
        for wanted in (byte, byte + (length >> 2)):
            if 0 <= wanted < len(reference.packed):
                prefetch(reference.packed, wanted)
    return max(begin, end)


class _Buffers(NamedTuple):
    """Room of one call of `verify`.

    strands, scratch: for the longest read.
    ungapped: ``int64[most candidates of a read, 3]``, what `score_ungapped` returns.
    best: ``int64[max_gapped]``, see `_best_of`.
    states: ``int64[candidates, 8]``, the `BandState` of each.
    """

    strands: Strands
    scratch: Scratch
    ungapped: NDArray[np.int64]
    best: NDArray[np.int64]
    states: NDArray[np.int64]


@njit
def _verify(reads, candidates, reference, config, limits, loci):  # type: ignore[no-untyped-def]
    longest, most = _sizes(reads.offsets, candidates)
    count = len(candidates.diagonal)
    buffers = _Buffers(
        make_strands(longest),
        make_scratch(longest, config.max_gap),
        np.empty((most, 3), np.int64),
        np.empty(config.max_gapped, np.int64),
        np.zeros((count, BAND_STATE_FIELDS), np.int64),
    )
    _score_reads(reads, candidates, reference, config, buffers, loci)
    no_tasks, no_candidates = make_tasks(0), np.empty(0, np.int64)
    while True:
        # All of the batch that want a band together: they are aligned side by side.
        wanting = _gather(reads.offsets, candidates, limits, buffers.states, no_tasks, no_candidates)
        if wanting == 0:
            break
        tasks, candidate_of = make_tasks(wanting), np.empty(wanting, np.int64)
        _gather(reads.offsets, candidates, limits, buffers.states, tasks, candidate_of)
        done = align_tasks(tasks, wanting, reads.codes, reads.offsets, reference)
        _take(reads.offsets, tasks, candidate_of, done, buffers.states)
    _offer_reads(reads, candidates, reference, config, limits, buffers, loci)


@inline_njit
def _place(candidates, c):  # type: ignore[no-untyped-def]
    return candidates.diagonal[c], np.int64(candidates.reverse[c]), np.int64(candidates.contig[c])


@inline_njit
def _gather(offsets, candidates, limits, states, tasks, candidate_of):  # type: ignore[no-untyped-def]
    """Count the candidates that want a band, and put them into the tasks as far as these have room."""
    made = 0
    for r in range(len(offsets) - 1):
        least = thresholds_of(offsets[r + 1] - offsets[r], limits[0], limits[1])
        for c in range(candidates.offsets[r], candidates.offsets[r + 1]):
            band = next_band(state_at(states, c), least.held)
            if band == 0:
                continue
            if made < len(candidate_of):
                candidate_of[made] = c
                tasks.read[made], tasks.band[made] = r, band
                tasks.diagonal[made], tasks.reverse[made], tasks.contig[made] = _place(candidates, c)
            made += 1
    return made


@inline_njit
def _take(offsets, tasks, candidate_of, done, states):  # type: ignore[no-untyped-def]
    for t in range(len(candidate_of)):
        c, r = candidate_of[t], tasks.read[t]
        take_task(states, c, offsets[r + 1] - offsets[r], tasks, done, t)


@inline_njit
def _score_reads(reads, candidates, reference, config, buffers, loci):  # type: ignore[no-untyped-def]
    """The first state of every candidate."""
    asked_for = 0
    for r in range(len(reads.offsets) - 1):
        n = reads.offsets[r + 1] - reads.offsets[r]
        first, end = candidates.offsets[r], candidates.offsets[r + 1]
        loci.truncated[r] |= candidates.truncated[r]
        if first < end and n <= MAX_READ_LENGTH:
            orient(reads.codes, reads.offsets[r], reads.offsets[r + 1], buffers.strands)
            top = np.int64(loci.score[r, 0]) if loci.held[r] else 0
            asked_for = _score_read(n, top, first, end, asked_for, candidates, reference, config, buffers)


@inline_njit
def _score_read(n, top, first, end, asked_for, candidates, reference, config, buffers):  # type: ignore[no-untyped-def]
    """The first state of the candidates of a read of n bases, which ``buffers.strands`` holds.

    ``top``: score of the best locus it has. ``asked_for``: as far the reference was prefetched; returned anew.
    """
    strands, scratch, ungapped = buffers.strands, buffers.scratch, buffers.ungapped
    for c in range(first, end):
        asked_for = _ask_for(reference, candidates, n, asked_for, c + ASKED_AHEAD)
        query = query_on(strands, n, candidates.reverse[c])
        total, begin, stop = score_ungapped(
            query, reference, candidates.contig[c], candidates.diagonal[c], scratch
        )
        ungapped[c - first, 0], ungapped[c - first, 1], ungapped[c - first, 2] = total, begin, stop
        top = max(top, total)
    # Without gaps a locus with an indel may look worse than a copy without; its anchors tell it apart.
    heavy = top < n * MATCH + 2 * END_BONUS - config.gapped_margin
    rank = _best_of(ungapped[: end - first, 0], config.max_gapped, buffers.best)
    min_gapped = max(top - config.gapped_margin, rank)
    for c in range(first, end):
        total, begin, stop = ungapped[c - first]
        promising = total >= min_gapped or (heavy and c - first < config.heaviest)
        query = query_on(strands, n, candidates.reverse[c])
        max_gap = config.max_gap if promising else 0
        state = ungapped_state(
            query, reference, _place(candidates, c), (total, begin, stop), max_gap, scratch
        )
        put_state(buffers.states, c, state)
    return asked_for


@inline_njit
def _offer_reads(reads, candidates, reference, config, limits, buffers, loci):  # type: ignore[no-untyped-def]
    """Offer every read the loci of its states."""
    min_score, min_rescued_score, max_loci = limits
    for r in range(len(reads.offsets) - 1):
        n = reads.offsets[r + 1] - reads.offsets[r]
        first, end = candidates.offsets[r], candidates.offsets[r + 1]
        if first == end or n > MAX_READ_LENGTH:
            continue
        known = (reads.salts[r], n * config.same_locus // 100, max_loci, 0)
        least = thresholds_of(n, min_score, min_rescued_score)
        oriented = False
        for c in range(first, end):
            state = state_at(buffers.states, c)
            if not oriented and needs_local_score(score_of(state.total, state.begin, state.stop, n), least):
                # Only the best part asks for the bases.
                orient(reads.codes, reads.offsets[r], reads.offsets[r + 1], buffers.strands)
                oriented = True
            query = query_on(buffers.strands, n, candidates.reverse[c])
            offer_state(
                loci, r, query, _place(candidates, c), state, reference, least, known, buffers.scratch
            )
