"""Insert sizes: orientation and distance of the two reads of a pair, given by the user or learnt from a sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from esa.align.config import PairConfig
from esa.errors import UsageError
from esa.kernels.arrays import I32Array, I64Array

ORIENTATIONS = ("FF", "FR", "RF", "RR")
"""Where the second read lies, seen along the strand of the first, and which way it points.

FF: behind it, the same way. FR: behind it, towards it (the usual). RF: before it, away from it. RR: before it, the same
way."""

FF, FR, RF, RR = range(4)

OUTLIER_IQR = 2.0
"""Sizes farther than this many interquartile ranges from the quartiles do not count for mean and deviation."""

BOUND_SD = 4.0
"""Proper pairs reach at least this many standard deviations from the mean."""

ASSUMED_MAX = 1000
"""Largest insert size of an FR pair, in bases, where too few pairs were seen to learn from."""

GIVEN_MAX = 100_000
"""Largest insert size that may be given, in bases: the mate windows are as wide."""

GIVEN_DEVIATION = 0.1
"""Standard deviation as a share of the mean, where only this is given (bwa mem's)."""

GIVEN_NUMBERS = 4


class InsertRange(NamedTuple):
    """Orientation and bounds of proper pairs: see `InsertSizes`."""

    orientation: int
    low: int
    high: int


@dataclass(frozen=True)
class InsertSizes:
    """Orientation and distance of the two reads of a pair.

    Attributes:
        orientation: index into `ORIENTATIONS`.
        low, high: bounds of proper pairs, both included, in bases from 5' end to 5' end.
        mean, deviation: of the inliers, in bases.
        pairs: number of pairs that it was learnt from; 0: given, or assumed for want of pairs (then mean and deviation
            are 0).
    """

    orientation: int
    low: int
    high: int
    mean: float
    deviation: float
    pairs: int

    @property
    def range(self) -> InsertRange:
        """The part that kernels need."""
        return InsertRange(self.orientation, self.low, self.high)

    @cached_property
    def penalties(self) -> I32Array:
        """``int32[high - low + 1]``: what a proper pair of each size loses of its score.

        The log-likelihood of the size in units of the alignment score, as bwa mem has it (Li 2013,
        arXiv:1303.3997).
        """
        sizes = np.arange(self.low, self.high + 1)
        if not self.deviation:
            return np.zeros(len(sizes), np.int32)
        deviates = np.abs(sizes - self.mean) / self.deviation
        tail = np.array([math.erfc(z / math.sqrt(2)) for z in deviates])
        return np.maximum(0, np.rint(-np.log(2 * np.maximum(tail, 1e-30)) / math.log(4))).astype(np.int32)


ASSUMED = InsertSizes(FR, 0, ASSUMED_MAX, 0.0, 0.0, 0)
"""Insert sizes where too few pairs were seen to learn from."""


def parse_insert_sizes(text: str) -> InsertSizes:
    """Insert sizes of FR pairs from bwa mem's ``mean[,deviation[,max[,min]]]``.

    The deviation is a tenth of the mean and the bounds lie `BOUND_SD` deviations from it, where not given.

    Raises:
        UsageError: not such a text, or sizes that no pair can have.
    """
    fault = f"insert size {text!r} is not MEAN[,SD[,MAX[,MIN]]]"
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{fault}: write it like 400,50 or 400,50,600,200") from None
    if len(numbers) > GIVEN_NUMBERS or not all(0 <= number <= GIVEN_MAX for number in numbers):
        raise UsageError(f"{fault} with numbers from 0 to {GIVEN_MAX:,}")
    mean = numbers[0]
    deviation = numbers[1] if len(numbers) > 1 else mean * GIVEN_DEVIATION
    if mean <= 0 or deviation <= 0:
        raise UsageError(f"{fault} with a mean and a deviation above 0")
    bounds = [mean + BOUND_SD * deviation, max(1.0, mean - BOUND_SD * deviation)]
    high, low = (int(bound + 0.499) for bound in (*numbers[2:], *bounds[len(numbers[2:]) :]))
    high = min(high, GIVEN_MAX)
    if not low <= mean <= high:
        raise UsageError(f"{fault} with MIN <= MEAN <= MAX")
    return InsertSizes(FR, low, high, mean, deviation, 0)


def learn_insert_sizes(sample: I64Array, config: PairConfig) -> InsertSizes:
    """Insert sizes of the commonest orientation of a sample, from its quartiles, as bwa mem.

    ``sample``: ``int64[pairs, 2]``, orientation and size (`esa.align.pairing.choose.sample_sizes`). Fewer than
    ``config.min_sample`` pairs of that orientation give `ASSUMED`.
    """
    counts = np.bincount(sample[:, 0], minlength=len(ORIENTATIONS))
    orientation = int(counts.argmax())
    sizes = np.sort(sample[sample[:, 0] == orientation, 1])
    if len(sizes) < config.min_sample:
        return ASSUMED
    q25, q75 = (float(sizes[int(len(sizes) * share)]) for share in (0.25, 0.75))
    spread = q75 - q25
    inliers = sizes[(sizes >= q25 - OUTLIER_IQR * spread) & (sizes <= q75 + OUTLIER_IQR * spread)]
    mean = float(inliers.mean())
    deviation = max(1.0, float(inliers.std()))
    low = min(q25 - config.bound_iqr * spread, mean - BOUND_SD * deviation)
    high = max(q75 + config.bound_iqr * spread, mean + BOUND_SD * deviation)
    return InsertSizes(orientation, max(0, math.floor(low)), math.ceil(high), mean, deviation, len(sizes))
