"""Builds a `CodeStore` from a stream of fragments, in little more memory than they take.

Fragments are collected in blocks, 13 bytes each. At the end they are distributed among shards by the highest bits of
the key, and each shard is packed. Blocks and shards are freed one by one once they are read, and their memory goes
back to the operating system.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esa.kernels.arrays import I32Array, I64Array, Int, U64Array, Word
from esa.kernels.decorator import njit
from esa.kernels.madvise import in_large_pages
from esa.stores.codes import CodeStore, binarize, default_key_bits
from esa.stores.packed import empty_packed, pack_shard, position_bytes

BLOCK_FRAGMENTS = 1 << 22
"""Fragments per block."""
SHARD_KEY_BITS = 22
"""A shard has ``2**SHARD_KEY_BITS`` buckets: their cursors fit into a processor's caches."""


@dataclass(frozen=True)
class _Coded:
    """Fragments of a block or shard.

    Attributes:
        codes: ``uint64[n]``.
        position: ``uint32[n]`` or ``uint64[n]``, global starts.
        reverse: ``uint8[n]``, orientations.
    """

    codes: NDArray[np.uint64]
    position: NDArray[Any]
    reverse: NDArray[np.uint8]

    @classmethod
    def empty(cls, fragments: int, position_type: type[np.unsignedinteger[Any]]) -> _Coded:
        """Arrays for so many fragments."""
        return cls(
            _pages(fragments, np.uint64), _pages(fragments, position_type), _pages(fragments, np.uint8)
        )

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: slice) -> _Coded:
        return _Coded(self.codes[rows], self.position[rows], self.reverse[rows])

    def put(self, at: int, other: _Coded) -> None:
        rows = slice(at, at + len(other))
        self.codes[rows], self.position[rows], self.reverse[rows] = other.codes, other.position, other.reverse


class CodeStoreBuilder:
    """Collects the signs of embeddings that are added in order of position.

    Args:
        bases: size of the genome.
        key_bits: length of a key; None: `default_key_bits` of the number of fragments.
    """

    def __init__(self, bases: int, key_bits: int | None = None) -> None:
        self._bases = bases
        self._position_type = np.uint32 if position_bytes(bases) == 4 else np.uint64
        self._key_bits = key_bits
        self._blocks: list[_Coded] = []
        self._used = BLOCK_FRAGMENTS
        """Fragments in the last block."""

    def add(self, embeddings: NDArray[Any], position: NDArray[np.int64], reverse: NDArray[np.uint8]) -> None:
        """Add fragments (`esa.stores.base.StoreBuilder.add`); ``embeddings`` are ``int16[n, 64]``."""
        added = _Coded(binarize(embeddings), position.astype(self._position_type), reverse)
        begin = 0
        while begin < len(added):
            if self._used == BLOCK_FRAGMENTS:
                self._blocks.append(_Coded.empty(BLOCK_FRAGMENTS, self._position_type))
                self._used = 0
            end = min(len(added), begin + BLOCK_FRAGMENTS - self._used)
            self._blocks[-1].put(self._used, added[begin:end])
            self._used += end - begin
            begin = end

    def finish(self) -> CodeStore:
        """The store of all fragments added; the builder is empty afterwards."""
        if self._blocks:
            self._blocks[-1] = self._blocks[-1][: self._used]
        fragments = sum(map(len, self._blocks))
        key_bits = self._key_bits or default_key_bits(fragments)
        packed = empty_packed(fragments, key_bits, self._bases)
        shards = self._shards(key_bits)
        keys = (1 << key_bits) // len(shards)
        escaped = [packed.escaped]
        done = 0
        for number in range(len(shards)):
            shard, shards[number] = shards[number], None
            assert shard is not None
            escaped.append(pack_shard(shard.codes, shard.position, shard.reverse, number, keys, done, packed))
            done += len(shard)
        packed = packed._replace(escaped=np.concatenate(escaped))
        for array in (packed.entries, packed.buckets, packed.escaped):
            array.flags.writeable = False
        return CodeStore(packed)

    def _shards(self, key_bits: int) -> list[_Coded | None]:
        """All fragments by the highest bits of their keys, each shard in order of position. Frees the blocks."""
        bits = max(0, key_bits - SHARD_KEY_BITS)
        sizes = np.zeros(1 << bits, np.int64)
        for block in self._blocks:
            _count_shards(block.codes, key_bits, bits, sizes)
        shards = [_Coded.empty(size, self._position_type) for size in sizes.tolist()]
        filled = [0] * len(shards)
        self._blocks.reverse()
        while self._blocks:
            block = self._blocks.pop()
            order, ends = _order_by_shard(block.codes, key_bits, bits)
            ordered = _Coded(block.codes[order], block.position[order], block.reverse[order])
            for number, (begin, end) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
                shards[number].put(filled[number], ordered[begin:end])
                filled[number] += end - begin
        return list(shards)


def _pages(n: int, dtype: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """An array in memory pages of its own.

    malloc would keep freed arrays of up to 32 MB, which adds up to gigabytes. The pages are large ones, as shards are
    filled in many places at a time; with many shards this takes some hundred megabytes more.
    """
    size = n * np.dtype(dtype).itemsize
    pages = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    array: NDArray[Any] = np.frombuffer(pages, dtype, n)
    in_large_pages(array)
    return array


@njit
def _shard_of(code: Word, key_bits: Int, bits: Int) -> Int:
    """The shard of a code: the highest ``bits`` of its key."""
    return np.int64((code >> np.uint64(key_bits - bits)) & np.uint64((1 << bits) - 1))


@njit
def _count_shards(codes: U64Array, key_bits: Int, bits: Int, sizes: I64Array) -> None:
    """Add the number of codes in each shard to ``sizes``."""
    for code in codes:
        sizes[_shard_of(code, key_bits, bits)] += 1


@njit
def _order_by_shard(codes: U64Array, key_bits: Int, bits: Int) -> tuple[I32Array, I64Array]:
    """Stable order of codes by shard (``int32[n]``), and the shards' bounds in it (``int64[2**bits + 1]``)."""
    begins = np.zeros((1 << bits) + 1, np.int64)
    _count_shards(codes, key_bits, bits, begins[1:])
    begins = np.cumsum(begins)
    cursor = begins.copy()
    order = np.empty(len(codes), np.int32)
    for i in range(len(codes)):
        shard = _shard_of(codes[i], key_bits, bits)
        order[cursor[shard]] = i
        cursor[shard] += 1
    return order, begins
