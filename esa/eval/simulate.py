"""Simulated reads of known origin, named as dwgsim names them.

The model: a fragment's length is normal, its place uniform over the contigs, and both strands are equally likely. A
read is a walk along its strand from the fragment's end. Before each base but the first an indel may begin, and each
base taken from the reference may be substituted. A fragment holds no N. The random numbers of a fragment are seeded
by the run's seed and the fragment's number alone. So reads depend neither on how many are made nor on the batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from isal import igzip
from numpy.typing import NDArray

from esa.errors import EsaError, UsageError
from esa.eval import simulate_kernels as kernels
from esa.eval.simulate_indels import IndelLengths
from esa.io.fasta import read_genome
from esa.io.output import AlignmentOutput, open_file
from esa.sequence import dna
from esa.sequence.genome import Genome

INDEL_SHARE = 0.1
"""Share of indels among the edits of a divergence."""

DEFAULT_DIVERGENCE = 0.6
MAX_QUALITY = 93
PHRED_OFFSET = 33
BATCH_BASES = 1 << 24
GZIP_LEVEL = 1
PERCENT = 100


@dataclass(frozen=True)
class SimulationParameters:
    """Numbers and model of the reads to simulate.

    Attributes:
        fragments: pairs, or reads if ``paired`` is false.
        paired: whether both ends of each fragment are read.
        length, length2: bases of the first and the second end.
        insert_mean, insert_sd: length of the fragments of pairs, in bases, outer ends included.
        substitutions: probability of a substitution, a base.
        indels: probability that an indel begins, a base. Half are insertions, half deletions.
        indel_lengths: law of their lengths. An insertion is cut off at the end of its read.
        random_fraction: probability that a fragment's reads are random bases.
        quality: Phred score of every base.
        seed: the same seed gives the same reads.

    Raises:
        UsageError: such reads cannot be simulated.
    """

    fragments: int
    paired: bool = True
    length: int = 150
    length2: int = 150
    insert_mean: float = 400.0
    insert_sd: float = 50.0
    substitutions: float = 0.0
    indels: float = 0.0
    indel_lengths: IndelLengths = field(default_factory=IndelLengths)
    random_fraction: float = 0.0
    quality: int = 30
    seed: int = 1

    def __post_init__(self) -> None:
        rates = (self.substitutions, self.indels, self.random_fraction)
        longest = max(self.length, self.length2) if self.paired else self.length
        checks = (
            (self.fragments >= 0, "the number of reads or pairs must not be negative"),
            (min(self.length, self.length2) >= 1, "reads must have at least one base"),
            (all(0 <= rate <= 1 for rate in rates), "rates and fractions lie between 0 and 1"),
            (self.substitutions + self.indels <= 1, "substitutions and indels together exceed 1 a base"),
            (0 <= self.quality <= MAX_QUALITY, f"qualities lie between 0 and {MAX_QUALITY}"),
            (
                math.isfinite(self.insert_mean) and 0 <= self.insert_sd < math.inf,
                "the insert size is no number",
            ),
            (not self.paired or self.insert_mean >= longest, "the mean insert is shorter than a read"),
            (0 <= self.seed < 1 << 63, "the seed lies between 0 and 2^63 - 1"),
        )
        for holds, complaint in checks:
            if not holds:
                raise UsageError(f"cannot simulate such reads: {complaint}")


def edit_rates(
    divergence: float | None, substitutions: float | None = None, indels: float | None = None
) -> tuple[float, float]:
    """Rates of substitutions and indels a base.

    Args:
        divergence: edits in 100 bases, `INDEL_SHARE` of them indels; with no argument `DEFAULT_DIVERGENCE`.
        substitutions, indels: the rates, in place of ``divergence``; one alone leaves the other at 0.

    Raises:
        UsageError: both ways at once.
    """
    if substitutions is None and indels is None:
        edits = (DEFAULT_DIVERGENCE if divergence is None else divergence) / PERCENT
        return (1 - INDEL_SHARE) * edits, INDEL_SHARE * edits
    if divergence is not None:
        raise UsageError(
            "--divergence sets the rates of --substitutions and --indels; give the one or the others"
        )
    return substitutions or 0.0, indels or 0.0


def count_fragments(pairs: int | None, reads: int | None, single: bool) -> int:
    """The number of pairs or, single-end, of reads.

    Raises:
        UsageError: the number that is needed is missing, or the other one is given.
    """
    wanted, other = (reads, pairs) if single else (pairs, reads)
    if wanted is None or other is not None:
        raise UsageError("give either --pairs N, or --single --reads N")
    return wanted


@dataclass(frozen=True)
class SimulatedReads:
    """A batch of n fragments of one or two ends.

    Attributes:
        first: number of the first fragment.
        codes: for each end, ``uint8[n, length]``, base codes as sequenced.
        contig: ``int32[n]``, contig index, `esa.io.records.NONE` for random reads.
        position: ``int64[n, ends]``, 0-based leftmost position in the contig.
        reverse: ``bool[n, ends]``.
        edits: ``int32[n, ends, 2]``, substitutions and indels.
    """

    first: int
    codes: tuple[NDArray[np.uint8], ...]
    contig: NDArray[np.int32]
    position: NDArray[np.int64]
    reverse: NDArray[np.bool_]
    edits: NDArray[np.int32]


def simulate(genome: Genome, parameters: SimulationParameters) -> Iterator[SimulatedReads]:
    """Simulate reads in batches of some `BATCH_BASES`.

    Contigs shorter than the mean insert size (single-end: than the read) give none.

    Raises:
        EsaError: no contig is long enough, or too much of the reference is N.
    """
    p = parameters
    lengths = np.array([p.length, p.length2] if p.paired else [p.length], np.int64)
    span = math.ceil(p.insert_mean) if p.paired else p.length
    weights = np.maximum(genome.lengths - span + 1, 0).astype(np.float64)
    if p.fragments and not weights.any():
        raise EsaError(f"no contig has {span} bases, as a fragment needs; simulate shorter inserts or reads")
    reference = kernels.Reference(
        genome.packed, genome.n_starts, genome.n_ends, genome.offsets, np.cumsum(weights)
    )
    model = kernels.Model(
        float(p.insert_mean),
        float(p.insert_sd),
        float(p.substitutions),
        float(p.indels),
        float(p.random_fraction),
        p.indel_lengths.stops(),
    )
    step = max(1, BATCH_BASES // int(lengths.sum()))
    for first in range(0, p.fragments, step):
        codes, reads = _empty_batch(first, min(step, p.fragments - first), lengths)
        out = kernels.Output(codes, reads.contig, reads.position, reads.reverse, reads.edits)
        if not kernels.simulate(reference, model, lengths, p.seed, first, out):
            raise EsaError(
                f"no place found for a fragment in {kernels.MAX_ATTEMPTS} draws: the reference is mostly N, "
                "or hardly longer than the fragments; simulate shorter inserts or reads"
            )
        yield reads


def _empty_batch(first: int, n: int, lengths: NDArray[np.int64]) -> tuple[NDArray[np.uint8], SimulatedReads]:
    """The codes of all ends side by side (``uint8[n, sum(lengths)]``), and the batch that has views of them."""
    codes, ends = np.empty((n, lengths.sum()), np.uint8), len(lengths)
    return codes, SimulatedReads(
        first,
        codes=tuple(np.split(codes, np.cumsum(lengths)[:-1], axis=1)),
        contig=np.empty(n, np.int32),
        position=np.empty((n, ends), np.int64),
        reverse=np.empty((n, ends), np.bool_),
        edits=np.empty((n, ends, 2), np.int32),
    )


def read_names(reads: SimulatedReads, contig_names: tuple[str, ...]) -> list[str]:
    """The fragments' names in dwgsim's format; substitutions stand where dwgsim has sequencing errors."""
    # dwgsim gives an absent second end position 1 (0 for random reads), strand 0 and no edits.
    single = reads.position.shape[1] == 1
    names = []
    for i, (contig, positions, strands, edits) in enumerate(
        zip(
            reads.contig.tolist(),
            reads.position.tolist(),
            reads.reverse.tolist(),
            reads.edits.tolist(),
            strict=True,
        )
    ):
        number = f"{reads.first + i:x}"
        if contig < 0:
            names.append(f"rand_0_0_0_0_1_1_0:0:0_0:0:0_{number}")
            continue
        if single:
            positions, strands, edits = [*positions, 0], [*strands, False], [*edits, [0, 0]]
        (position, position2), (reverse, reverse2), ((s, g), (s2, g2)) = positions, strands, edits
        names.append(
            f"{contig_names[contig]}_{position + 1}_{position2 + 1}_{reverse:d}_{reverse2:d}_0_0_"
            f"{s}:0:{g}_{s2}:0:{g2}_{number}"
        )
    return names


def fastq(names: list[str], codes: NDArray[np.uint8], suffix: str, quality: int) -> bytes:
    """FASTQ text of one end: names plus suffix, ``codes`` (``uint8[n, length]``), one quality."""
    length = codes.shape[1]
    letters = dna.LETTERS[codes].tobytes().decode()
    tail = f"\n+\n{chr(quality + PHRED_OFFSET) * length}\n"
    parts = [
        f"@{name}{suffix}\n{letters[i * length : (i + 1) * length]}{tail}" for i, name in enumerate(names)
    ]
    return "".join(parts).encode()


@dataclass(frozen=True)
class SimulationSummary:
    """What `write_reads` did.

    Attributes:
        paths: files written.
        fragments: pairs, or reads of single-end runs.
        skipped_contigs: contigs too short to give any.
    """

    paths: tuple[str, ...]
    fragments: int
    skipped_contigs: int


def output_paths(prefix: str, paired: bool, compress: bool) -> tuple[str, ...]:
    """``PREFIX_R1.fq.gz`` and ``PREFIX_R2.fq.gz``, or ``PREFIX.fq.gz`` for single-end reads."""
    ending = ".fq.gz" if compress else ".fq"
    return tuple(f"{prefix}{end}{ending}" for end in (("_R1", "_R2") if paired else ("",)))


def write_reads(
    reference: str, prefix: str, parameters: SimulationParameters, compress: bool = True
) -> SimulationSummary:
    """Simulate reads from a FASTA and write them as FASTQ files (`output_paths`).

    Raises:
        FastaError: the reference cannot be read.
        EsaError: no such reads can be drawn from it (`simulate`).
        OutputError: a file cannot be written.
    """
    genome = read_genome(reference)
    paths = output_paths(prefix, parameters.paired, compress)
    suffixes = ("/1", "/2") if parameters.paired else ("",)
    with ExitStack() as stack:
        outputs = [stack.enter_context(open_file(path)) for path in paths]
        for reads in simulate(genome, parameters):
            names = read_names(reads, genome.names)
            for output, codes, suffix in zip(outputs, reads.codes, suffixes, strict=True):
                _write(output, fastq(names, codes, suffix, parameters.quality), compress)
        if not parameters.fragments:
            for output in outputs:
                _write(output, b"", compress)
    span = parameters.insert_mean if parameters.paired else parameters.length
    return SimulationSummary(paths, parameters.fragments, int(np.count_nonzero(genome.lengths < span)))


def _write(output: AlignmentOutput, text: bytes, compress: bool) -> None:
    # One gzip member a batch, without a time stamp: the same reads are the same bytes.
    output.write(igzip.compress(text, GZIP_LEVEL, mtime=0) if compress else text)
