"""`esa align --stats`: what a run spent and where."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from samples import comparable, esa, fastq_text, make_index, random_bases, write

from esa.align.statistics import LEVEL_COUNTS, STAGES
from esa.cli.main import run

GENOME = {"a": random_bases(np.random.default_rng(51), 20_000)}
READS = [(f"read{i}", GENOME["a"][100 * i : 100 * i + 100]) for i in range(50)]
STRANGERS = [(f"stranger{i}", random_bases(np.random.default_rng(i), 100)) for i in range(5)]


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return make_index(tmp_path, GENOME)


@pytest.mark.parametrize("threads", [1, 2])
def test_stats_say_what_was_done(index: Path, tmp_path: Path, threads: int):
    reads = write(tmp_path / "R1.fq", fastq_text([*READS, *STRANGERS]))
    plain, timed, stats = (tmp_path / name for name in ("plain.sam", "timed.sam", "stats.json"))
    esa("align", index, reads, "-q", "-o", plain)
    esa("align", index, reads, "-q", "-o", timed, "-t", threads, "--batch-size", 20, "--stats", stats)
    assert comparable(timed.read_text()) == comparable(plain.read_text())
    stats = json.loads(stats.read_text())
    assert (stats["reads"], stats["mapped"], stats["threads"], stats["insert_size"]) == (
        55,
        50,
        threads,
        None,
    )
    assert tuple(stats["stages"]) == STAGES
    assert all(seconds >= 0 for seconds in stats["stages"].values())
    # Of `threads` workers, a reader and a writer.
    assert 0 < sum(stats["stages"].values()) < (threads + 2) * stats["seconds"] + 0.01
    assert 0 < stats["first_record_seconds"] <= stats["seconds"]
    levels = {level["name"]: level for level in stats["levels"]}
    first = levels["sampled minimizers"]
    assert (first["reads"], first["share_of_reads"]) == (55, 1)
    assert levels["minimizers"]["reads"] < 10
    # What belongs nowhere comes to all levels that take reads of its length, the others to the first alone.
    for later in ("edited minimizers", "overhang", "sliding"):
        assert levels[later]["reads"] == 5
    for level in levels.values():
        assert set(LEVEL_COUNTS) <= set(level)
        assert level["scanned"] >= level["hits"]


def test_a_place_that_cannot_be_written_is_known_first(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    reads = write(tmp_path / "R1.fq", fastq_text(READS))
    out = tmp_path / "out.sam"
    assert (
        run(["align", str(index), reads, "-q", "-o", str(out), "--stats", str(tmp_path / "no" / "x.json")])
        == 1
    )
    assert "no" in capsys.readouterr().err
    assert not out.exists()


def test_no_stats_are_left_of_a_run_that_failed(index: Path, tmp_path: Path):
    stats = tmp_path / "stats.json"
    broken = write(tmp_path / "R1.fq", "@r\nACGT\n+\nII\n")
    assert run(["align", str(index), broken, "-q", "-o", str(tmp_path / "o.sam"), "--stats", str(stats)]) == 1
    assert not stats.exists()


def test_no_stats_are_left_if_the_output_gets_no_name(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    stats, out = tmp_path / "stats.json", tmp_path / "o.sam"

    def replace(source: str, target: str) -> None:
        if target == str(out):
            raise OSError(errno.ENOSPC, "No space left on device")
        os.rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    reads = write(tmp_path / "R1.fq", f"@r\nACGT\n+\n{'I' * 4}\n")
    assert run(["align", str(index), reads, "-q", "-o", str(out), "--stats", str(stats)]) == 1
    assert not stats.exists()
