"""A batch on its way through the levels of the escalation, and what tells which of its reads go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esa.align.config import AlignConfig
from esa.align.levels import Level, Resolved, Sample
from esa.align.loci import Loci, PackedLoci
from esa.align.records.split import Gaps
from esa.align.scoring import MATCH
from esa.align.statistics import RunStatistics
from esa.kernels.decorator import inline_njit
from esa.sequence.reads import ReadBatch


@dataclass
class MappingState:
    """A batch after the first level: its loci so far.

    searched: ``int32[reads]``, fragments of each read that the last level searched without a limit being hit (or with,
        see `Level.truncated_count`).
    sampled: ``bool[reads]``, those that some of their fragments sufficed for.
    ``gaps``: the reads of the batch are the stretches of these, and the fragments come from ``padded``
    (`Gaps.padded`).
    """

    batch: ReadBatch
    salts: NDArray[np.uint64]
    loci: Loci
    searched: NDArray[np.int32]
    sampled: NDArray[np.bool_]
    gaps: Gaps | None = None
    padded: ReadBatch | None = None
    statistics: RunStatistics = field(default_factory=RunStatistics)

    @classmethod
    def unsearched(
        cls, batch: ReadBatch, salts: NDArray[np.uint64], max_loci: int, **parts: Any
    ) -> MappingState:
        """A batch without loci, with room for ``max_loci`` a read; ``parts``: further fields."""
        reads = len(batch)
        nothing = np.zeros(reads, np.int32), np.zeros(reads, np.bool_)
        return cls(batch, salts, Loci.empty(reads, max_loci), *nothing, **parts)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """``int64[reads]``."""
        return np.diff(self.batch.offsets)

    def waiting(self) -> Callable[[], MappingState]:
        """Gives the batch again, in another process, too; until then it takes less memory."""
        packed = self.loci.packed()
        return partial(_unpacked, replace(self, loci=Loci.empty(0, packed.max_loci)), packed)


def _unpacked(rest: MappingState, loci: PackedLoci) -> MappingState:
    return replace(rest, loci=loci.unpacked())


@inline_njit
def count_searched(owner, truncated, searched):  # type: ignore[no-untyped-def]
    """Add to each read the fragments of which no limit left anything out."""
    for f in range(len(owner)):
        searched[owner[f]] += truncated[f] == 0


def settled(state: MappingState, sample: Sample) -> NDArray[np.bool_]:
    """Reads that a sample of their fragments suffices for."""
    loci = state.loci
    good = (loci.held == 1) & (loci.score[:, 0] * 100 >= state.lengths * sample.settled)
    return good & (state.searched >= sample.searched)


def unresolved(state: MappingState, lengths: NDArray[np.int64], resolved: Resolved) -> NDArray[np.bool_]:
    """Reads whose best score is under the share of so many bases that ``resolved`` asks for."""
    fragments, shares = np.array(resolved, np.float64).T
    share: NDArray[np.float64] = np.interp(state.searched.astype(np.float64), fragments, shares)
    return state.loci.ranked(0) * 100 < lengths * share


def may_have_other_copy(state: MappingState, level: Level, config: AlignConfig) -> NDArray[np.bool_]:
    """Reads of which another copy may lie beside the one found: what the level did not resolve, and what is not
    perfect and has few fragments."""
    few = (state.searched < config.pair.few_fragments) & ~state.sampled
    perfect = state.loci.ranked(0) >= state.lengths * MATCH
    return unresolved(state, state.lengths, level.resolved) | (few & ~perfect)
