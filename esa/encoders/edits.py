"""Edit-directed probes: the keys that a fragment would have without its errors.

A reference fragment that differs from the read's in one base lies in the bucket of exactly that edit. So a search
looks up the keys of all single substitutions of the query instead of flipping the bits with the smallest margins
(`esa.stores.codes.margin_keys`). The edits share few keys. These find nearly every fragment with one error, and also
more of those with several errors: an edit that undoes one error often leaves no key bit flipped by the others.

Two prunings make this cheap. The fragment lies on a minimizer, so an edit in the minimizer's k-mer counts only if the
resulting k-mer could be a minimizer (`esa.fragments.base.MinimizerEdits`). And a key that several edits lead to is
looked up once.

The second table of `make bench-levels` shows which fragments of human chromosome 20 with 1 to 4 substitutions are
found.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.encoders.indels import add_indels, load_windows, make_windows
from esa.encoders.keys import (
    GROUP,
    KEY_LANES,
    KeySet,
    KeyTable,
    Span,
    add_key,
    group_row,
    key_of,
    load_rows,
    make_key_set,
    sum_rows,
)
from esa.fragments.base import FragmentArrays, MinimizerEdits
from esa.kernels.arrays import I16Array, I32Array, I64Array, Int, U8Array
from esa.kernels.decorator import inline_njit, njit

_ALL_BASES = 7
"""Mask of substitutions that allows all three."""


class _Buffers(NamedTuple):
    """Scratch space of one call.

    A mask of substitutions (``uint8[length]``) has bit x - 1 set where the base at a place may be turned into
    ``base ^ x``.

    Attributes:
        limit, rest, nothing: ``int16[KEY_LANES]``, sums; those of ``nothing`` are zero.
        first: mask of the first substitutions.
        second: mask of the second ones: all outside the minimizer.
    """

    limit: I16Array
    rest: I16Array
    nothing: I16Array
    first: U8Array
    second: U8Array


class _Groups(NamedTuple):
    """The groups of one fragment: table rows (``int64[groups]``) and their sums (``int16[KEY_LANES]``)."""

    rows: I64Array
    sums: I16Array


@njit
def _make_buffers(length: Int, minimizer: Span) -> _Buffers:
    second = np.full(length, _ALL_BASES, np.uint8)
    second[minimizer.begin : minimizer.end] = 0
    return _Buffers(
        np.empty(KEY_LANES, np.int16),
        np.empty(KEY_LANES, np.int16),
        np.zeros(KEY_LANES, np.int16),
        np.empty(length, np.uint8),
        second,
    )


@inline_njit
def _groups_with(p: Int, step: Int, groups: Int) -> tuple[Int, Int]:
    """The groups that base p is in: [lo, hi)."""
    return max(0, (p - GROUP + step) // step), min(groups - 1, p // step) + 1


@inline_njit
def _substituted(rows: I64Array, g: Int, step: Int, p: Int, x: Int) -> Int:
    """The table row of group g with base p turned into ``base ^ x``."""
    return rows[g] ^ (x << (2 * (p - g * step)))


@inline_njit
def _subtract_inner_groups(
    tables: KeyTable, rows: I64Array, inner: Span, p: Int, x: Int, buffers: _Buffers
) -> None:
    """``rest`` of the buffers: ``limit`` less the rows of the ``inner`` groups with base p substituted."""
    table, step = tables
    for b in range(KEY_LANES):
        buffers.rest[b] = buffers.limit[b]
    for g in range(inner.begin, inner.end):
        middle = table[g, _substituted(rows, g, step, p, x)]
        for b in range(KEY_LANES):
            buffers.rest[b] -= middle[b]


@inline_njit
def _add_edits(
    tables: KeyTable,
    groups: _Groups,
    begin: Int,
    allowed: U8Array,
    buffers: _Buffers,
    fragment: Int,
    found: KeySet,
) -> None:
    """Add the keys of a fragment's single substitutions from base ``begin`` on that the mask ``allowed`` has."""
    table, step = tables
    rows, sums = groups
    count = len(table)
    limit = buffers.limit
    held = -1
    for p in range(begin, step * (count - 1) + GROUP):
        if allowed[p] == 0:
            continue
        lo, hi = _groups_with(p, step, count)
        several = hi - lo > 1
        if lo * count + hi != held:
            held = lo * count + hi
            for b in range(KEY_LANES):
                limit[b] = -sums[b]
            for g in range(lo, hi):
                old = table[g, rows[g]]
                for b in range(KEY_LANES):
                    limit[b] += old[b]
        for x in range(1, 4):
            if not allowed[p] >> (x - 1) & 1:
                continue
            first = table[lo, _substituted(rows, lo, step, p, x)]
            last = table[hi - 1, _substituted(rows, hi - 1, step, p, x)] if several else buffers.nothing
            if hi - lo > 2:
                _subtract_inner_groups(tables, rows, Span(lo + 1, hi - 1), p, x, buffers)
                add_key(key_of(buffers.rest, first, last), fragment, found)
            else:
                add_key(key_of(limit, first, last), fragment, found)


