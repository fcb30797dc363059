"""What an encoder finds, before anything is aligned: recall of the true fragment, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esa.encoders.base import Encoder
from esa.eval.simulate import SimulatedReads, SimulationParameters, simulate
from esa.fragments import Fragmenter, Fragments
from esa.genome import Genome
from esa.stores.base import SearchEffort, Store
from esa.stores.codes import CodeStore, CodeStoreBuilder
from esa.encoders.codes import BITS

PROBES = (1, 2, 4, 8, 16, 32, 64, 128)
"""Probes of a query that are tried to meet a cost."""

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


def simulate_reads(genome: Genome, count: int, length: int, substitutions: float, seed: int = 1) -> ReadSet:
    """Reads from both strands with a tenth as many one-base indels as substitutions (design, section 2)."""
    parameters = SimulationParameters(
        count,
        paired=False,
        length=length,
        length2=length,
        substitutions=substitutions,
        indels=substitutions / 10,
        indel_mean=1.0,
        seed=seed,
    )
    batches: list[SimulatedReads] = list(simulate(genome, parameters))
    return ReadSet(
        np.concatenate([batch.codes[0] for batch in batches]).reshape(-1),
        np.concatenate([genome.offsets[batch.contig] + batch.position[:, 0] for batch in batches]),
        np.concatenate([batch.reverse[:, 0] for batch in batches]),
        length,
    )


@dataclass(frozen=True)
class Found:
    """Share of reads found, and codes scanned a read (mean)."""

    share: float
    scanned: float


def anchored_recall(
    fragmenter: Fragmenter, encoder: Encoder, store: Store, reads: ReadSet, probes: int, stride: int = 0
) -> Found:
    """Share of reads of which at least one fragment's probed buckets hold the true fragment.

    A fragment is true if it lies where the read's fragment came from, `DIAGONAL_SLACK` bases aside, and is
    oriented alike. Every code in a probed bucket counts as scanned, whatever its distance.
    """
    chosen = np.arange(len(reads), dtype=np.int32)
    queries = fragmenter.queries(reads.codes, reads.offsets, chosen, stride)
    effort = SearchEffort(max_hits=1 << 30, probes=probes, radius=BITS + 1)
    hits = store.search(encoder.embed(reads.codes, queries), effort)
    expected, strand = _origin(reads, queries)
    query = np.repeat(np.arange(len(queries)), np.diff(hits.offsets))
    true = np.abs(hits.position - expected[query]) <= DIAGONAL_SLACK
    true &= hits.reverse == strand[query]
    found = np.zeros(len(reads), np.bool_)
    found[queries.owner[query[true]]] = True
    return Found(float(found.mean()), hits.scanned / len(reads))


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
    fragmenter: Fragmenter, encoder: Encoder, store: Store, reads: ReadSet, scanned: float
) -> float:
    """`anchored_recall` at so many codes scanned a read, between the numbers of probes on either side of it.

    Linear in the logarithm of the cost. Codes are compared at equal cost, not at equal probes: a code that fills
    few buckets finds much with each probe, and pays for it.
    """
    below: Found | None = None
    for probes in PROBES:
        found = anchored_recall(fragmenter, encoder, store, reads, probes)
        if found.scanned >= scanned:
            if below is None:
                return found.share * scanned / found.scanned
            span = np.log(found.scanned / max(below.scanned, 1e-9))
            weight = np.log(scanned / max(below.scanned, 1e-9)) / span
            return float(below.share + weight * (found.share - below.share))
        below = found
    assert below is not None
    return below.share


def _origin(reads: ReadSet, queries: Fragments) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Global start and orientation of the reference fragment of each fragment of a read."""
    read = queries.owner
    within = queries.start - reads.offsets[read]
    mirrored = reads.length - within - queries.length
    expected = reads.start[read] + np.where(reads.reverse[read], mirrored, within)
    return expected, queries.reverse ^ reads.reverse[read].astype(np.uint8)
