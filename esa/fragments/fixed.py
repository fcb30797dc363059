"""The fixed-stride fragmenter: long overlapping windows, for encoders that tolerate shifts and either strand."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from esa.fragments.base import Fragments
from esa.kernels.arrays import BoolArray, I32Array, I64Array, Int, U8Array
from esa.kernels.decorator import njit


@dataclass(frozen=True)
class FixedFragmenter:
    """Windows of ``length`` bases at every ``stride``-th base, the last one flush with the sequence's end.

    A sequence of at most ``length`` bases is one window. Fragments are never reversed, so the encoder must give both
    strands the same embedding. A hit names a window of the reference, not a diagonal.

    Attributes:
        length: number of bases of a full fragment.
        stride: number of bases between the starts of neighbours.
        shortest: a contig with fewer bases has no fragment.

    Raises:
        ValueError: With these parameters some bases would lie in no fragment.
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
        """The whole contig decides where its last window starts."""
        return None

    def reference(self, codes: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Fragments:
        """Windows of the contigs of at least ``shortest`` bases, except those that are more than half N."""
        contigs = np.arange(len(offsets) - 1, dtype=np.int32)
        start, length, owner = _windows(offsets, contigs, self.length, self.stride, self.shortest)
        known = _mostly_known(codes, start, length)
        return _forward(start[known], length[known], owner[known])

    def queries(
        self, codes: NDArray[np.uint8], offsets: NDArray[np.int64], reads: NDArray[np.int32], stride: int
    ) -> Fragments:
        """Windows of some reads. A ``stride`` above 0 replaces the fragmenter's own."""
        return _forward(*_windows(offsets, reads, self.length, stride or self.stride, 1))

    def parameters(self) -> dict[str, Any]:
        """The constructor's keyword arguments, as the index manifest records them."""
        return asdict(self)


def _forward(start: NDArray[np.int64], length: NDArray[np.int32], owner: NDArray[np.int32]) -> Fragments:
    return Fragments(start, length, np.zeros(len(start), np.uint8), owner)


@njit
def _windows(
    offsets: I64Array, owners: I32Array, length: Int, stride: Int, shortest: Int
) -> tuple[I64Array, I32Array, I32Array]:
    """(Start, length, owner) of the windows of each sequence ``offsets[o]:offsets[o + 1]`` of the ``owners``."""
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
def _mostly_known(codes: U8Array, start: I64Array, length: I32Array) -> BoolArray:
    """``bool[windows]``: at most half of the bases are N."""
    known = np.empty(len(start), np.bool_)
    for i in range(len(start)):
        unknown = 0
        for j in range(start[i], start[i] + length[i]):
            unknown += codes[j] > 3
        known[i] = 2 * unknown <= length[i]
    return known
