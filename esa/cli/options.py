"""Options that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from esa.encoders.device import DEVICES

Command = TypeVar("Command", bound=Callable[..., Any])


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


def device_option(default: str, what: str) -> Callable[[Command], Command]:
    """``--device``."""
    return click.option("--device", type=click.Choice(DEVICES), default=default, show_default=True, help=what)


def shows_progress(quiet: bool) -> bool:
    """Whether to draw a progress bar: on a terminal, unless told not to."""
    return not quiet and sys.stderr is not None and sys.stderr.isatty()
