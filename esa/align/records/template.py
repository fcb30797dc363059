"""TLEN, as bwa mem has it: from 5' end to 5' end of the aligned bases, positive for the leftmost."""

from __future__ import annotations

import numpy as np

from esa.kernels.arrays import BoolArray, I64Array


def five_prime_ends(position: I64Array, span: I64Array, reverse: BoolArray) -> I64Array:
    """Position of the 5' base of each alignment, ``int64[n]``, from its leftmost position and reference span."""
    return position + np.where(reverse, span - 1, 0)


def template_lengths(ends: I64Array, mate_ends: I64Array, same_contig: BoolArray) -> I64Array:
    """TLEN of each alignment, ``int64[n]``.

    Args:
        ends, mate_ends: ``int64[n]``, `five_prime_ends` of the alignments and of their mates.
        same_contig: ``bool[n]``, both ends of the pair are mapped, to one contig; TLEN is 0 elsewhere.
    """
    ahead = mate_ends - ends
    # Both 5' bases count.
    return np.where(same_contig, ahead + np.sign(ahead), 0)
