"""Kernels that turn CIGARs with M into CIGARs with = and X, and back."""

from __future__ import annotations

import numpy as np

from esa.io.records import CIGAR_D, CIGAR_EQ, CIGAR_M, CIGAR_X
from esa.kernels.decorator import inline_njit, njit

_ZERO, _NINE, _CARET = (ord(c) for c in "09^")


@inline_njit
def _length(element):  # type: ignore[no-untyped-def]
    return np.int64(element >> 4)


@inline_njit
def _append(cigar, start, end, length, op):  # type: ignore[no-untyped-def]
    """Append an element to ``cigar[start:end]``, merging it with the last where that is of the same kind."""
    if end > start and cigar[end - 1] & 15 == op:
        cigar[end - 1] += np.uint32(length << 4)
        return end
    cigar[end] = np.uint32(length << 4 | np.int64(op))
    return end + 1


@njit
def merge_matches(cigar, offsets):  # type: ignore[no-untyped-def]
    """CIGARs with = and X turned into M: new elements and offsets."""
    new = np.empty(len(cigar), np.uint32)
    new_offsets = np.zeros(len(offsets), np.int64)
    p = 0
    for i in range(len(offsets) - 1):
        start = p
        for k in range(offsets[i], offsets[i + 1]):
            op = cigar[k] & 15
            match = op in (CIGAR_EQ, CIGAR_X)
            p = _append(new, start, p, _length(cigar[k]), CIGAR_M if match else op)
        new_offsets[i + 1] = p
    return new[:p], new_offsets


@njit
def split_matches(cigar, offsets, md, md_offsets):  # type: ignore[no-untyped-def]
    """CIGARs with M split into = and X as MD has it: new elements and offsets."""
    # A letter of MD ends one element and makes at most two.
    new = np.empty(len(cigar) + 2 * len(md), np.uint32)
    new_offsets = np.zeros(len(offsets), np.int64)
    p = 0
    for i in range(len(offsets) - 1):
        start = p
        m, md_end = md_offsets[i], md_offsets[i + 1]
        run = 0
        for k in range(offsets[i], offsets[i + 1]):
            op, length = cigar[k] & 15, _length(cigar[k])
            if op == CIGAR_D:
                # "^" and the deleted bases, perhaps after a zero.
                while m < md_end and md[m] != _CARET:
                    m += 1
                m += 1 + length
            if op != CIGAR_M:
                p = _append(new, start, p, length, op)
                continue
            while length > 0:
                while m < md_end and _ZERO <= md[m] <= _NINE:
                    run = 10 * run + md[m] - _ZERO
                    m += 1
                if run == 0 and m < md_end:
                    m += 1
                    length -= 1
                    p = _append(new, start, p, 1, CIGAR_X)
                    continue
                if run == 0:
                    # MD ends too early: no more is known to differ.
                    run = length
                step = run if run < length else length
                p = _append(new, start, p, step, CIGAR_EQ)
                run -= step
                length -= step
        new_offsets[i + 1] = p
    return new[:p], new_offsets
