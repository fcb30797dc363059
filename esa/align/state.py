"""What is known of reads on their way through the escalation: of a batch, and of the stretches of its split reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from esa.align.loci import Candidates, Loci, PackedLoci
from esa.align.scoring import MATCH
from esa.align.statistics import RunStatistics
from esa.sequence.reads import ReadBatch

Resolved = tuple[tuple[int, int], ...]
"""When a read stops, as (fragments, share) pairs.

With that number of fragments searched, without a limit being hit, a best score of this share (per cent) of its length
resolves a read. Linear between the pairs, constant beyond."""


@dataclass
class SearchState:
    """Reads and the loci found for them so far.

    Attributes:
        batch: the n reads that are aligned.
        salts: ``uint64[n]``, `esa.sequence.hashing.salt_reads`.
        loci: n rows; levels add to it in place.
        searched: ``int32[n]``, fragments of each read that its last level searched without a limit being hit.
        statistics: of the batch that the reads belong to.
    """

    batch: ReadBatch
    salts: NDArray[np.uint64]
    loci: Loci
    searched: NDArray[np.int32]
    statistics: RunStatistics = field(default_factory=RunStatistics)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """``int64[n]``, bases of each read."""
        return np.diff(self.batch.offsets)

    @property
    def expected(self) -> NDArray[np.int64]:
        """``int64[n]``, bases of each read that its alignment should cover."""
        return self.lengths

    def unresolved(self, resolved: Resolved) -> NDArray[np.bool_]:
        """``bool[n]``: reads whose best score is under the share of `expected` that ``resolved`` demands."""
        return self.loci.ranked(0) * 100 < self.expected * self.threshold(resolved)

    def threshold(self, resolved: Resolved) -> NDArray[np.float64]:
        """``float64[n]``: the share (per cent) of `expected` that resolves each read, by its fragments searched."""
        fragments, shares = np.array(resolved, np.float64).T
        threshold: NDArray[np.float64] = np.interp(self.searched.astype(np.float64), fragments, shares)
        return threshold


@dataclass
class MappingState(SearchState):
    """A batch of reads, or of pairs.

    Attributes:
        settled: ``bool[n]``, reads that a sample of their fragments was enough for.
    """

    settled: NDArray[np.bool_] = field(kw_only=True)

    @classmethod
    def unsearched(cls, batch: ReadBatch, salts: NDArray[np.uint64], max_loci: int) -> MappingState:
        """Reads without loci, with room for ``max_loci`` each."""
        n = len(batch)
        nothing = Loci.empty(n, max_loci), np.zeros(n, np.int32)
        return cls(batch, salts, *nothing, settled=np.zeros(n, np.bool_))

    def full(self, max_loci: int) -> NDArray[np.bool_]:
        """``bool[n]``: reads with ``max_loci`` perfect loci: whatever a search finds is no better."""
        full: NDArray[np.bool_] = self.loci.ranked(max_loci - 1) >= self.lengths * MATCH
        return full

    def may_have_other_copy(self, resolved: Resolved, few_fragments: int) -> NDArray[np.bool_]:
        """``bool[n]``: reads of which another copy may lie beside the one found.

        They are unresolved, or not perfect with fewer than ``few_fragments`` searched.
        """
        few = (self.searched < few_fragments) & ~self.settled
        perfect = self.loci.ranked(0) >= self.lengths * MATCH
        return self.unresolved(resolved) | (few & ~perfect)

    def waiting(self) -> Callable[[], MappingState]:
        """A call that gives the state again, in another process, too; until then it takes less memory."""
        packed = self.loci.packed()
        return partial(_unpacked, replace(self, loci=Loci.empty(0, packed.max_loci)), packed)


def _unpacked(rest: MappingState, loci: PackedLoci) -> MappingState:
    return replace(rest, loci=loci.unpacked())


@dataclass
class StretchState(SearchState):
    """Stretches of split reads: bases that no segment aligns yet, and the neighbouring ones of their segments.

    Attributes:
        padded: the bases left over alone, with N on either side: fragments are cut from these.
        before, behind: ``int64[n]``, bases of each stretch that lie before and behind those left over.
    """

    padded: ReadBatch = field(kw_only=True)
    before: NDArray[np.int64] = field(kw_only=True)
    behind: NDArray[np.int64] = field(kw_only=True)

    @property
    def expected(self) -> NDArray[np.int64]:
        """``int64[n]``, the bases left over."""
        return self.lengths - self.before - self.behind

    def on_stretches(self, candidates: Candidates, padding: int) -> Candidates:
        """Candidates of the padded bases as those of the stretches."""
        of = np.repeat(np.arange(len(self.batch)), np.diff(candidates.offsets))
        shift = np.where(candidates.reverse == 1, self.behind[of], self.before[of])
        return candidates._replace(diagonal=candidates.diagonal + padding - shift)
