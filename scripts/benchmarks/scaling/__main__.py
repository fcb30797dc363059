"""How esa's index, speed, memory and accuracy change with the size of the genome: a table and a picture.

    python -m scripts.benchmarks.scaling [--work DIR] [--genomes ec,chr20,p300,p630,g31] [--rounds 4] [--bwa p300]
        [--reindex]

Genomes: E. coli K-12 (4.6 Mb), human chromosome 20 (63 Mb), and three made by `scripts.data.big_genome`. These are
300 Mb of the whole, a genome of 630 Mb, and the whole of 3.1 Gb. Of each, 100,000 pairs of 2x150 are simulated at
0.6 % divergence. The runs take turns; the median counts:

    index: wall and processor seconds of `esa index`, peak memory, bytes on disk per base.
    speed: reads/s after start-up (once the index is open, as in `esa align --stats`) and of the whole process.
    first record: seconds from the open index until it is written.
    memory: peak of all processes (shared pages counted once) of one run and of two concurrent runs, before the rounds.
    accuracy: correct reads in percent (`esa eval`).

--bwa names genomes whose reads bwa mem aligns as well. Further tables have the time of each stage (`esa align --stats`)
and the targets for the genome of human size. Its accuracy is compared with bwa mem's on the 300 Mb of it.

Files in --work are used as they are, of any version and number of pairs, links included. They are NAME.fa, NAME.esa,
t.NAME_R1.fq, t.NAME_R2.fq, NAME.bwa and NAME.bwa.sam. An index found there has no times, or those of its build,
unless --reindex builds it anew. The whole takes an hour or more and much disk; --genomes ec,chr20 takes minutes.

scaling.json holds the same figures; --plot takes the picture.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.benchmarks.scaling.plot import Point, picture, size_text
from scripts.benchmarks.scaling.runs import (
    CHR20_NAME,
    GENOMES,
    PART,
    WHOLE,
    Aligned,
    Built,
    Folder,
    Genome,
    aligned,
    built,
    bwa_percent,
)
from scripts.common import targets
from scripts.common.command_line import add_common_options, guarded, script_parser, workplace
from scripts.common.programs import BenchError, need
from scripts.common.tables import Table, write_json
from scripts.common.targets import Finding, at_least, at_most, count_unmet, ratios
from scripts.common.timed_runs import provenance

MEGABYTE, GIGABYTE, GIBIBYTE = 1e6, 1e9, 1 << 30
THOUSAND, MINUTE = 1e3, 60

INDEX_MINUTES, INDEX_PEAK, INDEX_SIZE, INDEX_DENSITY = at_most(20), at_most(12), at_most(5), at_most(1.6)
ALIGN_PEAK, FIRST_RECORD, CHR20_SHARE = at_most(6), at_most(10), at_least(0.5)
"""What is asked at human size."""
COLUMNS = (
    "genome", "size", "index s", "processor s", "index MB", "bytes a base",
    "reads/s", "reads/s, whole run", "first record s", "align MB", "two at a time, MB",
    "correct %", "bwa mem's",
)  # fmt: skip


def row(genome: Genome, index: Built, align: Aligned, bwa: float | None) -> list[str]:
    """Cells under `COLUMNS`; what was not measured is a dash. ``bwa``: reads that bwa mem gets right, %."""
    measured = index.run
    times = ["-"] * 3
    if measured is not None:
        times = [f"{measured.seconds:,.1f}", f"{measured.processor_seconds:,.1f}"]
        times.append(f"{measured.peak_bytes / MEGABYTE:,.0f}")
    return [
        genome.label,
        size_text(index.bases),
        *times,
        f"{index.bytes / index.bases:.2f}",
        f"{statistics.median(align.after_start):,.0f}",
        f"{statistics.median(align.whole):,.0f}",
        f"{statistics.median(align.first_record):.2f}",
        f"{align.peak_bytes / MEGABYTE:,.0f}",
        f"{align.two_peak_bytes / MEGABYTE:,.0f}",
        f"{align.correct_percent:.3f}",
        "-" if bwa is None else f"{bwa:.3f}",
    ]


def point(index: Built, align: Aligned) -> Point:
    """A genome's figures for the picture."""
    measured = index.run
    return Point(
        index.bases,
        statistics.median(align.after_start) / THOUSAND,
        statistics.median(align.whole) / THOUSAND,
        align.peak_bytes / GIGABYTE,
        None if measured is None else measured.peak_bytes / GIGABYTE,
        None if measured is None else measured.seconds / MINUTE,
    )


def stage_table(genomes: Sequence[Genome], aligns: Mapping[str, Aligned]) -> Table:
    """Microseconds a read by stage, a row each, and genome."""
    rows = [
        [stage, *(f"{aligns[genome.name].stages[stage]:.2f}" for genome in genomes)]
        for stage in next(iter(aligns.values())).stages
    ]
    caption = "Microseconds a read that threads spend in each stage, waiting for reads (read) and the disk included."
    return Table("Stages", caption, ("stage", *(genome.label for genome in genomes)), rows)


