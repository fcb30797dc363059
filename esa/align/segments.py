"""The search for other segments of split reads: what an alignment leaves over is searched for by itself."""

from __future__ import annotations

import numpy as np

from esa.align.config import AlignConfig
from esa.align.inserts import InsertSizes
from esa.align.levels import Level
from esa.align.loci import Loci
from esa.align.pairing.choose import Choice, choose_loci
from esa.align.placer import SPLIT, Placer
from esa.align.records.split import Alignments, Gaps, Segments
from esa.align.scoring import MAX_READ_LENGTH
from esa.align.state import MappingState, StretchState
from esa.fragments.base import Fragmenter


def split_levels(config: AlignConfig, fragmenter: Fragmenter) -> tuple[Level, ...]:
    """The levels that stretches go through: one of their own, then the last of the ladder for reads of any length.

    Fragmenters whose hits fix no diagonal go to the last one at once.
    """
    last = tuple(level for level in config.levels if level.longest == MAX_READ_LENGTH)[-1:]
    if not fragmenter.exact_diagonal:
        return last
    return (Level(SPLIT, config.split.effort, config.split.resolved), *last)


class SegmentFinder:
    """Finds the segments of split reads beside their primary alignments."""

    def __init__(self, placer: Placer, config: AlignConfig) -> None:
        self.placer, self.config = placer, config
        self.levels = split_levels(config, placer.searcher.fragmenter)

    def find(self, state: MappingState, choice: Choice, inserts: InsertSizes | None) -> Alignments | None:
        """Segments beside the primary alignments of ``choice``; None if there are none.

        The MAPQ in ``choice`` of reads that have some is that of their primary segment afterwards.
        """
        config = self.config
        segments = Segments(state.loci, choice, state.lengths, config.split, config.min_score)
        for found in range(config.split.max_segments - 1):
            gaps = segments.gaps()
            if not len(gaps.read):
                break
            if found == 0:
                state.statistics.count(SPLIT, reads=len(np.unique(gaps.read)))
            segments.add(gaps, self._search(state, gaps))
        judged = segments.judged()
        if judged is not None:
            rows = np.unique(judged.read)
            if inserts is not None:
                rows = np.unique(rows // 2 * 2)
                rows = np.column_stack([rows, rows + 1]).ravel()
            again = choose_loci(
                state.loci.select(rows), state.lengths[rows], segments.expected()[rows], inserts, config
            )
            choice.mapq[rows] = again.mapq
        return judged

    def _search(self, state: MappingState, gaps: Gaps) -> Loci:
        """Loci of the stretches of gaps."""
        stretches = stretches_of(state, gaps, self.placer.searcher.padding)
        active = np.ones(len(gaps.read), np.bool_)
        for level in self.levels:
            self.placer.place_stretches(level, stretches, active)
            active &= stretches.unresolved(level.resolved)
        return stretches.loci


def stretches_of(state: MappingState, gaps: Gaps, padding: int) -> StretchState:
    """The stretches of gaps before their first level, one row a gap.

    Fragments are cut from the bases left over alone: none finds what the neighbouring segment aligns.
    """
    batch = state.batch.stretches(gaps.read, gaps.low, gaps.high)
    return StretchState(
        batch, state.salts[gaps.read], Loci.empty(len(batch), state.loci.score.shape[1]),
        np.zeros(len(batch), np.int32), state.statistics,
        padded=state.batch.stretches(gaps.read, gaps.begin, gaps.end).padded(padding),
        before=gaps.begin - gaps.low, behind=gaps.high - gaps.end,
    )  # fmt: skip
