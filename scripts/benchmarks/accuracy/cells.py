"""The cells of the accuracy grid: what they are, their reads, and each aligner's outcome, kept by digest.

The reads of a cell are simulated when an aligner has not seen them yet, and deleted afterwards, as are the SAM files.
What stays is small: the digest of the reads, and per aligner the outcome of each read (mapped, right, MAPQ).
"""

from __future__ import annotations

import itertools
import json
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from esa.eval import truth as origins
from esa.eval.alignments import END_MASK, Contigs, read_alignments
from esa.eval.metrics import correct, spread
from esa.eval.simulate import SimulationParameters, edit_rates, write_reads
from esa.eval.truth import SCHEMES, SECOND_END
from scripts.common.aligners import Aligner
from scripts.common.cache import cached, digest, file_digest, simulator_digest
from scripts.common.programs import BenchError, note, run
from scripts.common.real_sets import CHR20
from scripts.common.stats import Flags
from scripts.common.tables import write_json
from scripts.common.workplace import Workplace

GENOMES = {
    "chr20": CHR20,
    "pfalciparum": "pfalciparum_MAL1-14",
    "celegans": "celegans_ce2_chrX",
    "mtb": "mtb_H37Rv",
}
LENGTHS = (50, 75, 100, 150, 250, 500)
DIVERGENCES = (0.1, 0.6, 2.0, 5.0, 10.0, 15.0)
LAYOUTS = ("single", "paired")

INSERT = (500, 50)
LONG_INSERT = (1200, 100)
"""Of 2x500."""
LONG_LENGTH = 500

EASY_DIVERGENCE = 2.0
"""Up to here mapping qualities are pooled, and cells have many reads."""

CORE = """
chr20:50:0.6:single chr20:75:0.6:paired chr20:100:0.6:single chr20:100:5:paired chr20:150:0.6:paired
chr20:150:5:single chr20:150:10:single chr20:150:10:paired chr20:250:2:single chr20:250:10:single
chr20:250:10:paired chr20:250:15:paired chr20:500:0.1:paired pfalciparum:75:2:single pfalciparum:150:2:paired
celegans:100:2:paired mtb:150:0.1:single
"""


@dataclass(frozen=True)
class Cell:
    """Reads of one genome, length (bases), divergence (edits in 100 bases) and layout."""

    genome: str
    length: int
    divergence: float
    layout: str

    def __str__(self) -> str:
        return f"{self.genome}:{self.length}:{self.divergence:g}:{self.layout}"

    @property
    def slug(self) -> str:
        """For file names."""
        return str(self).replace(":", "-")

    @property
    def ends(self) -> int:
        """Reads per fragment: 1 or 2."""
        return 2 if self.layout == "paired" else 1

    @property
    def easy(self) -> bool:
        """Whether its divergence is at most `EASY_DIVERGENCE`."""
        return self.divergence <= EASY_DIVERGENCE

    def parameters(self, reads: int, seed: int) -> SimulationParameters:
        """``reads`` counts ends. Each cell has a seed of its own: errors at one place do not recur in all."""
        substitutions, indels = edit_rates(self.divergence)
        mean, deviation = LONG_INSERT if self.length >= LONG_LENGTH else INSERT
        return SimulationParameters(
            fragments=reads // self.ends,
            paired=self.ends == 2,
            length=self.length,
            length2=self.length,
            insert_mean=mean,
            insert_sd=deviation,
            substitutions=substitutions,
            indels=indels,
            seed=int(digest(str(self), seed), 16),
        )


def all_cells() -> list[Cell]:
    """The whole grid, a genome after another."""
    return [Cell(*key) for key in itertools.product(GENOMES, LENGTHS, DIVERGENCES, LAYOUTS)]


def core_cells() -> list[Cell]:
    """The cells that `CORE` names."""
    return select(all_cells(), CORE.split())


