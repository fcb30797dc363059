"""esa beside bwa mem on real reads, on reads that belong nowhere, and across species.

    python -m scripts.benchmarks.real                       all parts (make bench-real)
    python -m scripts.benchmarks.real --only windows,nowhere

Parts:

    windows: reads of a window of human chromosome 20, which must come back to it.
    strains: HIV-1, E. coli across strains, human mitochondrion, ten donors on the blocks of chromosome 22.
    nowhere: genome-wide human reads on chromosome 20, human reads on E. coli, random reads.
    primates: chimp and orangutan reads on the human blocks, with a multiple alignment as truth (see `primates`).

Comparisons are paired: only bwa mem has b reads right, only esa has c (a pair counts once). Verdicts are SHORT if
b - c > 0.0003 n + 2 sqrt(b + c). A missed target is not an error.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scripts.benchmarks.real import primates
from scripts.benchmarks.real.primates_why import why_tables
from scripts.benchmarks.real.reads import (
    ALIKE,
    CONFIDENT_MAPQ,
    DSM_ON_536,
    HUMAN_ON_ECOLI,
    PLACED_MAPQ,
    RANDOM_LENGTHS,
    Nowhere,
    nowhere,
    random_reads,
)
from scripts.common.aligners import Aligner, bwa, esa, minimap2
from scripts.common.command_line import add_common_options, guarded, script_parser, settings, workplace
from scripts.common.primary_records import Primaries, local_scores, read_primaries, same_reads
from scripts.common.programs import ESA, BenchError, need, run
from scripts.common.real_sets import (
    CEU,
    CEU36,
    CEU51,
    CEU76,
    CHR20,
    DONORS,
    DSM30083,
    HCC1187C,
    HIV,
    MITOCHONDRION,
    NA12878,
)
from scripts.common.stats import Flags, compare, fragments_right, percent
from scripts.common.tables import Table, number, publish
from scripts.common.verdicts import NO_MORE, VS_PEER, Verdict
from scripts.common.workplace import Workplace

PARTS = ("windows", "strains", "nowhere", "primates")
OURS, PEER = "esa-anchored", "bwa"
ENDS = 2
MIN_SCORE = 30
PRIMATE_READS = 50_000
RANDOM_PAIRS = 20_000


@dataclass(frozen=True)
class Part:
    """The tables of one part, and what they say of the targets."""

    tables: list[Table]
    verdicts: list[Verdict]


def align_all(
    place: Workplace, reference: str, reads: list[Path], aligners: list[Aligner]
) -> dict[str, Path]:
    """A SAM file per aligner, by its name."""
    path = place.reference(reference)
    return {aligner.name: aligner.align(place, path, reads) for aligner in aligners}


def paired_verdict(what: str, peer: Flags, ours: Flags) -> Verdict:
    """Pairs that count if both ends do."""
    seen = compare(fragments_right(peer, ENDS), fragments_right(ours, ENDS))
    figures = f"b {seen.b:,}, c {seen.c:,}, b - c = {seen.excess:,}, limit {seen.limit():,.0f}"
    return Verdict(VS_PEER, what, figures, not seen.falls_short())


# Windows


def windows(place: Workplace) -> Part:
    """Reads of a window of human chromosome 20, which must come back to it."""
    rows, verdicts = [], []
    for real in (NA12878, CEU, CEU76, CEU51, CEU36):
        sams = align_all(place, real.reference, place.real_reads(real), [bwa(), esa(), minimap2()])
        found = {name: read_primaries(sam, real.window) for name, sam in sams.items()}
        same_reads(found)
        for name, one in found.items():
            sure = one.mapped & (one.mapq >= CONFIDENT_MAPQ)
            row = [real.name, name, number(percent(one.mapped), 3), number(percent(one.inside), 3)]
            row += [number(percent(sure & one.inside), 2), f"{np.count_nonzero(sure & ~one.inside):,}"]
            rows.append([*row, number(float(one.identity[one.inside].mean()), 5)])
        verdicts.append(
            paired_verdict(f"{real.name}: pairs in the window", found[PEER].inside, found[OURS].inside)
        )
    columns = (
        "reads",
        "aligner",
        "mapped %",
        "in window %",
        "there at MAPQ>=30 %",
        "outside at MAPQ>=30",
        "identity",
    )
    title = "Real reads of a window of chromosome 20, paired"
    caption = "The sources chose these reads by an earlier BWA placement, which favours bwa slightly."
    return Part([Table(title, caption, columns, rows)], verdicts)


# Strains


def agreement_of(sams: dict[str, Path]) -> dict[str, Any]:
    """What `esa eval` says of how bwa and esa agree."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "eval.json"
        named = [f"{name}={sams[name]}" for name in (PEER, OURS)]
        run([*ESA, "eval", *named, "--truth", "none", "--json", path])
        (agreement,) = json.loads(path.read_text())["agreements"]
    return dict(agreement)


