"""Kernels of `esa.eval.simulate`: the walks along the reference that make reads.

Random numbers come from splitmix64 (`esa.sequence.hashing.uniform`); ``state`` (``uint64[1]``) is its state.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from esa.io.records import NONE
from esa.kernels.arrays import Bool, BoolArray, F64Array, Float, I32Array, I64Array, Int, U8Array, U64Array
from esa.kernels.decorator import njit
from esa.sequence.hashing import GAMMA, splitmix64, uniform

MAX_ATTEMPTS = 1000
"""Draws of a fragment's place; after so many failures the reference counts as having none."""


class Reference(NamedTuple):
    """What fragments are drawn from.

    Attributes:
        packed, n_starts, n_ends, offsets: of the `esa.sequence.genome.Genome`.
        cumulative: ``float64[contigs]``, running sum of the contigs' weights; the last one is positive.
    """

    packed: U8Array
    n_starts: I64Array
    n_ends: I64Array
    offsets: I64Array
    cumulative: F64Array


class Model(NamedTuple):
    """Laws that fragments and edits follow.

    Attributes:
        insert_mean, insert_sd: fragment length of pairs, in bases.
        substitutions, indels: probabilities a base.
        random_fraction: probability that a fragment's reads are random bases.
        stops: ``float64[longest]``, law of the indel lengths (`esa.eval.simulate_indels.IndelLengths.stops`).
    """

    insert_mean: Float
    insert_sd: Float
    substitutions: Float
    indels: Float
    random_fraction: Float
    stops: F64Array


class Output(NamedTuple):
    """Arrays to fill: those of `esa.eval.simulate.SimulatedReads`, the codes of both ends side by side.

    Attributes:
        codes: ``uint8[n, sum(lengths)]``.
        contig: ``int32[n]``.
        position: ``int64[n, ends]``.
        reverse: ``bool[n, ends]``.
        edits: ``int32[n, ends, 2]``.
    """

    codes: U8Array
    contig: I32Array
    position: I64Array
    reverse: BoolArray
    edits: I32Array


class Plan(NamedTuple):
    """Scratch: the planned reads of one fragment (`_walk`).

    Attributes:
        source: ``int64[ends, longest read]``.
        change: ``uint8[ends, longest read]``.
        spans: ``int64[ends]``, bases of the reference that each read spans.
    """

    source: I64Array
    change: U8Array
    spans: I64Array


@njit
def _below(state: U64Array, bound: Int) -> Int:
    """An integer in [0, bound)."""
    return int(uniform(state) * bound)


@njit
def _normal(state: U64Array) -> Float:
    """A standard normal deviate (Box and Muller, Ann Math Stat 1958)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(state)))
    return radius * math.cos(2.0 * math.pi * uniform(state))


@njit
def _indel_length(state: U64Array, stops: F64Array) -> Int:
    """An indel length by its law (`Model.stops`)."""
    length = 1
    while length < len(stops) and uniform(state) >= stops[length - 1]:
        length += 1
    return length


@njit
def _walk(
    state: U64Array, substitutions: Float, indels: Float, stops: F64Array, source: I64Array, change: U8Array
) -> tuple[Int, Int, Int]:
    """Plan a read: where each base comes from and how it is changed.

    Args:
        source: output, ``int64[length]``: a base's distance from the read's 5' end on the reference, or `NONE` for an
            inserted base.
        change: output, ``uint8[length]``: what is added to the code of a reference base, or the inserted base.

    Returns:
        Reference bases spanned, substitutions, indels.
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
                # A reference base follows: an insertion at a read's end would be none.
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
def _emit(
    packed: U8Array, start: Int, end: Int, reverse: Bool, source: I64Array, change: U8Array, codes: U8Array
) -> None:
    """Write a planned read of the fragment ``[start, end)`` from its left end, or reversed from its right end."""
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
def _place(state: U64Array, reference: Reference, length: Int) -> tuple[Int, Int]:
    """A contig, by weight, and a global start; contig `NONE` if it is too short or the fragment holds N."""
    offsets = reference.offsets
    drawn = uniform(state) * reference.cumulative[-1]
    contig = np.searchsorted(reference.cumulative, drawn, side="right")
    places = offsets[contig + 1] - offsets[contig] - length + 1
    if places < 1:
        return NONE, 0
    start = offsets[contig] + _below(state, places)
    run = np.searchsorted(reference.n_ends, start, side="right")
    if run < len(reference.n_starts) and reference.n_starts[run] < start + length:
        return NONE, 0
    return contig, start


@njit
def _draw(
    state: U64Array, reference: Reference, model: Model, lengths: I64Array, plan: Plan, edits: I32Array
) -> tuple[Int, Int, Int]:
    """Plan a fragment's reads and find it a place.

    Args:
        plan, edits: outputs; ``edits`` is ``int32[ends, 2]``.

    Returns:
        Contig (`NONE` if no place was found), global start, length.
    """
    for _ in range(MAX_ATTEMPTS):
        for e in range(len(lengths)):
            plan.spans[e], edits[e, 0], edits[e, 1] = _walk(
                state,
                model.substitutions,
                model.indels,
                model.stops,
                plan.source[e, : lengths[e]],
                plan.change[e],
            )
        # No shorter than its reads, deletions included: otherwise short fragments would have few deletions.
        fragment = plan.spans.max()
        if len(lengths) > 1:
            fragment = max(fragment, round(model.insert_mean + model.insert_sd * _normal(state)))
        contig, start = _place(state, reference, fragment)
        if contig != NONE:
            return contig, start, fragment
    return NONE, 0, 0


@njit
def simulate(
    reference: Reference, model: Model, lengths: I64Array, seed: Int, first: Int, out: Output
) -> Bool:
    """Simulate n fragments, numbered from ``first``.

    Args:
        lengths: ``int64[ends]``, bases of each end; one end for single-end reads.
        seed: of the run; a fragment depends on it and on the fragment's number alone.

    Returns:
        Whether every fragment found a place.
    """
    state = np.empty(1, np.uint64)
    plan = Plan(
        np.empty((len(lengths), lengths.max()), np.int64),
        np.empty((len(lengths), lengths.max()), np.uint8),
        np.zeros(len(lengths), np.int64),
    )
    for n in range(len(out.contig)):
        state[0] = splitmix64(splitmix64(np.uint64(seed) + GAMMA) + np.uint64(first + n))
        out.position[n], out.edits[n], out.reverse[n], out.contig[n] = 0, 0, False, NONE
        if uniform(state) < model.random_fraction:
            for i in range(out.codes.shape[1]):
                out.codes[n, i] = _below(state, 4)
            continue
        flipped = _below(state, 2) == 1
        contig, start, fragment = _draw(state, reference, model, lengths, plan, out.edits[n])
        if contig == NONE:
            return False
        out.contig[n] = contig
        column = 0
        for e in range(len(lengths)):
            backward = flipped != (e == 1)
            read = out.codes[n, column : column + lengths[e]]
            _emit(reference.packed, start, start + fragment, backward, plan.source[e], plan.change[e], read)
            leftmost = start + fragment - plan.spans[e] if backward else start
            out.position[n, e], out.reverse[n, e] = leftmost - reference.offsets[contig], backward
            column += lengths[e]
    return True
