"""`esa.align.records.template`: TLEN against a count of bases, one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from esa.align.records.template import five_prime_ends, template_lengths

ALIGNMENTS = st.tuples(st.integers(0, 60), st.integers(1, 40), st.booleans())
"""(Leftmost position, reference span, reverse)."""
PAIRS = st.lists(st.tuples(ALIGNMENTS, ALIGNMENTS, st.booleans()), max_size=6)
"""Two alignments, and whether they lie on one contig."""


def five_prime_base(alignment: tuple[int, int, bool]) -> int:
    """The base that was sequenced first."""
    position, span, reverse = alignment
    bases = range(position, position + span)
    return bases[-1] if reverse else bases[0]


def tlen(alignment: tuple[int, int, bool], mate: tuple[int, int, bool]) -> int:
    """The number of bases from one 5' base to the other, both counted; 0 if they are the same base."""
    mine, mates = five_prime_base(alignment), five_prime_base(mate)
    if mine == mates:
        return 0
    count = len(range(min(mine, mates), max(mine, mates) + 1))
    return count if mine < mates else -count


def ends_of(alignments: list[tuple[int, int, bool]]) -> np.ndarray:
    position, span, reverse = (np.array(column) for column in zip(*alignments, strict=True))
    return five_prime_ends(position, span, reverse.astype(np.bool_))


@given(PAIRS.filter(len))
def test_template_lengths_count_bases(pairs: list[tuple]) -> None:
    first, second, same_contig = (list(column) for column in zip(*pairs, strict=True))
    ends, mate_ends = ends_of(first), ends_of(second)
    assert ends.tolist() == [five_prime_base(alignment) for alignment in first]
    same = np.array(same_contig)
    expected = [tlen(a, b) if c else 0 for a, b, c in pairs]
    assert template_lengths(ends, mate_ends, same).tolist() == expected
    # The mate's TLEN is the same with the other sign.
    assert template_lengths(mate_ends, ends, same).tolist() == [-length for length in expected]


def test_no_alignments() -> None:
    nothing = np.empty(0, np.int64)
    assert template_lengths(nothing, nothing, np.empty(0, np.bool_)).tolist() == []
