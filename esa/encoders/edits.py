"""Edit-directed probes: the keys that a fragment would have without its errors.

A reference fragment that differs from the read's in one base lies in the bucket of exactly that edit. So a search
looks up the keys of all single substitutions of the query instead of flipping the bits with the smallest margins
(`esa.stores.codes.margin_keys`). The edits share few keys, and these find nearly every fragment with one error, and
more of those with several, too: an edit that undoes one error often leaves no key bit flipped by the others.

Two prunings make that cheap. The fragment lies on an anchor, so an edit in the anchor's k-mer counts only if the
k-mer it makes could be an anchor (`esa.fragments.base.MinimizerEdits`). And keys that several edits lead to are
looked up once.

What fragments of human chromosome 20 with 1 to 4 substitutions are found by is in the second table of
`make bench-levels`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.encoders.indels import add_indels, load_windows, make_windows
from esa.encoders.keys import (
    GROUP,
    KEY_LANES,
    add_key,
    group_row,
    key_of,
    load_rows,
    make_key_set,
    sum_rows,
)
from esa.kernels.decorator import inline_njit, njit


class _Buffers(NamedTuple):
    """Of one call: sums (``int16[KEY_LANES]``) and what the base at each place may be turned to.

    wanted: ``uint8[length]``, bit x - 1 is set where base ^ x is to be tried.
    """

    limit: NDArray[np.int16]
    rest: NDArray[np.int16]
    nothing: NDArray[np.int16]
    wanted: NDArray[np.uint8]


@inline_njit
def _groups_with(p, step, groups):  # type: ignore[no-untyped-def]
    """The groups that base p is in: [lo, hi)."""
    return max(0, (p - GROUP + step) // step), min(groups - 1, p // step) + 1


@inline_njit
def _add_edits(table, step, rows, sums, begin, buffers, fragment, mask, found):  # type: ignore[no-untyped-def]
    """Add the keys of the wanted single substitutions, from base ``begin`` on, of a fragment whose groups have these
    rows and sums."""
    groups = len(table)
    limit, rest, nothing, wanted = buffers
    held = -1
    for p in range(begin, step * (groups - 1) + GROUP):
        if wanted[p] == 0:
            continue
        lo, hi = _groups_with(p, step, groups)
        several = hi - lo > 1
        if lo * groups + hi != held:
            held = lo * groups + hi
            for b in range(KEY_LANES):
                limit[b] = -sums[b]
            for g in range(lo, hi):
                old = table[g, rows[g]]
                for b in range(KEY_LANES):
                    limit[b] += old[b]
        for other in range(1, 4):
            if not wanted[p] >> (other - 1) & 1:
                continue
            first = table[lo, rows[lo] ^ (other << (2 * (p - lo * step)))]
            last = (
                table[hi - 1, rows[hi - 1] ^ (other << (2 * (p - (hi - 1) * step)))] if several else nothing
            )
            if hi - lo > 2:
                for b in range(KEY_LANES):
                    rest[b] = limit[b]
                for g in range(lo + 1, hi - 1):
                    middle = table[g, rows[g] ^ (other << (2 * (p - g * step)))]
                    for b in range(KEY_LANES):
                        rest[b] -= middle[b]
                add_key(key_of(rest, first, last) & mask, fragment, found)
            else:
                add_key(key_of(limit, first, last) & mask, fragment, found)


@inline_njit
def _edit(table, step, rows, sums, p, other):  # type: ignore[no-untyped-def]
    """Substitute base p in rows and sums, in place; once more: take it back."""
    lo, hi = _groups_with(p, step, len(table))
    for g in range(lo, hi):
        old = rows[g]
        rows[g] = old ^ (other << (2 * (p - g * step)))
        for b in range(KEY_LANES):
            sums[b] += table[g, rows[g], b] - table[g, old, b]


@inline_njit
def _load(table, step, codes, start, reverse, rows, sums):  # type: ignore[no-untyped-def]
    """Rows and sums of the groups of a fragment. Not the embedding: an N is an A here, and its substitutions are what
    else it may be."""
    if load_rows(codes, start, reverse, step, rows):
        length = step * (len(rows) - 1) + GROUP
        for g in range(len(rows)):
            rows[g] = group_row(codes, start, reverse, length, g * step)
    sum_rows(table, rows, KEY_LANES, sums)


@inline_njit
def _set_wanted(wanted, anchor, plausible):  # type: ignore[no-untyped-def]
    """The single substitutions of a fragment that leave it on an anchor (`esa.fragments.base.MinimizerEdits`)."""
    begin, end = anchor
    for p in range(len(wanted)):
        wanted[p] = 7 if plausible & 1 else 0
    for p in range(begin, end):
        wanted[p] = (plausible >> (1 + 3 * (p - begin))) & 7


@njit
def edited_keys(table, step, codes, offsets, fragments, bits, edits, depth):  # type: ignore[no-untyped-def]
    """Distinct keys of fragments and of their edits that lie on anchors: (``int64[n + 1]`` offsets, ``int32``
    keys).

    Args:
        table: ``int16[groups, 4**GROUP, KEY_LANES]``, the first sums of a `esa.encoders.codes.CodeEncoder`.
        step: bases between the starts of groups.
        codes, offsets: the reads, as in `esa.sequence.reads.ReadBatch`.
        fragments: `esa.fragments.base.FragmentArrays` of them.
        bits: of a key, up to `KEY_LANES` - 2.
        edits: `esa.fragments.base.MinimizerEdits` of the fragments.
        depth: 1: single substitutions; 2: also two of them, one at most in the anchor, and indels of one base outside.
    """
    groups = len(table)
    length = step * (groups - 1) + GROUP
    most = 1 + 3 * length + ((9 * length * (length - 1) // 2 + 10 * length) if depth > 1 else 0)
    start, reverse, owner = fragments.start, fragments.reverse, fragments.owner
    anchor, plausible = (edits.begin, edits.end), edits.plausible
    windows = make_windows(groups, length)
    key_offsets = np.zeros(len(start) + 1, np.int64)
    out = np.empty(len(start) * 3 * length + most, np.int32)
    found = make_key_set(most)
    mask = np.int32((np.int64(1) << bits) - 1)
    buffers = _Buffers(
        np.empty(KEY_LANES, np.int16),
        np.empty(KEY_LANES, np.int16),
        np.zeros(KEY_LANES, np.int16),
        np.empty(length, np.uint8),
    )
    first, second = np.empty(length, np.uint8), np.full(length, 7, np.uint8)
    second[anchor[0] : anchor[1]] = 0
    sums = np.empty(KEY_LANES, np.int16)
    rows = np.empty(groups, np.int64)
    for f in range(len(start)):
        key_offsets[f + 1] = key_offsets[f]
        if plausible[f] == 0:
            continue
        _load(table, step, codes, start[f], reverse[f], rows, sums)
        found.used[0] = 0
        _set_wanted(first, anchor, plausible[f])
        if plausible[f] & 1:
            add_key(key_of(buffers.nothing, sums, buffers.nothing) & mask, f, found)
        buffers.wanted[:] = first
        _add_edits(table, step, rows, sums, 0, buffers, f, mask, found)
        if depth > 1:
            if plausible[f] & 1:
                bounds = (offsets[owner[f]], offsets[owner[f] + 1])
                around = load_windows(table, step, codes, start[f], reverse[f], bounds, windows)
                add_indels(table, step, windows, around, anchor, mask, f, found)
            buffers.wanted[:] = second
            for p in range(length):
                begin = 0 if anchor[0] <= p < anchor[1] else p + 1
                for other in range(1, 4):
                    if first[p] >> (other - 1) & 1:
                        _edit(table, step, rows, sums, p, other)
                        _add_edits(table, step, rows, sums, begin, buffers, f, mask, found)
                        _edit(table, step, rows, sums, p, other)
        at, end = key_offsets[f], key_offsets[f] + found.used[0]
        key_offsets[f + 1] = end
        if end > len(out):
            grown = np.empty(2 * end, np.int32)
            grown[:at] = out[:at]
            out = grown
        out[at:end] = found.keys[: found.used[0]]
    return key_offsets, out[: key_offsets[-1]].copy()
