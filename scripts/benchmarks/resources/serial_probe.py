"""`esa align` with clocks of processor time: how much each kind of thread takes.

    python -m scripts.benchmarks.resources.serial_probe OUT.json align DIR R1 R2 -t N -o OUT.sam ...

`esa align --stats` has wall time by stage, which on a busy machine includes waiting. Here the clock of a stage is the
processor time of its thread. OUT.json holds the number of `reads`, and seconds:

    reader: the whole reader thread.
    writer: the stage `write`.
    merging: the rest of the main thread while reads are aligned (submitting, ordering, counting, insert sizes).
    workers: the threads or processes that align.
    passing: with processes, the threads of this one that pass batches to them and records back.
    start_up: this process before and after.

Worker processes run at the lowest priority. So the threads of this process run as if each had a core: one that loses
its core would hold the GIL and stall the others.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from esa.align import statistics as statistics
from esa.cli.main import main as esa_main
from esa.run import pipeline
from esa.run import workers as worker

LEAST_URGENT = 19


class Probe:
    """Takes the place of `esa.run.pipeline.align` and of the reader thread's loop."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.reads = 0
        self._align = pipeline.align
        self._read = pipeline._ReadAhead._run

    def align(self, *arguments: Any, **options: Any) -> pipeline.AlignSummary:
        """Takes the place of `esa.run.pipeline.align`."""
        process, main = time.process_time(), time.thread_time()
        summary = self._align(*arguments, **options)
        process, main = time.process_time() - process, time.thread_time() - main
        writer = summary.statistics.seconds["write"]
        self.reads = summary.reads
        self.seconds |= {"writer": writer, "merging": main - writer}
        others = process - main - self.seconds["reader"]
        children = processor_seconds_of_children()
        self.seconds |= {"workers": children or others, "passing": others if children else 0.0}
        return summary

    def read(self, ahead: pipeline._ReadAhead) -> None:
        """Takes the place of the reader thread's loop."""
        self._read(ahead)
        self.seconds["reader"] = time.thread_time()

    def result(self) -> dict[str, Any]:
        """Seconds by kind of thread, and the number of reads."""
        here = sum(self.seconds.values()) - processor_seconds_of_children()
        start_up = time.process_time() - here
        return {"reads": self.reads, **self.seconds, "start_up": start_up}


def begin_giving_way(begin: Callable[..., None], *arguments: Any) -> None:
    """The first thing that a forked process does."""
    os.nice(LEAST_URGENT)
    begin(*arguments)


def processor_seconds_of_children() -> float:
    """Of those that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(out: str, *arguments: str) -> None:
    """Run `esa` with the probe; ``out`` takes its result, ``arguments`` are those of `esa`."""
    probe = Probe()
    clock = SimpleNamespace(perf_counter=time.thread_time)
    with (
        patch.object(pipeline, "align", probe.align),
        patch.object(pipeline._ReadAhead, "_run", lambda ahead: probe.read(ahead)),
        patch.object(statistics, "time", clock),
        patch.object(worker, "_initialise", partial(begin_giving_way, worker._initialise)),
        patch.object(sys, "argv", ["esa", *arguments]),
    ):
        try:
            esa_main()
        except SystemExit as end:
            if end.code:
                raise
    Path(out).write_text(json.dumps(probe.result(), indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
