"""Accuracy beside bwa mem, on the same reads, with the floors that the project has set itself.

    python scripts/bench_accuracy.py [--pairs 50000] [--only chr20,ecoli536,windows,strains,random]

chr20, ecoli536: simulated reads (dwgsim, 0.6 % divergence: a haploid genome with 0.54 % substitutions and
0.06 % insertions and deletions, no sequencing errors), 2x150 and 2x250, as pairs and the first ends alone. By
`esa eval`: correct %, wrong % and unmapped % of all reads; at MAPQ >= 30, share kept and number wrong.
The dense presets take part at 250 bases. What one of them
leaves wrong or unmapped bounds the reads that bwa mem has right and it has not.
windows: real pairs taken from a window of chromosome 20 (by an earlier BWA placement, which favours bwa a
little): mapped %, share of all reads inside the window, reads at MAPQ >= 30 outside it.
strains: HIV-1 reads, 5 % from their reference, and E. coli DSM 30083 reads on MG1655: share mapped with
AS >= 30, and, where both aligners say MAPQ >= 30, the share that lies at the same locus.
random: uniformly random bases, 2x150, on chromosome 20: mapped reads, and those at MAPQ >= 10.

Prints a table a part and then the floors, met or missed; all of it goes to bench_out/accuracy.json too.
A missed floor is not an error: the exit code is 0.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pysam
from bench_common import (
    CEU,
    CHR20,
    DSM30083,
    ECOLI_536,
    ESA,
    HIV,
    NA12878,
    Aligner,
    BenchError,
    RealSet,
    Workplace,
    add_common_options,
    bwa,
    cached,
    esa,
    guarded,
    need,
    run,
    settings,
    table,
    workplace,
    write_json,
)

PARTS = ("chr20", "ecoli536", "windows", "strains", "random")
LENGTHS = (150, 250)
DENSE_LENGTH = 250
DENSE_PRESETS = ("sketch", "rde")
RANDOM_LENGTH = 150
CONFIDENT_MAPQ = 30
RANDOM_MAPQ = 10
MIN_SCORE = 30

# The floors: points of a percentage under bwa mem, and shares.
SIMULATED_POINTS = 0.5
DENSE_POINTS = 1.0
WINDOW_POINTS = 1.0
STRAIN_POINTS = 0.5
SAME_LOCUS_PERCENT = 99.5

Row = dict[str, Any]


@dataclass(frozen=True)
class Floor:
    """One requirement: ``measured`` must be at least ``required`` (at most, if ``at_most``)."""

    what: str
    measured: float
    required: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        return self.measured <= self.required if self.at_most else self.measured >= self.required


@dataclass(frozen=True)
class Part:
    """The rows of one table, with what they say of the floors."""

    title: str
    columns: tuple[str, ...]
    rows: list[Row]
    floors: list[Floor]


def percent(share: float | None) -> float:
    return 100 * share if share is not None else 0.0


def evaluate(sams: dict[str, Path], truth: str) -> dict[str, Any]:
    """What `esa eval` says of these files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "eval.json"
        named = [f"{name}={sam}" for name, sam in sams.items()]
        run([*ESA, "eval", *named, "--truth", truth, "--json", path])
        content: dict[str, Any] = json.loads(path.read_text())
    return content


def aligners_for(length: int) -> list[Aligner]:
    dense = DENSE_PRESETS if length == DENSE_LENGTH else ()
    return [bwa(), esa(), *map(esa, dense)]


# Simulated reads


def simulated_row(label: str, layout: str, figures: dict[str, Any]) -> Row:
    confident = next(level for level in figures["by_mapq"] if level["mapq"] == CONFIDENT_MAPQ)
    return {
        "reads": label,
        "layout": layout,
        "aligner": figures["name"],
        "correct %": percent(figures["accuracy"]["correct_share"]),
        "wrong %": percent(figures["accuracy"]["wrong_share"]),
        "unmapped %": percent(1 - figures["mapped_share"]),
        "kept % at MAPQ>=30": percent(confident["kept_share"]),
        "wrong at MAPQ>=30": confident["wrong"],
    }


