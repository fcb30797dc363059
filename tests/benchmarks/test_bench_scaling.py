"""`scripts.benchmarks.scaling`: what is taken as it is, what is worked out from the runs, the picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from samples import esa, fasta_text, random_bases, write

from scripts.benchmarks.scaling.__main__ import COLUMNS, chosen, human_findings, point, row, stage_table
from scripts.benchmarks.scaling.plot import Point, picture, size_text
from scripts.benchmarks.scaling.runs import (
    CHR20_NAME,
    PART,
    WHOLE,
    Aligned,
    Built,
    Folder,
    Genome,
    aligned,
    built,
    summary,
)
from scripts.common.programs import BenchError
from scripts.common.timed_runs import Run
from scripts.common.workplace import Workplace

ALIGNED = Aligned(
    (30_000.0, 20_000.0, 10_000.0),
    (50_000.0, 40_000.0, 45_000.0),
    (0.5, 0.4, 0.6),
    350_000_000,
    400_000_000,
    98.5,
    {"read": 1.5, "cluster": 2.25},
)
MEASURED = Built(4_641_652, 9_283_304, Run(90.0, 150.0, 500_000_000))
PNG = b"\x89PNG\r\n"


def test_rates_of_each_round() -> None:
    stats = [
        {
            "reads": 100,
            "seconds": seconds,
            "first_record_seconds": seconds - 1,
            "stages": {"cluster": seconds / 1e6},
        }
        for seconds in (2.0, 4.0)
    ]
    found = summary([Run(5.0, 0.0, 0), Run(10.0, 0.0, 0)], stats, (7, 9), 99.0)
    assert found == Aligned(
        (20.0, 10.0), (50.0, 25.0), (1.0, 3.0), 7, 9, 99.0, {"cluster": pytest.approx(0.03)}
    )


def test_a_row_holds_medians_and_what_was_not_measured_is_a_dash() -> None:
    genome = chosen("ec")[0]
    cells = dict(zip(COLUMNS, row(genome, MEASURED, ALIGNED, 98.25), strict=True))
    assert (cells["size"], cells["bytes a base"], cells["correct %"]) == ("4.6 Mb", "2.00", "98.500")
    assert (cells["index s"], cells["processor s"], cells["index MB"]) == ("90.0", "150.0", "500")
    assert (cells["reads/s"], cells["reads/s, whole run"], cells["first record s"]) == (
        "45,000",
        "20,000",
        "0.50",
    )
    assert (cells["align MB"], cells["bwa mem's"]) == ("350", "98.250")
    bare = row(genome, Built(4_641_652, 9_283_304, None), ALIGNED, None)
    assert bare[2:5] == ["-", "-", "-"]
    assert bare[-1] == "-"
    assert point(MEASURED, ALIGNED) == Point(4_641_652, 45.0, 20.0, 0.35, 0.5, 1.5)
    assert point(Built(5, 9, None), ALIGNED).index_minutes is None


@pytest.mark.parametrize(("bwa", "verdict"), [(98.5, "met"), (98.501, "NOT MET")])
def test_the_whole_is_held_against_bwa_on_the_part(bwa: float, verdict: str) -> None:
    aligns = {WHOLE: ALIGNED, PART: ALIGNED}
    found = {f.what: f for f in human_findings({WHOLE: MEASURED}, aligns, {PART: bwa, WHOLE: 1.0})}
    assert found[f"correct on {WHOLE}, bwa mem on {PART}"].verdict == verdict
    assert not human_findings({PART: MEASURED}, {PART: ALIGNED}, {PART: bwa})


def test_what_is_asked_at_human_size() -> None:
    slower = replace(ALIGNED, after_start=(20_000.0, 24_000.0, 22_500.0))
    aligns = {WHOLE: slower, CHR20_NAME: ALIGNED}
    found = {f.what: f for f in human_findings({WHOLE: MEASURED}, aligns, {})}
    share = found["reads/s after start-up, to those of chr20"]
    assert (share.values, share.verdict) == ((0.4, 0.6, 0.5), "met")
    assert (found["index, build"].value, found["index, build"].verdict) == (1.5, "met")
    assert found["first record after start-up"].values == (0.5, 0.4, 0.6)
    assert found["two at a time, peak memory"].target is None
    assert not any("bwa" in what for what in found)
    old = human_findings({WHOLE: replace(MEASURED, run=None)}, aligns, {})
    assert "index, build" not in {f.what for f in old}


def test_stages_have_a_row_each() -> None:
    table = stage_table(
        chosen("ec,chr20"), {"ec": ALIGNED, "chr20": replace(ALIGNED, stages={"read": 1, "cluster": 3})}
    )
    assert table.rows == [["read", "1.50", "1.00"], ["cluster", "2.25", "3.00"]]


def test_an_unknown_genome_is_named() -> None:
    with pytest.raises(BenchError, match="mouse"):
        chosen("ec,mouse")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    work = tmp_path / "work"
    work.mkdir()
    return Folder(Workplace(tmp_path, tmp_path, 1), work, 40)


def tiny(_place: Workplace, path: Path) -> None:
    write(path, fasta_text({"a": random_bases(np.random.default_rng(4), 5000)}))


def test_a_genome_is_made_indexed_and_aligned(folder: Folder) -> None:
    genome = Genome("tiny", "tiny", tiny)
    first = built(folder, genome, anew=False)
    assert first.bases == 5000
    assert first.run is not None
    assert built(folder, genome, anew=False) == first
    found = aligned(folder, [genome], rounds=2)["tiny"]
    assert len(found.whole) == len(found.after_start) == len(found.first_record) == 2
    assert all(whole < after for whole, after in zip(found.whole, found.after_start, strict=True))
    assert found.correct_percent > 90
    assert found.peak_bytes > 10_000_000
    assert found.two_peak_bytes > found.peak_bytes
    assert json.loads((folder.work / "tiny.stats.json").read_text())["pairs"] == 40


def state(path: Path) -> tuple[int, int]:
    """What changes if a directory is written, not if it is read."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def test_an_index_that_was_there_is_taken_and_never_written_through_a_link(
    folder: Folder, tmp_path: Path
) -> None:
    genome = Genome("tiny", "tiny", tiny)
    tiny(folder.place, tmp_path / "other.fa")
    esa("index", "-q", tmp_path / "other.fa", "-o", tmp_path / "other.esa")
    folder.index(genome).symlink_to(tmp_path / "other.esa")
    before = state(tmp_path / "other.esa")
    assert built(folder, genome, anew=False).run is None
    assert built(folder, genome, anew=True).run is not None
    assert not folder.index(genome).is_symlink()
    assert state(tmp_path / "other.esa") == before


def test_the_picture_is_small_and_the_same_each_time() -> None:
    points = [Point(4_641_652, 75, 45, 0.2, None, None), Point(3_100_000_000, 30, 20, 6, 11, 8)]
    drawn = picture(points, "caption")
    assert drawn.startswith(PNG)
    assert len(drawn) < 100_000
    assert picture(points, "caption") == drawn
    assert picture(points[:1], "caption").startswith(PNG)


def test_sizes_are_short() -> None:
    assert [size_text(x) for x in (3.1e9, 63_025_520, 4_641_652, 5000, 12)] == [
        "3.1 Gb", "63 Mb", "4.6 Mb", "5.0 kb", "12 b",
    ]  # fmt: skip
