"""`scripts.common.baseline`: which commit is the baseline, its checkout, and that it is this one which runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from scripts.common import baseline
from scripts.common.baseline import baseline_commit, changes_alignments, checked_out, last_change, version_at
from scripts.common.programs import ROOT, BenchError, run


@pytest.mark.parametrize(
    ("message", "changes"),
    [
        ("Subject\n\nText.\n\nChanges-alignments: yes", True),
        ("Subject\n\nChanges-alignments: yes. Wrong of 400,000: 1 -> 2\nand more text", True),
        ("Subject\n\nChanges-alignments: yes, back to 577d0a6.\n\nSigned-off-by: x", True),
        ("Subject\n\nChanges-alignments: Yes", True),
        ("Subject\n\nChanges-alignments: no (yes, it was read wrongly)", False),
        ("Subject\n\nChanges-alignments: yesterday's", False),
        ("Subject\n\nChanges-alignments:\nyes", False),
        ("Subject\n\nIt said Changes-alignments: yes", False),
        ("Subject\n\n> Changes-alignments: yes", False),
        ("Changes-alignments: yes", False),
        ("", False),
    ],
)
def test_only_a_line_of_the_body_says_that_alignments_change(message: str, changes: bool) -> None:
    assert changes_alignments(message) is changes


def test_the_newest_change_counts() -> None:
    yes, no = "S\n\nChanges-alignments: yes", "S\n\nChanges-alignments: no"
    assert last_change([("d", "S"), ("c", no), ("b", yes), ("a", yes)]) == "b"
    assert last_change([("c", no)]) is None
    assert last_change([]) is None


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three commits, of which the second changed alignments; the scripts take it for their own."""
    folder = tmp_path / "repository"
    package = folder / "esa"
    package.mkdir(parents=True)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(baseline, "ROOT", folder)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    for i, body in enumerate(("Changes-alignments: yes", "Changes-alignments: yes, again", "more")):
        (package / "__init__.py").write_text(f"VALUE = {i}\n")
        (package / "__main__.py").write_text("import sys, esa\nsys.exit(esa.VALUE)\n")
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        for words in (["add", "-A"], [*who, "commit", "-q", "-m", f"Commit {i}", "-m", body]):
            subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def listed(repository: Path) -> int:
    """Git worktrees, the repository's own included."""
    done = subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True, check=True)
    return len(done.stdout.splitlines())


def test_the_baseline_is_found_or_the_one_that_is_named(repository: Path) -> None:
    assert baseline_commit(None) == baseline_commit("HEAD~1")
    assert baseline_commit("HEAD") != baseline_commit(None)
    with pytest.raises(BenchError, match="rev-parse"):
        baseline_commit("no-such-commit")


def test_a_checkout_is_there_for_the_while_only(repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "baseline"
    with checked_out(baseline_commit(None), folder) as root:
        assert (root / "esa" / "__init__.py").read_text() == "VALUE = 1\n"
        assert listed(repository) == 2
    assert not folder.exists()
    assert listed(repository) == 1


def test_a_checkout_goes_with_an_exception_and_one_that_was_left_is_replaced(
    repository: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "baseline"
    with pytest.raises(KeyboardInterrupt), checked_out(baseline_commit("HEAD~2"), folder):
        raise KeyboardInterrupt
    assert not folder.exists()
    # Killed: the folder is still there, in part, and on git's list.
    subprocess.run(["git", "worktree", "add", "-q", "--detach", folder, "HEAD"], cwd=repository, check=True)
    (folder / "esa" / "__init__.py").unlink()
    with checked_out(baseline_commit("HEAD~2"), folder) as root:
        assert (root / "esa" / "__init__.py").read_text() == "VALUE = 0\n"
    assert listed(repository) == 1


def test_the_version_of_a_checkout_runs_wherever_it_is_started(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code of the little package is its version; a failure of `run` names it."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(repository)  # has version 2
    with checked_out(baseline_commit(None), tmp_path / "baseline") as root:
        version = version_at(root, "x", tmp_path / "kernels")
        with pytest.raises(BenchError, match="exit code 1 "):
            run(version.command)
    assert f"NUMBA_CACHE_DIR={tmp_path / 'kernels'}" in version.command
    with pytest.raises(BenchError, match="exit code 2 "):
        run(version_at(repository, "x").command)


def test_a_checkout_without_the_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="holds no esa"):
        version_at(tmp_path, "x")
