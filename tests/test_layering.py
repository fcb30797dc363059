"""Imports run one way (design, section 5), and heavy libraries stay where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import esa

PACKAGE = Path(esa.__file__).parent

RANKS = (
    ("errors",),
    ("kernels",),
    ("sequence",),
    ("fragments", "encoders", "stores", "io"),
    ("align",),
    ("index",),
    ("run",),
    ("train", "eval"),
    ("cli", "__main__"),
)
"""A room imports from its own row and from those above it."""
RANK = {room: rank for rank, rooms in enumerate(RANKS) for room in rooms}

ONLY_IN = {
    "click": ("cli",),
    "faiss": ("stores/scanner.py",),
    "torch": ("encoders", "stores/on_device.py", "train"),
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
            yield node.module
            if node.module.split(".")[0] == "esa":  # what is imported may be a module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(path: Path) -> str:
    return ".".join(["esa", *path.relative_to(PACKAGE).with_suffix("").parts])


def room_of(module: str) -> str:
    return module.split(".")[1]


def rooms_imported(path: Path) -> set[str]:
    """Slots of esa that a file imports, its own left out."""
    return {room_of(name) for name in imports(path) if name.startswith("esa.")} - {
        room_of(module_of(path)),
        "__version__",
    }


def folders() -> list[Path]:
    return [PACKAGE, *sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)]


def children_imported(folder: Path) -> dict[str, set[str]]:
    """The children of a folder, files and folders alike, and those of them that each imports from."""
    prefix = module_of(folder / "__init__").removesuffix(".__init__") + "."
    graph: dict[str, set[str]] = {}
    for path in folder.rglob("*.py"):
        if path.name == "__init__.py":
            continue
        child = module_of(path).removeprefix(prefix).split(".")[0]
        inside = {
            name.removeprefix(prefix).split(".")[0] for name in imports(path) if name.startswith(prefix)
        }
        graph.setdefault(child, set()).update(inside - {child})
    return graph


def test_every_room_has_a_rank() -> None:
    assert {room_of(module_of(path)) for path in modules()} - {"__init__"} == set(RANK)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        assert {name for name in imports(path) if name.startswith("esa.")} == set()
        return
    rank = RANK[room_of(module_of(path))]
    assert {room for room in rooms_imported(path) if RANK[room] > rank} == set()


@pytest.mark.parametrize("folder", folders(), ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_no_circle_in_any_folder(folder: Path) -> None:
    """Neither between the files and sub-folders of one folder, nor, in the whole, between rooms."""
    TopologicalSorter(children_imported(folder)).prepare()


def test_a_circle_would_be_seen() -> None:
    assert children_imported(PACKAGE / "align")["mapper"] >= {"search", "placer", "pairing", "records"}
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


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
