"""`esa.align.pairing.choose`: how pairs lie, what is learnt of it, the joint choice and the rescue of mates."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from align_oracles import (
    Codes,
    Locus,
    loci_of,
    make_batch,
    make_genome,
    make_loci,
    mutate,
    reference_of,
)

from esa.align.config import AlignConfig, PairConfig
from esa.align.inserts import ASSUMED, FF, FR, ORIENTATIONS, RF, RR, InsertSizes, learn_insert_sizes
from esa.align.loci import Loci, Reads
from esa.align.pairing.choose import (
    LEARNT_MAX,
    TIED_MAPQ,
    Choice,
    choose_pairs,
    choose_single,
    pair_geometry,
    sample_sizes,
)
from esa.align.pairing.mapq import FLOOR, TIE, mapping_quality
from esa.align.pairing.rescue import rescue
from esa.sequence import dna
from esa.sequence.genome import Genome

CONFIG = PairConfig()
ALIGN = AlignConfig(levels=())
LONE = 1 << 32
"""Lead of a locus that has no other beside it."""


def place(diagonal: int, reverse: int, length: int, score: int = 90, contig: int = 0) -> Locus:
    return Locus(score, diagonal, reverse, contig, diagonal, diagonal + length)


def lie(first: Locus, second: Locus, lengths: Sequence[int]) -> tuple[int, int]:
    return pair_geometry(make_loci([[first], [second]]), 0, 0, 0, np.array(lengths))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # 100 bases each; the 5' end of a reverse read is its right end.
        ((1000, 0), (1200, 1), (FR, 300)),
        ((1200, 1), (1000, 0), (FR, 300)),
        ((1000, 1), (1200, 0), (RF, 100)),
        ((1200, 0), (1000, 1), (RF, 100)),
        ((1000, 0), (1200, 0), (FF, 200)),
        ((1200, 1), (1000, 1), (FF, 200)),
        ((1200, 0), (1000, 0), (RR, 200)),
        ((1000, 1), (1200, 1), (RR, 200)),
        # One inside the other: dovetailed ends that pass each other are RF.
        ((1000, 0), (1000, 1), (FR, 100)),
        ((1050, 0), (940, 1), (RF, 10)),
    ],
)
def test_orientation_and_size(first: tuple[int, int], second: tuple[int, int], expected: tuple[int, int]):
    assert lie(place(*first, 100), place(*second, 100), (100, 100)) == expected


def test_orientation_is_the_same_seen_from_the_other_strand():
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(300):
        lengths = rng.integers(30, 200, 2).tolist()
        ends = [(int(rng.integers(500, 1500)), int(rng.integers(2))) for _ in range(2)]
        here = lie(*(place(d, s, n) for (d, s), n in zip(ends, lengths, strict=True)), lengths)
        mirrored = [(5000 - d - n, 1 - s) for (d, s), n in zip(ends, lengths, strict=True)]
        assert here == lie(*(place(d, s, n) for (d, s), n in zip(mirrored, lengths, strict=True)), lengths)
        # First and second exchanged: FF and RR change places, FR and RF stay.
        swapped = lie(
            *(place(d, s, n) for (d, s), n in zip(ends[::-1], lengths[::-1], strict=True)), lengths[::-1]
        )
        if here[1]:
            assert swapped == ({FF: RR, RR: FF}.get(here[0], here[0]), here[1])
        seen.add(here[0])
    assert seen == {FF, FR, RF, RR}


@pytest.mark.parametrize("orientation", range(4))
def test_insert_sizes_are_learnt_in_spite_of_outliers(orientation: int):
    rng = np.random.default_rng(orientation)
    sizes = np.rint(rng.normal(400, 50, 5000)).astype(np.int64)
    chimeras = rng.integers(0, 1_000_000, 300)
    others = np.column_stack([rng.integers(0, 4, 600), rng.integers(0, 5000, 600)])
    sample = np.concatenate([np.column_stack([np.full(5300, orientation), [*sizes, *chimeras]]), others])
    learnt = learn_insert_sizes(rng.permutation(sample), CONFIG)
    assert learnt.orientation == orientation
    assert learnt.mean == pytest.approx(400, abs=5)
    assert learnt.deviation == pytest.approx(50, rel=0.1)
    assert learnt.low <= 400 - 3.5 * 50
    assert learnt.high >= 400 + 3.5 * 50
    assert 0 <= learnt.low < learnt.high < 1000
    assert learnt.pairs == np.count_nonzero(sample[:, 0] == orientation)


def test_insert_sizes_do_not_depend_on_the_order_of_the_sample():
    rng = np.random.default_rng(5)
    sample = np.column_stack([rng.integers(0, 2, 400), rng.integers(100, 500, 400)])
    assert learn_insert_sizes(sample, CONFIG) == learn_insert_sizes(sample[::-1].copy(), CONFIG)


def test_insert_sizes_of_too_few_pairs_are_assumed():
    few = np.column_stack([np.full(CONFIG.min_sample - 1, RF), np.full(CONFIG.min_sample - 1, 300)])
    assert learn_insert_sizes(few, CONFIG) == ASSUMED
    assert learn_insert_sizes(np.empty((0, 2), np.int64), CONFIG) == ASSUMED
    enough = np.column_stack([np.full(CONFIG.min_sample, RF), np.full(CONFIG.min_sample, 300)])
    learnt = learn_insert_sizes(enough, CONFIG)
    assert (learnt.orientation, learnt.mean, learnt.pairs) == (RF, 300, CONFIG.min_sample)
    assert learnt.deviation > 0
    assert learnt.low <= 300 <= learnt.high


def test_penalties_grow_with_the_distance_from_the_mean():
    sizes = InsertSizes(FR, 100, 700, 400.0, 50.0, 1000)
    penalties = sizes.penalties
    assert len(penalties) == 601
    assert penalties[300] == 0
    assert np.all(penalties >= 0)
    assert np.all(np.diff(penalties[300:]) >= 0)
    assert penalties[300 + 200] > penalties[300 + 100] > 0
    np.testing.assert_array_equal(penalties, penalties[::-1])
    assert not ASSUMED.penalties.any()
    assert len(ASSUMED.penalties) == ASSUMED.high - ASSUMED.low + 1


def test_only_pairs_of_unique_ends_on_one_contig_are_sampled():
    good, mate = place(1000, 0, 100), place(1200, 1, 100)
    rival = place(5000, 0, 100, score=88)
    reads = [
        [good], [mate],
        [good, rival], [mate],
        [good], [mate, rival],
        [good], [],
        [good], [place(1200, 1, 100, contig=1)],
        [place(1000, 0, 100, score=FLOOR + 1)], [mate],
        [mate], [place(900, 0, 100)],
    ]  # fmt: skip
    lengths = np.full(len(reads), 100)
    sample = sample_sizes(make_loci(reads), lengths, len(reads) // 2)
    assert sample.tolist() == [[FR, 300], [FR, 400]]
    # Only the first pairs are looked at.
    assert sample_sizes(make_loci(reads), lengths, 3).tolist() == [[FR, 300]]


def test_ends_that_lie_far_apart_do_not_are_sampled():
    near, far = place(1000 + LEARNT_MAX - 100, 1, 100), place(1001 + LEARNT_MAX - 100, 1, 100)
    reads = [[place(1000, 0, 100)], [far], [place(1000, 0, 100)], [near]]
    assert sample_sizes(make_loci(reads), np.full(4, 100), 2).tolist() == [[FR, LEARNT_MAX]]


def choose(loci: Loci, lengths: Sequence[int], inserts: InsertSizes) -> Choice:
    choice = Choice.empty(len(lengths))
    choose_pairs(loci, np.array(lengths), inserts, ALIGN, choice)
    return choice


def random_loci(rng: np.random.Generator, lengths: Sequence[int]) -> list[list[Locus]]:
    """Loci of a few pairs, many of which lie properly or tie."""
    reads = []
    for n in lengths:
        entries = [
            place(
                int(rng.choice([1000, 1250, 1300, 2000, 2280, 9000])) + int(rng.integers(3)),
                int(rng.integers(2)),
                n,
                int(rng.integers(30, 60)),
                int(rng.integers(2)),
            )
            for _ in range(int(rng.integers(0, 6)))
        ]
        reads.append(sorted(entries, key=lambda x: -x.score))
    return reads


@pytest.mark.parametrize("orientation", range(4))
def test_the_best_pair_of_loci_is_chosen(orientation: int):
    rng = np.random.default_rng(orientation)
    inserts = InsertSizes(orientation, 150, 450, 300.0, 40.0, 1000)
    penalties = inserts.penalties
    lengths = rng.integers(60, 120, 600).tolist()
    reads = random_loci(rng, lengths)
    choice = choose(make_loci(reads), lengths, inserts)
    proper_pairs = improper = 0
    for r in range(0, len(reads), 2):
        first, second = reads[r], reads[r + 1]
        if not first or not second:
            assert not choice.proper[r]
            assert not choice.proper[r + 1]
            for mine in (r, r + 1):
                assert choice.locus[mine] == (0 if reads[mine] else -1)
            continue
        joint = np.zeros((len(first), len(second)), np.int64)
        proper = np.zeros(joint.shape, bool)
        for (j, a), (k, b) in itertools.product(enumerate(first), enumerate(second)):
            way, size = lie(a, b, lengths[r : r + 2])
            proper[j, k] = a.contig == b.contig and way == orientation and 150 <= size <= 450
            lost = (
                min(penalties[size - 150], CONFIG.unpaired_penalty)
                if proper[j, k]
                else CONFIG.unpaired_penalty
            )
            joint[j, k] = a.score + b.score - lost
        at = int(choice.locus[r]), int(choice.locus[r + 1])
        assert joint[at] == joint.max()
        assert at == np.unravel_index(joint.argmax(), joint.shape)
        assert choice.proper[r] == choice.proper[r + 1] == proper[at]
        proper_pairs += proper[at]
        improper += not proper[at]
        for end in range(2):
            mine = r + end
            others = np.delete(joint.max(axis=1 - end), at[end])
            best_other = others.max(initial=-1)
            near = int(np.count_nonzero(others >= best_other - TIE))
            score, length = reads[mine][at[end]].score, lengths[mine]
            mate_score = reads[r + 1 - end][at[1 - end]].score
            floor = FLOOR + (joint[at] - score) - CONFIG.unpaired_penalty
            if proper[at]:
                score, length = score + mate_score, sum(lengths[r : r + 2])
            lead = joint[at] - best_other if len(others) else LONE
            assert choice.mapq[mine] == mapping_quality(lead, joint[at] - floor, near, score, length, 0)
            own = [x.score for i, x in enumerate(reads[mine]) if i != at[end]]
            assert choice.second[mine] == max(own, default=-1)
    assert proper_pairs > 10
    assert improper > 20


def test_a_mate_decides_between_equal_copies():
    copies = [place(at, 0, 100, 100) for at in (1000, 50_000, 90_000)]
    mate = place(50_200, 1, 100, 100)
    inserts = InsertSizes(FR, 200, 400, 300.0, 20.0, 1000)
    for order in itertools.permutations(copies):
        choice = choose(make_loci([list(order), [mate]]), [100, 100], inserts)
        assert order[choice.locus[0]].diagonal == 50_000
        assert choice.proper.tolist() == [1, 1]
        assert choice.second[0] == 100
        assert choice.mapq[0] >= 30


def test_what_scores_too_little_to_stand_alone_is_reported_in_a_proper_pair_only():
    inserts = InsertSizes(FR, 200, 400, 300.0, 20.0, 1000)
    good, weak = place(1000, 0, 100), place(1200, 1, 100, ALIGN.min_score - 1)
    for reads, locus in (
        ([[good], [weak]], [0, 0]),
        ([[place(1000, 0, 100, 25)], [weak]], [0, 0]),
        ([[good], [place(9000, 1, 100, ALIGN.min_score - 1)]], [0, -1]),
        ([[place(9000, 0, 100, 25)], [weak]], [-1, -1]),
        ([[place(9000, 0, 100, ALIGN.min_score)], [weak]], [0, -1]),
        ([[], [weak]], [-1, -1]),
    ):
        choice = choose(make_loci(reads), [100, 100], inserts)
        assert choice.locus.tolist() == locus
        proper = len(reads[0]) == 1 and reads[0][0].diagonal == 1000
        assert choice.proper.tolist() == [int(proper)] * 2 if -1 not in locus else [0, 0]
    single = Choice.empty(2)
    choose_single(make_loci([[good], [weak]]), np.array([100, 100]), ALIGN, single)
    assert single.locus.tolist() == [0, -1]
    # What counts is the best part.
    part = replace(weak, diagonal=9000, local_score=ALIGN.min_score)
    choose_single(make_loci([[good], [part]]), np.array([100, 100]), ALIGN, single)
    assert single.locus.tolist() == [0, 0]
    assert choose(make_loci([[good], [part]]), [100, 100], inserts).locus.tolist() == [0, 0]
    # What scores most need not be what has the best part.
    pair_of_loci = [place(7000, 1, 100, ALIGN.min_score - 1), replace(part, score=ALIGN.min_score - 3)]
    for mate in ([], [place(1000, 0, 100, 10)]):
        choice = choose(make_loci([pair_of_loci, mate]), [100, 100], inserts)
        assert choice.locus.tolist() == [1, -1]
    weakest = place(1200, 1, 100, 10)
    for evidence, locus in ((9, -1), (19, 0)):
        apart = make_loci([[place(1000, 0, 100, 11)], [replace(weakest, start=1200, local_score=evidence)]])
        assert choose(apart, [100, 100], inserts).locus.tolist() == [locus, locus]


def test_two_weak_ends_over_the_same_bases_are_no_pair():
    inserts = InsertSizes(FR, 0, 400, 100.0, 50.0, 1000)
    for at, locus in ((1000, -1), (1009, -1), (1010, 0), (1100, 0)):
        loci = make_loci([[place(1000, 0, 20, 20)], [place(at, 1, 20, 20)]])
        choice = choose(loci, [100, 100], inserts)
        assert choice.locus.tolist() == [locus, locus]
        assert choice.proper.tolist() == [locus + 1] * 2


def test_a_pair_is_left_out_only_if_both_ends_are():
    inserts = InsertSizes(FR, 200, 400, 300.0, 20.0, 1000)
    loci = make_loci([[place(7000, 0, 100, 100), place(1000, 0, 100)], [place(1200, 1, 100)]])
    quality = {}
    for truncated in itertools.product((0, 1), repeat=2):
        loci.truncated[:] = truncated
        quality[truncated] = choose(loci, [100, 100], inserts).mapq.tolist()
    assert quality[0, 0] == quality[0, 1] == quality[1, 0]
    assert quality[1, 1][0] < quality[0, 0][0]


def test_where_only_the_insert_size_speaks_and_limits_were_hit_little_is_sure():
    inserts = InsertSizes(FR, 200, 400, 300.0, 20.0, 1000)
    tied = [[place(at, 0, 100) for at in (1000, 9000)], [place(at, 1, 100) for at in (1200, 5200)]]
    distinct = [
        [place(1000, 0, 100), place(9000, 0, 100, 80)],
        [place(1200, 1, 100), place(5200, 1, 100, 80)],
    ]
    for reads, truncated, sure in ((tied, 0, True), (tied, 1, False), (distinct, 1, True)):
        loci = make_loci(reads)
        loci.truncated[:] = truncated
        choice = choose(loci, [100, 100], inserts)
        assert choice.proper.all()
        assert (choice.mapq > TIED_MAPQ).tolist() == [sure, sure]


def test_a_tie_of_pairs_has_no_quality():
    inserts = InsertSizes(FR, 200, 400, 300.0, 20.0, 1000)
    reads = [[place(at, 0, 100, 100) for at in (1000, 5000)], [place(at, 1, 100, 100) for at in (1200, 5200)]]
    choice = choose(make_loci(reads), [100, 100], inserts)
    assert choice.proper.tolist() == [1, 1]
    assert max(choice.mapq) <= 3
    alone = choose(make_loci([reads[0], []]), [100, 100], inserts)
    assert alone.locus.tolist() == [0, -1]
    assert alone.mapq[0] <= 3


def test_single_reads_take_their_best_locus():
    loci = make_loci([[place(0, 0, 100, 90), place(500, 1, 100, 70)], [], [place(9, 1, 50, 50)]])
    choice = Choice.empty(3)
    choose_single(loci, np.array([100, 80, 50]), ALIGN, choice)
    assert choice.locus.tolist() == [0, -1, 0]
    assert choice.second.tolist() == [70, -1, -1]
    assert choice.proper.tolist() == [0, 0, 0]
    assert choice.mapq[0] == mapping_quality(20, 90 - FLOOR, 1, 90, 100, 0)
    assert choice.mapq[2] == mapping_quality(51, 50 - FLOOR, 0, 50, 50, 0)


def mate_place(
    orientation: int, at: int, reverse: int, of_first: bool, size: int, n: int, m: int
) -> tuple[int, int]:
    """(Diagonal, strand) of the mate (m bases) of a read (n bases) so that the pair lies as distinct."""
    mine = at + (n if reverse else 0)
    sign = -1 if reverse else 1
    if orientation in (FR, RF):
        strand, ahead = 1 - reverse, orientation == FR
    else:
        strand, ahead = reverse, (orientation == FF) == of_first
    mates = mine + sign * (size if ahead else -size)
    return mates - (m if strand else 0), strand


def run_rescue(
    genome: Genome,
    reads: list[Codes],
    loci: Loci,
    inserts: InsertSizes,
    active: bool = True,
    maybe_other_copy: Sequence[bool] | None = None,
    max_loci: int = 2,
) -> None:
    """What is left of the loci's room is for those rescued."""
    batch = make_batch(reads, paired=True)
    salts = np.repeat(np.arange(len(reads) // 2, dtype=np.uint64), 2)
    which = np.full(len(reads) // 2, active)
    again = None if maybe_other_copy is None else np.array(maybe_other_copy)
    config = ALIGN._replace(max_loci=max_loci)
    rescue(
        Reads(batch.codes, batch.offsets, salts), which, reference_of(genome), inserts, config, loci, again
    )


@pytest.fixture(scope="module")
def genome() -> Genome:
    rng = np.random.default_rng(20)
    return make_genome([rng.integers(0, 4, 1500).astype(np.uint8), rng.integers(0, 4, 6000).astype(np.uint8)])


def read_at(genome: Genome, diagonal: int, strand: int, length: int) -> Codes:
    bases = genome.fetch(diagonal, diagonal + length)
    return dna.reverse_complement(bases) if strand else bases


@pytest.mark.parametrize("orientation", range(4))
@pytest.mark.parametrize("size", [250, 251, 400, 599, 600])
def test_a_divergent_mate_is_rescued_in_its_window(genome: Genome, orientation: int, size: int):
    rng = np.random.default_rng(size)
    inserts = InsertSizes(orientation, 250, 600, 400.0, 60.0, 1000)
    for reverse, known in itertools.product((0, 1), (0, 1)):
        at = 4000
        diagonal, strand = mate_place(orientation, at, reverse, known == 0, size, 100, 120)
        mate = mutate(rng, read_at(genome, diagonal, strand, 120), 12, 0)
        reads = [read_at(genome, at, reverse, 100), mate]
        entries: list[list[Locus]] = [[place(at, reverse, 100, 100, 1)], []]
        if known:
            reads.reverse()
            entries.reverse()
        loci = make_loci(entries)
        lengths = np.array([len(read) for read in reads])
        run_rescue(genome, reads, loci, inserts)
        [found] = loci_of(loci, 1 - known)
        assert (found.diagonal, found.reverse, found.contig) == (diagonal, strand, 1), ORIENTATIONS[
            orientation
        ]
        assert pair_geometry(loci, 0, 0, 0, lengths) == (orientation, size)
        assert loci_of(loci, known) == entries[known]


def test_a_mate_outside_the_window_or_on_the_wrong_strand_is_not_rescued(genome: Genome):
    inserts = InsertSizes(FR, 250, 600, 400.0, 60.0, 1000)
    first = read_at(genome, 4000, 0, 100)
    for diagonal, strand in ((4000 + 700, 1), (4000 + 300, 0), (4000 - 400, 1)):
        loci = make_loci([[place(4000, 0, 100, 100, 1)], []])
        run_rescue(genome, [first, read_at(genome, diagonal, strand, 100)], loci, inserts)
        assert loci.held.tolist() == [1, 0]


def test_windows_end_with_the_contig(genome: Genome):
    """What of a mate lies beyond the border belongs to the next contig: it is clipped."""
    inserts = InsertSizes(FR, 100, 600, 400.0, 60.0, 1000)
    first = read_at(genome, 1300, 0, 100)
    loci = make_loci([[place(1300, 0, 100, 100, 0)], []])
    run_rescue(genome, [first, read_at(genome, 1440, 1, 120)], loci, inserts)
    [found] = loci_of(loci, 1)
    assert (found.diagonal, found.contig, found.start, found.end, found.score) == (1440, 0, 1440, 1500, 60)
    loci = make_loci([[place(1300, 0, 100, 100, 0)], []])
    run_rescue(genome, [first, read_at(genome, 1510, 1, 120)], loci, inserts)
    assert loci.held.tolist() == [1, 0]


def test_nothing_is_rescued_where_a_pair_lies_properly_or_is_not_asked_for(genome: Genome):
    inserts = InsertSizes(FR, 250, 600, 400.0, 60.0, 1000)
    reads = [read_at(genome, 4000, 0, 100), read_at(genome, 4300, 1, 100)]
    # A locus that is not the best one, but proper and near enough to it.
    mates = [place(6500, 0, 100, 60, 1), place(4290, 1, 100, 60 - CONFIG.unpaired_penalty, 1)]
    loci = make_loci([[place(4000, 0, 100, 100, 1)], mates])
    run_rescue(genome, reads, loci, inserts)
    assert loci_of(loci, 0) == [place(4000, 0, 100, 100, 1)]
    loci = make_loci([[place(4000, 0, 100, 100, 1)], []])
    run_rescue(genome, reads, loci, inserts, active=False)
    assert loci.held.tolist() == [1, 0]


def test_a_poor_locus_is_no_reason_not_to_look_for_the_mate_there(genome: Genome):
    """Beside its mate (a copy of a repeat), or at the very place, where it was aligned without its gap."""
    inserts = InsertSizes(FR, 250, 600, 400.0, 60.0, 1000)
    forward, backward = read_at(genome, 4000, 0, 100), read_at(genome, 4300, 1, 100)
    reads = [forward, np.delete(backward, 50)]
    right = place(4300, 1, 99, 92, 1)
    for elsewhere, poor in itertools.product(
        (99, 90), (place(4200, 1, 99, 60, 1), place(4301, 1, 50, 50, 1))
    ):
        best = place(6500, 0, 99, elsewhere, 1)
        loci = make_loci([[place(4000, 0, 100, 100, 1)], [best, poor]], room=4)
        run_rescue(genome, reads, loci, inserts)
        found = [x for x in loci_of(loci, 1) if x.score == right.score]
        assert [(x.start, x.end, x.reverse, x.contig) for x in found] == [(4300, 4400, 1, 1)]


@pytest.mark.parametrize("apart", [60, 150])
def test_another_copy_of_a_tandem_repeat_is_found_for_ends_that_may_have_one(genome: Genome, apart: int):
    rng = np.random.default_rng(apart)
    codes = genome.fetch(0, int(genome.offsets[-1]))
    unit = rng.integers(0, 4, apart).astype(np.uint8)
    codes[4200 : 4200 + 2 * apart + 100] = np.tile(unit, 5)[: 2 * apart + 100]
    tandem = make_genome([codes[:1500], codes[1500:]])
    inserts = InsertSizes(FR, 150, 600, 400.0, 60.0, 1000)
    copies = [place(4200 + apart * i, 1, 100, 100, 1) for i in range(3)]
    reads = [read_at(tandem, 4000, 0, 100), read_at(tandem, 4200, 1, 100)]
    for known in copies:
        for maybe_other_copy in (None, [False, False], [True, False], [False, True]):
            loci = make_loci([[place(4000, 0, 100, 100, 1)], [known]], room=4)
            run_rescue(tandem, reads, loci, inserts, maybe_other_copy=maybe_other_copy)
            found = loci_of(loci, 1)
            assert len(found) == (2 if maybe_other_copy == [False, True] else 1)
            assert known in found
            assert all(x in copies for x in found)
            assert loci.held[0] == 1


def test_a_mate_of_which_little_is_left_is_rescued(genome: Genome):
    """From `PairConfig.min_rescued_score` on, which is under what a read alone must score."""
    inserts = InsertSizes(FR, 250, 600, 400.0, 60.0, 1000)
    for kept in (CONFIG.min_rescued_score - 1, CONFIG.min_rescued_score):
        mate = 3 - read_at(genome, 4300, 1, 100)
        mate[40 : 40 + kept] = 3 - mate[40 : 40 + kept]
        loci = make_loci([[place(4000, 0, 100, 100, 1)], []])
        run_rescue(genome, [read_at(genome, 4000, 0, 100), mate], loci, inserts)
        assert [x.score for x in loci_of(loci, 1)] == [kept] * (kept == CONFIG.min_rescued_score)


def test_an_end_that_shares_no_kmers_is_rescued_last(genome: Genome):
    """What no other way led to is scored on every diagonal, and only then; not, where the end is placed elsewhere."""
    inserts = InsertSizes(FR, 250, 600, 400.0, 60.0, 1000)
    mate = read_at(genome, 4300, 1, 100)
    mate[7::8] = 3 - mate[7::8]
    assert ALIGN.voting.k > 7
    for maybe_other_copy, entries, held in (
        (None, [], 0),
        ([True, False], [], 0),
        ([False, True], [], 1),
        ([False, True], [place(1600, 0, 100, ALIGN.min_score - 1, 1)], 2),
        ([False, True], [place(1600, 0, 100, ALIGN.min_score, 1)], 1),
    ):
        loci = make_loci([[place(4000, 0, 100, 100, 1)], entries])
        run_rescue(
            genome, [read_at(genome, 4000, 0, 100), mate], loci, inserts, maybe_other_copy=maybe_other_copy
        )
        assert loci.held[1] == held
        assert (4300 in [x.diagonal for x in loci_of(loci, 1)]) == (held > len(entries))


def test_a_rescued_locus_stays_however_many_better_ones_there_are(genome: Genome):
    rng = np.random.default_rng(21)
    inserts = InsertSizes(FR, 250, 600, 400.0, 60.0, 1000)
    mate = mutate(rng, read_at(genome, 4300, 1, 100), 10, 0)
    better = [place(1600 + 150 * i, 0, 100, 99, 1) for i in range(8)]
    loci = make_loci([[place(4000, 0, 100, 100, 1)], better], room=9)
    run_rescue(genome, [read_at(genome, 4000, 0, 100), mate], loci, inserts, max_loci=8)
    found = loci_of(loci, 1)
    assert len(found) == 9
    assert loci.rescues.tolist() == [0, 1]
    assert (found[-1].diagonal, found[-1].reverse) == (4300, 1)
    assert not loci.truncated[1]


@pytest.mark.parametrize("worse", [0, 1])
@pytest.mark.parametrize("copies", [CONFIG.max_rescues, CONFIG.max_tied_rescues, CONFIG.max_tied_rescues + 1])
def test_equal_loci_without_a_mate_have_more_windows_searched(copies: int, worse: int):
    rng = np.random.default_rng(22)
    genome = make_genome([rng.integers(0, 4, 900).astype(np.uint8) for _ in range(copies)])
    inserts = InsertSizes(FR, 250, 600, 400.0, 60.0, 1000)
    entries = [place(900 * i + 100, 0, 100, 90, i) for i in range(copies)]
    entries[-1] = replace(entries[-1], score=90 - worse)
    # The mate lies beside the last copy alone.
    mate = read_at(genome, 900 * (copies - 1) + 400, 1, 100)
    loci = make_loci([entries, []], room=copies + 2)
    run_rescue(genome, [read_at(genome, 100, 0, 100), mate], loci, inserts, max_loci=copies)
    searched = CONFIG.max_rescues if worse else CONFIG.max_tied_rescues
    assert loci.held[1] == (copies <= searched)


def test_very_short_and_empty_mates_are_no_trouble(genome: Genome):
    inserts = InsertSizes(FR, 250, 600, 400.0, 60.0, 1000)
    first = read_at(genome, 4000, 0, 100)
    for mate in (np.empty(0, np.uint8), first[:3], np.full(40, dna.N, np.uint8)):
        loci = make_loci([[place(4000, 0, 100, 100, 1)], []])
        run_rescue(genome, [first, mate], loci, inserts)
        assert loci.held.tolist() == [1, 0]
