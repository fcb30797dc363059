"""The project's targets for speed and resources, and whether a measurement meets them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """A bound on a number: ``at_least`` it, or at most."""

    limit: float
    at_least: bool

    def met(self, value: float) -> bool:
        """Whether a value is within the bound."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"


def at_least(limit: float) -> Target:
    """A lower bound."""
    return Target(limit, True)


def at_most(limit: float) -> Target:
    """An upper bound."""
    return Target(limit, False)


RATIO_TARGETS = {
    150: {"bwa": at_least(4), "bowtie2": at_least(8), "minimap2": at_least(1.5), "minibwa": at_least(1.0)},
    250: {"bwa": at_least(8), "bowtie2": at_least(10), "minimap2": at_least(1.5), "minibwa": at_least(1.2)},
}
"""By read length of the simulated pairs and peer: how many times as fast as the peer esa should be."""


@dataclass(frozen=True)
class Finding:
    """Something measured in one or several rounds, whose median counts; ``target`` is None where none is set."""

    what: str
    unit: str
    values: tuple[float, ...]
    target: Target | None
    digits: int = 2

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def verdict(self) -> str:
        """In words; empty without a target."""
        if self.target is None:
            return ""
        return "met" if self.target.met(self.value) else "NOT MET"

    @property
    def low_high(self) -> str:
        """The least and the largest value; nothing where there is one only."""
        if len(self.values) == 1:
            return ""
        return f"{min(self.values):,.{self.digits}f}-{max(self.values):,.{self.digits}f}"

    def row(self) -> list[str]:
        """Cells under `COLUMNS`."""
        target = "" if self.target is None else str(self.target)
        value = f"{self.value:,.{self.digits}f} {self.unit}".rstrip()
        return [self.what, value, self.low_high, target, self.verdict]

    def as_json(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "what": self.what,
            "unit": self.unit,
            "value": self.value,
            "values": self.values,
            "target": None if self.target is None else str(self.target),
            "met": None if self.target is None else self.target.met(self.value),
        }


COLUMNS = ("", "measured", "(min-max)", "target", "verdict")


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, ...]:
    """Round by round: what was measured in the same minute is compared, not medians of different ones."""
    return tuple(above / below for above, below in zip(numerators, denominators, strict=True))


def differences(larger: Sequence[float], smaller: Sequence[float]) -> tuple[float, ...]:
    """Round by round."""
    return tuple(a - b for a, b in zip(larger, smaller, strict=True))


def count_unmet(findings: Sequence[Finding]) -> str:
    """One line on all verdicts."""
    judged = [finding for finding in findings if finding.target is not None]
    unmet = sum(finding.verdict != "met" for finding in judged)
    return f"{len(judged) - unmet} of {len(judged)} targets met"
