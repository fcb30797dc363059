"""Laws of the lengths of simulated insertions and deletions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esa.errors import UsageError

GEOMETRIC, ZIPF = "geometric", "zipf"
LAWS = (GEOMETRIC, ZIPF)
MAX_LONGEST = 10_000


@dataclass(frozen=True)
class IndelLengths:
    """A law of lengths from 1 to ``longest`` bases.

    ``geometric``: each length is as probable as the one before times 1 - 1 / ``mean``. Longer ones become ``longest``.

    ``zipf``: length k is as probable as k to the power of -``exponent``, up to ``longest``. This is the heavy tail of
    real genomes. The default exponent is the maximum likelihood of the 11,502 indels of NA12878 on chromosome 20
    (GIAB 3.3.2: 1.69 over lengths up to 30). Protein families have the same (Benner, Cohen and Gonnet, J Mol Biol
    1993).

    Attributes:
        law: ``geometric`` or ``zipf``.
        mean: of the geometric law, before lengths are capped.
        exponent: of the power law.
        longest: longest indel, in bases.

    Raises:
        UsageError: there is no such law.
    """

    law: str = GEOMETRIC
    mean: float = 1.5
    exponent: float = 1.7
    longest: int = 30

    def __post_init__(self) -> None:
        checks = (
            (self.law in LAWS, f"the law of indel lengths is one of {', '.join(LAWS)}"),
            (self.mean >= 1, "the mean length of indels is at least 1"),
            (0 <= self.exponent < np.inf, "the exponent of indel lengths is not negative"),
            (1 <= self.longest <= MAX_LONGEST, f"the longest indel has 1 to {MAX_LONGEST:,} bases"),
        )
        for holds, complaint in checks:
            if not holds:
                raise UsageError(f"cannot simulate such reads: {complaint}")

    def stops(self) -> NDArray[np.float64]:
        """``float64[longest]``: probability that an indel of at least k + 1 bases has just k + 1; the last is 1."""
        if self.law == GEOMETRIC:
            stops = np.full(self.longest, 1 / self.mean)
        else:
            weights = np.arange(1, self.longest + 1) ** -self.exponent
            # Summed from the small end: added to the large one, small terms would be lost in rounding.
            stops = weights / np.cumsum(weights[::-1])[::-1]
        stops[-1] = 1.0
        return stops

    def probabilities(self) -> NDArray[np.float64]:
        """``float64[longest]``: probability of length k + 1."""
        stops = self.stops()
        return stops * np.concatenate(([1.0], np.cumprod(1 - stops[:-1])))


def indel_lengths(
    law: str | None, mean: float | None, exponent: float | None, longest: int | None
) -> IndelLengths:
    """The law that the options of `esa simulate` choose; None is an option's default.

    Raises:
        UsageError: an option of the other law, or a value out of range.
    """
    law = law or GEOMETRIC
    stray = "--indel-length" if law == ZIPF and mean is not None else None
    stray = "--indel-exponent" if law == GEOMETRIC and exponent is not None else stray
    if stray:
        raise UsageError(f"{stray} has no meaning with the {law} law; leave it out, or choose --indel-law")
    given = {"mean": mean, "exponent": exponent, "longest": longest}
    return IndelLengths(law, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
