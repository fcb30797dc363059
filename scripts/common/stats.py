"""The statistics of the benchmarks: paired comparison, pooled error at a MAPQ, calibration, medians. Pure functions.

A *fragment* is a read, or a pair if the reads are paired: then it is right if both its ends are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]

TIE_SHARE = 0.0003
"""Share of the fragments that luck may decide: ties between identical repeats."""
NOISE_SDS = 2.0
"""Standard deviations of the noise of b - c, which is sqrt(b + c)."""

MAPQ_VALUES = 256
TOP_BIN = 40
"""Mapping qualities from here up are one bin of the calibration."""
BIN_READS = 10_000
"""Reads from which a bin is judged."""
STATED_SHARE = 1 / 3
"""The stated error must be at least this share of the lower end of the observed error's interval."""
INTERVAL_TAIL = 0.025
"""Probability outside each end of the 95 % interval."""
SIGNIFICANT = 0.01

PER_MILLION = 1_000_000
BISECTIONS = 60
INTERVAL_SDS = 10
"""Standard deviations above the count where the search for an interval's upper end begins."""
INTERVAL_EXTRA = 20


def fragments_right(right: Flags, ends: int) -> Flags:
    """``bool[n]`` of reads, a fragment's ends side by side, to ``bool[n / ends]`` of fragments."""
    return np.asarray(right.reshape(-1, ends).all(axis=1), np.bool_)


@dataclass(frozen=True)
class Comparison:
    """Of n fragments, those that only a peer has right (b) and those that only esa has right (c)."""

    n: int
    b: int
    c: int

    @property
    def excess(self) -> int:
        """Fragments by which the peer is ahead."""
        return self.b - self.c

    def limit(self, noises: float = 1.0) -> float:
        """What the excess may be without esa falling short; ``noises`` times the single limit."""
        return noises * (TIE_SHARE * self.n + NOISE_SDS * math.sqrt(self.b + self.c))

    def falls_short(self, noises: float = 1.0) -> bool:
        """Whether the excess is over its limit."""
        return self.excess > self.limit(noises)


def compare(peer: Flags, ours: Flags) -> Comparison:
    """Of two ``bool[n]``, right or not, over the same fragments."""
    return Comparison(
        n=len(peer), b=int(np.count_nonzero(peer & ~ours)), c=int(np.count_nonzero(ours & ~peer))
    )


def percent(flags: Flags) -> float:
    """Share of true flags in percent; not a number of none."""
    return 100 * float(flags.mean()) if len(flags) else math.nan


def percent_of(flags: Flags, among: Flags) -> float:
    """Share of true flags in percent among the chosen ones; not a number if none is chosen."""
    return percent(flags[among])


@dataclass(frozen=True)
class MapqHistogram:
    """Mapped reads by mapping quality, and the wrong among them: ``int64[256]`` each. All of ``total`` reads."""

    total: int
    reads: NDArray[np.int64]
    wrong: NDArray[np.int64]

    def __add__(self, other: MapqHistogram) -> MapqHistogram:
        return MapqHistogram(self.total + other.total, self.reads + other.reads, self.wrong + other.wrong)

    def at_least(self, mapq: int) -> AtMapq:
        """The counts from a mapping quality up."""
        return AtMapq(self.total, int(self.reads[mapq:].sum()), int(self.wrong[mapq:].sum()))


@dataclass(frozen=True)
class AtMapq:
    """Of ``total`` reads those mapped with at least some mapping quality, and the wrong among them."""

    total: int
    kept: int
    wrong: int

    @property
    def kept_percent(self) -> float:
        """Mapped reads of that quality in percent of all."""
        return 100 * self.kept / self.total if self.total else math.nan

    @property
    def wrong_per_million(self) -> float:
        """Wrong reads per million of those kept."""
        return PER_MILLION * self.wrong / self.kept if self.kept else math.nan


def histogram(mapped: Flags, right: Flags, mapq: NDArray[np.uint8]) -> MapqHistogram:
    """Of n reads, ``bool[n]``, ``bool[n]`` and ``uint8[n]``."""
    return MapqHistogram(
        len(mapped),
        np.bincount(mapq[mapped], minlength=MAPQ_VALUES).astype(np.int64),
        np.bincount(mapq[mapped & ~right], minlength=MAPQ_VALUES).astype(np.int64),
    )


