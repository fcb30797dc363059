"""Options that several commands share."""

from __future__ import annotations

import os
import sys

import click


def _available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


threads_option = click.option(
    "-t",
    "--threads",
    type=click.IntRange(1),
    default=_available_cores,
    show_default="all cores",
    help="Worker threads.",
)


def shows_progress(quiet: bool) -> bool:
    """Whether to draw a progress bar: on a terminal, unless told not to."""
    return not quiet and sys.stderr is not None and sys.stderr.isatty()
