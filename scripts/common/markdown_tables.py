"""Markdown tables that are printed row by row, with their numbers kept."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from esa.errors import EsaError
from scripts.common.command_line import settings
from scripts.common.programs import BenchError
from scripts.common.tables import write_json


@dataclass(frozen=True)
class AtCost:
    """Share found, at so many codes scanned a read."""

    share: float
    scanned: float

    def __str__(self) -> str:
        return f"{self.share:.3f} @ {self.scanned:,.0f}"


Cell = str | float | tuple[float, ...] | AtCost
"""Of a table whose numbers are kept as well; several numbers stand with slashes between them."""


@dataclass(frozen=True)
class MarkdownTable:
    """A table that is printed row by row as its rows become known.

    Attributes:
        columns: format of the numbers (a format specification) by the column's name.
        rows: what was printed, by column.
    """

    title: str
    caption: str
    columns: Mapping[str, str]
    rows: list[dict[str, Cell]] = field(default_factory=list)

    def begin(self) -> None:
        """Print title, caption and header."""
        print(f"\n**{self.title}**\n\n{self.caption}\n\n| {' | '.join(self.columns)} |")
        print("|---" * len(self.columns) + "|", flush=True)

    def add(self, *cells: Cell) -> None:
        """Print a row and keep it."""
        row = dict(zip(self.columns, cells, strict=True))
        self.rows.append(row)
        texts = (formatted(cell, self.columns[name]) for name, cell in row.items())
        print(f"| {' | '.join(texts)} |", flush=True)


def formatted(cell: Cell, specification: str) -> str:
    """A cell as text."""
    if isinstance(cell, str | AtCost):
        return str(cell)
    numbers = cell if isinstance(cell, tuple) else (cell,)
    return " / ".join(format(number, specification) for number in numbers)


def publish(tables: Iterable[MarkdownTable], args: argparse.Namespace) -> None:
    """Let all tables be made; what is done so far goes to ``args.json``, if that is given.

    Raises:
        BenchError: an error of esa's.
    """
    done: list[MarkdownTable] = []
    try:
        for table in tables:
            done.append(table)
            if args.json:
                content = {"settings": settings(args, []), "tables": [asdict(t) for t in done]}
                write_json(args.json, content)
    except EsaError as error:
        raise BenchError(str(error)) from error
