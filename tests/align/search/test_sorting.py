"""Sorting of keys, beside numpy's."""

from __future__ import annotations

import numpy as np
import pytest

from esa.align.search.sorting import FEW, largest_first, make_rank_scratch, make_sort_scratch, sort_keys
from esa.kernels.arrays import I64Array, Int
from esa.kernels.decorator import njit

NUMBER_BITS = 24


@njit
def _sorted(keys: I64Array, count: Int, low: Int, bits: Int) -> I64Array:
    out = keys.copy()
    sort_keys(out, count, low, make_sort_scratch(len(keys), bits))
    return out


@pytest.mark.parametrize("count", [0, 1, 2, 33, FEW, FEW + 1, 5000])
@pytest.mark.parametrize("bits", [1, 8, 28, 39])
def test_keys_are_sorted_as_numpy_sorts_them(count: int, bits: int):
    """Values of all magnitudes, many of them several times; keys beyond those counted stay where they are."""
    rng = np.random.default_rng(count + bits)
    values = rng.integers(0, 1 << bits, count + 3) >> rng.integers(0, bits, count + 3)
    keys = (values << NUMBER_BITS) | np.arange(count + 3)
    expected = np.concatenate([np.sort(keys[:count]), keys[count:]])
    assert np.array_equal(_sorted(keys, count, NUMBER_BITS, bits), expected)


@njit
def _largest(keys: I64Array, wanted: Int) -> tuple[I64Array, I64Array, Int]:
    scratch = make_rank_scratch(len(keys) + 1)
    scratch.keys[: len(keys)] = keys
    scratch.numbers[: len(keys)] = np.arange(len(keys))
    left_out = largest_first(scratch, len(keys), wanted)
    kept = min(wanted, len(keys))
    return scratch.ranked_keys[:kept].copy(), scratch.ranked_numbers[:kept].copy(), left_out


@pytest.mark.parametrize("count", [0, 1, 2, 40, 700])
@pytest.mark.parametrize("bits", [1, 5, 11, 12, 23, 62])
def test_the_largest_come_first_and_of_equal_ones_those_that_came_first(count: int, bits: int):
    rng = np.random.default_rng(100 * count + bits)
    for wanted in (0, 1, 2, 39, 40, 41, 150, 699, 700, 1000):
        keys = rng.integers(0, 1 << bits, count) >> rng.integers(0, bits, count) + int(rng.integers(0, 3))
        order = np.lexsort([np.arange(count), -keys])
        found, numbers, left_out = _largest(keys, wanted)
        assert numbers.tolist() == order[:wanted].tolist()
        assert found.tolist() == keys[order[:wanted]].tolist()
        assert left_out == max(keys[order[wanted:]], default=-1)
