"""From candidates to loci: score each, first without gaps, then with gaps where that may pay."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.banded import OUTSIDE, align_banded, best_part_of_path, fill_profile, trace
from esa.align.config import END_BONUS, GAP_EXTEND, GAP_OPEN, MATCH, MAX_READ_LENGTH, AlignConfig
from esa.align.extend import best_part, extend_ungapped, gap_gain
from esa.align.loci import HOPELESS, Candidates, Loci, Locus, Reads, Reference, offer
from esa.align.strands import (
    Strands,
    best_part_marked,
    extend_marked,
    make_strands,
    mark_mismatches,
    orient,
    query_on,
    words_for,
)
from esa.compiled import leaf, njit
from esa.dna import unpack
from esa.prefetch import prefetch

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
def load_window(reference, contig, start, width, window):  # type: ignore[no-untyped-def]
    """Bases ``[start, start + width)`` (global) into ``window``, `OUTSIDE` where the contig has none."""
    lo = min(max(start, reference.offsets[contig]), start + width)
    hi = max(min(start + width, reference.offsets[contig + 1]), lo)
    window[: lo - start] = OUTSIDE
    window[hi - start : width] = OUTSIDE
    if lo < hi:
        unpack(reference.packed, reference.n_starts, reference.n_ends, lo, hi, window[lo - start :])


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


@leaf
def align_gapped(query, reference, contig, diagonal, band, scratch):  # type: ignore[no-untyped-def]
    """Best alignment within ``band`` of a diagonal.

    Returns (total, query begin, query end, global start, global end, number of operations); the operations are
    in ``scratch.ops``, last first (`esa.align.banded.trace`).
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


@leaf
def refine(query, reference, place, ungapped, max_gap, least, scratch):  # type: ignore[no-untyped-def]
    """The locus of a read at a place, with gaps of up to ``max_gap`` bases where one may pay.

    Args:
        place: (diagonal, strand, contig).
        ungapped: (total, query begin, query end) by `score_ungapped`.
        least: Heuristic: what has no such total with short gaps is not aligned with long ones.
    """
    diagonal, reverse, contig = place
    total, begin, stop = ungapped
    n = len(query.codes)
    reach = band_for(n, total, max_gap)
    if 0 < reach <= FILTERED_REACH and begin == 0 and stop == n:
        load_window(reference, contig, diagonal - reach, n + 2 * reach, scratch.window)
        if gap_gain(query.codes, scratch.window[: n + 2 * reach], reach, reach) == 0:
            reach = 0
    score, start, end, band = score_of(total, begin, stop, n), diagonal + begin, diagonal + stop, 0
    # A narrow band first: what it finds mostly proves that no longer gap can do better.
    tried = 0
    while tried < reach and (tried == 0 or total >= least):
        tried = min(reach, FIRST_BAND) if tried == 0 else reach
        gapped, first, last, gapped_start, gapped_end, _ = align_gapped(
            query, reference, contig, diagonal, tried, scratch
        )
        if gapped > total:
            total, band = gapped, tried
            score, start, end = score_of(gapped, first, last, n), gapped_start, gapped_end
            begin, stop = first, last
        reach = min(reach, band_for(n, total, max_gap))
    if reverse:
        begin, stop = n - stop, n - begin
    return Locus(score, diagonal, reverse, contig, start, end, band, begin, stop, score)


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
def _part_of(query, reference, place, ungapped, locus, scratch):  # type: ignore[no-untyped-def]
    """Score of the best part of a locus's alignment; ``ungapped``: as in `refine`."""
    diagonal, _, contig = place
    if locus.band == 0:
        if mark_mismatches(query, reference, contig, diagonal, scratch.marks) >= 0:
            return best_part_marked(scratch.marks, ungapped[1], ungapped[2])
        lo, _ = _load_diagonal(reference, contig, diagonal, len(query.codes), scratch.window)
        return best_part(query.codes, scratch.window, -lo, ungapped[1], ungapped[2])
    _, first, _, start, _, count = align_gapped(query, reference, contig, diagonal, locus.band, scratch)
    return best_part_of_path(
        query.codes, scratch.profile, scratch.ops[:count], first, start - (diagonal - locus.band)
    )


