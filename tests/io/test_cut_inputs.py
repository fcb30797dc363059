"""An input that was cut is not taken for a whole one, nor is one that becomes shorter while it is read."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from samples import fasta_text, fastq_text, make_index, random_bases, records_of

from esa.cli.main import run
from esa.errors import FastaError, ReadsError
from esa.io import bgzf
from esa.io.fasta import read_fasta
from esa.io.fastq import ReadSource

READS = [(f"r{i}", random_bases(np.random.default_rng(i), 60)) for i in range(4000)]
FASTQ, FASTA = fastq_text(READS).encode(), fasta_text(READS).encode()
TEXTS = {"fq": FASTQ, "fa": FASTA}


def whole(text: bytes) -> bytes:
    return bgzf.compress(text) + bgzf.END


def read_all(path: Path, **options: bool) -> int:
    with ReadSource(str(path), **options) as source:  # type: ignore[arg-type]
        return sum(len(batch) for batch in source)


def through_fifo(path: Path, data: bytes) -> threading.Thread:
    os.mkfifo(path)
    thread = threading.Thread(target=lambda: path.write_bytes(data), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("fifo", [False, True])
def test_bgzip_without_its_end(kind: str, fifo: bool, tmp_path: Path) -> None:
    """Cut between two blocks, at a record's border or not: valid gzip all the same."""
    text = TEXTS[kind]
    border = text.index(b"@r900\n" if kind == "fq" else b">r900\n")
    for i, data in enumerate(
        (bgzf.compress(text), bgzf.compress(text[:border]), bgzf.compress(text)[:-1] + b"")
    ):
        path = tmp_path / f"{i}.{kind}.gz"
        thread = through_fifo(path, data) if fifo else None
        if thread is None:
            path.write_bytes(data)
        with pytest.raises(ReadsError, match=r"truncated (bgzip|gzip) file") as error:
            read_all(path)
        if i < 2:
            assert "--no-eof-check" in str(error.value)
        if thread is not None:
            thread.join()
            assert i == 2 or "(after record " in str(error.value)


def test_a_regular_file_is_checked_before_the_first_read(tmp_path: Path) -> None:
    path = tmp_path / "r.fq.gz"
    path.write_bytes(bgzf.compress(FASTQ))
    with pytest.raises(ReadsError, match="no end-of-file block"):
        ReadSource(str(path))
    assert read_all(path, eof_check=False) == len(READS)


def test_whole_files(tmp_path: Path) -> None:
    """Empty ones, joined ones, and gzip that is no bgzip."""
    path = tmp_path / "r.fq.gz"
    for data, count in ((whole(FASTQ), 4000), (whole(FASTQ) * 2, 8000), (whole(b""), 0)):
        path.write_bytes(data)
        assert read_all(path) == count


def test_a_reference(tmp_path: Path) -> None:
    text = fasta_text({"a": random_bases(np.random.default_rng(1), 200_000), "b": "ACGT"}).encode()
    path = tmp_path / "r.fa.gz"
    path.write_bytes(bgzf.compress(text))
    for _ in range(2):
        with pytest.raises(FastaError, match=r"truncated bgzip .*--no-eof-check"):
            read_fasta(str(path))
        thread = (
            through_fifo(path.with_name("fifo.gz"), bgzf.compress(text)) if path.name == "r.fa.gz" else None
        )
        path = path.with_name("fifo.gz")
    assert thread is None
    assert read_fasta(str(tmp_path / "r.fa.gz"), eof_check=False).genome.names == ("a", "b")


@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_that_becomes_shorter(zipped: bool, tmp_path: Path) -> None:
    """At a record's border, so that only its size shows it."""
    path = tmp_path / "r.fq"
    once = whole(FASTQ) if zipped else FASTQ
    path.write_bytes(once * 40)
    with ReadSource(str(path), batch_size=100, chunk_bytes=1 << 12) as source:
        batches = iter(source)
        first = len(next(batches))
        os.truncate(path, len(once) * 20)
        with pytest.raises(ReadsError, match=r"it ended after [0-9,]+ of the [0-9,]+ bytes") as error:
            list(batches)
    assert first == 100
    assert "(after record " in str(error.value)


def test_a_file_that_grows_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "r.fq"
    path.write_bytes(FASTQ)
    with ReadSource(str(path), batch_size=100, chunk_bytes=1 << 12) as source:
        count = len(next(iter(source)))
        with path.open("ab") as more:
            more.write(FASTQ)
        count += sum(len(batch) for batch in source)
    assert count == 2 * len(READS)


def test_standard_input_that_was_read_from(tmp_path: Path) -> None:
    """What is left of a file counts."""
    index = make_index(tmp_path, {"a": random_bases(np.random.default_rng(1), 2000)})
    path = tmp_path / "r.fq"
    path.write_bytes(FASTQ)
    out = tmp_path / "o.sam"
    with path.open("rb") as file:
        file.read(FASTQ.index(b"@r3990\n"))
        os.lseek(file.fileno(), FASTQ.index(b"@r3990\n"), os.SEEK_SET)
        command = [sys.executable, "-m", "esa", "align", str(index), "-", "-o", str(out), "-q"]
        assert subprocess.run(command, stdin=file, check=False, timeout=600).returncode == 0
    assert len(records_of(out)) == 10


def test_nothing_gets_its_final_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = make_index(tmp_path, {"a": random_bases(np.random.default_rng(1), 2000)})
    path, out = tmp_path / "r.fq.gz", tmp_path / "o.sam"
    path.write_bytes(bgzf.compress(FASTQ))
    assert run(["align", str(index), str(path), "-o", str(out), "-q"]) == 1
    assert "truncated bgzip file" in capsys.readouterr().err
    assert not out.exists()
    assert run(["align", str(index), str(path), "-o", str(out), "-q", "--no-eof-check"]) == 0
    assert len(records_of(out)) == len(READS)
