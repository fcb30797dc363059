"""What an encoder finds, before anything is aligned: recall of the true fragment, and what it cost."""

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
from esa.kernels.decorator import njit
from esa.sequence.genome import Genome
from esa.stores.base import REPEAT_BUCKET, SearchEffort, Store
from esa.stores.code_builder import CodeStoreBuilder
from esa.stores.codes import CodeStore

PROBES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Probes of a query that are tried to meet a cost."""

VECTORS_AT_ONCE = 16384
"""Dense vectors compared at a time."""

DIAGONAL_SLACK = 6
"""Bases by which indels may have moved a fragment of a read."""


@dataclass(frozen=True)
class ReadSet:
    """Simulated reads with known origin.

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
    """Reads from both strands with a tenth as many one-base indels as substitutions (design, section 2).

    They come from the bases at global position ``begin`` and beyond.
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


def last_part(genome: Genome, one_in: int) -> int:
    """Where the last one base in so many begins: at a contig's start, or within the only contig there."""
    limit = genome.bases - genome.bases // one_in
    starts = genome.offsets[:-1][genome.offsets[:-1] >= limit]
    return int(starts[0]) if len(starts) else limit


def joined(genomes: Iterable[Genome]) -> Genome:
    """One genome of all contigs: global positions in the first one stay as they are."""
    return Genome.of_contigs(
        {
            f"{number}:{name}": genome.contig(i)
            for number, genome in enumerate(genomes)
            for i, name in enumerate(genome.names)
        }
    )


