#!/usr/bin/env python3
"""Which faiss index for dense embeddings? Recall, microseconds and bytes of the candidates, one table.

Embeds a reference with the sketch encoder (windows of 256 bases, stride 128), searches simulated reads, and
compares each index with exact search: the share of reads with a window of the true locus among 50 hits
("found"), the share of exact search's 50 hits that it gives too ("recall"), and its time a query with
--threads threads. "+ rank" is an exact ranking of a shortlist by 8-bit vectors, which must be kept as well.

    python scripts/bench_dense.py ../shared/data/ref/human_GRCh37_chr20.fa.gz
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from esa.encoders.sketch import SketchEncoder
from esa.eval.simulate import SimulationParameters, edit_rates, simulate
from esa.fragments_fixed import FixedFragmenter
from esa.genome import Genome
from esa.io.fasta import read_genome
from esa.stores.base import SearchEffort
from esa.stores.dense import DenseParameters, DenseStoreBuilder

HITS = 50
"""Hits a query."""
READ_SETS = ((250, 1.0), (100, 1.0), (250, 5.0), (250, 10.0))
"""Read length; edits in 100 bases, a tenth of them indels."""

LISTS = 1024
"""Inverted lists."""

Search = Callable[[NDArray[np.float32]], NDArray[np.int64]]
"""Of queries ``[n, d]``, the indices of the hits, best first, -1 where there are no more."""


@dataclass(frozen=True)
class Queries:
    """Embedded reads: ``near[i]`` is the first base of the read's true locus."""

    label: str
    embeddings: NDArray[np.float32]
    near: NDArray[np.int64]
    length: int


@dataclass(frozen=True)
class Candidate:
    """A way to search; ``bytes`` a vector."""

    name: str
    bytes: float
    build_seconds: float
    search: Search


def queries(genome: Genome, encoder: SketchEncoder, reads: int, seed: int) -> Iterator[Queries]:
    for length, percent in READ_SETS:
        substitutions, indels = edit_rates(percent)
        parameters = SimulationParameters(
            fragments=reads,
            paired=False,
            length=length,
            substitutions=substitutions,
            indels=indels,
            seed=seed,
        )
        batches = list(simulate(genome, parameters))
        codes = np.concatenate([batch.codes[0] for batch in batches]).reshape(-1)
        near = np.concatenate([batch.position[:, 0] + genome.offsets[batch.contig] for batch in batches])
        offsets = np.arange(reads + 1, dtype=np.int64) * length
        fragments = FixedFragmenter().queries(codes, offsets, np.arange(reads, dtype=np.int32), 0)
        yield Queries(f"{length} bp {percent:g} %", encoder.embed(codes, fragments), near, length)


