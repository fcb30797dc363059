"""Are the reads of `esa simulate` easier than those of dwgsim and mason? One table answers.

    python -m scripts.checks.simulator [--pairs 10000]

Pairs of the same length, divergence and insert size come from E. coli MG1655 and a slice of human chr20. Indel
lengths are geometric with mean 1.5 for esa and dwgsim. Indels of one base are compared with mason, which has no others.

Measured alike for all, on a sample: each read is aligned exactly, with affine gaps, to the origin that its simulator
states. From that come edits and indel events per read, indel lengths, strands of first ends and insert sizes. Measured
on all reads: correct % of bwa mem and of esa, by `esa eval`.

Each mean stands with twice its standard error. Reads of esa are EASIER where edits are fewer, or bwa mem's correct % is
higher, by more than three standard errors of the difference. There are sixteen comparisons. Reads
of dwgsim share edits, since it mutates a genome: its error is understated.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import dnaio
import numpy as np
import pysam
from Bio.Align import PairwiseAligner
from Bio.Seq import reverse_complement

from esa.eval.evaluate import InputFile, evaluate
from esa.eval.simulate import SimulationParameters, edit_rates, write_reads
from esa.eval.simulate_indels import IndelLengths
from esa.eval.truth import NOWHERE, SCHEMES
from esa.io.fasta import read_genome
from esa.sequence.dna import decode
from esa.sequence.genome import Genome
from scripts.common.aligners import bwa, esa
from scripts.common.cache import cached
from scripts.common.command_line import add_common_options, guarded, script_parser, workplace
from scripts.common.programs import MASON, Command, need, run
from scripts.common.real_sets import CHR20, MG1655
from scripts.common.tables import table
from scripts.common.workplace import DWGSIM_OPTIONS, Workplace, unpacked_dwgsim

CONDITIONS = ((100, 2.0), (150, 10.0))
"""Read length, divergence."""
INSERT = (500, 50)
SLICE = (29_900_000, 34_400_000)
"""Of chr20, 0-based half-open: beside the centromere, where it is repetitive."""
LINE = 60
DEFAULT_PAIRS = 10_000
SAMPLE = 1500
"""Pairs that are aligned exactly."""
MARGIN = 40
"""Bases of reference on both sides of an origin that an exact alignment may use."""
SHOWN_SDS = 2.0
VERDICT_SDS = 3.0
"""Two figures are compared for two pairs of simulators in four conditions: two would be passed by chance."""

ORIGIN = SCHEMES["dwgsim"]

Locus = tuple[int, bool]
"""0-based leftmost position on the only contig, whether reverse."""


@dataclass(frozen=True)
class Task:
    """What every simulator has to make."""

    reference: Path
    length: int
    divergence: float
    pairs: int
    seed: int


@dataclass(frozen=True)
class Made:
    """Two FASTQ files and, where names do not tell the origins, the SAM file that does."""

    reads: list[Path]
    truth: Path | None = None


def by_esa(longest: int) -> Callable[[Task, Path], Made]:
    """esa with the default law of indel lengths, cut at ``longest``."""

    def make(task: Task, folder: Path) -> Made:
        substitutions, indels = edit_rates(task.divergence)
        p = SimulationParameters(
            fragments=task.pairs,
            length=task.length,
            length2=task.length,
            insert_mean=INSERT[0],
            insert_sd=INSERT[1],
            substitutions=substitutions,
            indels=indels,
            indel_lengths=IndelLengths(longest=longest),
            seed=task.seed,
        )
        return Made([Path(x) for x in write_reads(str(task.reference), str(folder / "r"), p, False).paths])

    return make


def by_dwgsim(task: Task, folder: Path) -> Made:
    """Pairs of dwgsim."""
    rate = task.divergence / 100
    options = ["-r", rate, "-1", task.length, "-2", task.length]
    options += ["-d", INSERT[0], "-s", INSERT[1], "-N", task.pairs, "-z", task.seed]
    words = [*DWGSIM_OPTIONS.split(), *map(str, options)]
    run(["dwgsim", *words, task.reference, folder / "reads"])
    return Made(unpacked_dwgsim(folder))


def by_mason(task: Task, folder: Path) -> Made:
    """Pairs of mason."""
    substitutions, indels = edit_rates(task.divergence)
    made = Made([folder / "R1.fq", folder / "R2.fq"], folder / "truth.sam")
    options = {
        "seed": task.seed,
        "illumina-read-length": task.length,
        "fragment-mean-size": INSERT[0],
        "fragment-size-std-dev": INSERT[1],
        "illumina-prob-mismatch": substitutions,
        "illumina-prob-mismatch-begin": substitutions,
        "illumina-prob-mismatch-end": substitutions,
        "illumina-prob-insert": indels / 2,
        "illumina-prob-deletion": indels / 2,
    }
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    files: Command = ["-o", made.reads[0], "-or", made.reads[1], "-oa", folder / "truth.sam"]
    run([MASON, "-q", "-ir", task.reference, "-n", str(task.pairs), *files, *words])
    return made


DEFAULT_LONGEST = IndelLengths().longest
SIMULATORS: dict[str, Callable[[Task, Path], Made]] = {
    "esa": by_esa(DEFAULT_LONGEST),
    "dwgsim": by_dwgsim,
    "esa, one-base indels": by_esa(1),
    "mason": by_mason,
}
RIVALS = (("esa", "dwgsim"), ("esa, one-base indels", "mason"))


# What a sample of the reads looks like


@dataclass(frozen=True)
class Aligned:
    """One read aligned exactly at its origin."""

    edits: int
    indels: tuple[int, ...]
    start: int
    end: int
    reverse: bool


def exact_aligner() -> PairwiseAligner:
    """Of a read (query) within a window of the reference (target), by the scores of esa and bwa mem."""
    aligner = PairwiseAligner(mode="global", match_score=1, mismatch_score=-4)
    aligner.open_gap_score, aligner.extend_gap_score = -7, -1
    aligner.end_deletion_score = 0
    return aligner


def aligned(aligner: PairwiseAligner, genome: Genome, read: str, locus: Locus) -> Aligned:
    """Align a read to its locus, exactly."""
    position, reverse = locus
    begin = max(0, position - MARGIN)
    # Of the only contig, so its places are those of the genome.
    window = decode(genome.fetch(begin, min(position + len(read) + MARGIN, genome.bases))).decode()
    best = aligner.align(window, reverse_complement(read) if reverse else read)[0]
    target, query = best.coordinates
    # The bases of the window before and after the read are deletions, which cost nothing.
    first, last = (1 if query[1] == 0 else 0), (-2 if query[-2] == query[-1] else -1)
    target, query = target[first : len(target) + last + 1], query[first : len(query) + last + 1]
    steps = zip(np.diff(target).tolist(), np.diff(query).tolist(), strict=True)
    indels = tuple(abs(t - q) for t, q in steps if t != q)
    edits = int(best.counts().mismatches) + sum(indels)
    return Aligned(edits, indels, begin + int(target[0]), begin + int(target[-1]), reverse)


def loci(made: Made) -> Callable[[str, int], Locus]:
    """Of a read's name without its suffix and the end (1, 2), where it comes from."""
    if made.truth is None:
        return _named_locus
    with pysam.AlignmentFile(str(made.truth)) as records:
        known = {(str(r.query_name), 1 + r.is_read2): (r.reference_start, r.is_reverse) for r in records}
    return lambda name, end: known[name, end]


