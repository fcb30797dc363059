"""The minimizer fragmenter: short windows around minimizers, on their canonical strand.

It is *content-defined*: it cuts a read and its reference at the same places and on the same strand. So a fragment of
the read equals its reference fragment base for base, errors aside.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from esa.fragments.base import Fragments, MinimizerEdits
from esa.kernels.arrays import BoolArray, I32Array, I64Array, Int, U8Array, U64Array, Word
from esa.kernels.decorator import inline_njit, njit
from esa.sequence.hashing import mix64


@dataclass(frozen=True)
class MinimizerFragmenter:
    """Fragments centred on minimizers, on the minimizer's canonical strand.

    A *minimizer* is a k-mer with the smallest hash among ``window`` neighbouring k-mers (Roberts et al. 2004,
    Bioinformatics 20:3363). The hash is that of the canonical k-mer, the smaller of the k-mer and its reverse
    complement. In a tie all are minimizers, so a sequence and its reverse complement have the same ones. A k-mer that
    is its own reverse complement has no canonical strand and is no minimizer, nor is one with an N. The fragment is the
    2 * ``half`` bases around the minimizer, reverse complemented if the canonical k-mer is.

    Attributes:
        k: number of bases of a minimizer, even.
        window: number of k-mers of which the smallest is a minimizer.
        half: half the number of bases of a fragment.

    Raises:
        ValueError: There are no minimizers or fragments with these parameters.
    """

    k: int = 10
    window: int = 16
    half: int = 16

    name: ClassVar[str] = "anchored"
    exact_diagonal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        # With an even k, the fragment is centred on the minimizer on both strands.
        if self.k % 2 or not 4 <= self.k <= LONGEST_MINIMIZER or self.window < 1 or 2 * self.half < self.k:
            raise ValueError(f"no minimizers can be found with {self}")

    @property
    def length(self) -> int:
        """Number of bases of every fragment."""
        return 2 * self.half

    @property
    def context(self) -> int:
        """Bases before and after a position that decide whether a fragment starts there."""
        # All windows with the minimizer, which lies in the fragment, and the fragment itself.
        return self.window + self.k + self.length

    def reference(self, codes: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Fragments:
        """Fragments around the minimizers of contigs, except those that hold an N."""
        start, reverse, owner = _on_minimizers(
            codes, offsets, np.arange(len(offsets) - 1, dtype=np.int32), self.k, self.window, self.half
        )
        clean = _without_n(codes, start, self.length)
        return _fragments(start[clean], reverse[clean], owner[clean], self.length)

    def queries(
        self, codes: NDArray[np.uint8], offsets: NDArray[np.int64], reads: NDArray[np.int32], stride: int
    ) -> Fragments:
        """Fragments around the minimizers of some reads, or at every ``stride``-th offset on both strands."""
        if stride:
            start, reverse, owner = _sliding(offsets, reads, stride, self.length)
        else:
            start, reverse, owner = _on_minimizers(codes, offsets, reads, self.k, self.window, self.half)
        return _fragments(start, reverse, owner, self.length)

    def minimizer_edits(
        self, codes: NDArray[np.uint8], fragments: Fragments, on_minimizers: bool
    ) -> MinimizerEdits:
        """Which substitutions would make the k-mer in the middle of each fragment a plausible minimizer.

        A minimizer has the smallest of ``window`` hashes, hence hardly ever a large one. So of all substitutions in a
        k-mer only those count that lead to a hash among the lowest `PLAUSIBLE` / ``window`` of all hashes.

        Args:
            codes: ``uint8``, base codes that the fragments were cut from.
            fragments: Of this fragmenter.
            on_minimizers: The fragments lie on minimizers, so each is plausible as it is.
        """
        begin = self.half - self.k // 2
        limit = np.uint64(min(1.0, PLAUSIBLE / self.window) * _LARGEST_HASH)
        plausible = _plausible_edits(codes, fragments.start, fragments.reverse, self.k, self.half, limit)
        if on_minimizers:
            plausible |= 1
        return MinimizerEdits(begin, begin + self.k, plausible)

    def parameters(self) -> dict[str, Any]:
        """The constructor's keyword arguments, as the index manifest records them."""
        return asdict(self)


