"""Imports run one way (design, section 5), and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import esa

PACKAGE = Path(esa.__file__).parent

RANKS = (
    ("errors", "compiled"),
    ("allocator", "bits", "device", "dna", "hashing", "intrinsics", "mapped", "parcels"),
    ("genome", "reads", "records", "work"),
    ("manifest", "directory_writer", "storage", "fragments", "fragments_fixed", "encoders", "stores", "io"),
    ("align", "presets", "index"),
    ("worker",),
    ("pipeline", "warm"),
    ("train", "eval"),
    ("render", "cli", "__main__"),
)
"""A part imports from its own row and from those above it."""
RANK = {part: rank for rank, parts in enumerate(RANKS) for part in parts}

ONLY_IN = {
    "click": ("cli",),
    "faiss": ("stores/scanner.py",),
    "torch": ("device.py", "encoders", "stores/on_device.py", "train"),
    "tqdm": ("cli",),
}
"""Library: the parts that may import it."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, wherever in it."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            if node.module == "esa":
                yield from (f"esa.{alias.name}" for alias in node.names)
            else:
                yield node.module


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def parts_imported(path: Path) -> set[str]:
    """Parts of esa that a file imports, its own left out."""
    names = {name.split(".")[1] for name in imports(path) if name.startswith("esa.")}
    return names - {part_of(path), "__version__"}


def test_every_part_has_a_rank() -> None:
    assert {part_of(path) for path in modules()} - {"__init__"} <= set(RANK)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        assert parts_imported(path) == set()
        return
    rank = RANK[part_of(path)]
    assert {part for part in parts_imported(path) if RANK[part] > rank} == set()


def test_no_cycles_between_parts() -> None:
    graph: dict[str, set[str]] = {}
    for path in modules():
        graph.setdefault(part_of(path), set()).update(parts_imported(path))
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("library", ONLY_IN)
def test_libraries_stay_where_they_belong(library: str) -> None:
    importers = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert [name for name in importers if not name.startswith(ONLY_IN[library])] == []


def test_the_sequence_io_and_the_aligner_know_no_model() -> None:
    for part in ("align", "io"):
        for path in (PACKAGE / part).rglob("*.py"):
            assert {name.split(".")[0] for name in imports(path)}.isdisjoint({"torch", "faiss"})
