"""`scripts.common.speed_sets`: repeated reads have names of their own; an output is judged against its reads."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.common.speed_sets import Judgement, SpeedSet, judge, repeat_reads, right_reads

HEADER = "@HD\tVN:1.6\n@SQ\tSN:one\tLN:1000\n@SQ\tSN:two\tLN:1000\n"
BASES = "ACGTACGTAC"


def record(name: str, flag: int, contig: str, position: int) -> str:
    cigar = "*" if flag & 4 else "10M"
    return f"{name}\t{flag}\t{contig}\t{position}\t60\t{cigar}\t*\t0\t0\t{BASES}\t*\n"


def fastq(path: Path, names: list[str]) -> Path:
    path.write_text("".join(f"@{name}\n{BASES}\n+\n{'I' * len(BASES)}\n" for name in names))
    return path


@pytest.fixture
def real(tmp_path: Path) -> SpeedSet:
    files = fastq(tmp_path / "R1.fq", ["a/1 x", "b/1"]), fastq(tmp_path / "R2.fq", ["a/2 y", "b/2"])
    return SpeedSet("real", "real", files, None, window=("one", 100, 200))


def judged(tmp_path: Path, reads: SpeedSet, *records: str) -> Judgement:
    sam = tmp_path / "out.sam"
    sam.write_text(HEADER + "".join(records))
    return judge(sam, reads, reads.names())


WHOLE = (
    record("a", 65, "one", 101),  # 0-based 100
    record("a", 129, "one", 201),  # one base behind the window
    record("b", 69, "*", 0),
    record("b", 129, "two", 101),
)


def test_a_whole_output_and_its_window(tmp_path: Path, real: SpeedSet) -> None:
    assert real.names() == {(b"a", 1), (b"a", 2), (b"b", 1), (b"b", 2)}
    assert judged(tmp_path, real, *WHOLE) == Judgement("", 75.0, 25.0)


@pytest.mark.parametrize(("position", "right"), [(91, 0), (92, 25), (200, 25), (201, 0)])
def test_the_window_is_half_open(tmp_path: Path, real: SpeedSet, position: int, right: float) -> None:
    assert judged(tmp_path, real, record("a", 65, "one", position), *WHOLE[1:]).right_percent == right


def test_other_records_of_a_read_do_not_count(tmp_path: Path, real: SpeedSet) -> None:
    extra = record("a", 65 | 256, "one", 150), record("a", 65 | 2048, "one", 150)
    assert judged(tmp_path, real, *WHOLE, *extra) == Judgement("", 75.0, 25.0)


def test_a_read_without_a_primary_record_is_missed(tmp_path: Path, real: SpeedSet) -> None:
    without = judged(tmp_path, real, *WHOLE[:3], record("b", 129 | 2048, "two", 101))
    assert without.fault == "1 reads missing, 0 not of the set"
    # Four records, but one end twice.
    assert "two primary records" in judged(tmp_path, real, *WHOLE[:3], WHOLE[2]).fault


def test_a_foreign_read_is_seen(tmp_path: Path, real: SpeedSet) -> None:
    assert judged(tmp_path, real, *WHOLE, record("c", 65, "one", 1)).fault == (
        "0 reads missing, 1 not of the set"
    )


def test_simulated_reads_are_judged_by_their_names(tmp_path: Path) -> None:
    names = [f"one_{start}_1_0_0_0_0_0:0:0_0:0:0_{i:x}" for i, start in enumerate((11, 501, 901))]
    reads = SpeedSet("1x10", "s", (fastq(tmp_path / "R1.fq", names),), 10)
    placed = [
        record(names[0], 0, "one", 11),
        record(names[1], 0, "two", 501),
        record(names[2], 16, "one", 901),
    ]
    seen = judged(tmp_path, reads, *placed)
    assert seen.fault == ""
    assert seen.right_percent == pytest.approx(100 / 3)
    assert seen.mapped_percent == 100


def test_repeated_reads_differ_in_name_alone(tmp_path: Path) -> None:
    source = tmp_path / "r.fq.gz"
    source.write_bytes(gzip.compress(b"@x/1\nAC\n+\nII\n@y/1\nGG\n+\nJJ\n"))
    out = tmp_path / "R1.fq"
    repeat_reads(source, 5, out)
    text = out.read_text()
    assert text.splitlines()[0::4] == ["@x/1", "@y/1", "@1:x/1", "@1:y/1", "@2:x/1"]
    assert text.splitlines()[1::4] == ["AC", "GG", "AC", "GG", "AC"]
    assert text.splitlines()[3::4] == ["II", "JJ", "II", "JJ", "II"]
    repeat_reads(source, 1, out)
    assert out.read_text() == "@x/1\nAC\n+\nII\n"


def test_reads_without_origin_are_counted_but_not_judged(tmp_path: Path, real: SpeedSet) -> None:
    unknown = replace(real, window=None)
    assert judged(tmp_path, unknown, *WHOLE) == Judgement("", 75.0, None)


def test_each_read_is_right_by_its_own_record(tmp_path: Path, real: SpeedSet) -> None:
    sam = tmp_path / "out.sam"
    sam.write_text(HEADER + "".join(WHOLE))
    assert right_reads(sam, real) == {(b"a", 1): True, (b"a", 2): False, (b"b", 1): False, (b"b", 2): False}