LONGEST_MINIMIZER = 20
"""Longest k-mer whose substitutions fit a mask of 64 bits (`MinimizerEdits`)."""
PLAUSIBLE = 4.5
"""Hashes are uniform. With x this over the window, w, a share of ``(1 - x)**w * (w + 1 - (w - 1) * (1 - x)) / 2``
of the minimizers have a hash beyond x: 1.6 % for w = 16."""


def _fragments(
    start: NDArray[np.int64], reverse: NDArray[np.uint8], owner: NDArray[np.int32], length: int
) -> Fragments:
    return Fragments(start, np.full(len(start), length, np.int32), reverse, owner)


_NO_MINIMIZER = np.uint64(0xFFFFFFFFFFFFFFFF)
BLOCK = 512
"""K-mers whose windows are handled together: with the scratch space, they stay in the L1 cache."""
_LARGEST_HASH = 2.0**64 - 2.0**11
"""The largest ``uint64`` that a float of 64 bits holds."""


@inline_njit
def _hash_kmers(codes: U8Array, lo: Int, hi: Int, k: Int, hashes: U64Array, strands: U8Array) -> None:
    """Write the hash and canonical strand of each k-mer of ``codes[lo:hi]``; `_NO_MINIMIZER` if it can be none."""
    mask = np.uint64((1 << (2 * k)) - 1)
    shift = np.uint64(2 * (k - 1))
    forward = np.uint64(0)
    backward = np.uint64(0)
    valid = 0
    for i in range(lo, hi):
        base = codes[i]
        if base > 3:
            valid = 0
        else:
            forward = ((forward << np.uint64(2)) | np.uint64(base)) & mask
            backward = (backward >> np.uint64(2)) | (np.uint64(3 - base) << shift)
            valid += 1
        j = i - lo - k + 1
        if j >= 0:
            if valid >= k and forward != backward:
                hashes[j] = mix64(min(forward, backward))
                strands[j] = backward < forward
            else:
                hashes[j] = _NO_MINIMIZER


