"""`esa.train.reads`: places, noisy reads, and which fragments are alike."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from esa.sequence import dna
from esa.sequence.genome import Genome
from esa.train.noise import NoiseRanges
from esa.train.reads import SHARED_K, Intervals, clean_starts, mark_copies, min_hashes, read_out

LENGTH = 64


@pytest.fixture(scope="module")
def codes() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 4, 40_000).astype(np.uint8)


def test_clean_windows_keep_their_margin(codes: NDArray[np.uint8]):
    one, other = codes[:500].copy(), codes[500:700].copy()
    one[250] = dna.N
    genome = Genome.of_contigs({"a": one, "b": other, "short": codes[:50]})
    whole = genome.fetch(0, genome.bases)
    found = clean_starts(whole, genome, 40, 30, 7)
    expected = [
        start
        for i in range(3)
        for start in range(genome.offsets[i] + 30, genome.offsets[i + 1] - 40 - 30 + 1, 7)
        if (whole[start - 30 : start + 70] <= 3).all()
    ]
    assert found.tolist() == expected
    assert len(expected) > 20


def test_reads_have_the_given_noise(codes: NDArray[np.uint8]):
    start = np.arange(0, 39_000, 100)
    clean = np.stack([codes[s : s + LENGTH] for s in start])
    reads = np.empty_like(clean)
    read_out(codes, start, NoiseRanges(0.0, 0.1, 0.3), np.uint64(1), reads)
    np.testing.assert_array_equal(reads, clean)
    read_out(codes, start, NoiseRanges(0.2, 0.0, 0.0), np.uint64(1), reads)
    # Rates are uniform up to the maximum.
    assert (reads != clean).mean() == pytest.approx(0.1, abs=0.015)
    again = np.empty_like(reads[:10])
    read_out(codes, start[:10], NoiseRanges(0.2, 0.0, 0.0), np.uint64(1), again)
    np.testing.assert_array_equal(again, reads[:10])
    read_out(codes, start, NoiseRanges(0.2, 1.0, 1.0), np.uint64(1), reads)
    assert (reads != clean).mean() > 0.3  # indels move what comes after them


def test_fragments_with_common_k_mers_have_the_same_min_hash_on_either_strand(codes: NDArray[np.uint8]):
    copy = dna.reverse_complement(codes[:LENGTH])
    shifted = np.concatenate([codes[5:LENGTH], codes[1000:1005]])
    pool = np.concatenate([codes[:LENGTH], copy, shifted, codes[2000 : 2000 + LENGTH]])
    found = min_hashes(pool, np.arange(4) * LENGTH, LENGTH)
    assert found[0] == found[1]
    assert found[0] != found[3]
    starts = np.arange(0, 39_000, 90)
    pairs = np.concatenate([min_hashes(codes, starts, LENGTH), min_hashes(codes, starts + 5, LENGTH)])
    same = (pairs[: len(starts)] == pairs[len(starts) :]).mean()
    common = LENGTH - SHARED_K + 1 - 5
    assert same == pytest.approx(common / (common + 10), abs=0.08)


def test_copies_that_hold_the_read_are_marked_under_their_label(codes: NDArray[np.uint8]):
    changed = codes[:LENGTH].copy()
    changed[LENGTH // 2] ^= 1
    pieces = [codes[:LENGTH], dna.reverse_complement(codes[:LENGTH]), changed, codes[500 : 500 + LENGTH]] * 2
    pool = np.concatenate(pieces)
    fragment = np.append(np.arange(8) * LENGTH, 0)
    # Two groups of four, out of order; the last one stands alone.
    label = np.array([5, 2, 2, 5, 2, 5, 5, 2, 9])
    marked = np.zeros((9, 9), np.bool_)
    mark_copies(pool, Intervals(fragment, LENGTH), Intervals(fragment + 4, 40), label, 0.9, marked)
    kind = np.array([0, 0, 1, 2, 0, 0, 1, 2, 0])
    expected = (label[:, None] == label) & (kind[:, None] == kind)
    expected[8, 8] = False
    np.testing.assert_array_equal(marked, expected)
    mark_copies(pool, Intervals(fragment, LENGTH), Intervals(fragment + 4, 40), label, 0.3, marked)
    assert marked[1, 2]
    assert not marked[1, 7]
