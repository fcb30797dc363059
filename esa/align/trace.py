"""The way of one read through the mapper, as text: what each stage looked up and found, and why the read stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from esa.align.inserts import InsertSizes
from esa.align.loci import Candidates, Loci
from esa.align.mapper import Mapper
from esa.align.pairing.choose import Choice
from esa.align.placer import Placer
from esa.align.records.split import Alignments
from esa.align.search.searcher import Found
from esa.align.stages import SampledMinimizers, Stage
from esa.align.state import MappingState, SearchState
from esa.io.records import CIGAR_LETTERS, Records
from esa.sequence.genome import Genome
from esa.sequence.reads import ReadBatch

SHOWN = 10
"""Candidates and loci of a read that are listed; the others are counted."""
STRANDS = "+-"

Tell = Callable[[str], object]


def rows_named(batch: ReadBatch, name: bytes) -> list[int]:
    """Rows of the reads of that name in a batch."""
    wanted = np.frombuffer(name, np.uint8)
    rows = np.flatnonzero(np.diff(batch.name_offsets) == len(name))
    return [
        r for r in rows.tolist() if np.array_equal(batch.names[batch.name_offsets[r] :][: len(name)], wanted)
    ]


class Places:
    """Global positions as a user reads them: contig, 1-based position, strand."""

    def __init__(self, genome: Genome) -> None:
        self._genome = genome

    def text(self, contig: int, position: int, reverse: int) -> str:
        """``contig:position strand``, for a global ``position``."""
        at = position - int(self._genome.offsets[contig]) + 1
        return f"{self._genome.names[contig]}:{at:,} {STRANDS[reverse]}"

    def locus(self, loci: Loci, r: int, k: int) -> str:
        """A line for entry k of row r."""
        place = self.text(int(loci.contig[r, k]), int(loci.start[r, k]), int(loci.reverse[r, k]))
        gaps = f"band {loci.band[r, k]}" if loci.band[r, k] else "no gaps"
        rescued = ", found by its mate" if loci.rescued[r, k] else ""
        return (
            f"locus {place}: score {loci.score[r, k]}, bases {loci.query_begin[r, k]}-"
            f"{loci.query_end[r, k]} of the read, {gaps}{rescued}"
        )

    def loci(self, loci: Loci, r: int) -> list[str]:
        """A line for each locus of row r."""
        held = int(loci.held[r])
        return [*(self.locus(loci, r, k) for k in range(min(held, SHOWN))), *_others(held)]

    def candidates(self, candidates: Candidates, r: int) -> list[str]:
        """A line for each candidate of row r."""
        begin, end = int(candidates.offsets[r]), int(candidates.offsets[r + 1])
        lines = [
            "candidate "
            + self.text(int(candidates.contig[c]), int(candidates.diagonal[c]), int(candidates.reverse[c]))
            + f": weight {candidates.weight[c]}"
            for c in range(begin, min(end, begin + SHOWN))
        ]
        return [*lines, *_others(end - begin)]


def _others(count: int) -> list[str]:
    return [f"... and {count - SHOWN:,} more"] if count > SHOWN else []


class TracedPlacer(Placer):
    """A placer that tells what it looks up and finds for the reads of a name."""

    def __init__(self, placer: Placer, name: bytes, places: Places, tell: Tell) -> None:
        super().__init__(placer.searcher, placer.reference, placer.config)
        self._name, self._places, self._tell = name, places, tell
        self._of_thread = threading.local()

    def place(
        self,
        stage: Stage,
        state: MappingState,
        active: NDArray[np.bool_],
        inserts: InsertSizes | None = None,
    ) -> NDArray[np.bool_]:
        rows = [r for r in rows_named(state.batch, self._name) if active[r]]
        found: dict[int, list[str]] = {r: [] for r in rows}
        self._of_thread.found = found
        thinned = super().place(stage, state, active, inserts)
        for r in rows:
            lines = [*found[r], *self._places.loci(state.loci, r), verdict(stage, state, r)]
            self._tell(_indented(f"{label(state, r)}, stage '{stage.name}'", lines))
        return thinned

    def _take(self, state: SearchState, found: Found, candidates: Candidates, name: str) -> None:
        for r, lines in self._of_thread.found.items():
            if own := fragments_of(found, r):
                lines += [own, *self._places.candidates(candidates, r)]
        super()._take(state, found, candidates, name)


def _indented(head: str, lines: list[str]) -> str:
    return "\n".join([f"  {head}:", *(f"    {line}" for line in lines)])


def label(state: SearchState, r: int) -> str:
    """Which end row r is."""
    return f"end {r % 2 + 1}" if state.batch.paired else "read"


def fragments_of(found: Found, r: int) -> str:
    """What was looked up for row r; empty if nothing."""
    begin, end = np.searchsorted(found.fragments.owner, [r, r + 1]).tolist()
    if begin == end:
        return ""
    hits = np.diff(found.hits.offsets[begin : end + 1])
    truncated = int(np.count_nonzero(found.hits.truncated[begin:end]))
    if not hits.any():
        return f"{end - begin} fragments looked up, {found.searched[r]} count as searched: no hits"
    return (
        f"{end - begin} fragments looked up, {found.searched[r]} count as searched, {truncated} truncated: "
        f"{int(hits.sum()):,} hits, up to {int(hits.max()):,} of a fragment"
    )


def verdict(stage: Stage, state: SearchState, r: int) -> str:
    """Whether row r stops after a stage, and why."""
    if isinstance(stage, SampledMinimizers):
        settled = isinstance(state, MappingState) and bool(stage.settles(state)[r])
        answer = "good enough" if settled else "not settled"
        return (
            f"{answer}: a single candidate of {stage.settled} % of the bases, with {stage.min_searched} fragments "
            "searched, would be enough"
        )
    share = float(state.threshold(stage.resolved)[r])
    best, length = int(state.loci.ranked(0)[r]), int(state.expected[r])
    if not share:
        return f"best score {best}: nothing more is asked after this stage"
    resolved = best * 100 >= length * share
    return (
        f"{'resolved' if resolved else 'not resolved'}: best score {best}, threshold {share:.0f} % of {length} bases "
        f"for {state.searched[r]} fragments searched"
    )


class TracedMapper(Mapper):
    """A mapper that tells the way of the reads of one name; what it returns is the same."""

    def follow(self, genome: Genome, name: str, tell: Tell) -> None:
        """Tell the way of the reads named ``name``, step by step."""
        self._name, self._places, self._tell = name.encode(), Places(genome), tell
        self._genome = genome
        self.placer = TracedPlacer(self.placer, self._name, self._places, tell)

    def seed(self, batch: ReadBatch) -> MappingState:
        rows = rows_named(batch, self._name)
        if rows:
            lengths = " and ".join(str(len(batch.sequence(r))) for r in rows)
            self._tell(f"{self._name.decode()}: {lengths} bases")
        return super().seed(batch)

    def rescue(
        self,
        state: MappingState,
        inserts: InsertSizes | None,
        reads: NDArray[np.bool_],
        again: bool = False,
    ) -> None:
        rows = rows_named(state.batch, self._name) if inserts is not None else []
        before = {r: self._places.loci(state.loci, r) for r in rows}
        super().rescue(state, inserts, reads, again)
        for r in rows:
            after = self._places.loci(state.loci, r)
            if after != before[r]:
                how = "thorough rescue" if again else "rescue"
                self._tell(_indented(f"{label(state, r)}, {how} in its mate's window", after))

    def choose(self, state: MappingState, inserts: InsertSizes | None) -> Choice:
        choice = super().choose(state, inserts)
        for r in rows_named(state.batch, self._name):
            self._tell(f"  {label(state, r)}, chosen: {self._chosen(state, choice, r)}")
        return choice

    def _chosen(self, state: MappingState, choice: Choice, r: int) -> str:
        k = int(choice.locus[r])
        if k < 0:
            return "no locus scores enough"
        line = self._places.locus(state.loci, r, k)
        proper = ", in a proper pair" if choice.proper[r] else ""
        other = f"best other score {choice.second[r]}" if choice.second[r] >= 0 else "no other locus"
        return f"{line}{proper}; {other}, MAPQ {choice.mapq[r]}"

    def split(self, state: MappingState, choice: Choice, inserts: InsertSizes | None) -> Alignments | None:
        segments = super().split(state, choice, inserts)
        if segments is not None:
            for r in rows_named(state.batch, self._name):
                for i in np.flatnonzero(segments.read == r).tolist():
                    line = self._places.locus(segments.loci, i, int(segments.locus[i]))
                    bases = f"{segments.low[i]}-{segments.high[i]}"
                    self._tell(f"  {label(state, r)}, further segment, found in bases {bases}: {line}")
        return segments

    def report(self, state: MappingState, choice: Choice, segments: Alignments | None) -> Records:
        records = super().report(state, choice, segments)
        for r in rows_named(state.batch, self._name):
            for i in np.flatnonzero(records.read == r).tolist():
                self._tell(f"  {label(state, r)}, record: {record_text(records, self._genome, i)}")
        return records


def record_text(records: Records, genome: Genome, i: int) -> str:
    """The fields of record i that say where it lies."""
    cigar = records.cigar[records.cigar_offsets[i] : records.cigar_offsets[i + 1]]
    text = "".join(f"{x >> 4}{chr(CIGAR_LETTERS[x & 15])}" for x in cigar.tolist()) or "*"
    contig = int(records.contig[i])
    name = genome.names[contig] if contig >= 0 else "*"
    return (
        f"flag {records.flag[i]}, {name}:{int(records.position[i]) + 1:,}, MAPQ {records.mapq[i]}, {text}, "
        f"NM {records.nm[i]}, AS {records.alignment_score[i]}, XS {records.second_score[i]}"
    )
