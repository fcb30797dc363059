"""Chimp and orangutan reads on the human blocks of chromosome 22, with the multiple alignment (MAF) as truth.

Reads come from `esa simulate` on the blocks of one species. They have substitutions for sequencing errors and no
indels, so base i of a read is base i of its origin. The MAF pairs the bases of a block with those of the human block.
A read is right if its primary record lies on the right human block and strand, with at least one base on its partner
in the MAF. Reads without a paired base are left out, with their mates.
"""

from __future__ import annotations

import itertools
import lzma
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from scripts.common.aligners import Aligner, bwa, esa, minimap2
from scripts.common.cache import cached, digest, simulator_digest
from scripts.common.primary_records import primaries
from scripts.common.programs import ESA, BenchError, run
from scripts.common.stats import Flags, compare, percent
from scripts.common.tables import Table, number
from scripts.common.workplace import Workplace

HUMAN = "primate22A_human"
HUMAN_SPECIES = "Hsap"
MAF = "primate22A_alignment.maf.xz"
GAP = ord("-")
UNPAIRED = -1

LENGTHS = (75, 100, 150, 250)
LAYOUTS = ("single", "paired")
ERROR_RATE = 0.005
INSERT = (500, 50)

HALVED_SPECIES, HALVED_LENGTHS = "orangutan", (75, 100)
HALVED = 0.5
"""Here the error is to be so much of bwa mem's or less."""

READ_OPERATIONS = (pysam.CMATCH, pysam.CEQUAL, pysam.CDIFF, pysam.CINS, pysam.CSOFT_CLIP)
REFERENCE_OPERATIONS = (pysam.CMATCH, pysam.CEQUAL, pysam.CDIFF, pysam.CDEL, pysam.CREF_SKIP)


@dataclass(frozen=True)
class Species:
    """A FASTA of blocks, and what the MAF and the block names call the species."""

    name: str
    code: str

    @property
    def reference(self) -> str:
        """The name of its FASTA in the collection."""
        return f"primate22A_{self.name}"


SPECIES = (Species("chimp", "Ptro"), Species("orangutan", "Ppyg"))


# The MAF


def maf_blocks(lines: Iterable[str]) -> Iterator[dict[str, list[str]]]:
    """The fields of the ``s`` lines of each block by species (what stands before the dot of the source)."""
    block: dict[str, list[str]] = {}
    for line in itertools.chain(lines, [""]):
        fields = line.split()
        if not fields and block:
            yield block
            block = {}
        elif fields and fields[0] == "s":
            block[fields[1].split(".")[0]] = fields[1:]


def pairing(query: str, human: str) -> NDArray[np.int32]:
    """Which human base each base of the query is aligned with, from two gapped rows of a block.

    Returns:
        ``int32[n]``, for each of the query's n bases the number of the human base in its block, `UNPAIRED`
        where the human row has a gap.
    """
    rows = [np.frombuffer(text.encode(), np.uint8) != GAP for text in (query, human)]
    if len(rows[0]) != len(rows[1]):
        raise BenchError("rows of a MAF block differ in length")
    place = np.where(rows[1], np.cumsum(rows[1]) - 1, UNPAIRED)
    return place[rows[0]].astype(np.int32)


def block_name(source: str, start: str, size: str) -> str:
    """Of a human block, as in the FASTA: the chromosome, the first and the last base, 1-based."""
    chromosome = source.split(".")[1]
    return f"chr{chromosome}_{int(start) + 1}_{int(start) + int(size)}"


def read_pairings(path: Path, species: Sequence[Species]) -> dict[str, dict[str, NDArray[np.int32]]]:
    """`pairing` of every block, by the species' name and the human block's."""
    found: dict[str, dict[str, NDArray[np.int32]]] = {one.name: {} for one in species}
    with lzma.open(path, "rt") as lines:
        for block in maf_blocks(lines):
            source, start, size, _, _, human = block[HUMAN_SPECIES]
            for one in species:
                if one.code in block:
                    found[one.name][block_name(source, start, size)] = pairing(block[one.code][-1], human)
    return found


