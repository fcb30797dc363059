"""`scripts/serial_share.py`: what serial parts allow on many cores, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from serial_share import (
    Shares,
    median_shares,
    reads_to_outweigh,
    share_rows,
    shares_of,
    speedup_findings,
)

# Of 100: reader 3, main thread 2 + 1, workers 94.
SHARES = Shares(reader=3.0, writer=2.0, merging=1.0, workers=94.0)


def test_the_slowest_stage_bounds_a_pipeline() -> None:
    shares = Shares(reader=4.0, writer=2.0, merging=1.0, workers=93.0)
    assert shares.slowest == "reader"
    assert [shares.pipeline_speedup(n) for n in (1, 8, 32, 128)] == [1, 8, 25, 25]


def test_writing_and_merging_are_one_stage() -> None:
    shares = Shares(reader=4.0, writer=3.0, merging=2.0, workers=91.0)
    assert shares.slowest == "main thread"
    assert shares.pipeline_speedup(128) == 20


def test_the_lock_is_a_stage_where_it_is_known() -> None:
    shares = Shares(reader=3.0, writer=2.0, merging=1.0, workers=94.0, lock=10.0)
    assert shares.total == 100
    assert shares.slowest == "Python's lock"
    assert shares.pipeline_speedup(32) == 10
    assert SHARES.pipeline_speedup(128) == pytest.approx(100 / 3)


def test_amdahl_spreads_the_workers_alone() -> None:
    assert SHARES.amdahl_speedup(1) == pytest.approx(1)
    assert SHARES.amdahl_speedup(2) == pytest.approx(100 / (6 + 47))
    assert SHARES.amdahl_speedup(10**9) == pytest.approx(100 / 6)


def test_the_short_run_is_taken_off() -> None:
    full = {"reads": 1100, "reader": 3.0, "writer": 2.0, "merging": 1.5, "workers": 40.0, "start_up": 0.9}
    short = {"reads": 100, "reader": 1.0, "writer": 0.0, "merging": 0.5, "workers": 10.0, "start_up": 0.8}
    assert shares_of(full, short, lock=0.5) == Shares(0.002, 0.002, 0.001, 0.03, 0.5)


def test_noise_gives_no_negative_share() -> None:
    full = {"reads": 1100, "reader": 1.0, "writer": 2.0, "merging": 1.5, "workers": 40.0}
    short = {"reads": 100, "reader": 1.1, "writer": 0.0, "merging": 0.5, "workers": 10.0}
    assert shares_of(full, short).reader == 0


def test_medians_are_taken_part_by_part() -> None:
    rounds = [Shares(1, 9, 5, 100, 7), Shares(2, 7, 4, 300, 8), Shares(3, 8, 6, 200, 3)]
    assert median_shares(rounds) == Shares(2, 8, 5, 200, 7)
    assert median_shares([SHARES, SHARES]).lock is None


def test_32_cores_are_judged() -> None:
    assert all(finding.target is None for finding in speedup_findings(SHARES, 1.0))
    known = replace(SHARES, lock=1.0)
    judged = [finding for finding in speedup_findings(known, 1.0) if finding.target is not None]
    (finding,) = judged
    assert "32 cores" in finding.what
    assert "reader" in finding.what
    assert (finding.value, finding.verdict) == (32, "met")
    slow = Shares(reader=6.0, writer=0.0, merging=0.0, workers=94.0, lock=1.0)
    (finding,) = (f for f in speedup_findings(slow, 1.0) if f.target is not None)
    assert (finding.value, finding.verdict) == (pytest.approx(100 / 6), "NOT MET")


def test_reads_that_outweigh_start_up() -> None:
    # 100 a read, so 10 on ten cores; start-up 50 is a twentieth of 50 + 950.
    assert reads_to_outweigh(50.0, SHARES, 10) == pytest.approx(95)


def test_the_table_has_microseconds_and_shares() -> None:
    shares = Shares(reader=3e-6, writer=2e-6, merging=1e-6, workers=94e-6, lock=5e-6)
    rows = {row[0]: row[1:] for row in share_rows(shares, start_up=2.0, reads=100_000)}
    assert rows["reader"] == ["3.00", "3.00"]
    assert rows["all of it"] == ["100.00", "100.00"]
    assert rows["Python's lock held, any thread"] == ["5.00", "5.00"]
    assert rows["start-up, 2.00 s a run"] == ["20.00", "20.00"]
