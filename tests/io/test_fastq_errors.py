"""Every way a read file can be wrong: the error names file, record and remedy."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esa.errors import ReadsError, UsageError
from esa.io.fastq import ReadSource

GOOD = b"@ok%d\nACGT\n+\nIIII\n"
CHUNKS = (1, 7, 50, 1 << 20)


def good(n: int) -> bytes:
    return b"".join(GOOD % i for i in range(n))


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def failure(*paths: str, **options: int) -> str:
    """The message of the ReadsError that reading the files ends with."""
    with (
        pytest.raises(ReadsError) as caught,
        ReadSource(*paths, **options) as source,  # type: ignore[arg-type]
    ):
        for _ in source:
            pass
    return str(caught.value)


FASTQ_FAULTS = {
    "qual short": (b"@bad\nACGT\n+\nIII\n", "SEQ has 4 bases but QUAL 3 values.*copy it again"),
    "qual long": (b"@bad\nACGT\n+\nIIIII\n", "SEQ has 4 bases but QUAL 5 values"),
    "qual empty": (b"@bad\nACGT\n+\n\n", "SEQ has 4 bases but QUAL 0 values"),
    "seq empty": (b"@bad\n\n+\nIIII\n", "SEQ has 0 bases but QUAL 4 values"),
    "qual short crlf": (b"@bad\r\nACGT\r\n+\r\nIII\r\n", "SEQ has 4 bases but QUAL 3 values"),
    # The line feed after the next header stands just where QUAL should end.
    "qual short in step": (b"@bad\nACGTACGT\n+\nIIII\n@ok\n", "SEQ has 8 bases but QUAL 4 values"),
    "wrapped, qual short": (b"@bad\nACGT\nACGT\n+\nIIII\nIII\n", "'ACGT' stands where '\\+' should"),
    "wrapped, qual long": (b"@bad\nACGT\nACGT\n+\nIIII\nIIIII\n", "'ACGT' stands where '\\+' should"),
    "plus missing": (
        b"@bad\nACGT\nIIII\n@x\n",
        "'IIII' stands where '\\+' should; a FASTQ record is @name, SEQ, \\+, QUAL",
    ),
    "only blank lines": (b"@bad\n\n\n", "'' stands where '\\+' should|ends in the middle"),
    "plus blank": (b"@bad\nACGT\n\nIIII\n", "'' stands where '\\+' should"),
    "letter": (b"@bad\nACJT\n+\nIIII\n", "'J' at base 3 is no nucleotide"),
    "gap": (b"@bad\nA-GT\n+\nIIII\n", "'-' at base 2 is no nucleotide"),
    "space": (b"@bad\nACG \n+\nIIII\n", "' ' at base 4 is no nucleotide"),
    "return inside": (b"@bad\nA\rGT\n+\nIIII\n", r"'\\r' at base 2 is no nucleotide"),
    "binary letter": (b"@bad\nA\x00GT\n+\nIIII\n", r"'\\x00' at base 2 is no nucleotide"),
    "qual low": (b"@bad\nACGT\n+\nII I\n", "byte 32 at place 3 of QUAL is no quality.*33 to 126"),
    "qual high": (b"@bad\nACGT\n+\nI\x7fII\n", "byte 127 at place 2 of QUAL"),
    "qual utf-8": (b"@bad\nACGT\n+\nII\xc3\xa9\n", "byte 195 at place 3 of QUAL"),
    "name at": (b"@@bad\nACGT\n+\nIIII\n", "name starts with '@'.*rename"),
    "name utf-8": (b"@bad\xc3\xa9\nACGT\n+\nIIII\n", "name holds byte 195.*rename"),
    "name control": (b"@bad\x01\nACGT\n+\nIIII\n", "name holds byte 1, "),
    "name long": (b"@bad" + b"x" * 252 + b"\nACGT\n+\nIIII\n", "name has 255 bytes, BAM holds at most 254"),
}
NAMELESS_FAULTS = {
    "name empty": (b"@\nACGT\n+\nIIII\n", "the name is empty"),
    "name blank": (b"@ x\nACGT\n+\nIIII\n", "the name is empty"),
    "no at": (b"bad\nACGT\n+\nIIII\n", "'bad' stands where '@' and a name should"),
    "fasta record": (b">bad\nACGT\n", "'>bad' stands where '@' and a name should"),
}


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("kind", FASTQ_FAULTS)
def test_malformed_fastq(tmp_path, kind, chunk):
    content, message = FASTQ_FAULTS[kind]
    path = write(tmp_path / "r.fq", good(3) + content + good(2))
    for batch_size in (1, 3, 1000):
        got = failure(path, chunk_bytes=chunk, batch_size=batch_size)
        assert re.match(rf"{re.escape(path)}: record 4 \('@?bad.*'\): .*{message}", got), got


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("kind", NAMELESS_FAULTS)
def test_malformed_header(tmp_path, kind, chunk):
    content, message = NAMELESS_FAULTS[kind]
    path = write(tmp_path / "r.fq", good(3) + content + good(2))
    got = failure(path, chunk_bytes=chunk)
    assert re.match(rf"{re.escape(path)}: record 4( \('bad'\))?: .*{message}", got), got


@pytest.mark.parametrize("chunk", [1, 1 << 20])
@pytest.mark.parametrize("end", range(1, len(b"@bad\nACGT\n+\nIIII") - 1))
def test_cut_off_anywhere(tmp_path, end, chunk):
    cut = b"@bad\nACGT\n+\nIIII"[:end]
    # '@' alone is an empty name. A cut right after a line feed leaves the next line out, not empty.
    path = write(tmp_path / "r.fq", good(2) + cut)
    got = failure(path, chunk_bytes=chunk)
    assert got.startswith(f"{path}: record 3")
    assert ("name is empty" if end == 1 else "file ends in the middle of this record") in got


def test_cut_off_is_told_from_unequal_lengths(tmp_path):
    cut = write(tmp_path / "cut.fq", good(1) + b"@bad\nACGT\n+\nII")
    assert "SEQ has 4 bases, QUAL 2 values" in failure(cut)
    assert "ends in the middle" in failure(cut)
    whole = write(tmp_path / "whole.fq", good(1) + b"@bad\nACGT\n+\nII\n")
    assert "SEQ has 4 bases but QUAL 2 values" in failure(whole)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b">bad\nAC\nGE\n", "'E' at base 4 is no nucleotide"),
        (b">bad\nAC\n@x\nAC\n", "'@' at base 3 is no nucleotide"),
        (b">bad\nA>C\n", "'>' at base 2 is no nucleotide"),
        (b">bad\nA\rC\n", r"'\\r' at base 2 is no nucleotide"),
        (b">bad" + b"x" * 252 + b"\nA\n", "name has 255 bytes"),
        (b">\nACGT\n", "the name is empty"),
        (b"> x\nACGT\n", "the name is empty"),
    ],
)
def test_malformed_fasta(tmp_path, content, message, chunk):
    path = write(tmp_path / "r.fa", b">ok\nACGT\n>ok2\n" + content + b">ok3\nACGT")
    got = failure(path, chunk_bytes=chunk)
    assert re.match(rf"{re.escape(path)}: record 3( \('bad.*'\))?: .*{message}", got), got


@pytest.mark.parametrize("chunk", [1, 9, 1 << 20])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"@HD\tVN:1.6\n@SQ\tSN:c\tLN:9\n", "is a SAM file.*samtools fastq"),
        (b"@SQ\tSN:c\tLN:9\n", "is a SAM file"),
        (b"BAM\1\0\0", "is a BAM file.*samtools fastq"),
        (b"CRAM\3\0", "is a CRAM file"),
        (b"BZh91AY", "bzip2.*decompress"),
        (b"\xfd7zXZ\0", "xz.*decompress"),
        (b"\x28\xb5\x2f\xfd\0", "zstd.*decompress"),
        (b"PK\3\4\0", "zip archive"),
        (b"read1\t0\tchr1\t5\t60\t4M\n", r"neither FASTQ nor FASTA: it starts with 'read1\\t0"),
        (b"\x7fELF\2\1\1", r"neither FASTQ nor FASTA: it starts with '\\x7fELF"),
        (b" @r\nA\n+\nI\n", "neither FASTQ nor FASTA: it starts with ' @r'"),
    ],
)
def test_not_a_read_file(tmp_path, content, message, chunk):
    path = write(tmp_path / "r.fq", content)
    assert re.match(rf"{re.escape(path)}: .*{message}", failure(path, chunk_bytes=chunk))


def test_missing_file_directory_and_unreadable_file(tmp_path):
    path = str(tmp_path / "none.fq")
    with pytest.raises(ReadsError, match=rf"{re.escape(path)}: No such file or directory; check the path"):
        ReadSource(path)
    with pytest.raises(ReadsError, match=r"is a directory; give a FASTQ"):
        ReadSource(str(tmp_path))
    there = write(tmp_path / "r.fq", good(1))
    with pytest.raises(ReadsError, match=r"none\.fq: No such file"):
        ReadSource(there, path)


def test_unreadable_file(tmp_path, monkeypatch):
    path = write(tmp_path / "r.fq", good(1))
    # Stands in for a file mode, which root (as whom tests may run) ignores.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ReadsError, match=r"r\.fq: Permission denied; make the file readable"):
        ReadSource(path)


def test_file_that_vanishes_before_the_first_batch(tmp_path):
    path = write(tmp_path / "r.fq", good(1))
    source = ReadSource(path)
    os.remove(path)
    with source, pytest.raises(ReadsError, match=r"r\.fq: cannot be opened: No such file"):
        next(source)


def test_usage(tmp_path):
    path = write(tmp_path / "r.fq", good(2))
    other = write(tmp_path / "r2.fq", good(2))
    link = tmp_path / "link.fq"
    link.symlink_to(path)
    for same in (path, str(link), f"{tmp_path}/./r.fq"):
        with pytest.raises(UsageError, match=r"is given as R1 and as R2; give the two files.*--interleaved"):
            ReadSource(path, same)
    with pytest.raises(UsageError, match="standard input is given as R1 and as R2"):
        ReadSource("-", "-")
    with pytest.raises(UsageError, match=r"--interleaved takes one file"):
        ReadSource(path, other, interleaved=True)
    with pytest.raises(UsageError, match="batch size of 0"):
        ReadSource(path, batch_size=0)


@pytest.mark.parametrize("batch_size", [2, 6, 8, 1000])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("shorter", [0, 3])
def test_mate_files_of_unequal_length(tmp_path, batch_size, swap, shorter):
    short, long = write(tmp_path / "s.fq", good(shorter)), write(tmp_path / "l.fq", good(5))
    got = failure(*((long, short) if swap else (short, long)), batch_size=batch_size)
    end = f"ends after record {shorter}" if shorter else "holds none"
    assert got.startswith(f"{short} has fewer records than {long}: it {end}, where the other goes on ")
    assert f"record {shorter + 1} ('ok{shorter}'); give two files" in got


@pytest.mark.parametrize("batch_size", [2, 4, 1000])
def test_mate_names_that_differ(tmp_path, batch_size):
    one = write(tmp_path / "1.fq", good(2) + b"@a/1\nA\n+\nI\n")
    two = write(tmp_path / "2.fq", good(2) + b"@ab/2\nA\n+\nI\n")
    got = failure(one, two, batch_size=batch_size)
    assert got.startswith(
        f"{one} and {two}: record 3: the names of the mates differ, 'a' and 'ab'; give two files"
    )
    three = write(tmp_path / "3.fq", good(2) + b"@b/2\nA\n+\nI\n")
    assert "record 3: the names of the mates differ, 'a' and 'b'" in failure(
        one, three, batch_size=batch_size
    )


@pytest.mark.parametrize("batch_size", [2, 4, 1000])
def test_interleaved_faults(tmp_path, batch_size):
    pair = b"@p/1\nA\n+\nI\n@p/2\nC\n+\nI\n"
    path = write(tmp_path / "r.fq", 2 * pair + b"@x\nA\n+\nI\n@y\nA\n+\nI\n")
    got = failure(path, interleaved=True, batch_size=batch_size)
    assert got.startswith(
        f"{path}: records 5 and 6: the names of the mates differ, 'x' and 'y'; an interleaved"
    )
    path = write(tmp_path / "odd.fq", 2 * pair + b"@x\nA\n+\nI\n")
    got = failure(path, interleaved=True, batch_size=batch_size)
    assert got.startswith(f"{path}: record 5 ('x'): ")
    assert "no mate" in got


def test_fastq_with_fasta_mates(tmp_path):
    fq, fa = write(tmp_path / "1.fq", good(1)), write(tmp_path / "2.fa", b">ok0\nA\n")
    for order in ((fq, fa), (fa, fq)):
        assert failure(*order) == f"{fq} is FASTQ but {fa} is FASTA; give both mates in the same format"


BAD = b"@bad\nAC!T\n+\nIIII\n"
CUT = b"@cut\nAC"


@pytest.mark.parametrize(
    ("one", "two", "message"),
    [
        (good(2) + BAD, good(1) + BAD, r"2.fq: record 2 \('bad'\)"),
        (good(1) + BAD, good(2) + BAD, r"1.fq: record 2 \('bad'\)"),
        (good(1) + BAD, good(1) + BAD, r"1.fq: record 2 \('bad'\)"),
        (good(2) + CUT, good(1) + BAD, r"2.fq: record 2 \('bad'\)"),
        (good(1) + CUT, good(3), r"1.fq: record 2 \('cut'\)"),
        (good(1), good(3) + CUT, r"1.fq has fewer records"),
        (good(3), good(3) + CUT, r"2.fq: record 4 \('cut'\)"),
        (b"@x\nA\n+\nI\n" + BAD, good(2), r"record 1: the names"),
        (good(1) + BAD + b"@x\nA\n+\nI\n", good(3), r"1.fq: record 2 \('bad'\)"),
        # QUAL out of step hides how the file goes on: the fault before that is the one to report.
        (
            good(1) + b"@bad\nACGTACGT\n+\nIIII\n@ok\nA\n+\nI\n",
            good(3),
            r"1.fq: record 2 \('bad'\): SEQ has 8",
        ),
    ],
)
def test_the_first_of_several_faults_is_reported(tmp_path, one, two, message):
    got = failure(write(tmp_path / "1.fq", one), write(tmp_path / "2.fq", two))
    assert re.search(message, got), got


def test_batches_before_the_fault_are_given_and_none_after(tmp_path):
    path = write(tmp_path / "r.fq", good(5) + BAD + good(5))
    with ReadSource(path, batch_size=2) as source:
        assert [len(next(source)) for _ in range(2)] == [2, 2]
        with pytest.raises(ReadsError, match="record 6"):
            next(source)
        assert list(source) == []


def test_fault_in_a_long_record(tmp_path):
    path = write(
        tmp_path / "r.fq", b"@bad\n" + b"A" * 3_000_000 + b"\n+\n" + b"I" * 4_000_000 + b"\n" + good(1)
    )
    assert "SEQ has 3000000 bases but QUAL 4000000 values" in failure(path, chunk_bytes=1 << 16)


def test_a_file_without_line_ends_is_not_read_whole_to_say_so(tmp_path):
    path = write(tmp_path / "r.fq", good(1) + b"x" * 20_000_000)
    with ReadSource(path, chunk_bytes=1 << 16) as source:
        with pytest.raises(ReadsError, match=r"record 2: 'x{40}\.\.\.' stands where"):
            next(source)
        assert source.bytes_read < 3_000_000


def slow_verdict(content: bytes) -> int | None:
    """Number of records of a FASTQ file read line by line, None if one is malformed."""
    lines = [line.removesuffix(b"\r") for line in content.split(b"\n")]
    if content.endswith(b"\n") and len(lines) > 1:
        lines.pop()
    # An empty QUAL line may lack its line end.
    empty_qual = [b""] if content.endswith(b"\n") else []
    at = count = 0
    while at < len(lines):
        lines[at] = lines[at].lstrip(b"\r")
        if not lines[at]:
            at += 1
            continue
        record = (lines[at:] + empty_qual)[:4]
        size = 4
        if len(record) < 4 or record[2][:1] != b"+" or len(record[1]) != len(record[3]):
            record, size = unwrapped(lines[at:])
        at, count = at + size, count + 1
        if len(record) < 4 or not re.match(rb"@[!-?A-~][!-~]{,253}(\s|$)", record[0]):
            return None
        if not re.fullmatch(rb"[ACGTUNRYSWKMBDHV.]*", record[1], re.IGNORECASE):
            return None
        if not re.fullmatch(rb"[!-~]*", record[3]):
            return None
    return count


def unwrapped(lines: list[bytes]) -> tuple[list[bytes], int]:
    """The wrapped record at the start of the lines as one of four, and how many lines it has; empty if it is none."""
    plus = next((i for i in range(1, len(lines)) if lines[i][:1] == b"+"), 0)
    sequence = b"".join(lines[1:plus])
    if not plus or not re.fullmatch(rb"[ACGTUNRYSWKMBDHV.]+", sequence, re.IGNORECASE):
        return [], 0
    end, qual = plus + 1, b""
    while end < len(lines) and len(qual) < len(sequence):
        qual += lines[end]
        end += 1
    behind = next((line for line in lines[end:] if line.strip(b"\r")), b"@")
    if len(qual) != len(sequence) or not behind.lstrip(b"\r").startswith(b"@"):
        return [], 0
    return [lines[0], sequence, lines[plus], qual], end


def outcome(path: str, chunk: int) -> int | str:
    try:
        with ReadSource(path, chunk_bytes=chunk) as source:
            return sum(len(batch) for batch in source)
    except ReadsError as error:
        return str(error)


@pytest.mark.parametrize("qual", [b"\nAA\n", b"A\n\nA\n", b"A\r\nA\n", b"@\n@\n"])
def test_wrapped_qualities_of_a_sequence_on_one_line(tmp_path: Path, qual: bytes) -> None:
    """Also where a line feed stands just where SEQ says that QUAL ends."""
    path = write(tmp_path / "r.fq", b"@a\nGG\n+\n" + qual + b"@b\nT\n+\nI\n")
    assert {outcome(path, chunk) for chunk in (1, 5, 1 << 20)} == {2}


edits = st.lists(
    st.tuples(
        st.integers(0, 60), st.integers(0, 3), st.sampled_from([b"", *(bytes([c]) for c in b"\n\r@+ >AJ\0I")])
    ),
    max_size=4,
)


def test_a_carriage_return_at_the_end_of_a_sequence_is_refused(tmp_path: Path) -> None:
    got = outcome(write(tmp_path / "r.fq", b"@a\r\nACG\r\r\n+\r\nIIII\r\n"), 1 << 20)
    assert isinstance(got, str)
    assert "is no nucleotide" in got


@settings(max_examples=200)
@given(edits, st.sampled_from([b"\n", b"\r\n"]))
def test_damaged_files(tmp_path_factory, changes, newline):
    """Bytes replaced, added, dropped: refused only when malformed, in the same words for all chunk sizes."""
    content = (b"@a\nACGT\n+\nIIII\n@b x\n\n+\n\n@c/1\nGG\n+c\n@+\n").replace(b"\n", newline)
    for at, dropped, new in changes:
        content = content[:at] + new + content[at + dropped :]
    path = write(tmp_path_factory.getbasetemp() / "damaged.fq", content)
    got = outcome(path, 1 << 20)
    assert {outcome(path, chunk) for chunk in (1, 5, 16)} == {got}
    if content.lstrip(b"\r\n")[:1] in (b"@", b""):
        want = slow_verdict(content)
        assert got == want if want is not None else isinstance(got, str)
