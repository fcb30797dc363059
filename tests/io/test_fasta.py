"""The FASTA reader against Biopython, pysam and hashlib, and against every way a FASTA can be wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pysam
import pytest
from Bio import SeqIO, bgzf
from hypothesis import given, settings
from hypothesis import strategies as st

from esa.errors import FastaError
from esa.io import bgzf as esa_bgzf
from esa.io import fasta
from esa.io.fasta import FastaContents, read_fasta, read_genome
from esa.sequence import dna

LINE = 60


def write(path: Path, text: bytes) -> str:
    path.write_bytes(text)
    return str(path)


def random_sequence(bases: int, seed: int, letters: bytes = b"ACGTacgtNnRYKM") -> bytes:
    return np.random.default_rng(seed).choice(np.frombuffer(letters, np.uint8), bases).tobytes()


def fasta_text(records: dict[str, bytes], width: int = LINE, newline: bytes = b"\n") -> bytes:
    out = io.BytesIO()
    for name, sequence in records.items():
        out.write(b">" + name.encode() + b" a comment" + newline)
        for start in range(0, len(sequence), width):
            out.write(sequence[start : start + width] + newline)
    return out.getvalue()


def assert_equals_biopython(contents: FastaContents, text: bytes) -> None:
    """The slow oracle: Biopython's parser, `dna.encode`, and N runs found base by base."""
    records = list(SeqIO.parse(io.StringIO(text.decode(), newline=None), "fasta"))
    genome = contents.genome
    assert genome.names == tuple(record.id for record in records)
    assert genome.lengths.tolist() == [len(record) for record in records]
    sequences = [str(record.seq).upper().encode() for record in records]
    assert genome.m5 == tuple(hashlib.md5(sequence).hexdigest() for sequence in sequences)
    for i, sequence in enumerate(sequences):
        assert genome.contig(i).tolist() == dna.encode(sequence).tolist()
    whole = b"".join(sequences)
    padded = np.concatenate(([0], dna.encode(whole) == dna.N, [0])).astype(np.int8)
    assert genome.n_starts.tolist() == np.flatnonzero(np.diff(padded) == 1).tolist()
    assert genome.n_ends.tolist() == np.flatnonzero(np.diff(padded) == -1).tolist()
    assert genome.packed.shape == (-(-len(whole) // 4),)
    assert contents.n_bases == sum(letter not in b"ACGTU" for letter in whole)
    assert contents.iupac_bases == sum(letter not in b"ACGTUN" for letter in whole)


RECORDS = {
    "chr1": random_sequence(1003, 1),
    "chrUn_KI270742v1": b"A",
    "HLA:HLA00001*01": b"NNNN",
    "gi|9626243|ref|NC_001416.1|": b"NNACGURYSWKMBDHVnnacguryswkmbdhv",
    "last": random_sequence(77, 2),
}


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_equals_biopython(tmp_path: Path, newline: bytes, compress: type) -> None:
    text = fasta_text(RECORDS, newline=newline)
    contents = read_fasta(write(tmp_path / "x.fa", compress(text)))
    assert_equals_biopython(contents, text)
    assert contents.genome.packed.dtype == np.uint8
    assert contents.genome.n_starts.dtype == contents.genome.lengths.dtype == np.int64


def test_equals_pysam(tmp_path: Path) -> None:
    path = write(tmp_path / "x.fa", fasta_text(RECORDS))
    genome = read_genome(path)
    with pysam.FastaFile(path) as faidx:
        assert tuple(faidx.references) == genome.names
        for i, name in enumerate(genome.names):
            assert dna.encode(faidx.fetch(name).encode()).tolist() == genome.contig(i).tolist()


def feed_all(*pieces: bytes) -> FastaContents:
    parser = fasta._Parser("x.fa")
    for piece in pieces:
        parser.feed(piece)
    return parser.finish()


# Pieces this small put every kind of seam in the middle of every kind of line.
@settings(max_examples=150)
@given(
    sequences=st.lists(st.text("ACGTNacgtnRYu", min_size=1, max_size=40), min_size=1, max_size=5),
    width=st.integers(1, 50),
    newline=st.sampled_from([b"\n", b"\r\n", b"\n\n", b" \n"]),
    final_newline=st.booleans(),
    piece=st.integers(1, 64),
)
def test_seams_do_not_show(
    sequences: list[str], width: int, newline: bytes, final_newline: bool, piece: int
) -> None:
    text = fasta_text({f"c{i}": s.encode() for i, s in enumerate(sequences)}, width, newline)
    text = text if final_newline else text.rstrip()
    pieces = [text[start : start + piece] for start in range(0, len(text), piece)]
    assert_equals_biopython(feed_all(*pieces), text)


def test_chunks_of_a_file_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fasta, "CHUNK_BYTES", 101)
    text = fasta_text({"a": random_sequence(5000, 3), "b": random_sequence(4001, 4)})
    assert_equals_biopython(read_fasta(write(tmp_path / "x.fa.gz", gzip.compress(text))), text)


def test_multi_member_gzip_and_bgzip(tmp_path: Path) -> None:
    text = fasta_text({"a": random_sequence(200_000, 5)})
    members = gzip.compress(text[:1000]) + gzip.compress(text[1000:])
    assert_equals_biopython(read_fasta(write(tmp_path / "two.gz", members)), text)
    with bgzf.BgzfWriter(str(tmp_path / "x.bgz")) as out:
        out.write(text)
    assert_equals_biopython(read_fasta(str(tmp_path / "x.bgz")), text)


def test_blank_lines_around_records(tmp_path: Path) -> None:
    text = b"\n \r\n>a\n\nAC\n\nGT\n\n>b\nT\n\n\n"
    assert_equals_biopython(read_fasta(write(tmp_path / "x.fa", text)), text.lstrip())


def test_reads_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    text = fasta_text(RECORDS)
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(text,))
    writer.start()
    contents = read_fasta(str(tmp_path / "pipe"))
    writer.join()
    assert_equals_biopython(contents, text)


