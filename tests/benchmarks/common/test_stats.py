"""The statistics of the benchmarks, against figures worked out by hand or by plain sums."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scripts.common.stats import (
    AtMapq,
    Comparison,
    MapqHistogram,
    calibration,
    compare,
    fragments_right,
    histogram,
    median_interval,
    more_wrong_p,
    percent_of,
    poisson_interval,
)


def flags(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text])


def test_a_pair_is_right_if_both_ends_are() -> None:
    assert fragments_right(flags("11100100"), 2).tolist() == [True, False, False, False]
    assert fragments_right(flags("101"), 1).tolist() == [True, False, True]


def test_reads_that_one_alone_has_right_are_counted() -> None:
    assert compare(peer=flags("111000"), ours=flags("100110")) == Comparison(n=6, b=2, c=2)
    assert compare(peer=flags("1110"), ours=flags("1000")) == Comparison(n=4, b=2, c=0)


def test_esa_falls_short_only_beyond_noise_and_luck() -> None:
    # 0.0003 n + 2 sqrt(b + c) = 30 + 2 * 10
    at = Comparison(n=100_000, b=75, c=25)
    assert (at.excess, at.limit(), at.falls_short()) == (50, pytest.approx(50), False)
    over = Comparison(n=100_000, b=88, c=12)
    assert over.excess == 76
    assert over.falls_short()
    assert not over.falls_short(noises=2)
    assert not Comparison(n=100_000, b=12, c=88).falls_short()


def test_shares_of_nothing_are_no_numbers() -> None:
    assert percent_of(flags("110"), flags("011")) == 50
    assert math.isnan(percent_of(flags("110"), flags("000")))


def test_histogram_counts_mapped_reads_alone() -> None:
    mapped, right = flags("111110"), flags("110100")
    counts = histogram(mapped, right, np.array([60, 30, 30, 29, 0, 60], np.uint8))
    both = counts + counts
    assert counts.at_least(30) == AtMapq(total=6, kept=3, wrong=1)
    assert counts.at_least(0) == AtMapq(total=6, kept=5, wrong=2)
    assert both.at_least(31) == AtMapq(total=12, kept=2, wrong=0)
    assert counts.at_least(30).kept_percent == 50
    assert counts.at_least(30).wrong_per_million == pytest.approx(1e6 / 3)


@pytest.mark.parametrize(("ours", "peer", "share"), [(7, 2, 0.5), (3, 3, 0.25), (12, 0, 0.6)])
def test_p_of_more_wrong_is_a_binomial_tail(ours: int, peer: int, share: float) -> None:
    kept = round(1_000_000 * share)
    p = more_wrong_p(AtMapq(10**6, kept, ours), AtMapq(10**6, 10**6 - kept, peer))
    n = ours + peer
    tail = sum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(ours, n + 1))
    assert p == pytest.approx(tail)


def test_p_of_none_wrong_is_one() -> None:
    none = AtMapq(10, 5, 0)
    assert more_wrong_p(none, none) == 1
    assert more_wrong_p(none, AtMapq(10, 5, 3)) == pytest.approx(1)
    assert more_wrong_p(AtMapq(10, 0, 0), AtMapq(10, 5, 3)) == 1
    assert more_wrong_p(AtMapq(10, 5, 3), AtMapq(10, 0, 0)) == 0


def test_large_counts_stay_finite() -> None:
    p = more_wrong_p(AtMapq(10**7, 5_000_000, 50_300), AtMapq(10**7, 5_000_000, 50_000))
    # By the normal approximation: 300 over sqrt(100,300).
    assert p == pytest.approx(0.5 * math.erfc(300 / math.sqrt(100_300) / math.sqrt(2)), rel=0.02)


# Of the tables in Ulm, Am J Epidemiol 1990.
@pytest.mark.parametrize(
    ("count", "lower", "upper"), [(0, 0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39), (100, 81.36, 121.6)]
)
def test_poisson_intervals(count: int, lower: float, upper: float) -> None:
    assert poisson_interval(count) == pytest.approx((lower, upper), rel=1e-3)


def test_poisson_interval_of_a_large_count() -> None:
    lower, upper = poisson_interval(40_000)
    assert (lower, upper) == pytest.approx((40_000 - 1.96 * 200, 40_000 + 1.96 * 200), abs=4)


def counts_of(entries: dict[int, tuple[int, int]]) -> MapqHistogram:
    reads, wrong = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for mapq, (all_reads, bad) in entries.items():
        reads[mapq], wrong[mapq] = all_reads, bad
    return MapqHistogram(int(reads.sum()), reads, wrong)


def test_bins_of_calibration() -> None:
    bins = calibration(counts_of({3: (100, 40), 39: (20_000, 0), 40: (5000, 1), 60: (15_000, 0)}))
    assert [b.label for b in bins] == ["3", "39", "40+"]
    assert [b.judged for b in bins] == [False, True, True]
    assert bins[0].stated == pytest.approx(10**-0.3)
    assert bins[0].observed == pytest.approx(0.4)
    assert bins[2].stated == pytest.approx((5000 * 1e-4 + 15_000 * 1e-6) / 20_000)
    assert (bins[2].reads, bins[2].wrong) == (20_000, 1)
    assert bins[2].upper == pytest.approx(5.572 / 20_000, rel=1e-3)


def test_overconfidence_is_a_third_of_the_lower_end() -> None:
    # MAPQ 20 states .01: the lower end may be .03, which is 300 of 10,000; 336 wrong have 301 as theirs.
    (fine,) = calibration(counts_of({20: (10_000, 333)}))
    (bad,) = calibration(counts_of({20: (10_000, 336)}))
    assert (fine.lower < 0.03, bad.lower > 0.03) == (True, True)
    assert (fine.overconfident, bad.overconfident) == (False, True)


@pytest.mark.parametrize(("n", "first"), [(6, 0), (8, 0), (9, 1), (11, 1), (12, 2), (15, 3), (25, 7)])
def test_the_interval_of_a_median_has_the_ranks_of_the_sign_test(n: int, first: int) -> None:
    """Ranks from the tables (with one rank more on each side the interval holds the median in under 95 %)."""
    values = np.random.default_rng(n).permutation(n).astype(float)
    assert median_interval(values.tolist()) == (first, n - 1 - first)


def test_five_values_or_fewer_have_no_interval() -> None:
    assert [median_interval([1.0] * n) for n in range(6)] == [None] * 6
    assert median_interval([1.0] * 6) == (1.0, 1.0)


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    drawn = np.random.default_rng(3).exponential(size=(4000, 10))
    intervals = [median_interval(row.tolist()) or (0.0, 0.0) for row in drawn]
    share = np.mean([low <= math.log(2) <= high for low, high in intervals])
    assert share == pytest.approx(1 - 2 * 11 / 1024, abs=0.008)
