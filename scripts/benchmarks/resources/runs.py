"""Runs of esa that `make bench-resources` measures, over one index of human chromosome 20."""

from __future__ import annotations

import gzip
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts.benchmarks.resources.serial_share import Shares, median_shares, seconds_a_read
from scripts.common.aligners import esa
from scripts.common.cache import cached
from scripts.common.process_memory import peak_memory
from scripts.common.programs import ESA, Command, note
from scripts.common.real_sets import CHR20
from scripts.common.speed_sets import SpeedSet, simulated_set
from scripts.common.timed_runs import Run, check, first_pairs, in_turns, seconds_of, started, timed
from scripts.common.workplace import Workplace

FEW_PAIRS = 500
"""Of a run that is start-up and little else; in it every kernel is loaded."""
LAMBDA = "lambda_phage"
LAMBDA_READS, LAMBDA_LENGTH = 10, 150
GZIP_LEVEL = 6
"""As `gzip` has it."""
SERIAL_PROBE = Path(__file__).with_name("serial_probe.py")
MEMORY_RUNS = 3
"""At most; the highest peak counts."""
HOLLOW = Path(__file__).with_name("hollow_align.py")
HOLLOW_TIMES = 8
"""So often such a run has the reads of others, which would be done at once."""
MEMORY = Path("/dev/shm")
"""Where their reads lie, if it is there: how fast a disk is does not matter."""
INSERTS = "500,50"
"""Of simulated pairs; what it is does not matter there."""

PROCESSES = 8
"""Workers of the runs whose serial parts are measured: so many that each is a process (`esa.run.workers`)."""

ONE, ONE_FEW, MANY, MANY_FEW, BAM, GZIP = "1", "1 few", "many", "many few", "BAM", "gzip"
"""Names of timed runs: threads, and what is not plain FASTQ to SAM."""
APART, APART_FEW = "apart", "apart few"
"""As many runs of one thread at a time as `MANY` has threads, each of all reads: what the cores allow."""


@dataclass(frozen=True)
class Bench:
    """Index, reads and folder of the runs.

    Attributes:
        sets: by read length; runs that take one take the first.
    """

    place: Workplace
    index: Path
    sets: dict[int, SpeedSet]
    folder: Path

    @property
    def first(self) -> SpeedSet:
        """The first read set."""
        return next(iter(self.sets.values()))

    @property
    def log(self) -> Path:
        """The file that takes stderr."""
        return self.folder / "stderr.txt"

    def output(self, name: str) -> Path:
        """The output of the run of that name."""
        return self.folder / f"{name.replace(' ', '-')}{'.bam' if name == BAM else '.sam'}"

    def few(self) -> list[Path]:
        """The first `FEW_PAIRS` pairs of the first set."""
        return first_pairs(self.first.files, FEW_PAIRS, self.folder)

    def words(self, reads: Sequence[Path], threads: int, out: Path) -> list[str]:
        """Arguments of esa."""
        return [*map(str, ("align", self.index, *reads)), "-t", str(threads), "-q", "-o", str(out)]


def prepared(place: Workplace, lengths: Sequence[int], pairs: int, seed: int) -> Bench:
    """Index and reads, with compiled kernels and the index in the page cache."""
    index = esa().index(place, place.reference(CHR20))
    folder = place.out / "resources"
    folder.mkdir(parents=True, exist_ok=True)
    sets = {length: simulated_set(place, length, pairs, seed, single=False) for length in lengths}
    bench = Bench(place, index, sets, folder)
    # Compiles the kernels and fetches the index into the page cache.
    timed([*ESA, *bench.words(bench.few(), place.threads, bench.output(MANY_FEW))], None, bench.log)
    return bench


def gzipped(path: Path) -> Path:
    """A gzip file beside a plain one, from the cache or made now."""

    def make(partial: Path) -> None:
        with path.open("rb") as source, gzip.open(partial, "wb", GZIP_LEVEL) as sink:
            shutil.copyfileobj(source, sink)

    return cached(path.with_name(path.name + ".gz"), make)


def align_runs(bench: Bench, rounds: int) -> dict[str, list[Run]]:
    """Threads, BAM and gzip, in turns; the outputs stay, but for those of runs at a time."""
    plain, few, many = bench.first.files, bench.few(), bench.place.threads
    packed = [gzipped(path) for path in plain]
    inputs: dict[str, tuple[Sequence[Path], int]] = {
        ONE_FEW: (few, 1),
        ONE: (plain, 1),
        MANY_FEW: (few, many),
        MANY: (plain, many),
        BAM: (plain, many),
        GZIP: (packed, many),
    }

    def once(name: str) -> Run:
        reads, threads = inputs[name]
        bench.output(name).unlink(missing_ok=True)
        return timed([*ESA, *bench.words(reads, threads, bench.output(name))], None, bench.log)

    def apart(reads: Sequence[Path], name: str) -> Run:
        outputs = [bench.output(f"{name} {i}") for i in range(many)]
        with ThreadPoolExecutor(many) as pool:
            runs = pool.map(lambda out: timed([*ESA, *bench.words(reads, 1, out)], None, bench.log), outputs)
            slowest = max(runs, key=lambda run: run.seconds)
        for out in outputs:
            out.unlink()
        return slowest

    tasks = {name: partial(once, name) for name in inputs}
    tasks |= {name: partial(apart, reads, name) for name, reads in ((APART, plain), (APART_FEW, few))}
    return in_turns(tasks, rounds)


