"""Genomes from 4.6 Mb to human size, their indexes and reads, and the runs over them for `make bench-scaling`."""

from __future__ import annotations

import gzip
import json
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from scripts.common.cache import cached
from scripts.common.process_memory import peak_memory
from scripts.common.programs import ESA, ROOT, Command, note, run
from scripts.common.real_sets import CHR20, MG1655
from scripts.common.timed_runs import MICROS, Run, in_turns, timed
from scripts.common.workplace import Workplace

BIG_GENOME = (sys.executable, "-m", "scripts.data.big_genome")
READS = ("--length", "150", "--divergence", "0.6", "--seed", "6")


@dataclass(frozen=True)
class Genome:
    """One of the sizes: the name of its files and how its FASTA is made."""

    name: str
    label: str
    make: Callable[[Workplace, Path], object]


def _bundled(_place: Workplace, path: Path) -> None:
    path.write_bytes(gzip.decompress((ROOT / "data" / f"{MG1655}.fa.gz").read_bytes()))


def _chr20(place: Workplace, path: Path) -> None:
    shutil.copyfile(place.reference(CHR20), path)


def _made(place: Workplace, path: Path, options: Sequence[str]) -> None:
    run([*BIG_GENOME, path, "--data", place.data, *options], cwd=ROOT)
    # Only what says which piece is which; its name would be that of the partial file.
    path.with_name(path.name + ".tsv").unlink(missing_ok=True)


CHR20_NAME, PART, WHOLE = "chr20", "p300", "g31"
GENOMES = (
    Genome("ec", "E. coli K-12", _bundled),
    Genome(CHR20_NAME, "human chr20", _chr20),
    Genome(PART, "made up, 300 Mb of the whole", partial(_made, options=["--part", "300e6"])),
    Genome("p630", "made up, 630 Mb", partial(_made, options=["--size", "630e6"])),
    Genome(WHOLE, "made up, human size", partial(_made, options=[])),
)


@dataclass(frozen=True)
class Folder:
    """Where the files of all genomes are; what is there is taken as it is."""

    place: Workplace
    work: Path
    pairs: int

    @property
    def log(self) -> Path:
        """The file that takes stderr."""
        return self.work / "stderr.txt"

    def fasta(self, genome: Genome) -> Path:
        """The FASTA of a genome, made if it is not there."""
        return cached(self.work / f"{genome.name}.fa", partial(genome.make, self.place))

    def index(self, genome: Genome) -> Path:
        """Where the index of a genome lies."""
        return self.work / f"{genome.name}.esa"

    def sam(self, name: str) -> Path:
        """The SAM file of that name."""
        return self.work / f"{name}.sam"

    def reads(self, genome: Genome) -> list[Path]:
        """Simulated pairs, plain FASTQ."""
        paths = [self.work / f"t.{genome.name}_R{end}.fq" for end in (1, 2)]
        if not all(path.exists() for path in paths):
            prefix = self.work / f"partial-{genome.name}"
            note(f"simulating {self.pairs:,} pairs of {genome.name}")
            options = ["--pairs", str(self.pairs), *READS, "--no-gzip"]
            run([*ESA, "simulate", self.fasta(genome), "-o", prefix, *options])
            for end, path in enumerate(paths, 1):
                Path(f"{prefix}_R{end}.fq").rename(path)
        return paths


@dataclass(frozen=True)
class Built:
    """An index; ``run`` is None where it was made before, and nobody measured it."""

    bases: int
    bytes: int
    run: Run | None


def built(folder: Folder, genome: Genome, anew: bool) -> Built:
    """Index a genome, unless that was done and is not asked for ``anew``."""
    index, kept = folder.index(genome), folder.work / f"{genome.name}.index.json"
    if anew or not index.exists():
        kept.unlink(missing_ok=True)
        if index.is_symlink():  # what it points to is somebody's
            index.unlink()
        note(f"indexing {genome.name}")
        command: Command = [*ESA, "index", folder.fasta(genome), "-o", index, "--force", "-q"]
        measured = timed([*command, "-t", str(folder.place.threads)], None, folder.log)
        kept.write_text(json.dumps(asdict(measured)))
    contigs = json.loads((index / "manifest.json").read_text())["contigs"]
    return Built(
        sum(contig["length"] for contig in contigs),
        sum(file.stat().st_size for file in index.iterdir()),
        Run(**json.loads(kept.read_text())) if kept.exists() else None,
    )


