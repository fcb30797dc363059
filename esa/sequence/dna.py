"""Base codes, 2-bit packing, reverse complement, and what happens to N.

A sequence in memory is a ``uint8`` array of *base codes*: A 0, C 1, G 2, T (or U) 3, anything else N 4.
N never matches and is never part of a seed. Lower case counts as upper case. IUPAC codes count as N.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esa.kernels.arrays import Bool, I64Array, Int, U8Array, Word
from esa.kernels.decorator import inline_njit
from esa.kernels.intrinsics import load64

N = 4
BASES_PER_BYTE = 4
"""2-bit packing: base i of a sequence lies in byte i // 4, bits 2 * (i % 4) and the next."""

WORD = 32
"""Packed bases in 64 bits."""
_N_BITS = np.uint64(0x0404040404040404)
"""Eight base codes in a ``uint64``, one a byte: a bit of this mask is set in each byte that is N."""

LETTERS: NDArray[np.uint8] = np.frombuffer(b"ACGTN", dtype=np.uint8)
"""ASCII letter of each base code (read-only)."""

IUPAC_LETTERS = b"ACGTUNRYSWKMBDHV"
"""Letters allowed in a nucleotide sequence, in either case."""

INVALID = 255
"""Value in `CODE_CHECKED` of a byte that is no nucleotide letter."""


def _code_tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    code = np.full(256, N, np.uint8)
    for value, letter in enumerate(b"ACGT"):
        code[letter] = code[letter | 0x20] = value
    code[ord("U")] = code[ord("u")] = 3
    checked = np.full(256, INVALID, np.uint8)
    for letter in IUPAC_LETTERS:
        checked[letter] = checked[letter | 0x20] = code[letter]
    code.flags.writeable = checked.flags.writeable = False
    return code, checked


CODE, CODE_CHECKED = _code_tables()
"""``uint8[256]``, read-only. `CODE`: base code of each ASCII byte. `CODE_CHECKED`: the same, but `INVALID` for a byte
that is no nucleotide letter."""


def encode(sequence: bytes) -> NDArray[np.uint8]:
    """Base codes (``uint8[bases]``) of an ASCII sequence."""
    return CODE[np.frombuffer(sequence, np.uint8)]


def decode(codes: NDArray[np.uint8]) -> bytes:
    """ASCII letters of base codes."""
    return LETTERS[codes].tobytes()


def reverse_complement(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reverse complement of base codes, as a new array; N stays N."""
    complement = np.array([3, 2, 1, 0, N], np.uint8)
    return complement[codes[::-1]]


@inline_njit
def pack(codes: U8Array, packed: U8Array) -> None:
    """Write base codes, 2 bits each, into ``packed`` (``uint8[ceil(n / 4)]``). N becomes A: see `unpack`."""
    for byte in range(len(packed)):
        value = 0
        for k in range(4):
            i = 4 * byte + k
            if i < len(codes) and codes[i] < 4:
                value |= codes[i] << (2 * k)
        packed[byte] = value


@inline_njit
def pack_word(codes: U8Array, at: Int) -> tuple[Word, Bool]:
    """(`WORD` base codes from ``at`` on, packed into a ``uint64``, N as any base; whether there is an N)."""
    word, seen = np.uint64(0), np.uint64(0)
    for k in range(WORD // 8):
        # Eight bases, a byte each, fold into 16 bits.
        x = load64(codes, at + 8 * k)
        seen |= x
        x &= np.uint64(0x0303030303030303)
        x = (x | (x >> np.uint64(6))) & np.uint64(0x000F000F000F000F)
        x = (x | (x >> np.uint64(12))) & np.uint64(0x000000FF000000FF)
        x = (x | (x >> np.uint64(24))) & np.uint64(0xFFFF)
        word |= x << np.uint64(16 * k)
    return word, seen & _N_BITS != 0


@inline_njit
def complement_word(word: Word) -> Word:
    """Reverse complement of `WORD` packed bases (``uint64``)."""
    x = ~word
    x = ((x >> np.uint64(2)) & np.uint64(0x3333333333333333)) | (
        (x & np.uint64(0x3333333333333333)) << np.uint64(2)
    )
    x = ((x >> np.uint64(4)) & np.uint64(0x0F0F0F0F0F0F0F0F)) | (
        (x & np.uint64(0x0F0F0F0F0F0F0F0F)) << np.uint64(4)
    )
    swapped = np.uint64(0)
    for k in range(8):
        swapped |= ((x >> np.uint64(8 * k)) & np.uint64(0xFF)) << np.uint64(56 - 8 * k)
    return swapped


@inline_njit
def base_at(packed: U8Array, position: Int) -> Int:
    """Base code (``uint8``) at a position of a packed sequence; an N is an A."""
    return (packed[position >> 2] >> np.uint8(2 * (position & 3))) & np.uint8(3)


@inline_njit(forceinline=False)
def unpack(packed: U8Array, n_starts: I64Array, n_ends: I64Array, start: Int, end: Int, out: U8Array) -> None:
    """Write the base codes of the positions ``[start, end)`` into ``out[: end - start]``.

    ``n_starts``, ``n_ends``: ``int64``, sorted, disjoint, half-open: the runs of N, which packing loses.
    """
    for i in range(start, end):
        out[i - start] = base_at(packed, i)
    run = np.searchsorted(n_ends, start, side="right")
    while run < len(n_starts) and n_starts[run] < end:
        for i in range(max(start, n_starts[run]), min(end, n_ends[run])):
            out[i - start] = 4
        run += 1
