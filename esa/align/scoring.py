"""The score of an alignment, and what bounds a read: constants that every stage shares."""

from __future__ import annotations

MATCH = 1

MISMATCH = -4

AMBIGUOUS = -1
"""Score of a pair with an N in it."""

GAP_OPEN = 6

GAP_EXTEND = 1
"""A gap of k bases costs ``GAP_OPEN + k * GAP_EXTEND``."""

END_BONUS = 5
"""An end is clipped only if that gains more than this; never part of a reported score."""

MASKED_SHARE = 50
"""Two alignments of a read are rivals for the same bases if they share this part (per cent) of the shorter one
(bwa mem's mask level); else they are parts of a chimeric read, or may be."""

MAX_READ_LENGTH = 100_000
"""Longer reads are written unmapped: their traceback would take over 100 MB a thread."""
