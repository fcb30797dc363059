"""`esa align` gives what it gave before, to the letter; and what it gave before was right."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path

import pysam
import pytest
from update import CASES, HERE, difference, golden, produce

INPUTS = {
    name: [HERE / x for x in arguments if (HERE / x).is_file()] for name, (_, arguments) in CASES.items()
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("golden")


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("name", CASES)
def test_nothing_changed(name: str, threads: str, folder: Path) -> None:
    changed = difference(name, produce(name, folder, "-t", threads))
    assert changed == "", f"if this is meant: python {HERE / 'update.py'}"


def expectations(path: Path) -> list[tuple[str, str]]:
    """Name and comment of every read of a file."""
    lines = path.read_text().splitlines()
    headers = lines[::4] if path.suffix == ".fq" else [line for line in lines if line.startswith(">")]
    return [(name, comment) for name, comment in (header[1:].split() for header in headers)]


def clip_of(name: str) -> str:
    """The letter of supplementary records' clips."""
    return "S" if "-Y" in CASES[name][1] else "H"


def place(record: pysam.AlignedSegment) -> str:
    if record.is_unmapped:
        return "*"
    strand = "-" if record.is_reverse else "+"
    cigar = (record.cigarstring or "").replace("=", "M")
    return f"{record.reference_name}:{record.reference_start}:{strand}:{cigar}"


@pytest.mark.parametrize("name", CASES)
def test_golden_files_have_the_reads_where_they_belong(name: str) -> None:
    with pysam.AlignmentFile(str(golden(name))) as file:
        records = [record for record in file if not record.is_secondary]
    runs = [list(run) for _, run in groupby(records, lambda record: (record.query_name, record.is_read2))]
    expected = [row for rows in zip(*map(expectations, INPUTS[name]), strict=True) for row in rows]
    assert [run[0].query_name for run in runs] == [read for read, _ in expected]
    for run, (read, where) in zip(runs, expected, strict=True):
        assert [record.is_supplementary for record in run] == [False] + [True] * (len(run) - 1)
        if where != "?":
            assert (read, ";".join(map(place, run))) == (read, where.replace("H", clip_of(name)))
        else:
            assert run[0].mapping_quality <= 3


def test_golden_pairs_are_of_every_kind() -> None:
    with pysam.AlignmentFile(str(golden("pairs"))) as file:
        flags = {record.query_name: record.flag for record in file if record.is_read1}
    proper = {"proper", "proper_turned", "one_on_the_other", "in_the_repeat", "both_in_the_repeat"}
    assert {name for name, flag in flags.items() if flag & 2} == proper | {"second_rescued", "over_the_end"}
    assert Counter(flag & 12 for flag in flags.values()) == {0: 11, 4: 2, 8: 2, 12: 1}


def test_golden_inserts_are_learnt() -> None:
    with pysam.AlignmentFile(str(golden("inserts"))) as file:
        improper = {record.query_name for record in file if not record.is_proper_pair}
    assert improper == {"insert_too_long"}


def test_golden_secondary_records_are_those_of_the_repeat() -> None:
    with pysam.AlignmentFile(str(golden("secondary"))) as file:
        names = {record.query_name for record in file if record.is_secondary}
    assert names == {"in_the_repeat", "both_in_the_repeat"}
    with pysam.AlignmentFile(str(golden("xa"))) as file:
        assert [record.query_name for record in file if record.has_tag("XA")] == ["repeat"]
