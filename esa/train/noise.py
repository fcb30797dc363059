"""Noisy copies of sequence: what sequencing errors and divergence leave of it."""

from __future__ import annotations

import numpy as np

from esa.kernels.decorator import njit
from esa.sequence.hashing import uniform


@njit
def cut(codes, start, reverse, length, out):  # type: ignore[no-untyped-def]
    """Writes the fragments ``codes[start:start + length]``, oriented, into ``out`` (``uint8[n, length]``)."""
    for f in range(len(start)):
        for i in range(length):
            if reverse[f]:
                out[f, i] = 3 - codes[start[f] + length - 1 - i]
            else:
                out[f, i] = codes[start[f] + i]


@njit
def generator(seed, number):  # type: ignore[no-untyped-def]
    """The state (``uint64[1]``) of copy ``number``'s own generator."""
    state = np.empty(1, np.uint64)
    state[0] = np.uint64(seed) + np.uint64(number) * np.uint64(0xD1B54A32D192ED03)
    return state


@njit
def flank(state, codes, begin, step, count, edits, indel_share, out, first):  # type: ignore[no-untyped-def]
    """Writes ``count`` bases to ``out[first], out[first + step], ...``: those from ``codes[begin]`` on, edited.

    Returns False where the sequence ends, or has an N, before ``count`` bases are written.
    """
    source = begin
    written = 0
    while written < count:
        draw = uniform(state)
        if draw < edits * indel_share:
            if uniform(state) < 0.5:
                source += step
            else:
                out[first + step * written] = np.int64(4 * uniform(state))
                written += 1
            continue
        if source < 0 or source >= len(codes) or codes[source] > 3:
            return False
        base = np.int64(codes[source])
        if draw < edits:
            base = (base + 1 + np.int64(3 * uniform(state))) & 3
        out[first + step * written] = base
        written += 1
        source += step
    return True


@njit
def noisy(codes, start, reverse, half, k, noise, seed, out):  # type: ignore[no-untyped-def]
    """Writes a noisy copy of each anchored fragment into ``out`` (``uint8[n, 2 * half]``), oriented.

    The anchor, the ``k`` bases in the middle, stays: a fragment without its anchor is never looked up. From
    there each flank is walked outwards, so that an indel moves what lies beyond it, as it does in a read.

    Args:
        codes: ``uint8[bases]``, base codes.
        start, reverse: ``int64[n]``, ``uint8[n]``, the fragments, without N.
        noise: ``(most, min_indels, max_indels)``: edits a base are uniform up to ``most`` in each fragment,
            the share of them that are indels (half insertions, of one base) uniform between the other two.
        seed: ``uint64``; fragment i's noise depends on it and on i alone.
    """
    most, min_indels, max_indels = noise
    window = np.empty(2 * half, np.uint8)
    for f in range(len(start)):
        state = generator(seed, f)
        edits = most * uniform(state)
        indels = min_indels + (max_indels - min_indels) * uniform(state)
        anchor = half - k // 2
        window[anchor : anchor + k] = codes[start[f] + anchor : start[f] + anchor + k]
        whole = flank(state, codes, start[f] + anchor - 1, -1, anchor, edits, indels, window, anchor - 1)
        after = anchor + k
        whole &= flank(state, codes, start[f] + after, 1, 2 * half - after, edits, indels, window, after)
        if not whole:
            window[:] = codes[start[f] : start[f] + 2 * half]
        for i in range(2 * half):
            out[f, i] = 3 - window[2 * half - 1 - i] if reverse[f] else window[i]
