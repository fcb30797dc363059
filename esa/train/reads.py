"""Pairs of a fragment and a noisy read of it, and the fragments that are hard to tell apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from esa.kernels.decorator import njit
from esa.sequence.genome import Genome
from esa.sequence.hashing import mix64, uniform
from esa.train.noise import flank, generator

SHARED_K = 12
"""Bases of the k-mers by which fragments are likened."""


def clean_starts(
    codes: NDArray[np.uint8], genome: Genome, length: int, margin: int, stride: int
) -> NDArray[np.int64]:
    """Starts, a ``stride`` apart, of windows that with ``margin`` to each side lie within a contig and hold no N."""
    starts = [
        np.arange(genome.offsets[i] + margin, genome.offsets[i + 1] - length - margin + 1, stride)
        for i in range(len(genome.names))
    ]
    start = np.concatenate([np.empty(0, np.int64), *starts])
    unknown = np.concatenate([[0], np.cumsum(codes > 3)])
    return start[unknown[start + length + margin] == unknown[start - margin]]


@njit
def read_out(codes, start, length, noise, seed, out):  # type: ignore[no-untyped-def]
    """Writes noisy reads that begin at ``start`` into ``out`` (``uint8[n, length]``), forward.

    Args:
        noise: ``(most, min_indels, max_indels)`` of `esa.train.noise.noisy`.
        seed: ``uint64``; read i's noise depends on it and on i alone.
    """
    most, min_indels, max_indels = noise
    for f in range(len(start)):
        state = generator(seed, f)
        edits = most * uniform(state)
        indels = min_indels + (max_indels - min_indels) * uniform(state)
        if not flank(state, codes, start[f], 1, length, edits, indels, out[f], 0):
            out[f] = codes[start[f] : start[f] + length]


@njit
def _shared_kmers(codes, start, length, hashes):  # type: ignore[no-untyped-def]
    """Writes the hashes of the canonical k-mers of ``codes[start:start + length]``; returns how many."""
    mask = np.uint64((1 << (2 * SHARED_K)) - 1)
    shift = np.uint64(2 * (SHARED_K - 1))
    forward = np.uint64(0)
    backward = np.uint64(0)
    count = 0
    for i in range(length):
        base = np.uint64(codes[start + i])
        forward = ((forward << np.uint64(2)) | base) & mask
        backward = (backward >> np.uint64(2)) | ((np.uint64(3) - base) << shift)
        if i >= SHARED_K - 1:
            hashes[count] = mix64(min(forward, backward))
            count += 1
    return count


@njit
def least_hashes(codes, start, length):  # type: ignore[no-untyped-def]
    """``uint64[n]``: the least hash of each fragment's k-mers.

    Fragments have the same as often as they have k-mers in common (Broder 1997, "On the resemblance and
    containment of documents"): sorted by it, copies of a repeat lie side by side.
    """
    out = np.empty(len(start), np.uint64)
    hashes = np.empty(length, np.uint64)
    for f in range(len(start)):
        count = _shared_kmers(codes, start[f], length, hashes)
        out[f] = hashes[:count].min()
    return out


def mark_copies(
    codes: NDArray[np.uint8],
    fragments: tuple[NDArray[np.int64], int],
    reads: tuple[NDArray[np.int64], int],
    label: NDArray[Any],
    share: float,
    out: NDArray[np.bool_],
) -> None:
    """Set ``out[i, j]`` (``bool[n, n]``) where fragment j, of the same label as read i, holds read i as well.

    That is, at least ``share`` of the k-mers at the read's place of origin.

    Args:
        fragments, reads: starts (``int64[n]``) and bases of each.
        label: ``[n]``, of fragment i and its read; those with a label of their own are not looked at.
    """
    _mark(codes, *fragments, *reads, np.argsort(label, kind="stable"), label, share, out)


@njit
def _mark(codes, fragment, length, read, read_length, order, label, share, out):  # type: ignore[no-untyped-def]
    """`mark_copies`: ``order`` sorts the labels."""
    hashes = np.empty(read_length, np.uint64)
    begin = 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and label[order[end]] == label[order[begin]]:
            end += 1
        if end - begin > 1:
            held = np.empty((end - begin, length - SHARED_K + 1), np.uint64)
            for j in range(begin, end):
                _shared_kmers(codes, fragment[order[j]], length, held[j - begin])
                held[j - begin].sort()
            for i in order[begin:end]:
                count = _shared_kmers(codes, read[i], read_length, hashes)
                for j in range(begin, end):
                    kmers = held[j - begin]
                    common = 0
                    for h in hashes[:count]:
                        at = np.searchsorted(kmers, h)
                        common += at < len(kmers) and kmers[at] == h
                    if common >= share * count:
                        out[i, order[j]] = True
        begin = end
