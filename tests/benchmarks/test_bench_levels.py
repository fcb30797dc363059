"""The tables of `scripts.benchmarks.levels`, of a small genome."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import esa

from esa.align.placer import SPLIT
from esa.index.open import Index, open_index
from scripts.benchmarks.levels import key_table, level_row


@pytest.fixture(scope="module")
def index(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("levels") / "x.esa"
    esa("index", data_dir / "lambda_phage.fa.gz", "-o", path, "-q")
    return open_index(str(path))


def test_the_more_keys_the_more_is_found(index: Index) -> None:
    rows = key_table(index, 200, 1).rows
    shares = [[float(cell.split()[0]) for cell in row[1:]] for row in rows]
    margins, minimizers, sliding, two = shares[0]
    assert margins < minimizers
    assert min(minimizers, sliding, two) > 0.95
    for _, minimizers, sliding, two in shares[1:]:
        assert two > max(minimizers, sliding)


def test_shares_of_reads_and_of_time(index: Index, data_dir: Path, tmp_path: Path) -> None:
    options = [
        "--pairs",
        200,
        "--length",
        60,
        "--insert",
        300,
        "--insert-sd",
        20,
        "--divergence",
        5,
        "--seed",
        1,
    ]
    esa("simulate", data_dir / "lambda_phage.fa.gz", "-o", tmp_path / "r", *options)
    label, micros, *cells = level_row(index, "some", [tmp_path / f"r_R{end}.fq.gz" for end in (1, 2)])
    levels, (rescue, rest) = cells[:-2], cells[-2:]
    assert (label, len(levels)) == ("some", len(index.preset.levels) + len([SPLIT]))
    reached = [float(cell.split(" / ")[0]) for cell in levels]
    # A phage has no repeat buckets.
    assert reached.pop([level.name for level in index.preset.levels].index("repeats")) == 0
    assert reached[0] == 100
    # Few reads of 60 bases have so many fragments that some are left out.
    assert reached[0] > reached[2] > reached[3] > reached[4] > reached[5] == 0
    assert reached[1] < reached[2]
    times = [float(cell.split(" / ")[1]) for cell in levels] + [float(rescue), float(rest)]
    assert sum(times) == pytest.approx(100, abs=1)
    assert float(micros.replace(",", "")) > 0
