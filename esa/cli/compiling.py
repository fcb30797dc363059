"""Tells the user why the first run takes longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from esa.cli.options import shows_progress


@contextmanager
def announce_compilation(quiet: bool) -> Iterator[None]:
    """Say once, on a terminal, that kernels are compiled, when numba finds one that no earlier run has kept."""
    if not shows_progress(quiet):
        yield
        return
    from numba.core import event

    class Announcer(event.Listener):
        told = False

        def on_start(self, _event: Any) -> None:
            if not self.told:
                self.told = True
                click.echo("esa: compiling kernels for this machine, about a minute, this once ...", err=True)

        def on_end(self, _event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Announcer()):
        yield
