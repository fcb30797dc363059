"""`esa.mapped`: advice reaches the mapping that an array lies in, and changes nothing else."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from samples import make_index

from esa.directory_writer import DirectoryWriter
from esa.index import open_index
from esa.mapped import give_back, in_large_pages

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


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="not of this system")
@pytest.mark.parametrize(
    ("advise", "option"), [(in_large_pages, "MADV_HUGEPAGE"), (give_back, "MADV_DONTNEED")]
)
def test_the_mapping_is_told(advise: Callable[[NDArray[Any]], None], option: str) -> None:
    mapping = Told(-1, mmap.PAGESIZE)
    arrays = arrays_in(mapping)
    for array in arrays:
        advise(array)
    assert mapping.advice == [getattr(mmap, option)] * len(arrays)


@pytest.mark.parametrize("advise", [in_large_pages, give_back])
def test_an_array_in_no_mapping_is_left_alone(advise: Callable[[NDArray[Any]], None]) -> None:
    array = np.arange(100)
    advise(array[3:])
    advise(np.frombuffer(b"bytes", np.uint8))
    assert array.tolist() == list(range(100))


def test_a_kernel_that_refuses_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Told, option: int, start: int = 0, length: int = 0) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(Told, "madvise", refuse)
    in_large_pages(np.frombuffer(Told(-1, mmap.PAGESIZE), np.uint8))


def test_content_stays(tmp_path: Path) -> None:
    path = tmp_path / "x"
    np.arange(10_000).tofile(path)
    array = np.memmap(path, np.int64, "r")
    for advise in (in_large_pages, give_back):
        advise(array)
        assert np.array_equal(array, np.arange(10_000))


def flags_of(file: str) -> list[str]:
    """Flags of the mapping of a file in this process."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if line.endswith(file):
            return next(later for later in lines if later.startswith("VmFlags:")).split()[1:]
    raise AssertionError(f"{file} is not mapped")


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").exists() or not Path("/proc/self/smaps").exists(),
    reason="a kernel without large pages",
)
def test_an_index_is_mapped_and_written_in_large_pages(tmp_path: Path) -> None:
    index = open_index(str(make_index(tmp_path, {"a": "ACGTTGCA" * 40})))
    assert index.genome.bases
    for name in ("store_entries", "store_buckets", "genome_packed"):
        assert LARGE_PAGES in flags_of(f"ref.esa/{name}.npy")
    with DirectoryWriter(tmp_path / "new.esa") as writer:
        array = writer.create("values", np.uint8, (mmap.PAGESIZE,))
        assert LARGE_PAGES in flags_of("/values.npy")
        assert not array.any()
