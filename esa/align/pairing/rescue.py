"""The rescue of a lost end: search for it where its mate says that it should lie."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.config import AlignConfig, PairConfig, VerifyConfig, VotingConfig
from esa.align.extend.band_state import (
    BAND_STATE_FIELDS,
    next_band,
    offer_state,
    put_state,
    score_ungapped,
    state_at,
    take_task,
    thresholds_of,
    ungapped_state,
)
from esa.align.extend.gapped import Scratch, align_tasks, load_window, make_scratch, make_tasks
from esa.align.extend.mismatch_masks import Strands, make_strands, orient, query_on
from esa.align.inserts import FF, FR, RF, RR, InsertRange, InsertSizes
from esa.align.loci import Loci, Reads, Reference
from esa.align.pairing.choose import five_prime, is_proper, standing_alone
from esa.align.scoring import MAX_READ_LENGTH
from esa.align.search.kmer_voting import KmerIndex, best_diagonal, clear_kmers, index_kmers, vote
from esa.kernels.decorator import inline_njit, njit


def rescue(
    codes: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    salts: NDArray[np.uint64],
    active: NDArray[np.bool_],
    reference: Reference,
    inserts: InsertSizes,
    config: AlignConfig,
    loci: Loci,
    maybe_other_copy: NDArray[np.bool_] | None = None,
) -> None:
    """Search each good locus's mate window for the mate, where no locus of the mate lies in it, in place.

    ``active`` (``bool[pairs]``): the pairs to look at. ``maybe_other_copy`` (``bool[reads]``, none): reads that are
    searched for where they have a locus, too: another copy of a tandem repeat may lie beside it. Those of them that
    nothing is reported of otherwise are scored on every diagonal (`PairConfig.longest_scored`).
    """
    settings = _Settings(config.pair, config.voting, config.verify, config.min_score, config.max_loci)
    maybe_other_copy = np.zeros(2 * len(active), np.bool_) if maybe_other_copy is None else maybe_other_copy
    _rescue(Reads(codes, offsets, salts), active, maybe_other_copy, reference, inserts.range, settings, loci)


class _Settings(NamedTuple):
    """What kernels need of an `AlignConfig`."""

    pair: PairConfig
    voting: VotingConfig
    verify: VerifyConfig
    min_score: int
    max_loci: int


@inline_njit
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


@inline_njit
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
    """Room for the search of one window, and the mate in both orientations: that of index ``oriented[0]``."""

    strands: Strands
    window: NDArray[np.uint8]
    head: NDArray[np.int32]
    following: NDArray[np.int32]
    votes: NDArray[np.int32]
    running: NDArray[np.int32]
    best: NDArray[np.int32]
    scratch: Scratch
    oriented: NDArray[np.int64]


@njit
def _make_buffers(longest, inserts, config):  # type: ignore[no-untyped-def]
    widest = inserts.high - inserts.low + longest
    return _Buffers(
        make_strands(longest),
        np.empty(widest, np.uint8),
        np.zeros(4**config.voting.k, np.int32),
        np.empty(longest, np.int32),
        np.zeros(widest + longest, np.int32),
        np.empty(widest, np.int32),
        np.empty(widest, np.int32),
        make_scratch(longest, config.verify.max_gap),
        np.full(1, -1, np.int64),
    )


@inline_njit
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


class _Searches(NamedTuple):
    """Where the search for the mates of each pair stands; a row is a pair.

    side, k: it looks into the window of locus k of read ``2 * pair + side``.
    tried: windows of that read so far.
    lost: when it came to that read, its mate had no locus that is reported.
    thorough: every diagonal of this window is scored if shared k-mers lead to nothing.
    stage: what led to the place that the mate is being aligned at: `_VOTED`, `_SCORED`; `_NOTHING`: there is none.
    place: ``int64[pairs, 3]``, (diagonal, strand, contig).
    states: ``int64[pairs, BAND_STATE_FIELDS]``, the `BandState` there.
    """

    side: NDArray[np.int64]
    k: NDArray[np.int64]
    tried: NDArray[np.int64]
    lost: NDArray[np.bool_]
    thorough: NDArray[np.bool_]
    stage: NDArray[np.int64]
    place: NDArray[np.int64]
    states: NDArray[np.int64]


_NOTHING, _VOTED, _SCORED = range(3)


@njit
def _make_searches(pairs):  # type: ignore[no-untyped-def]
    return _Searches(
        np.full(pairs, -1, np.int64),
        np.zeros(pairs, np.int64),
        np.zeros(pairs, np.int64),
        np.zeros(pairs, np.bool_),
        np.zeros(pairs, np.bool_),
        np.full(pairs, _NOTHING, np.int64),
        np.empty((pairs, 3), np.int64),
        np.empty((pairs, BAND_STATE_FIELDS), np.int64),
    )


class _Run(NamedTuple):
    """What the search of a batch works on. ``lengths``: of its reads."""

    reads: Reads
    lengths: NDArray[np.int64]
    maybe_other_copy: NDArray[np.bool_]
    reference: Reference
    inserts: InsertRange
    config: _Settings
    loci: Loci
    buffers: _Buffers
    searches: _Searches


@inline_njit
def _mate_of(searches, p):  # type: ignore[no-untyped-def]
    """The read that is searched for."""
    return (2 * p + searches.side[p]) ^ 1


@inline_njit
def _place_of(searches, p):  # type: ignore[no-untyped-def]
    return searches.place[p, 0], searches.place[p, 1], searches.place[p, 2]


@inline_njit
def _put_place(searches, p, place):  # type: ignore[no-untyped-def]
    searches.place[p, 0], searches.place[p, 1], searches.place[p, 2] = place


@inline_njit
def _next_read(run, p):  # type: ignore[no-untyped-def]
    """Go on to the next read of pair p that has loci and a mate that can be searched for; whether there is one."""
    searches, config = run.searches, run.config
    while searches.side[p] < 1:
        searches.side[p] += 1
        mate = _mate_of(searches, p)
        length = run.lengths[mate]
        if run.loci.held[mate ^ 1] and config.voting.k <= length <= MAX_READ_LENGTH:
            searches.k[p], searches.tried[p] = -1, 0
            searches.lost[p] = standing_alone(run.loci, mate, length, config.min_score) < 0
            return True
    return False


@inline_njit
def _next_window(run, p):  # type: ignore[no-untyped-def]
    """Go on to the next locus of pair p's read whose window is looked into; whether there is one."""
    searches, loci, config = run.searches, run.loci, run.config.pair
    mate = _mate_of(searches, p)
    r = mate ^ 1
    for k in range(searches.k[p] + 1, loci.held[r]):
        few = searches.tried[p] < config.max_rescues
        worst = loci.score[r, 0] - (config.rescue_margin if few else 0)
        if searches.tried[p] == config.max_tied_rescues or loci.score[r, k] < worst:
            return False
        has_mate = _has_mate(loci, r, k, run.lengths, run.inserts, config.unpaired_penalty)
        if has_mate and not (few and run.maybe_other_copy[mate]):
            continue
        searches.k[p] = k
        searches.tried[p] += 1
        short = run.lengths[mate] <= config.longest_scored
        searches.thorough[p] = run.maybe_other_copy[mate] and not has_mate and searches.lost[p] and short
        return True
    return False


