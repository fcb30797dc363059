"""`esa.kernels.madvise`: advice reaches the mapping that an array lies in, whatever lies between."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mappings import SMAPS, mappings_of
from numpy.typing import NDArray
from samples import make_index

from esa.index.open import open_index
from esa.kernels import madvise
from esa.kernels.madvise import give_back, in_large_pages

LARGE_PAGES = "hg"
"""How ``/proc/self/smaps`` marks what large pages were asked for."""


class Told(mmap.mmap):
    """A mapping that remembers what it is told."""

    advice: list[int]

    def madvise(self, option: int, start: int = 0, length: int = 0) -> None:
        self.advice = [*getattr(self, "advice", []), option]


def arrays_in(mapping: mmap.mmap) -> list[NDArray[Any]]:
    """As arrays come to lie in a mapping: directly, behind a header, in another shape, in part."""
    whole = np.frombuffer(mapping, np.uint8)
    return [np.ndarray(16, np.uint8, mapping), whole, whole[16:].reshape(4, -1), whole[16:].view(np.int64)]


def advised(advice: str) -> int:
    """The number of an advice, on systems that know it."""
    if not hasattr(mmap, advice):
        pytest.skip(f"no {advice} here")
    number: int = getattr(mmap, advice)
    return number


@pytest.mark.parametrize(
    ("advise", "advice"), [(in_large_pages, "MADV_HUGEPAGE"), (give_back, "MADV_DONTNEED")]
)
def test_the_mapping_is_told(advise: Callable[[NDArray[Any]], None], advice: str) -> None:
    mapping = Told(-1, mmap.PAGESIZE)
    arrays = arrays_in(mapping)
    for array in arrays:
        advise(array)
    assert mapping.advice == [advised(advice)] * len(arrays)


def test_what_may_not_stay_in_memory_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    number = advised("MADV_HUGEPAGE")
    mapping = Told(-1, 2 * mmap.PAGESIZE)
    array = np.frombuffer(mapping, np.uint8)
    for memory in (4 * mmap.PAGESIZE - 1, 4 * mmap.PAGESIZE):
        monkeypatch.setattr(madvise, "_memory", lambda memory=memory: memory)
        in_large_pages(array)
    assert mapping.advice == [number]


@pytest.mark.parametrize("advise", [in_large_pages, give_back])
def test_an_array_in_no_mapping_is_left_alone(advise: Callable[[NDArray[Any]], None]) -> None:
    array = np.arange(100)
    advise(array[3:])
    advise(np.frombuffer(b"bytes", np.uint8))
    assert array.tolist() == list(range(100))


def test_a_kernel_that_refuses_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [advised("MADV_HUGEPAGE")]

    def refuse(self: Told, option: int, start: int = 0, length: int = 0) -> None:
        asked.append(option)
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(Told, "madvise", refuse)
    in_large_pages(np.frombuffer(Told(-1, mmap.PAGESIZE), np.uint8))
    assert asked == asked[:1] * 2


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists() or not SMAPS.exists(),
    reason="a kernel without large pages",
)
def test_an_index_is_mapped_in_large_pages(tmp_path: Path) -> None:
    path = make_index(tmp_path, {"a": "ACGTTGCA" * 40})
    index = open_index(str(path))
    names = ("store_entries", "store_buckets", "genome_packed", "encoder_table")
    mapped_once = [mappings_of(path.resolve() / f"{name}.npy") for name in names]
    large = [LARGE_PAGES in mapping["VmFlags"].split() for (mapping,) in mapped_once]
    # The encoder's table is copied from.
    assert large == [True, True, True, False]
    assert len(index.store)
