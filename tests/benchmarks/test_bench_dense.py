"""`scripts.benchmarks.dense` on an index so small that its numbers mean nothing: every table is made."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import fastq_text, make_index, random_bases, write

from esa.stores import dense_builder
from esa.stores.dense import DenseParameters
from scripts.benchmarks.dense import CODES, FAR, READ_SETS, SHORTLISTS, VISITED, main
from scripts.common.process_memory import own_and_mapped
from scripts.common.programs import BenchError

BASES = random_bases(np.random.default_rng(1), 60_000)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["dense", *map(str, arguments)])
    main()


def test_every_table_has_its_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    small = replace(DenseParameters(), exact_limit=0, lists_from=1)
    monkeypatch.setattr(dense_builder, "DenseParameters", lambda: small)
    path = make_index(tmp_path, {"a": BASES}, preset="sketch")
    reads = write(tmp_path / "r.fq", fastq_text([("r", BASES[100:250])]))
    out = tmp_path / "tables.json"
    run(monkeypatch, path, "--reads", 20, "--far", "--codes", "--rde", 20, "--align", reads, "--json", out)
    memory, rde, lists, codes = json.loads(out.read_text())["tables"]
    assert memory["rows"][0]["own MB"] > 20
    assert rde["rows"][0]["us a fragment"] > 0
    exact, *others = lists["rows"]
    label = f"{READ_SETS[0][0]} bp {READ_SETS[0][1]} %"
    assert exact["search"] == "exact"
    assert exact[label][0] == 1
    every = [row for row in others if row["search"].startswith("1 list in 1,")]
    # All but what has no positive cosine.
    assert [row[label] for row in every] == [[1.0, 1.0, pytest.approx(1, abs=0.02)]] * 2
    assert len(others) == len(VISITED) * len(SHORTLISTS) + len(FAR) + 1
    assert others[-1]["search"] == "**esa**"
    assert others[-1][label][0] == 1
    assert {row["codes"].split(",")[0] for row in codes["rows"]} == set(CODES)
    assert "| 1 list in 8, 500 ranked |" in capsys.readouterr().out


def test_an_index_without_vectors_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = make_index(tmp_path, {"a": BASES[:3000]})
    with pytest.raises(BenchError, match="has preset anchored, not a dense one"):
        run(monkeypatch, path, "--reads", 2)


def test_a_process_that_has_ended_has_no_memory():
    assert own_and_mapped(2**22 + 1) == (0, 0)
