"""Imports run one way, in the package and in the scripts; heavy libraries stay where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import esa

ROOT = Path(esa.__file__).parents[1]

Ranks = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class House:
    """A top-level package and its rooms (its folders, and files that lie beside them).

    Attributes:
        ranks: rooms from the bottom up. A room imports from its own rank and from the ranks before it.
        others: top-level packages of this repository that it may import.
    """

    name: str
    ranks: Ranks
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> Path:
        return ROOT / self.name

    @property
    def rank(self) -> dict[str, int]:
        return {room: rank for rank, rooms in enumerate(self.ranks) for room in rooms}

    def modules(self) -> list[Path]:
        return sorted(self.folder.rglob("*.py"))

    def folders(self) -> list[Path]:
        return sorted(path.parent for path in self.folder.rglob("__init__.py"))


PACKAGE = House(
    "esa",
    (
        ("errors",),
        ("kernels",),
        ("sequence",),
        ("fragments", "encoders", "stores", "io"),
        ("align",),
        ("index",),
        ("run",),
        ("train", "eval"),
        ("cli", "__main__"),
    ),
)
SCRIPTS = House("scripts", (("common",), ("data",), ("benchmarks", "checks", "demo")), others=("esa",))
HOUSES = (PACKAGE, SCRIPTS)
OWN = {house.name for house in HOUSES} | {"tests"}

ONLY_IN = {
    "click": ("cli",),
    "faiss": ("stores/scanner.py",),
    "torch": ("encoders", "stores/on_device.py", "train"),
    "tqdm": ("cli",),
}
"""Library: the parts of the package that may import it."""

MODULES = [(house, path) for house in HOUSES for path in house.modules()]
FOLDERS = [folder for house in HOUSES for folder in house.folders()]


def relative(value: object) -> str:
    """A test's name for a path of this repository, or for a house."""
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, at its top or inside a function."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            yield node.module
            if node.module.split(".")[0] in OWN:  # what is imported may be a module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def room_of(module: str) -> str:
    """The second part of a dotted name."""
    return module.split(".")[1]


def rooms_imported(house: House, path: Path) -> set[str]:
    """Rooms of its house that a file imports, its own left out."""
    found = {room_of(name) for name in imports(path) if name.startswith(f"{house}.")}
    return found - {room_of(module_of(path)), "__version__"}


def children_imported(folder: Path) -> dict[str, set[str]]:
    """The children of a folder, files and sub-folders alike, and those of them that each imports from."""
    prefix = module_of(folder) + "."
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


@pytest.mark.parametrize("house", HOUSES, ids=relative)
def test_every_room_has_a_rank(house: House) -> None:
    """A new folder needs a place in `House.ranks`."""
    assert {room_of(module_of(path)) for path in house.modules()} - {"__init__"} == set(house.rank)


@pytest.mark.parametrize(("house", "path"), MODULES, ids=relative)
def test_imports_run_one_way(house: House, path: Path) -> None:
    """Inside a house by rank; and no house imports another but those that it names."""
    foreign = {name.split(".")[0] for name in imports(path)} & OWN
    assert foreign <= {house.name, *house.others}
    if path == house.folder / "__init__.py":
        assert foreign == set()
        return
    rank = house.rank[room_of(module_of(path))]
    assert {room for room in rooms_imported(house, path) if house.rank[room] > rank} == set()


@pytest.mark.parametrize("folder", FOLDERS, ids=relative)
def test_no_circle_in_any_folder(folder: Path) -> None:
    """Neither between the files and sub-folders of one folder, nor, in the whole, between rooms."""
    TopologicalSorter(children_imported(folder)).prepare()


def test_every_folder_is_a_package() -> None:
    """Otherwise the tests above would miss it."""
    parents = {path.parent for house in HOUSES for path in house.modules()}
    assert parents == set(FOLDERS)


def test_a_circle_would_be_seen() -> None:
    """The graph of a folder holds what its files import."""
    assert children_imported(PACKAGE.folder / "align")["mapper"] >= {"search", "pairing", "records"}
    assert "common" in children_imported(SCRIPTS.folder)["benchmarks"]
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


@pytest.mark.parametrize("library", ONLY_IN)
def test_libraries_stay_where_they_belong(library: str) -> None:
    """See `ONLY_IN`."""
    importers = {
        str(path.relative_to(PACKAGE.folder))
        for path in PACKAGE.modules()
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert [name for name in importers if not name.startswith(ONLY_IN[library])] == []


def test_the_sequence_io_and_the_aligner_know_no_model() -> None:
    """`esa align` with the default preset must not load torch or faiss."""
    for part in ("align", "io"):
        for path in (PACKAGE.folder / part).rglob("*.py"):
            assert {name.split(".")[0] for name in imports(path)}.isdisjoint({"torch", "faiss"})