def _named_locus(name: str, end: int) -> Locus:
    match = ORIGIN.pattern.fullmatch(name.encode())
    assert match is not None, name
    origin = ORIGIN.origin(match, end)
    reverse = origin.reverse_start != NOWHERE
    return (origin.reverse_start if reverse else origin.forward_start), reverse


def sample(made: Made, genome: Genome) -> Iterator[tuple[Aligned, Aligned]]:
    """The first `SAMPLE` pairs, aligned to their loci."""
    aligner, locus = exact_aligner(), loci(made)
    with dnaio.open(made.reads[0], made.reads[1]) as pairs:
        for pair in islice(pairs, SAMPLE):
            name = pair[0].name.split()[0].removesuffix("/1")
            one, two = (
                aligned(aligner, genome, read.sequence, locus(name, end)) for end, read in enumerate(pair, 1)
            )
            yield one, two


@dataclass(frozen=True)
class Mean:
    value: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean:
        """Mean and standard error of some values."""
        array = np.array(values, float)
        return cls(float(array.mean()), float(array.std(ddof=1)) / math.sqrt(len(array)))

    @classmethod
    def of_share(cls, share: float, count: int) -> Mean:
        """In per cent. The error is that of a share drawn to the middle by one success and one failure."""
        drawn = (share * count + 1) / (count + 2)
        return cls(100 * share, 100 * math.sqrt(drawn * (1 - drawn) / count))

    def above(self, other: Mean) -> bool:
        """By more than the noise of both."""
        return self.value - other.value > VERDICT_SDS * math.hypot(self.error, other.error)

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {SHOWN_SDS * self.error:.3f}"


@dataclass(frozen=True)
class Row:
    edits: Mean
    indels: Mean
    indel_length: Mean
    longest: int
    reverse: Mean
    insert: Mean
    insert_sd: float
    correct: dict[str, Mean]

    def cells(self) -> list[str]:
        """The row as texts."""
        means = (self.edits, self.indels, self.indel_length)
        insert = f"{self.insert.value:.1f} ± {SHOWN_SDS * self.insert.error:.1f}"
        shape = [str(self.longest), str(self.reverse), insert, f"{self.insert_sd:.1f}"]
        return [*map(str, means), *shape, *map(str, self.correct.values())]


