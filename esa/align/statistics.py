"""What a run of `esa align` spends and where: seconds by stage, and what each level of the escalation looked at."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

STAGES = (
    "read",
    "cut",
    "encode",
    "probe",
    "cluster",
    "verify",
    "rescue",
    "pair",
    "split",
    "trace",
    "format",
    "compress",
    "write",
)
"""Of the pipeline, in its order: what the clock is kept of. A level of the escalation (`esa.align.levels`) goes through
``cut`` to ``verify``. Minimizers are found in ``cut``. CIGAR and MD are made in ``trace``. ``split`` is the time of
split reads beside the stages that their segments go through like others. ``compress`` takes time for BAM."""

LEVEL_COUNTS = (
    "reads",
    "fragments",
    "scanned",
    "hits",
    "fragments_truncated",
    "candidates",
    "reads_truncated",
)
"""Of a level: reads searched; their fragments; codes compared; those near enough; fragments of which a bucket or a hit
limit left something out; places verified. At last, reads of which a limit left something out."""


@dataclass
class RunStatistics:
    """Seconds of one thread, or of several added up, by stage, and counts by level.

    A stage that begins within another stops the other's clock: no second counts twice.
    """

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    levels: dict[str, Counter[str]] = field(default_factory=dict)
    _running: list[str] = field(default_factory=list)
    _since: float = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """The time that the context takes is the stage's."""
        self._turn()
        self._running.append(name)
        try:
            yield
        finally:
            self._turn()
            self._running.pop()

    def _turn(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def count(self, level: str, **counts: int) -> None:
        """Add to what a level looked at (`LEVEL_COUNTS`)."""
        counter = self.levels.setdefault(level, Counter())
        for name, count in counts.items():  # Counter.update takes ten times as long for so few
            counter[name] += count

    def add(self, other: RunStatistics) -> None:
        """Add what another thread or batch did."""
        for name, seconds in other.seconds.items():
            self.seconds[name] += seconds
        for level, counts in other.levels.items():
            self.count(level, **counts)
