"""From candidates to loci: score each, first without gaps, then with gaps where that may pay."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from esa.align.banded import OUTSIDE, align_banded, fill_profile, trace
from esa.align.config import END_BONUS, GAP_EXTEND, GAP_OPEN, MATCH, MAX_READ_LENGTH, AlignConfig
from esa.align.extend import extend_ungapped, gap_gain
from esa.align.loci import Candidates, Loci, Reference
from esa.dna import unpack
from esa.hashing import tie_break

SHORT_READ = 60
"""Reads of fewer bases are reported from a proportionally lower score up."""

FIRST_BAND = 8
"""Half-width of the band that is tried first: indels are mostly short."""


def verify(
    codes: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    salts: NDArray[np.uint64],
    candidates: Candidates,
    reference: Reference,
    config: AlignConfig,
    loci: Loci,
) -> None:
    """Replace the loci of each read that has candidates by the best of those, in place.

    To keep what a read had, have it among the candidates.
    """
    _verify(codes, offsets, salts, candidates, reference, config.verify, config.least_score, loci)


@njit(cache=True, nogil=True)
def least_score_of(length, least_score):  # type: ignore[no-untyped-def]
    """Score from which an alignment of a read is reported: ``least_score``, scaled down for short reads."""
    return min(least_score, max(1, least_score * length // SHORT_READ))


@njit(cache=True, nogil=True)
def orient(codes, begin, end, forward, backward):  # type: ignore[no-untyped-def]
    """Copy a read and its reverse complement into two buffers."""
    n = end - begin
    for i in range(n):
        base = codes[begin + i]
        forward[i] = base
        backward[n - 1 - i] = 3 - base if base < 4 else base


@njit(cache=True, nogil=True)
def load_window(reference, contig, start, width, window):  # type: ignore[no-untyped-def]
    """Bases ``[start, start + width)`` (global) into ``window``, `OUTSIDE` where the contig has none."""
    lo = min(max(start, reference.offsets[contig]), start + width)
    hi = max(min(start + width, reference.offsets[contig + 1]), lo)
    window[: lo - start] = OUTSIDE
    window[hi - start : width] = OUTSIDE
    if lo < hi:
        unpack(reference.packed, reference.n_starts, reference.n_ends, lo, hi, window[lo - start :])


@njit(cache=True, nogil=True)
def score_of(total, begin, end, length):  # type: ignore[no-untyped-def]
    """Alignment score of a total: without the bonuses of the ends reached."""
    return total - (END_BONUS if begin == 0 else 0) - (END_BONUS if end == length else 0)


@njit(cache=True, nogil=True)
def score_ungapped(query, n, reference, contig, diagonal, window):  # type: ignore[no-untyped-def]
    """Total and query interval of the best ungapped alignment on a diagonal (`extend_ungapped`)."""
    lo = min(n, max(0, reference.offsets[contig] - diagonal))
    hi = max(lo, min(n, reference.offsets[contig + 1] - diagonal))
    if lo < hi:
        unpack(reference.packed, reference.n_starts, reference.n_ends, diagonal + lo, diagonal + hi, window)
    total, begin, end = extend_ungapped(query, window, -lo, lo, hi)
    return total, begin, end


@njit(cache=True, nogil=True)
def _insert(loci, r, score, diagonal, reverse, contig, start, end, band, salt, keep):  # type: ignore[no-untyped-def]
    """Put a locus in its place by score; drop the worst if there are too many (and say so).

    ``keep``: if the new one is the worst, drop the second worst instead.
    """
    count = loci.count[r]
    room = loci.score.shape[1]
    j = count
    while j > 0:
        before = loci.score[r, j - 1]
        if before > score:
            break
        if before == score:
            other = loci.diagonal[r, j - 1]
            mine, theirs = tie_break(salt, diagonal), tie_break(salt, other)
            if theirs > mine or (theirs == mine and loci.reverse[r, j - 1] <= reverse):
                break
        j -= 1
    if count == room:
        loci.capped[r] = 1
        if j == room:
            if not keep:
                return
            j -= 1
        count -= 1
    for k in range(count, j, -1):
        loci.score[r, k] = loci.score[r, k - 1]
        loci.diagonal[r, k] = loci.diagonal[r, k - 1]
        loci.reverse[r, k] = loci.reverse[r, k - 1]
        loci.contig[r, k] = loci.contig[r, k - 1]
        loci.start[r, k] = loci.start[r, k - 1]
        loci.end[r, k] = loci.end[r, k - 1]
        loci.band[r, k] = loci.band[r, k - 1]
    loci.score[r, j] = score
    loci.diagonal[r, j] = diagonal
    loci.reverse[r, j] = reverse
    loci.contig[r, j] = contig
    loci.start[r, j] = start
    loci.end[r, j] = end
    loci.band[r, j] = band
    loci.count[r] = count + 1


@njit(cache=True, nogil=True)
def _remove(loci, r, j):  # type: ignore[no-untyped-def]
    for k in range(j, loci.count[r] - 1):
        loci.score[r, k] = loci.score[r, k + 1]
        loci.diagonal[r, k] = loci.diagonal[r, k + 1]
        loci.reverse[r, k] = loci.reverse[r, k + 1]
        loci.contig[r, k] = loci.contig[r, k + 1]
        loci.start[r, k] = loci.start[r, k + 1]
        loci.end[r, k] = loci.end[r, k + 1]
        loci.band[r, k] = loci.band[r, k + 1]
    loci.count[r] -= 1


@njit(cache=True, nogil=True)
def offer(loci, r, score, diagonal, reverse, contig, start, end, band, salt, near, keep):  # type: ignore[no-untyped-def]
    """Add a locus unless a better one stands at the same place; remove the worse ones that do.

    ``keep``: make room for it even if it is the worst.
    """
    k = 0
    while k < loci.count[r]:
        if (
            loci.contig[r, k] == contig
            and loci.reverse[r, k] == reverse
            and (
                abs(loci.diagonal[r, k] - diagonal) <= near
                or loci.start[r, k] == start
                or loci.end[r, k] == end
            )
        ):
            known = loci.score[r, k]
            if known > score or (
                known == score and (loci.band[r, k], loci.diagonal[r, k]) <= (band, diagonal)
            ):
                return
            _remove(loci, r, k)
        else:
            k += 1
    _insert(loci, r, score, diagonal, reverse, contig, start, end, band, salt, keep)


@njit(cache=True, nogil=True)
def band_for(length, total, max_gap):  # type: ignore[no-untyped-def]
    """Longest gap with which an alignment of a read could beat ``total``, within ``max_gap``."""
    return min(max_gap, (length * MATCH + 2 * END_BONUS - total - 1 - GAP_OPEN) // GAP_EXTEND)


@njit(cache=True, nogil=True)
def align_gapped(query, n, reference, contig, diagonal, band, scratch):  # type: ignore[no-untyped-def]
    """Best alignment within ``band`` of a diagonal.

    Returns (total, query begin, query end, global start, global end, number of operations); the operations are
    in ``scratch.ops``, last first (`esa.align.banded.trace`).
    """
    columns = 2 * band + 1
    origin = diagonal - band
    load_window(reference, contig, origin, n + 2 * band, scratch.window)
    fill_profile(scratch.window, n + 2 * band, scratch.profile)
    bands = (scratch.matched[: n + 1], scratch.inserted[: n + 1], scratch.deleted[: n + 1])
    total, last, column = align_banded(query, scratch.profile, columns, *bands)
    count, first, first_column = trace(query, scratch.profile, *bands, last, column, scratch.ops)
    return total, first, last + 1, origin + first + first_column, origin + last + column + 1, count


@njit(cache=True, nogil=True)
def refine(query, n, reference, contig, diagonal, total, begin, stop, max_gap, scratch):  # type: ignore[no-untyped-def]
    """Improve an ungapped alignment by gaps of up to ``max_gap`` bases where one may pay.

    Takes what `score_ungapped` returned. Returns (score, global start, global end, band); band 0: no gaps.
    """
    reach = band_for(n, total, max_gap)
    if reach > 0 and begin == 0 and stop == n:
        load_window(reference, contig, diagonal - reach, n + 2 * reach, scratch.window)
        if gap_gain(query, scratch.window[: n + 2 * reach], reach, reach) == 0:
            reach = 0
    band = 0
    score, start, end = score_of(total, begin, stop, n), diagonal + begin, diagonal + stop
    # A narrow band first: what it finds mostly proves that no longer gap can do better.
    tried = 0
    while tried < reach:
        tried = min(reach, FIRST_BAND) if tried == 0 else reach
        gapped, first, last, gapped_start, gapped_end, _ = align_gapped(
            query, n, reference, contig, diagonal, tried, scratch
        )
        if gapped > total:
            total, band = gapped, tried
            score, start, end = score_of(gapped, first, last, n), gapped_start, gapped_end
        reach = min(reach, band_for(n, total, max_gap))
    return score, start, end, band


class Scratch(NamedTuple):
    """Buffers of one kernel call, for reads of up to a length and bands of up to a half-width."""

    window: NDArray[np.uint8]
    profile: NDArray[np.int32]
    matched: NDArray[np.int32]
    inserted: NDArray[np.int32]
    deleted: NDArray[np.int32]
    ops: NDArray[np.uint8]


@njit(cache=True, nogil=True)
def make_scratch(longest, max_gap):  # type: ignore[no-untyped-def]
    """`Scratch` for reads of up to ``longest`` bases."""
    width = longest + 2 * max_gap
    shape = (longest + 1, 2 * max_gap + 2)
    return Scratch(
        np.empty(width, np.uint8),
        np.empty((5, width), np.int32),
        np.empty(shape, np.int32),
        np.empty(shape, np.int32),
        np.empty(shape, np.int32),
        np.empty(longest + width, np.uint8),
    )


@njit(cache=True, nogil=True)
def _verify(codes, offsets, salts, candidates, reference, config, least_score, loci):  # type: ignore[no-untyped-def]
    longest = 1
    for r in range(len(offsets) - 1):
        length = offsets[r + 1] - offsets[r]
        if length <= MAX_READ_LENGTH and candidates.offsets[r + 1] > candidates.offsets[r]:
            longest = max(longest, length)
    most = 1
    for r in range(len(offsets) - 1):
        most = max(most, candidates.offsets[r + 1] - candidates.offsets[r])
    forward = np.empty(longest, np.uint8)
    backward = np.empty(longest, np.uint8)
    scratch = make_scratch(longest, config.max_gap)
    totals = np.empty(most, np.int64)
    begins = np.empty(most, np.int64)
    ends = np.empty(most, np.int64)
    for r in range(len(offsets) - 1):
        n = offsets[r + 1] - offsets[r]
        first = candidates.offsets[r]
        count = candidates.offsets[r + 1] - first
        if count == 0 or n > MAX_READ_LENGTH:
            continue
        orient(codes, offsets[r], offsets[r + 1], forward, backward)
        loci.count[r] = 0
        loci.capped[r] |= candidates.capped[r]
        top = 0
        for c in range(count):
            query = backward[:n] if candidates.reverse[first + c] else forward[:n]
            totals[c], begins[c], ends[c] = score_ungapped(
                query,
                n,
                reference,
                candidates.contig[first + c],
                candidates.diagonal[first + c],
                scratch.window,
            )
            top = max(top, totals[c])
        least = least_score_of(n, least_score)
        near = n * config.same_locus // 100
        # Without gaps a locus with an indel may look worse than a copy without; its anchors tell it apart.
        heavy = top < n * MATCH + 2 * END_BONUS - config.gapped_margin
        for c in range(count):
            reverse = candidates.reverse[first + c]
            contig = candidates.contig[first + c]
            diagonal = candidates.diagonal[first + c]
            query = backward[:n] if reverse else forward[:n]
            promising = totals[c] >= top - config.gapped_margin or (heavy and c < config.heaviest)
            reach = config.max_gap if promising else 0
            score, start, end, band = refine(
                query, n, reference, contig, diagonal, totals[c], begins[c], ends[c], reach, scratch
            )
            if score >= least:
                offer(loci, r, score, diagonal, reverse, contig, start, end, band, salts[r], near, False)
