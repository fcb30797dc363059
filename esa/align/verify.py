"""From candidates to loci: score each, first without gaps, then with gaps where that may pay."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.banded import best_part_of_path
from esa.align.config import END_BONUS, GAP_EXTEND, GAP_OPEN, MATCH, MAX_READ_LENGTH, AlignConfig
from esa.align.extend import best_part, extend_ungapped, gap_gain
from esa.align.gapped import Scratch, align_gapped, align_tasks, load_window, make_scratch, make_tasks
from esa.align.loci import HOPELESS, Candidates, Loci, Locus, Reads, Reference, offer
from esa.align.strands import (
    Strands,
    best_part_marked,
    extend_marked,
    make_strands,
    mark_mismatches,
    orient,
    query_on,
)
from esa.compiled import leaf, njit
from esa.dna import unpack
from esa.intrinsics import prefetch

SHORT_READ = 60
"""Reads of fewer bases are reported from a proportionally lower score up."""
LEAST_EVIDENCE = 19
"""In a whole genome unrelated sequence often scores less: no read is so short that this would do, unless asked for."""

FIRST_BAND = 8
"""Half-width of the band that is tried first: indels are mostly short."""

ASKED_AHEAD = 32
"""Candidates whose reference is fetched from memory before their turn comes."""

FILTERED_REACH = 18
"""Longest possible gap up to which `gap_gain` costs less than the bands that it may save."""


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
        config.least_score,
        config.pair.least_rescued if paired else config.least_score,
        config.max_loci,
    )
    _verify(reads, candidates, reference, config.verify, limits, loci)


@leaf
def least_score_of(length, least_score):  # type: ignore[no-untyped-def]
    """Score from which an alignment of a read is reported: ``least_score``, scaled down for short reads as far as
    `LEAST_EVIDENCE`."""
    return min(least_score, max(LEAST_EVIDENCE, least_score * length // SHORT_READ))


@leaf
def score_of(total, begin, end, length):  # type: ignore[no-untyped-def]
    """Alignment score of a total: without the bonuses of the ends reached."""
    return total - (END_BONUS if begin == 0 else 0) - (END_BONUS if end == length else 0)


@leaf
def _load_diagonal(reference, contig, diagonal, n, window):  # type: ignore[no-untyped-def]
    """Bases of the contig on a diagonal into ``window``; (first, end) of the query that they pair with."""
    lo = min(n, max(0, reference.offsets[contig] - diagonal))
    hi = max(lo, min(n, reference.offsets[contig + 1] - diagonal))
    if lo < hi:
        unpack(reference.packed, reference.n_starts, reference.n_ends, diagonal + lo, diagonal + hi, window)
    return lo, hi


@leaf
def score_ungapped(query, reference, contig, diagonal, scratch):  # type: ignore[no-untyped-def]
    """Total and query interval of the best ungapped alignment on a diagonal (`extend_ungapped`)."""
    mismatches = mark_mismatches(query, reference, contig, diagonal, scratch.marks)
    return score_marked(query, reference, contig, diagonal, mismatches, scratch)


@leaf
def score_marked(query, reference, contig, diagonal, mismatches, scratch):  # type: ignore[no-untyped-def]
    """`score_ungapped` after `mark_mismatches` has returned ``mismatches``."""
    n = len(query.codes)
    if mismatches >= 0:
        return extend_marked(scratch.marks, mismatches, n)
    lo, hi = _load_diagonal(reference, contig, diagonal, n, scratch.window)
    return extend_ungapped(query.codes, scratch.window, -lo, lo, hi)


@leaf
def band_for(length, total, max_gap):  # type: ignore[no-untyped-def]
    """Longest gap with which an alignment of a read could beat ``total``, within ``max_gap``."""
    return min(max_gap, (length * MATCH + 2 * END_BONUS - total - 1 - GAP_OPEN) // GAP_EXTEND)


class Trial(NamedTuple):
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


TRIAL_FIELDS = len(Trial._fields)


@leaf
def first_trial(query, reference, place, ungapped, max_gap, scratch):  # type: ignore[no-untyped-def]
    """The `Trial` without gaps at a place (diagonal, strand, contig), of which ``ungapped`` is the `score_ungapped`."""
    diagonal, _, contig = place
    total, begin, stop = ungapped
    n = len(query.codes)
    reach = band_for(n, total, max_gap)
    if 0 < reach <= FILTERED_REACH and begin == 0 and stop == n:
        load_window(reference, contig, diagonal - reach, n + 2 * reach, scratch.window)
        if gap_gain(query.codes, scratch.window[: n + 2 * reach], reach, reach) == 0:
            reach = 0
    return Trial(total, begin, stop, diagonal + begin, diagonal + stop, 0, 0, reach)


@leaf
def next_band(trial, least):  # type: ignore[no-untyped-def]
    """Half-width of the band to try next; 0: none.

    A narrow band first: what it finds mostly proves that no longer gap can do better. Heuristic: what has no total of
    ``least`` with short gaps is not aligned with long ones.
    """
    if trial.tried >= trial.reach:
        return 0
    if trial.tried == 0:
        return min(trial.reach, FIRST_BAND)
    return trial.reach if trial.total >= least else 0


@leaf
def after_band(trial, n, band, gapped):  # type: ignore[no-untyped-def]
    """The trial of a read of n bases after a band; ``gapped``: what `align_gapped` returns."""
    if gapped[0] <= trial.total:
        return Trial(
            trial.total, trial.begin, trial.stop, trial.start, trial.end, trial.band, band, trial.reach
        )
    total = gapped[0]
    return Trial(
        total, gapped[1], gapped[2], gapped[3], gapped[4], band, band, band_for(n, total, trial.reach)
    )


@leaf
def locus_of(trial, place, n):  # type: ignore[no-untyped-def]
    """The locus of a read of n bases at a place; its best part is not looked at."""
    diagonal, reverse, contig = place
    score = score_of(trial.total, trial.begin, trial.stop, n)
    begin, stop = (n - trial.stop, n - trial.begin) if reverse else (trial.begin, trial.stop)
    return Locus(score, diagonal, reverse, contig, trial.start, trial.end, trial.band, begin, stop, score)


class Least(NamedTuple):
    """What is asked of a locus of a read.

    held: of its best part, to be a locus at all.
    sure: heuristic: from this score up the best part is not looked at.
    """

    held: int
    sure: int


@leaf
def least_of(length, least_score, least_rescued):  # type: ignore[no-untyped-def]
    """`Least` of a read, of the least score and that in a proper pair."""
    return Least(min(least_score_of(length, least_score), least_rescued), least_score + 2 * END_BONUS)


@leaf
def _part_of(query, reference, place, trial, scratch):  # type: ignore[no-untyped-def]
    """Score of the best part of an alignment."""
    diagonal, _, contig = place
    if trial.band == 0:
        if mark_mismatches(query, reference, contig, diagonal, scratch.marks) >= 0:
            return best_part_marked(scratch.marks, trial.begin, trial.stop)
        lo, _ = _load_diagonal(reference, contig, diagonal, len(query.codes), scratch.window)
        return best_part(query.codes, scratch.window, -lo, trial.begin, trial.stop)
    _, first, _, start, _, count = align_gapped(query, reference, contig, diagonal, trial.band, scratch)
    return best_part_of_path(
        query.codes, scratch.profile, scratch.ops[:count], first, start - (diagonal - trial.band)
    )


@leaf
def _is_unsure(score, least):  # type: ignore[no-untyped-def]
    """Whether the best part of an alignment tells if it is a locus (`Least`)."""
    return score < least.sure and score + 2 * END_BONUS >= least.held


@leaf
def offer_trial(loci, r, query, place, trial, reference, least, known, scratch):  # type: ignore[no-untyped-def]
    """Offer read r the locus of a trial, if that scores enough; returns whether it does.

    ``least``: a `Least`. ``known``: (salt, near, room, rescued) of `offer`.
    """
    locus = locus_of(trial, place, len(query.codes))
    if _is_unsure(locus.score, least):
        locus = Locus(
            locus.score, locus.diagonal, locus.reverse, locus.contig, locus.start, locus.end, locus.band,
            locus.query_begin, locus.query_end, _part_of(query, reference, place, trial, scratch),
        )  # fmt: skip
    if locus.part < least.held:
        return False
    salt, near, room, rescued = known
    offer(loci, r, locus, salt, near, room, rescued)
    return True


@leaf
def offer_at(loci, r, query, place, reference, least, max_gap, known, scratch):  # type: ignore[no-untyped-def]
    """Align read r at a place, with gaps of up to ``max_gap`` bases where one may pay, and `offer_trial`."""
    ungapped = score_ungapped(query, reference, place[2], place[0], scratch)
    trial = first_trial(query, reference, place, ungapped, max_gap, scratch)
    band = next_band(trial, least.held)
    while band:
        gapped = align_gapped(query, reference, place[2], place[0], band, scratch)
        trial = after_band(trial, len(query.codes), band, gapped)
        band = next_band(trial, least.held)
    return offer_trial(loci, r, query, place, trial, reference, least, known, scratch)


@leaf
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


@leaf
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


@leaf
def _ask_for(reference, candidates, begin, end):  # type: ignore[no-untyped-def]
    """Prefetch the reference at the candidates ``[begin, end)``; returns where the next ones begin."""
    end = min(end, len(candidates.diagonal))
    for c in range(begin, end):
        byte = candidates.diagonal[c] >> 2
        if 0 <= byte < len(reference.packed):
            prefetch(reference.packed, byte)
    return max(begin, end)


class _Buffers(NamedTuple):
    """Room of one call of `verify`.

    strands, scratch: for the longest read.
    ungapped: ``int64[most candidates of a read, 3]``, what `score_ungapped` returns.
    best: ``int64[max_gapped]``, see `_best_of`.
    trials: ``int64[candidates, 8]``, the `Trial` of each.
    """

    strands: Strands
    scratch: Scratch
    ungapped: NDArray[np.int64]
    best: NDArray[np.int64]
    trials: NDArray[np.int64]


@njit
def _verify(reads, candidates, reference, config, limits, loci):  # type: ignore[no-untyped-def]
    longest, most = _sizes(reads.offsets, candidates)
    count = len(candidates.diagonal)
    buffers = _Buffers(
        make_strands(longest),
        make_scratch(longest, config.max_gap),
        np.empty((most, 3), np.int64),
        np.empty(config.max_gapped, np.int64),
        np.zeros((count, TRIAL_FIELDS), np.int64),
    )
    _score_reads(reads, candidates, reference, config, buffers, loci)
    no_tasks, no_candidates = make_tasks(0), np.empty(0, np.int64)
    while True:
        # All of the batch that want a band together: they are aligned side by side.
        wanting = _gather(reads.offsets, candidates, limits, buffers.trials, no_tasks, no_candidates)
        if wanting == 0:
            break
        tasks, candidate_of = make_tasks(wanting), np.empty(wanting, np.int64)
        _gather(reads.offsets, candidates, limits, buffers.trials, tasks, candidate_of)
        done = align_tasks(tasks, wanting, reads.codes, reads.offsets, reference)
        _take(reads.offsets, tasks, candidate_of, done, buffers.trials)
    _offer_reads(reads, candidates, reference, config, limits, buffers, loci)


@leaf
def _trial(trials, c):  # type: ignore[no-untyped-def]
    t = trials[c]
    return Trial(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7])


@leaf
def _put_trial(trials, c, trial):  # type: ignore[no-untyped-def]
    t = trials[c]
    t[0], t[1], t[2], t[3] = trial.total, trial.begin, trial.stop, trial.start
    t[4], t[5], t[6], t[7] = trial.end, trial.band, trial.tried, trial.reach


@leaf
def _place(candidates, c):  # type: ignore[no-untyped-def]
    return candidates.diagonal[c], np.int64(candidates.reverse[c]), np.int64(candidates.contig[c])


@leaf
def _gather(offsets, candidates, limits, trials, tasks, candidate_of):  # type: ignore[no-untyped-def]
    """Count the candidates that want a band, and put them into the tasks as far as these have room."""
    made = 0
    for r in range(len(offsets) - 1):
        least = least_of(offsets[r + 1] - offsets[r], limits[0], limits[1])
        for c in range(candidates.offsets[r], candidates.offsets[r + 1]):
            band = next_band(_trial(trials, c), least.held)
            if band == 0:
                continue
            if made < len(candidate_of):
                candidate_of[made] = c
                tasks.read[made], tasks.band[made] = r, band
                tasks.diagonal[made], tasks.reverse[made], tasks.contig[made] = _place(candidates, c)
            made += 1
    return made


@leaf
def _take(offsets, tasks, candidate_of, done, trials):  # type: ignore[no-untyped-def]
    for t in range(len(candidate_of)):
        c, r = candidate_of[t], tasks.read[t]
        gapped = (
            np.int64(done.total[t]), np.int64(done.begin[t]), np.int64(done.stop[t]), done.start[t], done.end[t]
        )  # fmt: skip
        n = offsets[r + 1] - offsets[r]
        _put_trial(trials, c, after_band(_trial(trials, c), n, np.int64(tasks.band[t]), gapped))


@leaf
def _score_reads(reads, candidates, reference, config, buffers, loci):  # type: ignore[no-untyped-def]
    """The first trial of every candidate."""
    asked_for = 0
    for r in range(len(reads.offsets) - 1):
        n = reads.offsets[r + 1] - reads.offsets[r]
        first, end = candidates.offsets[r], candidates.offsets[r + 1]
        asked_for = _ask_for(reference, candidates, asked_for, first + ASKED_AHEAD)
        loci.capped[r] |= candidates.capped[r]
        if first < end and n <= MAX_READ_LENGTH:
            orient(reads.codes, reads.offsets[r], reads.offsets[r + 1], buffers.strands)
            top = np.int64(loci.score[r, 0]) if loci.held[r] else 0
            _score_read(n, top, first, end, candidates, reference, config, buffers)


@leaf
def _score_read(n, top, first, end, candidates, reference, config, buffers):  # type: ignore[no-untyped-def]
    """The first trial of the candidates of a read of n bases, which ``buffers.strands`` holds.

    ``top``: score of the best locus it has.
    """
    strands, scratch, ungapped = buffers.strands, buffers.scratch, buffers.ungapped
    for c in range(first, end):
        query = query_on(strands, n, candidates.reverse[c])
        total, begin, stop = score_ungapped(
            query, reference, candidates.contig[c], candidates.diagonal[c], scratch
        )
        ungapped[c - first, 0], ungapped[c - first, 1], ungapped[c - first, 2] = total, begin, stop
        top = max(top, total)
    # Without gaps a locus with an indel may look worse than a copy without; its anchors tell it apart.
    heavy = top < n * MATCH + 2 * END_BONUS - config.gapped_margin
    rank = _best_of(ungapped[: end - first, 0], config.max_gapped, buffers.best)
    least_gapped = max(top - config.gapped_margin, rank)
    for c in range(first, end):
        total, begin, stop = ungapped[c - first]
        promising = total >= least_gapped or (heavy and c - first < config.heaviest)
        query = query_on(strands, n, candidates.reverse[c])
        max_gap = config.max_gap if promising else 0
        trial = first_trial(query, reference, _place(candidates, c), (total, begin, stop), max_gap, scratch)
        _put_trial(buffers.trials, c, trial)


@leaf
def _offer_reads(reads, candidates, reference, config, limits, buffers, loci):  # type: ignore[no-untyped-def]
    """Offer every read the loci of its trials."""
    least_score, least_rescued, max_loci = limits
    for r in range(len(reads.offsets) - 1):
        n = reads.offsets[r + 1] - reads.offsets[r]
        first, end = candidates.offsets[r], candidates.offsets[r + 1]
        if first == end or n > MAX_READ_LENGTH:
            continue
        known = (reads.salts[r], n * config.same_locus // 100, max_loci, 0)
        least = least_of(n, least_score, least_rescued)
        oriented = False
        for c in range(first, end):
            trial = _trial(buffers.trials, c)
            if not oriented and _is_unsure(score_of(trial.total, trial.begin, trial.stop, n), least):
                # Only the best part asks for the bases.
                orient(reads.codes, reads.offsets[r], reads.offsets[r + 1], buffers.strands)
                oriented = True
            query = query_on(buffers.strands, n, candidates.reverse[c])
            offer_trial(
                loci, r, query, _place(candidates, c), trial, reference, least, known, buffers.scratch
            )
