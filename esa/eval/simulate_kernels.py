"""The random walk behind `esa.eval.simulate`, compiled."""

from __future__ import annotations

import math

import numpy as np

from esa.io.records import NONE
from esa.kernels.decorator import njit
from esa.sequence.hashing import GAMMA, splitmix64, uniform

MAX_ATTEMPTS = 1000
"""Draws of a fragment's place before the reference is said to have none."""


@njit
def _below(state, bound):  # type: ignore[no-untyped-def]
    """An integer in [0, bound)."""
    return int(uniform(state) * bound)


@njit
def _normal(state):  # type: ignore[no-untyped-def]
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(state)))
    return radius * math.cos(2.0 * math.pi * uniform(state))


@njit
def _indel_length(state, stops):  # type: ignore[no-untyped-def]
    """A length by its law, as `esa.eval.simulate_indels.IndelLengths.stops` gives it."""
    length = 1
    while length < len(stops) and uniform(state) >= stops[length - 1]:
        length += 1
    return length


@njit
def _walk(state, substitutions, indels, stops, source, change):  # type: ignore[no-untyped-def]
    """Plan a read: where each base comes from and how it is changed.

    ``source`` (``int64[length]``) gets the base's distance from the read's 5' end on the reference, or `NONE`
    for an inserted base; ``change`` (``uint8[length]``) what is added to its code, or the inserted base.

    Returns: reference bases spanned, substitutions, indels.
    """
    length = len(source)
    i = spanned = substituted = gaps = 0
    while i < length:
        if i > 0 and uniform(state) < indels:
            size = _indel_length(state, stops)
            if _below(state, 2) == 0:
                spanned += size
                gaps += 1
            else:
                # A base of the reference follows: an insertion at a read's end is none.
                size = min(size, length - 1 - i)
                gaps += size > 0
                for k in range(i, i + size):
                    source[k] = NONE
                    change[k] = _below(state, 4)
                i += size
        source[i] = spanned
        change[i] = 0
        if uniform(state) < substitutions:
            change[i] = 1 + _below(state, 3)
            substituted += 1
        spanned += 1
        i += 1
    return spanned, substituted, gaps


@njit
def _emit(packed, start, end, reverse, source, change, codes):  # type: ignore[no-untyped-def]
    """Write a planned read of the fragment ``[start, end)`` from its left or, reversed, its right end."""
    for i in range(len(codes)):
        if source[i] == NONE:
            codes[i] = change[i]
            continue
        position = end - 1 - source[i] if reverse else start + source[i]
        base = (np.int64(packed[position >> 2]) >> (2 * (position & 3))) & 3
        if reverse:
            base = 3 - base
        codes[i] = (base + change[i]) & 3


@njit
def _place(state, reference, length):  # type: ignore[no-untyped-def]
    """A contig, by weight, and a global start; contig `NONE` if it is too short or the fragment holds N."""
    _, n_starts, n_ends, offsets, cumulative = reference
    drawn = uniform(state) * cumulative[-1]
    contig = np.searchsorted(cumulative, drawn, side="right")
    places = offsets[contig + 1] - offsets[contig] - length + 1
    if places < 1:
        return NONE, 0
    start = offsets[contig] + _below(state, places)
    run = np.searchsorted(n_ends, start, side="right")
    if run < len(n_starts) and n_starts[run] < start + length:
        return NONE, 0
    return contig, start


@njit
def simulate(reference, seed, first, lengths, insert, rates, stops, out):  # type: ignore[no-untyped-def]
    """Simulate n fragments, of number ``first`` and on.

    Args:
        reference: ``packed``, ``n_starts``, ``n_ends`` and ``offsets`` of an `esa.sequence.genome.Genome`, and the
            running sum of its contigs' weights (``float64[contigs]``, the last one positive).
        lengths: ``int64[ends]``, bases of each end; one end for single-end reads.
        insert: mean and standard deviation of the fragments' lengths (pairs only).
        rates: substitutions, indels, random fraction.
        stops: the law of the indels' lengths (`_indel_length`).
        out: arrays to fill, as in `esa.eval.simulate.SimulatedReads`: ``codes`` (``uint8[n, sum(lengths)]``,
            the ends side by side), ``contig``, ``position``, ``reverse``, ``edits``.

    Returns: whether every fragment found a place.
    """
    codes, contig, position, reverse, edits = out
    offsets = reference[3]
    state = np.empty(1, np.uint64)
    source = np.empty((len(lengths), lengths.max()), np.int64)
    change = np.empty((len(lengths), lengths.max()), np.uint8)
    spans = np.zeros(len(lengths), np.int64)
    for n in range(len(contig)):
        state[0] = splitmix64(splitmix64(np.uint64(seed) + GAMMA) + np.uint64(first + n))
        position[n], edits[n], reverse[n], contig[n] = 0, 0, False, NONE
        if uniform(state) < rates[2]:
            for i in range(codes.shape[1]):
                codes[n, i] = _below(state, 4)
            continue
        flipped = _below(state, 2) == 1
        start = fragment = 0
        for _ in range(MAX_ATTEMPTS):
            for e in range(len(lengths)):
                plan = source[e, : lengths[e]]
                spans[e], edits[n, e, 0], edits[n, e, 1] = _walk(
                    state, rates[0], rates[1], stops, plan, change[e]
                )
            # No shorter than its reads, deletions and all: short fragments would have few deletions else.
            fragment = spans.max()
            if len(lengths) > 1:
                fragment = max(fragment, round(insert[0] + insert[1] * _normal(state)))
            contig[n], start = _place(state, reference, fragment)
            if contig[n] != NONE:
                break
        if contig[n] == NONE:
            return False
        column = 0
        for e in range(len(lengths)):
            backward = flipped != (e == 1)
            read = codes[n, column : column + lengths[e]]
            _emit(reference[0], start, start + fragment, backward, source[e], change[e], read)
            leftmost = start + fragment - spans[e] if backward else start
            position[n, e], reverse[n, e] = leftmost - offsets[contig[n]], backward
            column += lengths[e]
    return True
