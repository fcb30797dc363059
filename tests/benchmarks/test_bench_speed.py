"""`scripts/bench_speed.py`: ratios beside their targets."""

from __future__ import annotations

from pathlib import Path

from bench_speed import COLUMNS, Measured, as_json, rows_of
from speed_sets import Judgement, SpeedSet
from timed_runs import Run


def measured(length: int | None) -> Measured:
    seconds = {"esa": (1.0, 2.0, 4.0), "bwa": (5.0, 8.0, 12.0), "minibwa": (2.0, 1.8, 3.0)}
    return Measured(
        SpeedSet("set", "set", (Path("R1.fq"), Path("R2.fq")), length),
        1000,
        {name: [Run(x, 0.0, 7_000_000) for x in values] for name, values in seconds.items()},
        {name: Judgement("" if name != "bwa" else "1 reads missing", 100.0, 99.5) for name in seconds},
    )


def test_a_ratio_above_one_means_that_esa_is_faster() -> None:
    by_peer = {finding.what: finding for finding in measured(150).ratios()}
    bwa, minibwa = by_peer["set: esa to bwa"], by_peer["set: esa to minibwa"]
    assert (bwa.values, bwa.value, bwa.verdict) == ((5.0, 4.0, 3.0), 4.0, "met")
    assert (minibwa.values, minibwa.verdict) == ((2.0, 0.9, 0.75), "NOT MET")
    assert measured(250).ratios()[0].verdict == "NOT MET"
    assert [finding.verdict for finding in measured(None).ratios()] == ["", ""]


def test_rows_hold_speed_verdict_and_judgement() -> None:
    ours, bwa, _ = rows_of(measured(150))
    assert len(ours) == len(bwa) == len(COLUMNS)
    assert ours == ["set", "esa", "2.00", "1.00-4.00", "500", "", "", "", "", "all", "99.500", "7"]
    assert bwa[5:10] == ["4.00 x", "3.00-5.00", ">= 4", "met", "1 reads missing"]


def test_the_json_has_every_run() -> None:
    content = as_json(measured(150))
    assert content["aligners"]["bwa"]["seconds"] == [5.0, 8.0, 12.0]
    assert content["aligners"]["esa"]["reads_per_second"] == 500
    assert content["aligners"]["bwa"]["fault"] == "1 reads missing"
    assert [ratio["met"] for ratio in content["ratios"]] == [True, False]
