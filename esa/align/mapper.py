"""The mapper: fragments, embeddings, hits, candidates, loci, pairs, records, in that order.

`Mapper.seed` runs the first level of the escalation, read by read. Pairs then need to know how they lie:
`Mapper.finish` takes the insert sizes (None for single reads), rescues mates, escalates what is unresolved,
chooses and reports. Every method is a function of its arguments alone, so batches may run in any thread.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from esa.align.config import AlignConfig
from esa.align.extend.verify import verify
from esa.align.inserts import InsertRange, InsertSizes
from esa.align.levels import Level
from esa.align.loci import Loci, Reads, Reference
from esa.align.pairing.choose import Choice, choose_pairs, choose_single, sample_sizes
from esa.align.pairing.rescue import rescue
from esa.align.records.nonprimary import with_nonprimary
from esa.align.records.report import make_records
from esa.align.records.split import Alignments, Gaps, Parts, nonprimary_alignments
from esa.align.scoring import MATCH, MAX_READ_LENGTH
from esa.align.search.candidates import cluster_hits
from esa.align.search.kmer_voting import vote_hits
from esa.align.state import MappingState, count_searched, may_have_other_copy, settled, unresolved
from esa.align.statistics import RunStatistics
from esa.encoders.base import Encoder
from esa.encoders.codes import CodeEncoder
from esa.fragments.base import Fragmenter, Fragments
from esa.fragments.minimizers import MinimizerFragmenter
from esa.io.records import Records
from esa.sequence.genome import Genome
from esa.sequence.hashing import salt_reads
from esa.sequence.reads import ReadBatch
from esa.stores.base import Hits, Keys, Store
from esa.stores.codes import CodeStore

SEARCHED_TOGETHER = 1 << 19
"""Fragments searched together: their embeddings take some 70 MB, their edited keys a few times as much."""
HITS_TOGETHER = 1 << 25
"""Hits that fragments searched together may have by what limits those of each: 26 bytes each, for a while. Most have
far fewer. (A read is not parted, nor are mates.)"""
MINIMIZER_SPACING = 8
"""Bases between fragments at the fragmenter's own places: a low guess, which only bounds memory."""


SPLIT = "split"
"""Name of the level at which what a read's alignment leaves over is searched."""


