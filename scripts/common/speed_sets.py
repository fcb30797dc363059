"""Read sets of the speed benchmark, and whether an aligner's output over one is complete and right."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esa.errors import EsaError
from esa.eval import truth as origins
from esa.eval.alignments import END_MASK, Alignments, Contigs, ReadNames, read_alignments
from esa.eval.metrics import correct, spread
from esa.eval.truth import SCHEMES
from esa.io.records import NONE
from scripts.common.cache import cached, digest, file_digest
from scripts.common.programs import BenchError
from scripts.common.real_sets import CHR20, NA12878, RealSet
from scripts.common.timed_runs import LINES_A_READ
from scripts.common.workplace import Workplace


@dataclass(frozen=True)
class SpeedSet:
    """Reads in plain FASTQ, and the name of the reference to align them to.

    Attributes:
        name: for the table.
        label: for file names.
        length: of simulated reads; None if they are real.
        window: where real reads should lie, if that is known.
        distinct: reads, where some are there several times; 0 otherwise.
    """

    name: str
    label: str
    files: tuple[Path, ...]
    length: int | None
    window: tuple[str, int, int] | None = None
    distinct: int = 0
    reference: str = CHR20

    @property
    def origins_known(self) -> bool:
        """Whether it is known of each read where it belongs."""
        return self.length is not None or self.window is not None

    def names(self) -> set[tuple[bytes, int]]:
        """Name and end (0 unpaired, 1, 2) of every read."""
        paired = len(self.files) > 1
        return {
            (name, end if paired else 0)
            for end, path in enumerate(self.files, 1)
            for name in read_names(path)
        }


def read_names(path: Path) -> Iterator[bytes]:
    """Of a plain FASTQ file, without comment, /1 and /2."""
    with path.open("rb") as lines:
        for line in islice(lines, 0, None, LINES_A_READ):
            yield bare_name(line[1:].split(maxsplit=1)[0])


def bare_name(name: bytes) -> bytes:
    """Without /1 and /2."""
    return name[:-2] if name.endswith((b"/1", b"/2")) else name


def simulated_set(place: Workplace, length: int, pairs: int, seed: int, single: bool) -> SpeedSet:
    """dwgsim reads of human chromosome 20; ``single``: first ends only."""
    files = place.simulated(place.reference(CHR20), length, pairs, seed)
    used = files[:1] if single else files
    return SpeedSet(f"{len(used)}x{length}", f"simulated-{length}", tuple(used), length)


def real_set(place: Workplace, pairs: int, single: bool, real: RealSet = NA12878) -> SpeedSet:
    """Real pairs, over and over under new names until there are ``pairs``: the collection has some 26,000."""
    sources = place.real_reads(real)

    def make(partial: Path) -> None:
        partial.mkdir()
        for end, source in enumerate(sources, 1):
            repeat_reads(source, pairs, partial / f"R{end}.fq")

    key = digest(*map(file_digest, sources), pairs)
    folder = cached(place.out / "reads" / f"{real.reads}-{pairs}-{key}", make)
    ends = (1,) if single else (1, 2)
    files = tuple(folder / f"R{end}.fq" for end in ends)
    pool = sum(len(gzipped_reads(source)) for source in sources[: len(files)])
    distinct = pool if pool < pairs * len(files) else 0
    return SpeedSet(real.name, real.reads, files, None, real.window, distinct, real.reference)


def gzipped_reads(path: Path) -> list[str]:
    """The records of a gzipped FASTQ file as texts of four lines."""
    with gzip.open(path, "rt") as handle:
        lines = handle.readlines()
    return ["".join(lines[i : i + LINES_A_READ]) for i in range(0, len(lines), LINES_A_READ)]


def repeat_reads(source: Path, count: int, out: Path) -> None:
    """The first ``count`` reads of a gzipped FASTQ file repeated endlessly; copies have names of their own."""
    records = gzipped_reads(source)
    if not records:
        raise BenchError(f"{source} holds no read")
    with out.open("w") as sink:
        for i in range(count):
            copy, at = divmod(i, len(records))
            sink.write(f"@{copy}:{records[at][1:]}" if copy else records[at])


# Judging


@dataclass(frozen=True)
class Judgement:
    """What an aligner's output holds.

    Attributes:
        fault: why not every read has exactly one primary record; empty if each has.
        mapped_percent: of all reads.
        right_percent: of all reads: where they come from, by the rule of `esa eval`, or in the window; None if
            nothing is known of that.
    """

    fault: str
    mapped_percent: float
    right_percent: float | None


def judge(sam: Path, reads: SpeedSet, expected: set[tuple[bytes, int]]) -> Judgement:
    """The SAM of a timed run over reads of these names (`SpeedSet.names`)."""
    contigs = Contigs()
    try:
        alignments, names = read_alignments(str(sam), contigs)
    except EsaError as error:  # two primary records of one read, a truncated file
        return Judgement(str(error), 0.0, 0.0)
    ends = (alignments.key[names.row] & END_MASK).tolist()
    found = set(zip(names, ends, strict=True))
    missing, foreign = len(expected - found), len(found - expected)
    right = _right(alignments, names, contigs, reads) if reads.origins_known else None
    return Judgement(
        f"{missing:,} reads missing, {foreign:,} not of the set" if missing or foreign else "",
        100 * np.count_nonzero(alignments.contig != NONE) / len(expected),
        None if right is None else 100 * np.count_nonzero(right) / len(expected),
    )


def right_reads(sam: Path, reads: SpeedSet) -> dict[tuple[bytes, int], bool]:
    """Whether each read of a SAM or BAM file, by name and end, lies where it belongs.

    Raises:
        EsaError: as `esa.eval.alignments.read_alignments` does.
    """
    contigs = Contigs()
    alignments, names = read_alignments(str(sam), contigs)
    ends = (alignments.key[names.row] & END_MASK).tolist()
    right = _right(alignments, names, contigs, reads)[names.row].tolist()
    return dict(zip(zip(names, ends, strict=True), right, strict=True))


def _right(alignments: Alignments, names: ReadNames, contigs: Contigs, reads: SpeedSet) -> NDArray[np.bool_]:
    if reads.window is not None:
        contig, start, end = reads.window
        on_contig = alignments.contig == contigs.add(contig)
        return on_contig & (alignments.end > start) & (alignments.start < end)
    everyone = np.ones(len(alignments), np.bool_)
    truth = origins.concatenate([origins.from_names(SCHEMES["dwgsim"], alignments, names, everyone, contigs)])
    return correct(spread(alignments, alignments.key), truth)


def judge_all(sams: Mapping[str, Path], reads: SpeedSet) -> dict[str, Judgement]:
    """By the aligner's name."""
    expected = reads.names()
    return {name: judge(sam, reads, expected) for name, sam in sams.items()}
