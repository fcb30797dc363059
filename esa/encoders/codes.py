"""The compact code encoder: a table of what the bases at each position add to 64 numbers.

The signs of the 64 sums are a fragment's code, their sizes say how sure each bit is. All arithmetic is on
integers, so every machine computes the same codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from esa.encoders.edits import edited_keys
from esa.encoders.keys import GROUP, KEY_LANES, load_rows, sum_rows
from esa.fragments.base import Fragments, MinimizerEdits
from esa.kernels.decorator import inline_njit, njit
from esa.kernels.intrinsics import load64

BITS = 64
"""Bits of a code."""
_DIGITS = 5
"""Bases and N."""


def groups_of(length: int, step: int) -> int:
    """Groups, ``step`` apart, that cover a fragment of ``length`` bases.

    Raises:
        ValueError: there are none.
    """
    if not 1 <= step <= GROUP or length < GROUP or (length - GROUP) % step:
        raise ValueError(f"groups of {GROUP} bases, {step} apart, do not cover {length} bases")
    return (length - GROUP) // step + 1


@dataclass(frozen=True)
class CodeEncoder:
    """Position-specific sums over groups of `GROUP` neighbouring bases.

    Attributes:
        table: ``int16[groups, 4**GROUP, BITS]``, what a group adds whose bases are the digits of the row (the
            first in the low bits). Group g begins at base ``g * step`` of the oriented fragment.
        step: bases between the starts of groups: `GROUP` where they lie side by side, less where they overlap.

    A group with an N adds the mean of what its bases may be, rounded down: bits that depend on the N are unsure, and
    it costs half of what a mismatch would.
    """

    table: NDArray[np.int16]
    step: int = GROUP

    name: ClassVar[str] = "codes"

    def __post_init__(self) -> None:
        table = self.table
        fits = table.ndim == 3 and len(table) and table.shape[1:] == (4**GROUP, BITS)
        if not fits or table.dtype != np.int16 or not 1 <= self.step <= GROUP:
            raise ValueError(f"not a code table: {table.dtype}{list(table.shape)}, step {self.step}")
        # Read-only, as that of an index: kernels are compiled for one kind.
        object.__setattr__(self, "table", table.view())
        self.table.flags.writeable = False

    @property
    def length(self) -> int:
        """Bases of a fragment."""
        return self.step * (len(self.table) - 1) + GROUP

    @property
    def dimensions(self) -> int:
        return BITS

    def embed(self, codes: NDArray[np.uint8], fragments: Fragments) -> NDArray[np.int16]:
        """``int16[len(fragments), BITS]``: the sums whose signs are the code."""
        codes = np.ascontiguousarray(codes)  # it is read by words
        out = np.empty((len(fragments), BITS), np.int16)
        _embed(self.table, self._means_for(codes), self.step, codes, fragments.start, fragments.reverse, out)
        return out

    def signs(self, codes: NDArray[np.uint8], fragments: Fragments) -> NDArray[np.uint64]:
        """``uint64[len(fragments)]``: the code alone. Bit b is set where sum b of `embed` is positive."""
        codes = np.ascontiguousarray(codes)
        out = np.empty(len(fragments), np.uint64)
        _signs(self.table, self._means_for(codes), self.step, codes, fragments.start, fragments.reverse, out)
        return out

    def edited_keys(
        self,
        codes: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        fragments: Fragments,
        bits: int,
        edits: MinimizerEdits,
        depth: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Keys of ``bits`` bits that fragments with up to ``depth`` edits have: (offsets, keys).

        ``offsets`` are those of the reads that the fragments are cut from, as in `esa.sequence.reads.ReadBatch`.

        ``int64[n + 1]`` and ``int32``, distinct within a fragment. See `esa.encoders.edits.edited_keys`.
        """
        codes = np.ascontiguousarray(codes)
        key_offsets, keys = edited_keys(
            self._key_table, self.step, codes, offsets, fragments.arrays, bits, edits, depth
        )
        return key_offsets, keys

    @cached_property
    def _key_table(self) -> NDArray[np.int16]:
        return np.ascontiguousarray(self.table[:, :, :KEY_LANES])

    @cached_property
    def _means(self) -> NDArray[np.int16]:
        """``int16[groups, _DIGITS**GROUP, BITS]``: the table with N as a fifth base."""
        groups = len(self.table)
        # Axes of the bases: the last one is the lowest digit.
        sums = self.table.astype(np.int32).reshape(groups, *[4] * GROUP, BITS)
        for axis in range(1, GROUP + 1):
            sums = np.concatenate([sums, sums.sum(axis=axis, keepdims=True)], axis=axis)
        unknown = (np.indices([_DIGITS] * GROUP) == _DIGITS - 1).sum(axis=0)
        means = sums // (4**unknown)[None, ..., None]
        return means.reshape(groups, _DIGITS**GROUP, BITS).astype(np.int16)

    def _means_for(self, codes: NDArray[np.uint8]) -> NDArray[np.int16]:
        """`_means`, if there is an N; else nothing."""
        return self._means if codes.size and codes.max() > 3 else np.empty((0, 0, BITS), np.int16)

    def calibrated(self, codes: NDArray[np.uint8], fragments: Fragments) -> CodeEncoder:
        return self

    def parameters(self) -> dict[str, Any]:
        return {"name": self.name, "length": self.length, "step": self.step}

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"table": self.table}


