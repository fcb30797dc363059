"""Tokens of the `rde` encoder: a fragment's canonical k-mers, in a layout that is the same for both strands.

A token stands for `SPAN` neighbouring k-mers. The layout is centred on the fragment, so that the reverse complement of
a fragment has the same tokens in reverse order. With an even number of k-mers the tokens are adjacent. With an odd
number, neighbours share the k-mer between them, half each (and the outermost k-mers count half).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esa.kernels.arrays import F32Array, I32Array, I64Array, Int, U8Array
from esa.kernels.decorator import njit

SPAN = 16
"""k-mers from the start of a token to the start of the next; even."""

SLOTS = SPAN + 1
"""k-mers per token, at most."""

PADDING = 0
"""Row of an empty slot: beyond the fragment, or a k-mer with an N."""


def kmer_rows(k: int) -> NDArray[np.int32]:
    """``int32[4**k]``: row of each k-mer in a table of canonical k-mers, from 1. Both strands share a row."""
    kmers = np.arange(4**k)
    complement = np.zeros_like(kmers)
    rest = kmers.copy()
    for _ in range(k):
        complement = complement << 2 | 3 - (rest & 3)
        rest >>= 2
    canonical = np.minimum(kmers, complement)
    rows = np.zeros(4**k, np.int32)
    rows[np.unique(canonical)] = np.arange(1, len(np.unique(canonical)) + 1)
    return rows[canonical]


def tokens_of(length: int, k: int) -> int:
    """Number of tokens of a fragment of ``length`` bases, at least one."""
    kmers = max(length - k + 1, 1)
    return max(1, -(-(kmers - kmers % 2) // SPAN))


@njit
def lay_out(
    codes: U8Array, start: I64Array, length: Int, k: Int, table: I32Array, rows: I32Array, weights: F32Array
) -> None:
    """Write the k-mers of fragments of equal length, token by token.

    A k-mer that occurs c times in a fragment has the weight 1 / sqrt(c). So a microsatellite does not dominate the
    k-mers beside it (`esa.encoders.sketch` takes the same root).

    Args:
        codes: ``uint8``, base codes.
        start: ``int64[n]``, first bases of the fragments.
        length: bases of a fragment.
        k: bases of a k-mer.
        table: `kmer_rows`.
        rows: ``int32[n, tokens, SLOTS]``, filled with the k-mers' rows, `PADDING` in empty slots.
        weights: ``float32[n, tokens, SLOTS]``, filled with the k-mers' weights.
    """
    n, tokens, slots = rows.shape
    span = slots - 1
    mask = (1 << (2 * k)) - 1
    kmers = max(length - k + 1, 0)
    odd = kmers % 2
    first = (tokens * span + odd - kmers) // 2
    counts = np.zeros(table.max() + 1, np.int32)
    for f in range(n):
        rows[f] = PADDING
        kmer = 0
        valid = 0
        for i in range(length):
            base = np.int64(codes[start[f] + i])
            if base > 3:
                valid = 0
                continue
            kmer = ((kmer << 2) | base) & mask
            valid += 1
            if valid >= k:
                row = table[kmer]
                counts[row] += 1
                place = first + i - k + 1
                token = place // span
                slot = place % span
                if token < tokens:
                    rows[f, token, slot] = row
                if odd and slot == 0 and token > 0:
                    rows[f, token - 1, span] = row
        for token in range(tokens):
            for slot in range(slots):
                share = 0.5 if odd and slot % span == 0 else 1.0
                weights[f, token, slot] = share / np.sqrt(np.float64(max(counts[rows[f, token, slot]], 1)))
        for token in range(tokens):
            for slot in range(slots):
                counts[rows[f, token, slot]] = 0