@inline_njit
def _next(run, p):  # type: ignore[no-untyped-def]
    """Go on to the next window of pair p; whether there is one."""
    while True:
        if run.searches.side[p] >= 0 and _next_window(run, p):
            return True
        if not _next_read(run, p):
            return False


@njit(inline="always")
def _mate_query(run, p, reverse):  # type: ignore[no-untyped-def]
    """Pair p's mate on a strand."""
    mate, reads, buffers = _mate_of(run.searches, p), run.reads, run.buffers
    if buffers.oriented[0] != mate:
        orient(reads.codes, reads.offsets[mate], reads.offsets[mate + 1], buffers.strands)
        buffers.oriented[0] = mate
    return query_on(buffers.strands, run.lengths[mate], reverse)


@inline_njit
def _load_mate_window(run, p):  # type: ignore[no-untyped-def]
    """Pair p's window into ``buffers.window``; (first base, width, strand, contig)."""
    mate, k = _mate_of(run.searches, p), run.searches.k[p]
    r = mate ^ 1
    contig = np.int64(run.loci.contig[r, k])
    origin, width, reverse = _mate_window(run.loci, r, k, run.lengths[r], run.lengths[mate], run.inserts)
    load_window(run.reference, contig, origin, width, run.buffers.window)
    return origin, width, reverse, contig


@inline_njit
def _vote_for_place(run, p):  # type: ignore[no-untyped-def]
    """Find the mate's place in pair p's window by shared k-mers; whether there is one."""
    mate, buffers, config = _mate_of(run.searches, p), run.buffers, run.config
    n, k = run.lengths[mate], config.voting.k
    kmers = KmerIndex(buffers.head, buffers.following)
    origin, width, reverse, contig = _load_mate_window(run, p)
    query = _mate_query(run, p, reverse)
    window = buffers.window[:width]
    index_kmers(query.codes, n, k, kmers)
    near = n * config.verify.same_locus // 100
    shift, votes = vote(window, n, config.voting, kmers, buffers.votes)
    place = (origin + shift, reverse, contig)
    if votes and _is_known(run.loci, mate, place, near, config.pair.unpaired_penalty):
        shift, votes = vote(window, n, config.voting, kmers, buffers.votes, shift, near)
    clear_kmers(query.codes, n, k, kmers)
    _put_place(run.searches, p, (origin + shift, reverse, contig))
    return votes >= config.voting.min_votes


