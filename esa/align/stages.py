"""The stages of the escalation: one class a mode of search, with its own parameters.

A stage says which of the reads that earlier stages left over it takes, and which fragments of them are looked up. It
says how far the store is searched, and which candidates are kept. It takes and returns plain values;
`esa.align.search.searcher` does the search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.loci import Candidates
from esa.align.scoring import MAX_READ_LENGTH
from esa.align.state import MappingState, Resolved
from esa.fragments.base import Fragmenter, Fragments
from esa.sequence.reads import ReadBatch
from esa.stores.base import SearchEffort

FRAGMENT_SPACING = 8
"""Bases between fragments at the fragmenter's own places: a low guess, which only bounds memory."""


class Cut(NamedTuple):
    """Fragments of some reads of a batch. ``thinned``: ``bool[reads of the batch]``, of whom some are left out."""

    fragments: Fragments
    thinned: NDArray[np.bool_]


@dataclass(frozen=True)
class Stage:
    """One step of the escalation: here, with all fragments at the fragmenter's own places.

    Attributes:
        name: for run statistics.
        effort: how far the store is searched.
        resolved: which reads stop here.
        longest: longer reads are not searched at this stage, bases.
    """

    name: str
    effort: SearchEffort
    resolved: Resolved
    longest: int = MAX_READ_LENGTH

    at_minimizers: ClassVar[bool] = True
    """Fragments lie at the fragmenter's own places."""
    replaces_truncation: ClassVar[bool] = True
    """The fragments are those of earlier stages with wider limits: what narrower limits hid is seen now."""
    pairs_ends: ClassVar[bool] = False
    """Clusters of both ends of a pair are weighed together, and what the stage resolves has no other copy."""

    def bases(self, batch: ReadBatch, padding: int) -> ReadBatch:
        """The bases that fragments are cut from; with ``padding`` N on either side for stages that overhang."""
        return batch

    def cut(self, fragmenter: Fragmenter, bases: ReadBatch, reads: NDArray[np.int32]) -> Cut:
        """The fragments of ``reads`` (``int32``, ascending indices of reads of ``bases``)."""
        fragments = fragmenter.queries(bases.codes, bases.offsets, reads, stride=0)
        return Cut(fragments, np.zeros(len(bases), np.bool_))

    def estimated_fragments(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """About how many fragments reads of these lengths have."""
        return lengths // FRAGMENT_SPACING

    def active(self, state: MappingState, wanted: NDArray[np.bool_], paired: bool) -> NDArray[np.bool_]:
        """``bool[n]``: the reads to search, of those ``wanted`` since no stage has resolved them."""
        return wanted

    def uncounted(self, truncated: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """``uint8[fragments]``, 1 for each that does not count as searched, of those that a limit was hit for."""
        return truncated

    def kept(self, candidates: Candidates, thinned: NDArray[np.bool_]) -> Candidates:
        """The candidates to verify. ``thinned``: as of `Cut`."""
        return candidates

    def on_reads(self, candidates: Candidates, padding: int) -> Candidates:
        """Candidates for the bases of `bases` as those of the reads."""
        return candidates


@dataclass(frozen=True)
class SampledMinimizers(Stage):
    """A first look with a sample of a read's fragments; `Minimizers` has all of them.

    Attributes:
        fragments: so many of a read, spread over it.
        min_searched: of them, at least so many must be searched without a limit being hit to settle the read.
        settled: a read with a single candidate is settled by a score of this share (per cent) of its length. With so
            many fragments a lower score would show that nothing better was overlooked (`resolved`); that the candidate
            is the only one shows that there is no near copy.
    """

    fragments: int = 8
    min_searched: int = 6
    settled: int = 90

    def cut(self, fragmenter: Fragmenter, bases: ReadBatch, reads: NDArray[np.int32]) -> Cut:
        everything = super().cut(fragmenter, bases, reads)
        return Cut(*everything.fragments.sample(self.fragments, len(bases)))

    def kept(self, candidates: Candidates, thinned: NDArray[np.bool_]) -> Candidates:
        # What is thinned and has rivals is looked at with all its fragments next.
        return candidates.without_rivals(thinned)

    def settles(self, state: MappingState) -> NDArray[np.bool_]:
        """``bool[n]``: reads that the sample is enough for."""
        loci = state.loci
        good = (loci.held == 1) & (loci.score[:, 0] * 100 >= state.lengths * self.settled)
        return good & (state.searched >= self.min_searched)


@dataclass(frozen=True)
class Minimizers(Stage):
    """All fragments at the read's minimizers, each by its own code."""


@dataclass(frozen=True)
class Windows(Stage):
    """All fragments of fixed stride, each by the nearest vectors (dense presets)."""


@dataclass(frozen=True)
class Repeats(Stage):
    """The same fragments in the buckets of repeats. It takes reads of which a limit hid something.

    Attributes:
        below: reads that do not reach these shares are taken, too, if an earlier stage has resolved them. Of a pair
            both ends are taken if either is.
    """

    below: Resolved = ()

    pairs_ends: ClassVar[bool] = True

    def active(self, state: MappingState, wanted: NDArray[np.bool_], paired: bool) -> NDArray[np.bool_]:
        truncated = state.loci.truncated != 0
        active = (wanted | state.unresolved(self.below)) & truncated
        if paired:
            active = np.repeat(active[0::2] | active[1::2], 2) & truncated
        return active


@dataclass(frozen=True)
class Edits(Stage):
    """The same fragments by the codes that edits of them would have (``effort.edits``).

    Heuristic: fragments of which a limit hid something count as searched, too. Mostly they lie in a satellite, and so
    do those of later stages.
    """

    def uncounted(self, truncated: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.zeros_like(truncated)


@dataclass(frozen=True)
class Overhang(Stage):
    """Fragments at minimizers that reach beyond the read by up to half their length.

    The bits of their codes that hang on missing bases are guessed by many probes.
    """

    replaces_truncation: ClassVar[bool] = False

    def bases(self, batch: ReadBatch, padding: int) -> ReadBatch:
        return batch.padded(padding)

    def on_reads(self, candidates: Candidates, padding: int) -> Candidates:
        return candidates._replace(diagonal=candidates.diagonal + padding)


@dataclass(frozen=True)
class Sliding(Stage):
    """A fragment at every ``stride``-th offset, on both strands: the read's minimizers need not survive."""

    stride: int = 1

    at_minimizers: ClassVar[bool] = False
    replaces_truncation: ClassVar[bool] = False

    def cut(self, fragmenter: Fragmenter, bases: ReadBatch, reads: NDArray[np.int32]) -> Cut:
        fragments = fragmenter.queries(bases.codes, bases.offsets, reads, self.stride)
        return Cut(fragments, np.zeros(len(bases), np.bool_))

    def estimated_fragments(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        return lengths * 2 // self.stride


@dataclass(frozen=True)
class Split(Stage):
    """What the segments of a split read leave over, by all its fragments; some reach beyond these bases."""
