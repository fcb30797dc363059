"""Mapping quality: an estimate of the probability that an alignment's place is wrong.

MAPQ estimates -10 log10 P(place is wrong), 0 to 60. These enter it:

s is the alignment score of the reported locus, and L the read's length.

t is the score of the best other locus, a *rival* if it exceeds `FLOOR`, which unrelated sequence can reach.

n is the number of other loci within `TIE` of that one.

MAPQ is the smallest of

    s

little evidence is never certain;

    FOUND_RATE * (s - FLOOR)

chance similarity, and a true locus that was not found;

    MISSED_RATE * (s - MISSED_FLOOR)

in its place where a limit was hit, so that loci may have been missed;

    r * (s - t) - OFFSET - 10 log10(n)

with a rival: errors make a read resemble another copy;

    FAMILY_BASE + (s - t) / FAMILY_LEAD

with a rival: a read of a repeat may have a copy that was not found.

If s = t, MAPQ is -10 log10(n / (n + 1)), at most 3: one of n + 1 equals was picked.

The rate r is that of the read's own errors. With e = (L - s) / 5 edits seen, an edit a base is taken to be
(e + 1) / (L + PRIOR_BASES) likely. An edit that turns the base into just the other copy's is a third as likely.

Such an edit moves s - t by 5. r is at most `MAX_RATE`, and the share TRUNCATED_SHARE of it counts if a limit was hit.

In a proper pair s and L are those of both ends together, the leads are those of pairs, and a limit counts only if both
ends hit one. If both did and both ends have equals elsewhere, only the insert size speaks for the pair: MAPQ is at most
`esa.align.pairing.choose.TIED_MAPQ`.

The constants are fitted to single reads of 50 to 250 bases with 0.6 to 10 % divergence, on *C. elegans* chromosome X
and *P. falciparum*. Human chromosome 20 and *M. tuberculosis* were left out; scripts/README.md shows how well the
constants hold. `TIED_MAPQ` alone is from chromosome 20.
"""

from __future__ import annotations

import math

import numpy as np

from esa.align.loci import Loci, rival
from esa.align.scoring import MATCH, MISMATCH
from esa.kernels.arrays import Bool, Int
from esa.kernels.decorator import inline_njit

MAX_MAPQ = 60
FLOOR = 20
"""Score that unrelated sequence can reach."""
TIE = 2
"""Loci whose scores differ by at most this are about equally good."""
# Fitted to the wrong reads of the sets above by their score, lead and limits; no script of the fit was kept. How well
# they hold on other sets: `make bench-accuracy`.
FOUND_RATE = 2.3
"""MAPQ a point of score above `FLOOR`, where no limit was hit."""
MISSED_RATE, MISSED_FLOOR = 1.6, 22
"""The same where one was."""
MAX_RATE = 4.5
"""Most MAPQ a point of lead over a rival: for reads without errors."""
TRUNCATED_SHARE = 0.65
"""Of that, what counts where a limit was hit."""
OFFSET = 5.0
"""MAPQ lost to a rival, however far ahead the read's own locus is."""
FAMILY_BASE, FAMILY_LEAD = 27.5, 4.0
"""Bound with a rival: at no lead, and points of lead that raise it by one."""
PRIOR_BASES = 60
"""Bases that count as seen with an error before the read's own."""
EDIT = MATCH - MISMATCH
"""What a substitution costs."""


@inline_njit
def mapping_quality(lead: Int, above: Int, near: Int, score: Int, length: Int, truncated: Bool) -> Int:
    """MAPQ (``int``) of a locus by the module's formula.

    Args:
        lead: its score less that of the best other locus; any large number where there is none.
        above: its score less `FLOOR`; the other locus is a rival if ``lead`` is smaller.
        near: number of other loci about as good as the best other one.
        score, length: of the read in bases, or of both reads of a proper pair.
        truncated: whether a limit may have left out a locus.
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
        rate = min(MAX_RATE, -10.0 * math.log10(min(1.0, edit_rate / 3)) / EDIT)
        apart = (
            rate * lead * (TRUNCATED_SHARE if truncated else 1.0) - OFFSET - 10.0 * math.log10(max(1, near))
        )
        quality = min(quality, apart, FAMILY_BASE + lead / FAMILY_LEAD)
    return int(max(0.0, quality) + 0.499)


@inline_njit
def rivals(loci: Loci, r: Int, chosen: Int) -> tuple[Int, Int]:
    """(Best score of the rivals of the chosen locus of read r, how many lie within `TIE` of it); -1, 0 if none.

    Loci that align other bases of the read are no rivals (`esa.align.loci.rival`).
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
