"""Has the kernels compiled at the first run, and tells the user why it takes longer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from esa.index.presets import DEFAULT_PRESET
from esa.kernels.cache import complete_mark

_WAITING = "waiting for another process that is compiling kernels for this machine, up to a minute ..."


@contextmanager
def compiled_kernels(preset: str, threads: int, quiet: bool) -> Iterator[None]:
    """Have all kernels of the default preset compiled, unless an earlier run has kept them.

    Says so, once; so it does if what runs in the context needs others.
    """
    tell = _teller(_message(), quiet)
    mark = complete_mark()
    if preset == DEFAULT_PRESET and mark is not None and not mark.exists():
        from esa.run.precompile import compile_kernels

        compile_kernels(threads, tell, _teller(_WAITING, quiet))
    with _told_of_compilation(tell):
        yield


def _teller(message: str, quiet: bool) -> Callable[[], None]:
    """Something that says the message once, when it is called."""
    told = quiet

    def tell() -> None:
        nonlocal told
        if not told:
            told = True
            click.echo(f"esa: {message}", err=True)

    return tell


def _message() -> str:
    if complete_mark() is None:
        return (
            "compiling kernels, up to a minute, at each run: no folder is there to keep them in "
            "(NUMBA_CACHE_DIR can name one) ..."
        )
    return "compiling kernels for this machine, up to a minute, this once ..."


@contextmanager
def _told_of_compilation(tell: Callable[[], None]) -> Iterator[None]:
    """Calls ``tell`` when numba finds a kernel that no earlier run has kept."""
    from numba.core import event

    class Listener(event.Listener):
        def on_start(self, _event: Any) -> None:
            tell()

        def on_end(self, _event: Any) -> None:
            pass

    with event.install_listener("numba:compile", Listener()):
        yield
