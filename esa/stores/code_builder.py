"""Builds a `CodeStore` from fragments as they come, in little more memory than they take.

Fragments are kept as they come, 13 bytes each, in blocks; at the end the blocks are parted by the first bits of the
key, and each part is packed. Blocks and parts go when they are read, one by one, and their memory goes back to the
operating system.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esa.kernels.decorator import njit
from esa.kernels.madvise import in_large_pages
from esa.stores.codes import CodeStore, binarize, default_key_bits
from esa.stores.packed import empty_packed, pack_part, position_bytes

BLOCK_FRAGMENTS = 1 << 22
"""Fragments of a block."""
PART_KEY_BITS = 22
"""A part holds so many buckets: what a processor can keep track of."""


@dataclass(frozen=True)
class _Coded:
    """Fragments: codes (``uint64``), starts, orientations."""

    codes: NDArray[np.uint64]
    position: NDArray[Any]
    reverse: NDArray[np.uint8]

    @classmethod
    def room(cls, fragments: int, position_type: type[np.unsignedinteger[Any]]) -> _Coded:
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
    """Takes embeddings in order of position, and keeps their signs.

    Args:
        bases: of the genome.
        key_bits: None: as many as suit the number of fragments.
    """

    def __init__(self, bases: int, key_bits: int | None = None) -> None:
        self._bases = bases
        self._position_type = np.uint32 if position_bytes(bases) == 4 else np.uint64
        self._key_bits = key_bits
        self._blocks: list[_Coded] = []
        self._used = BLOCK_FRAGMENTS
        """Fragments in the last block."""

    def add(self, embeddings: NDArray[Any], position: NDArray[np.int64], reverse: NDArray[np.uint8]) -> None:
        added = _Coded(binarize(embeddings), position.astype(self._position_type), reverse)
        begin = 0
        while begin < len(added):
            if self._used == BLOCK_FRAGMENTS:
                self._blocks.append(_Coded.room(BLOCK_FRAGMENTS, self._position_type))
                self._used = 0
            end = min(len(added), begin + BLOCK_FRAGMENTS - self._used)
            self._blocks[-1].put(self._used, added[begin:end])
            self._used += end - begin
            begin = end

    def finish(self) -> CodeStore:
        if self._blocks:
            self._blocks[-1] = self._blocks[-1][: self._used]
        fragments = sum(map(len, self._blocks))
        key_bits = self._key_bits or default_key_bits(fragments)
        packed = empty_packed(fragments, key_bits, self._bases)
        parts = self._parts(key_bits)
        escaped = [packed.escaped]
        done = 0
        for number in range(len(parts)):
            part, parts[number] = parts[number], None
            assert part is not None
            escaped.append(
                pack_part(
                    part.codes,
                    part.position,
                    part.reverse,
                    number,
                    (1 << key_bits) // len(parts),
                    done,
                    packed,
                )
            )
            done += len(part)
        packed = packed._replace(escaped=np.concatenate(escaped))
        for array in (packed.entries, packed.buckets, packed.escaped):
            array.flags.writeable = False
        return CodeStore(packed)

    def _parts(self, key_bits: int) -> list[_Coded | None]:
        """All fragments, parted by the first bits of their keys, in order of position; the blocks are gone."""
        bits = max(0, key_bits - PART_KEY_BITS)
        sizes = np.zeros(1 << bits, np.int64)
        for block in self._blocks:
            _count_parts(block.codes, key_bits, bits, sizes)
        parts = [_Coded.room(size, self._position_type) for size in sizes.tolist()]
        filled = [0] * len(parts)
        self._blocks.reverse()
        while self._blocks:
            block = self._blocks.pop()
            order, ends = _order_by_part(block.codes, key_bits, bits)
            ordered = _Coded(block.codes[order], block.position[order], block.reverse[order])
            for number, (begin, end) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
                parts[number].put(filled[number], ordered[begin:end])
                filled[number] += end - begin
        return list(parts)


def _pages(n: int, dtype: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """An array in pages of its own. malloc would keep what is freed of up to 32 MB, and gigabytes add up from that.

    Large ones, as parts are filled in many places at a time; of many parts some hundred megabytes more are used so.
    """
    size = n * np.dtype(dtype).itemsize
    pages = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    array: NDArray[Any] = np.frombuffer(pages, dtype, n)
    in_large_pages(array)
    return array


@njit
def _local_score_of(code, key_bits, bits):  # type: ignore[no-untyped-def]
    return np.int64((code >> np.uint64(key_bits - bits)) & np.uint64((1 << bits) - 1))


@njit
def _count_parts(codes, key_bits, bits, sizes):  # type: ignore[no-untyped-def]
    for code in codes:
        sizes[_local_score_of(code, key_bits, bits)] += 1


@njit
def _order_by_part(codes, key_bits, bits):  # type: ignore[no-untyped-def]
    """Order of codes by part, stable, and where each part begins (and the last ends): ``int32[n]``, ``int64``."""
    begins = np.zeros((1 << bits) + 1, np.int64)
    _count_parts(codes, key_bits, bits, begins[1:])
    begins = np.cumsum(begins)
    cursor = begins.copy()
    order = np.empty(len(codes), np.int32)
    for i in range(len(codes)):
        part = _local_score_of(codes[i], key_bits, bits)
        order[cursor[part]] = i
        cursor[part] += 1
    return order, begins
