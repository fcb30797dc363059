"""`esa.align.extend.verify` against the full dynamic programme, and what becomes of candidates of one place."""

from __future__ import annotations

import numpy as np
import pytest
from align_oracles import (
    DELETION,
    INSERTION,
    Codes,
    Locus,
    best_by_ends,
    best_total,
    loci_of,
    make_batch,
    make_candidates,
    make_genome,
    mutate,
    reference_of,
)

from esa.align.config import AlignConfig, VerifyConfig
from esa.align.extend.band_state import FIRST_BAND, min_score_of
from esa.align.extend.gapped import load_window
from esa.align.extend.verify import verify
from esa.align.loci import Candidates, Loci, Reads
from esa.sequence import dna
from esa.sequence.genome import Genome

CONFIG = AlignConfig(levels=(), min_score=15)


def run(
    genome: Genome,
    reads: list[Codes],
    candidates: Candidates,
    config: AlignConfig = CONFIG,
    loci: Loci | None = None,
    salts: list[int] | None = None,
) -> Loci:
    batch = make_batch(reads)
    loci = Loci.empty(len(reads), config.max_loci) if loci is None else loci
    salt = np.array(salts or range(len(reads)), np.uint64)
    verify(Reads(batch.codes, batch.offsets, salt), candidates, reference_of(genome), config, loci)
    return loci


def random_genome(rng: np.random.Generator, lengths: list[int], ns: bool = False) -> Genome:
    contigs = [rng.integers(0, 4, n).astype(np.uint8) for n in lengths]
    if ns:
        contigs[0][50:58] = dna.N
    return make_genome(contigs)


def test_windows_stop_at_the_contig():
    genome = random_genome(np.random.default_rng(0), [20, 30, 10])
    reference = reference_of(genome)
    for contig in range(3):
        lo, hi = genome.offsets[contig], genome.offsets[contig + 1]
        for start in (lo - 50, lo - 5, lo, lo + 3, hi - 4, hi, hi + 30):
            for width in (0, 1, 12, 80):
                window = np.full(90, 77, np.uint8)
                load_window(reference, contig, start, width, window)
                whole = genome.fetch(0, genome.bases)
                expected = [whole[p] if lo <= p < hi else 5 for p in range(start, start + width)]
                assert window[:width].tolist() == expected
                assert np.all(window[width:] == 77)


def simulate(
    rng: np.random.Generator, genome: Genome, n: int, hang: int = 0
) -> tuple[list[Codes], list[tuple[int, int, int]]]:
    """Reads with edits from anywhere, and (diagonal of their first base, reverse, contig)."""
    reads, origins = [], []
    for _ in range(n):
        contig = int(rng.integers(len(genome.names)))
        bases = genome.contig(contig)
        length = int(rng.integers(50, 90))
        padded = np.concatenate([rng.integers(0, 4, hang), bases, rng.integers(0, 4, hang)]).astype(np.uint8)
        start = int(rng.integers(0, len(padded) - length))
        read = mutate(rng, padded[start : start + length], int(rng.integers(0, 5)), int(rng.integers(0, 2)))
        reverse = int(rng.integers(2))
        reads.append(dna.reverse_complement(read) if reverse else read)
        origins.append((int(genome.offsets[contig]) + start - hang, reverse, contig))
    return reads, origins


@pytest.mark.parametrize("hang", [0, 40])
def test_score_equals_the_full_dynamic_programme(hang: int):
    """Over the window that the band covers; a read over the end of a contig stays inside it.

    Two indels apart may escape `gap_gain` (a labelled heuristic): hence at most one here.
    """
    rng = np.random.default_rng(hang)
    genome = random_genome(rng, [150, 90, 300], ns=True)
    reads, origins = simulate(rng, genome, 40, hang)
    config = CONFIG._replace(verify=VerifyConfig(max_gap=6), min_score=1)
    loci = run(genome, reads, make_candidates([[origin] for origin in origins]), config)
    for r, (diagonal, reverse, contig) in enumerate(origins):
        query = dna.reverse_complement(reads[r]) if reverse else reads[r]
        lo = int(genome.offsets[contig])
        bases = genome.contig(contig)
        home = diagonal - lo
        by_ends = best_by_ends(query.tolist(), bases.tolist(), home - 6, home + 6)
        [locus] = loci_of(loci, r)
        assert locus.score in by_ends.values()
        ends = max(sum(e) for e, score in by_ends.items() if score == locus.score)
        assert locus.score + 5 * ends >= best_total(by_ends)
        assert (locus.diagonal, locus.reverse, locus.contig) == origins[r]
        assert lo <= locus.start < locus.end <= lo + len(bases)


