"""`esa info`: what it prints, for people and for machines, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from esa.cli.main import run
from esa.index.manifest import FORMAT_VERSION, Contig
from esa.index.reader import open_directory
from esa.index.writer import DirectoryWriter


@pytest.fixture
def index(tmp_path: Path) -> Path:
    with DirectoryWriter(tmp_path / "x.esa") as writer:
        writer.add("codes", np.arange(10_000, dtype=np.uint64).reshape(-1, 2))
        writer.add_file("encoder.safetensors", b"weights")
        writer.commit(
            preset="anchored",
            parameters={"fragmenter": {"window": 16}, "learned": True},
            contigs=[Contig(f"chr{i}", 5_000, f"{i:032x}") for i in range(8)],
            statistics={"n_bases": 1_234, "fragments": 5_000, "short_contigs": 2},
        )
    return tmp_path / "x.esa"


def test_shows_the_manifest(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", str(index)]) == 0
    shown = dict(line.split("  ", 1) for line in capsys.readouterr().out.replace("\n  ", "\n").splitlines())
    shown = {label.strip(): value.strip() for label, value in shown.items()}
    assert shown["Index"] == str(index)
    assert shown["Format"].startswith(f"{FORMAT_VERSION} (written by esa ")
    assert shown["Preset"] == "anchored"
    assert shown["fragmenter.window"] == "16"
    assert shown["learned"] == "True"
    assert shown["Contigs"] == "8"
    assert shown["chr4"] == "5,000 bases, M5 " + "0" * 31 + "4"
    assert "chr5" not in shown
    assert shown["..."].startswith("and 3 more")
    assert shown["Bases"] == "40,000"
    assert shown["N"] == "1,234"
    assert shown["Fragments"] == "5,000"
    assert shown["short_contigs"] == "2"
    assert shown["codes"] == "80,128 bytes, u8 [5000, 2]"
    assert shown["encoder.safetensors"] == "7 bytes"
    assert shown["On disk"] == "80,135 bytes, 2.00 a base"


def test_json_is_the_manifest_alone(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "--json", "--verify", str(index)]) == 0
    captured = capsys.readouterr()
    assert captured.out == (index / "manifest.json").read_text()
    assert len(json.loads(captured.out)["contigs"]) == 8
    assert captured.err.startswith("OK")


def test_verify_says_ok(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", "--verify", "-t", "2", str(index)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("OK: ")


def test_verify_reads_everything(
    index: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esa.index.reader.AUTO_VERIFY_BYTES", 0)
    content = (index / "codes.npy").read_bytes()
    (index / "codes.npy").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    open_directory(index)
    assert run(["info", "--verify", str(index)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"esa: {index}: codes.npy: altered")


def test_what_is_no_index_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.fa").write_text(">a\nACGT\n")
    assert run(["info", str(tmp_path / "x.fa")]) == 1
    assert "run 'esa index" in capsys.readouterr().err
    assert run(["info"]) == 2
