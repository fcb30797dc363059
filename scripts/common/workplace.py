"""Where a benchmark finds its data and keeps its results: references and reads under one output folder."""

from __future__ import annotations

import gzip
import shutil
from dataclasses import dataclass
from pathlib import Path

from scripts.common.cache import cached, digest, file_digest
from scripts.common.programs import ROOT, BenchError, run, version_of
from scripts.common.real_sets import RealSet

DATA = ROOT / "data"
"""The repository's own, small data."""
# Divergence d: d edits a base, a tenth of them indels, lengths geometric with mean 1.5 (each goes on with
# probability 1/3). As mutations of a haploid genome (-H, -r); no sequencing errors, no random reads (-y).
DWGSIM_OPTIONS = "-e 0 -E 0 -H -R 0.1 -X 0.333333 -y 0 -n 0 -q I -o 1"
DIVERGENCE = 0.006
INSERT_SIZE = {150: (400, 50), 250: (600, 60)}
"""Read length: outer distance and its standard deviation, in bases."""


@dataclass(frozen=True)
class Workplace:
    """Where the collection is, where results go, and how many threads every program gets."""

    data: Path
    out: Path
    threads: int

    def source(self, folder: str, name: str) -> Path:
        """A file of the collection or, where it has none of that name, of the repository's own data.

        Raises:
            BenchError: neither has it.
        """
        source = self.data / folder / name
        if source.exists():
            return source
        if (DATA / name).exists():
            return DATA / name
        raise BenchError(f"{source} is missing: name the collection of real data with --data or ESA_DATA")

    def reference(self, name: str) -> Path:
        """A reference as plain FASTA."""
        source = self.source("ref", f"{name}.fa.gz")
        path = self.out / "ref" / f"{name}-{file_digest(source)}.fa"
        return cached(path, lambda partial: partial.write_bytes(gzip.decompress(source.read_bytes())))

    def real_reads(self, real: RealSet) -> list[Path]:
        """The two FASTQ files of a real set."""
        return [self.source("reads", f"{real.reads}_{end}.fq.gz") for end in ("R1", "R2")]

    def simulated(self, reference: Path, length: int, pairs: int, seed: int) -> list[Path]:
        """Two plain FASTQ files of dwgsim at `DIVERGENCE`."""
        distance, deviation = INSERT_SIZE[length]
        options = [*DWGSIM_OPTIONS.split(), "-r", str(DIVERGENCE), "-1", str(length), "-2", str(length)]
        options += ["-d", str(distance), "-s", str(deviation), "-N", str(pairs), "-z", str(seed)]
        key = digest(reference.name, version_of("dwgsim"), *options)

        def make(partial: Path) -> None:
            partial.mkdir()
            run(["dwgsim", *options, reference, partial / "reads"])
            unpacked_dwgsim(partial)

        folder = cached(self.out / "reads" / f"{reference.stem}-{length}-{pairs}-{key}", make)
        return [folder / "R1.fq", folder / "R2.fq"]


def unpacked_dwgsim(folder: Path) -> list[Path]:
    """The pairs that dwgsim wrote with the prefix ``reads`` as plain FASTQ, in place of its own files."""
    plain = [folder / f"R{end}.fq" for end in (1, 2)]
    for end, path in enumerate(plain, 1):
        source = folder / f"reads.bwa.read{end}.fastq.gz"
        with gzip.open(source) as packed, path.open("wb") as handle:
            shutil.copyfileobj(packed, handle)
        source.unlink()
    return plain
