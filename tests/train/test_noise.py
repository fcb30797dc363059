"""`esa.train.noise`: what a noisy copy keeps, and how much of the rest it changes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from esa.fragments.base import Fragments
from esa.fragments.minimizers import MinimizerFragmenter
from esa.sequence import dna
from esa.train.noise import NoiseRanges, cut, noisy

FRAGMENTER = MinimizerFragmenter()
K, HALF, LENGTH = FRAGMENTER.k, FRAGMENTER.half, FRAGMENTER.length
MINIMIZER = slice(HALF - K // 2, HALF + K // 2)


@pytest.fixture(scope="module")
def sequence() -> tuple[NDArray[np.uint8], Fragments]:
    codes = np.random.default_rng(1).integers(0, 4, 60_000).astype(np.uint8)
    return codes, FRAGMENTER.reference(codes, np.array([0, len(codes)]))


def copies(
    sequence: tuple[NDArray[np.uint8], Fragments], noise: tuple[float, float, float], seed: int = 5
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    codes, fragments = sequence
    clean = np.empty((len(fragments), LENGTH), np.uint8)
    cut(codes, fragments.start, fragments.reverse, LENGTH, clean)
    out = np.empty_like(clean)
    noisy(codes, fragments.start, fragments.reverse, K, NoiseRanges(*noise), np.uint64(seed), out)
    return clean, out


def test_cut_turns_fragments(sequence: tuple[NDArray[np.uint8], Fragments]):
    codes, fragments = sequence
    clean, _ = copies(sequence, (0.0, 0.0, 0.0))
    for start, reverse, row in zip(fragments.start[:50], fragments.reverse, clean, strict=False):
        window = codes[start : start + LENGTH]
        np.testing.assert_array_equal(row, dna.reverse_complement(window) if reverse else window)


def test_no_noise_is_the_fragment_and_noise_keeps_the_minimizer(
    sequence: tuple[NDArray[np.uint8], Fragments],
):
    clean, same = copies(sequence, (0.0, 0.1, 0.3))
    np.testing.assert_array_equal(clean, same)
    clean, changed = copies(sequence, (0.4, 0.1, 0.3))
    np.testing.assert_array_equal(clean[:, MINIMIZER], changed[:, MINIMIZER])
    assert (clean != changed).any(axis=1).mean() > 0.7
    assert changed.max() <= 3


def test_substitutions_come_at_the_stated_rate_and_evenly(sequence: tuple[NDArray[np.uint8], Fragments]):
    clean, changed = copies(sequence, (0.2, 0.0, 0.0))
    flanks = np.ones(LENGTH, bool)
    flanks[MINIMIZER] = False
    rates = (clean != changed)[:, flanks].mean(axis=0)
    # Uniform up to 20 %: 10 % on average, at each position alike.
    assert rates.mean() == pytest.approx(0.1, rel=0.05)
    assert rates.min() > 0.08
    assert rates.max() < 0.12
    shift = (changed - clean)[clean != changed] & 3
    assert np.bincount(shift, minlength=4)[1:].min() > 0.9 * len(shift) / 3


def test_indels_move_what_lies_beyond_them(sequence: tuple[NDArray[np.uint8], Fragments]):
    clean, changed = copies(sequence, (0.1, 1.0, 1.0))
    rates = (clean != changed).mean(axis=0)
    # Differences pile up away from the minimizer, on both sides.
    assert rates[0] > rates[5] > rates[MINIMIZER.start - 1]
    assert rates[-1] > rates[-6] > rates[MINIMIZER.stop]


def test_noise_depends_on_the_seed_alone(sequence: tuple[NDArray[np.uint8], Fragments]):
    _, one = copies(sequence, (0.2, 0.1, 0.3))
    _, again = copies(sequence, (0.2, 0.1, 0.3))
    _, other = copies(sequence, (0.2, 0.1, 0.3), seed=6)
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@pytest.mark.parametrize("where", ["left", "right"])
def test_a_flank_that_ends_or_meets_n_gives_the_clean_fragment(where: str):
    """Deletions ask for bases beyond the fragment; where there are none, the copy is clean."""
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 4, LENGTH).astype(np.uint8)
    start = np.zeros(400, np.int64)
    out = np.empty((len(start), LENGTH), np.uint8)
    noisy(codes, start, np.zeros(len(start), np.uint8), K, NoiseRanges(0.3, 1.0, 1.0), np.uint64(1), out)
    assert out.max() <= 3
    wide = np.concatenate([[dna.N], codes, [dna.N]]).astype(np.uint8)
    padded = np.empty_like(out)
    noisy(
        wide, start + 1, np.zeros(len(start), np.uint8), K, NoiseRanges(0.3, 1.0, 1.0), np.uint64(1), padded
    )
    np.testing.assert_array_equal(out, padded)
    clean = (out == codes).all(axis=1)
    side = slice(0, 3) if where == "left" else slice(-3, None)
    assert 0 < clean.sum() < len(start)
    assert (out[:, side] != codes[side]).any()
