"""The compact code encoder: 64 sums over a table of contributions of the bases at each position.

The signs of the sums are a fragment's code; their absolute values are the margins of the bits. All arithmetic is on
integers, so every machine computes the same codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.encoders.edits import edited_keys
from esa.encoders.keys import GROUP, KEY_LANES, KeyTable, load_rows, sum_rows
from esa.fragments.base import Fragments, MinimizerEdits
from esa.kernels.arrays import I16Array, I64Array, Int, U8Array, U64Array
from esa.kernels.decorator import inline_njit, njit
from esa.kernels.intrinsics import load64

BITS = 64
"""Bits of a code."""
_DIGITS = 5
"""Bases and N: digits of a row of `CodeTables.means`."""


class CodeTables(NamedTuple):
    """What kernels take of a `CodeEncoder`.

    Attributes:
        table: ``int16[groups, 4**GROUP, BITS]``.
        means: ``int16[groups, 5**GROUP, BITS]``, the table with N as a fifth base; empty where no base is an N.
        step: bases between the starts of groups.
    """

    table: I16Array
    means: I16Array
    step: Int


def groups_of(length: int, step: int) -> int:
    """Number of groups, ``step`` bases apart, that cover a fragment of ``length`` bases.

    Raises:
        ValueError: such groups do not cover it exactly.
    """
    if not 1 <= step <= GROUP or length < GROUP or (length - GROUP) % step:
        raise ValueError(f"groups of {GROUP} bases, {step} apart, do not cover {length} bases")
    return (length - GROUP) // step + 1


@dataclass(frozen=True)
class CodeEncoder:
    """Position-specific sums over groups of `GROUP` neighbouring bases.

    A group with an N adds the mean over the bases that the N may be, rounded down. So bits that depend on the N have
    small margins, and an N costs half of what a mismatch would.

    Attributes:
        table: ``int16[groups, 4**GROUP, BITS]``, contributions of groups. The bases of a group are the base-4 digits of
            its row, the first base in the low bits. Group g begins at base ``g * step`` of the oriented fragment.
        step: bases between the starts of groups: `GROUP` where they are adjacent, less where they overlap.

    Raises:
        ValueError: a table of another shape or dtype, or a step out of range.
    """

    table: NDArray[np.int16]
    step: int = GROUP

    name: ClassVar[str] = "codes"

    def __post_init__(self) -> None:
        table = self.table
        fits = table.ndim == 3 and len(table) and table.shape[1:] == (4**GROUP, BITS)
        if not fits or table.dtype != np.int16 or not 1 <= self.step <= GROUP:
            raise ValueError(f"not a code table: {table.dtype}{list(table.shape)}, step {self.step}")
        # Read-only, like that of an index: so kernels are compiled for one array type only.
        object.__setattr__(self, "table", table.view())
        self.table.flags.writeable = False

    @property
    def length(self) -> int:
        """Bases of a fragment."""
        return self.step * (len(self.table) - 1) + GROUP

    @property
    def dimensions(self) -> int:
        """Components of an embedding: `BITS`."""
        return BITS

    def embed(self, codes: NDArray[np.uint8], fragments: Fragments) -> NDArray[np.int16]:
        """``int16[len(fragments), BITS]``: the sums whose signs are the code."""
        codes = np.ascontiguousarray(codes)  # read by words
        out = np.empty((len(fragments), BITS), np.int16)
        _embed(self._tables_for(codes), codes, fragments.start, fragments.reverse, out)
        return out

    def signs(self, codes: NDArray[np.uint8], fragments: Fragments) -> NDArray[np.uint64]:
        """``uint64[len(fragments)]``: the codes alone. Bit b is set where sum b of `embed` is positive."""
        codes = np.ascontiguousarray(codes)
        out = np.empty(len(fragments), np.uint64)
        _signs(self._tables_for(codes), codes, fragments.start, fragments.reverse, out)
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
        """Keys of fragments with up to ``depth`` edits (`esa.encoders.edits.edited_keys`).

        Args:
            codes, offsets: the reads that the fragments are cut from, as in `esa.sequence.reads.ReadBatch`.
            fragments: n fragments.
            bits: of a key.
            edits: which substitutions leave the fragments on minimizers.
            depth: 1 or 2.

        Returns:
            Offsets (``int64[n + 1]``) and keys (``int32``), distinct within a fragment.
        """
        codes = np.ascontiguousarray(codes)
        key_offsets, keys = edited_keys(self._key_table, codes, offsets, fragments.arrays, edits, bits, depth)
        return key_offsets, keys

    @cached_property
    def _key_table(self) -> KeyTable:
        return KeyTable(np.ascontiguousarray(self.table[:, :, :KEY_LANES]), self.step)

    @cached_property
    def _means(self) -> NDArray[np.int16]:
        """`CodeTables.means`."""
        groups = len(self.table)
        # One axis per base; the last one is the lowest digit.
        sums = self.table.astype(np.int32).reshape(groups, *[4] * GROUP, BITS)
        for axis in range(1, GROUP + 1):
            sums = np.concatenate([sums, sums.sum(axis=axis, keepdims=True)], axis=axis)
        unknown = (np.indices([_DIGITS] * GROUP) == _DIGITS - 1).sum(axis=0)
        means = sums // (4**unknown)[None, ..., None]
        return means.reshape(groups, _DIGITS**GROUP, BITS).astype(np.int16)

    def _tables_for(self, codes: NDArray[np.uint8]) -> CodeTables:
        """The tables for these base codes: `_means` only if there is an N."""
        means = self._means if codes.size and codes.max() > 3 else np.empty((0, 0, BITS), np.int16)
        return CodeTables(self.table, means, self.step)

    def calibrated(self, codes: NDArray[np.uint8], fragments: Fragments) -> CodeEncoder:
        """This encoder: nothing is fitted to the reference."""
        return self

    def parameters(self) -> dict[str, Any]:
        """Parameters for the index manifest."""
        return {"name": self.name, "length": self.length, "step": self.step}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The table."""
        return {"table": self.table}


