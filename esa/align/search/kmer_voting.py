"""Diagonals of a read in a window of the reference, by votes of shared k-mers.

For hits that name only a window (dense stores) and for windows where a mate should lie (`esa.align.pairing.rescue`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.align.config import ClusterConfig, VotingConfig
from esa.align.extend.gapped import load_window
from esa.align.extend.mismatch_masks import make_strands, orient
from esa.align.loci import Candidates, Reads, Reference
from esa.align.scoring import AMBIGUOUS, END_BONUS, MATCH, MISMATCH
from esa.align.search.candidates import append_heaviest, make_candidate_scratch, trimmed
from esa.align.search.clusters import Clusters, contig_of, make_clusters, most_of_a_read
from esa.fragments.base import FragmentArrays, Fragments
from esa.kernels.arrays import I32Array, Int, U8Array
from esa.kernels.decorator import inline_njit, njit
from esa.stores.base import Hits


class KmerIndex(NamedTuple):
    """Where each k-mer of a query lies: linked lists, the last place first.

    head: ``int32[4**k]``, last place of each k-mer + 1, 0 where there is none.
    following: ``int32[>= bases of the query]``, for each place the one before it of the same k-mer + 1, or 0.
    """

    head: I32Array
    following: I32Array


def vote_hits(
    reads: Reads,
    hits: Hits,
    fragments: Fragments,
    fragment_length: int,
    reference: Reference,
    cluster: ClusterConfig,
    config: VotingConfig,
) -> Candidates:
    """Candidates of every read of a batch, from hits that name only a window of the reference, on either strand.

    A hit says that a reference fragment resembles a fragment of the read. So the read lies within a read's length of
    it, on either strand. A candidate's weight is the number of k-mers on its diagonal and its neighbours.

    Args:
        reads: The batch.
        hits: Of the fragments, in the same order.
        fragments: Of the reads.
        fragment_length: Bases of a reference fragment.
        reference: What the reads are aligned to.
        cluster: How many candidates are kept.
        config: What makes a candidate.
    """
    candidates: Candidates = _vote_hits(
        reads, hits, fragments.arrays, fragment_length, reference, cluster, config
    )
    return candidates


@inline_njit
def _kmer_step(kmer: Int, valid: Int, base: Int, mask: Int) -> tuple[Int, Int]:
    """(The k-mer that ends with one more base, bases since the last N)."""
    if base > 3:
        return np.int64(0), np.int64(0)
    return ((kmer << 2) | base) & mask, valid + 1


@inline_njit
def index_kmers(query: U8Array, n: Int, k: Int, kmers: KmerIndex) -> None:
    """Put the places of all k-mers without N of the base codes ``query[:n]`` into an empty index."""
    head, following = kmers.head, kmers.following
    mask = (np.int64(1) << (2 * k)) - 1
    kmer, valid = np.int64(0), np.int64(0)
    for i in range(n):
        kmer, valid = _kmer_step(kmer, valid, np.int64(query[i]), mask)
        if valid >= k:
            following[i - k + 1] = head[kmer]
            head[kmer] = i - k + 2


@inline_njit
def clear_kmers(query: U8Array, n: Int, k: Int, kmers: KmerIndex) -> None:
    """Undo `index_kmers`."""
    mask = (np.int64(1) << (2 * k)) - 1
    kmer, valid = np.int64(0), np.int64(0)
    for i in range(n):
        kmer, valid = _kmer_step(kmer, valid, np.int64(query[i]), mask)
        if valid >= k:
            kmers.head[kmer] = 0


@inline_njit(forceinline=False)
def vote(
    window: U8Array,
    n: Int,
    config: VotingConfig,
    kmers: KmerIndex,
    votes: I32Array,
    known: Int = 0,
    apart: Int = -1,
) -> tuple[Int, Int]:
    """(Diagonal with the most votes, number of votes) of a query in a window.

    Every pair of equal k-mers of query and window is a vote for its diagonal: the window position of the query's first
    base. The votes within ``config.slack`` of a diagonal count together. Ties: the leftmost.

    Args:
        window: Base codes.
        n: Bases of the query.
        config: Length of k-mers and slack.
        kmers: Of the query (`index_kmers`).
        votes: ``int32[>= len(window) + n]``, zero, and zero again afterwards.
        known, apart: Votes for diagonals up to ``apart`` from ``known`` do not count.
    """
    head, following, k, slack, width = kmers.head, kmers.following, config.k, config.slack, len(window)
    mask = (np.int64(1) << (2 * k)) - 1
    kmer, valid = np.int64(0), np.int64(0)
    for j in range(width):
        kmer, valid = _kmer_step(kmer, valid, np.int64(window[j]), mask)
        if valid >= k:
            place = head[kmer]
            while place > 0:
                votes[j - k + 1 - (place - 1) + n] += 1
                place = following[place - 1]
    best, at = 0, 0
    running = 0
    span = width + n
    if apart >= 0:
        votes[max(0, known + n - apart) : max(0, min(span, known + n + apart + 1))] = 0
    for d in range(span + slack):
        if d < span:
            running += votes[d]
        if d > 2 * slack:
            running -= votes[d - 2 * slack - 1]
        middle = d - slack
        if middle >= 0 and running > best and votes[middle] > 0:
            best, at = running, middle
    # The heaviest single diagonal of the band that won.
    peak = at
    for d in range(max(0, at - slack), min(span, at + slack + 1)):
        if votes[d] > votes[peak]:
            peak = d
    votes[:span] = 0
    return peak - n, best


@inline_njit(forceinline=False)
def best_diagonal(
    query: U8Array, window: U8Array, width: Int, running: I32Array, best: I32Array
) -> tuple[Int, Int]:
    """(Diagonal, score) of the best alignment without gaps (`extend_ungapped`) of a query in ``window[:width]``.

    A diagonal is the window position of the query's first base. All diagonals that lie within the window are scored,
    side by side. Queries that are short or full of errors share too few k-mers with the window to `vote`. (Heuristic:
    beyond the contig the window holds N, which costs more than a soft clip.) Ties: the leftmost.

    ``running``, ``best``: ``int32[>= width]``, scratch space. A query of no bases, or longer than the window, gives
    (0, 0).
    """
    n = len(query)
    count = max(0, width - n + 1) if n else 0
    running[:count] = END_BONUS
    best[:count] = 0
    for i in range(n):
        base = query[i]
        for d in range(count):
            other = window[d + i]
            score = MATCH if base == other else MISMATCH
            if base > 3 or other > 3:
                score = AMBIGUOUS
            running[d] = max(running[d], 0) + score
            best[d] = max(best[d], running[d])
    at, total = 0, 0
    for d in range(count):
        here = max(best[d], running[d] + END_BONUS)
        if here > total:
            at, total = d, here
    return at, total


@inline_njit
def _vote_in_window(
    window: U8Array,
    n: Int,
    config: VotingConfig,
    kmers: tuple[KmerIndex, KmerIndex],
    votes: I32Array,
    clusters: Clusters,
    made: Int,
) -> Int:
    """Append the best diagonal on each strand to the ``made`` clusters, as an offset into the window."""
    for strand in range(2):
        diagonal, weight = vote(window, n, config, kmers[strand], votes)
        if weight >= config.min_votes:
            clusters.weight[made] = weight
            clusters.diagonal[made] = diagonal
            clusters.strand[made] = strand
            made += 1
    return made


@njit
def _make_kmer_index(longest: Int, k: Int) -> KmerIndex:
    """An empty index for queries of up to ``longest`` bases."""
    return KmerIndex(np.zeros(4**k, np.int32), np.empty(longest, np.int32))


@njit
def _vote_hits(
    reads: Reads,
    hits: Hits,
    fragments: FragmentArrays,
    fragment_length: Int,
    reference: Reference,
    cluster: ClusterConfig,
    config: VotingConfig,
) -> Candidates:
    count = len(reads.offsets) - 1
    longest, widest = 1, 1
    for r in range(count):
        longest = max(longest, reads.offsets[r + 1] - reads.offsets[r])
    for q in range(len(fragments.owner)):
        widest = max(widest, fragment_length + 2 * fragments.length[q])
    _, most_hits = most_of_a_read(fragments.owner, hits.offsets)
    strands = make_strands(longest)
    kmers = (_make_kmer_index(longest, config.k), _make_kmer_index(longest, config.k))
    votes = np.zeros(widest + longest + 1, np.int32)
    window = np.empty(widest, np.uint8)
    clusters = make_clusters(2 * most_hits)
    out = make_candidate_scratch(count, 2 * most_hits, cluster.max_candidates, reference.offsets)
    q = 0
    for r in range(count):
        lo = q
        while q < len(fragments.owner) and fragments.owner[q] == r:
            out.candidates.truncated[r] |= hits.truncated[q]
            q += 1
        made = 0
        if hits.offsets[q] > hits.offsets[lo]:
            n = reads.offsets[r + 1] - reads.offsets[r]
            orient(reads.codes, reads.offsets[r], reads.offsets[r + 1], strands)
            for strand in range(2):
                index_kmers(strands.codes[strand], n, config.k, kmers[strand])
            for f in range(lo, q):
                width = fragment_length + 2 * fragments.length[f]
                for h in range(hits.offsets[f], hits.offsets[f + 1]):
                    contig = contig_of(reference.offsets, hits.position[h])
                    origin = hits.position[h] - fragments.length[f]
                    load_window(reference, contig, origin, width, window)
                    before = made
                    made = _vote_in_window(window[:width], n, config, kmers, votes, clusters, made)
                    clusters.diagonal[before:made] += origin
                    clusters.place[before:made] = hits.position[h]
            for strand in range(2):
                clear_kmers(strands.codes[strand], n, config.k, kmers[strand])
        append_heaviest(clusters, made, 0, r, reads.salts[r], cluster, out)
    return trimmed(out.candidates)