class Mapper:
    """Aligns batches of reads to a genome through one preset's fragmenter, encoder and store."""

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
        self.config = config
        self.eqx = eqx
        self.soft_clips = soft_clips
        self._fragmenter = fragmenter
        self._encoder = encoder
        self._store = store
        self._reference = Reference(genome.packed, genome.n_starts, genome.n_ends, genome.offsets)
        self._split_config = config._replace(
            cluster=config.cluster._replace(max_candidates=config.split.max_candidates),
        )
        self._split_levels = tuple(x for x in config.levels if x.longest == MAX_READ_LENGTH)[-1:]
        if fragmenter.exact_diagonal:
            first = Level(SPLIT, config.split.effort, stride=0, resolved=config.split.resolved)
            self._split_levels = (first, *self._split_levels)

    def unsearched(self, batch: ReadBatch) -> MappingState:
        """The batch before the first level."""
        salts = np.empty(len(batch), np.uint64)
        salt_reads(batch.names, batch.name_offsets, self.config.seed, salts)
        room = self.config.max_loci + (self.config.pair.max_tied_rescues if batch.paired else 0)
        return MappingState.unsearched(batch, salts, room)

    def seed(self, batch: ReadBatch) -> MappingState:
        """Loci of each read by the first level."""
        state = self.unsearched(batch)
        wanted = np.ones(len(batch), np.bool_)
        # Whoever asks for secondary alignments wants all copies.
        first = self._samples if self.config.secondary.most else 0
        for level in self.config.levels[first : self._samples + 1]:
            thinned = self._search(state, level, wanted)
            if level.sample is not None:
                state.sampled[:] = thinned & settled(state, level.sample)
                wanted = thinned & ~state.sampled
            if not wanted.any():
                break
        return state

    def insert_sample(self, state: MappingState, pairs: int) -> NDArray[np.int64]:
        """What the first ``pairs`` pairs of a batch tell of insert sizes (`esa.align.pairing.choose.sample_sizes`)."""
        return sample_sizes(state.loci, state.lengths, min(pairs, len(state.batch) // 2))

    def finish(self, state: MappingState, inserts: InsertSizes | None) -> Records:
        """Records of a seeded batch."""
        everything = np.ones(len(state.batch), np.bool_)
        if inserts is not None:
            self._rescue(state, inserts, everything)
        other_copy = self._escalate(state, inserts)
        if inserts is not None:
            self._rescue(state, inserts, other_copy, again=True)
        with state.statistics.stage("pair"):
            choice = self._choose(state.loci, state.lengths, state.lengths, inserts)
        with state.statistics.stage("split"):
            parts = self._split(state, choice, inserts)
            further = nonprimary_alignments(state.loci, choice, state.lengths, parts, self.config)
        with state.statistics.stage("trace"):
            records = make_records(
                state.batch, state.loci, choice, self._reference, self.config.verify, self.eqx
            )
            if further is None:
                return records
            return with_nonprimary(
                records, further, state.batch, self._reference, self.config.verify, self.eqx, self.soft_clips
            )

    def _escalate(self, state: MappingState, inserts: InsertSizes | None) -> NDArray[np.bool_]:
        """Search what the first levels have not resolved at the further ones, and rescue the mates of what is found.

        Returns ``bool[reads]``, which `may_have_other_copy` after the last level that looks up their fragments' own
        keys.
        """
        other_copy = may_have_other_copy(state, self.config.levels[self._samples], self.config)
        wanted = np.ones(len(state.batch), np.bool_)
        for before, level in itertools.pairwise(self.config.levels[self._samples :]):
            # What a level has resolved stays so, whatever the next one would ask of it.
            wanted = wanted & unresolved(state, state.lengths, before.resolved) & ~self._is_full(state)
            wanted &= state.lengths <= level.longest
            active = wanted
            if level.repeats_below is not None:
                # Some that would stop look again; but those go no further.
                doubted = unresolved(state, state.lengths, level.repeats_below)
                hidden = state.loci.truncated != 0
                active = (wanted | doubted) & hidden
                if inserts is not None:
                    active = np.repeat(active[0::2] | active[1::2], 2) & hidden
            elif not wanted.any():
                break
            if active.any():
                self._search(state, level, active, inserts)
                if inserts is not None:
                    self._rescue(state, inserts, active)
                if level.repeats_below is not None:
                    other_copy &= ~active | may_have_other_copy(state, level, self.config)
        return other_copy

    def _choose(
        self, loci: Loci, lengths: NDArray[np.int64], expected: NDArray[np.int64], inserts: InsertSizes | None
    ) -> Choice:
        """The locus to report of each read; ``expected``: see `esa.align.pairing.choose.choose_pairs`."""
        choice = Choice.empty(len(lengths))
        if inserts is None:
            choose_single(loci, expected, self.config, choice)
        else:
            choose_pairs(loci, lengths, inserts, self.config, choice, expected)
        return choice

    def _split(self, state: MappingState, choice: Choice, inserts: InsertSizes | None) -> Alignments | None:
        """Parts of chimeric reads beside the primary alignments; judges those of their reads once more."""
        config = self.config
        parts = Parts(state.loci, choice, state.lengths, config.split, config.min_score)
        for found in range(config.split.max_segments - 1):
            gaps = parts.gaps()
            if not len(gaps.read):
                break
            if found == 0:
                state.statistics.count(SPLIT, reads=len(np.unique(gaps.read)))
            parts.add(gaps, self._search_gaps(state, gaps))
        judged = parts.judged()
        if judged is not None:
            rows = np.unique(judged.read)
            if inserts is not None:
                rows = np.unique(rows // 2 * 2)
                rows = np.column_stack([rows, rows + 1]).ravel()
            again = self._choose(
                state.loci.select(rows), state.lengths[rows], parts.expected()[rows], inserts
            )
            choice.mapq[rows] = again.mapq
        return judged

    def _search_gaps(self, state: MappingState, gaps: Gaps) -> Loci:
        """Loci of the stretches of gaps."""
        stretches = MappingState.unsearched(
            state.batch.stretches(gaps.read, gaps.low, gaps.high),
            state.salts[gaps.read],
            state.loci.score.shape[1],
            gaps=gaps,
            padded=gaps.padded(state.batch, self._padding),
            statistics=state.statistics,
        )
        wanted = np.ones(len(gaps.read), np.bool_)
        for level in self._split_levels:
            self._search(stretches, level, wanted)
            wanted = wanted & unresolved(stretches, gaps.sizes, level.resolved)
        return stretches.loci

    def _rescue(
        self, state: MappingState, inserts: InsertSizes, reads: NDArray[np.bool_], again: bool = False
    ) -> None:
        """Rescue mates in the pairs that hold one of the ``reads`` (``bool[reads]``).

        ``again``: look for further places of these reads where they have one, and more thoroughly where they have none.
        """
        active = reads[0::2] | reads[1::2]
        with state.statistics.stage("rescue"):
            rescue(
                Reads(state.batch.codes, state.batch.offsets, state.salts), active,
                self._reference, inserts, self.config, state.loci, reads if again else None,
            )  # fmt: skip

    def _search(
        self,
        state: MappingState,
        level: Level,
        active: NDArray[np.bool_],
        inserts: InsertSizes | None = None,
    ) -> NDArray[np.bool_]:
        """Run one level for the active reads and put what it finds beside the loci they have.

        With ``inserts`` the ends of a pair are weighed together at the repeats level. Returns ``bool[reads]``,
        of which some fragments were left out for the level's sample.
        """
        reads = np.flatnonzero(active & (state.lengths <= level.longest)).astype(np.int32)
        thinned = np.zeros(len(state.batch), np.bool_)
        if state.gaps is None:
            state.statistics.count(level.name, reads=len(reads))
        state.searched[reads] = 0
        if level.stride == 0 and not level.overhang:
            # The same fragments with wider limits: what the narrower ones hid is seen now.
            state.loci.truncated[reads] = 0
        pairs = inserts.range if inserts is not None and level.repeats_below is not None else None
        for part in _parts(reads, state.lengths, level):
            thinned |= self._search_chunk(state, level, part, pairs)
        return thinned

    def _search_chunk(
        self,
        state: MappingState,
        level: Level,
        reads: NDArray[np.int32],
        pairs: InsertRange | None = None,
    ) -> NDArray[np.bool_]:
        batch = state.batch
        text, config = batch, self.config
        if state.padded is not None:
            text, config = state.padded, self._split_config
        elif level.overhang:
            text = batch.padded(self._padding)
        statistics = state.statistics
        with statistics.stage("cut"):
            fragments = self._fragmenter.queries(text.codes, text.offsets, reads, level.stride)
            thinned = np.zeros(len(batch), np.bool_)
            if level.sample is not None:
                fragments, thinned = fragments.sample(level.sample.fragments, len(batch))
        middle = _between_pairs(reads)
        if middle and len(fragments) * level.effort.max_hits > 2 * HITS_TOGETHER:
            # Of low complexity: more fragments than `MINIMIZER_SPACING` says.
            for part in (reads[:middle], reads[middle:]):
                thinned |= self._search_chunk(state, level, part, pairs)
            return thinned
        hits = self._look_up(text, fragments, level, statistics)
        hidden = np.zeros_like(hits.truncated) if level.truncated_count else hits.truncated
        count_searched(fragments.owner, hidden, state.searched)
        with statistics.stage("cluster"):
            if self._fragmenter.exact_diagonal:
                candidates = cluster_hits(
                    hits, fragments, text.offsets, state.salts, self._reference.offsets, config.cluster, pairs
                )
            else:
                candidates = vote_hits(
                    text.codes, text.offsets, state.salts, hits, fragments, self._fragmenter.length,
                    self._reference, config.cluster, config.voting,
                )  # fmt: skip
        if level.sample is not None:
            # These are looked at with all their fragments.
            candidates = candidates.without_rivals(thinned)
        if state.gaps is not None:
            candidates = state.gaps.on_stretches(candidates, self._padding)
        elif level.overhang:
            candidates = candidates._replace(diagonal=candidates.diagonal + self._padding)
        with statistics.stage("verify"):
            verify(
                Reads(batch.codes, batch.offsets, state.salts), candidates, self._reference, config, state.loci,
                paired=batch.paired and state.gaps is None,
            )  # fmt: skip
        statistics.count(
            SPLIT if state.gaps is not None else level.name,
            fragments=len(fragments),
            scanned=hits.scanned,
            hits=len(hits.position),
            fragments_truncated=int(np.count_nonzero(hits.truncated)),
            candidates=len(candidates.diagonal),
            reads_truncated=int(np.count_nonzero(candidates.truncated)),
        )
        return thinned

    def _look_up(
        self, batch: ReadBatch, fragments: Fragments, level: Level, statistics: RunStatistics
    ) -> Hits:
        encoder, store, effort = self._encoder, self._store, level.effort
        # Only probes of the least certain bits ask how certain each is.
        signs_suffice = effort.edits > 0 or effort.probes == 1
        if not (signs_suffice and isinstance(encoder, CodeEncoder) and isinstance(store, CodeStore)):
            with statistics.stage("encode"):
                embeddings = encoder.embed(batch.codes, fragments)
            with statistics.stage("probe"):
                return store.search(embeddings, effort)
        keys = None
        with statistics.stage("encode"):
            queries = encoder.signs(batch.codes, fragments)
            if effort.edits:
                assert isinstance(self._fragmenter, MinimizerFragmenter)
                edits = self._fragmenter.minimizer_edits(
                    batch.codes, fragments, on_minimizers=level.stride == 0
                )
                keys = Keys(
                    *encoder.edited_keys(
                        batch.codes, batch.offsets, fragments, store.key_bits, edits, effort.edits
                    )
                )
        with statistics.stage("probe"):
            return store.search_codes(queries, effort, keys)

    def _is_full(self, state: MappingState) -> NDArray[np.bool_]:
        """Reads with as many perfect loci as are kept: whatever a search finds is no better."""
        full: NDArray[np.bool_] = state.loci.ranked(self.config.max_loci - 1) >= state.lengths * MATCH
        return full

    @property
    def _samples(self) -> int:
        """Levels, the first ones, that look at some fragments only."""
        return [level.sample is not None for level in self.config.levels].index(False)

    @property
    def _padding(self) -> int:
        """N on either side of bases that are searched alone: half a fragment, if fragments fix a diagonal."""
        return self._fragmenter.length // 2 if self._fragmenter.exact_diagonal else 0


def _parts(reads: NDArray[np.int32], lengths: NDArray[np.int64], level: Level) -> Iterator[NDArray[np.int32]]:
    """Runs of reads of about `SEARCHED_TOGETHER` fragments, or `HITS_TOGETHER` hits, so that neither long reads nor
    repeats fill the memory. Mates stay together."""
    fragments = lengths[reads] * 2 // level.stride if level.stride else lengths[reads] // MINIMIZER_SPACING
    most = max(1, min(SEARCHED_TOGETHER, HITS_TOGETHER // level.effort.max_hits))
    run = np.cumsum(fragments) // most
    mates = np.diff(reads // 2) == 0
    run[1:][mates] = run[:-1][mates]
    bounds = np.flatnonzero(np.diff(run)) + 1
    return (part for part in np.split(reads, bounds) if len(part))


def _between_pairs(reads: NDArray[np.int32]) -> int:
    """Where to part reads in about halves without parting mates; 0 if there is one pair."""
    middle = len(reads) // 2
    together = middle > 0 and reads[middle - 1] // 2 == reads[middle] // 2
    return middle - 1 if together else middle
