"""`esa.align.inserts`: penalties of insert sizes, and what is refused. (What is learnt: `pairing/test_choose.py`.)"""

from __future__ import annotations

import math
from statistics import NormalDist, quantiles

import numpy as np
import pytest

from esa.align.config import PairConfig
from esa.align.inserts import (
    ASSUMED,
    BOUND_SD,
    FF,
    FR,
    GIVEN_MAX,
    ORIENTATIONS,
    OUTLIER_IQR,
    RF,
    RR,
    InsertSizes,
    learn_insert_sizes,
    parse_insert_sizes,
)
from esa.errors import UsageError

CONFIG = PairConfig()


def penalty(size: int, mean: float, deviation: float) -> int:
    """Minus the logarithm, to base 4, of twice the chance of a size at least as far from the mean; 0 at least."""
    chance = 2 * NormalDist().cdf(-abs(size - mean) / deviation)
    return max(0, round(-math.log(2 * chance, 4)))


@pytest.mark.parametrize(("mean", "deviation"), [(400.0, 50.0), (251.5, 7.25), (3000.0, 900.0)])
def test_penalties_follow_from_the_normal_distribution(mean: float, deviation: float) -> None:
    low, high = int(mean - 4 * deviation), int(mean + 5 * deviation)
    penalties = InsertSizes(FR, low, high, mean, deviation, 1000).penalties
    assert penalties.dtype == np.int32
    assert penalties.tolist() == [penalty(size, mean, deviation) for size in range(low, high + 1)]
    assert penalties[round(mean) - low] == 0
    # A step down towards the mean, a step up from there.
    assert (np.diff(penalties[: int(mean) - low]) <= 0).all()
    assert (np.diff(penalties[int(mean) + 1 - low :]) >= 0).all()
    assert penalties[-1] > 5


def test_without_a_deviation_no_size_costs_anything() -> None:
    assert ASSUMED.penalties.tolist() == [0] * (ASSUMED.high - ASSUMED.low + 1)


def test_the_range_is_what_kernels_need() -> None:
    sizes = InsertSizes(RF, 100, 900, 500.0, 90.0, 7)
    assert tuple(sizes.range) == (RF, 100, 900)
    assert [ORIENTATIONS[x] for x in (FF, FR, RF, RR)] == ["FF", "FR", "RF", "RR"]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "write it like"),
        ("400,", "write it like"),
        ("wide", "write it like"),
        ("1,2,3,4,5", "numbers from 0"),
        ("-400", "numbers from 0"),
        ("nan", "numbers from 0"),
        (str(GIVEN_MAX + 1), "numbers from 0"),
        ("0", "above 0"),
        ("400,0", "above 0"),
        ("400,50,300", "MIN <= MEAN <= MAX"),
        ("400,50,600,500", "MIN <= MEAN <= MAX"),
    ],
)
def test_what_no_pair_can_have_is_refused(text: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=remedy) as fault:
        parse_insert_sizes(text)
    assert repr(text) in str(fault.value)


def test_given_sizes_are_kept_within_the_widest_window() -> None:
    assert parse_insert_sizes("90000,9000").high == GIVEN_MAX
    assert parse_insert_sizes("10,9").low == 1


def test_bounds_are_those_of_the_quartiles_and_of_the_deviation() -> None:
    """The wider of the two on either side, and never below 0; sizes far from the quartiles do not count."""
    rng = np.random.default_rng(3)
    for mean, deviation in ((400, 50), (60, 40), (2000, 3)):
        sizes = np.abs(np.rint(rng.normal(mean, deviation, 3999))).astype(np.int64)
        far = np.repeat([0, 9000], 50)
        sample = np.column_stack([np.full(4099, RF), np.concatenate([sizes, far])])
        learnt = learn_insert_sizes(sample, CONFIG)
        q25, _, q75 = quantiles(sample[:, 1].tolist(), n=4)
        spread = OUTLIER_IQR * (q75 - q25)
        inliers = [size for size in sample[:, 1].tolist() if q25 - spread <= size <= q75 + spread]
        assert learnt.mean == pytest.approx(np.mean(inliers), abs=0.05)
        assert learnt.deviation == pytest.approx(np.std(inliers), abs=0.2)
        low = min(q25 - CONFIG.bound_iqr * (q75 - q25), learnt.mean - BOUND_SD * learnt.deviation)
        high = max(q75 + CONFIG.bound_iqr * (q75 - q25), learnt.mean + BOUND_SD * learnt.deviation)
        assert learnt.low == pytest.approx(max(0, low), abs=2)
        assert learnt.high == pytest.approx(high, abs=2)
        assert (learnt.orientation, learnt.pairs) == (RF, len(sample))
