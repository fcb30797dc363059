"""The mapper: fragments, embeddings, hits, candidates, loci, pairs, records, in that order.

`Mapper.begin` looks at every read for the first time. From then on pairs are joined by their insert sizes, which
`Mapper.finish` takes (None for single reads). It reads as the list of steps from there to records. A step adds to the
`MappingState` that it is given. What it gives depends on its arguments alone, so batches may run in any thread or
process.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from esa.align.config import AlignConfig
from esa.align.inserts import InsertSizes
from esa.align.levels import Level
from esa.align.loci import Reads, Reference
from esa.align.pairing.choose import Choice, choose_loci, sample_sizes
from esa.align.pairing.rescue import rescue
from esa.align.placer import Placer
from esa.align.records.nonprimary import with_nonprimary
from esa.align.records.report import make_records
from esa.align.records.split import Alignments, nonprimary_alignments
from esa.align.search.searcher import SearchedIndex, Searcher
from esa.align.segments import SegmentFinder
from esa.align.state import MappingState
from esa.io.records import Records
from esa.sequence.hashing import salt_reads
from esa.sequence.reads import ReadBatch


class Mapper:
    """Aligns batches of reads to a genome through one preset's fragmenter, encoder and store.

    Args:
        eqx: CIGAR with = and X instead of M.
        soft_clips: soft clips in supplementary and secondary records, too.
    """

    def __init__(
        self,
        index: SearchedIndex,
        config: AlignConfig,
        eqx: bool = False,
        soft_clips: bool = False,
    ) -> None:
        self.config, self.eqx, self.soft_clips = config, eqx, soft_clips
        genome = index.genome
        reference = Reference(genome.packed, genome.n_starts, genome.n_ends, genome.offsets)
        self.placer = Placer(Searcher(index, reference, config.cluster, config.voting), reference, config)
        narrower = config.cluster._replace(max_candidates=config.split.max_candidates)
        self.segments = SegmentFinder(
            Placer(Searcher(index, reference, narrower, config.voting), reference, config), config
        )
        self._reference = reference
        ladder = list(config.levels)
        self._sample = ladder.pop(0) if ladder[0].samples else None
        self._whole, *self._later = ladder

    # The steps

    def unsearched(self, batch: ReadBatch) -> MappingState:
        """The batch before the first level."""
        salts = np.empty(len(batch), np.uint64)
        salt_reads(batch.names, batch.name_offsets, self.config.seed, salts)
        rescued = self.config.pair.max_tied_rescues if batch.paired else 0
        return MappingState.unsearched(batch, salts, self.config.max_loci + rescued)

    def begin(self, batch: ReadBatch) -> MappingState:
        """Loci of each read by a sample of its fragments, and by all of them where these do not settle it."""
        state = self.unsearched(batch)
        wanted = np.ones(len(batch), np.bool_)
        # Whoever asks for secondary alignments wants all copies.
        if self._sample is not None and not self.config.secondary.most:
            thinned = self.placer.place(self._sample, state, wanted)
            state.settled[:] = thinned & self._sample.settles(state)
            wanted = thinned & ~state.settled
        if wanted.any():
            self.placer.place(self._whole, state, wanted)
        return state

    def insert_sample(self, state: MappingState, pairs: int) -> NDArray[np.int64]:
        """Insert sizes of the first ``pairs`` pairs of a batch (`esa.align.pairing.choose.sample_sizes`)."""
        return sample_sizes(state.loci, state.lengths, min(pairs, len(state.batch) // 2))

    def finish(self, state: MappingState, inserts: InsertSizes | None) -> Records:
        """Records of a batch after `begin`."""
        self.rescue(state, inserts, np.ones(len(state.batch), np.bool_))
        other_copy = self.escalate(state, inserts)
        self.rescue_thoroughly(state, inserts, other_copy)
        choice = self.choose(state, inserts)
        segments = self.split(state, choice, inserts)
        return self.report(state, choice, segments)

    def escalate(self, state: MappingState, inserts: InsertSizes | None) -> NDArray[np.bool_]:
        """Search what the first levels have not resolved at the later ones, and rescue the mates of what is found.

        Returns ``bool[n]``: reads of which another copy may lie beside the one found, by the last level that looks up
        their fragments' own keys.
        """
        few = self.config.pair.few_fragments
        other_copy = state.may_have_other_copy(self._whole.resolved, few)
        wanted = np.ones(len(state.batch), np.bool_)
        for before, level in itertools.pairwise([self._whole, *self._later]):
            wanted = self.left_over(before, state, wanted)
            active = self.taken(level, state, wanted, paired=inserts is not None)
            if not active.any():
                continue
            self.placer.place(level, state, active, inserts)
            self.rescue(state, inserts, active)
            if level.pairs_ends:
                other_copy &= ~active | state.may_have_other_copy(level.resolved, few)
        return other_copy

    def left_over(self, level: Level, state: MappingState, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """``bool[n]``: those of the ``wanted`` reads that a level has not resolved.

        What a level has resolved stays so, whatever later ones would demand of it. A read with as many perfect loci as
        are kept stops, too.
        """
        return wanted & state.unresolved(level.resolved) & ~state.full(self.config.max_loci)

    def taken(
        self, level: Level, state: MappingState, wanted: NDArray[np.bool_], paired: bool
    ) -> NDArray[np.bool_]:
        """``bool[n]``: the reads that a level searches: `Level.active`, and not too long for it."""
        return level.active(state, wanted, paired) & (state.lengths <= level.longest)

    def rescue(self, state: MappingState, inserts: InsertSizes | None, reads: NDArray[np.bool_]) -> None:
        """Rescue mates in the pairs that hold one of the ``reads`` (``bool[n]``)."""
        self._rescue(state, inserts, reads, None)

    def rescue_thoroughly(
        self, state: MappingState, inserts: InsertSizes | None, reads: NDArray[np.bool_]
    ) -> None:
        """Look for the ``reads`` (``bool[n]``) in their mates' windows once more: where they have a place, for others.

        Where they have none, every diagonal is tried if the read is short (`PairConfig.longest_scored`).
        """
        self._rescue(state, inserts, reads, reads)

    def _rescue(
        self,
        state: MappingState,
        inserts: InsertSizes | None,
        reads: NDArray[np.bool_],
        again: NDArray[np.bool_] | None,
    ) -> None:
        if inserts is None:
            return
        active = reads[0::2] | reads[1::2]
        with state.statistics.stage("rescue"):
            rescue(
                Reads(state.batch.codes, state.batch.offsets, state.salts), active,
                self._reference, inserts, self.config, state.loci, again,
            )  # fmt: skip

    def choose(self, state: MappingState, inserts: InsertSizes | None) -> Choice:
        """The locus to report of each read, with its MAPQ."""
        with state.statistics.stage("pair"):
            return choose_loci(state.loci, state.lengths, state.lengths, inserts, self.config)

    def split(self, state: MappingState, choice: Choice, inserts: InsertSizes | None) -> Alignments | None:
        """Segments of split reads beside their primary alignments; adjusts the MAPQ of these."""
        with state.statistics.stage("split"):
            return self.segments.find(state, choice, inserts)

    def report(self, state: MappingState, choice: Choice, segments: Alignments | None) -> Records:
        """Records of all alignments, those of a read together, the primary one first."""
        with state.statistics.stage("split"):
            nonprimary = nonprimary_alignments(state.loci, choice, state.lengths, segments, self.config)
        with state.statistics.stage("trace"):
            records = make_records(
                state.batch, state.loci, choice, self._reference, self.config.verify, self.eqx
            )
            if nonprimary is None:
                return records
            return with_nonprimary(
                records,
                nonprimary,
                state.batch,
                self._reference,
                self.config.verify,
                self.eqx,
                self.soft_clips,
            )