def test_memory_stays_under_the_sequence(tmp_path: Path) -> None:
    bases = 24_000_000
    path = write(tmp_path / "x.fa", b">a\n" + b"ACGT" * (bases // 4) + b"\n")
    read_genome(write(tmp_path / "warm.fa", b">a\nACGT\n"))
    tracemalloc.start()
    genome = read_genome(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert genome.bases == bases
    # 8 bytes for each run of N a chunk can hold, twice; two chunks; the packed bases, twice as they grow.
    assert peak < 11 * fasta.CHUNK_BYTES + 0.9 * bases


BAD = {
    "no header": (b"ACGT\n", r"line 1: a FASTA begins with '>'"),
    "indented header": (b"\n >a\nACGT\n", r"line 2: a FASTA begins with '>'"),
    "FASTQ": (b"@r1\nACGT\n+\nIIII\n", r"line 1: begins with '@', like FASTQ or SAM"),
    "binary": (bytes(range(128, 256)), "line 1: this looks like a binary file"),
    "BAM": (gzip.compress(b"BAM\1\0\0\0\0"), "line 1: this looks like a binary file"),
    "binary after a header": (b">a\nAC\0GT\n", r"line 2, record 'a': byte 0x00 .* binary"),
    "duplicate": (b">a x\nA\n>b\nC\n>a y\nG\n", r"line 5, record 3: the name 'a' is taken .* line 1"),
    "no sequence at the end": (b">a\nA\n>b\n", r"line 3, record 'b': no sequence"),
    "no sequence, no newline": (b">a\nA\n>b", r"line 3, record 'b': no sequence"),
    "no sequence in the middle": (b">a\nA\n>b\n\n>c\nG\n", r"line 3, record 'b': no sequence"),
    "only a header": (b">a", r"line 1, record 'a': no sequence"),
    "empty name": (b">a\nA\n>\nC\n", r"line 3, record 2: no name"),
    "name after a space": (b"> a\nA\n", r"line 1, record 1: no name"),
    "name with a comma": (b">a,b\nA\n", r"line 1, record 1: the name 'a,b' holds characters .* rename"),
    "name with a leading star": (b">*a\nA\n", r"line 1, record 1: the name '\*a'"),
    "name not ASCII": (b">a\n" + b"A\n>chr\xc3\xa9\nC\n", r"line 3, record 2: the name 'chr"),
    "protein": (b">p1\nMKV\nMKVELA\n", r"line 3, record 'p1': 'E' is no nucleotide: this looks like protein"),
    "lower-case protein": (b">p1\nmkvl\n", r"line 2, record 'p1': 'l' is no nucleotide.*protein"),
    "stop codon": (b">p1\nMKV*\n", r"line 2, record 'p1': '\*' .*protein"),
    "gap": (b">a\nAC\nA-C\n", r"line 3, record 'a': a gap '-' .*remove"),
    "header inside a line": (b">a\nACGT>b\nA\n", r"line 2, record 'a': '>' is no nucleotide letter"),
    "digit": (b">a\r\nACGT\r\n1 ACGT\r\n", r"line 3, record 'a': '1' is no nucleotide letter"),
    "no text": (b"", "empty: give a FASTA file"),
    "blank": (b"\n \n", "empty: give a FASTA file"),
    "empty gzip": (gzip.compress(b""), "empty: give a FASTA file"),
    "bzip2": (b"BZh91AY", "compressed with bzip2: decompress it"),
}


@pytest.mark.parametrize("case", BAD)
def test_refuses(tmp_path: Path, case: str) -> None:
    text, message = BAD[case]
    path = write(tmp_path / "bad.fa", text)
    with pytest.raises(FastaError, match=f"^{re.escape(path)}: {message}"):
        read_fasta(path)


def test_refuses_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FastaError, match=r"missing.fa: no such file"):
        read_fasta(str(tmp_path / "missing.fa"))
    with pytest.raises(FastaError, match="is a directory"):
        read_fasta(str(tmp_path))
    with pytest.raises(FastaError, match="standard input"):
        read_fasta("-")
    with pytest.raises(FastaError, match="cannot be read: Not a directory"):
        read_fasta(write(tmp_path / "file", b">a\nA\n") + "/x.fa")


def test_line_of_an_error_behind_many_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fasta, "CHUNK_BYTES", 97)
    text = fasta_text({"a": random_sequence(6000, 6), "b": random_sequence(600, 7)}) + b"ACGE\n"
    line = text.count(b"\n")
    with pytest.raises(FastaError, match=rf"line {line}, record 'b': 'E'"):
        read_fasta(write(tmp_path / "x.fa", text))


@pytest.mark.parametrize("text", [b">a\nAC>b\nA\n", b" >a\nA\n"])
def test_header_inside_a_line_is_refused_at_any_seam(text: bytes) -> None:
    for cut in range(1, len(text)):
        with pytest.raises(FastaError, match="'>'"):
            feed_all(text[:cut], text[cut:])


def test_refuses_a_contig_too_long_for_sam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fasta, "MAX_CONTIG_BASES", 10)
    assert read_genome(write(tmp_path / "x.fa", b">a\n" + b"A" * 10)).bases == 10
    with pytest.raises(FastaError, match=r"line 1, record 'a': 11 bases, but SAM allows 10"):
        read_fasta(write(tmp_path / "x.fa", b">a\n" + b"A" * 11))


