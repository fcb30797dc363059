"""FASTQ wrapped over lines is read as if it were not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from esa.errors import ReadsError
from esa.io.fastq import ReadSource

LENGTHS = (1, 59, 60, 61, 120, 150, 0, 1000)


def reads() -> list[tuple[bytes, bytes, bytes]]:
    rng = np.random.default_rng(1)
    found = []
    for i in range(200):
        n = LENGTHS[i % len(LENGTHS)]
        bases = bytes(rng.choice(list(b"ACGTN"), n).tolist())
        # '@' and '+' may begin a line of QUAL.
        quals = bytes(rng.choice(list(b"@+I!~"), n).tolist())
        found.append((b"r%d" % i, bases, quals))
    return found


def lines_of(text: bytes, width: int) -> bytes:
    return b"\n".join(text[i : i + width] for i in range(0, len(text), width))


def content(width: int, newline: bytes, repeat_name: bool = False) -> bytes:
    records = (
        b"@%s x\n%s\n+%s\n%s\n" % (name, lines_of(bases, width), name * repeat_name, lines_of(quals, width))
        for name, bases, quals in reads()
    )
    return b"".join(records).replace(b"\n", newline)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("width", [1, 7, 60, 5000])
@pytest.mark.parametrize("chunk", [1, 100, 1 << 20])
def test_wrapped_reads(width: int, newline: bytes, chunk: int, tmp_path: Path) -> None:
    for last, repeat_name in ((b"", False), (b"", True), (newline * 3, False)):
        text = content(width, newline, repeat_name)
        (tmp_path / "r.fq").write_bytes(text + last)
        found = []
        with ReadSource(str(tmp_path / "r.fq"), batch_size=32, chunk_bytes=chunk) as source:
            for batch in source:
                for r in range(len(batch)):
                    begin, end = batch.offsets[r : r + 2]
                    bases = bytes(b"ACGTN"[code] for code in batch.sequence(r))
                    found.append((batch.name(r).encode(), bases, batch.quals[begin:end].tobytes()))
        assert found == reads()


def test_without_a_line_end_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "r.fq").write_bytes(b"@a\nAC\nGT\n+\nII\nII")
    with ReadSource(str(tmp_path / "r.fq")) as source:
        (batch,) = source
    assert batch.quals.tobytes() == b"IIII"


@pytest.mark.parametrize("lines", [2, 3, 9])
def test_a_name_and_blank_lines_are_no_record(lines: int, tmp_path: Path) -> None:
    """Nor is anything written behind the end of what was read."""
    (tmp_path / "r.fq").write_bytes(b"@ok\nA\n+\nI\n@a" + b"\n" * lines)
    for chunk in (1, 1 << 20):
        with ReadSource(str(tmp_path / "r.fq"), chunk_bytes=chunk) as source, pytest.raises(ReadsError):
            list(source)