def grouped(table: NDArray[np.int8], bias: NDArray[np.int16]) -> NDArray[np.int16]:
    """The table, groups side by side, that sums ``table`` (``int8[length, 4, BITS]``) base by base, and ``bias``."""
    if len(table) % GROUP:
        raise ValueError(f"{len(table)} bases are not whole groups of {GROUP}")
    groups = np.zeros((len(table) // GROUP, 4**GROUP, BITS), np.int16)
    rows = np.arange(4**GROUP)
    for k in range(GROUP):
        groups += table[k::GROUP].astype(np.int16)[:, (rows >> (2 * k)) & 3]
    groups[0] += bias
    return groups


@njit
def _embed(table, means, step, codes, start, reverse, out):  # type: ignore[no-untyped-def]
    rows = np.empty(len(table), np.int64)
    for f in range(len(start)):
        _sum(table, means, step, codes, start[f], reverse[f], rows, out[f])


@njit
def _signs(table, means, step, codes, start, reverse, out):  # type: ignore[no-untyped-def]
    rows = np.empty(len(table), np.int64)
    sums, positive = np.empty(BITS, np.int16), np.empty(BITS, np.uint8)
    for f in range(len(start)):
        _sum(table, means, step, codes, start[f], reverse[f], rows, sums)
        for b in range(BITS):
            positive[b] = sums[b] > 0
        code = np.uint64(0)
        for byte in range(BITS // 8):
            # Byte k of eight is bit k of the product's last byte.
            word = load64(positive, 8 * byte) * np.uint64(0x0102040810204080)
            code |= (word >> np.uint64(56)) << np.uint64(8 * byte)
        out[f] = code


@inline_njit
def _sum(table, means, step, codes, start, reverse, rows, sums):  # type: ignore[no-untyped-def]
    """Sums of one fragment; ``rows`` (``int64[groups]``) is room, ``means`` serves those that hold an N."""
    if load_rows(codes, start, reverse, step, rows):
        _sum_unknown(means, step, codes, start, reverse, sums)
    else:
        sum_rows(table, rows, BITS, sums)


@inline_njit
def _sum_unknown(means, step, codes, start, reverse, sums):  # type: ignore[no-untyped-def]
    """`_sum` of a fragment that holds an N."""
    groups = len(means)
    length = step * (groups - 1) + GROUP
    sums[:] = 0
    for g in range(groups):
        row = np.int64(0)
        # The first base is the lowest digit.
        for k in range(GROUP - 1, -1, -1):
            at = g * step + k
            base = np.int64(codes[start + length - 1 - at] if reverse else codes[start + at])
            row = row * _DIGITS + (_DIGITS - 1 if base > 3 else 3 - base if reverse else base)
        added = means[g, row]
        for b in range(BITS):
            sums[b] += added[b]
