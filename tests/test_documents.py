"""The documents keep to their limits, and what they name is there: files, `make` targets, options, modules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import click
import pytest
from test_layering import PACKAGE

from esa.cli.main import SUBCOMMANDS, cli

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
ARCHITECTURE = ROOT / "esa" / "README.md"
OPTIONS = ROOT / "esa" / "cli" / "README.md"
DOCUMENTS = (
    README,
    ARCHITECTURE,
    OPTIONS,
    ROOT / "scripts" / "README.md",
    ROOT / "data" / "README.md",
    ROOT / ".github" / "CONTRIBUTING.md",
    *sorted((ROOT / "esa" / "encoders" / "weights").glob("*/README.md")),
)

MOST_LINES = 200
MOST_ROWS_OF_FIGURES = 12

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE_SPAN = re.compile(r"`([^`]+)`")
CODE_BLOCK = re.compile(r"(?:^ {4}.*\n?)+", re.MULTILINE)
COMMIT = re.compile(r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}\b")
FIGURE = re.compile(r"[\d.,]*\d[\d.,]*(?: ?(?:%|x))?(?: ?\\?\*)?")
TARGET = re.compile(r"\bmake ([a-z][a-z-]*[a-z])(?![A-Za-z-])")
OPTION = re.compile(r"(?<![\w-])(--?[A-Za-z][a-z0-9-]*)")
FILE = re.compile(r"[\w.][\w./-]*\.(?:py|sh|toml|yml|txt)")
OTHERS_OPTIONS = {"--dry-run", "--ignore-installed", "--index-url", "--report", "--user"}
"""Long options of pip."""


class Called(NamedTuple):
    """One command of a line: the program, its subcommand, and the rest."""

    command: str
    rest: str


def code_of(text: str) -> Iterator[str]:
    """The code of a document: its spans, and the lines of its indented blocks."""
    for block in CODE_BLOCK.findall(text):
        yield from block.replace("\\\n", " ").splitlines()
    yield from (" ".join(span.split()) for span in CODE_SPAN.findall(CODE_BLOCK.sub("", text)))


def rows_of(text: str) -> Iterator[list[str]]:
    """The cells of every row of every table; code spans without their escaped bars."""
    for line in text.splitlines():
        if line.startswith("|") and not set(line) <= set("|- :"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    plain = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading.strip().lower()))
    return plain.replace(" ", "-")


def anchors_of(path: Path) -> set[str]:
    return {slug(line.lstrip("#")) for line in path.read_text().splitlines() if line.startswith("#")}


def section_of(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    return text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def targets() -> set[str]:
    """The targets of the Makefile that `make help` lists."""
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def options_of(command: str) -> frozenset[str]:
    """Every option of an `esa` command, short and long, as `--help` shows them."""
    with click.Context(cli) as context:
        found = cli.get_command(context, command)
    assert found is not None
    given = [x for parameter in found.params if isinstance(parameter, click.Option) for x in parameter.opts]
    return frozenset(given) | {"--help", "-h"}


@cache
def script_options() -> frozenset[str]:
    """Every long option that a script declares."""
    text = "\n".join(path.read_text() for path in (ROOT / "scripts").rglob("*.py"))
    return frozenset(re.findall(r"\"(--[a-z][a-z0-9-]*)\"", text))


def calls_in(code: str) -> Iterator[Called]:
    """The calls of `esa` in a line of code, each up to the next program."""
    for piece in re.split(r"\||&&|;|#", code):
        if match := re.search(r"\besa (" + "|".join(SUBCOMMANDS) + r")\b(.*)", piece):
            yield Called(match[1], re.sub(r"'[^']*'|\"[^\"]*\"", "", match[2]))


def module_and_rest(dotted: str) -> tuple[Path, list[str]] | None:
    """The file of the longest part of a dotted name that is a module or room of `esa`, and what follows it."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        place = ROOT.joinpath("esa", *parts[:count])
        if place.with_suffix(".py").is_file():
            return place.with_suffix(".py"), parts[count:]
        if place.is_dir():
            return place / "__init__.py", parts[count:]
    return None


def defines(body: list[ast.stmt], names: list[str]) -> bool:
    """Whether the statements define the first of the names, and, if that is a class, its body the next."""
    if not names:
        return True
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == names[0]:
            return defines(node.body, names[1:]) if isinstance(node, ast.ClassDef) else len(names) == 1
        if isinstance(node, ast.Assign | ast.AnnAssign):
            written = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(x, ast.Name) and x.id == names[0] for x in written):
                return len(names) == 1
    return False


def dotted_names(text: str) -> list[str]:
    """The modules of `esa`, and what of them, that a text names in code."""
    rooms = {path.stem for path in (ROOT / "esa").iterdir()}
    names = (span for span in CODE_SPAN.findall(text) if re.fullmatch(r"\w+(\.\w+)+", span))
    return [name for name in names if name.split(".")[0] in rooms]


def methods_named(text: str) -> list[str]:
    """What a text names in code as ``Class.member``."""
    return [span for span in CODE_SPAN.findall(text) if re.fullmatch(r"[A-Z]\w*\.[a-z_]\w*", span)]


