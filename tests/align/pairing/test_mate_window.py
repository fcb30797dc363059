"""`esa.align.pairing.mate_window`: a window holds just the places of the mate that make a proper pair."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from align_oracles import Locus, make_loci

from esa.align.inserts import ORIENTATIONS, InsertRange
from esa.align.pairing.choose import is_proper
from esa.align.pairing.mate_window import has_mate, mate_window

AT = 1000
LOW, HIGH = 20, 45


def locus(diagonal: int, reverse: int, length: int, score: int = 90, contig: int = 0) -> Locus:
    return Locus(score, diagonal, reverse, contig, diagonal, diagonal + length)


def is_pair(mine: Locus, mate: Locus, r: int, lengths: np.ndarray, inserts: InsertRange) -> bool:
    """Whether the locus of read r and that of its mate make a proper pair."""
    pair = [mine, mate] if r == 0 else [mate, mine]
    return bool(is_proper(make_loci([[x] for x in pair]), 0, 0, 0, lengths, inserts)[0])


@pytest.mark.parametrize("orientation", range(len(ORIENTATIONS)), ids=ORIENTATIONS)
@pytest.mark.parametrize(("r", "reverse"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_window_holds_just_the_proper_places(orientation: int, r: int, reverse: int) -> None:
    inserts = InsertRange(orientation, LOW, HIGH)
    lengths = np.array([12, 17])
    mine, mates = int(lengths[r]), int(lengths[r ^ 1])
    entries: list[list[Locus]] = [[], []]
    entries[r] = [locus(AT, reverse, mine)]
    window = mate_window(make_loci(entries), r, 0, mine, mates, inserts)
    assert window.width == HIGH - LOW + mates
    inside = 0
    for strand, diagonal in itertools.product((0, 1), range(AT - 3 * HIGH, AT + 3 * HIGH)):
        holds = window.start <= diagonal and diagonal + mates <= window.start + window.width
        proper = is_pair(entries[r][0], locus(diagonal, strand, mates), r, lengths, inserts)
        assert proper == (holds and strand == window.reverse)
        inside += proper
    assert inside == HIGH - LOW + 1


@pytest.mark.parametrize("orientation", range(len(ORIENTATIONS)), ids=ORIENTATIONS)
def test_a_mate_is_there_if_any_locus_that_may_be_chosen_lies_properly(orientation: int) -> None:
    rng = np.random.default_rng(orientation)
    inserts = InsertRange(orientation, LOW, HIGH)
    lengths, unpaired = np.array([30, 25]), 17
    seen = set()
    for _ in range(300):
        r = int(rng.integers(2))
        mine = locus(AT, int(rng.integers(2)), int(lengths[r]))
        scores = np.sort(rng.integers(50, 91, int(rng.integers(0, 6))))[::-1].tolist()
        mates = [
            locus(
                AT + int(rng.integers(-3 * HIGH, 3 * HIGH)), int(rng.integers(2)), int(lengths[r ^ 1]), score,
                int(rng.random() < 0.1),
            )
            for score in scores
        ]  # fmt: skip
        expected = any(
            mate.score >= scores[0] - unpaired and is_pair(mine, mate, r, lengths, inserts) for mate in mates
        )
        entries = [[mine], mates] if r == 0 else [mates, [mine]]
        assert has_mate(make_loci(entries), r, 0, lengths, inserts, unpaired) == expected
        seen.add(expected)
    assert seen == {False, True}
