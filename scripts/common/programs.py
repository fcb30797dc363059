"""The programs that scripts run: how each is found and started, and the error when one fails."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The root of the checkout."""
ESA = (sys.executable, "-m", "esa")
STDERR_LINES_SHOWN = 20
MASON = "/usr/lib/seqan/bin/mason_simulator"
"""Where Debian puts it, outside PATH."""
DEBIAN_PACKAGES = {"PicardCommandLine": "picard-tools", MASON: "seqan-apps"}
Command = Sequence[str | Path]


class BenchError(Exception):
    """Something that the benchmark cannot go on without; the message is for the user."""


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


def run(
    command: Command,
    stdout: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a command to its end and return its stderr.

    Args:
        stdout: None: discarded.
        env, cwd: its environment and working directory; None: those of this process.

    Raises:
        BenchError: it failed; the message ends with the last lines of its stderr.
    """
    words = [str(word) for word in command]
    with open(stdout or os.devnull, "wb") as sink:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.PIPE, env=env, cwd=cwd
        )
    errors = done.stderr.decode(errors="replace")
    if done.returncode != 0:
        last = "\n".join(errors.splitlines()[-STDERR_LINES_SHOWN:])
        raise BenchError(f"exit code {done.returncode} from: {shlex.join(words)}\n{last}")
    return errors


def note(line: str) -> None:
    """Progress goes to stderr; stdout holds the table."""
    print(f"[bench] {line}", file=sys.stderr, flush=True)
