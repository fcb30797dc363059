"""Reads with one gap each: what is in them, and how the gap of a CIGAR is compared with it."""

from __future__ import annotations

import numpy as np
import pysam
import pytest
from samples import random_bases

from esa.sequence import dna

M, I, D, S = pysam.CMATCH, pysam.CINS, pysam.CDEL, pysam.CSOFT_CLIP  # noqa: E741


def codes(bases: str) -> np.ndarray:
    return dna.encode(bases.encode())


def test_gaps_of_a_cigar_have_places_bases_and_what_was_matched_before() -> None:
    from scripts.data.gap_reads import Gap, gaps

    found = gaps([(S, 4), (M, 10), (I, 2), (M, 5), (D, 3), (M, 6)], 100)
    assert found == [(Gap("I", 2, 110, 14), 10), (Gap("D", 3, 115, 21), 5)]


def test_a_deletion_in_a_repeat_goes_to_its_left_end() -> None:
    from scripts.data.gap_reads import Gap, left_aligned, shifts

    reference, read = codes("TTGACACACAGG"), codes("TTGACACAGG")
    # GACACACA: two bases of AC repeats are missing; the first place is behind the G.
    for place in range(3, 9):
        assert left_aligned(Gap("D", 2, place, place), read, reference) == Gap("D", 2, 3, 3)
    assert not shifts(Gap("D", 2, 3, 3), read, reference)
    assert not shifts(Gap("D", 2, 9, 9), read, reference)


def test_an_insertion_in_a_repeat_goes_to_its_left_end() -> None:
    from scripts.data.gap_reads import Gap, left_aligned

    reference, read = codes("CCAAAAGG"), codes("CCAAAAAAGG")
    for place in range(2, 7):
        assert left_aligned(Gap("I", 2, place, place), read, reference) == Gap("I", 2, 2, 2)
    assert left_aligned(Gap("I", 2, 0, 0), codes("AAAA"), codes("AA")) == Gap("I", 2, 0, 0)


def test_canonical_kmers_are_the_same_on_both_strands() -> None:
    from scripts.data.gap_reads import KMER, canonical_kmers

    bases = codes(random_bases(np.random.default_rng(1), 200))
    forward, backward = canonical_kmers(bases), canonical_kmers(dna.reverse_complement(bases))
    assert len(forward) == 200 - KMER + 1
    assert np.array_equal(forward, backward[::-1])
    assert len(np.unique(forward)) == len(forward)


def test_repeats_on_either_strand_and_n_are_not_unique() -> None:
    from scripts.data.gap_reads import UniquePlaces

    rng = np.random.default_rng(2)
    bases = codes(random_bases(rng, 3000))
    bases[2000:2200] = dna.reverse_complement(bases[500:700])
    bases[1500] = dna.N
    places = UniquePlaces(bases)
    starts = np.array([100, 500, 2000, 1400, 1000])
    assert places.are_unique(starts, 150).tolist() == [True, False, False, False, True]


@pytest.mark.parametrize("insert", [None, (500, 50)])
def test_each_read_is_the_reference_but_for_its_gap(
    insert: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scripts.data import gap_reads

    monkeypatch.setattr(gap_reads, "SUBSTITUTIONS", 0.0)
    reference = codes(random_bases(np.random.default_rng(3), 20_000))
    fragments = list(gap_reads.make_reads(reference, 150, 2, insert, 1))
    assert len(fragments) == 2 * len(gap_reads.plans(150))
    for i, fragment in enumerate(fragments):
        truth = fragment.truth
        assert gap_reads.GapRead.of_name(truth.name(i)) == truth
        read = fragment.reads[truth.end]
        forward = dna.reverse_complement(read) if truth.reverse else read
        start = truth.place - truth.base
        inserted, deleted = truth.length * (truth.kind == "I"), truth.length * (truth.kind == "D")
        behind = forward[truth.base + inserted :]
        assert len(forward) == 150
        assert np.array_equal(forward[: truth.base], reference[start : truth.place])
        after = truth.place + deleted
        assert np.array_equal(behind, reference[after : after + len(behind)])
        assert truth.flank == min(truth.base, len(behind))
        # Six to open, one a base; the end is worth five.
        assert truth.gain == truth.flank + 5 - 6 - truth.length
        if insert:
            mate = fragment.reads[1 - truth.end]
            mate = mate if truth.reverse else dna.reverse_complement(mate)
            assert mate.tobytes() in reference.tobytes()


def test_plans_leave_out_flanks_beyond_the_middle() -> None:
    from scripts.data.gap_reads import plans

    assert ("I", 50, (30, 50)) in plans(150)
    assert not any(gap == 50 and kind == "I" and low >= 50 for kind, gap, (low, _) in plans(150))
    assert ("D", 50, (50, 76)) in plans(150)
