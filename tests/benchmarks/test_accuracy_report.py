"""Verdicts and tables of the grid, from outcomes made up."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scripts.benchmarks.accuracy.cells import Cell, CellResult, Outcome
from scripts.benchmarks.accuracy.report import as_json, tables
from scripts.benchmarks.accuracy.verdicts import (
    OURS,
    best_peer,
    cell_verdicts,
    pooled_easy,
    required_percent,
    robust,
)
from scripts.common.verdicts import CORRECT, POOLED, VS_BEST, VS_PEER

N = 10_000


def outcome(wrong: range | list[int], mapq: int = 60) -> Outcome:
    """Of `N` reads, all mapped, right but for some."""
    right = np.ones(N, np.bool_)
    right[list(wrong)] = False
    return Outcome(np.ones(N, np.bool_), right, np.full(N, mapq, np.uint8))


def result(cell: Cell, ours: Outcome, *peers: Outcome, orders: tuple[Outcome, ...] = ()) -> CellResult:
    outcomes = dict(zip((OURS, "bwa", "bowtie2", "minimap2"), (ours, *peers), strict=False))
    return CellResult(cell, N // cell.ends, outcomes, orders)


def met(found: CellResult) -> dict[str, bool]:
    return {verdict.rule: verdict.met for verdict in cell_verdicts(found)}


def cell(length: int, divergence: float, layout: str = "single") -> Cell:
    return Cell("chr20", length, divergence, layout)


def test_ruled_cells_are_compared_with_bwa_and_the_best() -> None:
    # b = 30, c = 0: limit 3 + 2 sqrt(30) = 14, twice that 28.
    bwa, ours = outcome([]), outcome(range(30))
    assert met(result(cell(100, 5), ours, bwa)) == {VS_PEER: False, VS_BEST: False}
    assert met(result(cell(100, 5), outcome(range(20)), bwa)) == {VS_PEER: False, VS_BEST: True}
    assert met(result(cell(100, 5), outcome(range(8)), bwa)) == {VS_PEER: True, VS_BEST: True}
    behind_another = result(cell(100, 5), ours, ours, bwa)
    assert best_peer(behind_another) == "bowtie2"
    assert met(behind_another) == {VS_PEER: True, VS_BEST: False}


def test_pairs_count_once() -> None:
    """Both ends of a pair wrong are one pair: 6 of 5,000 are within the noise, 12 are not."""
    both = result(cell(100, 5, "paired"), outcome(range(12)), outcome([]))
    assert met(both)[VS_PEER]
    each = result(cell(100, 5, "paired"), outcome(range(0, 24, 2)), outcome([]))
    assert not met(each)[VS_PEER]


def test_short_reads_may_lose_a_tenth_of_a_point() -> None:
    bwa = outcome([])
    assert met(result(cell(75, 10), outcome(range(10)), bwa)) == {CORRECT: True}
    assert met(result(cell(50, 0.1), outcome(range(11)), bwa)) == {CORRECT: False}


@pytest.mark.parametrize(
    ("length", "divergence", "layout", "bwa_wrong", "required"),
    [
        (250, 10, "single", 0, 97.5),
        (250, 10, "paired", 0, 98.5),
        (150, 10, "single", 0, 93),
        (150, 10, "paired", 0, 97),
        (250, 15, "paired", 0, 95),
        (250, 15, "paired", 8000, 40),
        (250, 15, "single", 0, None),
        (500, 10, "single", 0, None),
    ],
)
def test_targets(length: int, divergence: float, layout: str, bwa_wrong: int, required: float | None) -> None:
    found = result(cell(length, divergence, layout), outcome([]), outcome(range(bwa_wrong)))
    assert required_percent(found) == (required if required is None else pytest.approx(required))


def test_robust_reads_are_right_in_every_order() -> None:
    orders = (outcome([0, 1]), outcome([0, 2]), outcome([0]))
    found = robust(result(cell(100, 2), outcome([1, 5]), outcome([2]), orders=orders))
    assert found is not None
    assert found.share == pytest.approx(100 * (N - 3) / N)
    assert found.ours == pytest.approx(100 * (N - 4) / (N - 3))
    assert found.peer == 100
    assert found.spread == 1
    assert robust(result(cell(100, 2), outcome([]), outcome([]))) is None


def test_pooled_cells_are_the_easy_ones() -> None:
    easy = result(cell(100, 2), outcome(range(40)), outcome(range(10)))
    hard = result(cell(100, 5), outcome(range(9000)), outcome([]))
    found = pooled_easy([easy, hard], 30)
    assert found is not None
    assert (found.ours.wrong, found.peer.wrong, found.ours.total) == (40, 10, N)
    assert found.p < 0.001
    assert not found.verdict.met
    fewer_kept = pooled_easy([result(cell(100, 2), outcome([], mapq=20), outcome([]))], 30)
    assert fewer_kept is not None
    assert (fewer_kept.p, fewer_kept.verdict.met) == (1, False)
    same = pooled_easy([result(cell(100, 2), outcome([1]), outcome([2]))], 30)
    assert same is not None
    assert same.verdict.met
    assert pooled_easy([hard], 30) is None


def test_every_table_is_made() -> None:
    results = [
        result(cell(100, 5), outcome(range(30)), outcome([]), outcome([1]), orders=(outcome([]),)),
        result(Cell("mtb", 75, 2, "paired"), outcome([3]), outcome([4])),
    ]
    made = tables(results)
    titles = [t.title for t in made]
    assert titles[:3] == ["Accuracy", "esa beside its peers, paired", "Reads that luck does not decide"]
    assert sum(t.startswith("Calibration of esa-anchored") for t in titles) == 3
    for made_table in made:
        assert all(len(row) == len(made_table.columns) for row in made_table.rows)
        assert len(made_table.markdown().splitlines()) == len(made_table.rows) + 6
    content = json.loads(json.dumps(as_json(results)))
    assert content["cells"][0]["aligners"][OURS]["correct"] == pytest.approx(99.7)
    assert content["cells"][0]["paired"]["bwa"] == {"n": N, "b": 30, "c": 0}
    assert {v["rule"] for v in content["verdicts"] if not v["met"]} >= {VS_PEER}
    assert POOLED in {v["rule"] for v in content["verdicts"]}


def test_a_run_without_peers_has_its_table() -> None:
    results = [result(cell(100, 2), outcome([1]))]
    assert [t.title.split(":")[0] for t in tables(results)] == [
        "Accuracy",
        "Calibration of esa-anchored",
        "Verdicts",
    ]