@pytest.mark.parametrize("kind", [INSERTION, DELETION])
@pytest.mark.parametrize("size", [1, 12, 50])
def test_indels_up_to_fifty_bases_are_aligned(kind: int, size: int):
    rng = np.random.default_rng(size)
    genome = random_genome(rng, [1000])
    bases = genome.contig(0)
    if kind == DELETION:
        read = np.concatenate([bases[300:425], bases[425 + size : 550 + size]])
        score, covered = 250 - 6 - size, (300, 550 + size)
    else:
        extra = rng.integers(0, 4, size).astype(np.uint8)
        read = np.concatenate([bases[300:425], extra, bases[425:550]])
        score, covered = 250 - 6 - size, (300, 550)
    for reverse in (0, 1):
        turned = dna.reverse_complement(read) if reverse else read
        # Whichever flank the candidate lies on.
        far = 300 + size if kind == DELETION else 300 - size
        for diagonal in (300, far):
            loci = run(genome, [turned], make_candidates([[(diagonal, reverse, 0)]]))
            [locus] = loci_of(loci, 0)
            assert (locus.score, locus.start, locus.end, locus.reverse) == (score, *covered, reverse)
            assert locus.band >= size


def test_reads_over_a_contig_s_end_are_clipped():
    rng = np.random.default_rng(4)
    genome = random_genome(rng, [100, 100, 100])
    whole = genome.fetch(0, genome.bases)
    # 40 bases of the middle contig, 60 of the next one.
    read = whole[160:260]
    loci = run(genome, [read, read], make_candidates([[(160, 0, 1)], [(160, 0, 2)]]))
    assert [(x.score, x.start, x.end) for x in loci_of(loci, 0)] == [(40, 160, 200)]
    assert [(x.score, x.start, x.end) for x in loci_of(loci, 1)] == [(60, 200, 260)]


def test_a_candidate_outside_its_contig_scores_nothing():
    genome = random_genome(np.random.default_rng(5), [100, 100])
    read = genome.fetch(20, 80)
    loci = run(genome, [read] * 3, make_candidates([[(-60, 0, 0)], [(100, 0, 0)], [(5000, 1, 1)]]))
    assert loci.held.tolist() == [0, 0, 0]


def test_one_locus_of_candidates_that_align_to_the_same_place():
    rng = np.random.default_rng(6)
    genome = random_genome(rng, [600])
    bases = genome.contig(0)
    read = np.concatenate([bases[200:250], bases[256:306]])  # deletion of 6: flanks on 200 and 206
    near = [(200, 0, 0), (206, 0, 0), (203, 0, 0)]
    for order in (near, near[::-1]):
        [locus] = loci_of(run(genome, [read], make_candidates([order])), 0)
        assert (locus.score, locus.start, locus.end) == (100 - 12, 200, 306)


def test_other_strand_and_other_place_are_other_loci():
    rng = np.random.default_rng(7)
    unit = rng.integers(0, 4, 80).astype(np.uint8)
    gap = rng.integers(0, 4, 100).astype(np.uint8)
    genome = make_genome([np.concatenate([gap, unit, gap, dna.reverse_complement(unit), gap]), unit])
    places = [(100, 0, 0), (280, 1, 0), (460, 0, 1)]
    loci = loci_of(run(genome, [unit], make_candidates([places])), 0)
    assert sorted((x.diagonal, x.reverse, x.contig) for x in loci) == places
    assert {x.score for x in loci} == {80}


def copies_genome(rng: np.random.Generator, copies: int) -> tuple[Genome, Codes, list[int]]:
    """A genome with copies of a unit, each but the first with one more substitution than the last."""
    unit = rng.integers(0, 4, 100).astype(np.uint8)
    parts, places, at = [], [], 0
    for c in range(copies):
        copy = unit.copy()
        copy[30 : 30 + 4 * c : 4] = (copy[30 : 30 + 4 * c : 4] + 1) % 4
        spacer = rng.integers(0, 4, 200).astype(np.uint8)
        parts += [spacer, copy]
        places.append(at + 200)
        at += 300
    return make_genome([np.concatenate(parts)]), unit, places


def test_loci_come_best_first_up_to_the_limit():
    rng = np.random.default_rng(8)
    genome, unit, places = copies_genome(rng, 6)
    shuffled = [(places[i], 0, 0) for i in rng.permutation(6)]
    for room in (2, 5, 6, 8):
        config = CONFIG._replace(max_loci=room)
        loci = run(genome, [unit], make_candidates([shuffled]), config)
        found = loci_of(loci, 0)
        assert [x.score for x in found] == [100 - 5 * i for i in range(min(6, room))]
        assert [x.diagonal for x in found] == places[: min(6, room)]
        assert loci.truncated[0] == 0


