"""`esa.kernels.decorator.inline_njit`: what its kernels may not do, since they are compiled without numba's reference
counts."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numba import types
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError
from samples import Aligner, Read, random_bases, reverse_complement, substituted

import esa
from esa.align.config import AlignConfig
from esa.align.extend.mismatch_masks import Strands
from esa.index.presets import PRESETS
from esa.kernels.decorator import inline_njit

OPTIONAL = {"faiss", "matplotlib", "torch", "transformers"}
"""Libraries without which esa aligns with its default preset: `make check-numba` tests without them."""


def inline_kernels() -> dict[str, Any]:
    """The kernels of the package that are compiled so, by module and name."""
    for module in pkgutil.walk_packages(esa.__path__, "esa."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if error.name not in OPTIONAL:
                    raise
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "esa"]
    kernels: list[Any] = [
        value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)
    ]
    return {
        f"{kernel.py_func.__module__}.{kernel.__name__}": kernel
        for kernel in kernels
        if kernel.targetoptions.get("_nrt") is False
    }


def signatures(kernel: Any) -> set[Any]:
    """All that a kernel was compiled for: what only other kernels call is loaded with these, and not by itself."""
    kept = kernel._cache._cache_file._load_index()
    return {key[0] for key in kept} | set(kernel.signatures)


def arrays_in(kind: Any) -> Iterator[Any]:
    if isinstance(kind, types.BaseTuple):
        for part in kind:
            yield from arrays_in(part)
    elif not isinstance(kind, types.Number | types.Boolean | types.NoneType):
        yield kind


def test_what_may_not_be_returned_is_seen() -> None:
    codes, flags = types.uint8[:, ::1], types.boolean[::1]
    strands = types.NamedTuple([codes, types.uint64[:, ::1], flags], Strands)
    assert list(arrays_in(flags)) == [flags]
    assert list(arrays_in(types.Tuple([types.int64, strands]))) == list(strands)
    assert not list(arrays_in(types.Tuple([types.int64, types.UniTuple(types.float64, 2), types.none])))


@pytest.fixture(scope="module", params=list(PRESETS))
def aligned(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Reads aligned, single and in pairs, so that the kernels are compiled for what they are called with."""
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp(request.param)
    bases = random_bases(rng, 4000)
    aligner = Aligner.of(folder, {"a": bases, "b": "N" * 40 + substituted(rng, bases[1000:2000], 0.02)})
    reads: list[Read] = []
    mates: list[Read] = []
    for i in range(60):
        start = int(rng.integers(0, 3600))
        read = substituted(rng, bases[start : start + 60] + bases[start + 60 + i % 4 : start + 120], 0.03)
        mate = reverse_complement(bases[start + 250 : start + 350]) if i % 7 else random_bases(rng, 100)
        reads.append((f"r{i}", read if i % 9 else read[:70] + bases[:80]))
        mates.append((f"r{i}", mate))
    config = AlignConfig(aligner.index.preset.levels)
    for settings in (config, config.with_xa(), config.reporting(None, True)):
        assert aligner.align(reads, mates, config=settings)
        assert aligner.align(reads, config=settings)
    assert aligner.output(reads, mates, bam=True)


@pytest.mark.usefixtures("aligned")
def test_no_inline_kernel_returns_an_array() -> None:
    """It would be freed under its caller."""
    compiled = 0
    for name, kernel in inline_kernels().items():
        for signature in signatures(kernel):
            kernel.compile(signature)
            returned = kernel.overloads[signature].signature.return_type
            assert not list(arrays_in(returned)), f"{name} returns {returned}"
        compiled += bool(kernel.overloads)
    assert compiled > 50


def test_the_kernels_of_the_aligner_are_inline_kernels() -> None:
    assert {
        "esa.align.extend.lanes.fill_lanes",
        "esa.align.extend.mismatch_masks.mark_mismatches",
        "esa.align.extend.verify._score_reads",
        "esa.align.records.report._report",
        "esa.sequence.dna.unpack",
    } <= set(inline_kernels())


def allocates(n: int) -> int:
    array = np.zeros(n, np.int64)
    array[0] = n
    return int(array[0])


def fills(array: Any) -> int:
    array[1:][0] = 7
    return len(array)


def test_an_inline_kernel_that_allocates_is_refused() -> None:
    with pytest.raises(NumbaError):
        inline_njit(allocates)(3)


def test_an_inline_kernel_may_look_at_a_part_of_an_array() -> None:
    array = np.zeros(4, np.int64)
    assert inline_njit(fills)(array) == 4
    assert array.tolist() == [0, 7, 0, 0]
    assert inline_njit(fills).targetoptions["_nrt"] is False
