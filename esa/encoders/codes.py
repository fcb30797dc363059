"""The compact code encoder: a table of what each base at each position adds to 64 numbers.

The signs of the 64 sums are a fragment's code, their sizes say how sure each bit is. All arithmetic is on
integers, so every machine computes the same codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from esa.fragments import Fragments

BITS = 64
"""Bits of a code."""

GROUP = 4
"""Bases looked up together: the table of a group has 4**GROUP rows of sums."""


@dataclass(frozen=True)
class CodeEncoder:
    """Position-specific linear encoder.

    Attributes:
        table: ``int8[length, 4, BITS]``, what base b at position p of the oriented fragment adds.
        bias: ``int16[BITS]``, added to the sums; chosen so that each bit is set in half of the fragments.

    An N counts as an A of the oriented fragment: it costs what a mismatch would.
    """

    table: NDArray[np.int8]
    bias: NDArray[np.int16]

    name: ClassVar[str] = "codes"

    def __post_init__(self) -> None:
        table, bias = self.table, self.bias
        fits = table.ndim == 3 and table.shape[0] % GROUP == 0 and table.shape[1:] == (4, BITS)
        if not fits or bias.shape != (BITS,) or table.dtype != np.int8 or bias.dtype != np.int16:
            raise ValueError(
                f"not a code table: {table.dtype}{list(table.shape)}, {bias.dtype}{list(bias.shape)}"
            )

    @property
    def length(self) -> int:
        """Bases of a fragment."""
        return int(self.table.shape[0])

    @property
    def dimensions(self) -> int:
        return BITS

    @cached_property
    def _grouped(self) -> NDArray[np.int16]:
        """``int16[length / GROUP, 4**GROUP, BITS]``: sums of a group's bases, the first in the low bits."""
        groups = np.zeros((self.length // GROUP, 4**GROUP, BITS), np.int16)
        rows = np.arange(4**GROUP)
        for k in range(GROUP):
            groups += self.table[k::GROUP].astype(np.int16)[:, (rows >> (2 * k)) & 3]
        groups[0] += self.bias
        groups.flags.writeable = False
        return groups

    def embed(self, codes: NDArray[np.uint8], fragments: Fragments) -> NDArray[np.int16]:
        """``int16[len(fragments), BITS]``: the sums whose signs are the code."""
        out = np.empty((len(fragments), BITS), np.int16)
        _embed(self._grouped, codes, fragments.start, fragments.reverse, out)
        return out

    def calibrated(self, codes: NDArray[np.uint8], fragments: Fragments) -> CodeEncoder:
        return self

    def parameters(self) -> dict[str, Any]:
        return {"name": self.name, "length": self.length, "bits": BITS}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"table": self.table, "bias": self.bias}


@njit(cache=True, nogil=True)
def _embed(groups, codes, start, reverse, out):  # type: ignore[no-untyped-def]
    count, _, bits = groups.shape
    length = count * GROUP
    for f in range(len(start)):
        row = out[f]
        row[:] = 0
        for g in range(count):
            index = 0
            if reverse[f]:
                last = start[f] + length - 1 - g * GROUP
                for k in range(GROUP):
                    base = codes[last - k]
                    index |= (3 - base if base < 4 else 0) << (2 * k)
            else:
                first = start[f] + g * GROUP
                for k in range(GROUP):
                    index |= (codes[first + k] & 3) << (2 * k)
            sums = groups[g, index]
            for b in range(bits):
                row[b] += sums[b]
