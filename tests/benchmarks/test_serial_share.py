"""`scripts.benchmarks.resources.serial_share`: what serial parts allow on many cores, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scripts.benchmarks.resources.serial_share import (
    Shares,
    median_shares,
    reads_to_outweigh,
    seconds_a_read,
    share_rows,
    speedup_findings,
)

# Of 100: reader 3, main thread 2 + 1, passing on 1, workers 93. One worker alone takes 80.
SHARES = Shares(reader=3.0, writer=2.0, merging=1.0, passing=1.0, workers=93.0, alone=80.0, hollow=2.0)


def test_the_slowest_stage_bounds_a_pipeline() -> None:
    shares = replace(SHARES, reader=4.0, workers=92.0, alone=100.0)
    assert shares.slowest == "reader"
    assert [shares.pipeline_speedup(n) for n in (1, 8, 32, 128)] == [1, 8, 25, 25]


def test_all_is_compared_with_one_worker() -> None:
    assert [SHARES.pipeline_speedup(n) for n in (1, 10)] == [0.8, 8]
    assert SHARES.pipeline_speedup(128) == pytest.approx(80 / 3)
    assert SHARES.amdahl_speedup(1) == pytest.approx(0.8)


def test_writing_and_merging_are_one_stage() -> None:
    shares = replace(SHARES, writer=3.0)
    assert shares.slowest == "main thread"
    assert shares.pipeline_speedup(128) == 20


def test_passing_on_is_a_stage() -> None:
    shares = replace(SHARES, passing=8.0)
    assert shares.slowest == "passing on"
    assert shares.pipeline_speedup(128) == 10


def test_a_run_with_idle_workers_bounds_all_others() -> None:
    shares = replace(SHARES, hollow=10.0)
    assert shares.total == 100
    assert shares.slowest == "all that is not aligning"
    assert shares.pipeline_speedup(32) == 8


def test_amdahl_spreads_the_workers_alone() -> None:
    assert SHARES.amdahl_speedup(2) == pytest.approx(80 / (7 + 46.5))
    assert SHARES.amdahl_speedup(10**9) == pytest.approx(80 / 7)


def test_the_short_run_is_taken_off() -> None:
    full = {"reads": 1100, "reader": 3.0, "writer": 2.0, "merging": 1.5, "passing": 1.2, "workers": 40.0}
    short = {"reads": 100, "reader": 1.0, "writer": 0.0, "merging": 0.5, "passing": 0.2, "workers": 10.0}
    each = {"reader": 0.002, "writer": 0.002, "merging": 0.001, "passing": 0.001, "workers": 0.03}
    assert seconds_a_read({**full, "start_up": 0.9}, {**short, "start_up": 0.8}) == pytest.approx(each)


def test_noise_gives_no_negative_share() -> None:
    full = {"reads": 1100, "reader": 1.0, "writer": 2.0, "merging": 1.5, "passing": 0.0, "workers": 40.0}
    assert seconds_a_read(full, {**full, "reads": 100, "reader": 1.1})["reader"] == 0


def test_medians_are_taken_part_by_part() -> None:
    rounds = [
        Shares(1, 9, 5, 1, 100, 70, 7), Shares(2, 7, 4, 2, 300, 80, 8), Shares(3, 8, 6, 3, 200, 75, 3)
    ]  # fmt: skip
    assert median_shares(rounds) == Shares(2, 8, 5, 2, 200, 75, 7)


def test_32_cores_are_judged() -> None:
    judged = [finding for finding in speedup_findings(SHARES, 1.0) if finding.target is not None]
    (finding,) = judged
    assert "32 cores" in finding.what
    assert "reader" in finding.what
    assert (finding.value, finding.verdict) == (pytest.approx(0.8 * 32), "met")
    (finding,) = (f for f in speedup_findings(replace(SHARES, reader=6.0), 1.0) if f.target is not None)
    assert (finding.value, finding.verdict) == (pytest.approx(80 / 6), "NOT MET")


def test_reads_that_outweigh_start_up() -> None:
    # 80 a read, 10 on ten cores; start-up 50 is a twentieth of 50 + 950.
    assert reads_to_outweigh(50.0, SHARES, 10) == pytest.approx(95)


def test_the_table_has_microseconds_and_shares() -> None:
    shares = Shares(3e-6, 2e-6, 1e-6, 1e-6, 93e-6, 80e-6, 5e-6)
    rows = {row[0]: row[1:] for row in share_rows(shares, start_up=2.0, reads=100_000)}
    assert rows["reader"] == ["3.00", "3.00"]
    assert rows["all of it"] == ["100.00", "100.00"]
    assert rows["with one worker"] == ["80.00", "80.00"]
    assert rows["with idle workers, wall time"] == ["5.00", "5.00"]
    assert rows["start-up, 2.00 s a run"] == ["20.00", "20.00"]