@dataclass(frozen=True)
class Aligned:
    """Runs of `esa align` over one genome.

    Attributes:
        whole: reads a second of the whole process, round by round.
        after_start: the same without the interpreter's and the index's start, as `esa align --stats` has it.
        first_record: seconds of that until the first record was written.
        peak_bytes: of all processes of a run, shared pages once.
        two_peak_bytes: the same of two runs at a time.
        correct_percent: of all reads.
        stages: microseconds a read that threads spent in each stage, start-up of its kernels included; medians.
    """

    whole: tuple[float, ...]
    after_start: tuple[float, ...]
    first_record: tuple[float, ...]
    peak_bytes: int
    two_peak_bytes: int
    correct_percent: float
    stages: dict[str, float]


def aligned(folder: Folder, genomes: Sequence[Genome], rounds: int) -> dict[str, Aligned]:
    """By genome. Each is aligned once before the rounds, when its memory is watched: that fetches the index, too."""
    peaks: dict[str, tuple[int, int]] = {}
    stats: dict[str, list[Any]] = {genome.name: [] for genome in genomes}
    for genome in genomes:
        note(f"memory of a run, and of two, over {genome.name}")
        one, other = _command(folder, genome), _command(folder, genome, ".other")
        both = f"{shlex.join(other)} & {shlex.join(one)} && wait $!"
        peaks[genome.name] = peak_memory(one, folder.log), peak_memory(["sh", "-c", both], folder.log)

    def once(genome: Genome) -> Run:
        measured = timed(_command(folder, genome), None, folder.log)
        stats[genome.name].append(json.loads(_stats(folder, genome).read_text()))
        return measured

    runs = in_turns({genome.name: partial(once, genome) for genome in genomes}, rounds)
    return {
        name: summary(several, stats[name], peaks[name], correct_percent(folder, name))
        for name, several in runs.items()
    }


def summary(
    runs: Sequence[Run], stats: Sequence[Mapping[str, Any]], peak_bytes: tuple[int, int], correct: float
) -> Aligned:
    """``stats``: what `esa align --stats` wrote in each run; ``peak_bytes``: of one run, of two at a time."""
    return Aligned(
        tuple(each["reads"] / one.seconds for one, each in zip(runs, stats, strict=True)),
        tuple(each["reads"] / each["seconds"] for each in stats),
        tuple(each["first_record_seconds"] for each in stats),
        *peak_bytes,
        correct,
        {
            stage: MICROS * median(each["stages"][stage] / each["reads"] for each in stats)
            for stage in stats[0]["stages"]
        },
    )


def _stats(folder: Folder, genome: Genome) -> Path:
    return folder.work / f"{genome.name}.stats.json"


def _command(folder: Folder, genome: Genome, mark: str = "") -> list[str]:
    """``mark``: of the output's name; there are no statistics then."""
    words = [*ESA, "align", folder.index(genome), *folder.reads(genome), "-q", "-t", folder.place.threads]
    stats = [] if mark else ["--stats", _stats(folder, genome)]
    return list(map(str, [*words, "-o", folder.sam(genome.name + mark), *stats]))


def correct_percent(folder: Folder, name: str) -> float:
    """Of all reads of a SAM of that name, by `esa eval`."""
    out = folder.work / f"{name}.eval.json"
    run([*ESA, "eval", folder.sam(name), "--json", out])
    (figures,) = json.loads(out.read_text())["files"]
    return 100 * float(figures["accuracy"]["correct_share"])


def bwa_percent(folder: Folder, genome: Genome) -> float:
    """Correct reads of bwa mem; its index and its alignment are kept."""

    def index(path: Path) -> None:
        path.mkdir()
        run(["bwa", "index", "-p", path / "index", folder.fasta(genome)])

    name = f"{genome.name}.bwa"
    prefix = cached(folder.work / name, index) / "index"
    command: Command = ["bwa", "mem", "-t", str(folder.place.threads), prefix, *folder.reads(genome)]
    cached(folder.sam(name), lambda path: run(command, path))
    return correct_percent(folder, name)
