"""Output files that are no alignments: whole under their final name or not there (see `esa.io.output`)."""

from __future__ import annotations

from esa.io.output import AlignmentOutput, _place


def open_file(path: str) -> AlignmentOutput:
    """Open a file for bytes; use it at once in a ``with`` statement.

    Raises:
        OutputError: no such folder, a folder or file without permission, a directory.
    """
    place = _place(path)
    place.open()
    return AlignmentOutput(place, None)