@inline_njit
def _score_for_place(run, p):  # type: ignore[no-untyped-def]
    """Find the mate's place in pair p's window by the scores of all diagonals."""
    buffers = run.buffers
    origin, width, reverse, contig = _load_mate_window(run, p)
    query = _mate_query(run, p, reverse)
    shift, _ = best_diagonal(query.codes, buffers.window, width, buffers.running, buffers.best)
    _put_place(run.searches, p, (origin + shift, reverse, contig))


@inline_njit
def _try_place(run, p):  # type: ignore[no-untyped-def]
    """The first state of pair p's mate at its place."""
    scratch = run.buffers.scratch
    place = _place_of(run.searches, p)
    query = _mate_query(run, p, place[1])
    ungapped = score_ungapped(query, run.reference, place[2], place[0], scratch)
    state = ungapped_state(query, run.reference, place, ungapped, run.config.verify.max_gap, scratch)
    put_state(run.searches.states, p, state)


@inline_njit
def _least_of_mate(run, p):  # type: ignore[no-untyped-def]
    n, config = run.lengths[_mate_of(run.searches, p)], run.config
    return thresholds_of(n, config.min_score, config.pair.min_rescued_score)


@inline_njit
def _offer_place(run, p):  # type: ignore[no-untyped-def]
    """Offer pair p's mate the locus of its state; whether that scores enough."""
    mate, config = _mate_of(run.searches, p), run.config
    place = _place_of(run.searches, p)
    known = (run.reads.salts[mate], run.lengths[mate] * config.verify.same_locus // 100, config.max_loci, 1)
    return offer_state(
        run.loci, mate, _mate_query(run, p, place[1]), place, state_at(run.searches.states, p), run.reference,
        _least_of_mate(run, p), known, run.buffers.scratch,
    )  # fmt: skip


@inline_njit
def _search_on(run, p):  # type: ignore[no-untyped-def]
    """Search for the mates of pair p until one is to be aligned with gaps; the half-width of the band; 0: done."""
    searches = run.searches
    while True:
        stage = searches.stage[p]
        found = False
        if stage != _NOTHING:
            band = next_band(state_at(searches.states, p), _least_of_mate(run, p).held)
            if band:
                return band
            found = _offer_place(run, p)
        if searches.thorough[p] and not found and stage != _SCORED:
            _score_for_place(run, p)
            stage = _SCORED
        elif _next(run, p):
            stage = _VOTED if _vote_for_place(run, p) else _NOTHING
        else:
            return 0
        searches.stage[p] = stage
        if stage != _NOTHING:
            _try_place(run, p)


@njit
def _align_mates(run, pairs, tasks):  # type: ignore[no-untyped-def]
    """Align the mates of these pairs with gaps, side by side; ``tasks``: with their bands."""
    searches = run.searches
    for t in range(len(pairs)):
        tasks.read[t] = _mate_of(searches, pairs[t])
        tasks.diagonal[t], tasks.reverse[t], tasks.contig[t] = _place_of(searches, pairs[t])
    done = align_tasks(tasks, len(pairs), run.reads.codes, run.reads.offsets, run.reference)
    for t in range(len(pairs)):
        take_task(searches.states, pairs[t], run.lengths[tasks.read[t]], tasks, done, t)


@njit
def _rescue(reads, active, maybe_other_copy, reference, inserts, config, loci):  # type: ignore[no-untyped-def]
    lengths = reads.offsets[1:] - reads.offsets[:-1]
    longest = 1
    for p in range(len(active)):
        for r in (2 * p, 2 * p + 1):
            if active[p] and lengths[r] <= MAX_READ_LENGTH:
                longest = max(longest, lengths[r])
    buffers, searches = _make_buffers(longest, inserts, config), _make_searches(len(active))
    run = _Run(reads, lengths, maybe_other_copy, reference, inserts, config, loci, buffers, searches)
    pairs = np.flatnonzero(active)
    tasks = make_tasks(len(pairs))
    # Each pair goes on until it needs an alignment with gaps; then all of these are made together.
    while len(pairs):
        count = 0
        for pair in pairs:
            band = _search_on(run, pair)
            if band:
                pairs[count], tasks.band[count] = pair, band
                count += 1
        pairs = pairs[:count]
        if count:
            _align_mates(run, pairs, tasks)
