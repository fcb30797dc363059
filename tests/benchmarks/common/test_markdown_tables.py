"""`scripts.common.markdown_tables`: what is printed, and what is kept."""

from __future__ import annotations

import pytest

from scripts.common.markdown_tables import AtCost, MarkdownTable


def test_a_table_prints_its_rows_and_keeps_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    table = MarkdownTable("Title", "Caption.", {"encoder": "", "recall": ".2f", "us": ".0f"})
    table.begin()
    table.add("sketch", (0.5, 1.0), 12.3)
    table.add("rde", 0.25, "")
    table.add("codes", AtCost(0.5, 1234.4), 1)
    assert capsys.readouterr().out == (
        "\n**Title**\n\nCaption.\n\n| encoder | recall | us |\n|---|---|---|\n"
        "| sketch | 0.50 / 1.00 | 12 |\n| rde | 0.25 |  |\n| codes | 0.500 @ 1,234 | 1 |\n"
    )
    assert table.rows[0] == {"encoder": "sketch", "recall": (0.5, 1.0), "us": 12.3}