@inline_njit
def _edit(tables: KeyTable, groups: _Groups, p: Int, x: Int) -> None:
    """Substitute base p in the rows and sums, in place. The same call again undoes it."""
    table, step = tables
    rows, sums = groups
    lo, hi = _groups_with(p, step, len(table))
    for g in range(lo, hi):
        old = rows[g]
        rows[g] = _substituted(rows, g, step, p, x)
        for b in range(KEY_LANES):
            sums[b] += table[g, rows[g], b] - table[g, old, b]


@inline_njit
def _add_double_edits(
    tables: KeyTable, groups: _Groups, buffers: _Buffers, minimizer: Span, fragment: Int, found: KeySet
) -> None:
    """Add the keys of a fragment with two substitutions, at most one of them in the minimizer."""
    first = buffers.first
    for p in range(len(first)):
        begin = 0 if minimizer.begin <= p < minimizer.end else p + 1
        for x in range(1, 4):
            if first[p] >> (x - 1) & 1:
                _edit(tables, groups, p, x)
                _add_edits(tables, groups, begin, buffers.second, buffers, fragment, found)
                _edit(tables, groups, p, x)


@inline_njit
def _load(tables: KeyTable, codes: U8Array, start: Int, reverse: Int, groups: _Groups) -> None:
    """Rows and sums of a fragment's groups.

    Unlike in the embedding, an N is an A here; its substitutions are the other bases that it may be.
    """
    table, step = tables
    rows = groups.rows
    if load_rows(codes, start, reverse, step, rows):
        length = step * (len(rows) - 1) + GROUP
        for g in range(len(rows)):
            rows[g] = group_row(codes, start, reverse, length, g * step)
    sum_rows(table, rows, KEY_LANES, groups.sums)


@inline_njit
def _set_allowed(allowed: U8Array, minimizer: Span, plausible: Int) -> None:
    """The mask of the single substitutions that leave a fragment on a minimizer (`MinimizerEdits`)."""
    for p in range(len(allowed)):
        allowed[p] = _ALL_BASES if plausible & 1 else 0
    for p in range(minimizer.begin, minimizer.end):
        allowed[p] = (plausible >> (1 + 3 * (p - minimizer.begin))) & _ALL_BASES


@njit
def edited_keys(
    tables: KeyTable,
    codes: U8Array,
    offsets: I64Array,
    fragments: FragmentArrays,
    edits: MinimizerEdits,
    bits: Int,
    depth: Int,
) -> tuple[I64Array, I32Array]:
    """Distinct keys of fragments, and of their edits that leave them on minimizers.

    Args:
        tables: of the encoder.
        codes, offsets: the reads, as in `esa.sequence.reads.ReadBatch`.
        fragments: n fragments of them.
        edits: which substitutions leave them on minimizers.
        bits: of a key, up to `KEY_LANES` - 2.
        depth: 1: single substitutions. 2: also two substitutions, at most one of them in the minimizer, and indels of
            one base outside it.

    Returns:
        Offsets (``int64[n + 1]``) and keys (``int32``), grouped by fragment.
    """
    count = len(tables.table)
    length = tables.step * (count - 1) + GROUP
    max_keys = 1 + 3 * length + ((9 * length * (length - 1) // 2 + 10 * length) if depth > 1 else 0)
    start, reverse, owner = fragments.start, fragments.reverse, fragments.owner
    minimizer = Span(edits.begin, edits.end)
    windows = make_windows(count, length)
    buffers = _make_buffers(length, minimizer)
    groups = _Groups(np.empty(count, np.int64), np.empty(KEY_LANES, np.int16))
    found = make_key_set(max_keys, bits)
    key_offsets = np.zeros(len(start) + 1, np.int64)
    out = np.empty(len(start) * 3 * length + max_keys, np.int32)
    for f in range(len(start)):
        key_offsets[f + 1] = key_offsets[f]
        plausible = edits.plausible[f]
        if plausible == 0:
            continue
        _load(tables, codes, start[f], reverse[f], groups)
        found.used[0] = 0
        _set_allowed(buffers.first, minimizer, plausible)
        if plausible & 1:
            add_key(key_of(buffers.nothing, groups.sums, buffers.nothing), f, found)
        _add_edits(tables, groups, 0, buffers.first, buffers, f, found)
        if depth > 1:
            if plausible & 1:
                read = Span(offsets[owner[f]], offsets[owner[f] + 1])
                around = load_windows(tables, codes, start[f], reverse[f], read, windows)
                add_indels(tables, windows, around, minimizer, f, found)
            _add_double_edits(tables, groups, buffers, minimizer, f, found)
        at, end = key_offsets[f], key_offsets[f] + found.used[0]
        key_offsets[f + 1] = end
        if end > len(out):
            grown = np.empty(2 * end, np.int32)
            grown[:at] = out[:at]
            out = grown
        out[at:end] = found.keys[: found.used[0]]
    return key_offsets, out[: key_offsets[-1]].copy()
