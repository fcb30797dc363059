"""`esa.index.parts`: a genome through the arrays and contigs of an index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esa.errors import IndexFormatError
from esa.index import parts
from esa.index.manifest import Contig, Manifest
from esa.index.reader import open_directory
from esa.index.writer import DirectoryWriter
from esa.io.fasta import read_genome
from esa.sequence.genome import Genome

FACTS: dict[str, Any] = {
    "preset": "anchored",
    "parameters": {},
    "contigs": (Contig("chr1", 8, "0" * 32), Contig("chr2", 5, "f" * 32)),
    "statistics": {},
}
GENOME_FASTA = b">chr1 first\nNNACGTRYacg\n>chr2\nT\n>chr3\nACGTN\n"


def test_genome_round_trip(tmp_path: Path) -> None:
    (tmp_path / "x.fa").write_bytes(GENOME_FASTA)
    genome = read_genome(str(tmp_path / "x.fa"))
    with DirectoryWriter(tmp_path / "x.esa") as writer:
        for name, array in parts.genome_arrays(genome).items():
            writer.add(name, array)
        writer.commit(**FACTS | {"contigs": parts.contigs_of(genome)})
    back = parts.genome_from(*open_directory(tmp_path / "x.esa"))
    assert (back.names, back.m5) == (genome.names, genome.m5)
    for name in ("lengths", "packed", "n_starts", "n_ends", "offsets"):
        np.testing.assert_array_equal(getattr(back, name), getattr(genome, name))
        assert getattr(back, name).dtype == getattr(genome, name).dtype
    assert back.fetch(0, back.bases).tolist() == genome.fetch(0, genome.bases).tolist()


def test_a_genome_of_thousands_of_contigs_round_trips(tmp_path: Path) -> None:
    n = 4000
    genome = Genome(
        names=tuple(f"contig{i}" for i in range(n)),
        lengths=np.arange(1, n + 1),
        m5=tuple(f"{i:032x}" for i in range(n)),
        packed=np.zeros(-(-n * (n + 1) // 2 // 4), np.uint8),
        n_starts=np.empty(0, np.int64),
        n_ends=np.empty(0, np.int64),
    )
    with DirectoryWriter(tmp_path / "x.esa") as writer:
        for name, array in parts.genome_arrays(genome).items():
            writer.add(name, array)
        writer.commit(**FACTS | {"contigs": parts.contigs_of(genome)})
    back = parts.genome_from(*open_directory(tmp_path / "x.esa"))
    assert (back.names, back.m5) == (genome.names, genome.m5)
    assert back.lengths.tolist() == genome.lengths.tolist()


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("genome_packed", None),
        ("genome_packed", np.zeros(3, np.uint8)),
        ("genome_packed", np.zeros(4, np.int8)),
        ("genome_packed", np.zeros((2, 2), np.uint8)),
        ("genome_n_starts", np.array([0, 5, 9])),
        ("genome_n_starts", np.array([-1, 5])),
        ("genome_n_starts", np.array([5, 0])),
        ("genome_n_starts", np.array([0, 1])),
        ("genome_n_ends", np.array([2, 14])),
    ],
)
def test_arrays_that_fit_no_genome_are_refused(name: str, array: Any) -> None:
    arrays = {
        "genome_packed": np.zeros(4, np.uint8),
        "genome_n_starts": np.array([0, 5]),
        "genome_n_ends": np.array([2, 13]),
    }
    facts = Manifest(**FACTS, arrays=(), files=())
    assert parts.genome_from(facts, arrays).bases == 13
    arrays = arrays | {name: array} if array is not None else {k: v for k, v in arrays.items() if k != name}
    with pytest.raises(IndexFormatError, match=r"^x.esa: .*genome_.*rebuild"):
        parts.genome_from(facts, arrays, "x.esa")
