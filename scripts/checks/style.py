"""Lists where code falls short of the conventions, as far as a program can tell.

    python -m scripts.checks.style [PATH ...]

Functions: 60 lines, 7 parameters, 4 levels of nesting at most; a docstring on every public one; annotations on all.
Modules: 400 lines. Docstrings: sentences of 30 words at most. `tests/test_style.py` holds `esa` and `scripts` to it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from scripts.common.command_line import script_parser

ROOT = Path(__file__).resolve().parents[2]

MAX_FUNCTION_LINES = 60
MAX_MODULE_LINES = 400
MAX_PARAMETERS = 7
MAX_NESTING = 4
MAX_SENTENCE_WORDS = 30

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = (ast.For, ast.While, ast.If, ast.With, ast.Try, ast.AsyncFor, ast.AsyncWith, ast.Match)
LITERALS = re.compile(r"``[^`]*``|`[^`]*`")
SENTENCE_END = re.compile(r"(?<=[.?!])[)'\"]*\s+(?=[A-Z(`'\"])|\n\s*\n|\n(?=\s*[\w, ]+: )")
WORD = re.compile(r"\w[\w'-]*")


def functions_of(tree: ast.Module) -> Iterator[tuple[str, Function, bool]]:
    """(Qualified name, function, whether it is public) of each function and method of a module, inner ones aside."""
    for node in tree.body:
        if isinstance(node, Function):
            yield node.name, node, not node.name.startswith("_")
        elif isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, Function):
                    public = not node.name.startswith("_") and not item.name.startswith("_")
                    yield f"{node.name}.{item.name}", item, public


def nesting(node: ast.AST) -> int:
    """How deep blocks lie in one another; ``elif`` is no deeper than its ``if``."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        chained = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, nesting(child) + (isinstance(child, BLOCKS) and not chained))
    return deepest


@cache
def documented_methods() -> frozenset[str]:
    """Names of the package's methods that have a docstring: what overrides one of them needs none of its own."""
    return frozenset(
        name.split(".")[1]
        for path in (ROOT / "esa").rglob("*.py")
        for name, node, _ in functions_of(ast.parse(path.read_text()))
        if "." in name and ast.get_docstring(node) is not None
    )


def needs_docstring(name: str, node: Function) -> bool:
    """A public function, but for a property's setter and a method of a documented name."""
    setter = any(isinstance(x, ast.Attribute) and x.attr == "setter" for x in node.decorator_list)
    return not setter and not ("." in name and name.split(".")[1] in documented_methods())


def function_faults(name: str, node: Function, public: bool) -> Iterator[str]:
    """The faults of one function."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if lines > MAX_FUNCTION_LINES:
        yield f"{lines} lines"
    arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    counted = [a for a in arguments if a.arg not in ("self", "cls")]
    if len(counted) > MAX_PARAMETERS:
        yield f"{len(counted)} parameters"
    if any(a.annotation is None for a in counted) or node.returns is None:
        yield "no annotations"
    if (depth := nesting(node)) > MAX_NESTING:
        yield f"{depth} levels of nesting"
    if public and ast.get_docstring(node) is None and needs_docstring(name, node):
        yield "no docstring"


def docstrings_of(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(Line, text) of each docstring: of modules, classes, functions and constants."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.lineno, node.value.value


def long_sentences(text: str) -> Iterator[tuple[int, str]]:
    """(Words, sentence) of each sentence of more than `MAX_SENTENCE_WORDS` words; a literal counts as one word."""
    for sentence in SENTENCE_END.split(LITERALS.sub("literal", text)):
        words = len(WORD.findall(sentence))
        if words > MAX_SENTENCE_WORDS:
            yield words, " ".join(sentence.split())


def faults_of(path: Path) -> list[str]:
    """Every fault of a module, with its line."""
    text = path.read_text()
    tree = ast.parse(text)
    found = []
    if (lines := text.count("\n")) > MAX_MODULE_LINES:
        found.append(f"1: {lines} lines")
    for name, node, public in functions_of(tree):
        found += [f"{node.lineno}: {name}: {fault}" for fault in function_faults(name, node, public)]
    for line, docstring in docstrings_of(tree):
        found += [
            f"{line}: a sentence of {n} words: {start[:60]} ..." for n, start in long_sentences(docstring)
        ]
    return found


def modules_in(paths: list[Path]) -> Iterator[Path]:
    """The files among ``paths``, and those in its folders."""
    for path in paths:
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def main() -> None:
    """Run the command."""
    parser = script_parser(__doc__)
    parser.add_argument("paths", nargs="*", type=Path, default=[ROOT / "esa", ROOT / "scripts"])
    count = 0
    for path in modules_in(parser.parse_args().paths):
        for fault in faults_of(path):
            print(f"{path}:{fault}")
            count += 1
    raise SystemExit(1 if count else 0)


if __name__ == "__main__":
    main()