# Judging


@dataclass(frozen=True)
class Origin:
    """One end's origin on its block: 0-based leftmost position, strand."""

    block: str
    position: int
    reverse: bool


def origin(name: str, end: int) -> Origin:
    """From a read's name (`esa simulate`), without the species' suffix; ``end`` is 0 or 1."""
    contig, *fields = name.rsplit("_", 9)
    return Origin(contig.rsplit("_", 1)[0], int(fields[end]) - 1, fields[2 + end] == "1")


def fragment_number(name: str) -> int:
    """The number of a fragment, from the name of its reads."""
    return int(name[name.rindex("_") + 1 :], 16)


def aligned_to_its_pair(cigar: Iterable[tuple[int, int]], position: int, pairs: NDArray[np.int32]) -> bool:
    """Whether an alignment joins any base with its pair.

    Args:
        cigar: operations and lengths; hard clips must not be among them.
        position: where the alignment starts on the human block.
        pairs: ``int32[length]`` of the read's bases in the direction of the record, as of `pairing`.
    """
    base, place = 0, position
    for operation, length in cigar:
        on_read, on_reference = operation in READ_OPERATIONS, operation in REFERENCE_OPERATIONS
        if (
            on_read
            and on_reference
            and np.any(pairs[base : base + length] == np.arange(place, place + length))
        ):
            return True
        base += length * on_read
        place += length * on_reference
    return False


@dataclass(frozen=True)
class Judged:
    """Of n fragments of one or two ends, in the order of their numbers.

    Attributes:
        counts: ``bool[n]``, whether the MAF pairs a base of each end.
        mapped, right: ``bool[n, ends]``.
        mapq: ``uint8[n, ends]``.
    """

    counts: Flags
    mapped: Flags
    right: Flags
    mapq: NDArray[np.uint8]

    def fragments(self) -> Flags:
        """``bool[m]``, of the fragments that count: all ends right."""
        return np.asarray(self.right[self.counts].all(axis=1), np.bool_)


def judge(sam: Path, pairings: dict[str, NDArray[np.int32]], fragments: int, ends: int) -> Judged:
    """Judge the primary records of a SAM file; raises `BenchError` if one is missing."""
    counts = np.ones(fragments, np.bool_)
    mapped, right, seen = (np.zeros((fragments, ends), np.bool_) for _ in range(3))
    mapq = np.zeros((fragments, ends), np.uint8)
    for record in primaries(sam):
        end = int(record.is_read2)
        at = fragment_number(record.query_name or ""), end
        truth = origin(record.query_name or "", end)
        pairs = pairings[truth.block][truth.position : truth.position + record.query_length]
        seen[at] = True
        counts[at[0]] &= bool((pairs != UNPAIRED).any())
        mapped[at], mapq[at] = not record.is_unmapped, record.mapping_quality
        right[at] = (
            not record.is_unmapped
            and record.reference_name == truth.block
            and record.is_reverse == truth.reverse
            and aligned_to_its_pair(record.cigartuples or (), record.reference_start, pairs)
        )
    if not seen.all():
        raise BenchError(f"{sam}: {np.count_nonzero(~seen):,} primary records are missing")
    return Judged(counts, mapped, right, mapq)


# Measuring


@dataclass(frozen=True)
class Cell:
    species: Species
    length: int
    layout: str

    @property
    def ends(self) -> int:
        """Reads per fragment: 1 or 2."""
        return 2 if self.layout == "paired" else 1

    def __str__(self) -> str:
        return f"{self.species.name} {self.length} {self.layout}"


@dataclass(frozen=True)
class CellResult:
    cell: Cell
    sams: dict[str, Path]
    judged: dict[str, Judged]