def simulated(place: Workplace, part: str, name: str, pairs: int, seed: int) -> Part:
    reference = place.reference(name)
    rows: list[Row] = []
    floors = []
    for length in LENGTHS:
        both = place.simulated(reference, length, pairs, seed)
        for layout, reads in (("paired", both), ("single", both[:1])):
            sams = {a.name: a.align(place, reference, reads) for a in aligners_for(length)}
            label = f"{part} {length}"
            new = [simulated_row(label, layout, figures) for figures in evaluate(sams, "dwgsim")["files"]]
            correct = {row["aligner"]: row["correct %"] for row in new}
            for row in new[1:]:
                points = DENSE_POINTS if row["aligner"].endswith(DENSE_PRESETS) else SIMULATED_POINTS
                floors.append(
                    Floor(
                        f"{label} {layout}, {row['aligner']}: correct %",
                        row["correct %"],
                        correct["bwa"] - points,
                    )
                )
            rows += new
    return Part(f"Simulated reads, {part}, {pairs:,} pairs", tuple(rows[0]), rows, floors)


# Real reads


@dataclass(frozen=True)
class Counts:
    """Of the primary records of one SAM file."""

    reads: int
    mapped: int
    scored: int  # with AS >= MIN_SCORE
    inside: int  # overlap the window
    confident_outside: int


def count(sam: Path, window: tuple[str, int, int] | None) -> Counts:
    reads = mapped = scored = inside = outside = 0
    with pysam.AlignmentFile(str(sam)) as records:
        for record in records:
            if record.is_secondary or record.is_supplementary:
                continue
            reads += 1
            if record.is_unmapped:
                continue
            mapped += 1
            scored += int(str(record.get_tag("AS"))) >= MIN_SCORE
            if window is None:
                continue
            contig, start, end = window
            overlap = min(record.reference_end or 0, end) - max(record.reference_start, start)
            if record.reference_name == contig and overlap > 0:
                inside += 1
            else:
                outside += record.mapping_quality >= CONFIDENT_MAPQ
    return Counts(reads, mapped, scored, inside, outside)


def align_real(place: Workplace, real: RealSet) -> dict[str, Path]:
    reference, reads = place.reference(real.reference), place.real_reads(real)
    return {aligner.name: aligner.align(place, reference, reads) for aligner in (bwa(), esa())}


def windows(place: Workplace) -> Part:
    rows: list[Row] = []
    floors = []
    for real in (NA12878, CEU):
        inside = {}
        for name, sam in align_real(place, real).items():
            counts = count(sam, real.window)
            inside[name] = percent(counts.inside / counts.reads)
            rows.append(
                {
                    "reads": real.name,
                    "aligner": name,
                    "mapped %": percent(counts.mapped / counts.reads),
                    "in window %": inside[name],
                    "outside at MAPQ>=30": counts.confident_outside,
                }
            )
        floors.append(
            Floor(f"{real.name}: in window %", inside["esa-anchored"], inside["bwa"] - WINDOW_POINTS)
        )
    return Part("Real reads of a window of chromosome 20, paired", tuple(rows[0]), rows, floors)


def strains(place: Workplace) -> Part:
    rows: list[Row] = []
    floors = []
    for real in (HIV, DSM30083):
        sams = align_real(place, real)
        (agreement,) = evaluate(sams, "none")["agreements"]
        same = percent(agreement["same_locus_confident_share"])
        scored = {}
        for name, sam in sams.items():
            counts = count(sam, None)
            scored[name] = percent(counts.scored / counts.reads)
            rows.append(
                {
                    "reads": real.name,
                    "aligner": name,
                    "mapped %": percent(counts.mapped / counts.reads),
                    "AS>=30 %": scored[name],
                    "both at MAPQ>=30": agreement["both_confident"],
                    "of them same locus %": same,
                }
            )
        floors += [
            Floor(f"{real.name}: AS>=30 %", scored["esa-anchored"], scored["bwa"] - STRAIN_POINTS),
            Floor(f"{real.name}: same locus %", same, SAME_LOCUS_PERCENT),
        ]
    return Part("Real reads far from their reference, paired", tuple(rows[0]), rows, floors)


