"""Pairs: the sample of insert sizes, and the joint choice of both ends' loci."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.align.config import AlignConfig
from esa.align.extend.band_state import min_score_of
from esa.align.inserts import FF, FR, RF, RR, InsertRange, InsertSizes
from esa.align.loci import HOPELESS, Loci, rival
from esa.align.pairing.mapq import FLOOR, TIE, mapping_quality, rivals
from esa.kernels.arrays import Bool, I32Array, I64Array, Int, U8Array
from esa.kernels.decorator import inline_njit, njit

UNIQUE_GAP = 10
"""A read is unique, for the insert sample, if its best score leads the next by this much: two
mismatches. Set by hand."""
LEARNT_MAX = 10_000
"""Ends farther apart are left out of the insert sample, as in bwa mem.

The bounds, and with them the mate windows, would otherwise grow to megabases on libraries that join distant places
(Hi-C).
"""
TIED_MAPQ = 15
"""Highest MAPQ of a pair for which only the insert size speaks.

That is where both ends have equals elsewhere, some not found: 17 of 608 such pairs were wrong (50 to 100 bp, 0.6 and
2 %, human chromosome 20).
"""


def sample_sizes(loci: Loci, lengths: I64Array, pairs: int) -> I64Array:
    """The insert sample: of the first ``pairs`` pairs, those whose ends are both unique.

    ``lengths``: ``int64[reads]``. Returns ``int64[n, 2]``: orientation and size, up to `LEARNT_MAX` bases.
    """
    out = np.empty((pairs, 2), np.int64)
    return out[: _sample(loci, lengths, pairs, out)]


class Choice(NamedTuple):
    """The locus to report of each read; arrays of that length.

    locus: ``int32``, index among the read's loci; -1: unmapped.
    mapq: ``uint8``.
    proper: ``uint8``, 1 in a proper pair.
    second: ``int32``, XS; -1: none.
    """

    locus: I32Array
    mapq: U8Array
    proper: U8Array
    second: I32Array

    @classmethod
    def empty(cls, reads: int) -> Choice:
        """All reads unmapped."""
        return cls(
            np.full(reads, -1, np.int32),
            np.zeros(reads, np.uint8),
            np.zeros(reads, np.uint8),
            np.full(reads, -1, np.int32),
        )


@inline_njit
def five_prime(loci: Loci, r: Int, k: Int, length: Int) -> Int:
    """Global position of the 5' end of a read at a locus (of the base beyond it on the reverse strand)."""
    return loci.diagonal[r, k] + (length if loci.reverse[r, k] else 0)


@inline_njit
def pair_geometry(loci: Loci, r: Int, j: Int, k: Int, lengths: I64Array) -> tuple[Int, Int]:
    """(Orientation, size in bases from 5' end to 5' end) of locus j of read r and locus k of its mate, read r + 1."""
    mine = five_prime(loci, r, j, lengths[r])
    mates = five_prime(loci, r + 1, k, lengths[r + 1])
    ahead = mates - mine
    if loci.reverse[r, j]:
        ahead = -ahead
    if loci.reverse[r, j] == loci.reverse[r + 1, k]:
        return (FF if ahead >= 0 else RR), abs(ahead)
    return (FR if ahead >= 0 else RF), abs(ahead)


@inline_njit
def _sample(loci: Loci, lengths: I64Array, pairs: Int, out: I64Array) -> Int:
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
def is_proper(
    loci: Loci, r: Int, j: Int, k: Int, lengths: I64Array, inserts: InsertRange
) -> tuple[Bool, Int]:
    """(Whether locus j of read r and locus k of its mate, read r + 1, make a proper pair, its size in bases).

    The size is 0 where they lie on different contigs.
    """
    if loci.contig[r, j] != loci.contig[r + 1, k]:
        return False, 0
    orientation, size = pair_geometry(loci, r, j, k, lengths)
    return orientation == inserts.orientation and inserts.low <= size <= inserts.high, size


def choose_single(loci: Loci, lengths: I64Array, config: AlignConfig, choice: Choice) -> None:
    """Choose the best locus of each read by itself, if it scores enough.

    ``lengths``: ``int64[reads]``, bases that a locus should align; ``choice``: filled in.
    """
    _choose_single(loci, lengths, config.min_score, 0, len(lengths), choice)


@inline_njit
def _stands_alone(loci: Loci, r: Int, k: Int, length: Int, min_score: Int) -> Bool:
    """Whether locus k of read r is reported whatever its mate has."""
    return loci.local_score[r, k] >= min_score_of(length, min_score)


