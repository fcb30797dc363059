"""Reads per second beside other aligners and an earlier esa, and whether the output is complete and right.

    python -m scripts.benchmarks.speed [--pairs 200000] [--runs 5] [--aligners esa,bwa,bowtie2,minimap2,minibwa]
        [--sets 150,250,real,"CEU 2x76"] [--baseline COMMIT]

Read sets: pairs of dwgsim (0.6 % divergence, 2x150 and 2x250) and real NA12878 pairs of a window, all of human
chromosome 20. Other real sets are taken by name, on their own references. Real pairs are few: they are repeated under
new names until there are as many. Plain FASTQ in, SAM file out, the same number of threads for all.

The time is the wall time of the whole process, loading the index included, building it excluded. Aligners take turns.
One short run of each goes first, so that files are in the page cache and esa's kernels are compiled. minibwa takes part
where MINIBWA= names its binary.

The table has, per read set and aligner:

    seconds: median of the runs, least and largest; and reads/s.
    ratio: how many times as fast esa is, within each round (median, least, largest), with the target.
    complete: `all` if every read has exactly one primary record in the output of the last timed run.
    right: reads at their place, in percent. Simulated reads by the rule of `esa eval`, real ones by their window.
    memory: resident set of the largest process at its peak; `make bench-resources` has that of all processes.

bench_out/speed.json holds the same figures.

With --baseline, esa of that commit takes its turns as well, with its own index. A second table has the seconds of
today's esa over those of the baseline: the median of the ratios within each round and its 95 % interval. The interval
comes from order statistics (the k-th smallest and k-th largest ratio) and takes six rounds or more.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from scripts.benchmarks.speed.aligners import ALIGNERS, DEBIAN, OURS, chosen, minibwa_version, present
from scripts.common.aligners import Aligner, esa
from scripts.common.baseline import Baseline, beside_baseline, title
from scripts.common.command_line import add_common_options, guarded, script_parser, workplace
from scripts.common.programs import BenchError, need, note
from scripts.common.real_sets import NA12878, named_set
from scripts.common.speed_sets import Judgement, SpeedSet, judge_all, real_set, simulated_set
from scripts.common.stats import median_interval
from scripts.common.tables import Table, number, publish
from scripts.common.targets import RATIO_TARGETS, Finding, count_unmet, ratios
from scripts.common.timed_runs import Run, first_pairs, in_turns, provenance, seconds_of, timed
from scripts.common.workplace import Workplace

REAL = "real"
SETS = f"150,250,{REAL}"
BASELINE = "baseline"
ROUNDS, BASELINE_ROUNDS = 5, 9
"""The second with a baseline: of nine ratios the median's interval is from the second to the last but one."""
WARM_UP_PAIRS = 2_000
COLUMNS = (
    *("reads", "aligner", "seconds", "(min-max)", "reads/s"),
    *("esa x as fast", "(min-max)", "target", "verdict"),
    *("records", "at their place %", "peak MB"),
)
BASELINE_COLUMNS = ("reads", "esa s", "baseline s", "rounds", "esa / baseline", "95 % from", "to", "")


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

    def to_baseline(self) -> tuple[float, ...]:
        """Seconds of esa over those of the baseline, round by round."""
        return ratios(seconds_of(self.runs[OURS]), seconds_of(self.runs[BASELINE]))

    def ratios(self) -> list[Finding]:
        """Those of all aligners that have one."""
        found = (self.ratio(name) for name in self.runs)
        return [finding for finding in found if finding is not None]


def measure(place: Workplace, aligners: Mapping[str, Aligner], reads: SpeedSet, runs: int) -> Measured:
    """Every aligner's runs over these reads, taken in turns, and what the last of them wrote."""
    reference = place.reference(reads.reference)
    folder = place.out / "speed"
    folder.mkdir(parents=True, exist_ok=True)
    sams = {name: folder / f"{name}.sam" for name in aligners}
    indexes = {name: aligner.index(place, reference) for name, aligner in aligners.items()}

    def once(name: str, files: Sequence[Path]) -> Run:
        sams[name].unlink(missing_ok=True)
        command, stdout = aligners[name].command(place, indexes[name], files, sams[name])
        result = timed(command, stdout, folder / "stderr.txt")
        if not sams[name].exists():
            raise BenchError(f"{name} wrote no {sams[name]}; its messages are in {folder / 'stderr.txt'}")
        return result

    for name in aligners:
        once(name, first_pairs(reads.files, WARM_UP_PAIRS, folder))
    tasks: dict[str, Callable[[], Run]] = {name: partial(once, name, reads.files) for name in aligners}
    results = in_turns(tasks, runs)
    note(f"judging the output over {reads.name}")
    judgements = judge_all(sams, reads)
    for sam in sams.values():
        sam.unlink()
    return Measured(reads, len(reads.names()), results, judgements)