def select(cells: Sequence[Cell], patterns: Sequence[str]) -> list[Cell]:
    """The cells that a pattern names, ``GENOME:LENGTH:DIVERGENCE:LAYOUT``; ``*`` or a missing field is any.

    Raises:
        BenchError: a pattern names no cell.
    """
    chosen = set()
    for pattern in patterns:
        fields = pattern.split(":")
        found = {
            cell
            for cell in cells
            if len(fields) <= 4 and all(_fits(*x) for x in zip(fields, str(cell).split(":"), strict=False))
        }
        if not found:
            raise BenchError(f"no cell {pattern!r}: it is GENOME:LENGTH:DIVERGENCE:LAYOUT, as {cells[0]}")
        chosen |= found
    return [cell for cell in cells if cell in chosen]


def _fits(wanted: str, value: str) -> bool:
    return wanted in ("*", "") or value in wanted.split(",")


# Reads


class CellReads:
    """The reads of a cell, simulated when first needed, in a folder that goes with the `with` block."""

    def __init__(self, place: Workplace, cell: Cell, reads: int, seed: int) -> None:
        self.cell = cell
        self.reference = place.reference(GENOMES[cell.genome])
        self.parameters = cell.parameters(reads, seed)
        self._place = place
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder)

    @cached_property
    def digest(self) -> str:
        """Of the reads' text. Known without simulating if these reads were once made by the same simulator."""

        def make(partial: Path) -> None:
            write_json(partial, {"digest": digest(*map(file_digest, self.files()))})

        return str(json.loads(cached(self.note_path, make).read_text())["digest"])

    @property
    def note_path(self) -> Path:
        """Where the digest is noted."""
        key = digest(self.reference.name, self.parameters, simulator_digest())
        return self._place.out / "grid" / "reads" / f"{self.cell.slug}-{key}.json"

    def files(self, order: int = 0) -> list[Path]:
        """FASTQ files, one an end; ``order`` 0 is as simulated, another one the seed of a shuffle."""
        folder = self._simulated()
        plain = [folder / f"reads{end}.fq" for end in (("_R1", "_R2") if self.cell.ends == 2 else ("",))]
        if not order:
            return plain
        return [shuffled(path, order) for path in plain]

    def _simulated(self) -> Path:
        if self._folder is None:
            parent = self._place.out / "grid"
            parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix="partial-", dir=parent))
            write_reads(str(self.reference), str(self._folder / "reads"), self.parameters, compress=False)
        return self._folder


def shuffled(path: Path, seed: int) -> Path:
    """The FASTQ file's records in another order, the same one for the same number of records and seed."""
    out = path.with_name(f"order{seed}-{path.name}")
    if not out.exists():
        lines = path.read_bytes().splitlines(keepends=True)
        records = [b"".join(lines[i : i + 4]) for i in range(0, len(lines), 4)]
        random.Random(seed).shuffle(records)
        out.write_bytes(b"".join(records))
    return out


# Outcomes


@dataclass(frozen=True)
class Outcome:
    """What an aligner made of n reads, in the order of simulation, a pair's ends side by side.

    Attributes:
        mapped, right: ``bool[n]``, of the primary record, as `esa eval` has it.
        mapq: ``uint8[n]``.
    """

    mapped: Flags
    right: Flags
    mapq: NDArray[np.uint8]


def outcome_of(sam: Path, fragments: int, ends: int) -> Outcome:
    """Judge the alignments of simulated reads against the origins in their names, by the rule of `esa eval`.

    Raises:
        BenchError: the file has not one primary record for every read.
    """
    contigs = Contigs()
    alignments, names = read_alignments(str(sam), contigs)
    everyone = np.ones(len(alignments), np.bool_)
    truth = origins.concatenate([origins.from_names(SCHEMES["dwgsim"], alignments, names, everyone, contigs)])
    placed = spread(alignments, alignments.key)
    # The last field of a name is the fragment's number.
    number = np.array([int(name[name.rindex(b"_") + 1 :], 16) for name in names], np.int64)
    end = alignments.key[names.row] & END_MASK
    rank = number * ends + (end == SECOND_END)
    if not np.array_equal(np.sort(rank), np.arange(fragments * ends)):
        raise BenchError(f"{sam}: it does not hold each of the {fragments * ends:,} reads once")
    row = np.empty(len(rank), np.int64)
    row[rank] = names.row
    return Outcome(placed.mapped[row], correct(placed, truth)[row], placed.mapq[row])


