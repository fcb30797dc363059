"""esa and its peers as the benchmarks run them: indexes and alignments, cached under the output folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.common.cache import cached, digest, source_digest
from scripts.common.programs import ESA, Command, run, version_of
from scripts.common.workplace import Workplace


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
    """bowtie2 with its default options."""

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
