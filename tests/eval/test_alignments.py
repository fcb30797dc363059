from __future__ import annotations

import random
from pathlib import Path

import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samfile import HEADER, line, write

from esa.errors import EsaError
from esa.eval.alignments import Contigs, read_alignments, unclipped

LETTERS = "MIDNSHP=X"


@pytest.mark.parametrize(
    ("cigar", "expected"),
    [
        ("50M", (100, 150, 50)),
        ("5S45M", (95, 145, 50)),
        ("45M5S", (100, 150, 50)),
        ("3H2S40M4S1H", (95, 145, 50)),
        ("20M10D30M", (100, 160, 50)),
        ("20M10I20M", (100, 140, 50)),
        ("20=5X5N25M", (100, 155, 50)),
        ("10S5I35M", (90, 135, 50)),
        ("50S", (50, 100, 50)),
    ],
)
def test_unclipped(cigar: str, expected: tuple[int, int, int]) -> None:
    segment = pysam.AlignedSegment()
    segment.cigarstring = cigar
    assert unclipped(100, segment.cigartuples) == expected


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, 7, 8]), st.integers(1, 60)), min_size=1, max_size=8),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_clipping_undone_is_the_reference_span_widened(
    core: list[tuple[int, int]], leading: int, trailing: int
) -> None:
    start, end, length = unclipped(1000, [(4, leading), (0, 1), *core, (0, 1), (5, trailing)])
    inner_start, inner_end, inner_length = unclipped(1000, [(0, 1), *core, (0, 1)])
    assert (start, end, length) == (
        inner_start - leading,
        inner_end + trailing,
        inner_length + leading + trailing,
    )
    segment = pysam.AlignedSegment()
    segment.cigartuples = [(0, 1), *core, (0, 1)]
    assert inner_end - inner_start == segment.reference_length
    assert inner_length == segment.infer_read_length()


def test_only_primary_records_count(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.sam",
        line("r", 0, position=101),
        line("r", 256, position=901),
        line("r", 2048, "chr2"),
        line("s", 4),
    )
    alignments, names = read_alignments(path, Contigs())
    assert list(names) == [b"r", b"s"]
    r, s = names.row
    assert alignments.start[r] == 100
    assert alignments.contig[r] == 0
    assert alignments.contig[s] == -1
    assert alignments.length[s] == 50


def test_ends_and_flags(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.sam",
        line("p/1", 0x1 | 0x2 | 0x40 | 0x20),
        line("p/2", 0x1 | 0x80 | 0x10, "chr2", mapq=7),
        line("p", 0x40),  # not paired: the bit has no meaning
    )
    alignments, names = read_alignments(path, Contigs())
    first, second, single = names.row
    assert [int(alignments.key[row]) & 3 for row in (first, second, single)] == [1, 2, 0]
    assert len({int(alignments.key[row]) >> 2 for row in (first, second, single)}) == 1
    assert list(alignments.proper[names.row]) == [True, False, False]
    assert list(alignments.reverse[names.row]) == [False, True, False]
    assert list(alignments.mapq[names.row]) == [60, 7, 60]


def test_order_of_records_and_contigs_does_not_matter(tmp_path: Path) -> None:
    lines = [line(f"r{i}", 0, f"chr{i % 2 + 1}", 10 * i + 1) for i in range(30)]
    contigs = Contigs()
    first, _ = read_alignments(write(tmp_path / "a.sam", *lines), contigs)
    random.Random(1).shuffle(lines)
    head, *squeeze = HEADER.splitlines(keepends=True)
    header = head + "".join(reversed(squeeze))
    second, _ = read_alignments(write(tmp_path / "b.sam", *lines, header=header), contigs)
    for column in ("key", "contig", "start", "end", "length", "mapq"):
        assert (getattr(first, column) == getattr(second, column)).all(), column


def test_bam_reads_as_sam(tmp_path: Path) -> None:
    path = write(tmp_path / "a.sam", *(line(f"r{i}", 16 * (i % 2), "chr2", i + 1, i) for i in range(9)))
    bam = str(tmp_path / "a.bam")
    with pysam.AlignmentFile(path) as source, pysam.AlignmentFile(bam, "wb", template=source) as target:
        for record in source:
            target.write(record)
    sam_alignments, _ = read_alignments(path, Contigs())
    bam_alignments, _ = read_alignments(bam, Contigs())
    for column in ("key", "contig", "start", "end", "length", "mapq", "reverse"):
        assert (getattr(sam_alignments, column) == getattr(bam_alignments, column)).all(), column


def test_a_read_with_two_primary_records_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.sam", line("q"), line("twice"), line("r"), line("twice", position=500))
    with pytest.raises(EsaError, match=r"a\.sam: read 'twice' has two primary records"):
        read_alignments(path, Contigs())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no SAM or BAM file"),
        (b"hello\nworld\n", "no SAM or BAM file"),
        (bytes(range(256)) * 4, "no SAM or BAM file"),
        (b"@r\nACGT\n+\nIIII\n", "is FASTQ.*; give a SAM or BAM file"),
        (b">r\nACGT\n", "is FASTA.*; give a SAM or BAM file"),
        (line("r").encode(), "has no @SQ lines; write SAM with its header"),
        ((HEADER + line("r") + line("s")[:20]).encode(), "record 2 is truncated or malformed"),
        ((HEADER + line("r") + line("s").replace("101", "x")).encode(), "record 2 is truncated or malformed"),
    ],
)
def test_what_is_no_alignment_file_is_refused(
    tmp_path: Path, content: bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.sam"
    path.write_bytes(content)
    with pytest.raises(EsaError, match=rf"a\.sam: {message}"):
        read_alignments(str(path), Contigs())
    assert capfd.readouterr() == ("", "")


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EsaError, match="no such file"):
        read_alignments(str(tmp_path / "a.sam"), Contigs())
    with pytest.raises(EsaError, match="is a folder"):
        read_alignments(str(tmp_path), Contigs())


@pytest.mark.parametrize("damage", ["end marker", "half", "flipped byte"])
def test_damaged_bam_is_refused(tmp_path: Path, damage: str, capfd: pytest.CaptureFixture[str]) -> None:
    bam = tmp_path / "a.bam"
    source = write(tmp_path / "a.sam", *(line(f"r{i}", position=i + 1) for i in range(5000)))
    with (
        pysam.AlignmentFile(source) as records,
        pysam.AlignmentFile(str(bam), "wb", template=records) as target,
    ):
        for record in records:
            target.write(record)
    content = bytearray(bam.read_bytes())
    if damage == "end marker":
        del content[-28:]
    elif damage == "half":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 0xFF
    bam.write_bytes(content)
    with pytest.raises(EsaError, match="truncated"):
        read_alignments(str(bam), Contigs())
    assert capfd.readouterr() == ("", "")