COLUMNS = (
    "edits/read",
    "indels/read",
    "indel length",
    "longest",
    "first ends reverse %",
    "insert",
    "sd",
    "bwa correct %",
    "esa correct %",
)


def row_of(place: Workplace, task: Task, genome: Genome, made: Made, folder: Path) -> Row:
    """Measure what a simulator made."""
    pairs = list(sample(made, genome))
    reads = [read for pair in pairs for read in pair]
    lengths = [length for read in reads for length in read.indels]
    inserts = [max(a.end, b.end) - min(a.start, b.start) for a, b in pairs]
    reverse = sum(first.reverse for first, _ in pairs) / len(pairs)
    return Row(
        Mean.of([read.edits for read in reads]),
        Mean.of([len(read.indels) for read in reads]),
        Mean.of(lengths),
        max(lengths),
        Mean.of_share(reverse, len(pairs)),
        Mean.of(inserts),
        float(np.std(inserts)),
        {name: correct(place, task, made, folder, name) for name in ("bwa", "esa")},
    )


def correct(place: Workplace, task: Task, made: Made, folder: Path, name: str) -> Mean:
    """Correct % of an aligner's alignments; ``name``: bwa or esa."""
    aligner = bwa() if name == "bwa" else esa()
    sam = folder / f"{name}.sam"
    command, stdout = aligner.command(place, aligner.index(place, task.reference), made.reads, sam)
    run(command, stdout)
    truth = "dwgsim" if made.truth is None else "auto"
    truth_file = None if made.truth is None else str(made.truth)
    found = evaluate([InputFile(name, str(sam))], truth, truth_file)
    accuracy = found.files[0].accuracy
    assert accuracy is not None
    assert accuracy.correct_share is not None
    # Both ends are right or wrong together as a rule: the pairs are what was drawn.
    return Mean.of_share(accuracy.correct_share, task.pairs)


# References and the table


def references(place: Workplace) -> dict[str, Path]:
    """Each with one contig and lines of one length, as mason wants them."""
    slices = ((MG1655, (0, None)), (CHR20, SLICE))
    made = {}
    for name, (begin, end) in slices:
        source = place.reference(name)

        def make(partial: Path, source: Path = source, begin: int = begin, end: int | None = end) -> None:
            genome = read_genome(str(source))
            bases = decode(genome.contig(0)[begin:end]).decode()
            lines = (bases[i : i + LINE] for i in range(0, len(bases), LINE))
            partial.write_text(f">{genome.names[0]}\n" + "\n".join(lines) + "\n")

        label = name if end is None else f"{name}:{begin / 1e6:g}-{end / 1e6:g}Mb"
        made[label] = cached(place.out / "ref" / f"slice-{begin}-{end or 'end'}-{source.stem}.fa", make)
    return made


def verdicts(rows: dict[str, Row]) -> list[str]:
    """Of one condition, a line for each pair of rivals."""
    lines = []
    for ours, theirs in RIVALS:
        a, b = rows[ours], rows[theirs]
        easier = [
            what
            for what, holds in (
                ("fewer edits", b.edits.above(a.edits)),
                ("bwa mem right more often", a.correct["bwa"].above(b.correct["bwa"])),
            )
            if holds
        ]
        lines.append(f"{ours} vs {theirs}: " + (f"EASIER ({', '.join(easier)})" if easier else "no easier"))
    return lines


def main() -> None:
    """Run the command."""
    parser = script_parser(__doc__)
    add_common_options(parser)
    parser.add_argument("--pairs", type=int, default=DEFAULT_PAIRS, help="of each simulator and condition")
    args = parser.parse_args()
    need("bwa", "dwgsim", MASON)
    place = workplace(args)
    lines, shortfalls = [], []
    for label, reference in references(place).items():
        genome = read_genome(str(reference))
        for length, divergence in CONDITIONS:
            task = Task(reference, length, divergence, args.pairs, args.seed)
            rows = {}
            for name, simulator in SIMULATORS.items():
                with tempfile.TemporaryDirectory(dir=place.out) as folder:
                    rows[name] = row_of(place, task, genome, simulator(task, Path(folder)), Path(folder))
                lines.append([f"{label}, 2x{length}, {divergence:g} %", name, *rows[name].cells()])
            shortfalls += [f"{label}, 2x{length}, {divergence:g} %: {verdict}" for verdict in verdicts(rows)]
    print(table(("reference, reads", "simulator", *COLUMNS), lines))
    print("\n" + "\n".join(shortfalls))


if __name__ == "__main__":
    guarded(main)
