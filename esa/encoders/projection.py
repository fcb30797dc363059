"""The code encoder without training: a random projection of the one-hot fragment.

Signs of random projections preserve angles (Charikar 2002, STOC, "Similarity estimation techniques from rounding
algorithms"). Two fragments that differ in a share p of their bases differ in about acos(1 - 4p/3) / pi of the bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from esa.encoders.codes import BITS, CodeEncoder, grouped
from esa.fragments.base import Fragments

SCALE = 32
"""Standard deviation of a table entry: large enough for int8 to resolve, small enough not to saturate often."""


@dataclass(frozen=True)
class ProjectionEncoder(CodeEncoder):
    """A `CodeEncoder` with a random table; its bias is the median over a reference's fragments."""

    name: ClassVar[str] = "projection"

    @classmethod
    def untrained(cls, length: int, seed: int = 1) -> ProjectionEncoder:
        """A random table for fragments of ``length`` bases."""
        rng = np.random.default_rng(seed)
        table = rng.standard_normal((length, 4, BITS)) * SCALE
        table -= table.mean(axis=1, keepdims=True)
        limit = np.iinfo(np.int8).max
        rounded = np.clip(np.rint(table), -limit, limit).astype(np.int8)
        return cls(grouped(rounded, np.zeros(BITS, np.int16)))

    def calibrated(self, codes: NDArray[np.uint8], fragments: Fragments) -> ProjectionEncoder:
        """This encoder with the bias that sets each bit in half of the fragments."""
        if not len(fragments):
            return self
        table = self.table.copy()
        table[0] -= np.rint(np.median(self.embed(codes, fragments), axis=0)).astype(np.int16)
        return ProjectionEncoder(table, self.step)