@njit
def _plausible_edits(
    codes: U8Array, start: I64Array, reverse: U8Array, k: Int, half: Int, limit: Word
) -> I64Array:
    """`MinimizerEdits.plausible` of fragments.

    An edit is plausible if the k-mer in the middle then hashes to ``limit`` or less and its canonical strand is that of
    the fragment.
    """
    plausible = np.zeros(len(start), np.int64)
    for f in range(len(start)):
        forward, backward = np.uint64(0), np.uint64(0)
        valid = True
        for i in range(k):
            # The k-mer lies in the middle on either strand.
            base = codes[start[f] + half - k // 2 + i]
            valid &= base < 4
            forward = (forward << np.uint64(2)) | np.uint64(base & 3)
            backward |= np.uint64(3 - (base & 3)) << np.uint64(2 * i)
        if not valid:
            continue
        if reverse[f]:
            forward, backward = backward, forward
        if forward < backward and mix64(forward) <= limit:
            plausible[f] = 1
        for i in range(k):
            for x in range(1, 4):
                mine = forward ^ (np.uint64(x) << np.uint64(2 * (k - 1 - i)))
                other = backward ^ (np.uint64(x) << np.uint64(2 * i))
                if mine < other and mix64(mine) <= limit:
                    plausible[f] |= np.int64(1) << (3 * i + x)
    return plausible


@inline_njit
def _slide(values: U64Array, spare: U64Array, count: Int, window: Int) -> None:
    """Replace each of the first ``count`` values by the smallest of the ``window`` values from it on.

    By doubling: the smallest of 2, 4, 8 values and so on, without branches, for a vector of windows at a time.
    """
    source, target = values, spare
    span, moved = 1, False
    while span < window:
        step = min(span, window - span)
        span += step
        for i in range(np.uint64(count + window - span)):
            target[i] = min(source[i], source[i + np.uint64(step)])
        source, target, moved = target, source, not moved
    if moved:
        for i in range(np.uint64(count)):
            values[i] = spare[i]


@inline_njit
def _minimizers(hashes: U64Array, n: Int, window: Int, out: I64Array, scratch: U64Array) -> Int:
    """Write to ``out`` the indices (ascending) of the smallest hashes of each window of ``hashes[:n]``, all ties.

    Returns how many there are. A sequence with fewer k-mers than a window is one window. ``out``: ``int64[>= n]``.
    ``scratch``: scratch space, ``uint64[2, columns]``, at least 3 * ``window`` columns. With c columns,
    c - 2 * ``window`` k-mers are handled at a time.

    A hash is the smallest of a window if it equals the largest of the minima of the windows that it lies in. A scan
    that keeps the minimum of the current window takes twice as long, with a branch misprediction at most changes.
    """
    block = scratch.shape[1] - 2 * window
    window = min(window, n)
    lowest, spare = scratch[0], scratch[1]
    count = np.uint64(0)
    for begin in range(0, n, block):
        end = min(n, begin + block)
        # First of the windows that hold one of these k-mers.
        first = begin - window + 1
        windows = end - first
        inside, beyond = max(0, -first), min(n - first, windows + window - 1)
        lowest[:inside] = _NO_MINIMIZER
        for i in range(np.uint64(inside), np.uint64(beyond)):
            lowest[i] = hashes[np.uint64(first) + i]
        lowest[beyond : windows + window - 1] = _NO_MINIMIZER
        _slide(lowest, spare, windows, window)
        # The largest, as the smallest of the complements; what reaches beyond the ends is no window.
        for i in range(np.uint64(windows)):
            lowest[i] = ~lowest[i]
        lowest[:inside] = _NO_MINIMIZER
        lowest[n - begin : windows] = _NO_MINIMIZER
        _slide(lowest, spare, end - begin, window)
        for i in range(np.uint64(end - begin)):
            value = hashes[np.uint64(begin) + i]
            out[count] = np.uint64(begin) + i
            count += np.uint64((value == ~lowest[i]) & (value != _NO_MINIMIZER))
    return np.int64(count)


@njit
def _on_minimizers(
    codes: U8Array, offsets: I64Array, owners: I32Array, k: Int, window: Int, half: Int
) -> tuple[I64Array, U8Array, I32Array]:
    """(Start, orientation, owner) of the fragments around minimizers of ``codes[offsets[o]:offsets[o + 1]]``."""
    longest = 0
    total = 0
    for o in owners:
        n = offsets[o + 1] - offsets[o]
        longest = max(longest, n)
        total += max(0, n - 2 * half + 1)
    hashes = np.empty(longest + 1, np.uint64)
    strands = np.empty(longest + 1, np.uint8)
    picked = np.empty(longest + 1, np.int64)
    scratch = np.empty((2, max(BLOCK, window) + 2 * window), np.uint64)
    start = np.empty(total, np.int64)
    reverse = np.empty(total, np.uint8)
    owner = np.empty(total, np.int32)
    count = 0
    for o in owners:
        lo = offsets[o]
        hi = offsets[o + 1]
        if hi - lo < 2 * half:
            continue
        _hash_kmers(codes, lo, hi, k, hashes, strands)
        for p in range(_minimizers(hashes, hi - lo - k + 1, window, picked, scratch)):
            first = lo + picked[p] + k // 2 - half
            if first >= lo and first + 2 * half <= hi:
                start[count] = first
                reverse[count] = strands[picked[p]]
                owner[count] = o
                count += 1
    return start[:count].copy(), reverse[:count].copy(), owner[:count].copy()


@njit
def _sliding(
    offsets: I64Array, reads: I32Array, stride: Int, length: Int
) -> tuple[I64Array, U8Array, I32Array]:
    """(Start, orientation, owner) of a fragment at every ``stride``-th offset, on both strands."""
    total = 0
    for r in reads:
        total += 2 * max(0, (offsets[r + 1] - offsets[r] - length) // stride + 1)
    start = np.empty(total, np.int64)
    reverse = np.empty(total, np.uint8)
    owner = np.empty(total, np.int32)
    count = 0
    for r in reads:
        for first in range(offsets[r], offsets[r + 1] - length + 1, stride):
            for strand in range(2):
                start[count] = first
                reverse[count] = strand
                owner[count] = r
                count += 1
    return start[:count], reverse[:count], owner[:count]


@njit
def _without_n(codes: U8Array, start: I64Array, length: Int) -> BoolArray:
    """``bool[windows]``: the window holds no N. ``start``: ``int64[windows]``, ascending."""
    clean = np.empty(len(start), np.bool_)
    scanned = 0
    last_n = -1
    for i in range(len(start)):
        scanned = max(scanned, start[i])
        while scanned < start[i] + length:
            if codes[scanned] > 3:
                last_n = scanned
            scanned += 1
        clean[i] = last_n < start[i]
    return clean
