"""Which names of mates go together, and what is left of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from esa.errors import ReadsError
from esa.io.fastq import ReadSource

TOGETHER = [
    ("r/1", "r/2", "r"),
    ("r/1", "r/3", "r"),
    ("r/0", "r/1", "r"),
    ("r.1", "r.2", "r"),
    ("r_1", "r_2", "r"),
    ("r:1", "r:2", "r"),
    ("r/F", "r/R", "r"),
    ("run.1", "run.1", "run.1"),
    ("run_7", "run_7", "run_7"),
    ("r:1:22", "r:1:22", "r:1:22"),
    ("r", "r/2", "r"),
    ("r/1", "r", "r"),
    ("SRR1.5.1", "SRR1.5.2", "SRR1.5"),
    ("a/1/1", "a/1/2", "a/1"),
    ("/1", "/1", "/1"),
    ("r.1 1:N:0", "r.2 2:N:0", "r"),
]
APART = [
    ("r1", "r2"),
    ("r.1", "r_2"),
    ("r.1", "s.2"),
    ("r.10", "r.11"),
    ("r-1", "r-2"),
    ("r.F", "r.R"),
    ("r/1", "s/2"),
    ("r.1", "r"),
    (".1", ".2"),
    ("r/A", "r/B"),
]


def write(path: Path, names: list[str]) -> str:
    path.write_text("".join(f"@{name}\nACGT\n+\nIIII\n" for name in names))
    return str(path)


def names(source: ReadSource) -> list[str]:
    return [batch.name(r) for batch in source for r in range(len(batch))]


@pytest.mark.parametrize(("first", "second", "shared"), TOGETHER)
def test_mates(first: str, second: str, shared: str, tmp_path: Path) -> None:
    files = [write(tmp_path / str(i), [name, "x/1", name]) for i, name in enumerate((first, second))]
    expected = [shared, shared, "x", "x", shared, shared]
    with ReadSource(*files) as source:
        assert names(source) == expected
    mixed = write(tmp_path / "both", [first, second, "x/1", "x/2", first, second])
    with ReadSource(mixed, interleaved=True, batch_size=2, chunk_bytes=3) as source:
        assert names(source) == expected


@pytest.mark.parametrize(("first", "second"), APART)
def test_no_mates(first: str, second: str, tmp_path: Path) -> None:
    files = [write(tmp_path / str(i), ["ok", name]) for i, name in enumerate((first, second))]
    with (
        ReadSource(*files, batch_size=2) as source,
        pytest.raises(ReadsError, match="record 2: the names of the mates"),
    ):
        names(source)


def test_single_reads_lose_only_what_bwa_takes_off(tmp_path: Path) -> None:
    given = ["r/1", "r/2", "r/3", "r.1", "r_2", "r:1", "r/F"]
    with ReadSource(write(tmp_path / "r", given)) as source:
        assert names(source) == ["r", "r", *given[2:]]
