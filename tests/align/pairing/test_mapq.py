"""`esa.align.pairing.mapq`: what the documented formula must hold, whatever its constants."""

from __future__ import annotations

import math

import pytest
from align_oracles import Locus, make_loci
from hypothesis import given, settings
from hypothesis import strategies as st

from esa.align.pairing.mapq import MAX_MAPQ, TIE, mapping_quality, rivals

lengths = st.integers(1, 400)
gaps = st.integers(1, 400)
nears = st.integers(0, 30)
flags = st.integers(0, 1)
extras = st.integers(0, 200)


@settings(deadline=None)
@given(lead=gaps, above=gaps, more=extras, near=nears, score=gaps, length=lengths, truncated=flags)
def test_a_larger_lead_never_lowers_it(
    lead: int, above: int, more: int, near: int, score: int, length: int, truncated: int
):
    quality = mapping_quality(lead, above, near, score, length, truncated)
    assert (
        0 <= quality <= mapping_quality(lead + more, above, near, score, length, truncated) <= MAX_MAPQ == 60
    )


@settings(deadline=None)
@given(
    lead=gaps, above=gaps, near=nears, more=st.integers(1, 30), score=gaps, length=lengths, truncated=flags
)
def test_more_rivals_a_poorer_alignment_and_a_limit_never_raise_it(
    lead: int, above: int, near: int, more: int, score: int, length: int, truncated: int
):
    quality = mapping_quality(lead, above, near, score, length, truncated)
    assert mapping_quality(lead, above, near + more, score, length, truncated) <= quality
    assert mapping_quality(lead, above, near, max(1, score - more), length, truncated) <= quality
    limited = mapping_quality(lead, above, near, score, length, 1)
    assert limited <= mapping_quality(lead, above, near, score, length, 0)


@settings(deadline=None)
@given(
    near=st.integers(1, 1000),
    gap=st.integers(-50, 0),
    score=st.integers(1, 400),
    length=lengths,
    truncated=flags,
)
def test_a_tie_is_the_chance_of_a_wrong_pick(near: int, gap: int, score: int, length: int, truncated: int):
    quality = mapping_quality(gap, 30, near, score, length, truncated)
    assert 0 <= quality <= 3
    assert quality == pytest.approx(-10 * math.log10(near / (near + 1)), abs=0.51)


def test_it_reaches_both_ends_of_the_scale():
    assert mapping_quality(150, 130, 0, 150, 150, 0) == MAX_MAPQ
    assert mapping_quality(1, 20, 20, 40, 150, 0) == 0
    assert mapping_quality(0, 20, 0, 40, 150, 0) == 0


def test_a_difference_between_copies_is_worth_what_an_error_there_costs():
    """A perfect read whose copy differs in one base is one in 70 wrong, not one in 1000 (fitted); two bases tell."""
    assert 15 <= mapping_quality(5, 130, 1, 150, 150, 0) < 30
    assert mapping_quality(10, 130, 1, 150, 150, 0) >= 30


def test_little_evidence_is_never_sure():
    """A read of 50 bases without a fault and without a rival; one whose score chance may reach."""
    assert 40 <= mapping_quality(50, 30, 0, 50, 50, 0) <= 50
    assert mapping_quality(27, 7, 0, 27, 50, 0) < 20


def test_rivals_are_counted_within_the_tie_of_the_best_other_one():
    scores = [90, 80, 80 - TIE, 80 - TIE - 1]
    loci = make_loci(
        [[Locus(s, 1000 * i, 0, 0, 0, 0) for i, s in enumerate(scores)], [Locus(9, 0, 0, 0, 0, 0)], []]
    )
    assert rivals(loci, 0, 0) == (80, 2)
    assert rivals(loci, 0, 1) == (90, 1)
    assert rivals(loci, 1, 0) == (-1, 0)
