"""Recall of encoders before any alignment: how often the true fragment is found, and at what cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esa.encoders.base import Encoder
from esa.encoders.codes import BITS
from esa.eval.simulate import SimulatedReads, SimulationParameters, simulate
from esa.eval.simulate_indels import IndelLengths
from esa.fragments.base import Fragmenter, Fragments
from esa.kernels.arrays import F32Array, I64Array, Int
from esa.kernels.decorator import njit
from esa.sequence.genome import Genome
from esa.stores.base import REPEAT_BUCKET, SearchEffort, Store
from esa.stores.code_builder import CodeStoreBuilder
from esa.stores.codes import CodeStore

PROBES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Numbers of probes per query that `probe_curve` tries in turn."""

VECTORS_AT_ONCE = 16384
"""Dense vectors of the reference compared at a time."""

DIAGONAL_SLACK = 6
"""Bases by which indels of a read may shift a true fragment."""


@dataclass(frozen=True)
class ReadSet:
    """Simulated reads of known origin.

    Attributes:
        codes: ``uint8[n * length]``, the reads end to end.
        start: ``int64[n]``, global position of each read's leftmost base.
        reverse: ``bool[n]``.
        length: bases of a read.
    """

    codes: NDArray[np.uint8]
    start: NDArray[np.int64]
    reverse: NDArray[np.bool_]
    length: int

    def __len__(self) -> int:
        return len(self.start)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """``int64[n + 1]``: read i is ``codes[offsets[i]:offsets[i + 1]]``."""
        return np.arange(len(self) + 1, dtype=np.int64) * self.length


def simulate_reads(
    genome: Genome, count: int, length: int, substitutions: float, seed: int = 1, begin: int = 0
) -> ReadSet:
    """Reads from both strands with a tenth as many one-base indels as substitutions.

    Args:
        count, length: of the reads.
        substitutions: probability per base.
        seed: of the random numbers.
        begin: global position from which on reads are drawn.
    """
    parameters = SimulationParameters(
        count,
        paired=False,
        length=length,
        length2=length,
        substitutions=substitutions,
        indels=substitutions / 10,
        indel_lengths=IndelLengths(mean=1.0),
        seed=seed,
    )
    source = _from(genome, begin) if begin else genome
    batches: list[SimulatedReads] = list(simulate(source, parameters))
    return ReadSet(
        np.concatenate([batch.codes[0] for batch in batches]).reshape(-1),
        np.concatenate([begin + source.offsets[batch.contig] + batch.position[:, 0] for batch in batches]),
        np.concatenate([batch.reverse[:, 0] for batch in batches]),
        length,
    )


def start_of_last(genome: Genome, one_in: int) -> int:
    """Global position where the last ``1 / one_in`` of a genome begins: a contig's start, or within the last contig."""
    limit = genome.bases - genome.bases // one_in
    starts = genome.offsets[:-1][genome.offsets[:-1] >= limit]
    return int(starts[0]) if len(starts) else limit


def joined(genomes: Iterable[Genome]) -> Genome:
    """One genome of all contigs; global positions in the first genome do not change."""
    return Genome.of_contigs(
        {
            f"{number}:{name}": genome.contig(i)
            for number, genome in enumerate(genomes)
            for i, name in enumerate(genome.names)
        }
    )


