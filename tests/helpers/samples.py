"""Small genomes and reads with known origin, and short ways to run the aligner on them."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pysam

from esa.align.config import AlignConfig
from esa.cli.main import run
from esa.index.build import BuildOptions, build_index
from esa.index.open import Index, open_index
from esa.io.fastq import ReadSource
from esa.run.pipeline import AlignOptions, align

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")

Read = tuple[str, str]
"""Name and bases."""


def reverse_complement(bases: str) -> str:
    """Of upper-case bases."""
    return bases.translate(COMPLEMENT)[::-1]


def random_bases(rng: np.random.Generator, count: int) -> str:
    """Uniformly random bases, without N."""
    return "".join("ACGT"[i] for i in rng.integers(0, 4, count))


def substituted(rng: np.random.Generator, bases: str, rate: float) -> str:
    """The bases with that share of them replaced by another one."""
    out = list(bases)
    for i in np.flatnonzero(rng.random(len(bases)) < rate):
        out[i] = "ACGT"[("ACGT".index(out[i]) + rng.integers(1, 4)) % 4]
    return "".join(out)


def edited(rng: np.random.Generator, bases: str, rate: float) -> str:
    """The bases with substitutions, and a tenth as many indels of one to three bases."""
    out = list(substituted(rng, bases, rate))
    for i in np.flatnonzero(rng.random(len(bases)) < rate / 10):
        size = int(rng.integers(1, 4))
        if rng.random() < 0.5:
            out[i] += random_bases(rng, size)
        else:
            out[i : i + size] = [""] * len(out[i : i + size])
    return "".join(out)


def qualities(count: int) -> str:
    """Another one at each end, so that a QUAL that was not turned with its SEQ shows."""
    return "".join(chr(ord("!") + 10 + i % 30) for i in range(count))


def fasta_text(records: Mapping[str, str] | Iterable[Read]) -> str:
    """A FASTA file, one line per sequence."""
    pairs = records.items() if isinstance(records, Mapping) else records
    return "".join(f">{name}\n{bases}\n" for name, bases in pairs)


def fastq_text(reads: Iterable[Read]) -> str:
    """A FASTQ file; see `qualities`."""
    return "".join(f"@{name}\n{bases}\n+\n{qualities(len(bases))}\n" for name, bases in reads)


def write(path: Path, text: str | bytes) -> str:
    """Write a file, gzip if it is named so; returns its name."""
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)
    return str(path)


def read_fasta(path: Path) -> dict[str, str]:
    """Bases of each record of a small FASTA, plain or gzip."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    records = (record.split("\n", 1) for record in text.split(">")[1:])
    return {header.split()[0]: "".join(lines.split()).upper() for header, lines in records}


def make_index(folder: Path, contigs: Mapping[str, str], preset: str = "anchored") -> Path:
    """Index of the contigs, as ``folder/ref.esa``; the FASTA lies beside it as ``folder/ref.fa``."""
    reference = write(folder / "ref.fa", fasta_text(contigs))
    build_index(reference, folder / "ref.esa", BuildOptions(preset))
    return folder / "ref.esa"


def esa(*arguments: object) -> None:
    """Run a command that must succeed."""
    assert run([str(argument) for argument in arguments]) == 0


def records_of(path: Path) -> list[pysam.AlignedSegment]:
    """All records of a SAM or BAM file."""
    with pysam.AlignmentFile(str(path), check_sq=False) as file:
        return list(file)


def qual_of(record: pysam.AlignedSegment) -> str:
    """QUAL as it stands in SAM. (pysam's `qual` of one base overwrites Python's one-byte constants.)"""
    return str(record.to_string().split("\t")[10])


def comparable(sam: str | bytes) -> str:
    """SAM text without what names the run: the command line of @PG."""
    text = sam.decode() if isinstance(sam, bytes) else sam
    return re.sub(r"^(@PG.*)\tCL:.*$", r"\1", text, flags=re.MULTILINE)


class Collected(io.BytesIO):
    """An output that keeps what is written."""


class Aligner:
    """An open index and a folder for read files: reads in, SAM text or records out, by the library alone."""

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder = folder
        self.index = index
        self.config = AlignConfig(index.preset.levels)

    @classmethod
    def of(cls, folder: Path, contigs: Mapping[str, str], preset: str = "anchored") -> Aligner:
        """An aligner over these contigs."""
        return cls(folder, open_index(make_index(folder, contigs, preset)))

    def sam(self, reads: Sequence[Read], mates: Sequence[Read] | None = None, **options: object) -> str:
        """SAM text; ``options`` as of `output`."""
        return self.output(reads, mates, **options).decode()  # type: ignore[arg-type]

    def output(
        self,
        reads: Sequence[Read],
        mates: Sequence[Read] | None = None,
        *,
        threads: int = 1,
        batch_size: int = 8192,
        config: AlignConfig | None = None,
        **options: object,
    ) -> bytes:
        """What is written; ``options``: those of `AlignOptions`."""
        first = write(self.folder / "R1.fq", fastq_text(reads))
        second = None if mates is None else write(self.folder / "R2.fq", fastq_text(mates))
        out = Collected()
        with ReadSource(first, second, batch_size=batch_size) as source:
            run_options = AlignOptions(threads, "esa", "0", **options)  # type: ignore[arg-type]
            align(self.index, source, out, config or self.config, run_options)  # type: ignore[arg-type]
        return out.getvalue()

    def align(
        self,
        reads: Sequence[Read],
        mates: Sequence[Read] | None = None,
        config: AlignConfig | None = None,
        **options: object,
    ) -> list[pysam.AlignedSegment]:
        """The records, each parsed by pysam."""
        text = self.sam(reads, mates, config=config, **options)
        lines = text.splitlines()
        header = pysam.AlignmentHeader.from_text("".join(f"{x}\n" for x in lines if x.startswith("@")))
        return [pysam.AlignedSegment.fromstring(x, header) for x in lines if not x.startswith("@")]
