"""`scripts.checks.output_differences`: which records differ, and whether they are better or worse."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pysam
import pytest

from scripts.checks.output_differences import (
    BETTER,
    NEITHER,
    WORSE,
    Difference,
    differences,
    differing_arrays,
    output_lines,
    read_output,
    same_order,
    score_of,
    verdict,
)

HEADER = "@HD\tVN:1.6\n@SQ\tSN:one\tLN:1000\n"
PROGRAM = "@PG\tID:esa\tCL:{}\n"
A1, A2 = (b"a", 1), (b"a", 2)


def record(name: str, flag: int, position: int, score: int = 10) -> str:
    place = "*\t0\t0\t*" if flag & 4 else f"one\t{position}\t60\t10M"
    return f"{name}\t{flag}\t{place}\t*\t0\t0\tACGTACGTAC\t*\tNM:i:0\tAS:i:{score}\n"


WHOLE = (record("a", 65, 1), record("a", 129, 200), record("a", 129 | 2048, 300), record("b", 0, 5))


def write(path: Path, *records: str, program: str = "x", header: str = HEADER) -> Path:
    path.write_text(header + PROGRAM.format(program) + "".join(records))
    return path


def line(text: str) -> bytes:
    return text.rstrip("\n").encode()


def compared(folder: Path, before: tuple[str, ...], after: tuple[str, ...]) -> list[Difference]:
    one, other = write(folder / "one.sam", *before), write(folder / "other.sam", *after)
    return differences(read_output(one), read_output(other))


def test_nothing_but_the_program_line_may_differ(tmp_path: Path) -> None:
    one = read_output(write(tmp_path / "one.sam", *WHOLE, program="1"))
    other = read_output(write(tmp_path / "other.sam", *WHOLE, program="2"))
    assert one == other
    assert differences(one, other) == []
    assert one.header == [b"@HD\tVN:1.6", b"@SQ\tSN:one\tLN:1000"]
    longer = read_output(write(tmp_path / "longer.sam", *WHOLE, header=HEADER.replace("1000", "1001")))
    assert longer.header != one.header


def test_each_record_is_compared_with_that_of_the_same_read_and_end(tmp_path: Path) -> None:
    moved = record("a", 129 | 2048, 301)
    (found,) = compared(tmp_path, WHOLE, (*WHOLE[:2], moved, WHOLE[3]))
    assert found == Difference(A2, line(WHOLE[2]), line(moved))
    assert not found.primary
    first, second = compared(tmp_path, WHOLE, (record("a", 65, 2), record("a", 129, 201), *WHOLE[2:]))
    assert (first.read, second.read) == (A1, A2)
    assert first.primary
    assert second.primary


def test_records_that_one_file_lacks_differ(tmp_path: Path) -> None:
    assert compared(tmp_path, WHOLE, WHOLE[:3]) == [Difference((b"b", 0), line(WHOLE[3]), None)]
    assert compared(tmp_path, WHOLE[:3], WHOLE) == [Difference((b"b", 0), None, line(WHOLE[3]))]
    assert compared(tmp_path, WHOLE, (*WHOLE[:2], WHOLE[3])) == [Difference(A2, line(WHOLE[2]), None)]


def test_the_order_of_the_same_records_is_told_apart(tmp_path: Path) -> None:
    one = read_output(write(tmp_path / "one.sam", *WHOLE))
    for records in ((*WHOLE[3:], *WHOLE[:3]), (WHOLE[0], WHOLE[2], WHOLE[1], WHOLE[3])):
        other = read_output(write(tmp_path / "other.sam", *records))
        assert differences(one, other) == []
        assert not same_order(one, other)


def test_a_record_that_one_file_lacks_does_not_change_the_order(tmp_path: Path) -> None:
    one = read_output(write(tmp_path / "one.sam", *WHOLE))
    for records in (WHOLE[1:], (*WHOLE[:2], WHOLE[3]), (*WHOLE, record("c", 0, 9)), (WHOLE[2], *WHOLE)[1:]):
        other = read_output(write(tmp_path / "other.sam", *records))
        assert same_order(one, other)
        assert same_order(other, one)


def test_a_bam_file_is_compared_by_its_content(tmp_path: Path) -> None:
    sam, bam = write(tmp_path / "x.sam", *WHOLE), tmp_path / "x.bam"
    with (
        pysam.AlignmentFile(str(sam)) as source,
        pysam.AlignmentFile(str(bam), "wb", template=source) as sink,
    ):
        for each in source:
            sink.write(each)
    assert list(output_lines(bam)) == list(output_lines(sam))
    assert len(list(output_lines(sam))) == 6


def test_scores_are_of_mapped_records() -> None:
    assert score_of(line(record("a", 0, 1, 77))) == 77
    assert score_of(line(record("a", 4, 0, 77))) == 0
    assert score_of(None) == -math.inf


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (record("a", 65, 1, 50), record("a", 65, 9, 60), BETTER),
        (record("a", 65, 1, 60), record("a", 65, 9, 50), WORSE),
        (record("a", 65, 1, 50), record("a", 65, 9, 50), NEITHER),
        (record("a", 69, 0), record("a", 65, 9, 50), BETTER),
        (record("a", 65, 1, 50), record("a", 69, 0), WORSE),
        (record("a", 65, 1, 50), None, WORSE),
        (None, record("a", 69, 0), BETTER),
        (record("a", 65 | 2048, 1, 50), record("a", 65 | 2048, 9, 60), NEITHER),
        (record("a", 65 | 256, 1, 50), None, NEITHER),
    ],
)
def test_without_origins_the_score_decides(before: str | None, after: str | None, expected: str) -> None:
    sides = [None if side is None else line(side) for side in (before, after)]
    assert verdict(Difference(A1, *sides), None) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({A1: False, A2: True}, {A1: True, A2: True}, BETTER),
        ({A1: True}, {A1: False, A2: True}, WORSE),
        ({A1: True}, {A1: True}, NEITHER),
        ({A1: False}, {A1: False}, NEITHER),
        ({A1: True}, {}, WORSE),
        ({}, {A1: True}, BETTER),
    ],
)
def test_where_a_read_belongs_decides_if_it_is_known(
    before: dict[tuple[bytes, int], bool], after: dict[tuple[bytes, int], bool], expected: str
) -> None:
    # By score it would be the other way round.
    scores = (60, 50) if expected == BETTER else (50, 60)
    one, other = (line(record("a", 65, 1, score)) for score in scores)
    assert verdict(Difference(A1, one, other), (before, after)) == expected


def test_arrays_are_compared_by_name_and_content(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "manifest.json").write_text(folder)
        np.save(tmp_path / folder / "same.npy", np.arange(5))
        np.save(tmp_path / folder / "unlike.npy", np.arange(5) if folder == "one" else np.arange(5)[::-1])
    assert differing_arrays(tmp_path / "one", tmp_path / "one") == []
    np.save(tmp_path / "one" / "alone.npy", np.arange(2))
    assert differing_arrays(tmp_path / "one", tmp_path / "other") == ["alone.npy", "unlike.npy"]
    assert differing_arrays(tmp_path / "other", tmp_path / "one") == ["alone.npy", "unlike.npy"]
