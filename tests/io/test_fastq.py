"""The read parser against dnaio and Biopython, and everything it must accept."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

import dnaio
import numpy as np
import pytest
from Bio import SeqIO
from hypothesis import given, settings
from hypothesis import strategies as st

from esa.io.fastq import ReadSource
from esa.sequence import dna
from esa.sequence.reads import ReadBatch

CHUNKS = (7, 8, 31, 64, 257, 4096)
Read = tuple[str, str, str | None]
"""Name, decoded sequence, quality (None for FASTA)."""


def as_reads(batch: ReadBatch) -> list[Read]:
    reads: list[Read] = []
    for i in range(len(batch)):
        qual = batch.quals[batch.offsets[i] : batch.offsets[i + 1]].tobytes().decode()
        reads.append(
            (batch.name(i), dna.decode(batch.sequence(i)).decode(), qual if batch.has_qual[i] else None)
        )
    return reads


def parse(*paths: Path, **options: int) -> list[Read]:
    with ReadSource(*map(str, paths), **options) as source:  # type: ignore[arg-type]
        return [read for batch in source for read in as_reads(batch)]


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def expected(name: str, sequence: str, qual: str | None) -> Read:
    """The slow way: what the parser promises to make of a record."""
    name = re.split(r"\s", name, maxsplit=1)[0]
    name = re.sub(r"(?<=.)/[12]$", "", name)
    return name, re.sub("[^ACGT]", "N", sequence.upper().replace("U", "T")), qual


def random_records(rng: np.random.Generator, n: int, longest: int = 90) -> list[tuple[str, str, str]]:
    records = []
    for i in range(n):
        length = int(rng.integers(0, longest)) * int(rng.random() > 0.1)
        sequence = "".join(rng.choice(list("ACGTNacgtnUuRYSWKMBDHV"), length))
        qual = "".join(chr(q) for q in rng.integers(33, 127, length))
        name = f"r{i}:" + "x" * int(rng.integers(0, 50))
        records.append(
            (name + str(rng.choice(["", "/1", "/2", "/3", " a comment/1", "\ttab"])), sequence, qual)
        )
    return records


def fastq(records: Sequence[tuple[str, str, str]], plus: str = "") -> bytes:
    return "".join(f"@{name}\n{seq}\n+{plus}\n{qual}\n" for name, seq, qual in records).encode()


@pytest.fixture(scope="module")
def records() -> list[tuple[str, str, str]]:
    return random_records(np.random.default_rng(5), 200)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("batch_size", [1, 3, 50, 10_000])
def test_fastq_equals_dnaio(tmp_path, records, chunk, batch_size):
    path = write(tmp_path / "r.fq", fastq(records))
    with dnaio.open(path) as oracle:
        want = [expected(r.name, r.sequence, r.qualities) for r in oracle]
    assert len(want) == len(records)
    assert parse(path, chunk_bytes=chunk, batch_size=batch_size) == want


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("width", [1, 7, 60])
def test_multi_line_fasta_equals_biopython(tmp_path, records, chunk, width):
    lines = []
    for name, seq, _ in records:
        lines += [f">{name}", *(seq[i : i + width] for i in range(0, len(seq), width))]
    path = write(tmp_path / "r.fa", "\n".join([*lines, ""]).encode())
    want = [
        expected(r.description, str(r.seq), None) for r in SeqIO.parse(io.StringIO(path.read_text()), "fasta")
    ]
    assert len(want) == len(records)
    assert parse(path, chunk_bytes=chunk, batch_size=50) == want


@pytest.mark.parametrize("chunk", CHUNKS)
def test_crlf_is_the_same_as_lf(tmp_path, records, chunk):
    unix, fasta = fastq(records), b">a b\nACG\nTT\n\n>c\n>d\nG\n"
    want = parse(write(tmp_path / "u.fq", unix))
    assert parse(write(tmp_path / "w.fq", unix.replace(b"\n", b"\r\n")), chunk_bytes=chunk) == want
    assert parse(write(tmp_path / "w.fa", fasta.replace(b"\n", b"\r\n")), chunk_bytes=chunk) == parse(
        write(tmp_path / "u.fa", fasta)
    )


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n", b"\n\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("start", [b"", b"\n\n", b"\r\n"])
@pytest.mark.parametrize("chunk", [1, 2, 7, 4096])
def test_blank_lines_around_and_a_missing_last_newline(tmp_path, start, end, chunk):
    path = write(tmp_path / "r.fq", start + b"@a\nACGT\n+\nIIII\n@b\nGG\n+\n##" + end)
    assert parse(path, chunk_bytes=chunk) == [("a", "ACGT", "IIII"), ("b", "GG", "##")]
    path = write(tmp_path / "r.fa", start + b">a\nAC\nGT\n>b\nGG" + end)
    assert parse(path, chunk_bytes=chunk) == [("a", "ACGT", None), ("b", "GG", None)]


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n\n"])
def test_empty_file_gives_no_batch(tmp_path, content):
    a, b = write(tmp_path / "a.fq", content), write(tmp_path / "b.fq", content)
    assert parse(a) == []
    assert parse(a, b) == []
    assert parse(a, interleaved=True) == []


@pytest.mark.parametrize("chunk", [1, 5, 4096])
def test_reads_without_bases(tmp_path, chunk):
    fq = b"@a\n\n+\n\n@b\nA\n+b\nI\n@c\n\n+\n"
    want = [("a", "", ""), ("b", "A", "I"), ("c", "", "")]
    assert parse(write(tmp_path / "r.fq", fq), chunk_bytes=chunk) == want
    assert parse(write(tmp_path / "r2.fq", fq + b"\n"), chunk_bytes=chunk) == want
    fa = write(tmp_path / "r.fa", b">a\n>b\nA\n>c")
    assert parse(fa, chunk_bytes=chunk) == [("a", "", None), ("b", "A", None), ("c", "", None)]


def test_quality_lines_that_look_like_headers(tmp_path):
    path = write(tmp_path / "r.fq", b"@a\nACGT\n+\n@+@+\n@b\nAC\n+@b\n+@\n")
    assert parse(path, chunk_bytes=7) == [("a", "ACGT", "@+@+"), ("b", "AC", "+@")]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("r/1", "r"),
        ("r/2 x", "r"),
        ("r/3", "r/3"),
        ("r/1/2", "r/1"),
        ("/1", "/1"),
        ("a/1b", "a/1b"),
        ("r\tx y", "r"),
        ("r ", "r"),
        ("x" * 254, "x" * 254),
        ("x" * 254 + "/2", "x" * 254),
    ],
)
def test_names(tmp_path, header, name):
    assert parse(write(tmp_path / "r.fq", f"@{header}\nA\n+\nI\n".encode()))[0][0] == name
    assert parse(write(tmp_path / "r.fa", f">{header}\nA\n".encode()))[0][0] == name


def test_letters_and_ambiguous_count(tmp_path):
    letters = b"ACGTNacgtnUu.RYSWKMBDHVryswkmbdhv"
    path = write(tmp_path / "r.fa", b">a\n" + letters[:20] + b"\n" + letters[20:] + b"\n>b\nRN\n")
    with ReadSource(str(path), batch_size=1) as source:
        first = next(source)
        assert dna.decode(first.sequence(0)) == b"ACGTNACGTNTT" + b"N" * 21
        assert source.ambiguous_bases == 20
        next(source)
        assert source.ambiguous_bases == 21


def test_record_longer_than_many_chunks(tmp_path):
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 4, 10_000_000).astype(np.uint8)
    letters = dna.decode(codes)
    lines = b"\n".join(letters[i : i + 80] for i in range(0, len(letters), 80))
    path = write(tmp_path / "long.fa", b">a\nAC\n>long\n" + lines + b"\n>b\nGT\n")
    with ReadSource(str(path), chunk_bytes=1 << 16) as source:
        (batch,) = source
    assert [batch.name(i) for i in range(3)] == ["a", "long", "b"]
    np.testing.assert_array_equal(batch.sequence(1), codes)
    long_fq = write(tmp_path / "long.fq", b"@long\n" + letters + b"\n+\n" + b"I" * len(letters))
    with ReadSource(str(long_fq), chunk_bytes=1 << 16) as source:
        (batch,) = source
    np.testing.assert_array_equal(batch.sequence(0), codes)


@pytest.mark.parametrize("chunk", [7, 100, 1 << 20])
@pytest.mark.parametrize("batch_size", [2, 3, 64, 1000])
def test_pairs_from_two_files_and_interleaved(tmp_path, records, chunk, batch_size):
    mates = random_records(np.random.default_rng(6), len(records), longest=30)
    mates = [(a[0], b[1], b[2]) for a, b in zip(records, mates, strict=True)]
    one, two = write(tmp_path / "1.fq", fastq(records)), write(tmp_path / "2.fq", fastq(mates))
    together = [read for pair in zip(records, mates, strict=True) for read in pair]
    both = write(tmp_path / "12.fq", fastq(together))
    want = [expected(*read) for read in together]
    assert parse(one, two, chunk_bytes=chunk, batch_size=batch_size) == want
    assert parse(both, interleaved=True, chunk_bytes=chunk, batch_size=batch_size) == want


def test_pairs_named_apart_by_suffix_and_comment(tmp_path):
    one = write(tmp_path / "1.fq", b"@a/1 x\nA\n+\nI\n")
    two = write(tmp_path / "2.fq", b"@a/2 y\nCC\n+\nII\n")
    assert parse(one, two) == [("a", "A", "I"), ("a", "CC", "II")]
    one, two = write(tmp_path / "1.fa", b">a/1\nA\n"), write(tmp_path / "2.fa", b">a/2\nC\n")
    assert parse(one, two) == [("a", "A", None), ("a", "C", None)]


def test_one_empty_mate_file_does_not_hide_the_format(tmp_path):
    """An empty R1 has no format to disagree with."""
    assert parse(write(tmp_path / "1.fq", b"\n"), write(tmp_path / "2.fa", b"")) == []


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"batch_size": 7}, [7, 7, 6]),
        ({"batch_size": 10}, [10, 10]),
        ({"batch_size": 7, "interleaved": True}, [8, 8, 4]),
        ({"batch_size": 1, "interleaved": True}, [2] * 10),
    ],
)
@pytest.mark.parametrize("chunk", [7, 10_000])
def test_every_batch_but_the_last_is_full(tmp_path, options, sizes, chunk):
    content = fastq([(f"r{i // 2}", "ACGT", "IIII") for i in range(20)])
    with ReadSource(str(write(tmp_path / "r.fq", content)), chunk_bytes=chunk, **options) as source:
        batches = list(source)
    assert [len(batch) for batch in batches] == sizes
    assert source.paired == options.get("interleaved", False)
    assert all(batch.paired == source.paired for batch in batches)


def test_batches_own_their_arrays(tmp_path):
    """A batch must outlive the parser's buffer: the mapper works on it while the next one is read."""
    path = write(tmp_path / "r.fq", fastq([(f"r{i}", "ACGT"[i % 4] * 9, "I" * 9) for i in range(50)]))
    with ReadSource(str(path), batch_size=4, chunk_bytes=64) as source:
        batches = list(source)
    reads = [read for batch in batches for read in as_reads(batch)]
    assert reads == [(f"r{i}", "ACGT"[i % 4] * 9, "I" * 9) for i in range(50)]
    assert {str(batches[0].codes.dtype), str(batches[0].has_qual.dtype)} == {"uint8"}
    assert {str(batches[0].offsets.dtype), str(batches[0].name_offsets.dtype)} == {"int64"}


record_texts = st.tuples(
    st.text("abcXYZ019:_#/", min_size=1, max_size=40),
    st.text("ACGTNacgtuRY.", max_size=60),
)


@settings(max_examples=60)
@given(
    st.lists(record_texts, max_size=12),
    st.integers(1, 200),
    st.integers(1, 9),
    st.sampled_from(["\n", "\r\n"]),
    st.randoms(use_true_random=False),
)
def test_round_trip(tmp_path_factory, texts, chunk, batch_size, newline, random):
    quals = ["".join(chr(random.randint(33, 126)) for _ in sequence) for _, sequence in texts]
    path = tmp_path_factory.mktemp("round") / "reads"
    text = io.StringIO()
    for (name, sequence), qual in zip(texts, quals, strict=True):
        text.write(newline.join([f"@{name}", sequence, "+", qual, ""]))
    path.write_bytes(text.getvalue().encode())
    got = parse(path, chunk_bytes=chunk, batch_size=batch_size)
    assert got == [expected(n, s, q) for (n, s), q in zip(texts, quals, strict=True)]
