"""`scripts.benchmarks.encoders` on a reference so small that its numbers mean nothing: every table is made."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from samples import fasta_text, random_bases

from scripts.benchmarks.encoders.__main__ import READ_SETS, main


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "small.fa"
    path.write_text(fasta_text({"a": random_bases(np.random.default_rng(1), 30_000)}))
    return path


def test_every_table_has_its_rows(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "tables.json"
    options = ["--encoders", "--stores", "--frontier", "--transfer", "--store-encoder", "sketch"]
    arguments = [*options, "--reference", str(reference), "--data", str(tmp_path), "--reads", "20"]
    monkeypatch.setattr(sys, "argv", ["encoders", *arguments, "--json", str(out)])
    main()
    dense, codes, stores, frontier, transfer = json.loads(out.read_text())["tables"]
    assert [row["encoder"] for row in dense["rows"]] == ["sketch", *["rde"] * 3]
    assert {row["encoder"].split(",")[0] for row in codes["rows"]} == {"projection", "codes"}
    exact = f"{READ_SETS[0][0]} bp {READ_SETS[0][1]} %"
    assert all(row[exact][0] == 1 for row in dense["rows"] if row["dimensions"] == 256)
    # A genome some 100,000 times as large says nothing of repeat buckets.
    assert not any("Gb, probes: 4" in row["encoder"] for row in codes["rows"])
    assert len(stores["rows"]) > 5
    assert {row["encoder"] for row in frontier["rows"]} == {"projection", "codes"}
    assert transfer["rows"] == []
    printed = capsys.readouterr()
    assert "| codes, level `minimizers` |" in printed.out
    # Its keys are not those of margins: another script measures it.
    assert "edited minimizers" not in printed.out
    assert "left out" in printed.err