def ranked(vectors: NDArray[np.float32], shortlist: Search) -> Search:
    """The best of a shortlist by exact products. Slow: its time counts, so the true cost is a little less."""

    def search(embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
        out = np.full((len(embeddings), HITS), -1, np.int64)
        for i, found in enumerate(shortlist(embeddings)):
            found = found[found >= 0]
            best = np.argsort(-(vectors[found] @ embeddings[i]), kind="stable")[:HITS]
            out[i, : len(best)] = found[best]
        return out

    return search


def from_factory(
    vectors: NDArray[np.float32], description: str, shortlist: int = 0, probes: int = 1
) -> Candidate:
    n, dimensions = vectors.shape
    begin = time.perf_counter()
    index = faiss.index_factory(dimensions, description, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:: max(1, n // 100_000)])
    index.add(vectors)
    seconds = time.perf_counter() - begin
    size = len(faiss.serialize_index(index)) / n
    name = description
    if description.startswith("IVF"):
        faiss.extract_index_ivf(index).nprobe = probes
        name += f", {probes} lists"
    if not shortlist:
        return Candidate(name, size, seconds, lambda q: index.search(q, HITS)[1])
    search = ranked(vectors, lambda q: index.search(q, shortlist)[1])
    return Candidate(f"{name}, {shortlist} + rank", size + dimensions, seconds, search)


def binary(vectors: NDArray[np.float32], shortlist: int) -> Candidate:
    """Signs about the mean, by Hamming distance."""
    n, dimensions = vectors.shape
    begin = time.perf_counter()
    mean = vectors[:: max(1, n // 100_000)].mean(axis=0)
    index = faiss.IndexBinaryFlat(dimensions)
    index.add(np.packbits(vectors > mean, axis=1))
    seconds = time.perf_counter() - begin
    search = ranked(vectors, lambda q: index.search(np.packbits(q > mean, axis=1), shortlist)[1])
    return Candidate(f"binary, {shortlist} + rank", dimensions / 8 + dimensions, seconds, search)


def store(vectors: NDArray[np.float32], settings: DenseParameters, threads: int) -> Candidate:
    """`DenseStore` itself, called from threads as the aligner calls it."""
    begin = time.perf_counter()
    builder = DenseStoreBuilder(vectors.shape[1], settings)
    builder.add(vectors, np.arange(len(vectors)), np.zeros(len(vectors), np.uint8))
    dense = builder.finish()
    seconds = time.perf_counter() - begin
    size = sum(array.nbytes for array in dense.arrays().values()) / len(dense)

    def search_part(embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
        hits = dense.search(embeddings, SearchEffort(max_hits=HITS))
        out = np.full((len(embeddings), HITS), -1, np.int64)
        for i in range(len(embeddings)):
            found = hits.position[hits.offsets[i] : hits.offsets[i + 1]]
            out[i, : len(found)] = found
        return out

    def search(embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(pool.map(search_part, np.array_split(embeddings, threads))))

    search(vectors[:threads])
    kind = f"shortlist {settings.shortlist}" if len(dense.scanner) else "exact"
    return Candidate(f"esa: {kind}, floor {settings.floor}, ratio {settings.ratio}", size, seconds, search)


def candidates(vectors: NDArray[np.float32], threads: int) -> Iterator[Candidate]:
    for description in ("Flat", "SQfp16", "SQ8"):
        yield from_factory(vectors, description)
    for shortlist in (100, 500):
        yield binary(vectors, shortlist)
    for shortlist in (100, 500):
        yield from_factory(vectors, "RaBitQfs", shortlist)
    quarter = vectors.shape[1] // 4
    for description in (f"PQ{quarter}x4fs", f"PQ{quarter // 2}x4fs"):
        for shortlist in (100, 500):
            yield from_factory(vectors, description, shortlist)
    for probes in (16, 64, 256):
        yield from_factory(vectors, f"IVF{LISTS},SQ8", probes=probes)
    for probes in (64, 256):
        yield from_factory(vectors, f"IVF{LISTS},PQ{quarter}x4fs", 500, probes)
    for settings in (
        DenseParameters(floor=0.001, ratio=0),
        DenseParameters(),
        DenseParameters(shortlist=200),
    ):
        yield store(vectors, settings, threads)


def locus_found(hits: NDArray[np.int64], start: NDArray[np.int64], q: Queries, window: int) -> float:
    """Share of queries with a window among the hits that covers at least half of the true locus."""
    begin = start[hits]
    overlap = np.minimum(begin + window, (q.near + q.length)[:, None]) - np.maximum(begin, q.near[:, None])
    return float(((overlap * 2 >= q.length) & (hits >= 0)).any(axis=1).mean())


def share_of_exact(hits: NDArray[np.int64], exact: NDArray[np.int64]) -> float:
    return float(np.mean([len(np.intersect1d(a, b)) for a, b in zip(hits, exact, strict=True)]) / HITS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", type=Path)
    parser.add_argument("--reads", type=int, default=500, help="of each set")
    parser.add_argument("-t", "--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    faiss.omp_set_num_threads(args.threads)
    genome, encoder, fragmenter = read_genome(str(args.reference)), SketchEncoder(), FixedFragmenter()
    codes = genome.fetch(0, genome.bases)
    fragments = fragmenter.reference(codes, genome.offsets)
    vectors = encoder.embed(codes, fragments)
    sets = list(queries(genome, encoder, args.reads, args.seed))
    flat = faiss.IndexFlatIP(encoder.dimensions)
    flat.add(vectors)
    exact = [flat.search(q.embeddings, HITS)[1] for q in sets]

    print(
        f"{len(vectors):,} vectors of {encoder.dimensions}, {args.reads} reads a set, {args.threads} threads"
    )
    print(
        "| index | bytes a vector | build s | "
        + " | ".join(f"{q.label}: found, recall, us" for q in sets)
        + " |"
    )
    print("|---|---|---|" + "---|" * len(sets))
    for candidate in candidates(vectors, args.threads):
        cells = []
        for q, truth in zip(sets, exact, strict=True):
            begin = time.perf_counter()
            hits = candidate.search(q.embeddings)
            micros = (time.perf_counter() - begin) / args.reads * 1e6
            found = locus_found(hits, fragments.start, q, fragmenter.length)
            cells.append(f"{found:.3f}, {share_of_exact(hits, truth):.2f}, {micros:.0f}")
        print(
            f"| {candidate.name} | {candidate.bytes:.0f} | {candidate.build_seconds:.0f} | "
            + " | ".join(cells)
            + " |",
            flush=True,
        )


if __name__ == "__main__":
    main()
