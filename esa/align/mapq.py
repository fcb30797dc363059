"""Mapping quality: how sure an alignment's place is.

MAPQ is an estimate of -10 log10 P(place is wrong), 0 to 60. With s the alignment score of the reported locus,
t the score of the best other one (never less than `FLOOR`, which unrelated sequence can reach), n the number of
other loci within `TIE` of the best other one, and L the read's length:

    q = min(60, RATE * (s - t) - 10 log10(n))     a score point is worth RATE phred
    q = q * min(1, s / (SURE_SHARE * L)) ** 3     a poor alignment may have a better one that was not found
    q = min(q, CAPPED_RATE * (s - t))             if a candidate limit was hit: loci may have been missed
    q = -10 log10(n / (n + 1)), at most 3         if s = t: one of n + 1 equals was picked

RATE: a mismatch lowers a score by 5; that a sequencer or a variant turns one copy's base into just that of the
other copy has a chance of about 0.0005, 33 phred. The power of 3 is read off reads of 10 % divergence on human
chromosome 20, of which those with s / L of .25, .45 and .55 were wrong in 78, 1.2 and 0.3 % of the cases. In a
proper pair s and L of the second line are those of both ends together, and s - t is their joint lead: see
`esa.align.pair`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from esa.align.loci import rival

MAX_MAPQ = 60
RATE = 6.6
CAPPED_RATE = 3.0
FLOOR = 20
TIE = 2
SURE_SHARE = 0.7
SURE_POWER = 3


@njit(cache=True, nogil=True)
def mapping_quality(gap, near, score, length, capped):  # type: ignore[no-untyped-def]
    """MAPQ (``int``) of a locus whose score leads the best other one by ``gap`` (see the module's formula).

    ``score`` and ``length``: of the read, or of both reads of a proper pair.
    """
    if gap <= 0:
        return int(-10.0 * math.log10(near / (near + 1.0)) + 0.499) if near > 0 else 0
    quality = RATE * gap
    if near > 1:
        quality -= 10.0 * math.log10(near)
    quality = min(float(MAX_MAPQ), quality) * min(1.0, score / (SURE_SHARE * length)) ** SURE_POWER
    if capped:
        quality = min(quality, CAPPED_RATE * gap)
    return int(max(0.0, quality) + 0.499)


@njit(cache=True, nogil=True)
def rivals(loci, r, chosen):  # type: ignore[no-untyped-def]
    """(Best score of the rivals of the chosen locus of read r, how many lie within `TIE` of it); -1, 0 if none.

    Loci that align another part of the read are no rivals (`esa.align.loci.rival`).
    """
    second = np.int64(-1)
    for k in range(loci.held[r]):
        if rival(loci, r, chosen, k):
            second = max(second, np.int64(loci.score[r, k]))
    near = 0
    for k in range(loci.held[r]):
        if rival(loci, r, chosen, k) and loci.score[r, k] >= second - TIE:
            near += 1
    return second, near
