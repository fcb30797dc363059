"""Which SAM flags a record gets (the constants are in `esa.io.records`)."""

from __future__ import annotations

import numpy as np

from esa.io.records import (
    FLAG_FIRST,
    FLAG_MATE_REVERSE,
    FLAG_MATE_UNMAPPED,
    FLAG_PAIRED,
    FLAG_PROPER,
    FLAG_REVERSE,
    FLAG_SECOND,
    FLAG_UNMAPPED,
)
from esa.kernels.arrays import BoolArray, U16Array

SHARED_FLAGS = np.uint16(
    FLAG_PAIRED | FLAG_PROPER | FLAG_MATE_UNMAPPED | FLAG_MATE_REVERSE | FLAG_FIRST | FLAG_SECOND
)
"""Flags that all records of a read share, as in bwa mem."""


def primary_flags(mapped: BoolArray, reverse: BoolArray, proper: BoolArray, paired: bool) -> U16Array:
    """Flags of the primary records, ``uint16[reads]``.

    Args:
        mapped, reverse, proper: ``bool[reads]``; ``proper`` counts for pairs only.
        paired: reads 2i and 2i + 1 are a pair.
    """
    flag = np.zeros(len(mapped), np.uint16)
    flag[~mapped] |= FLAG_UNMAPPED
    flag[reverse] |= FLAG_REVERSE
    if paired:
        mate = np.arange(len(mapped)) ^ 1
        flag |= FLAG_PAIRED
        flag[0::2] |= FLAG_FIRST
        flag[1::2] |= FLAG_SECOND
        flag[~mapped[mate]] |= FLAG_MATE_UNMAPPED
        flag[reverse[mate]] |= FLAG_MATE_REVERSE
        flag[proper] |= FLAG_PROPER
    return flag


def nonprimary_flags(primary: U16Array, kind: U16Array, reverse: BoolArray) -> U16Array:
    """Flags of supplementary and secondary records, ``uint16[records]``.

    Args:
        primary: ``uint16[records]``, flags of the primary record of each one's read.
        kind: ``uint16[records]``, `FLAG_SUPPLEMENTARY` or `FLAG_SECONDARY`.
        reverse: ``bool[records]``.
    """
    flag = (primary & SHARED_FLAGS) | kind
    flag[reverse] |= FLAG_REVERSE
    return flag
