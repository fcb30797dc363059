"""The aligners of the speed benchmark: those of the other benchmarks, and minibwa where MINIBWA= names its binary.

minibwa (https://github.com/lh3/minibwa, by the author of bwa) is in no distribution: clone it, `make`, and set
``MINIBWA=/path/to/minibwa``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scripts.common.aligners import Aligner, bowtie2, bwa, esa, minimap2
from scripts.common.cache import cached, digest
from scripts.common.programs import BenchError, Command, run
from scripts.common.workplace import Workplace

MINIBWA_VARIABLE = "MINIBWA"
OURS = "esa"


def minibwa_binary() -> str:
    """The binary that the environment names.

    Raises:
        BenchError: none is named, or it cannot be run.
    """
    given = os.environ.get(MINIBWA_VARIABLE)
    if not given:
        raise BenchError(f"no minibwa: build it (https://github.com/lh3/minibwa) and set {MINIBWA_VARIABLE}=")
    binary = shutil.which(given)
    if binary is None:
        raise BenchError(f"{MINIBWA_VARIABLE}={given} is no program")
    return str(Path(binary).resolve())


def minibwa_version() -> str:
    """The version that minibwa prints.

    Raises:
        BenchError: it prints none.
    """
    done = subprocess.run([minibwa_binary(), "version"], capture_output=True, text=True)
    if done.returncode or not done.stdout.strip():
        raise BenchError(f"{minibwa_binary()} does not say its version: {done.stderr.strip()}")
    return done.stdout.split()[0]


def minibwa() -> Aligner:
    """minibwa for short reads; see the module on where its binary comes from."""
    binary = minibwa_binary()

    def index(place: Workplace, reference: Path) -> Path:
        # Not in every version the same format.
        path = place.out / "index" / f"{reference.stem}-{digest(minibwa_version())}.minibwa"

        def build(partial: Path) -> None:
            partial.mkdir()
            run([binary, "index", "-t", str(place.threads), reference, partial / "index"])

        return cached(path, build) / "index"

    def command(
        place: Workplace, index: Path, reads: Sequence[Path], sam: Path
    ) -> tuple[Command, Path | None]:
        return [binary, "map", "-t", str(place.threads), "-o", sam, index, *reads], None

    return Aligner("minibwa", minibwa_version, index, command)


ALIGNERS: Mapping[str, Callable[[], Aligner]] = {
    OURS: esa,
    "sketch": lambda: esa("sketch"),
    "bwa": bwa,
    "bowtie2": bowtie2,
    "minimap2": minimap2,
    "minibwa": minibwa,
}
DEBIAN = ("bwa", "bowtie2", "minimap2")
"""Found by their names."""


def present() -> list[str]:
    """esa and the peers that this machine has."""
    named = ["minibwa"] if os.environ.get(MINIBWA_VARIABLE) else []
    return [OURS, *(name for name in DEBIAN if shutil.which(name)), *named]


def chosen(names: str) -> list[str]:
    """Names with commas between, checked.

    Raises:
        BenchError: an unknown one.
    """
    listed = names.split(",")
    if unknown := set(listed) - set(ALIGNERS):
        raise BenchError(f"no such aligner: {', '.join(sorted(unknown))} (there are {', '.join(ALIGNERS)})")
    return listed