def rows_of(measured: Measured) -> list[list[str]]:
    """The rows of a read set: one per aligner."""
    rows = []
    for name, runs in measured.runs.items():
        seconds = Finding("", "", tuple(seconds_of(runs)), None)
        ratio, judged = measured.ratio(name), measured.judgements[name]
        compared = [""] * 4 if ratio is None else ratio.row()[1:]
        rows.append(
            [
                *(measured.reads.name, name, f"{seconds.value:.2f}", seconds.low_high),
                *(f"{measured.n / seconds.value:,.0f}", *compared),
                *(judged.fault or "all", _percent(judged.right_percent)),
                f"{max(run.peak_bytes for run in runs) / 1e6:,.0f}",
            ]
        )
    return rows


def _percent(share: float | None) -> str:
    return "" if share is None else number(share, 3)


def baseline_table(measured: Sequence[Measured], both: Baseline) -> Table:
    """Today's esa beside the baseline."""
    rows = []
    for one in measured:
        found = one.to_baseline()
        interval = median_interval(found)
        seconds = (f"{median(seconds_of(one.runs[name])):.2f}" for name in (OURS, BASELINE))
        ends = ("-", "-") if interval is None else (number(end, 3) for end in interval)
        rows.append(
            [one.reads.name, *seconds, str(len(found)), number(median(found), 3), *ends, shift(interval)]
        )
    caption = (
        f"Baseline: {title(both.commit)}. Seconds of esa over the baseline's within each round, the median of these "
        "ratios and its 95 % interval by order statistics (of six rounds or more); below 1 esa has become faster."
    )
    return Table("Beside the baseline", caption, BASELINE_COLUMNS, rows)


def shift(interval: tuple[float, float] | None) -> str:
    """What an interval of the ratio of seconds says."""
    if interval is None:
        return ""
    low, high = interval
    return "faster" if high < 1 else "slower" if low > 1 else "no difference shown"


def as_json(measured: Measured) -> dict[str, Any]:
    """What was measured on a read set, for the JSON file."""
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
        **({"esa_to_baseline": measured.to_baseline()} if BASELINE in measured.runs else {}),
    }


def read_set(place: Workplace, name: str, args: argparse.Namespace) -> SpeedSet:
    """A set by its name: `REAL`, a real set's, or a length."""
    if not name.isdecimal():
        return real_set(place, args.pairs, args.single, NA12878 if name == REAL else named_set(name))
    return simulated_set(place, int(name), args.pairs, args.seed, args.single)


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = script_parser(__doc__)
    add_common_options(parser)
    parser.add_argument("--pairs", type=int, default=200_000)
    runs = f"rounds (default {ROUNDS}; {BASELINE_ROUNDS} with --baseline)"
    parser.add_argument("--runs", type=int, help=runs)
    sets = (
        f"read lengths, {REAL} and real sets' names or how they begin, with commas between (default {SETS})"
    )
    parser.add_argument("--sets", default=SETS, help=sets)
    parser.add_argument("--baseline", metavar="COMMIT", help="time esa of this commit, too")
    parser.add_argument("--single", action="store_true", help="first ends only")
    parser.add_argument("--aligners", default=",".join(present()), help=f"of {', '.join(ALIGNERS)}")
    args = parser.parse_args()
    if args.runs is None:
        args.runs = ROUNDS if args.baseline is None else BASELINE_ROUNDS
    return args


def chosen_aligners(names: Sequence[str], both: Baseline | None) -> dict[str, Aligner]:
    """By name; with a baseline it and this checkout's esa come first."""
    peers = {name: ALIGNERS[name] for name in names}
    if both is None:
        return {name: make() for name, make in peers.items()}
    beside = {OURS: esa(version=both.today), BASELINE: esa(version=both.before)}
    return beside | {name: make() for name, make in peers.items() if name != OURS}


def report(measured: Sequence[Measured], args: argparse.Namespace, both: Baseline | None) -> list[Table]:
    """The table of all aligners, and that of the baseline if there is one."""
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
    shown = [Table("Speed", caption, COLUMNS, [row for one in measured for row in rows_of(one)])]
    return shown if both is None else [*shown, baseline_table(measured, both)]


def main() -> None:
    """Run the command."""
    args = parse()
    names = chosen(args.aligners)
    programs = ["dwgsim"] if any(name.isdecimal() for name in args.sets.split(",")) else []
    programs += [name for name in names if name in DEBIAN]
    need(*programs)
    versions = {"minibwa": minibwa_version()} if "minibwa" in names else {}
    place = workplace(args)
    with beside_baseline(place, args.baseline) if args.baseline is not None else nullcontext() as both:
        if both is not None:
            versions[BASELINE] = both.commit
        content = provenance(args, programs, versions)
        aligners = chosen_aligners(names, both)
        sets = [read_set(place, name, args) for name in args.sets.split(",")]
        measured = [measure(place, aligners, reads, args.runs) for reads in sets]
        results = {"settings": content, "sets": [as_json(one) for one in measured]}
        publish(report(measured, args, both), place.out / "speed.json", results)


if __name__ == "__main__":
    guarded(main)
