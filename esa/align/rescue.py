"""The rescue of a lost end: search for it where its mate says that it should lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.config import MAX_READ_LENGTH, AlignConfig, LocateConfig, PairConfig, VerifyConfig
from esa.align.gapped import Scratch, load_window, make_scratch
from esa.align.locate import best_diagonal, clear_kmers, index_kmers, vote
from esa.align.loci import Loci, Reads, Reference
from esa.align.pair import FF, FR, RF, RR, InsertSizes, five_prime, is_proper, standing_alone
from esa.align.strands import Strands, make_strands, orient, query_on
from esa.align.trials import (
    least_of,
    offer_at,
)
from esa.compiled import leaf, njit


def rescue(
    codes: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    salts: NDArray[np.uint64],
    active: NDArray[np.bool_],
    reference: Reference,
    inserts: InsertSizes,
    config: AlignConfig,
    loci: Loci,
    doubtful: NDArray[np.bool_] | None = None,
) -> None:
    """Search each good locus's mate window for the mate, where no locus of the mate lies in it, in place.

    ``active`` (``bool[pairs]``): the pairs to look at. ``doubtful`` (``bool[reads]``, none): reads that are searched
    for where they have a locus, too: another copy of a tandem repeat may lie beside it. Those of them that nothing is
    reported of otherwise are scored on every diagonal (`PairConfig.longest_scored`).
    """
    settings = _Settings(config.pair, config.locate, config.verify, config.least_score, config.max_loci)
    doubtful = np.zeros(2 * len(active), np.bool_) if doubtful is None else doubtful
    _rescue(Reads(codes, offsets, salts), active, doubtful, reference, inserts.range, settings, loci)


class _Settings(NamedTuple):
    """What kernels need of an `AlignConfig`."""

    pair: PairConfig
    locate: LocateConfig
    verify: VerifyConfig
    least_score: int
    max_loci: int


@leaf
def _mate_window(loci, r, k, length, mate_length, inserts):  # type: ignore[no-untyped-def]
    """(First base, width, strand) of the window in which the mate of a read at a locus should lie."""
    at = five_prime(loci, r, k, length)
    strand = np.int64(loci.reverse[r, k]) ^ (inserts.orientation == FR or inserts.orientation == RF)
    # In the read's own direction the mate's 5' end lies ahead of it (FR), or behind (RF); FF and RR are seen
    # from the first read.
    ahead = inserts.orientation == FR or (inserts.orientation == (FF if r % 2 == 0 else RR))
    if (loci.reverse[r, k] == 0) == ahead:
        begin, end = at + inserts.low, at + inserts.high
    else:
        begin, end = at - inserts.high, at - inserts.low
    if strand:
        begin -= mate_length
    else:
        end += mate_length
    return begin, end - begin, strand


@leaf
def _has_mate(loci, r, k, lengths, inserts, unpaired):  # type: ignore[no-untyped-def]
    """Whether a locus of the mate makes a proper pair with locus k of read r that its best locus, unpaired, does not
    beat: a poor copy of a repeat beside that locus is no reason not to look for the mate there."""
    first = r - r % 2
    for m in range(loci.held[r ^ 1]):
        if loci.score[r ^ 1, m] < loci.score[r ^ 1, 0] - unpaired:
            break
        j, other = (k, m) if r == first else (m, k)
        if is_proper(loci, first, j, other, lengths, inserts)[0]:
            return True
    return False


class _Buffers(NamedTuple):
    """Room for the search of one window, and the mate in both orientations."""

    strands: Strands
    window: NDArray[np.uint8]
    head: NDArray[np.int32]
    following: NDArray[np.int32]
    votes: NDArray[np.int32]
    running: NDArray[np.int32]
    best: NDArray[np.int32]
    scratch: Scratch


@njit
def _make_buffers(longest, inserts, config):  # type: ignore[no-untyped-def]
    widest = inserts.high - inserts.low + longest
    return _Buffers(
        make_strands(longest),
        np.empty(widest, np.uint8),
        np.zeros(4**config.locate.k, np.int32),
        np.empty(longest, np.int32),
        np.zeros(widest + longest, np.int32),
        np.empty(widest, np.int32),
        np.empty(widest, np.int32),
        make_scratch(longest, config.verify.max_gap),
    )


@leaf
def _is_known(loci, r, place, near, unpaired):  # type: ignore[no-untyped-def]
    """Whether read r has a locus at a place (diagonal, strand, contig), or near it, that may be chosen in a pair.

    One that scores little there may be the right one, which was not aligned with gaps."""
    diagonal, strand, contig = place
    for k in range(loci.held[r]):
        if loci.score[r, k] < loci.score[r, 0] - unpaired:
            break
        if (
            loci.reverse[r, k] == strand
            and loci.contig[r, k] == contig
            and abs(loci.diagonal[r, k] - diagonal) <= near
        ):
            return True
    return False


@leaf
def _offer_mate(loci, mate, query, place, reference, config, known, scratch):  # type: ignore[no-untyped-def]
    """Offer a read its locus at a place that its mate led to; returns whether it scores enough.

    ``known``: as in `offer_at`."""
    least = least_of(len(query.codes), config.least_score, config.pair.least_rescued)
    return offer_at(loci, mate, query, place, reference, least, config.verify.max_gap, known, scratch)


@leaf
def _rescue_mate(r, k, salt, reference, lengths, inserts, config, thorough, buffers, loci):  # type: ignore[no-untyped-def]
    """Search the window that locus k of read r opens for its mate.

    ``thorough``: score every diagonal of the window if shared k-mers lead to nothing."""
    mate = r ^ 1
    n = lengths[mate]
    k_mer = config.locate.k
    contig = np.int64(loci.contig[r, k])
    origin, width, reverse = _mate_window(loci, r, k, lengths[r], n, inserts)
    load_window(reference, contig, origin, width, buffers.window)
    query = query_on(buffers.strands, n, reverse)
    index_kmers(query.codes, n, k_mer, buffers.head, buffers.following)
    near = n * config.verify.same_locus // 100
    shift, votes = vote(
        buffers.window, width, n, k_mer, config.locate.slack, buffers.head, buffers.following, buffers.votes
    )
    if votes and _is_known(loci, mate, (origin + shift, reverse, contig), near, config.pair.unpaired_penalty):
        shift, votes = vote(
            buffers.window, width, n, k_mer, config.locate.slack, buffers.head, buffers.following, buffers.votes,
            shift, near,
        )  # fmt: skip
    clear_kmers(query.codes, n, k_mer, buffers.head)
    known = (salt, near, config.max_loci, 1)
    if votes >= config.locate.least_votes and _offer_mate(
        loci, mate, query, (origin + shift, reverse, contig), reference, config, known, buffers.scratch
    ):
        return
    if thorough:
        shift, _ = best_diagonal(query.codes, buffers.window, width, buffers.running, buffers.best)
        _offer_mate(
            loci, mate, query, (origin + shift, reverse, contig), reference, config, known, buffers.scratch
        )


@njit
def _rescue(reads, active, doubtful, reference, inserts, config, loci):  # type: ignore[no-untyped-def]
    lengths = reads.offsets[1:] - reads.offsets[:-1]
    longest = 1
    for p in range(len(active)):
        for r in (2 * p, 2 * p + 1):
            if active[p] and lengths[r] <= MAX_READ_LENGTH:
                longest = max(longest, lengths[r])
    buffers = _make_buffers(longest, inserts, config)
    for p in range(len(active)):
        if not active[p]:
            continue
        for r in (2 * p, 2 * p + 1):
            mate = r ^ 1
            if loci.held[r] == 0 or not config.locate.k <= lengths[mate] <= MAX_READ_LENGTH:
                continue
            oriented = False
            lost = standing_alone(loci, mate, lengths[mate], config.least_score) < 0
            tried = 0
            for k in range(loci.held[r]):
                few = tried < config.pair.max_rescues
                worst = loci.score[r, 0] - (config.pair.rescue_margin if few else 0)
                if tried == config.pair.most_rescues or loci.score[r, k] < worst:
                    break
                has_mate = _has_mate(loci, r, k, lengths, inserts, config.pair.unpaired_penalty)
                if has_mate and not (few and doubtful[mate]):
                    continue
                if not oriented:
                    begin, end = reads.offsets[mate], reads.offsets[mate + 1]
                    orient(reads.codes, begin, end, buffers.strands)
                    oriented = True
                tried += 1
                thorough = (
                    doubtful[mate] and not has_mate and lost and lengths[mate] <= config.pair.longest_scored
                )
                _rescue_mate(
                    r, k, reads.salts[mate], reference, lengths, inserts, config, thorough, buffers, loci
                )
