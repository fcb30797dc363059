"""What the benchmarks print and how they take time."""

from __future__ import annotations

import time

import pytest
from bench_common import median_seconds
from markdown_tables import AtCost, MarkdownTable


def test_a_table_prints_its_rows_and_keeps_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    table = MarkdownTable("Title", "Caption.", {"encoder": "", "recall": ".2f", "us": ".0f"})
    table.begin()
    table.add("sketch", (0.5, 1.0), 12.3)
    table.add("rde", 0.25, "")
    table.add("codes", AtCost(0.5, 1234.4), 1)
    assert capsys.readouterr().out == (
        "\n**Title**\n\nCaption.\n\n| encoder | recall | us |\n|---|---|---|\n"
        "| sketch | 0.50 / 1.00 | 12 |\n| rde | 0.25 |  |\n| codes | 0.500 @ 1,234 | 1 |\n"
    )
    assert table.rows[0] == {"encoder": "sketch", "recall": (0.5, 1.0), "us": 12.3}


def test_tasks_take_turns_and_their_first_run_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    turns: list[str] = []
    cost = {"a": [100.0, 1.0, 9.0, 2.0], "b": [50.0, 5.0, 4.0, 6.0]}
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def run(name: str) -> None:
        clock[0] += cost[name][turns.count(name)]
        turns.append(name)

    assert median_seconds([lambda: run("a"), lambda: run("b")], 3) == [2.0, 5.0]
    assert "".join(turns) == "abababab"
