"""The rescue of an unplaced end: search for it where its mate and the insert sizes predict it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.align.config import AlignConfig, PairConfig, VerifyConfig, VotingConfig
from esa.align.extend.band_driver import BandTable, align_until_done, keep_wanting, make_states, place_of
from esa.align.extend.band_state import (
    Place,
    Site,
    Thresholds,
    next_band,
    offer_state,
    put_state,
    score_ungapped,
    state_at,
    thresholds_of,
    ungapped_state,
)
from esa.align.extend.gapped import Scratch, load_window, make_scratch
from esa.align.extend.mismatch_masks import Query, Strands, make_strands, orient, query_on
from esa.align.inserts import InsertRange, InsertSizes
from esa.align.loci import Loci, OfferRules, Reads, Reference
from esa.align.pairing.choose import standing_alone
from esa.align.pairing.mate_window import MateWindow, has_mate, mate_window
from esa.align.scoring import MAX_READ_LENGTH
from esa.align.search.kmer_voting import KmerIndex, best_diagonal, clear_kmers, index_kmers, vote
from esa.kernels.arrays import Bool, BoolArray, I32Array, I64Array, Int, U8Array
from esa.kernels.decorator import inline_njit, njit


def rescue(
    reads: Reads,
    active: BoolArray,
    reference: Reference,
    inserts: InsertSizes,
    config: AlignConfig,
    loci: Loci,
    maybe_other_copy: BoolArray | None = None,
) -> None:
    """Search each good locus's mate window for the mate, where no locus of the mate lies in it, in place.

    Args:
        reads: both ends of each pair, one after the other.
        active: ``bool[pairs]``, the pairs to look at.
        reference: what the reads are aligned to.
        inserts: where the mate of a locus should lie.
        config: its ``pair``, ``voting`` and ``verify``, and the limits of loci.
        loci: of the reads; changed.
        maybe_other_copy: ``bool[reads]`` (none): reads that are searched for even where they have a locus, as another
            copy of a tandem repeat may lie beside it. Those without a locus that is reported are scored on every
            diagonal (`PairConfig.longest_scored`).
    """
    settings = _Settings(config.pair, config.voting, config.verify, config.min_score, config.max_loci)
    if maybe_other_copy is None:
        maybe_other_copy = np.zeros(2 * len(active), np.bool_)
    _rescue(reads, active, maybe_other_copy, reference, inserts.range, settings, loci)


class _Settings(NamedTuple):
    """What kernels need of an `AlignConfig`."""

    pair: PairConfig
    voting: VotingConfig
    verify: VerifyConfig
    min_score: int
    max_loci: int


class _Buffers(NamedTuple):
    """Buffers for the search of one window.

    strands: the mate of index ``oriented[0]`` in both orientations.
    window: ``uint8[>= width]``, base codes.
    head, following, votes: of `esa.align.search.kmer_voting.vote`.
    running, best: of `esa.align.search.kmer_voting.best_diagonal`.
    scratch: for alignments of the mate.
    oriented: ``int64[1]``.
    """

    strands: Strands
    window: U8Array
    head: I32Array
    following: I32Array
    votes: I32Array
    running: I32Array
    best: I32Array
    scratch: Scratch
    oriented: I64Array


@njit
def _make_buffers(longest: Int, inserts: InsertRange, config: _Settings) -> _Buffers:
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
def _is_known(loci: Loci, r: Int, place: Place, near: Int, unpaired: Int) -> Bool:
    """Whether read r has a locus at a place, or near it, that may be chosen in a pair.

    A locus that scores little there may be the right one, not yet aligned with gaps.
    """
    for k in range(loci.held[r]):
        if loci.score[r, k] < loci.score[r, 0] - unpaired:
            break
        if (
            loci.reverse[r, k] == place.reverse
            and loci.contig[r, k] == place.contig
            and abs(loci.diagonal[r, k] - place.diagonal) <= near
        ):
            return True
    return False


class _Searches(NamedTuple):
    """How far the search for the mates of each pair is; arrays of one length.

    side, k: the window searched is that of locus k of read ``2 * pair + side``.
    tried: windows of that read so far.
    unplaced: whether its mate had no locus that is reported when the search came to that read.
    thorough: whether every diagonal of this window is scored if shared k-mers lead to nothing.
    step: what led to the place where the mate is being aligned: `_VOTED`, `_SCORED`; `_NOTHING`: there is none.
    """

    side: I64Array
    k: I64Array
    tried: I64Array
    unplaced: BoolArray
    thorough: BoolArray
    step: I64Array


_NOTHING, _VOTED, _SCORED = range(3)


@njit
def _make_searches(pairs: Int) -> _Searches:
    return _Searches(
        np.full(pairs, -1, np.int64),
        np.zeros(pairs, np.int64),
        np.zeros(pairs, np.int64),
        np.zeros(pairs, np.bool_),
        np.zeros(pairs, np.bool_),
        np.full(pairs, _NOTHING, np.int64),
    )


@njit
def _make_table(pairs: Int) -> BandTable:
    return BandTable(
        np.empty(pairs, np.int32),
        np.empty(pairs, np.int64),
        np.empty(pairs, np.uint8),
        np.empty(pairs, np.int32),
        make_states(pairs),
    )


class _Run(NamedTuple):
    """What the search of a batch works on. One tuple, as each of the kernels below hands it on whole.

    lengths: ``int64[reads]``.
    table: a row is a pair; the mate searched for, at the place where it is being aligned.
    """

    reads: Reads
    lengths: I64Array
    maybe_other_copy: BoolArray
    reference: Reference
    inserts: InsertRange
    config: _Settings
    loci: Loci
    buffers: _Buffers
    searches: _Searches
    table: BandTable


@inline_njit
def _mate_of(searches: _Searches, p: Int) -> Int:
    """The read that is searched for."""
    return (2 * p + searches.side[p]) ^ 1


@inline_njit
def _put_place(run: _Run, p: Int, place: Place) -> None:
    table = run.table
    table.read[p] = _mate_of(run.searches, p)
    table.diagonal[p], table.reverse[p], table.contig[p] = place.diagonal, place.reverse, place.contig


@inline_njit
def _next_read(run: _Run, p: Int) -> Bool:
    """Go on to the next read of pair p that has loci and a mate that can be searched for; whether there is one."""
    searches, config = run.searches, run.config
    while searches.side[p] < 1:
        searches.side[p] += 1
        mate = _mate_of(searches, p)
        length = run.lengths[mate]
        if run.loci.held[mate ^ 1] and config.voting.k <= length <= MAX_READ_LENGTH:
            searches.k[p], searches.tried[p] = -1, 0
            searches.unplaced[p] = standing_alone(run.loci, mate, length, config.min_score) < 0
            return True
    return False


@inline_njit
def _next_window(run: _Run, p: Int) -> Bool:
    """Go on to the next locus of pair p's read whose window is searched; whether there is one."""
    searches, loci, config = run.searches, run.loci, run.config.pair
    mate = _mate_of(searches, p)
    r = mate ^ 1
    for k in range(searches.k[p] + 1, loci.held[r]):
        few = searches.tried[p] < config.max_rescues
        worst = loci.score[r, 0] - (config.rescue_margin if few else 0)
        if searches.tried[p] == config.max_tied_rescues or loci.score[r, k] < worst:
            return False
        mated = has_mate(loci, r, k, run.lengths, run.inserts, config.unpaired_penalty)
        if mated and not (few and run.maybe_other_copy[mate]):
            continue
        searches.k[p] = k
        searches.tried[p] += 1
        short = run.lengths[mate] <= config.longest_scored
        searches.thorough[p] = run.maybe_other_copy[mate] and not mated and searches.unplaced[p] and short
        return True
    return False


