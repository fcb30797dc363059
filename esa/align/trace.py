"""The way of one read through the mapper, as text: what each level looked up and found, and why the read stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from esa.align.inserts import InsertSizes
from esa.align.levels import Level
from esa.align.loci import Candidates, Loci
from esa.align.mapper import Mapper
from esa.align.pairing.choose import Choice
from esa.align.placer import Placer
from esa.align.records.split import Alignments, Gaps
from esa.align.search.searcher import Found
from esa.align.segments import SegmentFinder
from esa.align.state import MappingState, SearchState, StretchState
from esa.io.cigar import cigar_text
from esa.io.records import FLAG_UNMAPPED, Records
from esa.sequence.genome import Genome
from esa.sequence.reads import ReadBatch

SHOWN = 10
"""Candidates and loci of a read that are listed; the others are counted."""
STRANDS = "+-"

Show = Callable[[str], object]


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

    def locus(self, loci: Loci, r: int, k: int, low: int = 0) -> str:
        """A line for entry k of row r, whose bases are those of the read from ``low`` on."""
        place = self.text(int(loci.contig[r, k]), int(loci.start[r, k]), int(loci.reverse[r, k]))
        gaps = f"band {loci.band[r, k]}" if loci.band[r, k] else "no gaps"
        rescued = ", found by its mate" if loci.rescued[r, k] else ""
        return (
            f"locus {place}: score {loci.score[r, k]}, bases {low + loci.query_begin[r, k]}-"
            f"{low + loci.query_end[r, k]} of the read, {gaps}{rescued}"
        )

    def loci(self, loci: Loci, r: int, low: int = 0) -> list[str]:
        """A line for each locus of row r (`locus`)."""
        held = int(loci.held[r])
        return [*(self.locus(loci, r, k, low) for k in range(min(held, SHOWN))), *_others(held)]

    def candidates(self, candidates: Candidates, loci: Loci, r: int, near: int) -> list[str]:
        """A line for each candidate of row r, with the score of the locus held that lies ``near`` (bases) it."""
        begin, end = int(candidates.offsets[r]), int(candidates.offsets[r + 1])
        lines = []
        for c in range(begin, min(end, begin + SHOWN)):
            contig, diagonal = int(candidates.contig[c]), int(candidates.diagonal[c])
            reverse = int(candidates.reverse[c])
            scores = [
                int(loci.score[r, k])
                for k in range(int(loci.held[r]))
                if (loci.contig[r, k], loci.reverse[r, k]) == (contig, reverse)
                and abs(int(loci.diagonal[r, k]) - diagonal) <= near
            ]
            found = f"score {max(scores)}" if scores else "no locus kept"
            place = self.text(contig, diagonal, reverse)
            lines.append(f"candidate {place}: weight {candidates.weight[c]}, {found}")
        return [*lines, *_others(end - begin)]


def _others(count: int) -> list[str]:
    return [f"... and {count - SHOWN:,} more"] if count > SHOWN else []


class TracedPlacer(Placer):
    """A placer that shows what it looks up and finds for the reads of a name."""

    def __init__(self, placer: Placer, name: bytes, places: Places, show: Show) -> None:
        super().__init__(placer.searcher, placer.reference, placer.config)
        self._name, self._places, self._show = name, places, show
        self._of_thread = threading.local()

    def place(
        self,
        level: Level,
        state: MappingState,
        active: NDArray[np.bool_],
        inserts: InsertSizes | None = None,
    ) -> NDArray[np.bool_]:
        rows = rows_named(state.batch, self._name)
        found = self._followed({r: (label(state, r), 0) for r in rows if active[r]})
        thinned = super().place(level, state, active, inserts)
        self._report(level, state, found, thinned)
        return thinned

    def follow_stretches(self, labels: dict[int, tuple[str, int]]) -> None:
        """The rows of the next stretches that are shown, what they are called, and where in the read they begin."""
        self._of_thread.stretches = labels

    def place_stretches(self, level: Level, state: StretchState, active: NDArray[np.bool_]) -> None:
        found = self._followed({r: name for r, name in self._of_thread.stretches.items() if active[r]})
        super().place_stretches(level, state, active)
        self._report(level, state, found, np.zeros(len(state.batch), np.bool_))

    def _followed(self, labels: dict[int, tuple[str, int]]) -> dict[int, list[str]]:
        """The lines of each row that `_verify_and_count` collects from now on."""
        self._of_thread.labels = labels
        self._of_thread.found = {r: [] for r in labels}
        found: dict[int, list[str]] = self._of_thread.found
        return found

    def _report(
        self, level: Level, state: SearchState, found: dict[int, list[str]], thinned: NDArray[np.bool_]
    ) -> None:
        for r, lines in found.items():
            verdict = level.verdict(state, r, bool(thinned[r]))
            too_long = [] if state.lengths[r] <= level.longest else [f"not searched: {_too_long(level)}"]
            name, low = self._of_thread.labels[r]
            lines = too_long or [*lines, *self._places.loci(state.loci, r, low), verdict]
            self._show(_indented(f"{name}, level '{level.name}'", lines))

    def _verify_and_count(self, state: SearchState, found: Found, candidates: Candidates, name: str) -> None:
        super()._verify_and_count(state, found, candidates, name)
        near = self.config.verify.max_gap
        for r, lines in self._of_thread.found.items():
            if own := fragments_of(found, r):
                lines += [own, *self._places.candidates(candidates, state.loci, r, near)]
                if found.thinned[r] and candidates.offsets[r] == candidates.offsets[r + 1]:
                    lines.append("no candidate, or several: left to the next level")


class TracedSegmentFinder(SegmentFinder):
    """A finder of segments that shows the search for what the reads of a name leave over."""

    def __init__(self, finder: SegmentFinder, placer: TracedPlacer, name: bytes) -> None:
        super().__init__(placer, finder.config)
        self._traced, self._name = placer, name

    def _search(self, state: MappingState, gaps: Gaps) -> Loci:
        rows = set(rows_named(state.batch, self._name))
        self._traced.follow_stretches(
            {
                g: (f"{label(state, r)}, bases {gaps.begin[g]}-{gaps.end[g]} left over", int(gaps.low[g]))
                for g, r in enumerate(gaps.read.tolist())
                if r in rows
            }
        )
        return super()._search(state, gaps)


def _indented(head: str, lines: list[str]) -> str:
    return "\n".join([f"  {head}:", *(f"    {line}" for line in lines)])


def _too_long(level: Level) -> str:
    return f"longer than {level.longest:,} bases"


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


class TracedMapper(Mapper):
    """A mapper that shows the way of the reads of one name; what it returns is the same."""

    def follow(self, genome: Genome, name: str, show: Show) -> None:
        """Show the way of the reads named ``name``, step by step."""
        self._name, self._places, self._show = name.encode(), Places(genome), show
        self._genome = genome
        self.placer = TracedPlacer(self.placer, self._name, self._places, show)
        stretches = TracedPlacer(self.segments.placer, self._name, self._places, show)
        self.segments = TracedSegmentFinder(self.segments, stretches, self._name)

    def begin(self, batch: ReadBatch) -> MappingState:
        rows = rows_named(batch, self._name)
        if rows:
            lengths = " and ".join(str(len(batch.sequence(r))) for r in rows)
            self._show(f"{self._name.decode()}: {lengths} bases")
        return super().begin(batch)

    def left_over(self, level: Level, state: MappingState, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        left = super().left_over(level, state, wanted)
        for r in rows_named(state.batch, self._name):
            if wanted[r] and not left[r]:
                full = state.full(self.config.max_loci)[r]
                why = "as many perfect loci as are kept" if full else level.verdict(state, r, thinned=False)
                if state.settled[r] and self._sample is not None:
                    self._show(f"  {label(state, r)} stops after level '{self._sample.name}': settled")
                else:
                    self._show(f"  {label(state, r)} stops after level '{level.name}': {why}")
        return left

    def taken(
        self, level: Level, state: MappingState, wanted: NDArray[np.bool_], paired: bool
    ) -> NDArray[np.bool_]:
        active = super().taken(level, state, wanted, paired)
        for r in rows_named(state.batch, self._name):
            if wanted[r] and not active[r]:
                why = level.declined() if state.lengths[r] <= level.longest else _too_long(level)
                self._show(f"  {label(state, r)} is left out of level '{level.name}': {why}")
        return active

    def rescue(self, state: MappingState, inserts: InsertSizes | None, reads: NDArray[np.bool_]) -> None:
        before = self._loci(state)
        super().rescue(state, inserts, reads)
        self._show_new(state, before, "rescue")

    def rescue_thoroughly(
        self, state: MappingState, inserts: InsertSizes | None, reads: NDArray[np.bool_]
    ) -> None:
        before = self._loci(state)
        super().rescue_thoroughly(state, inserts, reads)
        self._show_new(state, before, "thorough rescue")

    def _loci(self, state: MappingState) -> dict[int, list[str]]:
        return {r: self._places.loci(state.loci, r) for r in rows_named(state.batch, self._name)}

    def _show_new(self, state: MappingState, before: dict[int, list[str]], how: str) -> None:
        for r, lines in self._loci(state).items():
            if lines != before[r]:
                self._show(_indented(f"{label(state, r)}, {how} in its mate's window", lines))

    def choose(self, state: MappingState, inserts: InsertSizes | None) -> Choice:
        choice = super().choose(state, inserts)
        for r in rows_named(state.batch, self._name):
            self._show(f"  {label(state, r)}, chosen: {self._chosen(state, choice, r)}")
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
                    low = int(segments.low[i])
                    line = self._places.locus(segments.loci, i, int(segments.locus[i]), low)
                    bases = f"{segments.low[i]}-{segments.high[i]}"
                    self._show(f"  {label(state, r)}, other segment, found in bases {bases}: {line}")
        return segments

    def report(self, state: MappingState, choice: Choice, segments: Alignments | None) -> Records:
        records = super().report(state, choice, segments)
        for r in rows_named(state.batch, self._name):
            for i in np.flatnonzero(records.read == r).tolist():
                self._show(f"  {label(state, r)}, record: {record_text(records, self._genome, i)}")
        return records


def record_text(records: Records, genome: Genome, i: int) -> str:
    """The fields of record i that say where it lies."""
    contig = int(records.contig[i])
    if records.flag[i] & FLAG_UNMAPPED:
        at = f"unmapped, beside its mate at {genome.names[contig]}:" if contig >= 0 else "unmapped"
        return f"flag {records.flag[i]}, {at}{f'{int(records.position[i]) + 1:,}' if contig >= 0 else ''}"
    text = cigar_text(records.cigar[records.cigar_offsets[i] : records.cigar_offsets[i + 1]])
    second = int(records.second_score[i])
    return (
        f"flag {records.flag[i]}, {genome.names[contig]}:{int(records.position[i]) + 1:,}, MAPQ {records.mapq[i]}, "
        f"{text}, NM {records.nm[i]}, AS {records.alignment_score[i]}{f', XS {second}' if second >= 0 else ''}"
    )
