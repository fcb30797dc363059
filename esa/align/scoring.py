"""The score of an alignment, and the limits of a read: constants that every level shares."""

from __future__ import annotations

MATCH = 1

MISMATCH = -4

AMBIGUOUS = -1
"""Score of a pair with an N in it."""

GAP_OPEN = 6

GAP_EXTEND = 1
"""A gap of k bases costs ``GAP_OPEN + k * GAP_EXTEND``."""

END_BONUS = 5
"""Bonus for each read end that an alignment reaches: an end is clipped only if that gains more than this.

The bonus is never part of a reported score.
"""

MASKED_SHARE = 50
"""Overlap, in per cent of the shorter alignment, from which two alignments of a read are rivals for the same bases.

As bwa mem's mask level. Two alignments that share less may be segments of a chimeric read.
"""

MAX_READ_LENGTH = 100_000
"""Longer reads are written unmapped: their traceback would take over 100 MB a thread."""