def _from(genome: Genome, begin: int) -> Genome:
    """The bases from a global position on; a contig across it is cut."""
    bounds = np.maximum(genome.offsets, begin)
    pieces = zip(genome.names, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    return Genome.of_contigs({name: genome.fetch(b, e) for name, b, e in pieces if e > b})


@dataclass(frozen=True)
class Found:
    """Recall and cost of a search of codes.

    Attributes:
        share: share of reads with a true fragment among the hits.
        scanned: mean number of codes per read in the probed buckets.
        own: mean number of codes of true fragments among them.
    """

    share: float
    scanned: float
    own: float

    def at_size(self, factor: float) -> float:
        """Codes scanned per read, as expected of a reference ``factor`` times as large with the same key.

        The rest of the reference is assumed to be like this one, repeats included.
        """
        return self.own + factor * (self.scanned - self.own)


def bucket_at_size(max_bucket: int, factor: float) -> int:
    """Bucket size that corresponds to ``max_bucket`` codes in a reference ``factor`` times as large."""
    return max(1, int(max_bucket / factor))


def anchored_recall(
    fragmenter: Fragmenter,
    encoder: Encoder,
    store: Store,
    reads: ReadSet,
    probes: int,
    max_bucket: int = REPEAT_BUCKET,
) -> Found:
    """Share of reads with at least one fragment whose probed buckets hold the true fragment.

    A fragment is true if its start is within `DIAGONAL_SLACK` bases of the origin and its orientation is the same.
    Every code in a probed bucket counts as scanned, whatever its distance. Buckets of more than ``max_bucket`` codes
    are skipped, as in the aligner's first level; their codes are not found.
    """
    chosen = np.arange(len(reads), dtype=np.int32)
    queries = fragmenter.queries(reads.codes, reads.offsets, chosen, 0)
    effort = SearchEffort(
        max_hits=1 << 30, probes=probes, radius=BITS + 1, max_bucket=max_bucket, max_edited=max_bucket
    )
    hits = store.search(encoder.embed(reads.codes, queries), effort)
    expected, strand = _origin(reads, queries)
    query = np.repeat(np.arange(len(queries)), np.diff(hits.offsets))
    true = np.abs(hits.position - expected[query]) <= DIAGONAL_SLACK
    true &= hits.reverse == strand[query]
    found = np.zeros(len(reads), np.bool_)
    found[queries.owner[query[true]]] = True
    return Found(float(found.mean()), hits.scanned / len(reads), float(true.sum()) / len(reads))


def code_store(
    genome: Genome, fragmenter: Fragmenter, encoder: Encoder, key_bits: int | None = None
) -> CodeStore:
    """The store of all fragments of a genome, with keys of ``key_bits`` bits (None: by the size of the genome)."""
    codes = genome.fetch(0, genome.bases)
    fragments = fragmenter.reference(codes, genome.offsets)
    builder = CodeStoreBuilder(genome.bases, key_bits)
    builder.add(encoder.embed(codes, fragments), fragments.start, fragments.reverse)
    return builder.finish()


def recall_at_cost(
    fragmenter: Fragmenter,
    encoder: Encoder,
    store: Store,
    reads: ReadSet,
    scanned: float,
    factor: float = 1.0,
) -> float:
    """`anchored_recall` at ``scanned`` codes per read, in a reference ``factor`` times as large."""
    return share_at_cost(
        probe_curve(fragmenter, encoder, store, reads, scanned, factor=factor), scanned, factor
    )


def probe_curve(
    fragmenter: Fragmenter,
    encoder: Encoder,
    store: Store,
    reads: ReadSet,
    scanned: float,
    max_bucket: int = REPEAT_BUCKET,
    factor: float = 1.0,
) -> list[Found]:
    """`anchored_recall` with increasing `PROBES`, up to the first that scans ``scanned`` codes per read.

    The cost is that of a reference ``factor`` times as large (`Found.at_size`), with buckets as much larger.
    """
    most = bucket_at_size(max_bucket, factor)
    curve: list[Found] = []
    for probes in PROBES:
        curve.append(anchored_recall(fragmenter, encoder, store, reads, probes, most))
        if curve[-1].at_size(factor) >= scanned:
            break
    return curve


def share_at_cost(curve: list[Found], scanned: float, factor: float = 1.0) -> float:
    """Share of reads found at ``scanned`` codes per read, interpolated between numbers of probes.

    The interpolation is linear in the logarithm of the cost, in a reference ``factor`` times as large. Encoders are
    compared at equal cost, not at equal probes: one that fills few buckets finds much with each probe, and scans much.
    """
    below: Found | None = None
    for found in curve:
        cost = found.at_size(factor)
        if cost >= scanned:
            if below is None:
                return found.share * scanned / cost
            before = max(below.at_size(factor), 1e-9)
            weight = np.log(scanned / before) / np.log(cost / before)
            return float(below.share + weight * (found.share - below.share))
        below = found
    assert below is not None
    return below.share


def bits_kept(fragmenter: Fragmenter, encoder: Encoder, genome: Genome, reads: ReadSet) -> float:
    """Share of bits that a read's fragments have in common with the genome's true fragments (`anchored_recall`).

    Of several true fragments, the one nearest to the origin counts. Fragments whose minimizer the genome does not have
    there are left out: no code finds them.
    """
    codes = genome.fetch(0, genome.bases)
    there = fragmenter.reference(codes, genome.offsets)
    queries = fragmenter.queries(reads.codes, reads.offsets, np.arange(len(reads), dtype=np.int32), 0)
    expected, strand = _origin(reads, queries)
    row = _nearest_alike(there, expected, strand)
    known = np.flatnonzero(row >= 0)
    own = encoder.embed(reads.codes, queries[known]) > 0
    return float((own == (encoder.embed(codes, there[row[known]]) > 0)).mean())


def _nearest_alike(
    fragments: Fragments, expected: NDArray[np.int64], strand: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Row of the fragment of that strand nearest to each ``expected`` start; -1 if none is in `DIAGONAL_SLACK`."""
    first = np.searchsorted(fragments.start, expected - DIAGONAL_SLACK)
    end = np.searchsorted(fragments.start, expected + DIAGONAL_SLACK, side="right")
    nearest_row = np.full(len(expected), -1, np.int64)
    nearest_distance = np.full(len(expected), DIAGONAL_SLACK + 1, np.int64)
    for step in range(int((end - first).max(initial=0))):
        row = np.minimum(first + step, len(fragments) - 1)
        distance = np.abs(fragments.start[row] - expected)
        better = (first + step < end) & (fragments.reverse[row] == strand) & (distance < nearest_distance)
        nearest_row[better], nearest_distance[better] = row[better], distance[better]
    return nearest_row


def dense_recall(
    fragmenter: Fragmenter, encoder: Encoder, genome: Genome, reads: ReadSet, depths: tuple[int, ...]
) -> tuple[float, ...]:
    """Share of reads with a true fragment among the nearest ones, for each depth (exact search by cosine)."""
    codes = genome.fetch(0, genome.bases)
    fragments = fragmenter.reference(codes, genome.offsets)
    chunks = (
        (begin, encoder.embed(codes, fragments[begin : begin + VECTORS_AT_ONCE]))
        for begin in range(0, len(fragments), VECTORS_AT_ONCE)
    )
    rows = nearest(embed_reads(fragmenter, encoder, reads), chunks, max(depths))
    return recall_at_depths(fragments, reads, rows, depths)


def embed_reads(fragmenter: Fragmenter, encoder: Encoder, reads: ReadSet) -> NDArray[Any]:
    """``[reads, dimensions]``: one vector for each read.

    Raises:
        ValueError: reads are longer than a fragment.
    """
    if reads.length > fragmenter.length:
        raise ValueError(f"reads of {reads.length} bases are longer than a fragment of {fragmenter.length}")
    chosen = np.arange(len(reads), dtype=np.int32)
    return encoder.embed(reads.codes, fragmenter.queries(reads.codes, reads.offsets, chosen, reads.length))


def in_chunks(vectors: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """`VECTORS_AT_ONCE` vectors at a time, with the row of the first; the input of `nearest`."""
    for begin in range(0, len(vectors), VECTORS_AT_ONCE):
        yield begin, vectors[begin : begin + VECTORS_AT_ONCE]


def nearest(
    queries: NDArray[np.float32], chunks: Iterable[tuple[int, NDArray[np.float32]]], depth: int
) -> NDArray[np.int64]:
    """``int64[queries, depth]``: rows of the vectors with the largest inner products, best first, padded with -1."""
    score = np.full((len(queries), depth), -np.inf, np.float32)
    row = np.full((len(queries), depth), -1, np.int64)
    for begin, vectors in chunks:
        _keep_nearest(queries @ vectors.T, begin, score, row)
    return row


def recall_at_depths(
    fragments: Fragments, reads: ReadSet, rows: NDArray[np.int64], depths: tuple[int, ...]
) -> tuple[float, ...]:
    """Share of reads with a true fragment among the first of their ``rows``, for each depth.

    A fragment is true if it covers at least half of the read. Row -1 is no fragment.
    """
    true = _covers_half(fragments, reads, rows)
    return tuple(float(true[:, :depth].any(axis=1).mean()) for depth in depths)


def share_in_common(rows: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    """Share of all ``exact`` rows that are among the same query's ``rows``, in any order; -1 is no row."""
    common = sum(len(np.intersect1d(a, b[b >= 0])) for a, b in zip(rows, exact, strict=True))
    return common / max(1, int((exact >= 0).sum()))


def signs_kept(
    fragments: Fragments, vectors: NDArray[np.float32], reads: ReadSet, queries: NDArray[np.float32]
) -> float:
    """Share of components of the same sign in a read's vector and the nearest vector of its true fragments.

    Reads without a true fragment do not count.

    Args:
        fragments: of the reference, in order of position.
        vectors: ``float32[fragments, dimensions]``.
        queries: ``float32[reads, dimensions]``.
    """
    longest = int(fragments.length.max(initial=0))
    first = np.searchsorted(fragments.start, reads.start - longest)
    end = np.searchsorted(fragments.start, reads.start + reads.length)
    best = np.full(len(reads), -np.inf)
    kept = np.zeros(len(reads))
    for step in range(int((end - first).max(initial=0))):
        row = np.where(first + step < end, first + step, -1)
        product = np.einsum("ij,ij->i", queries, vectors[row])
        better = _covers_half(fragments, reads, row[:, None])[:, 0] & (product > best)
        best[better] = product[better]
        kept[better] = ((queries > 0) == (vectors[row] > 0)).mean(axis=1)[better]
    return float(kept[best > -np.inf].mean())


def prefix(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """The first components of vectors, scaled to unit length; zero stays zero."""
    first = vectors[:, :dimensions]
    norm = np.linalg.norm(first, axis=1, keepdims=True)
    return np.ascontiguousarray(first / np.where(norm > 0, norm, 1), np.float32)


def _covers_half(fragments: Fragments, reads: ReadSet, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    start = fragments.start[rows]
    begin = np.maximum(start, reads.start[:, None])
    end = np.minimum(start + fragments.length[rows], reads.start[:, None] + reads.length)
    return (rows >= 0) & (2 * (end - begin) >= reads.length)


@njit
def _keep_nearest(products: F32Array, begin: Int, score: F32Array, row: I64Array) -> None:
    """Insert inner products into the sorted lists of each query; of equal ones the first stays ahead.

    Args:
        products: ``float32[queries, vectors]``, of the vectors from row ``begin`` on.
        score, row: ``[queries, depth]``, updated in place.
    """
    queries, vectors = products.shape
    last = score.shape[1] - 1
    for q in range(queries):
        for v in range(vectors):
            if products[q, v] > score[q, last]:
                j = last
                while j > 0 and products[q, v] > score[q, j - 1]:
                    score[q, j], row[q, j] = score[q, j - 1], row[q, j - 1]
                    j -= 1
                score[q, j], row[q, j] = products[q, v], begin + v


def _origin(reads: ReadSet, queries: Fragments) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Global start and orientation of the true reference fragment of each fragment of a read."""
    read = queries.owner
    within = queries.start - reads.offsets[read]
    mirrored = reads.length - within - queries.length
    expected = reads.start[read] + np.where(reads.reverse[read], mirrored, within)
    return expected, queries.reverse ^ reads.reverse[read].astype(np.uint8)
