"""`scripts.checks.cpu`, and on each `make test` what of it is quick: the kernels with vectors and with floats."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import esa
from scripts.checks.cpu import HOST, LEVELS, environment, sam_digest, verdict
from scripts.common.programs import BenchError

KERNELS = """
import hashlib
import numpy as np
from numba.core.registry import cpu_target
from esa.align.extend.lanes import LANES, fill_lanes, make_lanes
from esa.align.pairing.mapq import mapping_quality
from esa.align.inserts import InsertSizes

rng, digest = np.random.default_rng(7), hashlib.sha256()
for rows, band in ((40, 2), (151, 8)):
    columns = 2 * band + 1
    lanes = make_lanes(rows, columns)
    window = rng.integers(0, 4, (rows + columns - 1, LANES)).astype(np.uint8)
    query = window[band : band + rows].copy()
    query[rng.random(query.shape) < 0.1] = 2
    query[rows // 2 :, ::3] = window[band + 2 + rows // 2 :, ::3][: rows - rows // 2]
    lanes.codes[:], lanes.window[:] = query.ravel(), window.ravel()
    lanes.lengths[:] = rng.integers(rows // 2, rows + 1, LANES)
    lanes.widths[:] = rng.integers(columns // 2, columns + 1, LANES)
    fill_lanes(lanes, rows, columns)
    digest.update(lanes.best.tobytes() + lanes.directions.tobytes())
for lead in range(0, 40):
    for above in range(lead, 150, 7):
        for near in (0, 1, 5, 70):
            for score in (above, 140):
                found = [mapping_quality(lead, above, near, score, 150, truncated) for truncated in (0, 1)]
                digest.update(repr(found).encode())
digest.update(InsertSizes(0, 120, 900, 431.7, 57.3, 5000).penalties.tobytes())
vectors = [name for name in ("zmm", "ymm") if name in "".join(fill_lanes.python_entry.inspect_asm().values())]
print(cpu_target.target_context.codegen().magic_tuple()[1], len(vectors), digest.hexdigest())
"""


def computed(level: str, kernels: Path) -> tuple[str, str, str]:
    """Processor, how many kinds of wide vectors `fill_lanes` has, and digest of the results."""
    path = str(Path(esa.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KERNELS],
        env=environment(level, kernels) | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    processor, vectors, digest = done.stdout.split()
    return processor, vectors, digest


def test_the_kernels_compute_the_same_without_wide_vectors(tmp_path: Path) -> None:
    here, plain = computed(HOST, tmp_path), computed("x86-64-v2", tmp_path)
    assert plain[:2] == ("x86-64-v2", "0")
    assert here[0] != plain[0]
    assert here[2] == plain[2]


def test_each_level_has_its_own_kernels(tmp_path: Path) -> None:
    folders = {environment(level, tmp_path)["NUMBA_CACHE_DIR"] for level in (HOST, *LEVELS)}
    assert len(folders) == 1 + len(LEVELS)
    with pytest.raises(BenchError, match="no such level: sparc"):
        environment("sparc", tmp_path)


def test_the_command_line_does_not_count(tmp_path: Path) -> None:
    texts = {"a": "@HD\tx\n@PG\tCL:1\nr\t0\n", "b": "@HD\tx\n@PG\tCL:2\nr\t0\n", "c": "@HD\tx\nr\t1\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    digests = {name: sam_digest(tmp_path / name) for name in texts}
    assert digests["a"] == digests["b"] != digests["c"]


def test_one_level_that_differs_is_seen() -> None:
    assert verdict({"x": ("1", "2"), "y": ("1", "2")}) == "same"
    assert verdict({"x": ("1", "2"), "y": ("1", "3")}) == "DIFFERENT"