def cell_reads(place: Workplace, cell: Cell, reads: int, seed: int) -> list[Path]:
    """FASTQ files of a cell, from the cache or made now; ``reads`` counts ends."""
    reference = place.reference(cell.species.reference)
    options = ["--length", cell.length, "--substitutions", ERROR_RATE, "--seed", seed, "--no-gzip"]
    if cell.ends == 1:
        options += ["--single", "--reads", reads]
    else:
        mean, deviation = INSERT
        options += ["--pairs", reads // 2, "--length2", cell.length]
        options += ["--insert", mean, "--insert-sd", deviation]
    words = list(map(str, options))
    key = digest(reference.name, simulator_digest(), *words)

    def make(partial: Path) -> None:
        partial.mkdir()
        run([*ESA, "simulate", reference, *words, "-o", partial / "reads"])

    folder = cached(place.out / "reads" / f"{reference.stem}-{cell.length}-{cell.layout}-{key}", make)
    return [folder / f"reads{end}.fq" for end in (("_R1", "_R2") if cell.ends == 2 else ("",))]


def measure(
    place: Workplace, reads: int, seed: int, aligners: Sequence[Aligner] | None = None
) -> list[CellResult]:
    """Every cell; esa and bwa must be among the aligners."""
    pairings = read_pairings(place.data / "truth" / MAF, SPECIES)
    human = place.reference(HUMAN)
    results = []
    for species, length, layout in itertools.product(SPECIES, LENGTHS, LAYOUTS):
        cell = Cell(species, length, layout)
        files = cell_reads(place, cell, reads, seed)
        sams = {a.name: a.align(place, human, files) for a in aligners or (bwa(), esa(), minimap2())}
        n = reads // cell.ends
        judged = {name: judge(sam, pairings[species.name], n, cell.ends) for name, sam in sams.items()}
        results.append(CellResult(cell, sams, judged))
    return results


def verdict(result: CellResult) -> tuple[str, bool]:
    """What is asked of esa in this cell, and whether it is reached."""
    peer, ours = (result.judged[name].fragments() for name in ("bwa", "esa-anchored"))
    seen = compare(peer, ours)
    cell = result.cell
    if cell.species.name == HALVED_SPECIES and cell.length in HALVED_LENGTHS:
        wrong, limit = np.count_nonzero(~ours), HALVED * np.count_nonzero(~peer)
        return f"errors {wrong:,}, to reach {limit:,.0f}", bool(wrong <= limit)
    return f"b - c = {seen.excess:,}, limit {seen.limit():,.0f}", not seen.falls_short()


CONFIDENT_MAPQ = 30


def accuracy_table(results: Sequence[CellResult]) -> Table:
    """A row for each cell and aligner; b and c, and the verdict, stand with esa."""
    rows = []
    for result in results:
        peer = result.judged["bwa"].fragments()
        for name, judged in result.judged.items():
            ends_right, ends_mapped = judged.right[judged.counts], judged.mapped[judged.counts]
            confident = judged.mapq[judged.counts] >= CONFIDENT_MAPQ
            seen = compare(peer, judged.fragments())
            ours = name == "esa-anchored"
            what, met = verdict(result) if ours else ("", True)
            rows.append(
                [
                    str(result.cell),
                    name,
                    f"{len(peer):,}",
                    number(percent(judged.fragments()), 3),
                    number(percent(ends_mapped & ~ends_right), 3),
                    number(percent(~ends_mapped), 3),
                    number(percent(confident & ends_mapped), 2),
                    f"{np.count_nonzero(confident & ends_mapped & ~ends_right):,}",
                    "" if name == "bwa" else f"{seen.b:,}",
                    "" if name == "bwa" else f"{seen.c:,}",
                    what,
                    ("met" if met else "SHORT") if ours else "",
                ]
            )
    return Table(
        "Chimp and orangutan reads on the human blocks, the MAF as truth",
        f"`esa simulate` on the blocks, {ERROR_RATE:.1%} sequencing error, inserts {INSERT[0]} +- {INSERT[1]}. "
        "Right %: of the fragments (pairs: both ends); b, c: fragments that only bwa, only this aligner has right.",
        (
            "reads",
            "aligner",
            "n",
            "right %",
            "wrong ends %",
            "unmapped ends %",
            "kept % MAPQ>=30",
            "wrong ends MAPQ>=30",
            "b",
            "c",
            "asked",
            "",
        ),
        rows,
    )
