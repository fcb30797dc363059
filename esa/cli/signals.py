"""Signals as exceptions of the main thread, without losing one."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

REPEAT = 1.0
"""Seconds until a signal that has not ended the command is sent to the main thread again."""


class Terminated(BaseException):
    """SIGTERM, as an exception: unfinished files are removed on the way out."""


class Interrupts:
    """Raises KeyboardInterrupt for SIGINT and `Terminated` for SIGTERM, until `taken` is called.

    Python alone loses a signal that arrives just before the main thread blocks (in a lock, ``wait``, ``read``), or in
    another thread: the handler runs when the main thread wakes, perhaps never. Python also loses an exception raised in
    a ``__del__`` or swallowed by a bare ``except``. Here a thread gets the signal from the wake-up file descriptor and
    sends it to the main thread again until `taken` is called.
    """

    def __init__(self) -> None:
        self._taken = threading.Event()

    def install(self) -> None:
        """Set the handlers. Call this once per process, in the main thread. An ignored SIGINT stays ignored."""
        signal.signal(signal.SIGTERM, self._raise)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._raise)
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        # Signals of a child process are not the parent's.
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
        threading.Thread(target=self._repeat, args=(reader,), name="esa-signals", daemon=True).start()

    def taken(self) -> None:
        """Stop raising: the command is ending."""
        self._taken.set()

    def _raise(self, number: int, _frame: FrameType | None) -> None:
        if not self._taken.is_set():
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated

    def _repeat(self, reader: int) -> None:
        main = threading.main_thread().ident
        assert main is not None
        while True:
            number = os.read(reader, 1)[0]
            if number in (signal.SIGINT, signal.SIGTERM):
                break
        while not self._taken.wait(REPEAT):
            signal.pthread_kill(main, number)
