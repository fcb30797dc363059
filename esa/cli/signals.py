"""Signals that end the command: it is abandoned, what is unfinished is removed, and the process exits.

No signal raises an exception: numba ignores one that is raised while it boxes a kernel's result, and returns a null
pointer. So the command runs in a thread of its own. The main thread waits for its end or for a signal, on the pipe that
Python's signal handlers write to. (Waiting for a lock would lose a signal that comes just before, or that the system
delivers to another thread.)
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from esa.io.unfinished import end_all

ENDING = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "the terminal hung up",
    signal.SIGQUIT: "quit",
    signal.SIGXCPU: "the limit of processor time is reached",
    signal.SIGUSR1: "ended by SIGUSR1",
    signal.SIGUSR2: "ended by SIGUSR2",
    signal.SIGALRM: "ended by SIGALRM",
    signal.SIGVTALRM: "ended by SIGVTALRM",
    signal.SIGPROF: "ended by SIGPROF",
}
"""Signals that end a process and that it may handle: what is said. Faults of the process itself are left alone."""

_DONE = 0
"""Written to the pipe at the end of the command: no signal has this number."""

_ENDED = threading.Event()
"""Set once a signal ends the command."""


def run_until_signal(command: Callable[[], int]) -> int:
    """Run ``command`` in a thread and return its exit code. Call this once per process, in the main thread.

    On one of the `ENDING` signals the process exits at once, with 128 and the signal's number. A signal that is ignored
    stays so (`nohup esa ...`, or SIGINT of a background job).
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    handled = [number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN]
    for number in handled:
        signal.signal(number, lambda *_: None)
    os.register_at_fork(after_in_child=lambda: _as_before(handled))
    codes: list[int] = []

    def run() -> None:
        try:
            codes.append(command())
        finally:
            os.write(writer, bytes([_DONE]))

    # A daemon: the process may exit while it runs.
    threading.Thread(target=run, name="esa-command", daemon=True).start()
    while (came := os.read(reader, 1)[0]) != _DONE:
        if came in handled:
            _end(came)
    return codes[0] if codes else 1


def wait_if_ended() -> None:
    """Never returns once a signal ends the command. Errors that its end causes are not shown to the user."""
    if _ENDED.is_set():
        threading.Event().wait()


def _as_before(handled: list[signal.Signals]) -> None:
    """Signals of a child process are not the parent's."""
    signal.set_wakeup_fd(-1)
    for number in handled:
        signal.signal(number, signal.SIG_DFL)


def _end(number: int) -> NoReturn:
    _ENDED.set()
    end_all()
    # Below a progress bar.
    begin = "\n" if sys.stderr is not None and sys.stderr.isatty() else ""
    with contextlib.suppress(OSError):
        os.write(2, f"{begin}esa: {ENDING[signal.Signals(number)]}\n".encode())
    os._exit(128 + number)
