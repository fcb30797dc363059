"""What the benchmarks print and how they take time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from bench_common import CEU76, DATA, DSM30083, NA12878, BenchError, Workplace, median_seconds, named_set
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


def test_real_sets_are_found_by_name_or_by_how_it_begins() -> None:
    assert named_set("NA12878") is NA12878
    assert named_set("ceu 2x76") is CEU76
    assert named_set("DSM 30083") is DSM30083
    for text, fault in (("CEU", "several"), ("chr20", "no real set"), ("", "no real set")):
        with pytest.raises(BenchError, match=fault):
            named_set(text)


def test_what_the_collection_lacks_is_taken_from_the_repository(tmp_path: Path) -> None:
    place = Workplace(tmp_path, tmp_path, 1)
    assert place.source("ref", "lambda_phage.fa.gz") == DATA / "lambda_phage.fa.gz"
    (tmp_path / "ref").mkdir()
    own = tmp_path / "ref" / "lambda_phage.fa.gz"
    own.touch()
    assert place.source("ref", "lambda_phage.fa.gz") == own
    with pytest.raises(BenchError, match="ESA_DATA"):
        place.source("ref", "human_GRCh37_chr20.fa.gz")