def strains(place: Workplace) -> Part:
    """Reads of another strain, of a virus, of ten donors: yield, identity, local scores."""
    rows, verdicts = [], []
    for real in (HIV, DSM30083, DSM_ON_536, MITOCHONDRION, DONORS):
        # MD tags, for `local_scores`.
        aligners = [bwa(), esa(), minimap2(["--MD"])]
        sams = align_all(place, real.reference, place.real_reads(real), aligners)
        found = {name: read_primaries(sam) for name, sam in sams.items()}
        same_reads(found)
        scores = {name: local_scores(sam) for name, sam in sams.items()}
        agreement = agreement_of(sams)
        for name, one in found.items():
            sure = one.mapped & (one.mapq >= CONFIDENT_MAPQ)
            row = [
                real.name,
                name,
                number(percent(one.mapped), 3),
                number(percent(scores[name] >= MIN_SCORE), 3),
            ]
            row += [number(percent(sure), 2), f"{int(scores[name].sum()):,}"]
            same = number(100 * agreement["same_locus_confident_share"], 3) if name == OURS else ""
            rows.append([*row, same])
        enough = {name: score >= MIN_SCORE for name, score in scores.items()}
        verdicts.append(
            paired_verdict(f"{real.name}: pairs that score {MIN_SCORE} or more", enough[PEER], enough[OURS])
        )
    columns = (
        "reads",
        "aligner",
        "mapped %",
        f"score>={MIN_SCORE} %",
        "MAPQ>=30 %",
        "sum of scores",
        "same locus as bwa %",
    )
    title = "Real reads far from their reference, paired"
    caption = (
        "Score: the best local score within an alignment, by bwa's penalties. "
        "Same locus: of the reads that both place with MAPQ >= 30."
    )
    return Part([Table(title, caption, columns, rows)], verdicts)


# Nowhere


def nowhere_rows(label: str, found: dict[str, Primaries], rows: list[list[str]]) -> dict[str, Nowhere]:
    """Add a row per aligner to ``rows``; returns the counts by aligner."""
    counts = {name: nowhere(one) for name, one in found.items()}
    for name, n in counts.items():
        share = 100 * n.diverged_confident / n.diverged if n.diverged else 0.0
        row = [label, name, f"{len(found[name]):,}", f"{n.mapped:,}", f"{n.alike:,}", f"{n.placed:,}"]
        rows.append([*row, f"{n.diverged:,}", f"{n.diverged_confident:,}", number(share, 2)])
    return counts


