"""BGZF, the compression of BAM: gzip in blocks of up to 64 KiB that say how long they are (SAM specification, 4.1)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

LEVEL = 2
"""Level of isal's compression, 0 to 3. Measured on BAM of real reads of 101, 108 and 151 bp (us and bytes a record):

    level 1:   .48, .53, .66 us   111.6, 133.0, 156.8 bytes
    level 2:   .52, .57, .70 us   110.4, 131.5, 155.3 bytes
    level 3:   .70, .71, .87 us   110.5, 131.3, 155.2 bytes
    htslib 1:  2.3, 2.7, 3.2 us   114.0, 135.6, 159.4 bytes
    htslib 6:  7.7, 8.9, 11  us   103.4, 126.4, 148.0 bytes

A later sort compresses everything anew anyway. The command for isal: ``isal_zlib.compress(block, level, -15)`` for
each block of `BLOCK_BYTES`. For htslib: ``samtools view -b --output-fmt-option level=1`` less the time of
``samtools view -u``."""

END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends every complete file (SAM specification, section 4.1.2)."""

BLOCK_BYTES = 0xFF00
"""Uncompressed bytes of a block, as in htslib: even stored, they fit into 64 KiB."""
_MOST_BYTES = 1 << 16
"""Most compressed bytes of a block."""
_HEAD = END[:16]
"""The start of every block written here; the block's length less one follows."""
_MAGIC, _EXTRA, _EXTRA_ID = END[:4], slice(12, 14), b"BC"
"""A gzip member with an extra field, and the id of that field."""
_LENGTH = struct.Struct("<H")
_TAIL = struct.Struct("<II")
_STORED = struct.Struct("<BHH")
_RAW_DEFLATE = -15
"""zlib's wbits for raw deflate with a window of 2**15 bytes."""


def is_bgzf(head: bytes) -> bool:
    """Whether a file that starts with these bytes (16 or more) is BGZF."""
    return head.startswith(_MAGIC) and head[_EXTRA] == _EXTRA_ID


def compress(data: bytes | NDArray[np.uint8]) -> bytes:
    """Compress bytes into blocks (none if there are no bytes); releases the GIL.

    The compressed bytes may differ between types of processor, as isal chooses its code by them.
    """
    return b"".join(_pieces(memoryview(data)))  # type: ignore[arg-type]  # an array has the buffer protocol


def _pieces(data: memoryview) -> Iterator[bytes]:
    for start in range(0, len(data), BLOCK_BYTES):
        block = data[start : start + BLOCK_BYTES]
        deflated = isal_zlib.compress(block, LEVEL, _RAW_DEFLATE)
        if _size(deflated) > _MOST_BYTES:
            deflated = _STORED.pack(1, len(block), len(block) ^ 0xFFFF) + block
        yield _HEAD
        yield _LENGTH.pack(_size(deflated) - 1)
        yield deflated
        yield _TAIL.pack(isal_zlib.crc32(block), len(block))


def _size(deflated: bytes) -> int:
    """Bytes of a block."""
    return len(_HEAD) + _LENGTH.size + len(deflated) + _TAIL.size