@inline_njit
def _next(run: _Run, p: Int) -> Bool:
    """Go on to the next window of pair p; whether there is one."""
    while True:
        if run.searches.side[p] >= 0 and _next_window(run, p):
            return True
        if not _next_read(run, p):
            return False


@njit(inline="always")
def _mate_query(run: _Run, p: Int, reverse: Int) -> Query:
    """Pair p's mate on a strand."""
    mate, reads, buffers = _mate_of(run.searches, p), run.reads, run.buffers
    if buffers.oriented[0] != mate:
        orient(reads.codes, reads.offsets[mate], reads.offsets[mate + 1], buffers.strands)
        buffers.oriented[0] = mate
    return query_on(buffers.strands, run.lengths[mate], reverse)


@inline_njit
def _load_mate_window(run: _Run, p: Int) -> tuple[MateWindow, Int]:
    """Pair p's window, whose bases go into ``buffers.window``, and its contig."""
    mate, k = _mate_of(run.searches, p), run.searches.k[p]
    r = mate ^ 1
    contig = np.int64(run.loci.contig[r, k])
    found = mate_window(run.loci, r, k, run.lengths[r], run.lengths[mate], run.inserts)
    load_window(run.reference, contig, found.start, found.width, run.buffers.window)
    return found, contig


@inline_njit
def _vote_for_place(run: _Run, p: Int) -> Bool:
    """Find the mate's place in pair p's window by shared k-mers; whether there is one."""
    mate, buffers, config = _mate_of(run.searches, p), run.buffers, run.config
    n, k = run.lengths[mate], config.voting.k
    kmers = KmerIndex(buffers.head, buffers.following)
    window, contig = _load_mate_window(run, p)
    query = _mate_query(run, p, window.reverse)
    bases = buffers.window[: window.width]
    index_kmers(query.codes, n, k, kmers)
    near = n * config.verify.same_locus // 100
    shift, votes = vote(bases, n, config.voting, kmers, buffers.votes)
    place = Place(window.start + shift, window.reverse, contig)
    if votes and _is_known(run.loci, mate, place, near, config.pair.unpaired_penalty):
        shift, votes = vote(bases, n, config.voting, kmers, buffers.votes, shift, near)
    clear_kmers(query.codes, n, k, kmers)
    _put_place(run, p, Place(window.start + shift, window.reverse, contig))
    return votes >= config.voting.min_votes


