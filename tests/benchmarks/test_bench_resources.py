"""`scripts.benchmarks.resources`: what is worked out from the runs."""

from __future__ import annotations

import pytest

from scripts.benchmarks.resources.__main__ import same_outputs, thread_findings
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
)
from scripts.common.speed_sets import Judgement
from scripts.common.timed_runs import Run


def runs(*seconds: float, busy: float = 0.0) -> list[Run]:
    return [Run(x, busy, 0) for x in seconds]


def test_start_up_is_left_out_round_by_round() -> None:
    measured = {
        ONE_FEW: runs(1.0, 2.0, busy=1.0),
        ONE: runs(11.0, 22.0, busy=12.0),
        MANY_FEW: runs(1.0, 2.0),
        MANY: runs(6.0, 13.0),
        BAM: runs(9.0, 13.0),
        APART_FEW: runs(1.0, 2.0),
        APART: runs(11.0, 27.0),
        GZIP: runs(6.0, 6.5),
    }
    found = {f.what: f for f in thread_findings(measured, 2, reads=2 * FEW_PAIRS + 1000)}
    scaling = found["1 to 2 threads, start-up left out"]
    assert scaling.values == (10 / 5, 20 / 11)
    assert (str(scaling.target), scaling.verdict) == (">= 1.85", "met")
    assert found["reads/s, 2 threads, start-up left out"].values == (200, pytest.approx(1000 / 11))
    assert found["cores that 1 thread keeps busy (reader and writer, too)"].values == (1.1, 0.55)
    assert found["2 runs of 1 thread at a time, to one of them"].values == (2.0, 40 / 25)
    bam, gzip = (found[f"{what}, start-up left out"] for what in ("BAM output to SAM", "gzip input to plain"))
    assert (bam.values, bam.verdict) == ((8 / 5, 1.0), "NOT MET")
    assert (gzip.values, gzip.verdict) == ((1.0, 4.5 / 11), "met")


def test_outputs_are_compared() -> None:
    good, other = Judgement("", 100.0, 99.0), Judgement("", 100.0, 98.0)
    assert "every read once, 99.000 %" in same_outputs({"1": good, "2": good})
    assert "DIFFER" in same_outputs({"1": good, "2": other})
    lacking = Judgement("1 reads missing", 100.0, 99.0)
    assert "DIFFER" in same_outputs({"1": lacking, "2": lacking})
