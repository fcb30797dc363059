"""Rows and sums of groups, and the keys they make: what codes and the searches for edited fragments have in common."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from esa.kernels.decorator import inline_njit, njit
from esa.kernels.intrinsics import first_item
from esa.sequence.dna import WORD, complement_word, pack_word

GROUP = 4
"""Bases looked up together: the table of a group has 4**GROUP rows of sums."""

_TOGETHER = 3
"""Groups whose rows `sum_rows` adds together; they are written out there."""

KEY_LANES = 32
"""Sums that a key is made of, at most: a round number of them is added and compared at a time."""

HASH_FACTOR = 0x9E3779B1
HASH_SHIFT = 20
"""Fibonacci hashing (Knuth 1973): the product's middle bits depend on all bits of the key."""


@inline_njit
def group_row(codes, start, reverse, length, at):  # type: ignore[no-untyped-def]
    """Row in its table of the group that begins at base ``at`` of an oriented fragment. An N counts as an A."""
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
def load_rows(codes, start, reverse, step, rows):  # type: ignore[no-untyped-def]
    """Each group's row in its table (`group_row`) into ``rows``; whether one of the bases is an N: it counts as
    whatever is quickest then."""
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
def _load_rows_of_word(codes, start, reverse, step, rows):  # type: ignore[no-untyped-def]
    """`load_rows` of as many bases as fill a word."""
    word, holds_n = pack_word(codes, start)
    if reverse:
        word = complement_word(word)
    for g in range(len(rows)):
        rows[g] = (word >> np.uint64(2 * step * g)) & np.uint64(4**GROUP - 1)
    return holds_n


@inline_njit
def sum_rows(table, rows, width, sums):  # type: ignore[no-untyped-def]
    """Sums over the groups of the first ``width`` (a constant) numbers of their rows, in 16 bits."""
    # The slices first, their elements by the loop's own counter: else numba guards each for a negative index, and
    # nothing is vectorised. Several groups at a time, so that the sums go through memory less often.
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
    """``key_of(limit, first, last)``: the ``int32`` key whose bit b is set where ``first[b] + last[b] > limit[b]``
    (``int16[KEY_LANES]``, contiguous), all compared at once."""

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
    """The keys of one fragment; a hash set that is emptied by changing its owner.

    slots: ``int64[slots]``, the fragment that a slot belongs to, above a key of `KEY_LANES` bits.
    keys: ``int32``, of which ``used[0]`` belong to the fragment.
    """

    slots: NDArray[np.int64]
    keys: NDArray[np.int32]
    used: NDArray[np.int64]


@njit
def make_key_set(most):  # type: ignore[no-untyped-def]
    """Room for so many keys."""
    slots = 1
    while slots < 2 * most:
        slots *= 2
    return KeySet(np.full(slots, -1, np.int64), np.empty(most, np.int32), np.zeros(1, np.int64))


@inline_njit
def add_key(key, fragment, found):  # type: ignore[no-untyped-def]
    """Put a key among those of a fragment, if it is not there yet."""
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