@inline_njit
def _score_for_place(run: _Run, p: Int) -> None:
    """Find the mate's place in pair p's window by the scores of all diagonals."""
    buffers = run.buffers
    window, contig = _load_mate_window(run, p)
    query = _mate_query(run, p, window.reverse)
    shift, _ = best_diagonal(query.codes, buffers.window, window.width, buffers.running, buffers.best)
    _put_place(run, p, Place(window.start + shift, window.reverse, contig))


@njit(inline="always")
def _site_of(run: _Run, p: Int) -> Site:
    """Pair p's mate at its place."""
    place = place_of(run.table, p)
    return Site(_mate_query(run, p, place.reverse), place, run.reference, run.buffers.scratch)


@inline_njit
def _try_place(run: _Run, p: Int) -> None:
    """The first state of pair p's mate at its place."""
    site = _site_of(run, p)
    place = site.place
    ungapped = score_ungapped(site.query, run.reference, place.contig, place.diagonal, site.scratch)
    put_state(run.table.states, p, ungapped_state(site, ungapped, run.config.verify.max_gap))


@inline_njit
def _thresholds_of_mate(run: _Run, p: Int) -> Thresholds:
    n, config = run.lengths[_mate_of(run.searches, p)], run.config
    return thresholds_of(n, config.min_score, config.pair.min_rescued_score)


@inline_njit
def _offer_place(run: _Run, p: Int) -> Bool:
    """Offer pair p's mate the locus of its state; whether it is one."""
    mate, config = _mate_of(run.searches, p), run.config
    near = run.lengths[mate] * config.verify.same_locus // 100
    rules = OfferRules(run.reads.salts[mate], near, config.max_loci, 1)
    state = state_at(run.table.states, p)
    return offer_state(run.loci, mate, _site_of(run, p), state, _thresholds_of_mate(run, p), rules)


@inline_njit
def _search_on(run: _Run, p: Int) -> Int:
    """Search for the mates of pair p until one is to be aligned with gaps; the half-width of the band; 0: done."""
    searches = run.searches
    while True:
        step: Int = searches.step[p]
        found = False
        if step != _NOTHING:
            band = next_band(state_at(run.table.states, p), _thresholds_of_mate(run, p).min_local_score)
            if band:
                return band
            found = _offer_place(run, p)
        if searches.thorough[p] and not found and step != _SCORED:
            _score_for_place(run, p)
            step = _SCORED
        elif _next(run, p):
            step = _VOTED if _vote_for_place(run, p) else _NOTHING
        else:
            return 0
        searches.step[p] = step
        if step != _NOTHING:
            _try_place(run, p)


@inline_njit
def _next_bands(run: _Run, pairs: I64Array, bands: I64Array) -> Int:
    return keep_wanting(_search_on, run, pairs, bands)


@njit
def _rescue(
    reads: Reads,
    active: BoolArray,
    maybe_other_copy: BoolArray,
    reference: Reference,
    inserts: InsertRange,
    config: _Settings,
    loci: Loci,
) -> None:
    lengths = reads.offsets[1:] - reads.offsets[:-1]
    longest: Int = 1
    for p in range(len(active)):
        for r in (2 * p, 2 * p + 1):
            if active[p] and lengths[r] <= MAX_READ_LENGTH:
                longest = max(longest, lengths[r])
    buffers = _make_buffers(longest, inserts, config)
    searches, table = _make_searches(len(active)), _make_table(len(active))
    run = _Run(reads, lengths, maybe_other_copy, reference, inserts, config, loci, buffers, searches, table)
    # Each pair goes on until it needs an alignment with gaps; then all of these are made together.
    align_until_done(_next_bands, run, np.flatnonzero(active), table, reads, reference)
