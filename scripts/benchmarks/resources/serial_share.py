"""How much of a run of `esa align` no further core can take over, and the speed that this allows on many cores.

One thread reads and parses. The main thread submits batches, orders them and writes. Two threads pass batches to the
worker processes and records back. The rest is spread over these processes. On N cores, without start-up, three bounds
hold for reads/s (`pipeline_speedup`):

    the whole work: N cores' worth of it.
    each serial stage alone: stages run at the same time.
    a run whose workers have nothing to do (`hollow_align`): this includes what the stages wait for.

`amdahl_speedup` is what remains if stages did not overlap at all. Both are relative to a run of one worker, a thread.
What cores share, memory bandwidth and caches, is in neither.

Before workers were processes this file had the share of time for which the GIL was held, 6 %, and 16.7 x from that. On
16 cores 12 threads were 9.8 times as fast as one, and 16 no faster: passing on a lock takes longer the more threads
wait for it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scripts.common.targets import Finding, at_least

MILLION = 1_000_000

PARTS = ("reader", "writer", "merging", "passing", "workers")
CORES = (2, 8, 32, 128)
JUDGED_CORES = 32
ENOUGH = at_least(20)
SMALL = 0.05
"""Share of a run's time that start-up may have before it counts."""


@dataclass(frozen=True)
class Shares:
    """Processor seconds a read, start-up left out.

    Attributes:
        reader: of the reader thread.
        writer, merging: of the main thread.
        passing: of the two threads between it and the processes, counted as if they were one.
        workers: of the processes.
        alone: of a run with one worker, all together.
        hollow: wall time a read of a run whose workers have nothing to do.
    """

    reader: float
    writer: float
    merging: float
    passing: float
    workers: float
    alone: float
    hollow: float

    @property
    def total(self) -> float:
        """Processor seconds of a read in all threads and processes."""
        return self.reader + self.writer + self.merging + self.passing + self.workers

    @property
    def stages(self) -> dict[str, float]:
        """The serial ones."""
        return {
            "reader": self.reader,
            "main thread": self.writer + self.merging,
            "passing on": self.passing,
            "all that is not aligning": self.hollow,
        }

    @property
    def slowest(self) -> str:
        """The name of the serial stage that takes longest."""
        return max(self.stages, key=lambda name: self.stages[name])

    def pipeline_speedup(self, cores: int) -> float:
        """Against one worker, if the stages overlap perfectly."""
        return min(cores * self.alone / self.total, self.alone / self.stages[self.slowest])

    def amdahl_speedup(self, cores: int) -> float:
        """Against one worker, if only the workers' part is ever spread."""
        return self.alone / (self.total - self.workers + self.workers / cores)


def seconds_a_read(full: Mapping[str, float], short: Mapping[str, float]) -> dict[str, float]:
    """By part, from the processor seconds of two runs by part, with their ``reads``: what the short one spends, too,
    is start-up (kernels are loaded when they are first called)."""
    reads = full["reads"] - short["reads"]
    return {part: max(full[part] - short[part], 0.0) / reads for part in PARTS}


def median_shares(rounds: Sequence[Shares]) -> Shares:
    """Part by part."""
    parts = (*PARTS, "alone", "hollow")
    return Shares(**{part: statistics.median(getattr(one, part) for one in rounds) for part in parts})


def share_rows(shares: Shares, start_up: float, reads: int) -> list[list[str]]:
    """Microseconds a read and share of the whole of each part; start-up as seconds a run."""
    parts = {name: getattr(shares, name) for name in PARTS}
    rows = [
        [name, f"{1e6 * seconds:.2f}", f"{100 * seconds / shares.total:.2f}"]
        for name, seconds in (
            *parts.items(),
            ("all of it", shares.total),
            ("with one worker", shares.alone),
            ("with idle workers, wall time", shares.hollow),
        )
    ]
    each = start_up / reads
    return [
        *rows,
        [f"start-up, {start_up:.2f} s a run", f"{1e6 * each:.2f}", f"{100 * each / shares.total:.2f}"],
    ]


def reads_to_outweigh(start_up: float, shares: Shares, cores: int) -> float:
    """Reads from which on start-up is `SMALL` of a run or less."""
    each = shares.alone / shares.pipeline_speedup(cores)
    return start_up * (1 - SMALL) / SMALL / each


def speedup_findings(shares: Shares, start_up: float) -> list[Finding]:
    """What the shares allow on each number of cores, beside the target."""
    found = []
    for cores in CORES:
        target = ENOUGH if cores == JUDGED_CORES else None
        what = f"allowed on {cores} cores, stages overlapping (slowest: {shares.slowest})"
        found.append(Finding(what, "x", (shares.pipeline_speedup(cores),), target, 1))
        what = f"allowed on {cores} cores, serial parts alone (Amdahl)"
        found.append(Finding(what, "x", (shares.amdahl_speedup(cores),), None, 1))
    million = reads_to_outweigh(start_up, shares, JUDGED_CORES) / MILLION
    what = f"start-up is {100 * SMALL:g} % of a run on {JUDGED_CORES} cores at"
    return [*found, Finding(what, "million reads", (million,), None, 1)]