def nowhere_part(place: Workplace, random_pairs: int, seed: int) -> Part:
    """Reads that do not belong to the reference."""
    rows: list[list[str]] = []
    verdicts = []
    aligners = [bwa(), esa(), minimap2()]

    def measured(label: str, reference: str, reads: list[Path]) -> dict[str, Nowhere]:
        sams = align_all(place, reference, reads, aligners)
        return nowhere_rows(label, {name: read_primaries(sam) for name, sam in sams.items()}, rows)

    def no_more(label: str, what: str, ours: int, peer: int) -> None:
        verdicts.append(Verdict(NO_MORE, f"{label}: {what}", f"{ours:,}, bwa {peer:,}", ours <= peer))

    alike = f"MAPQ>={PLACED_MAPQ} and identity>={100 * ALIKE:g} %"
    for real in (HCC1187C, HUMAN_ON_ECOLI):
        for label, files in (
            (real.name, place.real_reads(real)),
            (f"{real.name}, R1", place.real_reads(real)[:1]),
        ):
            counts = measured(label, real.reference, files)
            no_more(label, alike, counts[OURS].alike, counts[PEER].alike)
    for length in RANDOM_LENGTHS:
        reads = random_reads(place, length, random_pairs, seed)
        for label, files in ((f"random 2x{length}", reads), (f"random {length}", reads[:1])):
            counts = measured(label, CHR20, files)
            no_more(label, f"MAPQ>={PLACED_MAPQ}", counts[OURS].placed, counts[PEER].placed)
    columns = (
        *("reads", "aligner", "n", "mapped", alike, f"MAPQ>={PLACED_MAPQ}"),
        *(f"under {100 * ALIKE:g} %", f"of them MAPQ>={CONFIDENT_MAPQ}", "%"),
    )
    caption = "A few of the genome-wide reads do belong to chromosome 20. Identity: 1 - NM / columns."
    return Part([Table("Reads that belong nowhere", caption, columns, rows)], verdicts)


# Primates


def primates_part(place: Workplace, reads: int, seed: int, examples: int | None) -> Part:
    """Chimp and orangutan reads; ``examples``: so many reads that esa misses are shown (None: no table of them)."""
    results = primates.measure(place, reads, seed)
    shown = [primates.accuracy_table(results)]
    if examples is not None:
        shown += why_tables(place, results, examples)
    verdicts = []
    for result in results:
        figures, met = primates.verdict(result)
        verdicts.append(Verdict(VS_PEER, f"{result.cell}", figures, met))
    return Part(shown, verdicts)


# Main


def verdict_table(verdicts: list[Verdict]) -> Table:
    """All verdicts, a row each."""
    rows = [[v.what, v.figures, str(v)] for v in verdicts]
    return Table(
        "Targets", "SHORT is behind bwa mem, or above it where it should not be.", ("", "", ""), rows
    )


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = script_parser(__doc__)
    add_common_options(parser)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--random-pairs", type=int, default=RANDOM_PAIRS, help="of each length")
    parser.add_argument("--primate-reads", type=int, default=PRIMATE_READS, help="of each cell")
    parser.add_argument(
        "--why", type=int, metavar="N", help="why primate reads are not right, N examples a cause"
    )
    return parser.parse_args()


def measure(place: Workplace, part: str, args: argparse.Namespace) -> Part:
    """One part by its name."""
    if part == "windows":
        return windows(place)
    if part == "strains":
        return strains(place)
    if part == "nowhere":
        return nowhere_part(place, args.random_pairs, args.seed)
    return primates_part(place, args.primate_reads, args.seed, args.why)


def main() -> None:
    """Run the command."""
    args = parse()
    need("bwa", "minimap2")
    names = args.only.split(",")
    if unknown := set(names) - set(PARTS):
        raise BenchError(f"no such part: {', '.join(sorted(unknown))} (there are {', '.join(PARTS)})")
    place = workplace(args)
    parts = [measure(place, name, args) for name in names]
    verdicts = [v for part in parts for v in part.verdicts]
    shown = [t for part in parts for t in part.tables] + [verdict_table(verdicts)]
    content = {"settings": settings(args, ["bwa", "minimap2"]), "verdicts": [asdict(v) for v in verdicts]}
    publish(shown, place.out / "real.json", content)


if __name__ == "__main__":
    guarded(main)
