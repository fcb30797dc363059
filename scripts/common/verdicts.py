"""Verdicts on accuracy: a requirement of the project, what was measured, and whether it is met."""

from __future__ import annotations

from dataclasses import dataclass

VS_PEER, VS_BEST, CORRECT, POOLED, CALIBRATED = "bwa", "best", "correct", "pooled", "calibrated"
NO_MORE = "no more"
"""Of what should not be, not more than bwa mem."""


@dataclass(frozen=True)
class Verdict:
    """One requirement.

    Attributes:
        rule: `VS_PEER`, `VS_BEST`, `CORRECT`, `POOLED`, `CALIBRATED` or `NO_MORE`.
        what: cell or scope, and the rule in words.
        figures: what was compared.
    """

    rule: str
    what: str
    figures: str
    met: bool

    def __str__(self) -> str:
        return "met" if self.met else "SHORT"
