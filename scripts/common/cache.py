"""Cached files, named by digests of what went into them.

Every cached file's name holds a digest of its inputs: files, options, versions and, for esa, its source code.
So a second run repeats nothing, and a changed program repeats what it must.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

from scripts.common.programs import ROOT, note


def digest(*parts: object) -> str:
    """A short name for exactly these inputs."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:12]


@cache
def file_digest(path: Path) -> str:
    """A short name for a file's content."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:12]


@cache
def source_digest() -> str:
    """Of everything in the package `esa` of this checkout that can change its output."""
    files = (p for p in (ROOT / "esa").rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return digest(*(part for p in sorted(files) for part in (p.relative_to(ROOT), file_digest(p))))


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


SIMULATOR_SOURCES = ("sequence/*.py", "io/fasta.py", "eval/simulate*.py")
"""What can change simulated reads, in the package `esa`."""


def simulator_digest() -> str:
    """Of the source code that can change simulated reads."""
    files = (path for pattern in SIMULATOR_SOURCES for path in sorted((ROOT / "esa").glob(pattern)))
    return digest(*map(file_digest, files))
