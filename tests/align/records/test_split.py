"""`esa.align.records.split`: what segments leave over, which loci become segments, what each should align."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from align_oracles import make_batch, make_candidates

from esa.align.config import AlignConfig, SecondaryConfig, SplitConfig
from esa.align.loci import Loci
from esa.align.pairing.choose import Choice
from esa.align.pairing.mapq import mapping_quality
from esa.align.records.split import SEGMENT_FLOOR, Alignments, Gaps, Segments, nonprimary_alignments
from esa.align.segments import stretches_of
from esa.align.state import MappingState
from esa.io.records import FLAG_SECONDARY, FLAG_SUPPLEMENTARY
from esa.sequence import dna

LEAST = 30
Interval = tuple[int, int]
Scored = tuple[int, ...]
"""Score and query interval of a locus, and its local score, if that is more."""


def loci_of_intervals(reads: Sequence[Sequence[Scored]], room: int = 8) -> Loci:
    """Loci by score and query interval; each read's k-th lies at 1000 k."""
    loci = Loci.empty(len(reads), room)
    for r, entries in enumerate(reads):
        loci.held[r] = len(entries)
        for k, (score, begin, end, *local_score) in enumerate(entries):
            loci.score[r, k], loci.query_begin[r, k], loci.query_end[r, k] = score, begin, end
            loci.local_score[r, k] = max(score, *local_score, 0)
            loci.diagonal[r, k] = loci.start[r, k] = 1000 * k
            loci.end[r, k] = 1000 * k + end - begin
            loci.contig[r, k] = loci.reverse[r, k] = 0
    return loci


def chosen(locus: Sequence[int]) -> Choice:
    choice = Choice.empty(len(locus))
    choice.locus[:] = locus
    return choice


def segments_of(primaries: Sequence[Interval | None], lengths: Sequence[int], **settings: int) -> Segments:
    """Segments of reads whose primary alignments cover these intervals; None: unmapped."""
    loci = loci_of_intervals([[(x[1] - x[0], *x)] if x else [] for x in primaries])
    choice = chosen([0 if x else -1 for x in primaries])
    return Segments(loci, choice, np.array(lengths), SplitConfig(**settings), LEAST)


def intervals(gaps: Gaps) -> list[tuple[int, int, int, int, int]]:
    return list(zip(*(column.tolist() for column in gaps), strict=True))


def test_gaps_are_what_the_primary_leaves_over_with_as_much_of_its_side():
    primaries: list[Interval | None] = [(0, 150), (40, 130), (19, 131), None, (0, 60), (30, 80)]
    segments = segments_of(primaries, [150] * 6, min_bases=20)
    assert intervals(segments.gaps()) == [
        (1, 0, 40, 0, 80),
        (1, 130, 150, 110, 150),
        (4, 60, 150, 0, 150),
        (5, 0, 30, 0, 60),
        (5, 80, 150, 10, 150),
    ]
    # Searched once; nothing new was found.
    assert intervals(segments.gaps()) == []


def test_what_segments_found_leave_over_is_searched_next_and_nothing_twice():
    segments = segments_of([(100, 200)], [300])
    first = segments.gaps()
    assert intervals(first) == [(0, 0, 100, 0, 200), (0, 200, 300, 100, 300)]
    # On the left bases 0 to 50 of the stretch, none on the right.
    segments.add(first, loci_of_intervals([[(50, 0, 50)], []]))
    second = segments.gaps()
    assert intervals(second) == [(0, 50, 100, 0, 150)]
    segments.add(second, loci_of_intervals([[]]))
    assert not len(segments.gaps().read)
    judged = segments.judged()
    assert judged is not None
    assert len(judged) == 1


@pytest.mark.parametrize(
    ("scored", "taken"),
    [
        # The stretch is 0:120 of the read, its bases 60:120 those of the primary.
        ([(60, 0, 60)], True),
        ([(29, 2, 31)], False),
        ([(30, 2, 32)], True),
        # What reaching the end of the read cost does not count; but the segment has 30 bases in any case.
        ([(25, 0, 32, 30)], True),
        ([(25, 0, 34, 29)], False),
        ([(25, 0, 29, 30)], False),
        # Masked from half of the shorter one on.
        ([(60, 30, 90)], False),
        ([(60, 29, 89)], True),
        ([(60, 60, 120)], False),
        # The best that is not masked.
        ([(60, 60, 120), (31, 20, 51)], True),
    ],
)
def test_the_best_locus_that_is_not_masked_becomes_a_segment(scored: list[Scored], taken: bool):
    segments = segments_of([(60, 200)], [200])
    segments.add(segments.gaps(), loci_of_intervals([scored]))
    judged = segments.judged()
    assert (judged is not None) == taken
    if judged is not None:
        assert judged.locus.tolist() == [len(scored) - 1]
        assert judged.flag.tolist() == [FLAG_SUPPLEMENTARY]
        assert (judged.low.tolist(), judged.high.tolist()) == ([0], [120])


