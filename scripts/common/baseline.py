"""Another commit's esa beside that of this checkout: which commit, its files, and how both run.

Unless a commit is named, the baseline is the last one whose message body has a line ``Changes-alignments: yes...``. It
is checked out into a git worktree, ``OUT/baseline/COMMIT``, for as long as it is used. Compiled kernels are kept in
``OUT/baseline/kernels``. esa's folder of kernels is named by the path of the package, and that path is the same each
time. So the second run finds them, and those of other versions stay.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.common.aligners import Version
from scripts.common.cache import source_digest
from scripts.common.programs import ROOT, BenchError, note
from scripts.common.workplace import Workplace

CHANGES = re.compile(r"^Changes-alignments:[ \t]*yes\b", re.MULTILINE | re.IGNORECASE)
COMMIT_DIGITS = 12
"""Of a commit's name in names of files and in tables."""
NO_HOOKS = ("-c", f"core.hooksPath={os.devnull}")


def changes_alignments(message: str) -> bool:
    """Whether a commit's message says so, on any line but the first."""
    _, _, body = message.partition("\n")
    return CHANGES.search(body) is not None


def last_change(commits: Iterable[tuple[str, str]]) -> str | None:
    """The first commit that changed alignments, of names and messages, the newest first."""
    return next((name for name, message in commits if changes_alignments(message)), None)


def git(*words: str | Path) -> str:
    """What git says, asked in this checkout.

    Raises:
        BenchError: with its message, if it fails or is not there.
    """
    command = ["git", "-C", str(ROOT), *map(str, words)]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise BenchError("git is not installed") from error
    if done.returncode != 0:
        raise BenchError(f"git {words[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="replace")


def history() -> Iterator[tuple[str, str]]:
    """Name and message of HEAD and all commits before it, the newest first."""
    for entry in git("log", "-z", "--date-order", "--format=%H%n%B").split("\0"):
        name, _, message = entry.partition("\n")
        yield name, message


def baseline_commit(given: str | None) -> str:
    """The whole name of the commit that is given, or of the last that changed alignments.

    Raises:
        BenchError: there is no such commit.
    """
    if given is not None:
        return git("rev-parse", "--verify", "--end-of-options", f"{given}^{{commit}}").strip()
    found = last_change(history())
    if found is None:
        raise BenchError("no commit says 'Changes-alignments: yes': name one with --baseline")
    return found


def title(commit: str) -> str:
    """Short name and subject."""
    return git("log", "-1", "--format=%h %s (%cs)", commit).strip()


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """A git worktree of the commit at ``folder``, removed in the end; for one process at a time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f"{folder.name}.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(f"waiting for another run that uses {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            # What a run that was killed left. The lock says that nobody uses it.
            shutil.rmtree(folder, ignore_errors=True)
            # Forced: git may still have such a folder on its list.
            git(*NO_HOOKS, "worktree", "add", "--force", "--detach", folder, commit)
            yield folder
        finally:
            if folder.exists():
                git("worktree", "remove", "--force", folder)


def version_at(root: Path, label: str, kernels: Path | None = None) -> Version:
    """esa as it lies in a checkout, whichever is installed and whatever the working directory.

    Args:
        kernels: where its compiled kernels are kept; None: where esa keeps them by itself.

    Raises:
        BenchError: it would not be this one that runs.
    """
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    # Safe path: `python -m` would look in the working directory first.
    variables = ["PYTHONSAFEPATH=1", f"PYTHONPATH={path}"]
    if kernels is not None:
        variables.append(f"NUMBA_CACHE_DIR={kernels}")
    start = ("env", *variables, sys.executable)
    asked = [*start, "-c", "import importlib.util as u; print(u.find_spec('esa').origin)"]
    done = subprocess.run(asked, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0 or Path(done.stdout.strip()) != root / "esa" / "__init__.py":
        raise BenchError(f"{root} holds no esa that can be run: {(done.stdout + done.stderr).strip()}")
    return Version((*start, "-m", "esa"), label)


@dataclass(frozen=True)
class Baseline:
    """Both versions, and the baseline's commit."""

    commit: str
    before: Version
    today: Version

    @property
    def short(self) -> str:
        """The first digits of the commit's name."""
        return self.commit[:COMMIT_DIGITS]


@contextmanager
def beside_baseline(place: Workplace, given: str | None) -> Iterator[Baseline]:
    """The baseline (see `baseline_commit`) and this checkout's esa, ready to run."""
    commit = baseline_commit(given)
    short = commit[:COMMIT_DIGITS]
    folder = place.out / "baseline"
    note(f"baseline: {title(commit)}")
    with checked_out(commit, folder / short) as root:
        yield Baseline(commit, version_at(root, short, folder / "kernels"), version_at(ROOT, source_digest()))