def kept_outcome(place: Workplace, aligner: Aligner, reads: CellReads, order: int = 0) -> Outcome:
    """The aligner's outcome over the cell's reads in one order, from the cache or made now."""
    path = outcome_path(place, aligner, reads, order)
    p = reads.parameters

    def make(partial: Path) -> None:
        index = aligner.index(place, reads.reference)
        files = reads.files(order)
        sam = files[0].with_name(f"{aligner.name}-{order}.sam")
        command, stdout = aligner.command(place, index, files, sam)
        run(command, stdout)
        outcome = outcome_of(sam, p.fragments, reads.cell.ends)
        sam.unlink()
        flags = np.packbits(np.stack([outcome.mapped, outcome.right]), axis=1)
        np.savez_compressed(partial, flags=flags, mapq=outcome.mapq)

    with np.load(cached(path, make)) as kept:
        mapq = kept["mapq"]
        mapped, right = np.unpackbits(kept["flags"], axis=1, count=len(mapq)).astype(np.bool_)
    return Outcome(mapped, right, mapq)


def outcome_path(place: Workplace, aligner: Aligner, reads: CellReads, order: int = 0) -> Path:
    """Where the outcome of an aligner over a cell is kept, in one order of the reads."""
    key = digest(aligner.name, aligner.version(), place.threads, reads.reference.name, reads.digest, order)
    return place.out / "grid" / aligner.name / f"{reads.cell.slug}-{key}.npz"


@dataclass(frozen=True)
class CellResult:
    """All outcomes of a cell.

    Attributes:
        outcomes: by the aligner's name.
        orders: of the first peer, over the reads in other orders.
    """

    cell: Cell
    fragments: int
    outcomes: dict[str, Outcome]
    orders: tuple[Outcome, ...]


@dataclass(frozen=True)
class Plan:
    """Who takes part and with how many reads.

    Attributes:
        aligners: of a cell; esa first, then the peer whose reads are shuffled.
        easy_reads, hard_reads: ends in a cell of up to `EASY_DIVERGENCE`, and beyond.
        orders: number of shuffles.
    """

    aligners: Callable[[Cell], list[Aligner]]
    easy_reads: int
    hard_reads: int
    orders: int
    seed: int

    def reads(self, place: Workplace, cell: Cell) -> CellReads:
        """The cell's reads, as many as the plan has for its divergence."""
        return CellReads(place, cell, self.easy_reads if cell.easy else self.hard_reads, self.seed)


def measure(place: Workplace, cell: Cell, plan: Plan) -> CellResult:
    """All outcomes of one cell; what is kept is not run again."""
    with plan.reads(place, cell) as reads:
        aligners = plan.aligners(cell)
        outcomes = {aligner.name: kept_outcome(place, aligner, reads) for aligner in aligners}
        # The first peer, if there is one.
        orders = [
            kept_outcome(place, peer, reads, order)
            for peer in aligners[1:2]
            for order in range(1, plan.orders + 1)
        ]
        return CellResult(cell, reads.parameters.fragments, outcomes, tuple(orders))


def is_kept(place: Workplace, cell: Cell, plan: Plan) -> bool:
    """Whether `measure` would run nothing."""
    with plan.reads(place, cell) as reads:
        if not reads.note_path.exists():
            return False
        aligners = plan.aligners(cell)
        paths = [outcome_path(place, aligner, reads) for aligner in aligners]
        orders = range(1, plan.orders + 1)
        paths += [outcome_path(place, peer, reads, order) for peer in aligners[1:2] for order in orders]
        return all(path.exists() for path in paths)


def measure_all(
    place: Workplace, cells: Sequence[Cell], plan: Plan, kept_only: bool = False
) -> list[CellResult]:
    """Cell by cell, with progress; with ``kept_only`` just the cells that are done."""
    results = []
    for i, cell in enumerate(cells, 1):
        if kept_only and not is_kept(place, cell, plan):
            continue
        note(f"cell {i} of {len(cells)}: {cell}")
        results.append(measure(place, cell, plan))
    return results
