"""`esa eval`: what it prints and writes, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from esa.cli.main import run

SAM = (
    "@SQ\tSN:chr1\tLN:1000\n"
    "chr1_101_301_0_1_0_0_0:0:0_0:0:0_1\t0\tchr1\t101\t60\t4M\t*\t0\t0\tACGT\t*\n"
    "chr1_501_301_0_1_0_0_0:0:0_0:0:0_2\t0\tchr1\t101\t10\t4M\t*\t0\t0\tACGT\t*\n"
)


@pytest.fixture
def sam(tmp_path: Path) -> str:
    path = tmp_path / "ours.sam"
    path.write_text(SAM)
    return str(path)


def test_report_and_json(sam: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json_file = tmp_path / "measures.json"
    assert run(["eval", sam, f"other={sam}", "--json", str(json_file)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("2 reads, origins from their names (dwgsim)\n")
    assert err == ""
    content = json.loads(json_file.read_text())
    assert [file["name"] for file in content["files"]] == ["ours", "other"]
    assert [file["accuracy"]["wrong"] for file in content["files"]] == [1, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["measures.json", "ours.sam"]


def test_truth_can_be_turned_off_or_come_from_a_file(sam: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["eval", sam, "--truth", "none"]) == 0
    assert "origins unknown" in capsys.readouterr().out
    assert run(["eval", sam, "--truth-file", sam]) == 0
    assert "origins from the file of true alignments" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Missing argument"),
        (["{sam}", "--truth", "art"], 2, "'art' is not one of"),
        (["{sam}", "{sam}"], 2, "both called 'ours'"),
        (["{sam}", "--truth", "none", "--truth-file", "{sam}"], 2, "takes no --truth-file"),
        (["{folder}/missing.bam"], 1, "missing.bam: no such file"),
        (["{sam}", "--truth", "wgsim", "--json", "{folder}/x.json"], 1, "no contig 'chr1_101_301_0_1'"),
        (["{sam}", "--json", "{folder}/no/x.json"], 1, "there is no folder"),
    ],
)
def test_failures(
    sam: str,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["eval", *(text.format(sam=sam, folder=tmp_path) for text in arguments)]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["ours.sam"]
