"""One stage for some reads: search, then verify what is found and put it beside the loci that the reads have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esa.align.config import AlignConfig
from esa.align.extend.verify import verify
from esa.align.inserts import InsertSizes
from esa.align.loci import Candidates, Reads, Reference
from esa.align.search.searcher import Found, Searcher
from esa.align.stages import Stage
from esa.align.state import MappingState, SearchState, StretchState

SPLIT = "split"
"""Name in run statistics of the search for further segments of split reads."""


class Placer:
    """Runs stages of the escalation on a batch, or on the stretches of its split reads."""

    def __init__(self, searcher: Searcher, reference: Reference, config: AlignConfig) -> None:
        self.searcher, self.reference, self.config = searcher, reference, config

    def place(
        self,
        stage: Stage,
        state: MappingState,
        active: NDArray[np.bool_],
        inserts: InsertSizes | None = None,
    ) -> NDArray[np.bool_]:
        """Run a stage for the ``active`` reads (``bool[n]``) of a batch.

        Returns ``bool[n]``: the reads of which fragments were left out (`esa.align.stages.SampledMinimizers`).
        """
        reads = _of_length(state, active, stage)
        state.statistics.count(stage.name, reads=len(reads))
        state.searched[reads] = 0
        if stage.replaces_truncation:
            state.loci.truncated[reads] = 0
        pairs = inserts.range if inserts is not None and stage.pairs_ends else None
        thinned = np.zeros(len(state.batch), np.bool_)
        if len(reads):
            bases = stage.bases(state.batch, self.searcher.padding)
            for found in self.searcher.search(stage, state, bases, reads, pairs):
                self._take(state, found, stage.on_reads(found.candidates, self.searcher.padding), stage.name)
                thinned |= found.thinned
        return thinned

    def place_stretches(self, stage: Stage, state: StretchState, active: NDArray[np.bool_]) -> None:
        """Run a stage for the ``active`` stretches (``bool[n]``): their fragments are those of the bases left over."""
        stretches = _of_length(state, active, stage)
        state.searched[stretches] = 0
        if stage.replaces_truncation:
            state.loci.truncated[stretches] = 0
        if len(stretches):
            for found in self.searcher.search(stage, state, state.padded, stretches):
                self._take(state, found, state.on_stretches(found.candidates, self.searcher.padding), SPLIT)

    def _take(self, state: SearchState, found: Found, candidates: Candidates, name: str) -> None:
        """Verify candidates of the state's reads and count what was found."""
        batch = state.batch
        with state.statistics.stage("verify"):
            verify(
                Reads(batch.codes, batch.offsets, state.salts), candidates, self.reference, self.config, state.loci,
                paired=batch.paired,
            )  # fmt: skip
        state.searched += found.searched
        state.statistics.count(name, **found.counts())


def _of_length(state: SearchState, active: NDArray[np.bool_], stage: Stage) -> NDArray[np.int32]:
    """Indices of the active reads that are not too long for a stage."""
    return np.flatnonzero(active & (state.lengths <= stage.longest)).astype(np.int32)
