"""The ladders of `esa align`: the levels of each preset, cheapest first, with every number that was fitted.

The more fragments of a read were searched, the less likely it is that all those of its true locus were missed. So a
lower score is enough to show that nothing better was overlooked. The shares of ``resolved`` are about where the next
level finds a better locus for one read in 500.

The numbers were fitted with `make bench-levels`, which prints what each level is asked, costs and finds. They were
fitted on reads of human chromosome 20 (others than those of the results), *C. elegans* chromosome X, *P. falciparum*
and *E. coli* DSM 30083.
"""

from __future__ import annotations

from esa.align.levels import ANY_SCORE, Edits, Level, Overhang, Repeats, SampledMinimizers, Sliding
from esa.align.state import Resolved
from esa.stores.base import MAX_SCANNED, REPEAT_BUCKET, SATELLITE_BUCKET, SearchEffort

SAMPLED = 8
"""Fragments of the first look. This number and the next two were set by hand: `make bench-levels` prints how many reads
they settle, `make bench-accuracy` what is right of them."""
SAMPLED_SEARCHED = 6
"""Of them, those that must be searched without a limit being hit: two may lie in repeats."""
SAMPLED_SETTLED = 90
"""Share (per cent) of a read's length that a single candidate of the first look must score. A mismatch costs five
bases, so these are reads within some 2 % of the reference."""
MINIMIZER_HITS = 192
"""Hits of a fragment in its own bucket: more than `REPEAT_BUCKET`, so that none of such a bucket is left out."""
MINIMIZER_RADIUS = 12
"""Hamming distance of 64 bits within which a code in the own bucket is a hit: unrelated codes differ in some 32."""
EDIT_RADIUS = 18
"""The same where keys of edits are looked up: the fragment has an error more."""
TWO_EDITS_RADIUS = 22
"""The same for two edits."""

REPEAT_HITS = SATELLITE_BUCKET // 4
"""Size of the largest bucket whose hits are all taken at the repeats level: what several fragments share tells copies
apart. Larger buckets hold so many equal places that to see some of them shows no more than that they are there."""
REPEATS_LONGEST = 10_000
"""Longer reads reach beyond most repeats, and would have millions of hits in those, bases."""
REPEATS_BELOW: Resolved = ((4, 100), (5, 88))
"""The fragments of a read of a satellite may all lie in repeat buckets, except those with an error. It then finds the
copies that happen to have the same error, not its own. So reads with few fragments outside of these buckets look into
them, too, unless they are perfect."""

EDITED_HITS = 1024
"""Hits of a fragment over the buckets of all its edits."""
EDITED_BUCKET = 4096
"""Codes of the largest bucket that an edit may lead to."""
OVERHANG_HITS = 256
"""Hits of a fragment that overhangs: its own are among many, since its code is uncertain."""
OVERHANG_PROBES = 128
"""Probes of a fragment that hangs over the read's end: it covers seven uncertain bits of a key."""
SLIDING_HITS = 64
"""Hits of a sliding fragment: they are many, and only those that lie on a minimizer of the reference have any."""
SLIDING_BUCKET = 512
"""Codes of the largest bucket that an edit of a sliding fragment may lead to: sliding fragments are many."""
TWO_EDITS_BUCKET = 256
"""The same for two edits, which lead to many more buckets."""
TWO_EDITS_LONGEST = 53
"""Reads of more bases nearly always have some fragment with one edit at most."""

NEAREST_HITS = 16
"""Nearest vectors of a window: most windows have their true place among the first few."""
FARTHER_HITS = 64
"""The same for reads that these leave over, of high divergence."""
FARTHER_PROBES = 4
"""For these reads the shortlist of a large store is so many times as long."""

_MINIMIZERS = SearchEffort(MINIMIZER_HITS, probes=1, radius=MINIMIZER_RADIUS, max_bucket=REPEAT_BUCKET)
_BY_MINIMIZERS: Resolved = ((0, 101), (1, 100), (2, 92), (5, 88), (8, 82), (14, 72), (26, 60), (55, 45))
_BY_EDITS: Resolved = ((0, 101), (1, 96), (2, 88), (5, 75), (8, 66), (14, 55), (26, 42), (55, 30))
_BY_OVERHANG: Resolved = ((0, 101), (1, 96), (2, 80), (5, 68), (8, 60), (14, 50), (26, 40), (55, 30))
_BY_SLIDING: Resolved = ((0, 70),)
_BY_NEAREST: Resolved = ((0, 75),)
# Shares of `Level.resolved`. Those of minimizers, edits and overhang are fitted (see above). With no fragment searched
# no score resolves a read (101 %).

ANCHORED: tuple[Level, ...] = (
    SampledMinimizers(
        "sampled minimizers", _MINIMIZERS, ANY_SCORE,
        fragments=SAMPLED, min_searched=SAMPLED_SEARCHED, settled=SAMPLED_SETTLED,
    ),
    Level("minimizers", _MINIMIZERS, _BY_MINIMIZERS),
    Repeats(
        "repeats",
        SearchEffort(REPEAT_HITS, probes=1, radius=MINIMIZER_RADIUS, max_bucket=REPEAT_HITS),
        _BY_MINIMIZERS,
        longest=REPEATS_LONGEST,
        below=REPEATS_BELOW,
    ),
    Edits(
        "edited minimizers",
        SearchEffort(
            EDITED_HITS, radius=EDIT_RADIUS, max_bucket=SATELLITE_BUCKET, max_edited=EDITED_BUCKET,
            max_scanned=SATELLITE_BUCKET, edits=1,
        ),
        _BY_EDITS,
    ),
    Overhang(
        "overhang",
        SearchEffort(
            OVERHANG_HITS, probes=OVERHANG_PROBES, radius=EDIT_RADIUS, max_bucket=SATELLITE_BUCKET,
            max_edited=SATELLITE_BUCKET, max_scanned=MAX_SCANNED,
        ),
        _BY_OVERHANG,
    ),
    Sliding(
        "sliding",
        SearchEffort(
            SLIDING_HITS, radius=EDIT_RADIUS, max_bucket=SATELLITE_BUCKET, max_edited=SLIDING_BUCKET, edits=1
        ),
        _BY_SLIDING,
    ),
    Sliding(
        "two edits",
        SearchEffort(
            SLIDING_HITS, radius=TWO_EDITS_RADIUS, max_bucket=SATELLITE_BUCKET, max_edited=TWO_EDITS_BUCKET, edits=2
        ),
        ANY_SCORE,
        longest=TWO_EDITS_LONGEST,
    ),
)  # fmt: skip
"""Escalation of preset `anchored`. Reads that lie in a repeat alone are left to `repeats`."""

DENSE: tuple[Level, ...] = (
    Level("nearest", SearchEffort(NEAREST_HITS), _BY_NEAREST),
    Level("farther", SearchEffort(FARTHER_HITS, probes=FARTHER_PROBES), ANY_SCORE),
)
"""Escalation of the dense presets. Its numbers were set by hand; `make bench-dense` prints the recall by hits."""
