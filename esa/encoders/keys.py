"""Keys from sums of groups: what the searches for edited fragments have in common."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.compiled import leaf, njit

GROUP = 4
"""Bases looked up together: the table of a group has 4**GROUP rows of sums."""

KEY_LANES = 32
"""Sums that a key is made of, at most: a round number of them is added and compared at a time."""

HASH_FACTOR = 0x9E3779B1
HASH_SHIFT = 20
"""Fibonacci hashing (Knuth 1973): the product's middle bits depend on all bits of the key."""


@leaf
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


@leaf
def key_of(limit, first, last):  # type: ignore[no-untyped-def]
    """Key whose bit b is set where ``first[b] + last[b] > limit[b]`` (``int32[KEY_LANES]``), without a branch."""
    key = np.int32(0)
    for b in range(KEY_LANES):
        key |= ((limit[b] - first[b] - last[b]) >> np.int32(31)) & (np.int32(1) << np.int32(b))
    return key


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


@leaf
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