def grouped(table: NDArray[np.int8], bias: NDArray[np.int16]) -> NDArray[np.int16]:
    """The table of adjacent groups that is equivalent to a table by base and a bias.

    Args:
        table: ``int8[length, 4, BITS]``, contributions of the bases at each position.
        bias: ``int16[BITS]``, added to the sums.

    Returns:
        ``int16[length / GROUP, 4**GROUP, BITS]``.

    Raises:
        ValueError: the length is not a multiple of `GROUP`.
    """
    if len(table) % GROUP:
        raise ValueError(f"{len(table)} bases are not whole groups of {GROUP}")
    groups = np.zeros((len(table) // GROUP, 4**GROUP, BITS), np.int16)
    rows = np.arange(4**GROUP)
    for k in range(GROUP):
        groups += table[k::GROUP].astype(np.int16)[:, (rows >> (2 * k)) & 3]
    groups[0] += bias
    return groups


@njit
def _embed(tables: CodeTables, codes: U8Array, start: I64Array, reverse: U8Array, out: I16Array) -> None:
    """`CodeEncoder.embed` into ``out``."""
    rows = np.empty(len(tables.table), np.int64)
    for f in range(len(start)):
        _sum(tables, codes, start[f], reverse[f], rows, out[f])


@njit
def _signs(tables: CodeTables, codes: U8Array, start: I64Array, reverse: U8Array, out: U64Array) -> None:
    """`CodeEncoder.signs` into ``out``."""
    rows = np.empty(len(tables.table), np.int64)
    sums, positive = np.empty(BITS, np.int16), np.empty(BITS, np.uint8)
    for f in range(len(start)):
        _sum(tables, codes, start[f], reverse[f], rows, sums)
        for b in range(BITS):
            positive[b] = sums[b] > 0
        code = np.uint64(0)
        for byte in range(BITS // 8):
            # Byte k of the eight becomes bit k of the product's highest byte.
            word = load64(positive, 8 * byte) * np.uint64(0x0102040810204080)
            code |= (word >> np.uint64(56)) << np.uint64(8 * byte)
        out[f] = code


@inline_njit
def _sum(
    tables: CodeTables, codes: U8Array, start: Int, reverse: Int, rows: I64Array, sums: I16Array
) -> None:
    """Write the sums of one fragment; ``rows`` (``int64[groups]``) is scratch space."""
    if load_rows(codes, start, reverse, tables.step, rows):
        _sum_unknown(tables.means, tables.step, codes, start, reverse, sums)
    else:
        sum_rows(tables.table, rows, BITS, sums)


@inline_njit
def _sum_unknown(
    means: I16Array, step: Int, codes: U8Array, start: Int, reverse: Int, sums: I16Array
) -> None:
    """`_sum` of a fragment with an N."""
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