def test_segments_are_limited():
    found = loci_of_intervals([[(60, 0, 60)], [(60, 50, 110)], [(55, 0, 55)], [(50, 60, 110)]])
    counts = {}
    for most in (1, 2, 3):
        segments = segments_of([(60, 100), (60, 100)], [160, 160], max_segments=most)
        gaps = segments.gaps()
        assert gaps.low.tolist() == [0, 40, 0, 40]
        segments.add(gaps, found)
        judged = segments.judged()
        counts[most] = [] if judged is None else judged.read.tolist()
    assert counts == {1: [], 2: [0, 1], 3: [0, 0, 1, 1]}


def test_the_segments_of_both_gaps_are_held_against_all_segments_known():
    segments = segments_of([(60, 90)], [150])
    # The stretch of the right gap begins at 30: the first of its loci, 40:90 of the read, lies more than half in
    # the left gap's segment, and all of the primary in it.
    gaps = segments.gaps()
    assert gaps.low.tolist() == [0, 30]
    segments.add(gaps, loci_of_intervals([[(70, 0, 74)], [(40, 10, 60), (44, 55, 99)]]))
    judged = segments.judged()
    assert judged is not None
    assert judged.locus.tolist() == [0, 1]


def test_a_segment_is_judged_by_its_rivals_and_the_bases_of_the_others_are_not_expected_of_it():
    segments = segments_of([(60, 150)], [150])
    # Rivals: the second and third, which align the same bases; the primary's own copy is none.
    segments.add(segments.gaps(), loci_of_intervals([[(80, 60, 120), (58, 0, 62), (50, 0, 55), (49, 5, 55)]]))
    judged = segments.judged()
    assert judged is not None
    assert judged.locus.tolist() == [1]
    assert judged.second.tolist() == [50]
    assert judged.mapq.tolist() == [mapping_quality(58 - 50, 58 - SEGMENT_FLOOR, 2, 58, 62, 0)]
    # The primary shares two bases with it.
    assert segments.expected().tolist() == [90]
    alone = segments_of([(60, 150)], [150])
    alone.add(alone.gaps(), loci_of_intervals([[(58, 0, 62)]]))
    judged = alone.judged()
    assert judged is not None
    assert judged.mapq.tolist() == [mapping_quality(59, 58 - SEGMENT_FLOOR, 0, 58, 62, 0)]
    assert judged.second.tolist() == [-1]


def test_expected_bases_are_counted_one_by_one():
    rng = np.random.default_rng(1)
    for _ in range(200):
        n = int(rng.integers(60, 200))
        begin, end = sorted(rng.integers(0, n + 1, 2).tolist())
        segments = segments_of([(begin, end)], [n], min_bases=1, max_segments=5)
        covered = [(begin, end)]
        for _ in range(2):
            gaps = segments.gaps()
            found = []
            for low, high in zip(gaps.low.tolist(), gaps.high.tolist(), strict=True):
                first, last = sorted(rng.integers(0, high - low + 1, 2).tolist())
                found.append([(LEAST, first, last)])
            segments.add(gaps, loci_of_intervals(found))
        judged = segments.judged()
        if judged is None:
            assert segments.expected().tolist() == [n]
            continue
        for i in range(len(judged)):
            k = judged.locus[i]
            low = int(judged.low[i])
            covered.append((low + int(judged.loci.query_begin[i, k]), low + int(judged.loci.query_end[i, k])))
        others = {base for x in covered[1:] for base in range(*x)} - set(range(begin, end))
        assert segments.expected().tolist() == [n - len(others)]


def test_bases_left_over_are_padded_with_n_and_their_candidates_moved_to_the_stretches():
    rng = np.random.default_rng(2)
    reads = [rng.integers(0, 4, n).astype(np.uint8) for n in (150, 90, 200)]
    segments = segments_of([(0, 150), (0, 60), (50, 150)], [150, 90, 200])
    gaps, batch = segments.gaps(), make_batch(reads)
    assert gaps.read.tolist() == [1, 2, 2]
    padding = 7
    state = MappingState.unsearched(batch, np.arange(3, dtype=np.uint64), 4)
    stretches = stretches_of(state, gaps, padding)
    assert stretches.expected.tolist() == (gaps.end - gaps.begin).tolist()
    for g in range(3):
        read = reads[gaps.read[g]]
        bare = stretches.padded.sequence(g)
        assert (bare[:padding] == dna.N).all()
        assert (bare[-padding:] == dna.N).all()
        np.testing.assert_array_equal(bare[padding:-padding], read[gaps.begin[g] : gaps.end[g]])
        np.testing.assert_array_equal(stretches.batch.sequence(g), read[gaps.low[g] : gaps.high[g]])
    # The first base left over lies at 5000, on either strand.
    rows = [[(5000 - padding, reverse, 0) for reverse in (0, 1)] for _ in range(3)]
    moved = stretches.on_stretches(make_candidates(rows), padding)
    for g in range(3):
        before, after = gaps.begin[g] - gaps.low[g], gaps.high[g] - gaps.end[g]
        assert moved.diagonal[2 * g : 2 * g + 2].tolist() == [5000 - before, 5000 - after]


