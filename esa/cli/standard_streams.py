"""Standard input, output and error that whoever started the command has closed."""

from __future__ import annotations

import io
import os
import sys

from esa.errors import OutputError

_MODES = (os.O_WRONLY, os.O_RDONLY, os.O_RDWR)
"""How /dev/null stands in for a closed descriptor 0, 1 or 2: reading the first or writing the second is an error."""


class _ClosedOutput(io.TextIOBase):
    """Standard output that is closed: what it should take is not lost without a word."""

    def write(self, _text: str) -> int:
        raise OutputError("cannot write standard output: it is closed; redirect it or name a file by -o")

    def fileno(self) -> int:
        self.write("")
        return -1


def replace_closed_streams() -> None:
    """Open /dev/null in place of closed descriptors, or a file that is opened next would take their numbers.

    Messages for a closed standard error are dropped. Writing to a closed standard output is an error.
    """
    for descriptor, mode in enumerate(_MODES):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest that is free: this one.
            os.open(os.devnull, mode)
    if sys.stdout is None:
        sys.stdout = _ClosedOutput()
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="replace")  # noqa: SIM115
