"""Reads a second beside other aligners, on human chromosome 20, and whether the output is whole and right.

    python scripts/bench_speed.py [--pairs 200000] [--runs 5] [--aligners esa,bwa,bowtie2,minimap2,minibwa]

Simulated pairs (dwgsim, 0.6 % divergence, 2x150 and 2x250) and the real NA12878 pairs of a window, which are
few and repeated under new names until they are as many. Plain FASTQ in, SAM file out, the same number of
threads for all. The time is the wall time of the whole process, loading the index included, building it not.
Aligners take turns; one short run of each goes first, so that files are in the page cache and esa's kernels are
compiled. minibwa takes part where MINIBWA= names its binary.

Prints a table: seconds (median of the runs, least and largest), reads/s, how many times as fast as it esa is
(ratio within each round; median, least, largest) with the target, and, of the last timed run's output, whether
every read has exactly one primary record (`all`) and the reads at their place, % (simulated: by the rule of
`esa eval`; real: in the window that they were taken from). Peak memory is what is resident of the largest
process; `bench_resources.py` has that of all. The same goes to bench_out/speed.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench_common import (
    CHR20,
    BenchError,
    Workplace,
    add_common_options,
    guarded,
    need,
    note,
    workplace,
)
from grid_report import Table, publish
from speed_aligners import ALIGNERS, DEBIAN, OURS, chosen, minibwa_version, present
from speed_sets import Judgement, SpeedSet, judge_all, real_set, simulated_set
from targets import RATIO_TARGETS, Finding, count_unmet, ratios
from timed_runs import Run, first_pairs, in_turns, provenance, seconds_of, timed

REAL = "real"
SETS = f"150,250,{REAL}"
WARM_UP_PAIRS = 2_000
COLUMNS = (
    *("reads", "aligner", "seconds", "(min-max)", "reads/s"),
    *("esa x as fast", "(min-max)", "target", "verdict"),
    *("records", "at their place %", "peak MB"),
)


@dataclass(frozen=True)
class Measured:
    """All aligners over one read set."""

    reads: SpeedSet
    n: int
    runs: dict[str, list[Run]]
    judgements: dict[str, Judgement]

    @property
    def count(self) -> str:
        """Of reads, for the caption."""
        distinct = self.reads.distinct
        return f"{self.n:,} ({distinct:,} over and over)" if distinct else f"{self.n:,}"

    def ratio(self, peer: str) -> Finding | None:
        """How many times as fast as the peer esa is; None for esa itself, or without it."""
        if OURS not in self.runs or peer == OURS:
            return None
        values = ratios(seconds_of(self.runs[peer]), seconds_of(self.runs[OURS]))
        target = RATIO_TARGETS.get(self.reads.length or 0, {}).get(peer)
        return Finding(f"{self.reads.name}: esa to {peer}", "x", values, target)

    def ratios(self) -> list[Finding]:
        found = (self.ratio(name) for name in self.runs)
        return [finding for finding in found if finding is not None]


def measure(place: Workplace, names: Sequence[str], reads: SpeedSet, runs: int) -> Measured:
    """Every aligner's runs over these reads, taken in turns, and what the last of them wrote."""
    reference = place.reference(CHR20)
    folder = place.out / "speed"
    folder.mkdir(parents=True, exist_ok=True)
    sams = {name: folder / f"{name}.sam" for name in names}
    aligners = {name: ALIGNERS[name]() for name in names}
    indexes = {name: aligner.index(place, reference) for name, aligner in aligners.items()}

    def once(name: str, files: Sequence[Path]) -> Run:
        sams[name].unlink(missing_ok=True)
        command, stdout = aligners[name].command(place, indexes[name], files, sams[name])
        result = timed(command, stdout, folder / "stderr.txt")
        if not sams[name].exists():
            raise BenchError(f"{name} wrote no {sams[name]}; its messages are in {folder / 'stderr.txt'}")
        return result

    for name in names:
        once(name, first_pairs(reads.files, WARM_UP_PAIRS, folder))
    tasks: dict[str, Callable[[], Run]] = {name: partial(once, name, reads.files) for name in names}
    results = in_turns(tasks, runs)
    note(f"judging the output over {reads.name}")
    judgements = judge_all(sams, reads)
    for sam in sams.values():
        sam.unlink()
    return Measured(reads, len(reads.names()), results, judgements)


def rows_of(measured: Measured) -> list[list[str]]:
    rows = []
    for name, runs in measured.runs.items():
        seconds = Finding("", "", tuple(seconds_of(runs)), None)
        ratio, judged = measured.ratio(name), measured.judgements[name]
        compared = [""] * 4 if ratio is None else ratio.row()[1:]
        rows.append(
            [
                *(measured.reads.name, name, f"{seconds.value:.2f}", seconds.low_high),
                *(f"{measured.n / seconds.value:,.0f}", *compared),
                *(judged.fault or "all", f"{judged.right_percent:.3f}"),
                f"{max(run.peak_bytes for run in runs) / 1e6:,.0f}",
            ]
        )
    return rows


def as_json(measured: Measured) -> dict[str, Any]:
    return {
        "set": measured.reads.name,
        "files": [str(path) for path in measured.reads.files],
        "reads": measured.n,
        "distinct_reads": measured.reads.distinct or measured.n,
        "aligners": {
            name: {
                "seconds": seconds_of(runs),
                "reads_per_second": measured.n / median(seconds_of(runs)),
                "peak_bytes": max(run.peak_bytes for run in runs),
                **asdict(measured.judgements[name]),
            }
            for name, runs in measured.runs.items()
        },
        "ratios": [finding.as_json() for finding in measured.ratios()],
    }


def read_set(place: Workplace, name: str, args: argparse.Namespace) -> SpeedSet:
    if name == REAL:
        return real_set(place, args.pairs, args.single)
    if not name.isdecimal():
        raise BenchError(f"no such read set: {name} (a length, or {REAL})")
    return simulated_set(place, int(name), args.pairs, args.seed, args.single)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_options(parser)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--sets", default=SETS, help=f"read lengths, and {REAL}, with commas between")
    parser.add_argument("--single", action="store_true", help="first ends only")
    parser.add_argument("--aligners", default=",".join(present()), help=f"of {', '.join(ALIGNERS)}")
    return parser.parse_args()


def main() -> None:
    args = parse()
    names = chosen(args.aligners)
    programs = ["dwgsim", *(name for name in names if name in DEBIAN)]
    need(*programs)
    versions = {"minibwa": minibwa_version()} if "minibwa" in names else {}
    content = provenance(args, programs, versions)
    place = workplace(args)
    measured = [
        measure(place, names, read_set(place, name, args), args.runs) for name in args.sets.split(",")
    ]
    findings = [finding for one in measured for finding in one.ratios()]
    faults = sum(bool(judged.fault) for one in measured for judged in one.judgements.values())
    whole = (
        "all outputs hold every read once" if not faults else f"{faults} outputs do NOT hold every read once"
    )
    counts = ", ".join(f"{one.reads.name} {one.count}" for one in measured)
    caption = (
        f"{args.threads} threads, medians of {args.runs} runs, index loading included; reads: {counts}; "
        f"{count_unmet(findings)}, {whole}."
    )
    rows = [row for one in measured for row in rows_of(one)]
    results = {"settings": content, "sets": [as_json(one) for one in measured]}
    publish([Table("Speed, human chr20", caption, COLUMNS, rows)], place.out / "speed.json", results)


if __name__ == "__main__":
    guarded(main)
