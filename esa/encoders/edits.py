"""Edit-directed probes: the keys that a fragment would have without one of its errors.

A reference fragment that differs from the read's in one base lies in the bucket of exactly that edit. So a search
looks up the keys of all single substitutions of the query instead of flipping the bits with the smallest margins
(`esa.stores.codes.margin_keys`): the 97 codes of 32 bases share some 42 keys of 24 bits, and those find every
fragment with one error. They find more of those with two or three as well, because an edit that undoes one error
often leaves no key bit flipped by the others.

Of fragments of human chromosome 20 with 1, 2, 3 and 4 substitutions these keys find 1.00, .65, .41 and .26; as many
keys by margins .66, .42, .27 and .18 (shipped codes, key of 24 bits: `scripts/bench_probes.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

GROUP = 4
"""Bases looked up together: the table of a group has 4**GROUP rows of sums."""

KEY_LANES = 32
"""Sums that a key is made of, at most: a round number of them is added and compared at a time."""

SLOTS = 256
"""Of the hash table of a fragment's keys: a power of two, over twice the 97 edits of 32 bases."""
HASH_FACTOR = 0x9E3779B1
HASH_SHIFT = 20
"""Fibonacci hashing (Knuth 1973): the product's middle bits depend on all bits of the key."""


@njit(cache=True, nogil=True)
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


class _Tally(NamedTuple):
    """How often the edits of one fragment lead to each key; a hash table that is emptied by changing its owner.

    owner, entry: ``int64[slots]``, the fragment that a slot belongs to, and its index in the other two arrays.
    keys, times: ``int32``, of which ``used[0]`` belong to the fragment.
    """

    owner: NDArray[np.int64]
    entry: NDArray[np.int64]
    keys: NDArray[np.int32]
    times: NDArray[np.int32]
    used: NDArray[np.int64]


@njit(cache=True, nogil=True)
def _make_tally(edits):  # type: ignore[no-untyped-def]
    slots = SLOTS
    while slots < 2 * edits:
        slots *= 2
    return _Tally(
        np.full(slots, -1, np.int64),
        np.empty(slots, np.int64),
        np.empty(edits, np.int32),
        np.empty(edits, np.int32),
        np.zeros(1, np.int64),
    )


@njit(cache=True, nogil=True)
def _count_key(key, fragment, tally):  # type: ignore[no-untyped-def]
    last = len(tally.owner) - 1
    slot = ((np.int64(key) * HASH_FACTOR) >> HASH_SHIFT) & last
    while tally.owner[slot] == fragment and tally.keys[tally.entry[slot]] != key:
        slot = (slot + 1) & last
    if tally.owner[slot] != fragment:
        tally.owner[slot], tally.entry[slot] = fragment, tally.used[0]
        tally.keys[tally.used[0]] = key
        tally.times[tally.used[0]] = 0
        tally.used[0] += 1
    tally.times[tally.entry[slot]] += 1


@njit(cache=True, nogil=True)
def _commonest_first(tally, most):  # type: ignore[no-untyped-def]
    """Move the commonest keys to the front, behind the own key, ``most`` in all; ties in order of appearance."""
    for t in range(1, most):
        best = t
        for u in range(t + 1, tally.used[0]):
            if tally.times[u] > tally.times[best]:
                best = u
        key, count = tally.keys[best], tally.times[best]
        for u in range(best, t, -1):
            tally.keys[u], tally.times[u] = tally.keys[u - 1], tally.times[u - 1]
        tally.keys[t], tally.times[t] = key, count


@njit(cache=True, nogil=True)
def _key(limit, first, last):  # type: ignore[no-untyped-def]
    """Key whose bit b is set where ``first[b] + last[b] > limit[b]`` (``int32[KEY_LANES]``), without a branch."""
    key = np.int32(0)
    for b in range(KEY_LANES):
        key |= ((limit[b] - first[b] - last[b]) >> np.int32(31)) & (np.int32(1) << np.int32(b))
    return key


@njit(cache=True, nogil=True)
def _count_edits(table, step, rows, sums, fragment, mask, limit, rest, nothing, tally):  # type: ignore[no-untyped-def]
    """Count the keys of all single substitutions of a fragment whose groups have these rows and sums."""
    groups = len(table)
    held = -1
    for p in range(step * (groups - 1) + GROUP):
        # The groups that base p is in: [lo, hi).
        lo, hi = max(0, (p - GROUP + step) // step), min(groups - 1, p // step) + 1
        several = hi - lo > 1
        if lo * groups + hi != held:
            held = lo * groups + hi
            for b in range(KEY_LANES):
                limit[b] = -np.int32(sums[b])
            for g in range(lo, hi):
                old = table[g, rows[g]]
                for b in range(KEY_LANES):
                    limit[b] += old[b]
        for other in range(1, 4):
            first = table[lo, rows[lo] ^ (other << (2 * (p - lo * step)))]
            last = (
                table[hi - 1, rows[hi - 1] ^ (other << (2 * (p - (hi - 1) * step)))] if several else nothing
            )
            if hi - lo > 2:
                rest[:] = limit
                for g in range(lo + 1, hi - 1):
                    rest -= table[g, rows[g] ^ (other << (2 * (p - g * step)))]
                _count_key(_key(rest, first, last) & mask, fragment, tally)
            else:
                _count_key(_key(limit, first, last) & mask, fragment, tally)


@njit(cache=True, nogil=True)
def edited_keys(table, step, codes, start, reverse, embeddings, bits, most):  # type: ignore[no-untyped-def]
    """Distinct keys of each fragment and of its single substitutions: (``int64[n + 1]`` offsets, ``int32`` keys).

    The own key comes first. With more than ``most`` those that the most edits lead to are kept.

    Args:
        table: ``int32[groups, 4**GROUP, KEY_LANES]``, the first sums of a `esa.encoders.codes.CodeEncoder`.
        step: bases between the starts of groups.
        embeddings: the fragments' sums.
        bits: of a key, up to `KEY_LANES` - 2.
    """
    groups = len(table)
    length = step * (groups - 1) + GROUP
    edits = 3 * length + 1
    offsets = np.zeros(len(start) + 1, np.int64)
    out = np.empty(len(start) * min(most, edits), np.int32)
    tally = _make_tally(edits)
    mask = np.int32((np.int64(1) << bits) - 1)
    nothing = np.zeros(KEY_LANES, np.int32)
    limit = np.empty(KEY_LANES, np.int32)
    rest = np.empty(KEY_LANES, np.int32)
    own = np.empty(KEY_LANES, np.int32)
    rows = np.empty(groups, np.int64)
    for f in range(len(start)):
        for b in range(KEY_LANES):
            own[b] = embeddings[f, b]
        for g in range(groups):
            rows[g] = group_row(codes, start[f], reverse[f], length, g * step)
        tally.used[0] = 0
        _count_key(_key(nothing, own, nothing) & mask, f, tally)
        _count_edits(table, step, rows, own, f, mask, limit, rest, nothing, tally)
        kept = min(most, tally.used[0])
        if kept < tally.used[0]:
            _commonest_first(tally, kept)
        at = offsets[f]
        out[at : at + kept] = tally.keys[:kept]
        offsets[f + 1] = at + kept
    return offsets, out[: offsets[-1]].copy()
