"""Arrays in files of numpy's npy format (version 1.0, C order): header, size, and files that grow by rows.

The header is written here and compared as bytes on opening. So no header that a stranger wrote is ever interpreted.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DTYPES = frozenset({"|b1", "|i1", "|u1"} | {f"<{kind}{n}" for kind in "iuf" for n in (2, 4, 8)})
"""Element types of arrays, as numpy spells them: little-endian or single bytes, never objects."""

MAX_DIMENSIONS = 8


def dtype_name(dtype: np.dtype[Any]) -> str:
    """The element type as numpy spells it.

    Raises:
        TypeError: it is not one of `DTYPES`.
    """
    if dtype.str not in DTYPES:
        raise TypeError(f"arrays of {dtype} cannot be stored")
    return dtype.str


def npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The bytes before the elements of an array; their number is a multiple of 64."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {tuple(shape)}, }}".encode("ascii")
    magic = b"\x93NUMPY\x01\x00"
    unpadded = len(magic) + 2 + len(text) + 1
    text += b" " * (-unpadded % 64) + b"\n"
    return magic + len(text).to_bytes(2, "little") + text


def array_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """Size of an array's file, its header included."""
    return len(npy_header(dtype, shape)) + int(dtype[2:]) * math.prod(shape)


class GrowingFile:
    """An array in a file, written row by row (`esa.index.writer.DirectoryWriter.grow`).

    Args:
        path: the file to make.
        dtype: element type, as numpy spells it.
        row: shape of a row.
        output_errors: context manager that turns an OSError into an error for the user.
        finished: called with the array's shape when the file is complete.
    """

    def __init__(
        self,
        path: Path,
        dtype: str,
        row: tuple[int, ...],
        output_errors: Callable[[], AbstractContextManager[None]],
        finished: Callable[[tuple[int, ...]], object],
    ) -> None:
        self._dtype, self._row, self._rows = dtype, row, 0
        self._path, self._output_errors, self._finished = path, output_errors, finished
        with output_errors():
            self._out = open(path, "xb")  # noqa: SIM115  (closed by `finish` or `close`)
            self._out.write(self._header())

    def append(self, rows: NDArray[Any]) -> None:
        """Write rows (``[n, *row]``).

        Raises:
            ValueError: rows of another shape.
            OutputError: they cannot be written.
        """
        content = np.ascontiguousarray(rows, self._dtype)
        if content.shape[1:] != self._row:
            raise ValueError(f"rows of shape {content.shape[1:]}, not {self._row}")
        with self._output_errors():
            self._out.write(content.reshape(-1).view(np.uint8).data)
        self._rows += len(content)

    def finish(self) -> NDArray[Any]:
        """Complete the file.

        Returns:
            All rows, mapped from the file.

        Raises:
            OutputError: the file cannot be written.
        """
        header = self._header()
        with self._output_errors():
            if self._out.tell() != array_bytes(self._dtype, (self._rows, *self._row)):
                raise ValueError(f"a header of {len(header)} bytes does not fit before {self._rows} rows")
            self._out.seek(0)
            self._out.write(header)
            self._out.flush()
            os.fsync(self._out.fileno())
            self._out.close()
        shape = (self._rows, *self._row)
        self._finished(shape)
        if not self._rows:
            return np.empty(shape, self._dtype)
        with self._output_errors(), open(self._path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(content, self._dtype, offset=len(header)).reshape(shape)

    def close(self) -> None:
        """Close a file that may be incomplete; errors do not matter any more."""
        with contextlib.suppress(OSError):
            self._out.close()

    def _header(self) -> bytes:
        # Padding makes it equally long for every number of rows.
        return npy_header(self._dtype, (self._rows, *self._row))
