"""`esa.kernels.malloc`: freed memory is used again, and nothing is asked of a C library that cannot."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

import esa
from esa.kernels.malloc import keep_freed_memory

FAULTS = """
import resource, sys
import numpy as np
from esa.kernels.malloc import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    arrays = [np.ones(8 << 20, np.uint8) for _ in range(3)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, how],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(esa.__file__).parents[1],
    )
    return int(done.stdout)


def has_mallopt() -> bool:
    return hasattr(ctypes.CDLL(None), "mallopt")


@pytest.mark.skipif(not has_mallopt(), reason="a C library without mallopt")
def test_pages_of_freed_arrays_are_not_asked_for_again() -> None:
    kept = page_faults("keep")
    assert kept < 2 * (3 * 8 << 20) // 4096  # of three arrays, once, whatever the size of a page
    assert page_faults("leave") > 3 * kept


def test_a_library_without_mallopt_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed_memory()
