"""Noisy reads of fragments, and fragments that are hard to distinguish."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.kernels.arrays import BoolArray, Float, I64Array, Int, U8Array, U64Array, Word
from esa.kernels.decorator import njit
from esa.sequence.genome import Genome
from esa.sequence.hashing import mix64
from esa.train.noise import NoiseRanges, draw_rates, flank, generator

SHARED_K = 12
"""Bases of the k-mers by which fragments are compared."""


class Intervals(NamedTuple):
    """Windows of equal length: first bases (``int64[n]``) and number of bases."""

    start: I64Array
    length: Int


def clean_starts(
    codes: NDArray[np.uint8], genome: Genome, length: int, margin: int, stride: int
) -> NDArray[np.int64]:
    """Starts of windows without N that, with a margin on each side, lie within a contig.

    Args:
        codes: ``uint8[bases]``, base codes of the genome.
        genome: its contigs.
        length: bases of a window.
        margin: bases beside a window, without N as well.
        stride: bases between starts.

    Returns:
        ``int64[n]``, ascending.
    """
    starts = [
        np.arange(genome.offsets[i] + margin, genome.offsets[i + 1] - length - margin + 1, stride)
        for i in range(len(genome.names))
    ]
    start = np.concatenate([np.empty(0, np.int64), *starts])
    unknown = np.concatenate([[0], np.cumsum(codes > 3)])
    return start[unknown[start + length + margin] == unknown[start - margin]]


@njit
def read_out(codes: U8Array, start: I64Array, ranges: NoiseRanges, seed: Word, out: U8Array) -> None:
    """Write noisy forward reads that begin at ``start`` into ``out`` (``uint8[n, length]``).

    Args:
        codes: ``uint8[bases]``, base codes.
        start: ``int64[n]``, first bases of the reads.
        ranges: noise of the reads.
        seed: ``uint64``; the noise of read i depends on the seed and on i only.
        out: written; a read that would reach the end of the sequence or an N is without noise.
    """
    length = out.shape[1]
    for f in range(len(start)):
        state = generator(seed, f)
        rates = draw_rates(state, ranges)
        if not flank(state, codes, start[f], 1, rates, out[f]):
            out[f] = codes[start[f] : start[f] + length]


@njit
def _shared_kmers(codes: U8Array, start: Int, length: Int, hashes: U64Array) -> Int:
    """Write the hashes of the canonical k-mers of ``codes[start:start + length]``; returns their number."""
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
def min_hashes(codes: U8Array, start: I64Array, length: Int) -> U64Array:
    """``uint64[n]``: MinHash of each fragment, the smallest hash of its canonical k-mers.

    The probability that two fragments have the same is the share of k-mers that they have in common (Broder 1997, "On
    the resemblance and containment of documents"). So sorting by it brings copies of a repeat together.
    """
    out = np.empty(len(start), np.uint64)
    hashes = np.empty(length, np.uint64)
    for f in range(len(start)):
        count = _shared_kmers(codes, start[f], length, hashes)
        out[f] = hashes[:count].min()
    return out


def mark_copies(
    codes: NDArray[np.uint8],
    fragments: Intervals,
    reads: Intervals,
    label: NDArray[Any],
    share: float,
    out: NDArray[np.bool_],
) -> None:
    """Set ``out[i, j]`` where fragment j has the same label as read i and could be its origin as well.

    That is, if it has at least ``share`` of the k-mers at the read's place of origin.

    Args:
        codes: ``uint8[bases]``, base codes.
        fragments: n fragments.
        reads: origins of their reads.
        label: ``[n]``, label of fragment i and its read; a label that occurs once marks nothing.
        share: threshold, 0 to 1.
        out: ``bool[n, n]``; rows are reads, columns are fragments.
    """
    _mark(codes, fragments, reads, np.argsort(label, kind="stable"), label, share, out)


@njit
def _mark(
    codes: U8Array,
    fragments: Intervals,
    reads: Intervals,
    order: I64Array,
    label: NDArray[Any],
    share: Float,
    out: BoolArray,
) -> None:
    """`mark_copies`; ``order`` sorts the labels."""
    begin = 0
    while begin < len(order):
        end = begin + 1
        while end < len(order) and label[order[end]] == label[order[begin]]:
            end += 1
        if end - begin > 1:
            _mark_group(codes, fragments, reads, order[begin:end], share, out)
        begin = end


@njit
def _mark_group(
    codes: U8Array, fragments: Intervals, reads: Intervals, members: I64Array, share: Float, out: BoolArray
) -> None:
    """`mark_copies` of the fragments of one label, ``members``."""
    hashes = np.empty(reads.length, np.uint64)
    held = np.empty((len(members), fragments.length - SHARED_K + 1), np.uint64)
    for j in range(len(members)):
        _shared_kmers(codes, fragments.start[members[j]], fragments.length, held[j])
        held[j].sort()
    for i in members:
        count = _shared_kmers(codes, reads.start[i], reads.length, hashes)
        for j in range(len(members)):
            if _common(held[j], hashes[:count]) >= share * count:
                out[i, members[j]] = True


@njit
def _common(kmers: U64Array, hashes: U64Array) -> Int:
    """The number of ``hashes`` among the sorted ``kmers``."""
    common = 0
    for h in hashes:
        at = np.searchsorted(kmers, h)
        common += at < len(kmers) and kmers[at] == h
    return common
