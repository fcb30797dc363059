"""The fixed-stride fragmenter: long overlapping windows for encoders that bear shifts and either strand."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from esa.fragments.base import Fragments
from esa.kernels.decorator import njit


@dataclass(frozen=True)
class FixedFragmenter:
    """Windows of ``length`` bases at every ``stride``-th base, the last one flush with the sequence's end.

    A sequence of at most ``length`` bases is one window. Fragments are never reversed: the encoder must not
    tell a strand from the other, and a hit names a window of the reference, not a diagonal.

    Attributes:
        length: bases of a full fragment.
        stride: bases between the starts of neighbours.
        shortest: contigs with fewer bases have no fragment.
    """

    length: int = 256
    stride: int = 128
    shortest: int = 64

    name: ClassVar[str] = "fixed"
    exact_diagonal: ClassVar[bool] = False

    def __post_init__(self) -> None:
        # A stride beyond the length would leave bases that no fragment covers.
        if not 1 <= self.stride <= self.length or not 1 <= self.shortest <= self.length:
            raise ValueError(f"no sequence can be covered with {self}")

    @property
    def context(self) -> None:
        return None

    def reference(self, codes: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Fragments:
        """Fragments of contigs of at least ``shortest`` bases, without those that are more than half N."""
        contigs = np.arange(len(offsets) - 1, dtype=np.int32)
        start, length, owner = _windows(offsets, contigs, self.length, self.stride, self.shortest)
        known = _mostly_known(codes, start, length)
        return _forward(start[known], length[known], owner[known])

    def queries(
        self, codes: NDArray[np.uint8], offsets: NDArray[np.int64], reads: NDArray[np.int32], stride: int
    ) -> Fragments:
        """Windows of the chosen reads; ``stride`` s > 0 takes the place of the fragmenter's own."""
        return _forward(*_windows(offsets, reads, self.length, stride or self.stride, 1))

    def parameters(self) -> dict[str, Any]:
        return asdict(self)


def _forward(start: NDArray[np.int64], length: NDArray[np.int32], owner: NDArray[np.int32]) -> Fragments:
    return Fragments(start, length, np.zeros(len(start), np.uint8), owner)


@njit
def _windows(offsets, owners, length, stride, shortest):  # type: ignore[no-untyped-def]
    """Start, length and owner of the windows of ``offsets[o]:offsets[o + 1]``."""
    total = 0
    for o in owners:
        total += max(0, offsets[o + 1] - offsets[o] - length + stride - 1) // stride + 1
    start = np.empty(total, np.int64)
    lengths = np.empty(total, np.int32)
    owner = np.empty(total, np.int32)
    count = 0
    for o in owners:
        lo = offsets[o]
        hi = offsets[o + 1]
        if hi - lo < shortest:
            continue
        last = max(lo, hi - length)
        first = lo
        while True:
            start[count] = min(first, last)
            lengths[count] = min(length, hi - lo)
            owner[count] = o
            count += 1
            if first >= last:
                break
            first += stride
    return start[:count].copy(), lengths[:count].copy(), owner[:count].copy()


@njit
def _mostly_known(codes, start, length):  # type: ignore[no-untyped-def]
    """Which windows are N in at most half of their bases."""
    known = np.empty(len(start), np.bool_)
    for i in range(len(start)):
        unknown = 0
        for j in range(start[i], start[i] + length[i]):
            unknown += codes[j] > 3
        known[i] = 2 * unknown <= length[i]
    return known
