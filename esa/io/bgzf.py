"""BGZF, the compression of BAM: gzip in blocks of up to 64 KiB that say how long they are (SAM specification, 4.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

LEVEL = 1

END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""An empty block. By it readers know that a file is whole."""

BLOCK_BYTES = 0xFF00
"""Bytes that go into a block, as in htslib: it fits into 64 KiB even if they are stored as they are."""
MOST_BYTES = 1 << 16
"""Bytes of a block."""
_HEAD = struct.Struct("<12s4sH")
_GZIP_HEAD = bytes.fromhex(
    "1f8b08040000000000ff0600"
)  # deflate, extra field, no time, any system, 6 bytes of extra
_LENGTH_FIELD = b"BC\x02\x00"
_TAIL = struct.Struct("<II")
_STORED = struct.Struct("<BHH")
_RAW_DEFLATE = -15
"""zlib's name for deflate with a window of 2**15 bytes and neither head nor tail."""


def compress(data: bytes | NDArray[np.uint8]) -> bytes:
    """The blocks of some bytes; none of no bytes. The processor's work is done without Python's lock."""
    return b"".join(_pieces(memoryview(data)))  # type: ignore[arg-type]  # an array has the buffer protocol


def _pieces(data: memoryview) -> Iterator[bytes | memoryview]:
    for start in range(0, len(data), BLOCK_BYTES):
        block = data[start : start + BLOCK_BYTES]
        deflated = isal_zlib.compress(block, LEVEL, _RAW_DEFLATE)
        size = _HEAD.size + len(deflated) + _TAIL.size
        if size > MOST_BYTES:
            deflated = _STORED.pack(1, len(block), len(block) ^ 0xFFFF) + block
            size = _HEAD.size + len(deflated) + _TAIL.size
        yield _HEAD.pack(_GZIP_HEAD, _LENGTH_FIELD, size - 1)
        yield deflated
        yield _TAIL.pack(isal_zlib.crc32(block), len(block))
