"""`esa.kernels.bits` against Python's integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from esa.kernels.bits import lowest_bit, popcount

words = st.one_of(
    st.integers(0, 2**64 - 1), st.sets(st.integers(0, 63)).map(lambda x: sum(1 << i for i in x))
)


@given(words)
def test_bits_are_counted(word: int) -> None:
    assert popcount(np.uint64(word)) == word.bit_count()


@given(words.filter(bool))
def test_the_lowest_bit_is_found(word: int) -> None:
    assert lowest_bit(np.uint64(word)) == (word & -word).bit_length() - 1