# Random reads


def random_pairs(place: Workplace, pairs: int, seed: int) -> list[Path]:
    """Pairs of uniformly random bases, from the cache or made now."""

    def make(partial: Path) -> None:
        rng = random.Random(seed)
        partial.mkdir()
        for end in (1, 2):
            with (partial / f"R{end}.fq").open("w") as handle:
                for i in range(pairs):
                    bases = "".join(rng.choices("ACGT", k=RANDOM_LENGTH))
                    handle.write(f"@random_{i}\n{bases}\n+\n{'I' * RANDOM_LENGTH}\n")

    folder = cached(place.out / "reads" / f"random-{RANDOM_LENGTH}-{pairs}-{seed}", make)
    return [folder / "R1.fq", folder / "R2.fq"]


def random_reads(place: Workplace, pairs: int, seed: int) -> Part:
    reference, reads = place.reference(CHR20), random_pairs(place, pairs, seed)
    rows: list[Row] = []
    sams = {a.name: a.align(place, reference, reads) for a in (bwa(), esa())}
    for figures in evaluate(sams, "none")["files"]:
        placed = next(level["kept"] for level in figures["by_mapq"] if level["mapq"] == RANDOM_MAPQ)
        rows.append({"aligner": figures["name"], "mapped": figures["mapped"], "at MAPQ>=10": placed})
    placed = rows[-1]["at MAPQ>=10"]
    floors = [Floor("random reads at MAPQ>=10", placed, 0, at_most=True)]
    return Part(f"Random reads on chromosome 20, {pairs:,} pairs", tuple(rows[0]), rows, floors)


# Output


def cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def render(parts: Sequence[Part]) -> str:
    blocks = []
    for part in parts:
        rows = [[cell(row[column]) for column in part.columns] for row in part.rows]
        blocks.append(f"{part.title}\n{table(part.columns, rows)}")
    rows = [
        [
            f.what,
            cell(f.measured),
            ("<= " if f.at_most else ">= ") + cell(f.required),
            "met" if f.met else "MISSED",
        ]
        for part in parts
        for f in part.floors
    ]
    blocks.append("Floors\n" + table(("floor", "esa", "required", ""), rows))
    return "\n\n".join(blocks)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_options(parser)
    parser.add_argument("--pairs", type=int, default=50_000, help="simulated pairs on chromosome 20")
    parser.add_argument("--ecoli-pairs", type=int, default=20_000, help="simulated pairs on E. coli 536")
    parser.add_argument("--random-pairs", type=int, default=10_000)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    return parser.parse_args()


def measure(place: Workplace, part: str, args: argparse.Namespace) -> Part:
    if part == "chr20":
        return simulated(place, part, CHR20, args.pairs, args.seed)
    if part == "ecoli536":
        return simulated(place, part, ECOLI_536, args.ecoli_pairs, args.seed)
    if part == "random":
        return random_reads(place, args.random_pairs, args.seed)
    return windows(place) if part == "windows" else strains(place)


def main() -> None:
    args = parse()
    need("bwa", "dwgsim")
    names = args.only.split(",")
    if unknown := set(names) - set(PARTS):
        raise BenchError(f"no such part: {', '.join(sorted(unknown))} (there are {', '.join(PARTS)})")
    place = workplace(args)
    parts = [measure(place, name, args) for name in names]
    path = place.out / "accuracy.json"
    content = [asdict(part) | {"floors": [asdict(f) | {"met": f.met} for f in part.floors]} for part in parts]
    write_json(path, {"settings": settings(args, ["bwa", "dwgsim"]), "parts": content})
    print(render(parts))
    print(f"\nwritten: {path}")


if __name__ == "__main__":
    guarded(main)
