"""`esa.align.statistics`: no second counts twice, and what several threads did adds up."""

from __future__ import annotations

import pytest

from esa.align import statistics
from esa.align.statistics import RunStatistics


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that a test sets."""
    now = [100.0]
    monkeypatch.setattr(statistics.time, "perf_counter", lambda: now[0])
    return now


def test_a_stage_within_another_stops_its_clock(clock: list[float]):
    spent = RunStatistics()
    with spent.stage("split"):
        clock[0] += 1
        with spent.stage("cluster"):
            clock[0] += 2
            with spent.stage("verify"):
                clock[0] += 4
        clock[0] += 8
        with spent.stage("cluster"):
            clock[0] += 16
    clock[0] += 32
    with spent.stage("pair"):
        clock[0] += 64
    assert spent.seconds == {"split": 9, "cluster": 18, "verify": 4, "pair": 64}


def test_a_stage_that_fails_ends(clock: list[float]):
    spent = RunStatistics()

    def fail() -> None:
        with spent.stage("read"):
            clock[0] += 1
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    clock[0] += 2
    with spent.stage("pair"):
        clock[0] += 4
    assert spent.seconds == {"read": 1, "pair": 4}


def test_work_adds_up(clock: list[float]):
    spent, other = RunStatistics(), RunStatistics()
    for one in (spent, other):
        with one.stage("read"):
            clock[0] += 1
        one.count("minimizers", reads=2, hits=5)
    other.count("sliding", reads=1)
    spent.add(other)
    assert spent.seconds == {"read": 2}
    assert spent.levels == {"minimizers": {"reads": 4, "hits": 10}, "sliding": {"reads": 1}}
    assert other.levels["minimizers"] == {"reads": 2, "hits": 5}
