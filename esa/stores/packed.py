"""Layout of a code store in memory and on disk: about ten bytes per fragment, and one and a quarter per bucket.

*Entries* are ordered by bucket, then by position. An entry holds the bits of the code beyond the key, with the
orientation as the lowest bit, and then the position. Each takes as few whole bytes as hold it. They are adjacent, so
that one memory access fetches both.

*Buckets* come in groups of `GROUP`. A group holds the number of its first entry, then the size of each bucket in one
byte. The byte `SIZE_ESCAPE` stands for a size of 255 or more. These few sizes are kept in a table of their own,
`Packed.escaped`. (Its name in the index directory is ``crowded``.)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from esa.kernels.arrays import Bool, I64Array, Int, U8Array, U64Array, Word
from esa.kernels.decorator import inline_njit, njit
from esa.kernels.intrinsics import PADDING, load64

CODE_BITS = 64
GROUP_BITS = 4
GROUP = 1 << GROUP_BITS
"""Buckets per group: their sizes fill two words."""
SIZE_ESCAPE = 255
"""Size byte of a bucket with this many codes or more; the size is then in `Packed.escaped`."""

_ORIENTATION = np.uint64(1)
_EVEN_BYTES = np.uint64(0x00FF00FF00FF00FF)
_LANES = np.uint64(0x0001000100010001)
_ONES = np.uint64(0x0101010101010101)
_HIGH_BITS = np.uint64(0x8080808080808080)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


class Packed(NamedTuple):
    """The arrays of a code store, as kernels take them.

    Attributes:
        entries: ``uint8[n * (code_bytes + position_bytes) + PADDING]``.
        buckets: ``uint8[groups * (position_bytes + GROUP) + PADDING]``.
        escaped: ``int64[m, 2]``, key and size of each bucket with `SIZE_ESCAPE` or more codes, ascending by key.
        key_bits: length of a key; there are ``2**key_bits`` buckets, a multiple of `GROUP`.
        code_bytes: bytes of an entry that hold the code and the orientation.
        position_bytes: bytes of a position, and of the number of an entry.
    """

    entries: NDArray[np.uint8]
    buckets: NDArray[np.uint8]
    escaped: NDArray[np.int64]
    key_bits: int
    code_bytes: int
    position_bytes: int


def code_bytes(key_bits: int) -> int:
    """Bytes that hold a code's bits beyond the key and the orientation."""
    return (CODE_BITS - key_bits + 1 + 7) // 8


def position_bytes(bases: int) -> int:
    """Bytes of a position in a genome of so many bases."""
    return 4 if bases <= 1 << 32 else 5


def empty_packed(fragments: int, key_bits: int, bases: int) -> Packed:
    """Uninitialized arrays for ``fragments`` of a genome of ``bases``; the table of escaped sizes is empty."""
    code, position = code_bytes(key_bits), position_bytes(bases)
    entries = np.empty(fragments * (code + position) + PADDING, np.uint8)
    groups = 1 << (key_bits - GROUP_BITS)
    buckets = np.empty(groups * (position + GROUP) + PADDING, np.uint8)
    entries[-PADDING:] = buckets[-PADDING:] = 0
    return Packed(entries, buckets, np.empty((0, 2), np.int64), key_bits, code, position)


def entry_count(packed: Packed) -> int:
    """Number of entries.

    Raises:
        ValueError: the sizes of the arrays do not fit each other.
    """
    n, rest = divmod(len(packed.entries) - PADDING, packed.code_bytes + packed.position_bytes)
    groups = 1 << (packed.key_bits - GROUP_BITS)
    width = packed.position_bytes + GROUP
    if (
        rest
        or packed.code_bytes != code_bytes(packed.key_bits)
        or len(packed.buckets) != groups * width + PADDING
        or packed.escaped.ndim != 2
        or packed.escaped.shape[1] != 2
        or bucket_bounds(packed, (1 << packed.key_bits) - 1)[1] != n
    ):
        raise ValueError(f"not a code store: {len(packed.entries)} bytes, key of {packed.key_bits} bits")
    return n


def bucket_bounds(packed: Packed, key: int) -> tuple[int, int]:
    """First and last entry of a bucket, half-open."""
    width = packed.position_bytes + GROUP
    group = packed.buckets[(key >> GROUP_BITS) * width :][:width]
    begin = int.from_bytes(group[: packed.position_bytes].tobytes(), "little")
    sizes = group[packed.position_bytes :].astype(np.int64)
    first = key >> GROUP_BITS << GROUP_BITS
    for k in np.flatnonzero(sizes == SIZE_ESCAPE).tolist():
        row = np.searchsorted(packed.escaped[:, 0], first + k)
        sizes[k] = packed.escaped[row, 1] if row < len(packed.escaped) else 0
    inside = key - first
    begin += int(sizes[:inside].sum())
    return begin, begin + int(sizes[inside])


def unpacked_entries(
    packed: Packed, rows: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.uint8]]:
    """Decode entries.

    Args:
        packed: the store.
        rows: ``int64[m]``, numbers of entries.

    Returns:
        Bits of the code beyond the key (``uint64[m]``), positions (``int64[m]``) and orientations (``uint8[m]``).
    """
    at = rows * (packed.code_bytes + packed.position_bytes)
    word = _words(packed.entries, at, packed.code_bytes)
    position = _words(packed.entries, at + packed.code_bytes, packed.position_bytes)
    return word >> _ORIENTATION, position.astype(np.int64), (word & _ORIENTATION).astype(np.uint8)


def _words(array: NDArray[np.uint8], at: NDArray[np.int64], size: int) -> NDArray[np.uint64]:
    """The little-endian words of ``size`` bytes from ``at`` on."""
    words: NDArray[Any] = np.zeros((len(at), 8), np.uint8)
    words[:, :size] = array[at[:, None] + np.arange(size)]
    return words.view("<u8")[:, 0].astype(np.uint64)