def human_findings(
    indexes: Mapping[str, Built], aligns: Mapping[str, Aligned], bwa: Mapping[str, float]
) -> list[Finding]:
    """What is asked of the genome of human size, of what was measured there.

    ``bwa``: reads that bwa mem gets right, %, by genome.
    """
    if WHOLE not in aligns:
        return []
    index, align = indexes[WHOLE], aligns[WHOLE]
    found = []
    if index.run is not None:
        found.append(Finding("index, build", "min", (index.run.seconds / MINUTE,), INDEX_MINUTES, 1))
        found.append(Finding("index, peak memory", "GiB", (index.run.peak_bytes / GIBIBYTE,), INDEX_PEAK))
    found.append(Finding("index, on disk", "GB", (index.bytes / GIGABYTE,), INDEX_SIZE))
    found.append(Finding("index, on disk", "bytes a base", (index.bytes / index.bases,), INDEX_DENSITY))
    found.append(Finding("align, peak memory", "GiB", (align.peak_bytes / GIBIBYTE,), ALIGN_PEAK))
    found.append(Finding("two at a time, peak memory", "GiB", (align.two_peak_bytes / GIBIBYTE,), None))
    found.append(Finding("first record after start-up", "s", align.first_record, FIRST_RECORD))
    if CHR20_NAME in aligns:
        shares = ratios(align.after_start, aligns[CHR20_NAME].after_start)
        found.append(Finding("reads/s after start-up, to those of chr20", "x", shares, CHR20_SHARE))
    if PART in bwa:
        what = f"correct on {WHOLE}, bwa mem on {PART}"
        found.append(Finding(what, "%", (align.correct_percent,), at_least(bwa[PART]), digits=3))
    return found


def chosen(names: str) -> list[Genome]:
    """The genomes of these names, which stand with commas between.

    Raises:
        BenchError: there is no such genome.
    """
    known = {genome.name: genome for genome in GENOMES}
    if unknown := set(names.split(",")) - set(known):
        raise BenchError(f"no such genome: {', '.join(sorted(unknown))} (there are {', '.join(known)})")
    return [known[name] for name in names.split(",")]


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = script_parser(__doc__)
    add_common_options(parser)
    parser.add_argument("--work", type=Path, help="genomes, indexes and reads [OUT/scaling]")
    parser.add_argument("--genomes", default=",".join(genome.name for genome in GENOMES))
    parser.add_argument("--pairs", type=int, default=100_000, help="where there are no reads yet")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument(
        "--reindex", action="store_true", help="build and measure indexes that are there, too"
    )
    parser.add_argument("--bwa", default="", metavar="NAMES", help="align these by bwa mem, too")
    parser.add_argument("--plot", type=Path, help="PNG [OUT/scaling.png]")
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse()
    genomes = chosen(args.genomes)
    by_bwa = chosen(args.bwa) if args.bwa else []
    peers = ["bwa"] if by_bwa else []
    need(*peers)
    place = workplace(args)
    folder = Folder(place, (args.work or place.out / "scaling").resolve(), args.pairs)
    folder.work.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"settings": provenance(args, peers, {})}
    indexes = {genome.name: built(folder, genome, args.reindex) for genome in genomes}
    aligns = aligned(folder, genomes, args.rounds)
    bwa = {genome.name: bwa_percent(folder, genome) for genome in by_bwa}
    content["bwa_correct_percent"] = bwa
    caption = f"{place.threads} threads, medians of {args.rounds} rounds."
    rows = [
        row(genome, indexes[genome.name], aligns[genome.name], bwa.get(genome.name)) for genome in genomes
    ]
    print(Table("Genome size", caption, COLUMNS, rows).markdown())
    print(stage_table(genomes, aligns).markdown())
    findings = human_findings(indexes, aligns, bwa)
    content["findings"] = [finding.as_json() for finding in findings]
    if findings:
        print(
            Table(
                "Human size", count_unmet(findings) + ".", targets.COLUMNS, [f.row() for f in findings]
            ).markdown()
        )
    content |= {name: {"index": asdict(indexes[name]), "align": asdict(aligns[name])} for name in aligns}
    write_json(place.out / "scaling.json", content)
    points = [point(indexes[name], aligns[name]) for name in aligns]
    plot = args.plot or place.out / "scaling.png"
    plot.write_bytes(picture(sorted(points, key=lambda each: each.bases), f"{place.threads} threads, 2x150"))
    print(f"\nwritten: {place.out / 'scaling.json'}, {plot}")


if __name__ == "__main__":
    guarded(main)
