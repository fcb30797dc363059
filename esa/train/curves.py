"""The curves of a training run, as a table (CSV) and a figure (PNG)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from esa.errors import needed_by

CURVE = dict[str, float]
"""Row of a validation: ``step``, ``seconds``, mean ``loss`` since the last one, then the values of the task."""

FIGURE_INCHES = (9.0, 6.5)
DOTS_PER_INCH = 120


def table(rows: Sequence[CURVE]) -> bytes:
    """CSV (UTF-8) with a column for each value, in the order of the first row."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows
        )
    return text.getvalue().encode()


def picture(rows: Sequence[CURVE], recalls: Sequence[str], title: str) -> bytes:
    """PNG of the loss (above) and the named recalls (below) over the steps.

    Raises:
        MissingLibraryError: matplotlib is not installed.
    """
    # Not through pyplot, which has global state and may need a display.
    with needed_by("the picture of the curves"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    figure = Figure(FIGURE_INCHES, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    steps = [row["step"] for row in rows]
    above.plot(steps, [row["loss"] for row in rows], color="black", marker=".")
    above.set_ylabel("training loss")
    above.set_title(title)
    for name in recalls:
        whole = name == recalls[0]
        below.plot(
            steps,
            [row[name] for row in rows],
            marker=".",
            label="mean" if whole else name,
            color="black" if whole else None,
            linewidth=2 if whole else 1,
        )
    below.set_ylabel("validation recall")
    below.set_xlabel("step")
    below.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axes in (above, below):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    out = io.BytesIO()
    figure.set_dpi(DOTS_PER_INCH)
    FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    return out.getvalue()
