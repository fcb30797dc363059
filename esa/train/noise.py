"""Noisy copies of sequence, with what sequencing errors and divergence change."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from esa.kernels.arrays import Bool, Float, I64Array, Int, U8Array, U64Array, Word
from esa.kernels.decorator import njit
from esa.sequence.hashing import uniform


class NoiseRanges(NamedTuple):
    """Ranges that the noise of a copy is drawn from, uniformly.

    Attributes:
        max_edits: edits per base, from 0.
        min_indels, max_indels: share of indels among the edits. Half are insertions; all are of one base.
    """

    max_edits: Float
    min_indels: Float
    max_indels: Float


class NoiseRates(NamedTuple):
    """The noise of one copy: edits per base, and the share of indels among them."""

    edits: Float
    indels: Float


@njit
def cut(codes: U8Array, start: I64Array, reverse: U8Array, length: Int, out: U8Array) -> None:
    """Write oriented fragments ``codes[start:start + length]`` into ``out`` (``uint8[n, length]``).

    Args:
        codes: ``uint8[bases]``, base codes.
        start: ``int64[n]``, first bases.
        reverse: ``uint8[n]``, 1 for the reverse complement.
        length: bases of a fragment.
        out: written.
    """
    for f in range(len(start)):
        for i in range(length):
            if reverse[f]:
                out[f, i] = 3 - codes[start[f] + length - 1 - i]
            else:
                out[f, i] = codes[start[f] + i]


@njit
def generator(seed: Word, number: Int) -> U64Array:
    """The state (``uint64[1]``) of the random generator of copy ``number``."""
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed) + np.uint64(number) * np.uint64(0xD1B54A32D192ED03)
    return state


@njit
def draw_rates(state: U64Array, ranges: NoiseRanges) -> NoiseRates:
    """The noise of a copy, drawn with its generator."""
    max_edits, min_indels, max_indels = ranges
    edits = max_edits * uniform(state)
    return NoiseRates(edits, min_indels + (max_indels - min_indels) * uniform(state))


@njit
def flank(state: U64Array, codes: U8Array, begin: Int, step: Int, rates: NoiseRates, out: U8Array) -> Bool:
    """Fill ``out`` with edited bases, from ``codes[begin]`` on in steps of ``step`` (1 or -1).

    Returns False if the sequence ends, or has an N, before ``out`` is full.
    """
    source = begin
    written = 0
    while written < len(out):
        draw = uniform(state)
        if draw < rates.edits * rates.indels:
            if uniform(state) < 0.5:
                source += step
            else:
                out[written] = np.int64(4 * uniform(state))
                written += 1
            continue
        if source < 0 or source >= len(codes) or codes[source] > 3:
            return False
        base = np.int64(codes[source])
        if draw < rates.edits:
            base = (base + 1 + np.int64(3 * uniform(state))) & 3
        out[written] = base
        written += 1
        source += step
    return True


@njit
def noisy(
    codes: U8Array, start: I64Array, reverse: U8Array, k: Int, ranges: NoiseRanges, seed: Word, out: U8Array
) -> None:
    """Write a noisy copy of each minimizer fragment into ``out`` (``uint8[n, length]``), oriented.

    The minimizer, ``k`` bases in the middle, is kept: a fragment without its minimizer is never looked up. Each flank
    is walked from there outwards. So an indel shifts the bases beyond it, as it does in a read. A copy whose flank
    would reach the end of the sequence or an N is the fragment itself.

    Args:
        codes: ``uint8[bases]``, base codes.
        start: ``int64[n]``, first bases of the fragments, which have no N.
        reverse: ``uint8[n]``, their orientations.
        k: bases of a minimizer.
        ranges: noise of the copies.
        seed: ``uint64``; the noise of fragment i depends on the seed and on i only.
        out: written.
    """
    length = out.shape[1]
    window = np.empty(length, np.uint8)
    for f in range(len(start)):
        state = generator(seed, f)
        rates = draw_rates(state, ranges)
        left = length // 2 - k // 2
        right = left + k
        window[left:right] = codes[start[f] + left : start[f] + right]
        whole = flank(state, codes, start[f] + left - 1, -1, rates, window[:left][::-1])
        whole &= flank(state, codes, start[f] + right, 1, rates, window[right:])
        if not whole:
            window[:] = codes[start[f] : start[f] + length]
        for i in range(length):
            out[f, i] = 3 - window[length - 1 - i] if reverse[f] else window[i]