@leaf
def offer_at(loci, r, query, place, ungapped, reference, least, max_gap, known, scratch):  # type: ignore[no-untyped-def]
    """Offer read r its locus at a place (`refine`), if that scores enough; returns whether it does.

    ``least``: a `Least`. ``known``: (salt, near, room) of `offer`.
    """
    locus = refine(query, reference, place, ungapped, max_gap, least.held, scratch)
    if locus.score < least.sure and locus.score + 2 * END_BONUS >= least.held:
        locus = Locus(
            locus.score, locus.diagonal, locus.reverse, locus.contig, locus.start, locus.end, locus.band,
            locus.query_begin, locus.query_end, _part_of(query, reference, place, ungapped, locus, scratch),
        )  # fmt: skip
    if locus.part < least.held:
        return False
    salt, near, room = known
    offer(loci, r, locus, salt, near, room)
    return True


class Scratch(NamedTuple):
    """Buffers of one kernel call, for reads of up to a length and bands of up to a half-width."""

    window: NDArray[np.uint8]
    marks: NDArray[np.uint64]
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
        np.empty(words_for(longest), np.uint64),
        np.empty((5, width), np.int32),
        np.empty(shape, np.int32),
        np.empty(shape, np.int32),
        np.empty(shape, np.int32),
        np.empty(longest + width, np.uint8),
    )


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
    """

    strands: Strands
    scratch: Scratch
    ungapped: NDArray[np.int64]
    best: NDArray[np.int64]


@njit(cache=True, nogil=True)
def _verify(reads, candidates, reference, config, limits, loci):  # type: ignore[no-untyped-def]
    longest, most = _sizes(reads.offsets, candidates)
    buffers = _Buffers(
        make_strands(longest),
        make_scratch(longest, config.max_gap),
        np.empty((most, 3), np.int64),
        np.empty(config.max_gapped, np.int64),
    )
    _verify_reads(reads, candidates, reference, config, limits, buffers, loci)


@leaf
def _verify_reads(reads, candidates, reference, config, limits, buffers, loci):  # type: ignore[no-untyped-def]
    asked_for = 0
    for r in range(len(reads.offsets) - 1):
        n = reads.offsets[r + 1] - reads.offsets[r]
        first, end = candidates.offsets[r], candidates.offsets[r + 1]
        asked_for = _ask_for(reference, candidates, asked_for, first + ASKED_AHEAD)
        loci.capped[r] |= candidates.capped[r]
        if first < end and n <= MAX_READ_LENGTH:
            orient(reads.codes, reads.offsets[r], reads.offsets[r + 1], buffers.strands)
            _verify_read(r, n, reads.salts[r], candidates, reference, config, limits, buffers, loci)


@leaf
def _verify_read(r, n, salt, candidates, reference, config, limits, buffers, loci):  # type: ignore[no-untyped-def]
    """Offer read r of n bases, which ``buffers.strands`` holds, its candidates."""
    least_score, least_rescued, max_loci = limits
    strands, scratch, ungapped = buffers.strands, buffers.scratch, buffers.ungapped
    first = candidates.offsets[r]
    count = candidates.offsets[r + 1] - first
    top = np.int64(loci.score[r, 0]) if loci.held[r] else 0
    # What a rescue brought has room of its own.
    room = max(max_loci, loci.held[r])
    for c in range(count):
        query = query_on(strands, n, candidates.reverse[first + c])
        contig, diagonal = candidates.contig[first + c], candidates.diagonal[first + c]
        ungapped[c, 0], ungapped[c, 1], ungapped[c, 2] = score_ungapped(
            query, reference, contig, diagonal, scratch
        )
        top = max(top, ungapped[c, 0])
    least = least_of(n, least_score, least_rescued)
    near = n * config.same_locus // 100
    # Without gaps a locus with an indel may look worse than a copy without; its anchors tell it apart.
    heavy = top < n * MATCH + 2 * END_BONUS - config.gapped_margin
    least_gapped = max(
        top - config.gapped_margin, _best_of(ungapped[:count, 0], config.max_gapped, buffers.best)
    )
    for c in range(count):
        reverse = np.int64(candidates.reverse[first + c])
        query = query_on(strands, n, reverse)
        promising = ungapped[c, 0] >= least_gapped or (heavy and c < config.heaviest)
        offer_at(
            loci,
            r,
            query,
            (candidates.diagonal[first + c], reverse, np.int64(candidates.contig[first + c])),
            (ungapped[c, 0], ungapped[c, 1], ungapped[c, 2]),
            reference,
            least,
            config.max_gap if promising else 0,
            (salt, near, room),
            scratch,
        )
