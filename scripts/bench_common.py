"""What the benchmarks share: cached references, indexes, read sets and alignments under one output folder.

Every cached file's name holds a digest of what went into it (inputs, options, versions and, for esa, its
source code), so a second run repeats nothing and a changed program repeats what it must.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import platform
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
"""The repository's own, small data."""
ESA = (sys.executable, "-m", "esa")
STDERR_LINES_SHOWN = 20
TERMINATED = 128 + signal.SIGTERM
MICROS = 1e6
"""Microseconds in a second."""
MASON = "/usr/lib/seqan/bin/mason_simulator"
"""Where Debian puts it, outside PATH."""
DEBIAN_PACKAGES = {"PicardCommandLine": "picard-tools", MASON: "seqan-apps"}

# Divergence d: d edits a base, a tenth of them indels, lengths geometric with mean 1.5 (each goes on with
# probability 1/3). As mutations of a haploid genome (-H, -r); no sequencing errors, no random reads (-y).
DWGSIM_OPTIONS = "-e 0 -E 0 -H -R 0.1 -X 0.333333 -y 0 -n 0 -q I -o 1"
DIVERGENCE = 0.006
INSERT_SIZE = {150: (400, 50), 250: (600, 60)}
"""Read length: outer distance and its standard deviation, in bases."""


Command = Sequence[str | Path]


class BenchError(Exception):
    """Something that the benchmark cannot go on without; the message is for the user."""


@dataclass(frozen=True)
class RealSet:
    """Real pairs, the reference to align them to, the window of it (0-based, half-open) they came from."""

    name: str
    reads: str
    reference: str
    window: tuple[str, int, int] | None = None


CHR20 = "human_GRCh37_chr20"
ECOLI_536 = "ecoli_536_NC_008253"
MG1655 = "ecoli_K12_MG1655_NC_000913.3"

CEU_WINDOW = ("20", 20_000_000, 20_300_000)

NA12878 = RealSet(
    "NA12878 2x101", "human_NA12878_PE101_chr20_10.0-10.1Mb", CHR20, ("20", 10_000_000, 10_100_000)
)
CEU = RealSet("CEU 2x108", "human_1000G_CEU_PE108_chr20_20.0-20.3Mb", CHR20, CEU_WINDOW)
CEU76 = RealSet("CEU 2x76", "human_1000G_CEU_PE76_chr20_20.0-20.3Mb", CHR20, CEU_WINDOW)
CEU51 = RealSet("CEU 2x51-54", "human_1000G_CEU_PE51-54_chr20_20.0-20.3Mb", CHR20, CEU_WINDOW)
CEU36 = RealSet("CEU 2x36", "human_1000G_CEU_PE36_chr20_20.0-20.3Mb", CHR20, CEU_WINDOW)
HIV = RealSet("HIV-1 2x250", "hiv1_PE250", "hiv1_DQ234790")
DSM30083 = RealSet("DSM30083 2x76", "ecoli_DSM30083_SRR3927310_PE76", MG1655)
HCC1187C = RealSet("HCC1187C 2x101", "human_HCC1187C_PE101", CHR20)
DONORS = RealSet("10 donors 2x151", "human_10donors_PE151_chr22A", "primate22A_human")
MITOCHONDRION = RealSet("human MT 2x20-150", "human_MT_ERR2438055_PE150", "human_MT")
REAL_SETS = (NA12878, CEU, CEU76, CEU51, CEU36, HIV, DSM30083, HCC1187C, DONORS, MITOCHONDRION)
"""Each with the reference that its reads belong to, or with a near one. (HCC1187C: mostly they do not.)"""


def named_set(text: str) -> RealSet:
    """The real set whose name is ``text``, or begins so; spaces and capitals do not count.

    Raises:
        BenchError: no set's does, or several sets' do.
    """
    wanted = _bare(text)
    names = {_bare(real.name): real for real in REAL_SETS}
    found = [wanted] if wanted in names else [name for name in names if wanted and name.startswith(wanted)]
    if len(found) != 1:
        fault = "several real sets begin with" if found else "no real set is named"
        raise BenchError(f"{fault} {text!r} (there are {', '.join(real.name for real in REAL_SETS)})")
    return names[found[0]]


def _bare(name: str) -> str:
    return name.replace(" ", "").lower()