@inline_njit
def bounds(packed: Packed, key: Int) -> tuple[Int, Int]:
    """`bucket_bounds` as an inline kernel: adds up the size bytes before the bucket eight at a time."""
    inside = key & (GROUP - 1)
    at = (key >> GROUP_BITS) * (packed.position_bytes + GROUP)
    base = np.int64(load64(packed.buckets, at) & low_bytes(packed.position_bytes))
    at += packed.position_bytes
    low, high = load64(packed.buckets, at), load64(packed.buckets, at + 8)
    shift = np.uint64(8 * (inside & 7))
    before = (np.uint64(1) << shift) - np.uint64(1)
    if inside < 8:
        size = np.int64((low >> shift) & np.uint64(SIZE_ESCAPE))
        low &= before
        high = np.uint64(0)
    else:
        size = np.int64((high >> shift) & np.uint64(SIZE_ESCAPE))
        high &= before
    if size == SIZE_ESCAPE or _holds_full_byte(low) or _holds_full_byte(high):
        return _bounds_among_escapes(packed, key, base, at)
    lanes = (low & _EVEN_BYTES) + ((low >> np.uint64(8)) & _EVEN_BYTES)
    lanes += (high & _EVEN_BYTES) + ((high >> np.uint64(8)) & _EVEN_BYTES)
    begin = base + np.int64((lanes * _LANES) >> np.uint64(48))
    return begin, begin + size


@inline_njit
def low_bytes(count: Int) -> Word:
    """Mask of the lowest ``count`` bytes (1 to 8) of a word."""
    return _ALL >> np.uint64(CODE_BITS - 8 * count)


@inline_njit
def _holds_full_byte(word: Word) -> Bool:
    """Whether a byte of the word is `SIZE_ESCAPE`, that is, whether a byte of its complement is zero."""
    return ((~word - _ONES) & word & _HIGH_BITS) != 0


@inline_njit
def _bounds_among_escapes(packed: Packed, key: Int, begin: Int, at: Int) -> tuple[Int, Int]:
    """`bounds` in a group with an escaped size; ``begin`` is the group's first entry, ``at`` its first size byte."""
    first = key & ~(GROUP - 1)
    size = np.int64(0)
    for k in range(first, key + 1):
        begin += size
        size = np.int64(packed.buckets[at + k - first])
        if size == SIZE_ESCAPE:
            size = packed.escaped[np.searchsorted(packed.escaped[:, 0], k), 1]
    return begin, begin + size


@inline_njit
def _store(array: U8Array, at: Int, word: Word, count: Int) -> None:
    """Write the low ``count`` bytes of a word to ``array[at:]``."""
    for b in range(count):
        array[at + b] = np.uint8((word >> np.uint64(8 * b)) & np.uint64(255))


@njit
def pack_shard(
    codes: U64Array,
    position: NDArray[np.unsignedinteger[Any]],
    reverse: U8Array,
    shard: Int,
    keys: Int,
    first_entry: Int,
    packed: Packed,
) -> I64Array:
    """Write the buckets of one shard, a range of keys, and their entries into ``packed``.

    Counting sort: fragments come in order of position, and so they stay within a bucket.

    Args:
        codes: ``uint64[n]``, whole codes of the shard's fragments.
        position: ``uint32[n]`` or ``uint64[n]``, their global 0-based starts, ascending.
        reverse: ``uint8[n]``, their orientations.
        shard: number of the shard; its first key is ``shard * keys``.
        keys: keys per shard, a power of two, at least `GROUP`.
        first_entry: entries of the shards before.
        packed: arrays of the store, written in place.

    Returns:
        The rows of `Packed.escaped` for this shard.
    """
    mask = np.uint64(keys - 1)
    ends = np.zeros(keys + 1, np.int64)
    for code in codes:
        ends[np.int64(code & mask) + 1] += 1
    escaped = _pack_buckets(ends, shard * keys, first_entry, packed)
    for k in range(keys):
        ends[k + 1] += ends[k]
    # A bucket's begin becomes its cursor.
    for i in range(len(codes)):
        key = np.int64(codes[i] & mask)
        at = (first_entry + ends[key]) * (packed.code_bytes + packed.position_bytes)
        ends[key] += 1
        word = (codes[i] >> np.uint64(packed.key_bits)) << np.uint64(1) | np.uint64(reverse[i])
        _store(packed.entries, at, word, packed.code_bytes)
        _store(packed.entries, at + packed.code_bytes, np.uint64(position[i]), packed.position_bytes)
    return escaped


@njit
def _pack_buckets(sizes: I64Array, first_key: Int, begin: Int, packed: Packed) -> I64Array:
    """Write the groups of the buckets from ``first_key`` on; returns the rows of `Packed.escaped`.

    Bucket k of them has ``sizes[k + 1]`` codes; ``begin`` is the first one's first entry.
    """
    count = 0
    for size in sizes:
        count += size >= SIZE_ESCAPE
    escaped = np.empty((count, 2), np.int64)
    count = 0
    at = (first_key >> GROUP_BITS) * (packed.position_bytes + GROUP)
    for first in range(0, len(sizes) - 1, GROUP):
        _store(packed.buckets, at, np.uint64(begin), packed.position_bytes)
        at += packed.position_bytes
        for k in range(first, first + GROUP):
            size = sizes[k + 1]
            packed.buckets[at] = min(size, SIZE_ESCAPE)
            at += 1
            begin += size
            if size >= SIZE_ESCAPE:
                escaped[count, 0] = first_key + k
                escaped[count, 1] = size
                count += 1
    return escaped
