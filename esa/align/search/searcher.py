"""From reads to candidates at one level: fragments, embeddings, hits, clusters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from esa.align.config import ClusterConfig, VotingConfig
from esa.align.inserts import InsertRange
from esa.align.levels import Level
from esa.align.loci import Candidates, Reads, Reference
from esa.align.search.candidates import cluster_hits
from esa.align.search.kmer_voting import vote_hits
from esa.align.state import SearchState
from esa.align.statistics import RunStatistics
from esa.encoders.base import Encoder
from esa.encoders.codes import CodeEncoder
from esa.fragments.base import Fragmenter, Fragments
from esa.fragments.minimizers import MinimizerFragmenter
from esa.kernels.arrays import I32Array, U8Array
from esa.kernels.decorator import inline_njit
from esa.sequence.genome import Genome
from esa.sequence.reads import ReadBatch
from esa.stores.base import Hits, Keys, Store
from esa.stores.codes import CodeStore

FRAGMENTS_TOGETHER = 1 << 19
"""Fragments searched together: their embeddings take some 70 MB, their edited keys a few times as much."""
HITS_TOGETHER = 1 << 25
"""Hits that fragments searched together may have by the limit of each: 26 bytes each, for a while. Most have far fewer.
(Neither a read nor a pair is divided.)"""


class Found(NamedTuple):
    """What the search of a chunk of reads gave; rows are reads of the batch, those of other chunks have nothing.

    Attributes:
        candidates: of the bases that fragments were cut from.
        searched: ``int32[n]``, fragments of each read that count as searched.
        thinned: ``bool[n]``, reads of which fragments were left out (`esa.align.levels.Cut`).
        fragments: those that were looked up.
        hits: their hits.
    """

    candidates: Candidates
    searched: NDArray[np.int32]
    thinned: NDArray[np.bool_]
    fragments: Fragments
    hits: Hits

    def counts(self) -> dict[str, int]:
        """For run statistics (`esa.align.statistics.LEVEL_COUNTS`)."""
        return {
            "fragments": len(self.fragments),
            "scanned": self.hits.scanned,
            "hits": len(self.hits.position),
            "fragments_truncated": int(np.count_nonzero(self.hits.truncated)),
            "candidates": len(self.candidates.diagonal),
            "reads_truncated": int(np.count_nonzero(self.candidates.truncated)),
        }


class SearchedIndex(Protocol):
    """What the mapper takes of an index (`esa.index.open.Index`)."""

    @property
    def genome(self) -> Genome:
        """What reads are aligned to."""

    @property
    def fragmenter(self) -> Fragmenter:
        """Cuts reads as it cut the genome."""

    @property
    def encoder(self) -> Encoder:
        """Embeds their fragments."""

    @property
    def store(self) -> Store:
        """Holds the embedded fragments of the genome."""


class Searcher:
    """Searches an index for reads.

    Args:
        cluster, voting: as in `esa.align.config.AlignConfig`.
    """

    def __init__(
        self, index: SearchedIndex, reference: Reference, cluster: ClusterConfig, voting: VotingConfig
    ) -> None:
        self.fragmenter = index.fragmenter
        self._encoder, self._store, self._reference = index.encoder, index.store, reference
        self._cluster, self._voting = cluster, voting

    @property
    def padding(self) -> int:
        """N on either side of bases that are searched alone: half a fragment, if fragments fix a diagonal."""
        return self.fragmenter.length // 2 if self.fragmenter.exact_diagonal else 0

    def search(
        self,
        level: Level,
        state: SearchState,
        bases: ReadBatch,
        reads: NDArray[np.int32],
        insert_range: InsertRange | None = None,
    ) -> Iterator[Found]:
        """What is found for ``reads`` (``int32``, ascending), chunk by chunk.

        Args:
            bases: what the reads' fragments are cut from, one row a read of the state's batch.
            insert_range: with it the clusters of both ends of a pair are weighed together.
        """
        for chunk in chunks(reads, state.lengths, level):
            yield from self._search_chunk(level, state, bases, chunk, insert_range)

    def _search_chunk(
        self,
        level: Level,
        state: SearchState,
        bases: ReadBatch,
        reads: NDArray[np.int32],
        insert_range: InsertRange | None,
    ) -> Iterator[Found]:
        statistics = state.statistics
        with statistics.stage("cut"):
            fragments, thinned = level.cut(self.fragmenter, bases, reads)
        middle = _between_pairs(reads)
        if middle and len(fragments) * level.effort.max_hits > 2 * HITS_TOGETHER:
            # Of low complexity: more fragments than estimated.
            yield from self._search_chunk(level, state, bases, reads[:middle], insert_range)
            yield from self._search_chunk(level, state, bases, reads[middle:], insert_range)
            return
        hits = self._look_up(level, bases, fragments, statistics)
        searched = np.zeros(len(bases), np.int32)
        _count_searched(fragments.owner, level.uncounted(hits.truncated), searched)
        with statistics.stage("cluster"):
            candidates = self._candidates(bases, state.salts, hits, fragments, insert_range)
        yield Found(level.kept(candidates, thinned), searched, thinned, fragments, hits)

    def _look_up(
        self, level: Level, bases: ReadBatch, fragments: Fragments, statistics: RunStatistics
    ) -> Hits:
        encoder, store, effort = self._encoder, self._store, level.effort
        # Only probes of the least certain bits depend on how certain each is.
        signs_suffice = effort.edits > 0 or effort.probes == 1
        if not (signs_suffice and isinstance(encoder, CodeEncoder) and isinstance(store, CodeStore)):
            with statistics.stage("encode"):
                embeddings = encoder.embed(bases.codes, fragments)
            with statistics.stage("probe"):
                return store.search(embeddings, effort)
        keys = None
        with statistics.stage("encode"):
            queries = encoder.signs(bases.codes, fragments)
            if effort.edits:
                keys = self._edited_keys(level, bases, fragments, encoder, store)
        with statistics.stage("probe"):
            return store.search_codes(queries, effort, keys)

    def _edited_keys(
        self, level: Level, bases: ReadBatch, fragments: Fragments, encoder: CodeEncoder, store: CodeStore
    ) -> Keys:
        assert isinstance(self.fragmenter, MinimizerFragmenter)
        edits = self.fragmenter.minimizer_edits(bases.codes, fragments, on_minimizers=level.at_minimizers)
        return Keys(
            *encoder.edited_keys(
                bases.codes, bases.offsets, fragments, store.key_bits, edits, level.effort.edits
            )
        )

    def _candidates(
        self,
        bases: ReadBatch,
        salts: NDArray[np.uint64],
        hits: Hits,
        fragments: Fragments,
        insert_range: InsertRange | None,
    ) -> Candidates:
        if self.fragmenter.exact_diagonal:
            return cluster_hits(
                hits, fragments, bases.offsets, salts, self._reference.offsets, self._cluster, insert_range
            )
        return vote_hits(
            Reads(bases.codes, bases.offsets, salts), hits, fragments, self.fragmenter.length,
            self._reference, self._cluster, self._voting,
        )  # fmt: skip


@inline_njit
def _count_searched(owner: I32Array, truncated: U8Array, searched: I32Array) -> None:
    """Add to each read the fragments of which no limit left anything out."""
    for f in range(len(owner)):
        searched[owner[f]] += truncated[f] == 0


def chunks(reads: NDArray[np.int32], lengths: NDArray[np.int64], level: Level) -> Iterator[NDArray[np.int32]]:
    """Runs of reads that are searched together, so that neither long reads nor repeats fill the memory.

    A run has about `FRAGMENTS_TOGETHER` fragments, or `HITS_TOGETHER` hits. Mates stay together.
    """
    fragments = level.estimated_fragments(lengths[reads])
    most = max(1, min(FRAGMENTS_TOGETHER, HITS_TOGETHER // level.effort.max_hits))
    run = np.cumsum(fragments) // most
    mates = np.diff(reads // 2) == 0
    run[1:][mates] = run[:-1][mates]
    bounds = np.flatnonzero(np.diff(run)) + 1
    return (chunk for chunk in np.split(reads, bounds) if len(chunk))


def _between_pairs(reads: NDArray[np.int32]) -> int:
    """Where to divide reads in about halves without dividing a pair; 0 if there is one pair."""
    middle = len(reads) // 2
    together = middle > 0 and reads[middle - 1] // 2 == reads[middle] // 2
    return middle - 1 if together else middle
