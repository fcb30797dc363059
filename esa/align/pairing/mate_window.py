"""Where the mate of a read at a locus should lie by the insert sizes, and whether it has a locus there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.align.inserts import FF, FR, RF, RR, InsertRange
from esa.align.loci import Loci
from esa.align.pairing.choose import five_prime, is_proper
from esa.kernels.arrays import Bool, I64Array, Int
from esa.kernels.decorator import inline_njit


class MateWindow(NamedTuple):
    """Where the mate of a locus should lie.

    start: first base, global.
    width: in bases.
    reverse: the mate's strand.
    """

    start: Int
    width: Int
    reverse: Int


@inline_njit
def mate_window(
    loci: Loci, r: Int, k: Int, length: Int, mate_length: Int, inserts: InsertRange
) -> MateWindow:
    """The window of the mate of read r at its locus k."""
    at = five_prime(loci, r, k, length)
    strand = np.int64(loci.reverse[r, k]) ^ (inserts.orientation == FR or inserts.orientation == RF)
    # In the read's own direction the mate's 5' end lies ahead of it (FR), or behind (RF); FF and RR are seen
    # from the first read.
    ahead = inserts.orientation == FR or (inserts.orientation == (FF if r % 2 == 0 else RR))
    if (loci.reverse[r, k] == 0) == ahead:
        begin, end = at + inserts.low, at + inserts.high
    else:
        begin, end = at - inserts.high, at - inserts.low
    if strand:
        begin -= mate_length
    else:
        end += mate_length
    return MateWindow(begin, end - begin, strand)


@inline_njit
def has_mate(loci: Loci, r: Int, k: Int, lengths: I64Array, inserts: InsertRange, unpaired: Int) -> Bool:
    """Whether a locus of the mate makes a proper pair with locus k of read r.

    Loci that the mate's best locus, unpaired, beats do not count: a poor copy of a repeat beside locus k is no reason
    not to look for the mate there.
    """
    first = r - r % 2
    for m in range(loci.held[r ^ 1]):
        if loci.score[r ^ 1, m] < loci.score[r ^ 1, 0] - unpaired:
            break
        j, other = (k, m) if r == first else (m, k)
        if is_proper(loci, first, j, other, lengths, inserts)[0]:
            return True
    return False
