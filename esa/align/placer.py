"""One level for some reads: search, then verify what is found and put it beside the loci that the reads have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esa.align.config import AlignConfig
from esa.align.extend.verify import verify
from esa.align.inserts import InsertSizes
from esa.align.levels import Level
from esa.align.loci import Candidates, Reads, Reference
from esa.align.search.searcher import Found, Searcher
from esa.align.state import MappingState, SearchState, StretchState

SPLIT = "split"
"""Name in run statistics of the search for other segments of split reads."""


class Placer:
    """Runs levels of the escalation on a batch, or on the stretches of its split reads."""

    def __init__(self, searcher: Searcher, reference: Reference, config: AlignConfig) -> None:
        self.searcher, self.reference, self.config = searcher, reference, config

    def place(
        self,
        level: Level,
        state: MappingState,
        active: NDArray[np.bool_],
        inserts: InsertSizes | None = None,
    ) -> NDArray[np.bool_]:
        """Run a level for the ``active`` reads (``bool[n]``) of a batch, and add what is found to its state, in place.

        Returns ``bool[n]``: the reads of which fragments were left out (`Level.samples`).
        """
        reads = _of_length(state, active, level)
        state.statistics.count(level.name, reads=len(reads))
        state.searched[reads] = 0
        if level.replaces_truncation:
            state.loci.truncated[reads] = 0
        insert_range = inserts.range if inserts is not None and level.pairs_ends else None
        thinned = np.zeros(len(state.batch), np.bool_)
        if len(reads):
            bases = level.bases(state.batch, self.searcher.padding)
            for found in self.searcher.search(level, state, bases, reads, insert_range):
                self._verify_and_count(
                    state, found, level.on_reads(found.candidates, self.searcher.padding), level.name
                )
                thinned |= found.thinned
        return thinned

    def place_stretches(self, level: Level, state: StretchState, active: NDArray[np.bool_]) -> None:
        """The same for stretches. Their fragments are those of the bases left over."""
        stretches = _of_length(state, active, level)
        state.searched[stretches] = 0
        if level.replaces_truncation:
            state.loci.truncated[stretches] = 0
        if len(stretches):
            for found in self.searcher.search(level, state, state.padded, stretches):
                self._verify_and_count(
                    state, found, state.on_stretches(found.candidates, self.searcher.padding), SPLIT
                )

    def _verify_and_count(self, state: SearchState, found: Found, candidates: Candidates, name: str) -> None:
        """Verify candidates of the state's reads and count what was found."""
        batch = state.batch
        with state.statistics.stage("verify"):
            verify(
                Reads(batch.codes, batch.offsets, state.salts), candidates, self.reference, self.config, state.loci,
                paired=batch.paired,
            )  # fmt: skip
        state.searched += found.searched
        state.statistics.count(name, **found.counts())


def _of_length(state: SearchState, active: NDArray[np.bool_], level: Level) -> NDArray[np.int32]:
    """Indices of the active reads that are not too long for a level."""
    return np.flatnonzero(active & (state.lengths <= level.longest)).astype(np.int32)
