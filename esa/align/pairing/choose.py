"""Pairs: insert sizes and the joint choice of both ends' loci."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.config import AlignConfig
from esa.align.extend.band_state import min_score_of
from esa.align.inserts import FF, FR, RF, RR, InsertSizes
from esa.align.loci import HOPELESS, Loci, rival
from esa.align.pairing.mapq import FLOOR, TIE, mapping_quality, rivals
from esa.kernels.decorator import inline_njit, njit

UNIQUE_GAP = 10
"""A read teaches insert sizes if its best score leads the next by this much."""
LEARNT_MAX = 10_000
"""Ends farther apart teach nothing, as in bwa mem: the bounds, and with them the windows that are searched for
mates, would otherwise grow to megabases on libraries that join distant places (Hi-C)."""
TIED_MAPQ = 15
"""Where both ends have equals elsewhere, some not found, and only the insert size speaks for the pair chosen: 17 of 608
such pairs were wrong (50 to 100 bp, 0.6 and 2 %, human chromosome 20)."""


def sample_sizes(loci: Loci, lengths: NDArray[np.int64], pairs: int) -> NDArray[np.int64]:
    """``int64[n, 2]``: orientation and size (up to `LEARNT_MAX`) of those of the first ``pairs`` pairs whose ends
    are both unique."""
    out = np.empty((pairs, 2), np.int64)
    return out[: _sample(loci, lengths, pairs, out)]


class Choice(NamedTuple):
    """What is reported of each read: ``locus`` (``int32``, -1: unmapped), ``mapq`` (``uint8``), ``proper``
    (``uint8``) and ``second`` (``int32``, XS or -1)."""

    locus: NDArray[np.int32]
    mapq: NDArray[np.uint8]
    proper: NDArray[np.uint8]
    second: NDArray[np.int32]

    @classmethod
    def empty(cls, reads: int) -> Choice:
        return cls(
            np.full(reads, -1, np.int32),
            np.zeros(reads, np.uint8),
            np.zeros(reads, np.uint8),
            np.full(reads, -1, np.int32),
        )


@inline_njit
def five_prime(loci, r, k, length):  # type: ignore[no-untyped-def]
    """Global position of the 5' end of a read at a locus (of the base beyond it on the reverse strand)."""
    return loci.diagonal[r, k] + (length if loci.reverse[r, k] else 0)


@inline_njit
def pair_geometry(loci, r, j, k, lengths):  # type: ignore[no-untyped-def]
    """(Orientation, size) of locus j of read r and locus k of its mate, read r + 1."""
    mine = five_prime(loci, r, j, lengths[r])
    mates = five_prime(loci, r + 1, k, lengths[r + 1])
    ahead = mates - mine
    if loci.reverse[r, j]:
        ahead = -ahead
    if loci.reverse[r, j] == loci.reverse[r + 1, k]:
        return (FF if ahead >= 0 else RR), abs(ahead)
    return (FR if ahead >= 0 else RF), abs(ahead)


@inline_njit
def _sample(loci, lengths, pairs, out):  # type: ignore[no-untyped-def]
    count = 0
    for p in range(pairs):
        r = 2 * p
        unique = True
        for end in range(2):
            second, _ = rivals(loci, r + end, 0)
            if loci.held[r + end] == 0 or loci.score[r + end, 0] - max(second, FLOOR) < UNIQUE_GAP:
                unique = False
        if unique and loci.contig[r, 0] == loci.contig[r + 1, 0]:
            out[count, 0], out[count, 1] = pair_geometry(loci, r, 0, 0, lengths)
            count += out[count, 1] <= LEARNT_MAX
    return count


@inline_njit
def is_proper(loci, r, j, k, lengths, inserts):  # type: ignore[no-untyped-def]
    """(Whether locus j of read r and locus k of its mate, read r + 1, lie as the insert sizes say, their size)."""
    if loci.contig[r, j] != loci.contig[r + 1, k]:
        return False, 0
    lie, size = pair_geometry(loci, r, j, k, lengths)
    return lie == inserts.orientation and inserts.low <= size <= inserts.high, size


@inline_njit
def _pair_score(loci, r, j, k, lengths, inserts, penalties, unpaired):  # type: ignore[no-untyped-def]
    """(Joint score, proper) of locus j of read r and locus k of its mate."""
    score = np.int64(loci.score[r, j]) + np.int64(loci.score[r + 1, k])
    proper, size = is_proper(loci, r, j, k, lengths, inserts)
    if proper:
        return score - min(penalties[size - inserts.low], unpaired), True
    return score - unpaired, False


def choose_single(loci: Loci, lengths: NDArray[np.int64], config: AlignConfig, choice: Choice) -> None:
    """The best locus of each read by itself, if it scores enough."""
    _choose_single(loci, lengths, config.min_score, 0, len(lengths), choice)


@inline_njit
def _stands_alone(loci, r, k, length, min_score):  # type: ignore[no-untyped-def]
    """Whether locus k of read r is reported whatever its mate has."""
    return loci.part[r, k] >= min_score_of(length, min_score)


@inline_njit
def standing_alone(loci, r, length, min_score):  # type: ignore[no-untyped-def]
    """The best locus of a read that is reported whatever its mate has; -1 if it has none."""
    for k in range(loci.held[r]):
        if _stands_alone(loci, r, k, length, min_score):
            return k
    return -1


@inline_njit
def _choose_single(loci, lengths, min_score, begin, end, choice):  # type: ignore[no-untyped-def]
    for r in range(begin, end):
        k = standing_alone(loci, r, lengths[r], min_score)
        if k >= 0:
            choice.locus[r] = k
            choice.second[r], choice.mapq[r] = judge_alone(loci, r, k, lengths[r], FLOOR)


