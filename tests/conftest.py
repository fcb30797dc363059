"""What the tests share: the bundled data, and the programs of others that some of them call."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

DATA = Path(__file__).resolve().parent.parent / "data"

# A shell's background jobs ignore SIGINT, and so would what they start: the tests that interrupt a run need it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Workers of pytest-xdist have the cores to share: threads of torch and faiss beside them only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The first example of a test may wait for a kernel to be compiled, for seconds on a busy machine. All else is as
# hypothesis has it, which sees by itself whether it runs in CI.
settings.register_profile("esa", settings(), deadline=None)
settings.load_profile("esa")

DEBIAN_PACKAGES = {"PicardCommandLine": "picard-tools"}
"""Program: Debian package, where the two differ."""


def find_peer(name: str) -> str:
    """The path of a program of others. A missing one skips the test; under CI=true it fails it."""
    path = shutil.which(name)
    if path is not None:
        return path
    message = f"{name} is not installed (Debian package {DEBIAN_PACKAGES.get(name, name)})"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def peer() -> Callable[[str], str]:
    """``peer("samtools")`` is the program's path (see `find_peer`)."""
    return find_peer


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of bundled inputs; its README says what each file is."""
    return DATA


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the `peer` fixture carries the marker, so that `-m "not peer"` needs no care."""
    for item in items:
        if "peer" in getattr(item, "fixturenames", ()):
            item.add_marker("peer")
