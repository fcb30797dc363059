"""Timed processes and calls in turns, and the provenance of a result: settings, commit, machine."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from scripts.common.command_line import settings
from scripts.common.programs import ROOT, STDERR_LINES_SHOWN, BenchError, Command, note

LINES_A_READ = 4
FASTQ_SUFFIX = ".fq"
TIMED_CHILD = Path(__file__).with_name("timed_child.py")
SMALL_PYTHON = ("-I", "-S")
"""Options with which the interpreter starts quickly."""


@dataclass(frozen=True)
class Run:
    """One timed process: wall and processor seconds, peak memory of the largest of its processes."""

    seconds: float
    processor_seconds: float
    peak_bytes: int


def timed(command: Command, stdout: Path | None, log: Path) -> Run:
    """Wall time and peak memory of one process (its children included, as far as it waited for them).

    Args:
        stdout: None: thrown away.
        log: takes stderr.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.txt"
        places = [str(result), str(stdout or os.devnull), str(log)]
        launched = [sys.executable, *SMALL_PYTHON, str(TIMED_CHILD), *places, *words]
        with started(launched) as process:
            process.wait()
        if process.returncode != 0:
            raise BenchError(f"cannot start: {shlex.join(words)}")
        code, seconds, busy, peak = result.read_text().split()
    check(int(code), words, log)
    return Run(float(seconds), float(busy), int(peak))


@contextmanager
def started(words: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a session of its own, none of which outlives an exception here."""
    options.setdefault("stdin", subprocess.DEVNULL)
    with subprocess.Popen(words, start_new_session=True, **options) as process:
        try:
            yield process
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def check(code: int, words: Sequence[str], log: Path) -> None:
    """Raise `BenchError` with the last lines of ``log`` unless the exit code is 0."""
    if code != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-STDERR_LINES_SHOWN:])
        raise BenchError(f"exit code {code} from: {shlex.join(words)}\n{last}")


def in_turns(tasks: Mapping[str, Callable[[], Run]], rounds: int) -> dict[str, list[Run]]:
    """Every task once a round, so that a busy minute of the machine hits all of them."""
    results: dict[str, list[Run]] = {name: [] for name in tasks}
    for i in range(rounds):
        for name, task in tasks.items():
            results[name].append(task())
            note(f"round {i + 1} of {rounds}, {name}: {results[name][-1].seconds:.2f} s")
    return results


def seconds_of(runs: Sequence[Run]) -> list[float]:
    """Wall seconds of each run."""
    return [run.seconds for run in runs]


def first_pairs(reads: Sequence[Path], pairs: int, folder: Path) -> list[Path]:
    """The first ``pairs`` of plain FASTQ files, written to ``folder``."""
    short = [folder / f"first-{pairs}-{path.stem}{FASTQ_SUFFIX}" for path in reads]
    for path, copy in zip(reads, short, strict=True):
        with path.open() as source, copy.open("w") as sink:
            sink.writelines(islice(source, LINES_A_READ * pairs))
    return short


def provenance(
    args: argparse.Namespace, programs: Sequence[str], versions: Mapping[str, str]
) -> dict[str, Any]:
    """`command_line.settings` with the commit and the machine's name; ``versions`` of further programs."""
    content = settings(args, programs)
    content["machine"] |= {"name": platform.node(), "processor": processor_name(), "load": os.getloadavg()}
    content["versions"] |= dict(versions)
    content["commit"] = commit()
    return content


def commit() -> str:
    """Of this working tree, with a mark where it differs from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or "unknown"


def processor_name() -> str:
    """The model that Linux names."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor()


MICROS = 1e6
"""Microseconds in a second."""


def median_seconds(tasks: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Median time of each task, after one run to warm up; they take turns, so that a busy spell hits them all."""
    seconds: list[list[float]] = [[] for _ in tasks]
    for repeat in range(repeats + 1):
        for task, times in zip(tasks, seconds, strict=True):
            begin = time.perf_counter()
            task()
            if repeat:
                times.append(time.perf_counter() - begin)
    return [statistics.median(times) for times in seconds]
