"""Threads, memory, formats, start-up and index of esa, each beside its target, and the speed that many cores allow.

    python -m scripts.benchmarks.resources [--pairs 200000] [--runs 5] [--only threads,memory,startup,index,serial]

Human chromosome 20, simulated pairs (dwgsim, 0.6 %), medians over rounds in which the runs take turns:

    threads: `esa align` with 1 and with 2 threads, 2x150, without start-up. Start-up is the time of a run over 500
        pairs, which loads the index and all kernels. Beside it as many concurrent runs of one thread each, which
        share nothing but the machine. BAM output and gzip input as ratios to SAM and plain FASTQ, without start-up.
        Outputs are judged as in `make bench-speed`.
    memory: the peak PSS of all processes of a run (shared pages counted once), sampled every 20 ms.
    startup: ten reads of lambda phage with a warm numba cache; `esa --help`.
    index: `esa index` of chromosome 20, whole process; bytes on disk per base.
    serial: what no further core can take over in a run with 8 workers, which are processes. Processor time of reading,
        of writing and merging, and of passing batches, by the threads' own clocks (`serial_probe`). Reads/s of a run
        whose workers have nothing to do (`hollow_align`). The speed that both allow on more cores (`serial_share`).

bench_out/resources.json holds the same figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from scripts.benchmarks.resources.runs import (
    APART,
    APART_FEW,
    BAM,
    FEW_PAIRS,
    GZIP,
    MANY,
    MANY_FEW,
    ONE,
    ONE_FEW,
    PROCESSES,
    Built,
    Serial,
    align_runs,
    index_builds,
    memory_peaks,
    prepared,
    serial_share,
    start_up_runs,
)
from scripts.benchmarks.resources.serial_share import share_rows, speedup_findings
from scripts.common.command_line import add_common_options, guarded, script_parser, workplace
from scripts.common.programs import BenchError, need
from scripts.common.speed_sets import Judgement, judge_all
from scripts.common.tables import Table, publish
from scripts.common.targets import COLUMNS, Finding, at_least, at_most, count_unmet, differences, ratios
from scripts.common.timed_runs import Run, provenance, seconds_of

PARTS = ("threads", "memory", "startup", "index", "serial")
MEGABYTE = 1e6

SCALING = at_least(1.85)
FORMAT_RATIO = at_most(1.15)
PEAK_MEGABYTES = at_most(600)
LAMBDA_SECONDS, HELP_SECONDS = at_most(1.0), at_most(0.3)
INDEX_SECONDS, INDEX_BYTES = at_most(15), at_most(3)


def thread_findings(runs: Mapping[str, Sequence[Run]], threads: int, reads: int) -> list[Finding]:
    """Of `align_runs`."""
    seconds = {name: seconds_of(several) for name, several in runs.items()}
    one = differences(seconds[ONE], seconds[ONE_FEW])
    apart = [threads * x for x in one]
    many, bam, gzip = (differences(seconds[name], seconds[MANY_FEW]) for name in (MANY, BAM, GZIP))
    busy = differences(*([run.processor_seconds for run in runs[name]] for name in (ONE, ONE_FEW)))
    between = reads - 2 * FEW_PAIRS
    return [
        Finding(f"1 to {threads} threads, start-up left out", "x", ratios(one, many), SCALING),
        Finding(
            f"{threads} runs of 1 thread at a time, to one of them",
            "x",
            ratios(apart, differences(seconds[APART], seconds[APART_FEW])),
            None,
        ),
        Finding("cores that 1 thread keeps busy (reader and writer, too)", "", ratios(busy, one), None),
        Finding("reads/s, 1 thread, start-up left out", "", tuple(between / x for x in one), None, 0),
        Finding(
            f"reads/s, {threads} threads, start-up left out", "", tuple(between / x for x in many), None, 0
        ),
        Finding(f"start-up on chr20 (run over {FEW_PAIRS} pairs)", "s", tuple(seconds[MANY_FEW]), None),
        Finding("BAM output to SAM, start-up left out", "x the time", ratios(bam, many), FORMAT_RATIO),
        Finding("gzip input to plain, start-up left out", "x the time", ratios(gzip, many), FORMAT_RATIO),
    ]


def same_outputs(outputs: Mapping[str, Judgement]) -> str:
    """Whether all hold every read once, at the same places as far as they are judged; for the caption."""
    whole = not any(one.fault for one in outputs.values())
    if whole and len(set(outputs.values())) == 1:
        place = next(iter(outputs.values())).right_percent
        return f"outputs of all runs hold every read once, {place:.3f} % of them at their place"
    return f"the OUTPUTS DIFFER or are not whole: {dict(outputs)}"


def memory_findings(peaks: Mapping[str, int]) -> list[Finding]:
    """Peaks by label, each beside its target."""
    return [
        Finding(f"peak memory, align {label}", "MB", (peak / MEGABYTE,), PEAK_MEGABYTES, 0)
        for label, peak in peaks.items()
    ]


def start_up_findings(runs: Mapping[str, Sequence[Run]]) -> list[Finding]:
    """Seconds of the runs that are start-up and little else."""
    return [
        Finding("10 reads on lambda phage", "s", tuple(seconds_of(runs["lambda"])), LAMBDA_SECONDS),
        Finding("esa --help", "s", tuple(seconds_of(runs["help"])), HELP_SECONDS),
    ]


def index_findings(built: Built) -> list[Finding]:
    """Time, size and memory of an index."""
    return [
        Finding("index, build", "s", tuple(built.seconds), INDEX_SECONDS, 1),
        Finding("index, on disk", "bytes a base", (built.bytes_a_base,), INDEX_BYTES),
        Finding("index, peak memory", "MB", (built.peak_bytes / MEGABYTE,), None, 0),
    ]


def serial_table(serial: Serial) -> Table:
    """Microseconds per read of each part of a run."""
    caption = f"Processor time of runs with {PROCESSES} workers, 2x150, medians; share of all but start-up."
    columns = ("part", "us a read", "% of the whole")
    return Table("Serial share", caption, columns, share_rows(serial.shares, serial.start_up, serial.reads))


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = script_parser(__doc__)
    add_common_options(parser)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--lengths", default="150,250", help="read lengths; threads and serial take the first"
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    args = parser.parse_args()
    if args.pairs <= FEW_PAIRS:
        parser.error(f"--pairs: more than {FEW_PAIRS} are needed")
    return args


def main() -> None:
    """Run the command."""
    args = parse()
    parts = args.only.split(",")
    if unknown := set(parts) - set(PARTS):
        raise BenchError(f"no such part: {', '.join(sorted(unknown))} (there are {', '.join(PARTS)})")
    need("dwgsim")
    content: dict[str, Any] = {"settings": provenance(args, ["dwgsim"], {})}
    place = workplace(args)
    bench = prepared(place, [int(length) for length in args.lengths.split(",")], args.pairs, args.seed)
    findings: list[Finding] = []
    tables: list[Table] = []
    remarks: list[str] = []
    if "threads" in parts:
        runs = align_runs(bench, args.runs)
        findings += thread_findings(runs, place.threads, 2 * args.pairs)
        outputs = judge_all({name: bench.output(name) for name in (ONE, MANY, BAM, GZIP)}, bench.first)
        content["outputs"] = {name: asdict(one) for name, one in outputs.items()}
        remarks.append(same_outputs(outputs))
    if "memory" in parts:
        findings += memory_findings(memory_peaks(bench, args.runs))
    if "startup" in parts:
        findings += start_up_findings(start_up_runs(bench, args.runs))
    if "index" in parts:
        findings += index_findings(index_builds(bench, args.runs))
    if "serial" in parts:
        serial = serial_share(bench, args.runs)
        findings += speedup_findings(serial.shares, serial.start_up)
        tables.append(serial_table(serial))
        content["serial"] = asdict(serial)
    content["findings"] = [finding.as_json() for finding in findings]
    remarks.append(count_unmet(findings))
    caption = f"{place.threads} threads, medians of {args.runs} rounds; {', '.join(remarks)}."
    tables.insert(0, Table("Resources, human chr20", caption, COLUMNS, [f.row() for f in findings]))
    publish(tables, place.out / "resources.json", content)


if __name__ == "__main__":
    guarded(main)