def digest(*parts: object) -> str:
    """A short name for exactly these inputs."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:12]


@cache
def file_digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:12]


@cache
def source_digest() -> str:
    """Of everything in the package `esa` of this checkout that can change its output."""
    files = (p for p in (ROOT / "esa").rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return digest(*(part for p in sorted(files) for part in (p.relative_to(ROOT), file_digest(p))))


@cache
def version_of(program: str) -> str:
    """The line that names the version, of bwa, bowtie2, minimap2 and dwgsim alike."""
    need(program)
    option = ["--version"] if program in ("bowtie2", "minimap2", "samtools", "bcftools") else []
    done = subprocess.run(
        [program, *option], capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
    )
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("Version:")), lines[0].split()[-1])


def need(*programs: str) -> None:
    """Raise `BenchError` if a program is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            package = DEBIAN_PACKAGES.get(program, program)
            raise BenchError(f"{program} is not installed: apt-get install {package}")


def run(command: Command, stdout: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end; its stderr, and with a failure its last lines as a `BenchError`.

    ``env``: its environment, this process's own if not given.
    """
    words = [str(word) for word in command]
    with open(stdout or os.devnull, "wb") as sink:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.PIPE, env=env)
    errors = done.stderr.decode(errors="replace")
    if done.returncode != 0:
        last = "\n".join(errors.splitlines()[-STDERR_LINES_SHOWN:])
        raise BenchError(f"exit code {done.returncode} from: {shlex.join(words)}\n{last}")
    return errors


def cached(path: Path, make: Callable[[Path], object]) -> Path:
    """``path``, made by ``make(partial)`` and renamed if it is not there yet. A folder or a file."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # A prefix, because programs go by the name's ending.
        partial = path.with_name(f"partial-{os.getpid()}-{path.name}")
        note(f"making {path.name}")
        try:
            make(partial)
            partial.rename(path)
        finally:
            if partial.is_dir():
                shutil.rmtree(partial)
            partial.unlink(missing_ok=True)
    return path


def note(line: str) -> None:
    """Progress goes to stderr; stdout holds the table."""
    print(f"[bench] {line}", file=sys.stderr, flush=True)


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


@dataclass(frozen=True)
class Aligner:
    """An aligner; what ``index(place, reference)`` returns is an argument of ``command``."""

    name: str
    version: Callable[[], str]
    index: Callable[[Workplace, Path], Path]
    command: Callable[[Workplace, Path, Sequence[Path], Path], tuple[Command, Path | None]]
    """(place, index, reads, SAM to write): the command, and the file that its stdout goes to, if it does."""

    def align(self, place: Workplace, reference: Path, reads: Sequence[Path]) -> Path:
        """The SAM of these reads, from the cache or made now."""
        index = self.index(place, reference)
        inputs = [x for path in reads for x in (path.parent.name, path.name, path.stat().st_size)]
        key = digest(self.name, self.version(), reference.name, place.threads, *inputs)

        def make(partial: Path) -> None:
            command, stdout = self.command(place, index, reads, partial)
            run(command, stdout)

        return cached(place.out / "sam" / f"{self.name}-{key}.sam", make)


@dataclass(frozen=True)
class Version:
    """A version of esa: the words that start it, and what tells its cached files from another's."""

    command: tuple[str, ...]
    label: str


def esa(preset: str = "anchored", extra: Sequence[str] = (), version: Version | None = None) -> Aligner:
    """esa with one of its presets; ``extra`` options go to `esa align`. Without ``version``: this checkout's."""
    command_words, label = (version.command, version.label) if version else (ESA, source_digest())

    def index(place: Workplace, reference: Path) -> Path:
        path = place.out / "index" / f"{reference.stem}-{preset}-{label}.esa"
        options = ["--preset", preset, "-t", str(place.threads)]
        return cached(
            path, lambda partial: run([*command_words, "index", reference, *options, "-o", partial])
        )

    def command(
        place: Workplace, index: Path, reads: Sequence[Path], sam: Path
    ) -> tuple[Command, Path | None]:
        options: Command = ["-t", str(place.threads), "-q", *extra, "-o", sam]
        return [*command_words, "align", index, *reads, *options], None

    return Aligner(f"esa-{preset}", lambda: digest(label, *extra), index, command)


def _beside(path: Path, make: Callable[[Path], object]) -> Path:
    """An index of several files with a common prefix, in a folder of its own."""

    def build(partial: Path) -> None:
        partial.mkdir()
        make(partial / "index")

    return cached(path, build) / "index"


def bwa(extra: Sequence[str] = ()) -> Aligner:
    """bwa mem; ``extra`` options go to it."""

    def index(place: Workplace, reference: Path) -> Path:
        return _beside(
            place.out / "index" / f"{reference.stem}.bwa", lambda p: run(["bwa", "index", "-p", p, reference])
        )

    def command(
        place: Workplace, index: Path, reads: Sequence[Path], sam: Path
    ) -> tuple[Command, Path | None]:
        return ["bwa", "mem", "-t", str(place.threads), *extra, index, *reads], sam

    return Aligner("bwa", lambda: " ".join((version_of("bwa"), *extra)), index, command)


def bowtie2() -> Aligner:
    def index(place: Workplace, reference: Path) -> Path:
        options = ["-q", "--threads", str(place.threads)]
        return _beside(
            place.out / "index" / f"{reference.stem}.bowtie2",
            lambda p: run(["bowtie2-build", *options, reference, p]),
        )

    def command(
        place: Workplace, index: Path, reads: Sequence[Path], sam: Path
    ) -> tuple[Command, Path | None]:
        files: Command = ["-U", reads[0]] if len(reads) == 1 else ["-1", reads[0], "-2", reads[1]]
        return ["bowtie2", "-p", str(place.threads), "-x", index, *files, "-S", sam], None

    return Aligner("bowtie2", lambda: version_of("bowtie2"), index, command)


def minimap2(extra: Sequence[str] = ()) -> Aligner:
    """minimap2 for short reads; ``extra`` options go to it."""

    def index(place: Workplace, reference: Path) -> Path:
        path = place.out / "index" / f"{reference.stem}.sr.mmi"
        return cached(path, lambda partial: run(["minimap2", "-x", "sr", "-d", partial, reference]))

    def command(
        place: Workplace, index: Path, reads: Sequence[Path], sam: Path
    ) -> tuple[Command, Path | None]:
        options = ["-a", "-x", "sr", "-t", str(place.threads), *extra]
        return ["minimap2", *options, "-o", sam, index, *reads], None

    return Aligner("minimap2", lambda: " ".join((version_of("minimap2"), *extra)), index, command)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell; the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (header, *rows)
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def median_seconds(tasks: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Median time of each task, after one run to warm up; they take turns, so that a busy spell hits them all."""
    seconds: list[list[float]] = [[] for _ in tasks]
    for repeat in range(repeats + 1):
        for task, times in zip(tasks, seconds, strict=True):
            begin = time.perf_counter()
            task()
            if repeat:
                times.append(time.perf_counter() - begin)
    return [statistics.median(times) for times in seconds]


def settings(args: argparse.Namespace, programs: Sequence[str]) -> dict[str, Any]:
    """What a result depends on, for the JSON file."""
    return {
        "options": {name: str(value) for name, value in sorted(vars(args).items())},
        "machine": {
            "system": platform.platform(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
        },
        "versions": {"esa source": source_digest()} | {name: version_of(name) for name in programs},
    }


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def add_common_options(parser: argparse.ArgumentParser) -> None:
    add_data_options(parser)
    add_out_option(parser)
    parser.add_argument("-t", "--threads", type=int, default=2, help="threads of every program")


def add_out_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=ROOT / "bench_out", help="results and cached files")


def add_data_options(parser: argparse.ArgumentParser) -> None:
    data = Path(os.environ.get("ESA_DATA") or ROOT.parent / "shared/data")
    parser.add_argument("--data", type=Path, default=data, help="collection of real data (or set ESA_DATA)")
    parser.add_argument("--seed", type=int, default=11, help="of the simulated and random reads")


def workplace(args: argparse.Namespace) -> Workplace:
    return Workplace(data=args.data.resolve(), out=args.out.resolve(), threads=args.threads)


def guarded(main: Callable[[], None]) -> None:
    """Run a script's main; an expected failure is a message and exit code 1. SIGTERM, too, leaves nothing half."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        main()
    except BenchError as error:
        sys.exit(f"error: {error}")
