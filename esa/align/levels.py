"""The levels of the escalation: one class a mode of search, with its own parameters.

A level says which of the reads that earlier levels left over it takes, and which fragments of them are looked up. It
says how far the store is searched, and which candidates are kept. It reads what is known of the reads, returns plain
values and changes nothing. `esa.align.search.searcher` does the search, `esa.align.placer` adds what it found.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.align.loci import Candidates
from esa.align.scoring import MAX_READ_LENGTH
from esa.align.state import MappingState, Resolved, SearchState
from esa.fragments.base import Fragmenter, Fragments
from esa.sequence.reads import ReadBatch
from esa.stores.base import SearchEffort

ANY_SCORE: Resolved = ((0, 0),)
"""`Level.resolved` of a level that hands no read on by its score: the last one, and one with a sample."""
FRAGMENT_SPACING = 8
"""Bases between fragments at the fragmenter's own places: a low guess, which only bounds memory."""


class Cut(NamedTuple):
    """Fragments of some reads of a batch. ``thinned``: ``bool[reads of the batch]``, of whom some are left out."""

    fragments: Fragments
    thinned: NDArray[np.bool_]


@dataclass(frozen=True)
class Level:
    """All fragments at the fragmenter's own places: at a read's minimizers, or windows of fixed stride.

    Other modes of search are classes of their own below.

    Attributes:
        name: for run statistics.
        effort: how far the store is searched.
        resolved: which reads stop here; `ANY_SCORE`: all of them.
        longest: longer reads are not searched at this level, bases.
    """

    name: str
    effort: SearchEffort
    resolved: Resolved
    longest: int = MAX_READ_LENGTH

    samples: ClassVar[bool] = False
    """Only some of a read's fragments are looked up. The next level has all of them."""
    at_minimizers: ClassVar[bool] = True
    """Fragments lie at the fragmenter's own places."""
    replaces_truncation: ClassVar[bool] = True
    """The fragments are those of earlier levels with wider limits: what narrower limits left out is seen now."""
    pairs_ends: ClassVar[bool] = False
    """Clusters of both ends of a pair are weighed together, and what the level resolves has no other copy."""

    def bases(self, batch: ReadBatch, padding: int) -> ReadBatch:
        """The bases that fragments are cut from; with ``padding`` N on either side for levels that overhang."""
        return batch

    def cut(self, fragmenter: Fragmenter, bases: ReadBatch, reads: NDArray[np.int32]) -> Cut:
        """The fragments of ``reads`` (``int32``, ascending indices of reads of ``bases``)."""
        fragments = fragmenter.queries(bases.codes, bases.offsets, reads, stride=0)
        return Cut(fragments, np.zeros(len(bases), np.bool_))

    def estimated_fragments(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        """About how many fragments reads of these lengths have."""
        return lengths // FRAGMENT_SPACING

    def active(self, state: MappingState, wanted: NDArray[np.bool_], paired: bool) -> NDArray[np.bool_]:
        """``bool[n]``: the reads to search. ``wanted``: ``bool[n]``, those that no level has resolved."""
        return wanted

    def settles(self, state: SearchState) -> NDArray[np.bool_]:
        """``bool[n]``: reads that the fragments looked up are enough for, although others were left out."""
        return np.zeros(len(state.batch), np.bool_)

    def verdict(self, state: SearchState, r: int, thinned: bool) -> str:
        """Whether row r stops after this level, and why, as text. ``thinned``: some of its fragments were left out."""
        best, length = int(state.loci.ranked(0)[r]), int(state.expected[r])
        if self.resolved == ANY_SCORE:
            return f"best score {best}: the last level"
        share = float(state.threshold(self.resolved)[r])
        resolved = best * 100 >= length * share
        return (
            f"{'resolved' if resolved else 'not resolved'}: best score {best}, threshold {share:.0f} % of {length} "
            f"bases for {state.searched[r]} fragments searched"
        )

    def declined(self) -> str:
        """Why `active` leaves out a read that no level has resolved, as text."""
        return ""

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
class SampledMinimizers(Level):
    """A first look, with a sample of a read's fragments.

    Attributes:
        fragments: how many are taken of a read, spread over it.
        min_searched: how many of them must be searched without a limit being hit, to settle the read.
        settled: a read with a single candidate is settled by a score of this share (per cent) of its length. With so
            many fragments a lower score would show that nothing better was overlooked (`resolved`); that the candidate
            is the only one shows that there is no near copy.
    """

    fragments: int = field(kw_only=True)
    min_searched: int = field(kw_only=True)
    settled: int = field(kw_only=True)

    samples: ClassVar[bool] = True

    def cut(self, fragmenter: Fragmenter, bases: ReadBatch, reads: NDArray[np.int32]) -> Cut:
        everything = super().cut(fragmenter, bases, reads)
        return Cut(*everything.fragments.sample(self.fragments, len(bases)))

    def kept(self, candidates: Candidates, thinned: NDArray[np.bool_]) -> Candidates:
        # What is thinned and has rivals is looked at with all its fragments next.
        return candidates.without_rivals(thinned)

    def settles(self, state: SearchState) -> NDArray[np.bool_]:
        loci = state.loci
        good = (loci.held == 1) & (loci.score[:, 0] * 100 >= state.lengths * self.settled)
        return good & (state.searched >= self.min_searched)

    def verdict(self, state: SearchState, r: int, thinned: bool) -> str:
        if not thinned:
            return "the sample was all of its fragments: judged as after the next level"
        return (
            f"{'settled' if self.settles(state)[r] else 'not settled'}: it takes a single candidate of "
            f"{self.settled} % of the bases, and {self.min_searched} fragments searched"
        )


@dataclass(frozen=True)
class Repeats(Level):
    """The same fragments in the buckets of repeats. It takes reads of which a limit left something out.

    Attributes:
        below: reads that do not reach these shares are taken, too, if an earlier level has resolved them. Of a pair
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

    def declined(self) -> str:
        return "no limit left anything out"


@dataclass(frozen=True)
class Edits(Level):
    """The same fragments by the codes that edits of them would have (``effort.edits``).

    Heuristic: fragments of which a limit left something out count as searched, too. Mostly they lie in a satellite,
    and so do those of later levels.
    """

    def uncounted(self, truncated: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.zeros_like(truncated)


@dataclass(frozen=True)
class Overhang(Level):
    """Fragments at minimizers that reach beyond the read by up to half their length.

    The bits of their codes that hang on missing bases are guessed by many probes.
    """

    replaces_truncation: ClassVar[bool] = False

    def bases(self, batch: ReadBatch, padding: int) -> ReadBatch:
        return batch.padded(padding)

    def on_reads(self, candidates: Candidates, padding: int) -> Candidates:
        return candidates._replace(diagonal=candidates.diagonal + padding)


@dataclass(frozen=True)
class Sliding(Level):
    """A fragment at every ``stride``-th offset, on both strands: the read's minimizers need not survive."""

    stride: int = 1

    at_minimizers: ClassVar[bool] = False
    replaces_truncation: ClassVar[bool] = False

    def cut(self, fragmenter: Fragmenter, bases: ReadBatch, reads: NDArray[np.int32]) -> Cut:
        fragments = fragmenter.queries(bases.codes, bases.offsets, reads, self.stride)
        return Cut(fragments, np.zeros(len(bases), np.bool_))

    def estimated_fragments(self, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
        return lengths * 2 // self.stride
