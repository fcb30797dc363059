"""Reads a second beside other aligners, on human chromosome 20.

    python scripts/bench_speed.py [--pairs 200000] [--runs 3] [--aligners esa,bwa,bowtie2,minimap2]

Simulated pairs (dwgsim, 0.6 % divergence, 2x150 and 2x250), plain FASTQ in, SAM file out, the same number of
threads for all. The time is the wall time of the whole process, loading the index included, building it not.
Aligners take turns, so that a busy minute of the machine hits all of them; the median of the runs counts. One
short run of each goes first, so that files are in the page cache and esa's kernels are compiled.

Prints a table: read length, aligner, median seconds with the fastest and slowest run, reads/s, that as a
ratio to bwa mem's, and the peak resident memory. The same goes to bench_out/speed.json, with every run.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bench_common import (
    CHR20,
    STDERR_LINES_SHOWN,
    Aligner,
    BenchError,
    Command,
    Workplace,
    add_common_options,
    bowtie2,
    bwa,
    esa,
    guarded,
    minimap2,
    need,
    note,
    settings,
    table,
    workplace,
    write_json,
)

ALIGNERS: dict[str, Callable[[], Aligner]] = {
    "esa": esa,
    "sketch": lambda: esa("sketch"),
    "bwa": bwa,
    "bowtie2": bowtie2,
    "minimap2": minimap2,
}
OWN = ("esa", "sketch")
OPTIONAL = ("bowtie2", "minimap2")
BASELINE = "bwa"
WARM_UP_PAIRS = 2_000
LINES_A_READ = 4


@dataclass(frozen=True)
class Run:
    """One timed process."""

    seconds: float
    peak_bytes: int


def timed(command: Command, stdout: Path | None, log: Path) -> Run:
    """Wall time and peak memory of one process (its children included, as far as it waited for them)."""
    words = [str(word) for word in command]
    with open(stdout or os.devnull, "wb") as sink, log.open("wb") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=sink, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-STDERR_LINES_SHOWN:])
        raise BenchError(f"exit code {process.returncode} from: {shlex.join(words)}\n{last}")
    return Run(seconds, usage.ru_maxrss * 1024)


def first_pairs(reads: Sequence[Path], pairs: int, folder: Path) -> list[Path]:
    """The first ``pairs`` of the FASTQ files, written to ``folder``."""
    short = [folder / f"warm-up-{path.name}" for path in reads]
    for path, copy in zip(reads, short, strict=True):
        with path.open() as source, copy.open("w") as sink:
            sink.writelines(islice(source, LINES_A_READ * pairs))
    return short


def measure(place: Workplace, names: Sequence[str], reads: Sequence[Path], runs: int) -> dict[str, list[Run]]:
    """Every aligner's runs over these reads, taken in turns."""
    reference = place.reference(CHR20)
    aligners = {name: ALIGNERS[name]() for name in names}
    indexes = {name: aligner.index(place, reference) for name, aligner in aligners.items()}
    folder = place.out / "speed"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "stderr.txt"

    def once(name: str, files: Sequence[Path]) -> Run:
        sam = folder / f"{name}.sam"
        sam.unlink(missing_ok=True)
        command, stdout = aligners[name].command(place, indexes[name], files, sam)
        result = timed(command, stdout, log)
        if not sam.exists():
            raise BenchError(f"{name} wrote no {sam}; its messages are in {log}")
        return result

    warm_up = first_pairs(reads, WARM_UP_PAIRS, folder)
    for name in names:
        once(name, warm_up)
    results: dict[str, list[Run]] = {name: [] for name in names}
    for i in range(runs):
        for name in names:
            results[name].append(once(name, reads))
            note(f"run {i + 1} of {runs}, {name}: {results[name][-1].seconds:.1f} s")
    return results


def summarise(length: int, n_reads: int, results: dict[str, list[Run]]) -> list[dict[str, Any]]:
    """One row an aligner, with every run."""
    rates = {name: n_reads / statistics.median(r.seconds for r in runs) for name, runs in results.items()}
    return [
        {
            "length": length,
            "aligner": name,
            "reads": n_reads,
            "seconds": [r.seconds for r in runs],
            "median_seconds": statistics.median(r.seconds for r in runs),
            "reads_per_second": rates[name],
            "ratio_to_bwa": rates[name] / rates[BASELINE] if BASELINE in rates else None,
            "peak_bytes": max(r.peak_bytes for r in runs),
        }
        for name, runs in results.items()
    ]


def render(rows: Sequence[dict[str, Any]], single: bool) -> str:
    header = ["reads", "aligner", "seconds", "(min-max)", "reads/s", "x bwa mem", "peak MB"]
    cells = [
        [
            f"{'1' if single else '2'}x{row['length']}",
            row["aligner"],
            f"{row['median_seconds']:.1f}",
            f"{min(row['seconds']):.1f}-{max(row['seconds']):.1f}",
            f"{row['reads_per_second']:,.0f}",
            "" if row["ratio_to_bwa"] is None else f"{row['ratio_to_bwa']:.2f}",
            f"{row['peak_bytes'] / 1e6:,.0f}",
        ]
        for row in rows
    ]
    return table(header, cells)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common_options(parser)
    parser.add_argument("--pairs", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--lengths", default="150,250", help="read lengths, with commas between")
    parser.add_argument("--single", action="store_true", help="first ends only")
    present = [name for name in ("esa", "bwa", *OPTIONAL) if name not in OPTIONAL or shutil.which(name)]
    parser.add_argument("--aligners", default=",".join(present), help=f"of {', '.join(ALIGNERS)}")
    return parser.parse_args()


def main() -> None:
    args = parse()
    names = args.aligners.split(",")
    if unknown := set(names) - set(ALIGNERS):
        raise BenchError(f"no such aligner: {', '.join(sorted(unknown))} (there are {', '.join(ALIGNERS)})")
    programs = ["dwgsim", *(name for name in names if name not in OWN)]
    need(*programs)
    place = workplace(args)
    rows = []
    for length in map(int, args.lengths.split(",")):
        reads = place.simulated(place.reference(CHR20), length, args.pairs, args.seed)
        reads = reads[:1] if args.single else reads
        results = measure(place, names, reads, args.runs)
        rows += summarise(length, args.pairs * len(reads), results)
    write_json(place.out / "speed.json", {"settings": settings(args, programs), "rows": rows})
    print(render(rows, args.single))
    print(f"\n{args.threads} threads, median of {args.runs} runs, index loading included")
    print(f"written: {place.out / 'speed.json'}")


if __name__ == "__main__":
    guarded(main)
