"""Fragments, the windows of a sequence that are embedded, and the interface of fragmenters, which choose them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from esa.kernels.arrays import BoolArray, I32Array, I64Array, Int
from esa.kernels.decorator import njit


@dataclass(frozen=True)
class Fragments:
    """n windows of one buffer of base codes.

    Attributes:
        start: ``int64[n]``, first base in the buffer.
        length: ``int32[n]``, number of bases.
        reverse: ``uint8[n]``, 1: the fragment is the reverse complement of its window.
        owner: ``int32[n]``, index of the read or contig that it was cut from; non-decreasing.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int32]
    reverse: NDArray[np.uint8]
    owner: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Fragments:
        return Fragments(self.start[rows], self.length[rows], self.reverse[rows], self.owner[rows])

    def sample(self, most: int, owners: int) -> tuple[Fragments, NDArray[np.bool_]]:
        """(At most ``most`` fragments of each owner, spread evenly; ``bool[owners]``: owners that have more)."""
        rows, thinned = _spread(self.owner, most, owners)
        return self[rows], thinned

    @property
    def arrays(self) -> FragmentArrays:
        """The same for kernels."""
        return FragmentArrays(self.start, self.length, self.reverse, self.owner)


class FragmentArrays(NamedTuple):
    """`Fragments` for kernels: numba takes no dataclasses."""

    start: NDArray[np.int64]
    length: NDArray[np.int32]
    reverse: NDArray[np.uint8]
    owner: NDArray[np.int32]


class MinimizerEdits(NamedTuple):
    """Which single substitutions of fragments could have a minimizer in the middle.

    Attributes:
        begin, end: interval of the minimizer within the oriented fragment.
        plausible: ``int64[n]``. Bit 0: the k-mer in the middle, as it is, could be a minimizer of the reference. Bit
            ``3 * i + x``: it could be one with base i of the k-mer turned into ``base ^ x`` (x from 1 to 3).
    """

    begin: int
    end: int
    plausible: NDArray[np.int64]


class Fragmenter(Protocol):
    """Cuts references and reads into the fragments that an encoder embeds."""

    name: ClassVar[str]
    exact_diagonal: ClassVar[bool]
    """Whether a hit fixes strand and diagonal. If not, it names a window to search on both strands."""

    @property
    def length(self) -> int:
        """Number of bases of a full fragment."""

    @property
    def context(self) -> int | None:
        """Bases before and after a position that decide whether a fragment starts there.

        None: that depends on the whole contig.
        """

    def reference(self, codes: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Fragments:
        """Fragments of the contigs of a reference; none spans two contigs.

        Args:
            codes: ``uint8[bases]``, base codes (`esa.sequence.dna`).
            offsets: ``int64[contigs + 1]``, contig i is ``codes[offsets[i]:offsets[i + 1]]``.
        """

    def queries(
        self, codes: NDArray[np.uint8], offsets: NDArray[np.int64], reads: NDArray[np.int32], stride: int
    ) -> Fragments:
        """Fragments of some reads of a batch.

        Args:
            codes: ``uint8[bases]``, base codes of the batch.
            offsets: ``int64[all reads + 1]``, where the reads begin.
            reads: ``int32[reads]``, indices of the reads, ascending.
            stride: 0: at the fragmenter's own places. s > 0: at every s-th offset of a read, on both strands. Then it
                does no harm if an error has destroyed the read's own minimizers.
        """

    def parameters(self) -> dict[str, Any]:
        """The constructor's keyword arguments, as the index manifest records them."""


@njit
def _spread(owner: I32Array, most: Int, owners: Int) -> tuple[I64Array, BoolArray]:
    """(Rows of at most ``most`` fragments of each owner; ``bool[owners]``, owners with more)."""
    rows = np.empty(len(owner), np.int64)
    thinned = np.zeros(owners, np.bool_)
    made, begin = 0, 0
    while begin < len(owner):
        end = begin
        while end < len(owner) and owner[end] == owner[begin]:
            end += 1
        count = end - begin
        kept = min(count, most)
        thinned[owner[begin]] = kept < count
        for i in range(kept):
            rows[made] = begin + (2 * i + 1) * count // (2 * kept)
            made += 1
        begin = end
    return rows[:made].copy(), thinned