@inline_njit
def judge_alone(loci, r, chosen, length, floor):  # type: ignore[no-untyped-def]
    """(XS, MAPQ) of a locus of read r by itself.

    ``length``: bases that it should align; ``floor``: score that unrelated sequence reaches.
    """
    second, near = rivals(loci, r, chosen)
    score = np.int64(loci.score[r, chosen])
    return second, mapping_quality(score - second, score - floor, near, score, length, loci.truncated[r])


def choose_pairs(
    loci: Loci,
    lengths: NDArray[np.int64],
    inserts: InsertSizes,
    config: AlignConfig,
    choice: Choice,
    expected: NDArray[np.int64] | None = None,
) -> None:
    """The best pair of loci of both ends, jointly; an end whose mate has none stands alone. So does one whose mate
    has none that scores enough, unless they make a proper pair. Of two that score too little both are reported if what
    they score for different bases of the reference is enough.

    An end's MAPQ is taken from how far the best pair of loci leads the best pair with another locus of that end.
    ``expected`` (``int64[reads]``): bases that its locus should align; the whole read, if not given.
    """
    expected = lengths if expected is None else expected
    limits = (config.pair.unpaired_penalty, config.min_score)
    _choose_pairs(loci, lengths, expected, inserts.range, inserts.penalties, limits, choice)


@inline_njit
def _weak_together(loci, r, j, k, lengths, min_score):  # type: ignore[no-untyped-def]
    """Whether neither of two loci stands alone, nor both together: what both cover is evidence once."""
    if _stands_alone(loci, r, j, lengths[r], min_score):
        return False
    if _stands_alone(loci, r + 1, k, lengths[r + 1], min_score):
        return False
    shared = min(loci.end[r, j], loci.end[r + 1, k]) - max(loci.start[r, j], loci.start[r + 1, k])
    return np.int64(loci.part[r, j]) + np.int64(loci.part[r + 1, k]) - max(0, shared) < min_score


@inline_njit
def _tied(loci, r, chosen):  # type: ignore[no-untyped-def]
    """Whether read r by itself has another locus as good as the chosen one."""
    return rivals(loci, r, chosen)[0] >= loci.score[r, chosen] - TIE


@njit
def _choose_pairs(loci, lengths, expected, inserts, penalties, limits, choice):  # type: ignore[no-untyped-def]
    unpaired, min_score = limits
    rooms = loci.score.shape[1]
    joint = np.empty((rooms, rooms), np.int64)
    reached = np.empty(rooms, np.int64)
    for r in range(0, len(lengths), 2):
        n, m = loci.held[r], loci.held[r + 1]
        if n == 0 or m == 0:
            _choose_single(loci, expected, min_score, r, r + 2, choice)
            continue
        best, at_j, at_k = HOPELESS, 0, 0
        for j in range(n):
            for k in range(m):
                joint[j, k], proper = _pair_score(loci, r, j, k, lengths, inserts, penalties, unpaired)
                # Loci come best first, ties in hashed order: the first of equal pairs wins.
                if joint[j, k] > best:
                    best, at_j, at_k = joint[j, k], j, k
                    choice.proper[r] = choice.proper[r + 1] = proper
        if not choice.proper[r] and not (
            _stands_alone(loci, r, at_j, lengths[r], min_score)
            and _stands_alone(loci, r + 1, at_k, lengths[r + 1], min_score)
        ):
            _choose_single(loci, expected, min_score, r, r + 2, choice)
            continue
        if choice.proper[r] and _weak_together(loci, r, at_j, at_k, lengths, min_score):
            choice.proper[r] = choice.proper[r + 1] = 0
            continue
        for end in range(2):
            mine = r + end
            chosen = at_k if end else at_j
            count = m if end else n
            second, near = HOPELESS, 0
            for locus in range(count):
                if rival(loci, mine, chosen, locus):
                    reached[locus] = joint[:n, locus].max() if end else joint[locus, :m].max()
                    second = max(second, reached[locus])
            for locus in range(count):
                near += rival(loci, mine, chosen, locus) and reached[locus] >= second - TIE
            score = np.int64(loci.score[mine, chosen])
            # The floor: some unrelated locus for this end, unpaired with the same mate.
            mate_score = best - score
            above = best - (FLOOR + mate_score - unpaired)
            choice.locus[mine] = chosen
            choice.second[mine] = rivals(loci, mine, chosen)[0]
            length, truncated = expected[mine], loci.truncated[mine]
            if choice.proper[mine]:
                score += loci.score[mine ^ 1, at_j if end else at_k]
                length += expected[mine ^ 1]
                # A pair is hidden only if both its loci are.
                truncated &= loci.truncated[mine ^ 1]
            quality = mapping_quality(best - second, above, near, score, length, truncated)
            if truncated and _tied(loci, r, at_j) and _tied(loci, r + 1, at_k):
                quality = min(quality, TIED_MAPQ)
            choice.mapq[mine] = quality


def choose_loci(
    loci: Loci,
    lengths: NDArray[np.int64],
    expected: NDArray[np.int64],
    inserts: InsertSizes | None,
    config: AlignConfig,
) -> Choice:
    """The locus to report of each read, of single reads (no ``inserts``) or of pairs.

    ``lengths`` (``int64[reads]``): bases of the reads. ``expected``: as in `choose_pairs`.
    """
    choice = Choice.empty(len(lengths))
    if inserts is None:
        choose_single(loci, expected, config, choice)
    else:
        choose_pairs(loci, lengths, inserts, config, choice, expected)
    return choice
