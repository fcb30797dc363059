"""Diagonals of a read in a window of the reference, by votes of shared k-mers."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from esa.align.chain import contig_of, keep_heaviest
from esa.align.config import ChainConfig, LocateConfig
from esa.align.loci import Candidates, Reference
from esa.align.verify import load_window, orient
from esa.fragments import Fragments
from esa.stores.base import Hits


def locate_hits(
    codes: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    salts: NDArray[np.uint64],
    hits: Hits,
    fragments: Fragments,
    fragment_length: int,
    reference: Reference,
    chain: ChainConfig,
    config: LocateConfig,
) -> Candidates:
    """Candidates of every read of a batch from hits that name only a window, on either strand.

    A hit says that a reference fragment resembles a fragment of the read: the read lies within a read's length
    of it. The window is searched on both strands; a candidate's weight is the number of k-mers that agree.
    """
    out = _locate_hits(
        codes,
        offsets,
        salts,
        hits.offsets,
        hits.position,
        hits.capped,
        fragments.start,
        fragments.length,
        fragments.owner,
        fragment_length,
        reference,
        chain,
        config,
    )
    return Candidates(*out)


@njit(cache=True, nogil=True)
def _kmer_step(kmer, valid, base, mask):  # type: ignore[no-untyped-def]
    if base > 3:
        return np.int64(0), np.int64(0)
    return ((kmer << 2) | base) & mask, valid + 1


@njit(cache=True, nogil=True)
def index_kmers(query, n, k, head, following):  # type: ignore[no-untyped-def]
    """Chain the places of each k-mer of ``query[:n]``: ``head[kmer]`` is the last one + 1, 0 where there is none."""
    mask = (np.int64(1) << (2 * k)) - 1
    kmer, valid = np.int64(0), np.int64(0)
    for i in range(n):
        kmer, valid = _kmer_step(kmer, valid, np.int64(query[i]), mask)
        if valid >= k:
            following[i - k + 1] = head[kmer]
            head[kmer] = i - k + 2


@njit(cache=True, nogil=True)
def clear_kmers(query, n, k, head):  # type: ignore[no-untyped-def]
    """Undo `index_kmers`."""
    mask = (np.int64(1) << (2 * k)) - 1
    kmer, valid = np.int64(0), np.int64(0)
    for i in range(n):
        kmer, valid = _kmer_step(kmer, valid, np.int64(query[i]), mask)
        if valid >= k:
            head[kmer] = 0


@njit(cache=True, nogil=True)
def vote(window, width, n, k, slack, head, following, votes):  # type: ignore[no-untyped-def]
    """Diagonal (window position of the query's first base) with the most votes within ``slack``, and how many.

    ``votes`` (``int32``, zero, >= width + n) is zero again afterwards. Ties: the leftmost.
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


@njit(cache=True, nogil=True)
def _locate_hits(
    codes,
    offsets,
    salts,
    hit_offsets,
    position,
    query_capped,
    start,
    length,
    owner,
    fragment_length,
    reference,
    chain,
    config,
):  # type: ignore[no-untyped-def]
    reads = len(offsets) - 1
    queries = len(start)
    longest, most_hits = 1, 0
    for r in range(reads):
        longest = max(longest, offsets[r + 1] - offsets[r])
    q = 0
    widest = 1
    while q < queries:
        lo = q
        while q < queries and owner[q] == owner[lo]:
            widest = max(widest, length[q])
            q += 1
        most_hits = max(most_hits, hit_offsets[q] - hit_offsets[lo])
    widest = fragment_length + 2 * widest
    query = (np.empty(longest, np.uint8), np.empty(longest, np.uint8))
    head = (np.zeros(4**config.k, np.int32), np.zeros(4**config.k, np.int32))
    following = (np.empty(longest, np.int32), np.empty(longest, np.int32))
    votes = np.zeros(widest + longest + 1, np.int32)
    window = np.empty(widest, np.uint8)
    cluster_weight = np.empty(2 * most_hits, np.int32)
    cluster_diagonal = np.empty(2 * most_hits, np.int64)
    cluster_strand = np.empty(2 * most_hits, np.uint8)
    cluster_contig = np.empty(2 * most_hits, np.int32)
    order = np.empty(chain.max_candidates, np.int64)
    room = reads * chain.max_candidates
    out_offsets = np.zeros(reads + 1, np.int64)
    out_diagonal = np.empty(room, np.int64)
    out_reverse = np.empty(room, np.uint8)
    out_contig = np.empty(room, np.int32)
    out_weight = np.empty(room, np.int32)
    capped = np.zeros(reads, np.uint8)
    made = 0
    q = 0
    for r in range(reads):
        lo = q
        while q < queries and owner[q] == r:
            capped[r] |= query_capped[q]
            q += 1
        clusters = 0
        if hit_offsets[q] > hit_offsets[lo]:
            n = offsets[r + 1] - offsets[r]
            orient(codes, offsets[r], offsets[r + 1], query[0], query[1])
            for strand in range(2):
                index_kmers(query[strand], n, config.k, head[strand], following[strand])
            for f in range(lo, q):
                for h in range(hit_offsets[f], hit_offsets[f + 1]):
                    contig = contig_of(reference.offsets, position[h])
                    width = fragment_length + 2 * length[f]
                    origin = position[h] - length[f]
                    load_window(reference, contig, origin, width, window)
                    for strand in range(2):
                        diagonal, weight = vote(
                            window, width, n, config.k, config.slack, head[strand], following[strand], votes
                        )
                        if weight >= config.least_votes:
                            cluster_weight[clusters] = weight
                            cluster_diagonal[clusters] = origin + diagonal
                            cluster_strand[clusters] = strand
                            cluster_contig[clusters] = contig
                            clusters += 1
            for strand in range(2):
                clear_kmers(query[strand], n, config.k, head[strand])
        kept, cut = keep_heaviest(cluster_weight, cluster_diagonal, clusters, salts[r], chain, order)
        capped[r] |= cut
        for k in range(kept):
            c = order[k]
            out_reverse[made] = cluster_strand[c]
            out_diagonal[made] = cluster_diagonal[c]
            out_contig[made] = cluster_contig[c]
            out_weight[made] = cluster_weight[c]
            made += 1
        out_offsets[r + 1] = made
    return (
        out_offsets,
        out_diagonal[:made].copy(),
        out_reverse[:made].copy(),
        out_contig[:made].copy(),
        out_weight[:made].copy(),
        capped,
    )
