"""BAM-encoded CIGARs: arrays of elements ``length << 4 | code`` in ``uint32``."""

from __future__ import annotations

import numpy as np

from esa.io.records import CIGAR_LETTERS, CONSUMES_REFERENCE
from esa.kernels.arrays import Int, U32Array
from esa.kernels.decorator import inline_njit


@inline_njit
def reference_span(cigar: U32Array, start: Int, end: Int) -> Int:
    """Reference bases that the CIGAR ``cigar[start:end]`` covers."""
    span = np.int64(0)
    for k in range(start, end):
        if cigar[k] & 15 in CONSUMES_REFERENCE:
            span += np.int64(cigar[k] >> 4)
    return span


def cigar_text(cigar: U32Array) -> str:
    """As in SAM: ``*`` if there is none. For a few records; `esa.io.sam` writes batches."""
    return "".join(f"{element >> 4}{chr(CIGAR_LETTERS[element & 15])}" for element in cigar.tolist()) or "*"
