"""The conventions that a program can check (`scripts/checks/style.py`), module by module."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.checks.style import ROOT, faults_of

FOLDERS = ("esa", "scripts")
"""What is held to them. Tests are not: their names say what a docstring would."""

KNOWN: dict[str, list[str]] = {}
"""Module: its faults that are known and stay, without their line numbers, and why in a comment beside them."""


def modules() -> list[str]:
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return sorted(str(path.relative_to(ROOT)) for path in found)


def faults(path: Path) -> list[str]:
    """The faults of a module, without their line numbers."""
    return [fault.split(": ", 1)[1] for fault in faults_of(path)]


@pytest.mark.parametrize("module", modules())
def test_a_module_keeps_the_conventions(module: str) -> None:
    assert sorted(faults(ROOT / module)) == sorted(KNOWN.get(module, []))


def test_every_known_fault_is_of_a_module() -> None:
    assert set(KNOWN) <= set(modules())


def test_faults_are_seen(tmp_path: Path) -> None:
    """Each convention, once broken."""
    lines = ["def f(a, b: int, c: int, d: int, e: int, f: int, g: int, h: int) -> None:"]
    lines += [f"{'    ' * (i + 1)}for x{i} in range(3):" for i in range(5)]
    lines += [f"{'    ' * 6}pass"] * 60
    lines += ["", "", "def g() -> int:", f'    """{"Word " * 31}"""', "    return 1"] + [""] * 400
    path = tmp_path / "module.py"
    path.write_text("\n".join(lines))
    found = faults(path)
    starts = (
        "470 lines",
        "f: 66 lines",
        "f: 8 parameters",
        "f: no annotations",
        "f: 5 levels of nesting",
        "f: no docstring",
        "a sentence of 31 words",
    )
    assert len(found) == len(starts)
    for fault, start in zip(found, starts, strict=True):
        assert fault.startswith(start)
