"""Table rows of groups of bases, sums of rows, and keys: shared by the code encoder and by edit-directed probes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from esa.kernels.arrays import Bool, I16Array, I32Array, I64Array, Int, U8Array
from esa.kernels.decorator import inline_njit, njit
from esa.kernels.intrinsics import first_item
from esa.sequence.dna import WORD, complement_word, pack_word

GROUP = 4
"""Bases looked up together: the table of a group has ``4**GROUP`` rows."""

_TOGETHER = 3
"""Groups whose rows `sum_rows` adds in one pass; its loop is unrolled by hand."""

KEY_LANES = 32
"""Sums that keys are made of: a whole number of vector registers. Keys have `KEY_LANES` - 2 bits at most."""

HASH_FACTOR = 0x9E3779B1
HASH_SHIFT = 20
"""Fibonacci hashing (Knuth 1973): the product's middle bits depend on all bits of the key."""


class Span(NamedTuple):
    """Bases ``[begin, end)``."""

    begin: Int
    end: Int


class KeyTable(NamedTuple):
    """The first sums of a `esa.encoders.codes.CodeEncoder`, of which keys are made.

    Attributes:
        table: ``int16[groups, 4**GROUP, KEY_LANES]``.
        step: bases between the starts of groups.
    """

    table: I16Array
    step: Int


@inline_njit
def group_row(codes: U8Array, start: Int, reverse: Int, length: Int, at: Int) -> Int:
    """The table row of the group that begins at base ``at`` of an oriented fragment. An N counts as an A.

    Args:
        codes: base codes of the reads or the reference.
        start: first base of the fragment in ``codes``.
        reverse: 1 if the fragment is the reverse complement of its window.
        length: bases of the fragment.
        at: first base of the group within the oriented fragment.
    """
    row = 0
    if reverse:
        last = start + length - 1 - at
        for k in range(GROUP):
            base = codes[last - k]
            row |= (3 - base if base < 4 else 0) << (2 * k)
    else:
        first = start + at
        for k in range(GROUP):
            row |= (codes[first + k] & 3) << (2 * k)
    return row


@inline_njit
def load_rows(codes: U8Array, start: Int, reverse: Int, step: Int, rows: I64Array) -> Bool:
    """Write the table row of each group of a fragment (`group_row`) into ``rows`` (``int64[groups]``).

    Returns whether a base is an N. The rows of its groups are then arbitrary.
    """
    length = step * (len(rows) - 1) + GROUP
    if length == WORD:
        return _load_rows_of_word(codes, start, reverse, step, rows)
    seen = np.uint8(0)
    for i in range(start, start + length):
        seen |= codes[i]
    for g in range(len(rows)):
        rows[g] = group_row(codes, start, reverse, length, g * step)
    return seen > 3


@inline_njit
def _load_rows_of_word(codes: U8Array, start: Int, reverse: Int, step: Int, rows: I64Array) -> Bool:
    """`load_rows` of a fragment of `WORD` bases, packed into one word."""
    word, holds_n = pack_word(codes, start)
    if reverse:
        word = complement_word(word)
    for g in range(len(rows)):
        rows[g] = (word >> np.uint64(2 * step * g)) & np.uint64(4**GROUP - 1)
    return holds_n


@inline_njit
def sum_rows(table: I16Array, rows: I64Array, width: int, sums: I16Array) -> None:
    """Add up the first ``width`` numbers of the groups' table rows into ``sums``, in 16 bits.

    ``width`` is a constant of the caller. ``table`` is ``int16[groups, 4**GROUP, width or more]``.
    """
    # Rows are sliced first and indexed by the loop counter: otherwise numba checks each index for being negative, and
    # nothing is vectorized. Several groups are added per pass, so that the sums go through memory less often.
    sums[:] = 0
    g = 0
    while g + _TOGETHER <= len(rows):
        first, second, third = table[g, rows[g]], table[g + 1, rows[g + 1]], table[g + 2, rows[g + 2]]
        for b in range(width):
            sums[b] += first[b] + second[b] + third[b]
        g += _TOGETHER
    while g < len(rows):
        first = table[g, rows[g]]
        for b in range(width):
            sums[b] += first[b]
        g += 1


@intrinsic
def key_of(_context: Any, limit: Any, first: Any, last: Any) -> Any:
    """``key_of(limit, first, last)``: the ``int32`` key whose bit b is set where ``first[b] + last[b] > limit[b]``.

    All three are contiguous ``int16[KEY_LANES]``. All lanes are compared at once.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = ir.VectorType(ir.IntType(16), KEY_LANES)
        sums = []
        for k in range(3):
            data = first_item(context, builder, signature, arguments, k)
            sums.append(builder.load(builder.bitcast(data, lanes.as_pointer()), align=2))
        left = builder.sub(builder.sub(sums[0], sums[1]), sums[2])
        return builder.bitcast(builder.icmp_signed("<", left, lanes([0] * KEY_LANES)), ir.IntType(KEY_LANES))

    return types.int32(limit, first, last), generate


class KeySet(NamedTuple):
    """The distinct keys of one fragment: a hash table with linear probing, emptied by changing the fragment.

    Attributes:
        slots: ``int64[slots]``, a power of two; the fragment that a slot belongs to, above the `KEY_LANES` bits of a
            key.
        keys: ``int32[max_keys]``, of which the first ``used[0]`` belong to the fragment.
        used: ``int64[1]``.
        mask: the bits of a key.
    """

    slots: I64Array
    keys: I32Array
    used: I64Array
    mask: Int


@njit
def make_key_set(max_keys: Int, bits: Int) -> KeySet:
    """An empty set for up to ``max_keys`` keys of ``bits`` bits."""
    slots = 1
    while slots < 2 * max_keys:
        slots *= 2
    mask = np.int32((np.int64(1) << bits) - 1)
    return KeySet(np.full(slots, -1, np.int64), np.empty(max_keys, np.int32), np.zeros(1, np.int64), mask)


@inline_njit
def add_key(lanes: Int, fragment: Int, found: KeySet) -> None:
    """Add the key in the low bits of ``lanes`` (`key_of`) to those of a fragment, unless it is there."""
    key = lanes & found.mask
    last = len(found.slots) - 1
    entry = (fragment << KEY_LANES) | np.int64(key)
    slot = ((np.int64(key) * HASH_FACTOR) >> HASH_SHIFT) & last
    while found.slots[slot] != entry:
        if found.slots[slot] >> KEY_LANES != fragment:
            found.slots[slot] = entry
            found.keys[found.used[0]] = key
            found.used[0] += 1
            return
        slot = (slot + 1) & last