def _from(genome: Genome, begin: int) -> Genome:
    """The bases at a global position and beyond; a contig that reaches across it is cut."""
    bounds = np.maximum(genome.offsets, begin)
    pieces = zip(genome.names, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    return Genome.of_contigs({name: genome.fetch(b, e) for name, b, e in pieces if e > b})


@dataclass(frozen=True)
class Found:
    """What a search of codes finds, and its cost.

    Attributes:
        share: of the reads with a true fragment among the hits.
        scanned: codes a read (mean) in the probed buckets.
        own: of them, those of true fragments.
    """

    share: float
    scanned: float
    own: float

    def at_size(self, factor: float) -> float:
        """Codes scanned a read, expected of a reference ``factor`` times as large with the same key.

        The rest of the reference is taken to be like this part, repeats and all; the true fragments stay.
        """
        return self.own + factor * (self.scanned - self.own)


def bucket_at_size(max_bucket: int, factor: float) -> int:
    """The bucket here that stands for one of ``max_bucket`` codes in a reference ``factor`` times as large."""
    return max(1, int(max_bucket / factor))


def anchored_recall(
    fragmenter: Fragmenter,
    encoder: Encoder,
    store: Store,
    reads: ReadSet,
    probes: int,
    max_bucket: int = REPEAT_BUCKET,
) -> Found:
    """Share of reads of which at least one fragment's probed buckets hold the true fragment.

    A fragment is true if it lies where the read's fragment came from, `DIAGONAL_SLACK` bases aside, and is
    oriented alike. Every code in a probed bucket counts as scanned, whatever its distance. Buckets of more than
    ``max_bucket`` codes are passed over, as the aligner's first level does: what they hold is not found.
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
    """The codes of all fragments of a genome (all of them in memory at once), with a key of so many bits."""
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
    """`anchored_recall` at so many codes scanned a read, in a reference ``factor`` times as large."""
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
    """`anchored_recall` with more and more probes, up to the first that scans so many codes a read.

    Of a reference ``factor`` times as large, that is (`Found.at_size`), whose buckets are as much fuller.
    """
    most = bucket_at_size(max_bucket, factor)
    curve: list[Found] = []
    for probes in PROBES:
        curve.append(anchored_recall(fragmenter, encoder, store, reads, probes, most))
        if curve[-1].at_size(factor) >= scanned:
            break
    return curve


def share_at_cost(curve: list[Found], scanned: float, factor: float = 1.0) -> float:
    """The share found at so many codes scanned a read, between the numbers of probes on either side of it.

    Linear in the logarithm of the cost, which is that of a reference ``factor`` times as large. Codes are compared
    at equal cost, not at equal probes: a code that fills few buckets finds much with each probe, and pays for it.
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

    Of several the nearest to the place of origin is taken. Fragments whose anchor the genome does not have there
    do not count: no code finds them.
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
    """Row of the fragment nearest to each ``expected`` start, `DIAGONAL_SLACK` at most, of that strand; -1: none."""
    first = np.searchsorted(fragments.start, expected - DIAGONAL_SLACK)
    end = np.searchsorted(fragments.start, expected + DIAGONAL_SLACK, side="right")
    nearest_row = np.full(len(expected), -1, np.int64)
    least = np.full(len(expected), DIAGONAL_SLACK + 1, np.int64)
    for step in range(int((end - first).max(initial=0))):
        row = np.minimum(first + step, len(fragments) - 1)
        distance = np.abs(fragments.start[row] - expected)
        better = (first + step < end) & (fragments.reverse[row] == strand) & (distance < least)
        nearest_row[better], least[better] = row[better], distance[better]
    return nearest_row


def dense_recall(
    fragmenter: Fragmenter, encoder: Encoder, genome: Genome, reads: ReadSet, depths: tuple[int, ...]
) -> tuple[float, ...]:
    """Share of reads with a true fragment among the nearest 1, 10, ... of all (exact search by cosine)."""
    codes = genome.fetch(0, genome.bases)
    fragments = fragmenter.reference(codes, genome.offsets)
    parts = (
        (begin, encoder.embed(codes, fragments[begin : begin + VECTORS_AT_ONCE]))
        for begin in range(0, len(fragments), VECTORS_AT_ONCE)
    )
    rows = nearest(embed_reads(fragmenter, encoder, reads), parts, max(depths))
    return recall_at_depths(fragments, reads, rows, depths)


def embed_reads(fragmenter: Fragmenter, encoder: Encoder, reads: ReadSet) -> NDArray[Any]:
    """``[len(reads), dimensions]``: one vector a read, which is not longer than a fragment."""
    if reads.length > fragmenter.length:
        raise ValueError(f"reads of {reads.length} bases are longer than a fragment of {fragmenter.length}")
    chosen = np.arange(len(reads), dtype=np.int32)
    return encoder.embed(reads.codes, fragmenter.queries(reads.codes, reads.offsets, chosen, reads.length))


def in_parts(vectors: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """`VECTORS_AT_ONCE` vectors at a time, with the row of the first, as `nearest` takes them."""
    for begin in range(0, len(vectors), VECTORS_AT_ONCE):
        yield begin, vectors[begin : begin + VECTORS_AT_ONCE]


def nearest(
    queries: NDArray[np.float32], parts: Iterable[tuple[int, NDArray[np.float32]]], depth: int
) -> NDArray[np.int64]:
    """``int64[queries, depth]``: rows of the vectors with the largest products, best first, then -1."""
    score = np.full((len(queries), depth), -np.inf, np.float32)
    row = np.full((len(queries), depth), -1, np.int64)
    for begin, vectors in parts:
        _keep_nearest(queries @ vectors.T, begin, score, row)
    return row


def recall_at_depths(
    fragments: Fragments, reads: ReadSet, rows: NDArray[np.int64], depths: tuple[int, ...]
) -> tuple[float, ...]:
    """Share of reads with a true fragment among the first of their ``rows``, for each depth.

    A fragment is true if it covers at least half of the read; row -1 is none.
    """
    true = _covers_half(fragments, reads, rows)
    return tuple(float(true[:, :depth].any(axis=1).mean()) for depth in depths)


def share_in_common(rows: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    """Mean share of a query's ``exact`` rows that are among its ``rows``, in whatever order; -1 is none."""
    common = sum(len(np.intersect1d(a, b[b >= 0])) for a, b in zip(rows, exact, strict=True))
    return common / max(1, int((exact >= 0).sum()))


def signs_kept(
    fragments: Fragments, vectors: NDArray[np.float32], reads: ReadSet, queries: NDArray[np.float32]
) -> float:
    """Share of signs that a read's vector shares with the nearest of its true fragments' vectors.

    Args:
        fragments: of the reference, in order of position, with their ``vectors``.
        queries: the reads' vectors. Reads without a true fragment do not count.
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
    """The first components as unit vectors; zero stays zero."""
    first = vectors[:, :dimensions]
    norm = np.linalg.norm(first, axis=1, keepdims=True)
    return np.ascontiguousarray(first / np.where(norm > 0, norm, 1), np.float32)


def _covers_half(fragments: Fragments, reads: ReadSet, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    start = fragments.start[rows]
    begin = np.maximum(start, reads.start[:, None])
    end = np.minimum(start + fragments.length[rows], reads.start[:, None] + reads.length)
    return (rows >= 0) & (2 * (end - begin) >= reads.length)


@njit
def _keep_nearest(products, begin, score, row):  # type: ignore[no-untyped-def]
    """Inserts the products of the vectors from row ``begin`` on; of equal ones the first stays ahead."""
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
    """Global start and orientation of the reference fragment of each fragment of a read."""
    read = queries.owner
    within = queries.start - reads.offsets[read]
    mirrored = reads.length - within - queries.length
    expected = reads.start[read] + np.where(reads.reverse[read], mirrored, within)
    return expected, queries.reverse ^ reads.reverse[read].astype(np.uint8)