def ranks(alignments: Alignments) -> list[int]:
    """Which locus of its read each alignment is, by its place (`loci_of_intervals`)."""
    rows = np.arange(len(alignments))
    ranked: list[int] = (alignments.loci.start[rows, alignments.locus] // 1000).tolist()
    return ranked


def reporting(secondary: SecondaryConfig, min_score: int = 30) -> AlignConfig:
    return AlignConfig(levels=(), secondary=secondary, min_score=min_score)


ONE_READ = [[(90, 0, 100), (85, 0, 100), (75, 2, 98), (73, 0, 90), (70, 0, 100), (45, 100, 145)]]


@pytest.mark.parametrize(
    ("config", "reported"),
    [
        (SecondaryConfig(0), []),
        (SecondaryConfig(1), [1]),
        (SecondaryConfig(7), [1, 2, 3]),
        (SecondaryConfig(7, min_share=0), [1, 2, 3, 4]),
        (SecondaryConfig(2, min_share=0), [1, 2]),
        (SecondaryConfig(3, all_or_none=True), [1, 2, 3]),
        (SecondaryConfig(2, all_or_none=True), []),
    ],
)
def test_secondary_alignments_are_the_best_rivals(config: SecondaryConfig, reported: list[int]):
    loci = loci_of_intervals([[], *ONE_READ])
    nonprimary = nonprimary_alignments(loci, chosen([-1, 0]), np.array([50, 145]), None, reporting(config))
    if not reported:
        assert nonprimary is None
        return
    assert nonprimary is not None
    assert nonprimary.read.tolist() == [1] * len(reported)
    assert ranks(nonprimary) == reported
    assert set(nonprimary.flag.tolist()) == {FLAG_SECONDARY}
    assert not nonprimary.mapq.any()
    assert (nonprimary.second == -1).all()


def test_what_scores_too_little_is_no_secondary_alignment():
    """Loci that count in a proper pair only."""
    loci = loci_of_intervals(ONE_READ)
    config = SecondaryConfig(7, min_share=0)
    nonprimary = nonprimary_alignments(loci, chosen([0]), np.array([145]), None, reporting(config, 73))
    assert nonprimary is not None
    assert ranks(nonprimary) == [1, 2, 3]


def test_each_segment_is_followed_by_its_own_secondary_alignments_within_one_limit():
    loci = loci_of_intervals([[(90, 60, 150), (89, 60, 150)]])
    segments = Segments(loci, chosen([0]), np.array([150]), SplitConfig(), LEAST)
    segments.add(segments.gaps(), loci_of_intervals([[(60, 0, 60), (58, 0, 60), (57, 0, 58)]]))
    judged = segments.judged()
    kinds = {}
    for most in (1, 2, 9):
        nonprimary = nonprimary_alignments(
            loci, chosen([0]), np.array([150]), judged, reporting(SecondaryConfig(most))
        )
        assert nonprimary is not None
        kinds[most] = list(zip(nonprimary.flag.tolist(), ranks(nonprimary), strict=True))
    second, segment = FLAG_SECONDARY, FLAG_SUPPLEMENTARY
    assert kinds == {
        1: [(second, 1), (segment, 0)],
        2: [(second, 1), (segment, 0), (second, 1)],
        9: [(second, 1), (segment, 0), (second, 1), (second, 2)],
    }
    # For XA each segment has a limit of its own.
    alone = SecondaryConfig(1, all_or_none=True)
    nonprimary = nonprimary_alignments(loci, chosen([0]), np.array([150]), judged, reporting(alone))
    assert nonprimary is not None
    assert list(zip(nonprimary.flag.tolist(), ranks(nonprimary), strict=True)) == [
        (second, 1),
        (segment, 0),
    ]


def test_an_alignment_that_two_candidates_lead_to_is_reported_once():
    """Their diagonals differ, so they are two loci."""
    loci = loci_of_intervals([[(90, 0, 100), (80, 0, 100), (80, 0, 100), (79, 0, 100), (79, 0, 100)]])
    loci.start[0], loci.end[0] = 1000 * loci.diagonal[0], 1000 * loci.diagonal[0] + 100
    for field in (loci.start, loci.end):
        field[0, 2] = field[0, 1]
        field[0, 4] = field[0, 0]  # the primary alignment
    wanted = reporting(SecondaryConfig(7, min_share=0))
    nonprimary = nonprimary_alignments(loci, chosen([0]), np.array([100]), None, wanted)
    assert nonprimary is not None
    assert nonprimary.loci.start[:, 0].tolist() == loci.start[0, [1, 3]].tolist()
    # On the other strand, or with other bases of the read, it is another one.
    loci.reverse[0, 2] = 1
    loci.query_begin[0, 4] = 1
    nonprimary = nonprimary_alignments(loci, chosen([0]), np.array([100]), None, wanted)
    assert nonprimary is not None
    assert len(nonprimary) == 4
