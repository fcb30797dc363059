"""The mapper: fragments, embeddings, hits, candidates, loci, pairs, records, in that order.

`Mapper.seed` looks at every read for the first time. From then on pairs are joined by their insert sizes, which
`Mapper.finish` takes (None for single reads). It reads as the list of steps from there to records. Every method is a
function of its arguments alone, so batches may run in any thread or process.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from esa.align.config import AlignConfig
from esa.align.inserts import InsertSizes
from esa.align.loci import Reads, Reference
from esa.align.pairing.choose import Choice, choose_loci, sample_sizes
from esa.align.pairing.rescue import rescue
from esa.align.placer import Placer
from esa.align.records.nonprimary import with_nonprimary
from esa.align.records.report import make_records
from esa.align.records.split import Alignments, nonprimary_alignments
from esa.align.search.searcher import Searcher
from esa.align.segments import SegmentFinder
from esa.align.stages import SampledMinimizers
from esa.align.state import MappingState
from esa.encoders.base import Encoder
from esa.fragments.base import Fragmenter
from esa.io.records import Records
from esa.sequence.genome import Genome
from esa.sequence.hashing import salt_reads
from esa.sequence.reads import ReadBatch
from esa.stores.base import Store


class Mapper:
    """Aligns batches of reads to a genome through one preset's fragmenter, encoder and store.

    Args:
        eqx: CIGAR with = and X instead of M.
        soft_clips: soft clips in supplementary and secondary records, too.
    """

    def __init__(
        self,
        genome: Genome,
        fragmenter: Fragmenter,
        encoder: Encoder,
        store: Store,
        config: AlignConfig,
        eqx: bool = False,
        soft_clips: bool = False,
    ) -> None:
        self.config, self.eqx, self.soft_clips = config, eqx, soft_clips
        self._reference = Reference(genome.packed, genome.n_starts, genome.n_ends, genome.offsets)
        index = (fragmenter, encoder, store, self._reference)
        self.placer = Placer(Searcher(*index, config.cluster, config.voting), self._reference, config)
        narrower = config.cluster._replace(max_candidates=config.split.max_candidates)
        self.segments = SegmentFinder(
            Placer(Searcher(*index, narrower, config.voting), self._reference, config), config
        )
        first = config.levels[0]
        self._sampled = first if isinstance(first, SampledMinimizers) else None
        self._first, *self._further = config.levels[self._sampled is not None :]

    # The steps

    def unsearched(self, batch: ReadBatch) -> MappingState:
        """The batch before the first stage."""
        salts = np.empty(len(batch), np.uint64)
        salt_reads(batch.names, batch.name_offsets, self.config.seed, salts)
        rescued = self.config.pair.max_tied_rescues if batch.paired else 0
        return MappingState.unsearched(batch, salts, self.config.max_loci + rescued)

    def seed(self, batch: ReadBatch) -> MappingState:
        """Loci of each read by a sample of its fragments, and by all of them where these do not settle it."""
        state = self.unsearched(batch)
        wanted = np.ones(len(batch), np.bool_)
        # Whoever asks for secondary alignments wants all copies.
        if self._sampled is not None and not self.config.secondary.most:
            thinned = self.placer.place(self._sampled, state, wanted)
            state.settled[:] = thinned & self._sampled.settles(state)
            wanted = thinned & ~state.settled
        if wanted.any():
            self.placer.place(self._first, state, wanted)
        return state

    def insert_sample(self, state: MappingState, pairs: int) -> NDArray[np.int64]:
        """Insert sizes of the first ``pairs`` pairs of a batch (`esa.align.pairing.choose.sample_sizes`)."""
        return sample_sizes(state.loci, state.lengths, min(pairs, len(state.batch) // 2))

    def finish(self, state: MappingState, inserts: InsertSizes | None) -> Records:
        """Records of a batch after `seed`."""
        self.rescue(state, inserts, np.ones(len(state.batch), np.bool_))
        other_copy = self.escalate(state, inserts)
        self.rescue(state, inserts, other_copy, again=True)
        choice = self.choose(state, inserts)
        segments = self.split(state, choice, inserts)
        return self.report(state, choice, segments)

    def escalate(self, state: MappingState, inserts: InsertSizes | None) -> NDArray[np.bool_]:
        """Search what the first stages have not resolved at the further ones, and rescue the mates of what is found.

        Returns ``bool[n]``: reads of which another copy may lie beside the one found, by the last stage that looks up
        their fragments' own keys.
        """
        few = self.config.pair.few_fragments
        other_copy = state.may_have_other_copy(self._first.resolved, few)
        wanted = np.ones(len(state.batch), np.bool_)
        for before, stage in itertools.pairwise([self._first, *self._further]):
            # What a stage has resolved stays so, whatever the next one would ask of it.
            wanted &= state.unresolved(before.resolved) & ~state.full(self.config.max_loci)
            wanted &= state.lengths <= stage.longest
            active = stage.active(state, wanted, paired=inserts is not None)
            if not active.any():
                continue
            self.placer.place(stage, state, active, inserts)
            self.rescue(state, inserts, active)
            if stage.pairs_ends:
                other_copy &= ~active | state.may_have_other_copy(stage.resolved, few)
        return other_copy

    def rescue(
        self,
        state: MappingState,
        inserts: InsertSizes | None,
        reads: NDArray[np.bool_],
        again: bool = False,
    ) -> None:
        """Rescue mates in the pairs that hold one of the ``reads`` (``bool[n]``).

        ``again``: look for further places of these reads where they have one, and more thoroughly where they have none.
        """
        if inserts is None:
            return
        active = reads[0::2] | reads[1::2]
        with state.statistics.stage("rescue"):
            rescue(
                Reads(state.batch.codes, state.batch.offsets, state.salts), active,
                self._reference, inserts, self.config, state.loci, reads if again else None,
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
            further = nonprimary_alignments(state.loci, choice, state.lengths, segments, self.config)
        with state.statistics.stage("trace"):
            records = make_records(
                state.batch, state.loci, choice, self._reference, self.config.verify, self.eqx
            )
            if further is None:
                return records
            return with_nonprimary(
                records, further, state.batch, self._reference, self.config.verify, self.eqx, self.soft_clips
            )