@inline_njit
def standing_alone(loci: Loci, r: Int, length: Int, min_score: Int) -> Int:
    """The best locus of a read that is reported whatever its mate has; -1 if it has none."""
    for k in range(loci.held[r]):
        if _stands_alone(loci, r, k, length, min_score):
            return k
    return -1


@inline_njit
def _choose_single(
    loci: Loci, lengths: I64Array, min_score: Int, begin: Int, end: Int, choice: Choice
) -> None:
    for r in range(begin, end):
        k = standing_alone(loci, r, lengths[r], min_score)
        if k >= 0:
            choice.locus[r] = k
            choice.second[r], choice.mapq[r] = judge_alone(loci, r, k, lengths[r], FLOOR)


@inline_njit
def judge_alone(loci: Loci, r: Int, chosen: Int, length: Int, floor: Int) -> tuple[Int, Int]:
    """(XS, MAPQ) of a locus of read r by itself.

    ``length``: bases that it should align; ``floor``: score that unrelated sequence may reach.
    """
    second, near = rivals(loci, r, chosen)
    score = np.int64(loci.score[r, chosen])
    return second, mapping_quality(score - second, score - floor, near, score, length, loci.truncated[r])


def choose_pairs(
    loci: Loci,
    lengths: I64Array,
    inserts: InsertSizes,
    config: AlignConfig,
    choice: Choice,
    expected: I64Array | None = None,
) -> None:
    """Choose the best pair of loci of both ends, jointly.

    An end whose mate has no locus stands alone. So do both ends where the mate's locus scores too little, unless they
    make a proper pair. Where both ends of a proper pair score too little, both are reported if their scores for
    different bases of the reference suffice together.

    An end's MAPQ follows from the lead of the best pair of loci over the best pair with another locus of that end.

    Args:
        loci: of the reads, both ends of each pair one after the other.
        lengths: ``int64[reads]``, bases.
        inserts: which pairs are proper.
        config: its ``min_score`` and ``pair.unpaired_penalty``.
        choice: filled in.
        expected: ``int64[reads]``, bases that a locus should align; the whole read, if not given.
    """
    rules = _PairRules(inserts.range, inserts.penalties, config.pair.unpaired_penalty, config.min_score)
    _choose_pairs(loci, lengths, lengths if expected is None else expected, rules, choice)


class _PairRules(NamedTuple):
    """How pairs are scored.

    inserts, penalties: which pairs are proper, and what they lose by their size (`InsertSizes`).
    unpaired: what other pairs lose.
    min_score: from which a read is reported.
    """

    inserts: InsertRange
    penalties: I32Array
    unpaired: int
    min_score: int


class _BestPair(NamedTuple):
    """The pair of loci chosen: locus j of the first end, locus k of the second.

    score: its joint score.
    proper: 1 if it is proper.
    """

    score: Int
    j: Int
    k: Int
    proper: Int


class _NextPairs(NamedTuple):
    """Pairs with a rival of the locus chosen for one end.

    score: best joint score of them; `HOPELESS` if there is none.
    near: rivals whose best pair scores within `TIE` of that.
    """

    score: Int
    near: Int


@inline_njit
def _pair_score(loci: Loci, r: Int, j: Int, k: Int, lengths: I64Array, rules: _PairRules) -> tuple[Int, Bool]:
    """(Joint score, proper) of locus j of read r and locus k of its mate."""
    score = np.int64(loci.score[r, j]) + np.int64(loci.score[r + 1, k])
    proper, size = is_proper(loci, r, j, k, lengths, rules.inserts)
    if proper:
        return score - min(rules.penalties[size - rules.inserts.low], rules.unpaired), True
    return score - rules.unpaired, False


@inline_njit
def _weak_together(loci: Loci, r: Int, j: Int, k: Int, lengths: I64Array, min_score: Int) -> Bool:
    """Whether neither of two loci stands alone, nor both together: bases that both cover are evidence once."""
    if _stands_alone(loci, r, j, lengths[r], min_score):
        return False
    if _stands_alone(loci, r + 1, k, lengths[r + 1], min_score):
        return False
    shared = min(loci.end[r, j], loci.end[r + 1, k]) - max(loci.start[r, j], loci.start[r + 1, k])
    return (
        np.int64(loci.local_score[r, j]) + np.int64(loci.local_score[r + 1, k]) - max(0, shared) < min_score
    )


