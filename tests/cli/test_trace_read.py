"""`esa align --trace-read`: the way of a read on stderr, beside the same records."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import esa


@pytest.fixture(scope="module")
def index(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "x.esa"
    esa("index", data_dir / "lambda_phage.fa.gz", "-o", path, "-q")
    return path


def records(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("@PG")]


@pytest.mark.parametrize("threads", [1, 6])
def test_a_read_is_traced_and_the_records_stay(
    index: Path, data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], threads: int
) -> None:
    reads = tmp_path / "r"
    esa("simulate", data_dir / "lambda_phage.fa.gz", "--pairs", 200, "-o", reads)
    files = [f"{reads}_R{end}.fq.gz" for end in (1, 2)]
    esa("align", index, *files, "-o", tmp_path / "plain.sam", "-q", "-t", threads)
    name = records(tmp_path / "plain.sam")[-1].split("\t")[0]
    capfd.readouterr()
    traced = ("--trace-read", name, "-o", tmp_path / "traced.sam", "-q", "-t", threads)
    esa("align", index, *files, *traced)
    assert records(tmp_path / "traced.sam") == records(tmp_path / "plain.sam")
    text = capfd.readouterr().err
    assert text.startswith(f"{name}: 150 and 150 bases\n")
    assert "level 'sampled minimizers'" in text
    assert text.count(", record: flag ") == 2


def test_a_name_that_no_read_has_is_said(
    index: Path, data_dir: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fastq = tmp_path / "r.fq"
    fastq.write_text("@a\nACGT\n+\nIIII\n")
    esa("align", index, fastq, "--trace-read", "b", "-o", tmp_path / "o.sam", "-q")
    assert capfd.readouterr().err == "esa: no read is named 'b', so none was traced\n"
