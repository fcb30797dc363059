"""`scripts.checks.compare_baseline`: what a comparison finds, counts and shows."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.checks.compare_baseline import COLUMNS, Compared, chosen_sets, compare, thread_counts
from scripts.checks.output_differences import BETTER, NEITHER, WORSE, Difference
from scripts.common.speed_sets import SpeedSet

HEADER = "@HD\tVN:1.6\n@SQ\tSN:one\tLN:1000\n"
BASES = "ACGTACGTAC"
ORIGINS = (11, 501, 901)
NAMES = [f"one_{start}_1_0_0_0_0_0:0:0_0:0:0_{i:x}" for i, start in enumerate(ORIGINS)]
SAME = Compared("set", "baseline", [], True, True, 6, [])


def sam(path: Path, positions: tuple[int, ...], score: int = 10) -> Path:
    lines = [
        f"{name}\t0\tone\t{position}\t60\t10M\t*\t0\t0\t{BASES}\t*\tAS:i:{score}\n"
        for name, position in zip(NAMES, positions, strict=True)
    ]
    path.write_text(HEADER + "".join(lines))
    return path


def reads(length: int | None, window: tuple[str, int, int] | None = None) -> SpeedSet:
    return SpeedSet("set", "set", (Path("R1.fq"),), length, window)


def verdicts(folder: Path, of: SpeedSet, before: tuple[int, ...], after: tuple[int, ...]) -> list[str]:
    found = compare(of, "baseline", sam(folder / "1.sam", before, 20), sam(folder / "2.sam", after))
    assert found.records == 3
    return [verdict for _, verdict in found.judged]


def test_simulated_reads_are_judged_by_their_names(tmp_path: Path) -> None:
    found = verdicts(tmp_path, reads(10), (11, 300, 901), (700, 501, 902))
    assert found == [WORSE, BETTER, NEITHER]


def test_real_reads_are_judged_by_their_window(tmp_path: Path) -> None:
    found = verdicts(tmp_path, reads(None, ("one", 100, 200)), (150, 11, 901), (11, 150, 903))
    assert found == [WORSE, BETTER, NEITHER]


def test_reads_without_origin_are_judged_by_their_scores(tmp_path: Path) -> None:
    assert verdicts(tmp_path, reads(None), ORIGINS, ORIGINS) == [WORSE] * 3


def test_equal_files_are_equal(tmp_path: Path) -> None:
    one, other = sam(tmp_path / "1.sam", ORIGINS), sam(tmp_path / "2.sam", ORIGINS)
    assert compare(reads(10), "baseline", one, other).equal
    other.write_text(other.read_text().replace("LN:1000", "LN:1001"))
    found = compare(reads(10), "baseline", one, other)
    assert (found.equal, found.same_header, found.same_order) == (False, False, True)
    lines = one.read_text().splitlines(keepends=True)
    other.write_text("".join([*lines[:2], lines[3], lines[2], lines[4]]))
    found = compare(reads(10), "baseline", one, other)
    assert (found.equal, found.same_header, found.same_order) == (False, True, False)


def test_whatever_differs_is_no_equality() -> None:
    judged = [(Difference((b"a", 0), b"x", None), NEITHER)]
    unlike = ({"arrays": ["a.npy"]}, {"same_header": False}, {"same_order": False}, {"judged": judged})
    assert SAME.equal
    assert replace(SAME, arrays=None).equal
    assert not any(replace(SAME, **change).equal for change in unlike)


def test_a_row_counts_the_verdicts() -> None:
    judged = [
        (Difference((bytes([i]), 0), None, b"x"), verdict)
        for i, verdict in enumerate([BETTER] * 3 + [WORSE] * 2 + [NEITHER])
    ]
    row = replace(SAME, arrays=["a.npy"], same_order=False, records=1234, judged=judged).row()
    assert len(row) == len(COLUMNS)
    assert row == ["set", "baseline", "DIFFERENT", "same", "DIFFERENT", "1,234", "6", "3", "2", "1"]
    assert replace(SAME, arrays=None).row()[2] == ""


def test_what_is_judged_is_shown_first() -> None:
    judged = [
        (Difference((b"n", 1), b"n1", b"n2"), NEITHER),
        (Difference((b"w", 2), b"w1", None), WORSE),
        (Difference((b"b", 0), b"b1", b"b2"), BETTER),
    ]
    text = replace(SAME, arrays=["a.npy"], judged=judged).examples(2)
    assert text.splitlines() == [
        "set, baseline:",
        "  arrays of the index: a.npy",
        "  worse: w, end 2",
        "    - w1",
        "    + (no record)",
        "  better: b, end 0",
        "    - b1",
        "    + b2",
    ]


def test_options_are_checked() -> None:
    assert thread_counts("1,2,6") == [1, 2, 6]
    assert chosen_sets("chr20,lambda") == ["chr20", "lambda"]
    with pytest.raises(argparse.ArgumentTypeError, match="at least"):
        thread_counts("2,0")
    with pytest.raises(ValueError, match="x"):
        thread_counts("x")
    with pytest.raises(argparse.ArgumentTypeError, match="no such set: chr21"):
        chosen_sets("lambda,chr21")
