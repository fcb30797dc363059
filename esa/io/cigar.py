"""Kernels on BAM-encoded CIGARs: arrays of elements ``length << 4 | code`` in ``uint32``."""

from __future__ import annotations

import numpy as np

from esa.io.records import CONSUMES_REFERENCE
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
