"""Do the kernels work, with the same results, under every numba release that `pyproject.toml` allows?

    python -m scripts.checks.numba_releases [RELEASE ...] [--out bench_out]

`esa.kernels` uses parts of numba that are not its public interface (esa/kernels/README.md lists them), so any release
may break it. For each release, the newest first, the script makes a virtual environment without torch and faiss, runs
tests/kernels in it, indexes the lambda phage and aligns simulated pairs. The index's arrays and the SAM records, @PG
aside, must equal those of the present environment, byte for byte.

pip says which releases there are for this Python. Each one downloads some 80 MB and compiles all kernels twice, some
minutes of one core; environment and kernels are removed afterwards. What failed is printed in full to stderr.
Exit code: 0 if every release passes, 1 if one does not.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from scripts.checks.output_differences import differing_arrays, output_lines
from scripts.common.command_line import add_out_option, guarded, script_parser
from scripts.common.programs import ROOT, BenchError, Command, note, run
from scripts.common.tables import table
from scripts.common.workplace import DATA

REFERENCE = DATA / "lambda_phage.fa.gz"
SIMULATED = ("--pairs", "2000", "--divergence", "3", "--random-fraction", "0.05", "--no-gzip")
"""Divergent pairs, and some that belong nowhere: they pass all levels of the escalation."""
NOT_NEEDED = ("torch", "faiss-cpu", "transformers", "matplotlib", "biopython", "dnaio")
"""Dependencies of the dense presets, of training, of plots and of other tests: large, and apart from numba."""
NEEDED_BY_TESTS = ("pytest", "hypothesis", "pysam")
DENSE_PRESETS = "not sketch and not rde"
"""Of the tests, in pytest's words: those that torch or faiss are needed for are left out."""
FOLLOWS_NUMBA = ("numba", "llvmlite", "numpy")
"""Packages whose versions each release decides: the pins of .ci/constraints.txt do not hold for them."""
COLUMNS = ("numba", "llvmlite", "numpy", "tests", "index", "records", "seconds")
YES, NO = "pass", "FAIL"


@dataclass(frozen=True)
class Outcome:
    """What a release of numba gave.

    Attributes:
        versions: of numba, llvmlite and numpy as installed.
        tests: tests/kernels pass.
        index, records: they equal those of the present environment.
        seconds: from the download to the last record.
    """

    versions: Sequence[str]
    tests: bool
    index: bool
    records: bool
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the release may stay in the range."""
        return self.tests and self.index and self.records

    def row(self) -> list[str]:
        """Cells under `COLUMNS`."""
        checks = (YES if check else NO for check in (self.tests, self.index, self.records))
        return [*self.versions, *checks, f"{self.seconds:.0f}"]


@dataclass(frozen=True)
class Environment:
    """A Python that runs this checkout's esa, its kernels kept in a folder of its own."""

    python: Path
    kernels: Path

    def variables(self) -> dict[str, str]:
        """The environment variables of its processes."""
        return dict(os.environ) | {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(self.kernels)}

    def esa(self, *words: str | Path) -> None:
        """Run a command of esa.

        Raises:
            BenchError: it failed.
        """
        run([self.python, "-m", "esa", *words], env=self.variables())

    def map(self, reads: Sequence[Path], out: Path) -> tuple[Path, Path]:
        """Index the reference and align the pairs: (index, SAM), made in the folder ``out``."""
        index, records = out / "lambda.esa", out / "lambda.sam"
        self.esa("index", REFERENCE, "-o", index, "-t", "1")
        self.esa("align", index, *reads, "-o", records, "-t", "1", "-q")
        return index, records


def requirements() -> dict[str, Requirement]:
    """esa's own dependencies, without extras, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {one.name: one for one in map(Requirement, project["dependencies"])}


def allowed_releases() -> list[str]:
    """Releases of numba that pip finds for this Python within the range of `pyproject.toml`, the newest first.

    Raises:
        BenchError: pip cannot be asked, or its answer cannot be read.
    """
    command = [sys.executable, "-m", "pip", "index", "versions", "numba"]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"^Available versions: (.*)$", done.stdout, re.MULTILINE)
    if done.returncode or found is None:
        raise BenchError(f"pip does not say which releases of numba there are:\n{done.stdout}{done.stderr}")
    allowed = requirements()["numba"].specifier
    return [release for release in found[1].split(", ") if allowed.contains(release)]


def make_environment(release: str, folder: Path) -> Environment:
    """A virtual environment with that release of numba and what tests/kernels and `esa align` need beside it.

    Raises:
        BenchError: pip cannot install them.
    """
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    pins = (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pin for pin in pins if pin.split("==")[0] not in FOLLOWS_NUMBA))
    left_out = (*NOT_NEEDED, "numba")
    needs = [str(one) for name, one in requirements().items() if name not in left_out]
    pip: Command = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "-c", constraints]
    run([*pip, f"numba=={release}", *needs, *NEEDED_BY_TESTS])
    return Environment(python, folder / "kernels")


def installed_versions(environment: Environment) -> list[str]:
    """Versions of numba, llvmlite and numpy."""
    code = "import numba, llvmlite, numpy; print(*(x.__version__ for x in (numba, llvmlite, numpy)))"
    command = [str(environment.python), "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def tests_pass(environment: Environment) -> bool:
    """Whether tests/kernels pass; if not, their report goes to stderr."""
    options = ["-q", "-p", "no:cacheprovider", "-k", DENSE_PRESETS]
    command = [str(environment.python), "-m", "pytest", *options, "tests/kernels"]
    done = subprocess.run(command, cwd=ROOT, env=environment.variables(), capture_output=True, text=True)
    if done.returncode:
        print(done.stdout, done.stderr, file=sys.stderr)
    return done.returncode == 0


def check(release: str, reads: Sequence[Path], expected: tuple[Path, Path], out: Path) -> Outcome:
    """Make the environment of a release, test it and compare what it gives with the ``expected`` (index, SAM).

    Raises:
        BenchError: pip cannot install the release.
    """
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"numba-{release}-", dir=out) as folder:
        environment = make_environment(release, Path(folder))
        tests = tests_pass(environment)
        try:
            index, records = environment.map(reads, Path(folder))
        except BenchError as error:
            print(error, file=sys.stderr)
            same_index = same_records = False
        else:
            same_index = not differing_arrays(expected[0], index)
            same_records = list(output_lines(expected[1])) == list(output_lines(records))
        versions = installed_versions(environment)
        return Outcome(versions, tests, same_index, same_records, time.monotonic() - begin)


def main() -> None:
    """Check the releases named, print a row for each."""
    parser = script_parser(__doc__)
    parser.add_argument(
        "releases", nargs="*", metavar="RELEASE", help="of numba; all allowed if none is named"
    )
    add_out_option(parser)
    args = parser.parse_args()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="numba-present-", dir=out) as folder:
        present = Environment(Path(sys.executable), Path(folder) / "kernels")
        present.esa("simulate", REFERENCE, "-o", Path(folder) / "reads", *SIMULATED)
        reads = [Path(folder) / f"reads_R{end}.fq" for end in (1, 2)]
        expected = present.map(reads, Path(folder))
        outcomes = []
        for release in args.releases or allowed_releases():
            outcomes.append(check(release, reads, expected, out))
            note("  ".join(outcomes[-1].row()))
    print(table(COLUMNS, [outcome.row() for outcome in outcomes]))
    if not all(outcome.passed for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    guarded(main)
