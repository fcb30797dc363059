"""Diagonals of a read in a window of the reference, by votes of shared k-mers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esa.align.config import ClusterConfig, VotingConfig
from esa.align.extend.gapped import load_window
from esa.align.extend.mismatch_masks import make_strands, orient
from esa.align.loci import Candidates, Reads, Reference
from esa.align.scoring import AMBIGUOUS, END_BONUS, MATCH, MISMATCH
from esa.align.search.candidates import append_heaviest, make_candidates, trimmed
from esa.align.search.clusters import contig_of, make_clusters, most_of_a_read
from esa.align.search.sorting import make_rank_room
from esa.fragments.base import Fragments
from esa.kernels.decorator import inline_njit, njit
from esa.stores.base import Hits


def vote_hits(
    codes: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    salts: NDArray[np.uint64],
    hits: Hits,
    fragments: Fragments,
    fragment_length: int,
    reference: Reference,
    cluster: ClusterConfig,
    config: VotingConfig,
) -> Candidates:
    """Candidates of every read of a batch from hits that name only a window, on either strand.

    A hit says that a reference fragment resembles a fragment of the read: the read lies within a read's length
    of it. The window is searched on both strands; a candidate's weight is the number of k-mers that agree.
    """
    candidates: Candidates = _vote_hits(
        Reads(codes, offsets, salts), hits, fragments.arrays, fragment_length, reference, cluster, config
    )
    return candidates


@inline_njit
def _kmer_step(kmer, valid, base, mask):  # type: ignore[no-untyped-def]
    if base > 3:
        return np.int64(0), np.int64(0)
    return ((kmer << 2) | base) & mask, valid + 1


@inline_njit
def index_kmers(query, n, k, head, following):  # type: ignore[no-untyped-def]
    """Chain the places of each k-mer of ``query[:n]``: ``head[kmer]`` is the last one + 1, 0 where there is none."""
    mask = (np.int64(1) << (2 * k)) - 1
    kmer, valid = np.int64(0), np.int64(0)
    for i in range(n):
        kmer, valid = _kmer_step(kmer, valid, np.int64(query[i]), mask)
        if valid >= k:
            following[i - k + 1] = head[kmer]
            head[kmer] = i - k + 2


@inline_njit
def clear_kmers(query, n, k, head):  # type: ignore[no-untyped-def]
    """Undo `index_kmers`."""
    mask = (np.int64(1) << (2 * k)) - 1
    kmer, valid = np.int64(0), np.int64(0)
    for i in range(n):
        kmer, valid = _kmer_step(kmer, valid, np.int64(query[i]), mask)
        if valid >= k:
            head[kmer] = 0


@inline_njit(forceinline=False)
def vote(window, width, n, k, slack, head, following, votes, known=0, apart=-1):  # type: ignore[no-untyped-def]
    """Diagonal (window position of the query's first base) with the most votes within ``slack``, and how many.

    ``votes`` (``int32``, zero, >= width + n) is zero again afterwards. Ties: the leftmost. Votes for diagonals up to
    ``apart`` from ``known`` do not count.
    """
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
def best_diagonal(query, window, width, running, best):  # type: ignore[no-untyped-def]
    """Diagonal (window position of the query's first base) with the best alignment without gaps (`extend_ungapped`).

    All that lie within the window are scored, side by side, where `vote` counts k-mers: what is short or full of
    errors shares too few. (Heuristic: beyond the contig the window holds N, which costs more than being cut off.)
    ``running`` and ``best`` (``int32``, >= width): room. Ties: the leftmost. Returns (diagonal, total); a query of no
    bases, or longer than the window, lies nowhere: (0, 0).
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
def _vote_in_window(window, width, n, config, tables, votes, clusters, made):  # type: ignore[no-untyped-def]
    """Append the best diagonal on either strand to the clusters, as an offset into the window."""
    head, following = tables
    for strand in range(2):
        diagonal, weight = vote(
            window, width, n, config.k, config.slack, head[strand], following[strand], votes
        )
        if weight >= config.min_votes:
            clusters.weight[made] = weight
            clusters.diagonal[made] = diagonal
            clusters.strand[made] = strand
            made += 1
    return made


@njit
def _vote_hits(reads, hits, fragments, fragment_length, reference, cluster, config):  # type: ignore[no-untyped-def]
    count = len(reads.offsets) - 1
    longest, widest = 1, 1
    for r in range(count):
        longest = max(longest, reads.offsets[r + 1] - reads.offsets[r])
    for q in range(len(fragments.owner)):
        widest = max(widest, fragment_length + 2 * fragments.length[q])
    _, most_hits = most_of_a_read(fragments.owner, hits.offsets)
    strands = make_strands(longest)
    head = (np.zeros(4**config.k, np.int32), np.zeros(4**config.k, np.int32))
    following = (np.empty(longest, np.int32), np.empty(longest, np.int32))
    votes = np.zeros(widest + longest + 1, np.int32)
    window = np.empty(widest, np.uint8)
    clusters = make_clusters(2 * most_hits)
    order = make_rank_room(2 * most_hits)
    candidates = make_candidates(count, cluster.max_candidates)
    q = 0
    for r in range(count):
        lo = q
        while q < len(fragments.owner) and fragments.owner[q] == r:
            candidates.truncated[r] |= hits.truncated[q]
            q += 1
        made = 0
        if hits.offsets[q] > hits.offsets[lo]:
            n = reads.offsets[r + 1] - reads.offsets[r]
            orient(reads.codes, reads.offsets[r], reads.offsets[r + 1], strands)
            for strand in range(2):
                index_kmers(strands.codes[strand], n, config.k, head[strand], following[strand])
            for f in range(lo, q):
                width = fragment_length + 2 * fragments.length[f]
                for h in range(hits.offsets[f], hits.offsets[f + 1]):
                    contig = contig_of(reference.offsets, hits.position[h])
                    origin = hits.position[h] - fragments.length[f]
                    load_window(reference, contig, origin, width, window)
                    before = made
                    made = _vote_in_window(window, width, n, config, (head, following), votes, clusters, made)
                    clusters.diagonal[before:made] += origin
                    clusters.place[before:made] = hits.position[h]
            for strand in range(2):
                clear_kmers(strands.codes[strand], n, config.k, head[strand])
        append_heaviest(clusters, made, r, reads.salts[r], reference.offsets, cluster, order, candidates)
    return trimmed(candidates)