def test_ties_do_not_depend_on_the_order_of_candidates_but_on_the_read():
    rng = np.random.default_rng(9)
    unit = rng.integers(0, 4, 60).astype(np.uint8)
    spacer = [rng.integers(0, 4, 90).astype(np.uint8) for _ in range(7)]
    genome = make_genome([np.concatenate([part for s in spacer for part in (s, unit)])])
    places = [(90 + 150 * i, 0, 0) for i in range(7)]
    config = CONFIG._replace(max_loci=4)
    winners = set()
    for salt in range(12):
        orders = [rng.permutation(7) for _ in range(4)]
        found = [
            loci_of(run(genome, [unit], make_candidates([[places[i] for i in o]]), config, salts=[salt]), 0)
            for o in orders
        ]
        assert all(f == found[0] for f in found)
        winners.add(found[0][0].diagonal)
    assert len(winners) > 3


def test_truncated_candidates_make_truncated_loci_and_no_candidates_leave_a_read_alone():
    genome = random_genome(np.random.default_rng(10), [400])
    reads = [genome.fetch(100, 160), genome.fetch(200, 260), genome.fetch(300, 360)]
    kept = Locus(44, 7, 1, 0, 8, 60)
    loci = Loci.empty(3, 8)
    loci.held[2] = 1
    for array, value in zip((*loci[1:8], loci.local_score), vars(kept).values(), strict=True):
        array[2, 0] = value
    run(genome, reads, make_candidates([[(100, 0, 0)], [(200, 0, 0)], []], truncated=[0, 1, 0]), loci=loci)
    assert loci.truncated.tolist() == [0, 1, 0]
    assert loci_of(loci, 2) == [kept]


def test_what_a_read_has_is_kept_beside_better_and_worse_candidates():
    rng = np.random.default_rng(14)
    genome, unit, places = copies_genome(rng, 6)
    loci = run(genome, [unit], make_candidates([[(places[i], 0, 0) for i in (1, 4)]]))
    run(genome, [unit], make_candidates([[(places[i], 0, 0) for i in (5, 0, 4)]]), loci=loci)
    assert [x.score for x in loci_of(loci, 0)] == [100, 95, 80, 75]
    # The limit takes away none that a rescue brought.
    loci.rescued[0, :4] = 1
    loci.rescues[0] = 4
    run(genome, [unit], make_candidates([[(places[3], 0, 0)]]), CONFIG._replace(max_loci=2), loci=loci)
    assert [x.score for x in loci_of(loci, 0)] == [100, 95, 85, 80, 75]


def test_ends_of_pairs_have_a_lower_minimum_score():
    genome = random_genome(np.random.default_rng(15), [400])
    read = np.random.default_rng(16).integers(0, 4, 100).astype(np.uint8)
    read[:25] = genome.fetch(100, 125)
    batch, salt = make_batch([read]), np.zeros(1, np.uint64)
    config = CONFIG._replace(min_score=30)
    for paired, min_rescued_score, held in ((False, 19, 0), (True, 19, 1), (True, 40, 0)):
        loci = Loci.empty(1, 8)
        limits = config._replace(pair=config.pair._replace(min_rescued_score=min_rescued_score))
        verify(
            Reads(batch.codes, batch.offsets, salt), make_candidates([[(100, 0, 0)]]), reference_of(genome),
            limits, loci, paired,
        )  # fmt: skip
        assert loci.held[0] == held


def test_scores_below_the_minimum_are_no_loci():
    genome = random_genome(np.random.default_rng(11), [400])
    read = np.random.default_rng(12).integers(0, 4, 100).astype(np.uint8)
    read[:30] = genome.fetch(100, 130)
    candidates = make_candidates([[(100, 0, 0)]])
    assert [x.score for x in loci_of(run(genome, [read], candidates, CONFIG._replace(min_score=29)), 0)]
    assert not loci_of(run(genome, [read], candidates, CONFIG._replace(min_score=40)), 0)


@pytest.mark.parametrize("reverse", [0, 1])
def test_what_reaching_an_end_costs_is_no_reason_not_to_report(reverse: int):
    """30 bases, a mismatch and 2 bases to the end of the read: scores 28, the end's bonus apart, where 30 do alone."""
    genome = random_genome(np.random.default_rng(17), [400])
    read = 3 - genome.fetch(100, 180)
    read[47:] = genome.fetch(147, 180)
    read[77] = 3 - read[77]
    candidates = make_candidates([[(100, reverse, 0)]])
    if reverse:
        read = dna.reverse_complement(read)
    for min_score, held in ((30, 1), (31, 0)):
        loci = run(genome, [read], candidates, CONFIG._replace(min_score=min_score))
        found = [(x.start, x.end, x.score, x.local_score) for x in loci_of(loci, 0)]
        assert found == [(147, 180, 28, 30)] * held


