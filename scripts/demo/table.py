"""Prints one row per read set from the JSON of `esa eval`: the summary at the end of the demo.

python -m scripts.demo.table LABEL=EVAL.json...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from scripts.common.tables import table

CONFIDENT_MAPQ = 30
HEADER = ("", "reads", "mapped", "in proper pairs", "correct", "wrong", f"wrong at MAPQ >= {CONFIDENT_MAPQ}")


def percent(share: float | None) -> str:
    """A share as text."""
    return "not known" if share is None else f"{100 * share:.2f} %"


def row(label: str, evaluation: dict[str, Any]) -> list[str]:
    """A row of the table, from the JSON of `esa eval`."""
    (figures,) = evaluation["files"]
    accuracy = figures["accuracy"] or {"correct_share": None, "wrong_share": None}
    confident = next(level for level in figures["by_mapq"] if level["mapq"] == CONFIDENT_MAPQ)
    return [
        label,
        f"{evaluation['reads']:,}",
        percent(figures["mapped_share"]),
        percent(figures["properly_paired_share"]),
        percent(accuracy["correct_share"]),
        percent(accuracy["wrong_share"]),
        "not known" if confident["wrong"] is None else f"{confident['wrong']:,}",
    ]


def main() -> None:
    """Run the command."""
    named = (argument.rsplit("=", 1) for argument in sys.argv[1:])
    print(table(HEADER, [row(label, json.loads(Path(path).read_text())) for label, path in named]))


if __name__ == "__main__":
    main()
