"""Mapping quality: how sure an alignment's place is.

MAPQ is an estimate of -10 log10 P(place is wrong), 0 to 60. With s the alignment score of the reported locus, L the
read's length, t the score of the best other locus (a *rival* if it exceeds `FLOOR`, which unrelated sequence can
reach) and n the number of other loci within `TIE` of that one, it is the least of

    s                                             little evidence is never sure
    FOUND_RATE * (s - FLOOR)                      chance similarity, and a true locus that was not found
    MISSED_RATE * (s - MISSED_FLOOR)              the same, if a limit was hit: loci may have been missed
    r * (s - t) - OFFSET - 10 log10(n)            with a rival: errors make a read resemble another copy
    FAMILY_BASE + (s - t) / FAMILY_LEAD           with a rival: a read of a repeat may have a copy not found

and -10 log10(n / (n + 1)), at most 3, if s = t: one of n + 1 equals was picked. The rate r is that of the read's own
errors: with e = (L - s) / 5 edits seen, an edit a base is taken to be (e + 1) / (L + PRIOR_BASES) likely, one that
turns the base into just the other copy's a third of that, and it moves s - t by 5; r is at most `MOST_RATE`, and
TRUNCATED_SHARE of it counts if a limit was hit. In a proper pair s and L are those of both ends together, the leads are
those of pairs, a limit counts only if both ends hit one, and MAPQ is at most `esa.align.pairing.choose.TIED_MAPQ` if
one was hit and both ends have equals elsewhere, so that the insert size alone speaks.

The constants are fitted to single reads of 50 to 250 bases, 0.6 to 10 % divergence, on *C. elegans* chromosome X and
*P. falciparum*, not on human chromosome 20 or *M. tuberculosis*, where the README shows how well they hold; `TIED_MAPQ`
alone is from chromosome 20.
"""

from __future__ import annotations

import math

import numpy as np

from esa.align.loci import rival
from esa.align.scoring import MATCH, MISMATCH
from esa.kernels.decorator import inline_njit

MAX_MAPQ = 60
FLOOR = 20
TIE = 2
FOUND_RATE = 2.3
MISSED_RATE, MISSED_FLOOR = 1.6, 22
MOST_RATE = 4.5
TRUNCATED_SHARE = 0.65
OFFSET = 5.0
FAMILY_BASE, FAMILY_LEAD = 27.5, 4.0
PRIOR_BASES = 60
EDIT = MATCH - MISMATCH
"""What a substitution costs."""


@inline_njit
def mapping_quality(lead, above, near, score, length, truncated):  # type: ignore[no-untyped-def]
    """MAPQ (``int``) of a locus by the module's formula.

    Args:
        lead: of its score over that of the best other locus; any large number where there is none.
        above: its score less that of chance; a rival is what leaves a smaller lead.
        near: other loci about as good as the best other one.
        score, length: of the read, or of both reads of a proper pair.
        truncated: whether a limit may have hidden a locus.
    """
    if lead <= 0:
        return int(-10.0 * math.log10(near / (near + 1.0)) + 0.499) if near > 0 else 0
    quality = min(float(MAX_MAPQ), float(score))
    if truncated:
        quality = min(quality, MISSED_RATE * (above - (MISSED_FLOOR - FLOOR)))
    else:
        quality = min(quality, FOUND_RATE * above)
    if lead < above:
        edit_rate = ((length - score) / EDIT + 1) / (length + PRIOR_BASES)
        rate = min(MOST_RATE, -10.0 * math.log10(min(1.0, edit_rate / 3)) / EDIT)
        apart = (
            rate * lead * (TRUNCATED_SHARE if truncated else 1.0) - OFFSET - 10.0 * math.log10(max(1, near))
        )
        quality = min(quality, apart, FAMILY_BASE + lead / FAMILY_LEAD)
    return int(max(0.0, quality) + 0.499)


@inline_njit
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
