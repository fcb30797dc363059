"""Sorting of keys, beside numpy's."""

from __future__ import annotations

import numpy as np
import pytest

from esa.align.sorting import FEW, make_sort_room, sort_keys
from esa.compiled import njit

NUMBER_BITS = 24


@njit
def _sorted(keys, count, low, bits):  # type: ignore[no-untyped-def]
    out = keys.copy()
    sort_keys(out, count, low, make_sort_room(len(keys), bits))
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
