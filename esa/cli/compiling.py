"""Compiles the kernels at the first run, with a message that says why this run takes longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from esa.index.presets import DEFAULT_PRESET
from esa.kernels.cache import complete_mark

_WAITING = "waiting for another process that is compiling kernels for this machine, one to two minutes ..."


@contextmanager
def compiled_kernels(preset: str, threads: int, quiet: bool) -> Iterator[None]:
    """Compile all kernels of the default preset, unless an earlier run has kept them.

    A message says so, once; likewise when code in the context compiles further kernels.
    """
    announce = _once(_message(), quiet)
    mark = complete_mark()
    if preset == DEFAULT_PRESET and mark is not None and not mark.exists():
        from esa.run.precompile import compile_kernels

        compile_kernels(threads, announce, _once(_WAITING, quiet))
    with _on_compilation(announce):
        yield


def _once(message: str, quiet: bool) -> Callable[[], None]:
    """A function that prints the message at its first call, or never if ``quiet``."""
    done = quiet

    def announce() -> None:
        nonlocal done
        if not done:
            done = True
            click.echo(f"esa: {message}", err=True)

    return announce


def _message() -> str:
    if complete_mark() is None:
        return (
            "compiling kernels, one to two minutes, at each run: no folder is there to keep them in "
            "(NUMBA_CACHE_DIR can name one) ..."
        )
    return "compiling kernels for this machine, one to two minutes, this once ..."


@contextmanager
def _on_compilation(announce: Callable[[], None]) -> Iterator[None]:
    """Calls ``announce`` when numba compiles a kernel, because no earlier run has kept it."""
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, _event: Any) -> None:
            announce()

        def on_end(self, _event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield
