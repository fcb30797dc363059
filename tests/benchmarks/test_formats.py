"""`scripts.benchmarks.formats` on a few reads: both sides end alike, and where they do not, nothing is timed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pysam
import pytest
from samples import write

from esa.io.bam import BamFormatter
from scripts.benchmarks import formats
from scripts.common.programs import BenchError

READS = 9000
"""More than a batch."""


def test_every_comparison_has_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "io.json"
    monkeypatch.setattr(sys, "argv", ["formats", "--reads", "300", "--rounds", "1", "--json", str(out)])
    formats.main()
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == 8
    assert all(row["ratio"] > 0 for row in rows)
    shown = capsys.readouterr().out
    assert all(row["name"] in shown for row in rows)


def test_both_write_the_same_bam(tmp_path: Path) -> None:
    plain, packed = formats.prepare(formats.DEFAULT_READS, READS, tmp_path)
    data = formats.aligned(packed)
    assert sum(len(batch) for batch, _ in data) == READS
    formats.require_equal(plain, data, tmp_path)
    paths = [tmp_path / f"{name}.bam" for name in ("ours", "quick", "small")]
    formats.write_by_esa(BamFormatter, data, paths[0])
    for path, level in zip(paths[1:], (1, 6), strict=True):
        formats.write_by_pysam("wb", data, path, level)
    texts = []
    for path in paths:
        with pysam.AlignmentFile(str(path)) as file:
            texts.append([str(file.header), *(record.to_string() for record in file)])
    assert texts[0] == texts[1] == texts[2]
    assert paths[2].stat().st_size < paths[1].stat().st_size


def test_what_differs_is_not_timed(tmp_path: Path) -> None:
    plain = Path(write(tmp_path / "a.fq", "@a\nACGT\n+\nIIII\n"))
    other = Path(write(tmp_path / "b.fq", "@a\nACGA\n+\nIIII\n"))
    with pytest.raises(BenchError, match="read other codes"):
        formats.require_equal(other, formats.aligned(plain), tmp_path)
    with pytest.raises(BenchError, match="holds no reads"):
        formats.prepare(Path(write(tmp_path / "c.fq", "")), 5, tmp_path)
