"""Fragments: the windows of a sequence that are embedded, and the interface of the fragmenters that choose them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from esa.kernels.decorator import njit


@dataclass(frozen=True)
class Fragments:
    """n windows of one buffer of base codes.

    Attributes:
        start: ``int64[n]``, first base in the buffer.
        length: ``int32[n]``, bases.
        reverse: ``uint8[n]``, 1 where the fragment is the reverse complement of its window.
        owner: ``int32[n]``, the read or contig it was cut from; non-decreasing.
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
        """At most so many fragments of each owner, spread over it, and ``bool[owners]``: of whom some are left out."""
        rows, thinned = _spread(self.owner, most, owners)
        return self[rows], thinned

    @property
    def arrays(self) -> FragmentArrays:
        """The same, for a kernel."""
        return FragmentArrays(self.start, self.length, self.reverse, self.owner)


class FragmentArrays(NamedTuple):
    """`Fragments` as numba takes them."""

    start: NDArray[np.int64]
    length: NDArray[np.int32]
    reverse: NDArray[np.uint8]
    owner: NDArray[np.int32]


class MinimizerEdits(NamedTuple):
    """Which single substitutions of fragments would have an anchor in the middle.

    Attributes:
        begin, end: the anchor's bases within the oriented fragment.
        plausible: ``int64[n]``: bit 0 is set where the fragment as it is may be an anchor's, bit ``3 * i + x`` where it
            may with base i of the anchor turned into ``base ^ x`` (x from 1 to 3).
    """

    begin: int
    end: int
    plausible: NDArray[np.int64]


class Fragmenter(Protocol):
    """Cuts references and reads into the fragments that an encoder embeds."""

    name: ClassVar[str]
    exact_diagonal: ClassVar[bool]
    """Whether a hit fixes strand and diagonal. If not, it only names a window to search, on both strands."""

    @property
    def length(self) -> int:
        """Bases of a full fragment."""

    @property
    def context(self) -> int | None:
        """Bases before and behind a fragment's start that decide whether it is one; None: only whole contigs tell."""

    def reference(self, codes: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Fragments:
        """Fragments of contigs ``codes[offsets[i]:offsets[i + 1]]``; none spans two contigs."""

    def queries(
        self, codes: NDArray[np.uint8], offsets: NDArray[np.int64], reads: NDArray[np.int32], stride: int
    ) -> Fragments:
        """Fragments of the chosen reads (their indices, ascending).

        ``stride`` 0: at the fragmenter's own places. ``stride`` s > 0: a fragment at every s-th offset of the
        read, on both strands, so that the read's own anchor need not survive.
        """

    def parameters(self) -> dict[str, Any]:
        """What the index manifest records; the constructor's keyword arguments."""


@njit
def _spread(owner, most, owners):  # type: ignore[no-untyped-def]
    """Rows of at most so many fragments of each owner, and whose fragments are not all among them."""
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