def memory_peaks(bench: Bench, runs: int) -> dict[str, int]:
    """By read length and output format, the highest of some runs."""
    peaks = {}
    for reads in bench.sets.values():
        for name in (MANY, BAM):
            command = [*ESA, *bench.words(reads.files, bench.place.threads, bench.output(name))]
            label = f"{reads.name}, {'BAM' if name == BAM else 'SAM'}"
            peaks[label] = max(peak_memory(command, bench.log) for _ in range(min(runs, MEMORY_RUNS)))
    return peaks


# Start-up, index


def start_up_runs(bench: Bench, rounds: int) -> dict[str, list[Run]]:
    """`lambda`: ten reads of the phage; `help`: `esa --help`. Each was run once before."""
    place = bench.place
    reference = place.reference(LAMBDA)
    index = esa().index(place, reference)
    reads = place.simulated(reference, LAMBDA_LENGTH, LAMBDA_READS, seed=1)[:1]
    out = bench.folder / "lambda.sam"
    align = ["align", str(index), *map(str, reads), "-q", "-t", str(place.threads), "-o", str(out)]
    commands: dict[str, Command] = {"lambda": [*ESA, *align], "help": [*ESA, "--help"]}
    tasks: dict[str, Callable[[], Run]] = {
        name: partial(timed, command, None, bench.log) for name, command in commands.items()
    }
    in_turns(tasks, 1)
    return in_turns(tasks, rounds)


@dataclass(frozen=True)
class Built:
    """An index of chromosome 20, built several times, and the highest peak memory of one more build."""

    seconds: list[float]
    bytes_a_base: float
    peak_bytes: int


def index_builds(bench: Bench, rounds: int) -> Built:
    """Build the index of chromosome 20 in ``rounds`` rounds, and once more for its memory."""
    place = bench.place
    path = bench.folder / "built.esa"
    command: Command = [*ESA, "index", place.reference(CHR20), "-t", str(place.threads), "-o", path]

    def build() -> Run:
        shutil.rmtree(path, ignore_errors=True)
        return timed(command, None, bench.log)

    runs = in_turns({"index": build}, rounds)["index"]
    shutil.rmtree(path)
    peak = peak_memory(command, bench.log)
    size = sum(file.stat().st_size for file in path.iterdir())
    contigs = json.loads((path / "manifest.json").read_text())["contigs"]
    shutil.rmtree(path)
    return Built(seconds_of(runs), size / sum(contig["length"] for contig in contigs), peak)


# Serial share


@dataclass(frozen=True)
class Serial:
    """Shares, processor seconds of start-up, reads of the runs."""

    shares: Shares
    start_up: float
    reads: int


def serial_share(bench: Bench, rounds: int) -> Serial:
    """From runs with `PROCESSES` workers and with one."""
    full, few = bench.first.files, bench.few()
    shares, start_ups = [], []
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as memory:
        many = repeated(full, HOLLOW_TIMES, Path(memory))
        for i in range(rounds):
            note(f"round {i + 1} of {rounds}, serial share")
            short = _probed(bench, few, PROCESSES)
            parts = seconds_a_read(_probed(bench, full, PROCESSES), short)
            alone = sum(seconds_a_read(_probed(bench, full, 1), _probed(bench, few, 1)).values())
            shares.append(Shares(**parts, alone=alone, hollow=_hollow_seconds(bench, many)))
            start_ups.append(sum(short.values()) - short["reads"])
    return Serial(median_shares(shares), statistics.median(start_ups), len(bench.first.names()))


def _probed(bench: Bench, reads: Sequence[Path], workers: int) -> Mapping[str, float]:
    """Seconds by part, and ``reads``, of one run (`serial_probe`)."""
    out = bench.folder / "probe.json"
    _piped([SERIAL_PROBE, out, "align", bench.index, *reads, "-t", workers, "-q"], bench.log)
    content: dict[str, float] = json.loads(out.read_text())
    return content


def _piped(script: Sequence[object], log: Path) -> None:
    """Run a script whose output goes through a pipe, and no further: how fast a disk is does not matter."""
    words = [sys.executable, *map(str, script)]
    with (
        log.open("wb") as errors,
        started(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as sink,
        started(words, stdout=sink.stdin, stderr=errors) as process,
    ):
        process.wait()
        assert sink.stdin is not None
        sink.stdin.close()
    check(process.returncode, words, log)


def _hollow_seconds(bench: Bench, reads: Sequence[Path]) -> float:
    """Seconds a read of a run whose workers have nothing to do, after the first record."""
    stats = bench.folder / "hollow.json"
    words = [HOLLOW, "align", bench.index, *reads, "-t", PROCESSES, "-q", "-I", INSERTS, "--stats", stats]
    _piped(words, bench.log)
    found = json.loads(stats.read_text())
    seconds: float = found["seconds"] - found["first_record_seconds"]
    return seconds / found["reads"]


def repeated(files: Sequence[Path], times: int, folder: Path) -> list[Path]:
    """Files that hold the same so many times."""
    made = []
    for number, path in enumerate(files, 1):
        made.append(folder / f"repeated_{number}.fq")
        with made[-1].open("wb") as sink:
            for _ in range(times):
                with path.open("rb") as source:
                    shutil.copyfileobj(source, sink)
    return made
