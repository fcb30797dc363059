"""Tables of a report, as text, as Markdown and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell; the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (header, *rows)
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def write_json(path: Path, content: object) -> None:
    """Write a JSON file, in a folder that need not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


@dataclass(frozen=True)
class Table:
    """Cells are texts already."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: list[list[str]]

    def text(self) -> str:
        """For a terminal."""
        return f"{self.title}\n{self.caption}\n\n{table(self.columns, self.rows)}"

    def markdown(self) -> str:
        """For a Markdown page."""
        lines = [self.columns, ("---",) + ("---:",) * (len(self.columns) - 1), *self.rows]
        body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"**{self.title}**\n\n{self.caption}\n\n{body}"


def publish(shown: Sequence[Table], path: Path, content: dict[str, Any]) -> None:
    """Print tables, and keep them and ``content`` in a JSON file."""
    tables = [{"title": t.title, "columns": t.columns, "rows": t.rows} for t in shown]
    write_json(path, {**content, "tables": tables})
    print("\n\n".join(t.text() for t in shown))
    print(f"\nwritten: {path}")


def number(value: float, digits: int = 2) -> str:
    """With digits after the point; a dash for what is not a number."""
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"
