"""SAM text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esa.io import _sam
from esa.io._record_arrays import Reads, Table
from esa.io.formatter import Formatter


class SamFormatter(Formatter):
    """Formats records as SAM lines, each with its newline."""

    def _write(self, reads: Reads, table: Table, out: NDArray[np.uint8]) -> int:
        written: int = _sam.write_lines(self._contigs, reads, table, self._xa, out)
        return written
