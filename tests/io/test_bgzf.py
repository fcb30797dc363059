"""BGZF blocks as the SAM specification has them."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysam
import pytest

from esa.io import bgzf

SIZES = [0, 1, 2, 1000, *(n * bgzf.BLOCK_BYTES + d for n in (1, 2) for d in (-1, 0, 1))]


def blocks_of(data: bytes) -> list[bytes]:
    """The blocks, by the length that each says it has."""
    blocks = []
    while data:
        assert data[:4] == b"\x1f\x8b\x08\x04"
        assert data[10:16] == b"\x06\0BC\x02\0"
        size = struct.unpack_from("<H", data, 16)[0] + 1
        assert size <= len(data)
        blocks.append(data[:size])
        data = data[size:]
    return blocks


def noise(size: int) -> bytes:
    return np.random.default_rng(size).bytes(size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "make", [lambda n: b"ACGT" * (n // 4) + b"A" * (n % 4), noise], ids=["text", "noise"]
)
def test_the_blocks_hold_the_bytes(size: int, make: Callable[[int], bytes]) -> None:
    data = make(size)
    made = bgzf.compress(data)
    blocks = blocks_of(made)
    assert len(blocks) == -(-size // bgzf.BLOCK_BYTES)
    assert b"".join(gzip.decompress(block) for block in blocks) == data
    assert all(len(block) <= 65536 for block in blocks)


def test_bytes_that_cannot_be_compressed_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    # isal stores them by itself; what stands in for it here makes them longer.
    data = noise(bgzf.BLOCK_BYTES)
    monkeypatch.setattr(bgzf.isal_zlib, "compress", lambda block, *_: bytes(70_000))
    (block,) = blocks_of(bgzf.compress(data))
    assert gzip.decompress(block) == data


def test_takes_arrays() -> None:
    data = np.arange(100_000).astype(np.uint8)
    assert bgzf.compress(data) == bgzf.compress(data.tobytes())


def test_the_end_is_an_empty_block() -> None:
    assert blocks_of(bgzf.END) == [bgzf.END]
    assert gzip.decompress(bgzf.END) == b""


def test_htslib_reads_it(tmp_path: Path) -> None:
    data = noise(1000) * 500
    (tmp_path / "x.gz").write_bytes(bgzf.compress(data) + bgzf.END)
    with pysam.BGZFile(str(tmp_path / "x.gz")) as file:
        assert file.read(len(data) + 1) == data