def more_wrong_p(ours: AtMapq, peer: AtMapq) -> float:
    """One-sided p of ours having a higher error than the peer, both being Poisson.

    The conditional test: given all wrong reads together, ours are binomial with our part of the kept reads.
    The two aligners map the same reads and err on some of them together, so the true p is smaller still.
    """
    both = ours.wrong + peer.wrong
    kept = ours.kept + peer.kept
    if both == 0 or ours.kept == 0:
        return 1.0
    if peer.kept == 0:
        return 0.0 if ours.wrong else 1.0
    share = ours.kept / kept
    k = np.arange(ours.wrong, both + 1)
    log_factorial = _log_factorials(both)
    log_p = log_factorial[both] - log_factorial[k] - log_factorial[both - k]
    log_p += k * math.log(share) + (both - k) * math.log1p(-share)
    return min(1.0, float(np.exp(log_p).sum()))


def poisson_interval(count: int) -> tuple[float, float]:
    """The exact 95 % interval of a Poisson mean of which ``count`` events were seen."""
    top = count + INTERVAL_SDS * math.sqrt(count) + INTERVAL_EXTRA
    log_factorial = _log_factorials(count)

    def at_most(events: int, mean: float) -> float:
        k = np.arange(events + 1)
        return float(np.exp(k * math.log(mean) - mean - log_factorial[: events + 1]).sum())

    def solve(events: int, probability: float) -> float:
        low, high = 0.0, top
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            # The more events are expected, the less likely are so few.
            low, high = (middle, high) if at_most(events, middle) > probability else (low, middle)
        return low

    lower = solve(count - 1, 1 - INTERVAL_TAIL) if count else 0.0
    return lower, solve(count, INTERVAL_TAIL)


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """An interval that holds the median of what the values are drawn from with 95 % probability or more.

    By order statistics, whatever the distribution: the k-th smallest and the k-th largest value, with the largest k
    that gives so much. None of fewer than six values, which give less even from the least to the largest.
    """
    ordered, n = sorted(values), len(values)
    # So many of the values that lie below the median are this improbable.
    below = np.cumsum([math.comb(n, k) / 2**n for k in range(n // 2 + 1)])
    k = int(np.count_nonzero(below <= INTERVAL_TAIL))
    return (ordered[k - 1], ordered[n - k]) if k else None


def _log_factorials(last: int) -> NDArray[np.float64]:
    return np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, last + 1)))))


@dataclass(frozen=True)
class CalibrationBin:
    """The reads of one mapping quality, or of all from ``mapq`` up if ``open_ended``.

    Attributes:
        stated: mean probability of error that the mapping qualities state.
        lower, upper: 95 % interval of the observed probability.
    """

    mapq: int
    open_ended: bool
    reads: int
    wrong: int
    stated: float
    lower: float
    upper: float

    @property
    def observed(self) -> float:
        """The share of wrong reads."""
        return self.wrong / self.reads

    @property
    def judged(self) -> bool:
        """Whether it holds enough reads."""
        return self.reads >= BIN_READS

    @property
    def overconfident(self) -> bool:
        """Whether the stated error is far under the observed one."""
        return self.stated < STATED_SHARE * self.lower

    @property
    def label(self) -> str:
        """Its mapping quality, with a plus if open ended."""
        return f"{self.mapq}+" if self.open_ended else str(self.mapq)


def calibration(counts: MapqHistogram) -> list[CalibrationBin]:
    """The bins that hold reads, lowest mapping quality first; `TOP_BIN` and up are one."""
    stated = 10 ** (-np.arange(MAPQ_VALUES) / 10)
    spans = [(q, q + 1) for q in range(TOP_BIN)] + [(TOP_BIN, MAPQ_VALUES)]
    bins = []
    for first, end in spans:
        reads, wrong = counts.reads[first:end], int(counts.wrong[first:end].sum())
        total = int(reads.sum())
        if total == 0:
            continue
        lower, upper = poisson_interval(wrong)
        mean = float((reads * stated[first:end]).sum()) / total
        bins.append(CalibrationBin(first, first == TOP_BIN, total, wrong, mean, lower / total, upper / total))
    return bins
