"""`scripts.benchmarks.speed`: ratios beside their targets."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.benchmarks.speed.__main__ import (
    BASELINE,
    BASELINE_COLUMNS,
    BASELINE_ROUNDS,
    COLUMNS,
    Measured,
    as_json,
    baseline_table,
    chosen_aligners,
    rows_of,
    shift,
)
from scripts.common.aligners import Version
from scripts.common.baseline import Baseline
from scripts.common.speed_sets import Judgement, SpeedSet
from scripts.common.stats import median_interval
from scripts.common.timed_runs import Run
from scripts.common.workplace import Workplace


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


def beside_a_baseline(ours: tuple[float, ...], before: tuple[float, ...]) -> Measured:
    one = measured(None)
    runs = {name: [Run(x, 0.0, 0) for x in values] for name, values in (("esa", ours), (BASELINE, before))}
    return Measured(one.reads, one.n, runs, {name: Judgement("", 100.0, None) for name in runs})


def both() -> Baseline:
    return Baseline("HEAD", Version(("old",), "0"), Version(("new",), "1"))


def test_the_baseline_is_compared_round_by_round() -> None:
    # Every round is twice as slow as the one before, for both: medians of the seconds would say 1.
    before = tuple(float(2**i) for i in range(BASELINE_ROUNDS))
    shares = [0.5, 0.6, 0.7, 0.8, 0.82, 0.9, 0.94, 0.96, 2.0]
    one = beside_a_baseline(tuple(x * share for x, share in zip(before, shares, strict=True)), before)
    assert one.to_baseline() == pytest.approx(shares)
    table = baseline_table([one, beside_a_baseline((1.0, 3.0, 4.0), (2.0, 2.0, 2.0))], both())
    assert table.columns == BASELINE_COLUMNS
    assert table.rows[0] == ["set", "13.12", "16.00", "9", "0.820", "0.600", "0.960", "faster"]
    assert table.rows[1] == ["set", "3.00", "2.00", "3", "1.500", "-", "-", ""]
    assert as_json(one)["esa_to_baseline"] == pytest.approx(shares)
    assert "esa_to_baseline" not in as_json(measured(150))
    assert rows_of(one)[1][10] == ""


def test_an_interval_with_one_in_it_shows_no_difference() -> None:
    assert [shift(x) for x in ((0.8, 0.9), (1.1, 1.2), (0.9, 1.1), None)] == [
        *("faster", "slower", "no difference shown", ""),
    ]


def test_nine_rounds_give_an_interval_that_leaves_one_ratio_out_on_each_side() -> None:
    assert median_interval([float(x) for x in range(BASELINE_ROUNDS)]) == (1.0, 7.0)


def test_the_baseline_runs_beside_this_checkout_whether_esa_is_named_or_not(tmp_path: Path) -> None:
    for names in (["esa"], []):
        aligners = chosen_aligners(names, both())
        assert list(aligners) == ["esa", BASELINE]
        words = {
            name: aligner.command(Workplace(tmp_path, tmp_path, 1), tmp_path, [], tmp_path)[0][0]
            for name, aligner in aligners.items()
        }
        assert words == {"esa": "new", BASELINE: "old"}
    assert list(chosen_aligners(["bwa", "esa"], None)) == ["bwa", "esa"]
