"""The picture of `make bench-scaling`: speed, memory and index time against the size of the genome."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FIGURE_INCHES = (10.0, 3.1)
DOTS_PER_INCH = 100
BLUE, ORANGE, GREY = "#1f5fa8", "#d9772b", "#8a8a8a"
_UNITS = ((1e9, "Gb"), (1e6, "Mb"), (1e3, "kb"))


@dataclass(frozen=True)
class Point:
    """One genome; what was not measured is None.

    Attributes:
        bases: of the genome.
        after_start, whole: thousands of reads a second.
        align_gigabytes, index_gigabytes: peak memory.
        index_minutes: wall time of `esa index`.
    """

    bases: int
    after_start: float
    whole: float
    align_gigabytes: float
    index_gigabytes: float | None
    index_minutes: float | None


def size_text(bases: float) -> str:
    """``4.6 Mb``, ``3.1 Gb``."""
    scale, unit = next((pair for pair in _UNITS if bases >= pair[0]), (1.0, "b"))
    value = bases / scale
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"


def picture(points: Sequence[Point], caption: str) -> bytes:
    """PNG of three panels."""
    # Without pyplot: no global state, no display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(FIGURE_INCHES, layout="constrained")
    speed, memory, index = figure.subplots(1, 3)
    _lines(speed, points, [("after start-up", "after_start", BLUE), ("whole run", "whole", GREY)])
    speed.set_title("thousand reads a second", loc="left", fontsize="medium")
    speed.set_ylim(bottom=0)
    _lines(memory, points, [("esa align", "align_gigabytes", BLUE), ("esa index", "index_gigabytes", ORANGE)])
    memory.set_title("peak memory, GB", loc="left", fontsize="medium")
    _lines(index, points, [("esa index", "index_minutes", ORANGE)])
    index.set_title("index time, minutes", loc="left", fontsize="medium")
    for axes in (memory, index):
        _with_log_scale(axes)
    figure.supxlabel(caption, fontsize="small", color=GREY)
    out = io.BytesIO()
    figure.set_dpi(DOTS_PER_INCH)
    FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    return out.getvalue()


def _with_log_scale(axes: Any) -> None:
    """Equal ratios take equal room, so that what grows with the genome is a straight line."""
    if not any(len(line.get_xdata()) for line in axes.lines):  # matplotlib has no such scale without numbers
        return
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _lines(axes: Any, points: Sequence[Point], drawn: Sequence[tuple[str, str, str]]) -> None:
    """Draw (label, field, colour) against the genome's size."""
    for label, field, color in drawn:
        known = [(p.bases, getattr(p, field)) for p in points if getattr(p, field) is not None]
        axes.plot(
            *zip(*known, strict=True) if known else ([], []), marker="o", ms=4, label=label, color=color
        )
    axes.set_xscale("log")
    axes.minorticks_off()
    sizes = [point.bases for point in points]
    turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(sizes, [size_text(bases) for bases in sizes], fontsize="small", **turned)
    axes.tick_params(axis="y", labelsize="small")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(drawn) > 1:
        axes.legend(frameon=False, fontsize="small")