def test_only_the_stretch_that_is_aligned_counts():
    """26 bases at the end of the read win over 30 within, for the end's bonus; these are not reported."""
    genome = random_genome(np.random.default_rng(19), [400])
    read = 3 - genome.fetch(100, 200)
    read[:26] = genome.fetch(100, 126)
    read[50:80] = genome.fetch(150, 180)
    candidates = make_candidates([[(100, 0, 0)]])
    assert not loci_of(run(genome, [read], candidates, CONFIG._replace(min_score=30)), 0)
    [found] = loci_of(run(genome, [read], candidates, CONFIG._replace(min_score=26)), 0)
    assert (found.start, found.end, found.score, found.local_score) == (100, 126, 26, 26)


def test_the_local_score_of_a_gapped_alignment():
    """30 bases, 2 of them after a gap of 1 base, a mismatch and 2 bases to the end of the read."""
    genome = random_genome(np.random.default_rng(20), [400])
    right = np.concatenate([genome.fetch(125, 147), genome.fetch(148, 168)])
    read = np.concatenate([3 - genome.fetch(100, 125), right])
    read[-3] = 3 - read[-3]
    candidates = make_candidates([[(100, 0, 0)]])
    [found] = loci_of(run(genome, [read], candidates, CONFIG._replace(min_score=25)), 0)
    part = 22 - 7 + 17
    assert (found.start, found.end, found.score, found.local_score) == (125, 168, part - 4 + 2, part)


def test_minimum_score_is_scaled_down_for_short_reads():
    shortest = (1, 37, 39, 40, 59, 60, 61, 250)
    assert [min_score_of(n, 30) for n in shortest] == [19, 19, 19, 20, 29, 30, 30, 30]
    assert [min_score_of(n, 12) for n in (1, 60)] == [12, 12]
    assert [min_score_of(n, 120) for n in (1, 20, 60)] == [19, 40, 120]


def test_reads_of_no_bases_and_of_n_are_no_trouble():
    genome = random_genome(np.random.default_rng(13), [300])
    reads = [np.empty(0, np.uint8), np.full(50, dna.N, np.uint8), genome.fetch(10, 11)]
    loci = run(genome, reads, make_candidates([[(10, 0, 0)]] * 3), CONFIG._replace(min_score=1))
    assert loci.held.tolist() == [0, 0, 1]
    assert loci_of(loci, 2)[0].score == 1


def held_of(loci: Loci, read: int) -> dict[str, list[int]]:
    """What counts of a read's entries, by field."""
    names = set(Loci._fields) - {"rescues", "held", "truncated"}
    return {name: getattr(loci, name)[read, : loci.held[read]].tolist() for name in names}


@pytest.mark.parametrize("min_score", [1, 15])
def test_a_read_s_loci_do_not_depend_on_the_reads_beside_it(min_score: int):
    """Reads with indels, of which a batch aligns many side by side, some of them once more within a wider band."""
    rng = np.random.default_rng(21)
    genome = random_genome(rng, [900, 130, 2000], ns=True)
    reads, candidates = [], []
    for length, indels, longest in ((60, 1, 4), (150, 2, 6), (300, 3, 30)):
        for _ in range(60):
            contig = int(rng.choice([0, 0, 2, 2, 1]))
            bases, hang = genome.contig(contig), 30
            padded = np.concatenate([rng.integers(0, 4, hang), bases, rng.integers(0, 4, length)])
            start = int(rng.integers(0, len(padded) - length))
            piece = padded[start : start + length].astype(np.uint8)
            read = mutate(rng, piece, int(rng.integers(0, 6)), indels, longest, ns=int(rng.random() < 0.1))
            reverse = int(rng.integers(2))
            reads.append(dna.reverse_complement(read) if reverse else read)
            home = int(genome.offsets[contig]) + start - hang
            places = [(home + int(shift), reverse, contig) for shift in rng.integers(-20, 21, 3)]
            candidates.append([(home, reverse, contig), *places, (int(rng.integers(900)), 0, 0)])
    config = CONFIG._replace(min_score=min_score)
    together = run(genome, reads, make_candidates(candidates), config)
    for r, read in enumerate(reads):
        apart = run(genome, [read], make_candidates([candidates[r]]), config, salts=[r])
        assert apart.truncated[0] == together.truncated[r]
        assert held_of(apart, 0) == held_of(together, r)
    bands = together.band[:, 0][together.held > 0]
    assert np.count_nonzero(bands == FIRST_BAND) > 64
    assert np.count_nonzero(bands > FIRST_BAND) > 20
