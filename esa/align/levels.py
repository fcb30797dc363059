"""The escalation: levels of search, cheapest first, and when a read stops at one."""

from __future__ import annotations

from typing import NamedTuple

from esa.align.scoring import MAX_READ_LENGTH
from esa.stores.base import MAX_SCANNED, REPEAT_BUCKET, SATELLITE_BUCKET, SearchEffort

Resolved = tuple[tuple[int, int], ...]
"""(Fragments, share) pairs: a read of which so many fragments were searched without a limit being hit is resolved when
its best score reaches this share (per cent) of its length; linear between, constant beyond."""


class Sample(NamedTuple):
    """A first look with some of a read's fragments.

    fragments: so many of a read, spread over it.
    settled: a read with one candidate, whose score is this share (per cent) of its length at least, is not looked at
        again. (With so many fragments less would do to tell that nothing better was overlooked, see
        `Level.resolved`; that it is the only one tells that there is no near copy.)
    searched: fragments of it, at least, that were searched without a limit being hit.
    """

    fragments: int = 8
    searched: int = 6
    settled: int = 90


class Level(NamedTuple):
    """One step of the escalation; a read stops at the first level that resolves it.

    name: for statistics.
    effort: how far the store is searched.
    stride: 0: fragments at the fragmenter's places; s: sliding query fragments at every s-th offset.
    resolved: which reads stop here.
    longest: longer reads are not searched at this level, bases.
    overhang: fragments may reach beyond the read by up to half their length; what codes they would have is guessed
        from the bases that are there, by many probes. Only with fragments at the fragmenter's own places.
    sample: reads with more fragments are looked at with some of them only; the next level has the same fragments.
    repeats_below: only reads of which a limit hid something are searched: those that no level has resolved, and those
    that
        do not reach these shares, if a level before has resolved them, too; of a pair both ends, if either is.
    truncated_count: Heuristic: fragments of which a limit hid something count as searched here, too: mostly they lie
    in a
        satellite, and so do those of later levels.
    """

    name: str
    effort: SearchEffort
    stride: int
    resolved: Resolved
    longest: int = MAX_READ_LENGTH
    overhang: bool = False
    sample: Sample | None = None
    repeats_below: Resolved | None = None
    truncated_count: bool = False


NEVER = ((0, 0),)
"""`Level.resolved` of a level after which nothing more is asked: a last one, or one with a sample."""

TWO_EDITS_LONGEST = 53
"""Reads of more bases nearly always have some fragment with one edit at most."""

REPEATS_LONGEST = 10_000
"""Longer reads reach beyond most repeats, and would have millions of hits in those."""

_MINIMIZERS = SearchEffort(192, probes=1, radius=12, max_bucket=REPEAT_BUCKET)

_REPEATS = SearchEffort(SATELLITE_BUCKET // 4, probes=1, radius=12, max_bucket=SATELLITE_BUCKET // 4)
"""All hits of a bucket: those that several fragments share tell the copies apart. Larger buckets hold so many equal
places that to see some of them tells no more than to know that they are there."""

_BY_MINIMIZERS = ((0, 101), (1, 100), (2, 92), (5, 88), (8, 82), (14, 72), (26, 60), (55, 45))

ANCHORED_LEVELS = (
    Level("sampled minimizers", _MINIMIZERS, stride=0, resolved=NEVER, sample=Sample()),
    Level("minimizers", _MINIMIZERS, stride=0, resolved=_BY_MINIMIZERS),
    Level(
        "repeats",
        _REPEATS,
        stride=0,
        resolved=_BY_MINIMIZERS,
        longest=REPEATS_LONGEST,
        repeats_below=((4, 100), (5, 88)),
    ),
    Level(
        "edited minimizers",
        SearchEffort(
            1024,
            radius=18,
            max_bucket=SATELLITE_BUCKET,
            max_edited=4096,
            max_scanned=SATELLITE_BUCKET,
            edits=1,
        ),
        stride=0,
        resolved=((0, 101), (1, 96), (2, 88), (5, 75), (8, 66), (14, 55), (26, 42), (55, 30)),
        truncated_count=True,
    ),
    Level(
        "overhang",
        SearchEffort(
            256,
            probes=128,
            radius=18,
            max_bucket=SATELLITE_BUCKET,
            max_edited=SATELLITE_BUCKET,
            max_scanned=MAX_SCANNED,
        ),
        stride=0,
        resolved=((0, 101), (1, 96), (2, 80), (5, 68), (8, 60), (14, 50), (26, 40), (55, 30)),
        overhang=True,
    ),
    Level(
        "sliding",
        SearchEffort(64, radius=18, max_bucket=SATELLITE_BUCKET, max_edited=512, edits=1),
        stride=1,
        resolved=((0, 70),),
    ),
    Level(
        "two edits",
        SearchEffort(64, radius=22, max_bucket=SATELLITE_BUCKET, max_edited=256, edits=2),
        stride=1,
        resolved=NEVER,
        longest=TWO_EDITS_LONGEST,
    ),
)
"""Escalation of preset `anchored`. Reads that lie in a repeat alone are left to the second level. What each level is
asked, costs and finds: `scripts/bench_levels.py`.

The more fragments of a read were searched, the less likely it is that all those of its true locus were missed: so
much the lower may a score be and still tell that nothing better was overlooked. The shares are about where the next
level finds a better locus for one read in 500.

A read of a satellite whose fragments all lie in repeat buckets but for those with an error finds the copies that
happen to have the same there, not its own: so reads with few fragments outside repeat buckets look into these, too,
unless they are perfect.
"""

DENSE_LEVELS = (
    Level("nearest", SearchEffort(max_hits=16), stride=0, resolved=((0, 75),)),
    Level("farther", SearchEffort(max_hits=64, probes=4), stride=0, resolved=NEVER),
)
"""Escalation of the dense presets."""