def members() -> set[str]:
    """``Class.member`` of all classes of `esa`, methods and fields."""
    found = set()
    for path in (ROOT / "esa").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                for item in node.body:
                    if isinstance(item, ast.FunctionDef):
                        found.add(f"{node.name}.{item.name}")
                    elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                        found.add(f"{node.name}.{item.target.id}")
    return found


def document_id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_readme_is_short() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    figures = [row for row in rows_of(text) if any(FIGURE.fullmatch(cell) for cell in row)]
    assert 0 < len(figures) <= MOST_ROWS_OF_FIGURES


def test_every_figure_of_the_readme_names_its_command() -> None:
    for row in rows_of(README.read_text()):
        if any(FIGURE.fullmatch(cell) for cell in row):
            assert re.fullmatch(r"`(make|esa) [^`]+`", row[-1]), row


def test_the_readme_names_no_commit() -> None:
    assert COMMIT.findall(README.read_text()) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=document_id)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        assert place.exists(), target
        if anchor:
            assert anchor in anchors_of(place), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=document_id)
def test_every_target_of_make_is_there(path: Path) -> None:
    named = {target for code in code_of(path.read_text()) for target in TARGET.findall(code)}
    assert named - targets() == set()


def test_every_target_of_make_is_described() -> None:
    text = "".join(path.read_text() for path in DOCUMENTS)
    described = {target for code in code_of(text) for target in TARGET.findall(code)}
    assert targets() - described - {"help"} == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=document_id)
def test_every_option_is_there(path: Path) -> None:
    """Those of a call of `esa` are that command's; a long one by itself is some command's or some script's."""
    known = script_options().union(OTHERS_OPTIONS, {"--version"}, *map(options_of, SUBCOMMANDS))
    for code in code_of(path.read_text()):
        calls = list(calls_in(code))
        for call in calls:
            assert set(OPTION.findall(call.rest)) - options_of(call.command) == set(), code
        if not calls:
            long = {option for option in OPTION.findall(code) if option.startswith("--")}
            assert long - known == set(), code


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_every_option_is_described(command: str) -> None:
    section = section_of(OPTIONS.read_text(), f"esa {command}")
    described = {
        option
        for row in rows_of(section)
        for span in CODE_SPAN.findall(row[0])
        for option in OPTION.findall(span)
    }
    assert described == options_of(command) - {"--help", "-h"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=document_id)
def test_every_file_of_the_repository_is_there(path: Path) -> None:
    """Those that are named with a folder, from the root, from `esa/` or from the document's own folder."""
    folders = (ROOT, ROOT / "esa", path.parent)
    for code in CODE_SPAN.findall(path.read_text()):
        if "/" in code and FILE.fullmatch(code) and not code.startswith(("/", "..")):
            assert any((folder / code).exists() for folder in folders), code


def test_the_architecture_names_what_is_there() -> None:
    names = dotted_names(ARCHITECTURE.read_text())
    assert len(names) > 40
    for name in names:
        found = module_and_rest(name)
        assert found is not None, name
        file, rest = found
        assert defines(ast.parse(file.read_text()).body, rest), name


def test_the_architecture_counts_the_modules_of_a_pair() -> None:
    section = section_of(ARCHITECTURE.read_text(), "A pair from file to record")
    table, _, below = section.partition("\n\nThe table names ")
    places = [module_and_rest(name) for name in dotted_names(table)]
    modules = {place[0] for place in places if place is not None and place[0].name != "__init__.py"}
    assert below.split()[0] == str(len(modules))


def test_the_architecture_has_the_rows_of_the_layering_test() -> None:
    section = section_of(ARCHITECTURE.read_text(), "Rooms, and what each may import")
    rows = [CODE_SPAN.findall(row[1]) for row in rows_of(section)][1:]
    assert [set(row) for row in rows] == [set(rooms) for rooms in PACKAGE.ranks]


def test_the_architecture_names_methods_that_exist() -> None:
    named = methods_named(ARCHITECTURE.read_text())
    assert "Mapper.begin" in named
    assert set(named) - members() == set()
    drawn = re.findall(r"align\.mapper: (\w+)", (ROOT / "esa/flow.svg").read_text())
    assert {f"Mapper.{name}" for name in drawn} - members() == set()


def test_what_falls_short_would_be_seen() -> None:
    assert "Mapper.seed" not in members()
    assert COMMIT.findall("as of 83dc8fc, 1234567 reads, facade") == ["83dc8fc"]
    assert FIGURE.fullmatch("23,884 \\*")
    assert FIGURE.fullmatch("36 bases") is None
    assert [call.command for call in calls_in("esa index a | esa align - -t 2")] == ["index", "align"]
    assert module_and_rest("align.mapper.Mapper.begin") == (ROOT / "esa/align/mapper.py", ["Mapper", "begin"])
    assert not defines(ast.parse("class A:\n    def f(): ...").body, ["A", "g"])
    assert slug("From `bwa mem`, again") == "from-bwa-mem-again"