@pytest.fixture(scope="module")
def bgzipped() -> bytes:
    buffer = io.BytesIO()
    writer = bgzf.BgzfWriter(fileobj=buffer)
    writer.write(fasta_text({"a": random_sequence(150_000, 8)}))
    writer.flush()
    writer._handle.write(esa_bgzf.END)
    return buffer.getvalue()


def test_refuses_bgzip_cut_between_blocks(tmp_path: Path, bgzipped: bytes) -> None:
    assert bgzipped.count(b"BC\x02\0") >= 3
    assert read_genome(write(tmp_path / "x.gz", bgzipped)).bases == 150_000
    with pytest.raises(FastaError, match="truncated bgzip"):
        read_fasta(write(tmp_path / "x.gz", bgzipped[: -len(esa_bgzf.END)]))


@settings(max_examples=60)
@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), truncate=st.booleans())
def test_damaged_gzip_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, share: float, flip: int, truncate: bool
) -> None:
    text = fasta_text({"a": random_sequence(3000, 9)})
    packed = bytearray(gzip.compress(text, mtime=0))
    at = int(share * len(packed))
    packed[at:] = b"" if truncate else bytes([packed[at] ^ flip]) + packed[at + 1 :]
    path = write(tmp_path_factory.mktemp("gz") / "x.fa.gz", bytes(packed))
    try:
        contents = read_fasta(path)
    except FastaError:
        return
    # Only bytes of the gzip header that say nothing of the text (its time, its system) may go unnoticed.
    assert not truncate
    assert at < 10
    assert_equals_biopython(contents, text)


def test_truncated_gzip_says_so(tmp_path: Path) -> None:
    packed = gzip.compress(fasta_text(RECORDS))
    with pytest.raises(FastaError, match="truncated gzip"):
        read_fasta(write(tmp_path / "x.gz", packed[:-12]))
    with pytest.raises(FastaError, match="corrupt gzip"):
        read_fasta(write(tmp_path / "x.gz", packed[:-8] + b"\0\0\0\0" + packed[-4:]))