@inline_njit
def _tied(loci: Loci, r: Int, chosen: Int) -> Bool:
    """Whether read r by itself has another locus as good as the chosen one."""
    return rivals(loci, r, chosen)[0] >= loci.score[r, chosen] - TIE


@inline_njit
def _best_pair(loci: Loci, r: Int, lengths: I64Array, rules: _PairRules, joint: I64Array) -> _BestPair:
    """The best pair of loci of reads r and r + 1; fills ``joint[j, k]`` with the score of each pair."""
    best, at_j, at_k = HOPELESS, 0, 0
    best_is_proper: Int = 0
    for j in range(loci.held[r]):
        for k in range(loci.held[r + 1]):
            joint[j, k], proper = _pair_score(loci, r, j, k, lengths, rules)
            # Loci come best first, ties in hashed order: the first of equal pairs wins.
            if joint[j, k] > best:
                best, at_j, at_k, best_is_proper = joint[j, k], j, k, np.int64(proper)
    return _BestPair(best, at_j, at_k, best_is_proper)


@inline_njit
def _next_pairs(loci: Loci, r: Int, end: Int, chosen: Int, joint: I64Array, reached: I64Array) -> _NextPairs:
    """`_NextPairs` of one end of the pair r, r + 1, whose locus ``chosen`` is.

    ``joint``: score of each pair; ``reached``: ``int64[loci]``, overwritten.
    """
    mine = r + end
    second, near = HOPELESS, 0
    for locus in range(loci.held[mine]):
        if rival(loci, mine, chosen, locus):
            highest = HOPELESS
            for mates in range(loci.held[mine ^ 1]):
                highest = max(highest, joint[mates, locus] if end else joint[locus, mates])
            reached[locus] = highest
            second = max(second, highest)
    for locus in range(loci.held[mine]):
        near += rival(loci, mine, chosen, locus) and reached[locus] >= second - TIE
    return _NextPairs(second, near)


@inline_njit
def _judge_end(
    loci: Loci, r: Int, end: Int, best: _BestPair, others: _NextPairs, expected: I64Array, unpaired: Int
) -> Int:
    """MAPQ of one end of the pair r, r + 1; ``others``: of that end."""
    mine = r + end
    chosen, mates = (best.k, best.j) if end else (best.j, best.k)
    score = np.int64(loci.score[mine, chosen])
    # The floor: some unrelated locus for this end, unpaired with the same mate.
    mate_score = best.score - score
    above = best.score - (FLOOR + mate_score - unpaired)
    length, truncated = expected[mine], loci.truncated[mine]
    if best.proper:
        score += loci.score[mine ^ 1, mates]
        length += expected[mine ^ 1]
        # A limit may have left out a pair only if it may have left out both its loci.
        truncated &= loci.truncated[mine ^ 1]
    quality = mapping_quality(best.score - others.score, above, others.near, score, length, truncated)
    if truncated and _tied(loci, r, best.j) and _tied(loci, r + 1, best.k):
        quality = min(quality, TIED_MAPQ)
    return quality


@njit
def _choose_pairs(
    loci: Loci, lengths: I64Array, expected: I64Array, rules: _PairRules, choice: Choice
) -> None:
    min_score = rules.min_score
    columns = loci.score.shape[1]
    joint = np.empty((columns, columns), np.int64)
    reached = np.empty(columns, np.int64)
    for r in range(0, len(lengths), 2):
        if loci.held[r] == 0 or loci.held[r + 1] == 0:
            _choose_single(loci, expected, min_score, r, r + 2, choice)
            continue
        best = _best_pair(loci, r, lengths, rules, joint)
        choice.proper[r] = choice.proper[r + 1] = best.proper
        if not best.proper and not (
            _stands_alone(loci, r, best.j, lengths[r], min_score)
            and _stands_alone(loci, r + 1, best.k, lengths[r + 1], min_score)
        ):
            _choose_single(loci, expected, min_score, r, r + 2, choice)
            continue
        if best.proper and _weak_together(loci, r, best.j, best.k, lengths, min_score):
            choice.proper[r] = choice.proper[r + 1] = 0
            continue
        for end in range(2):
            mine = r + end
            chosen = best.k if end else best.j
            others = _next_pairs(loci, r, end, chosen, joint, reached)
            choice.locus[mine] = chosen
            choice.second[mine] = rivals(loci, mine, chosen)[0]
            choice.mapq[mine] = _judge_end(loci, r, end, best, others, expected, rules.unpaired)


def choose_loci(
    loci: Loci,
    lengths: I64Array,
    expected: I64Array,
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
