"""`esa.sequence.hashing` against integers of Python."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from esa.sequence.hashing import mix64, salt_reads, tie_break

MASK = (1 << 64) - 1
words = st.integers(0, MASK)


def mix_slowly(h: int) -> int:
    h ^= h >> 33
    h = h * 0xFF51AFD7ED558CCD & MASK
    h ^= h >> 33
    h = h * 0xC4CEB9FE1A85EC53 & MASK
    return h ^ h >> 33


@given(words)
def test_mix_is_murmur_s_finalizer(value: int):
    assert int(mix64(np.uint64(value))) == mix_slowly(value)


def salts(names: list[bytes], seed: int) -> list[int]:
    out: NDArray[np.uint64] = np.empty(len(names), np.uint64)
    offsets = np.concatenate([[0], np.cumsum([len(name) for name in names])]).astype(np.int64)
    salt_reads(np.frombuffer(b"".join(names), np.uint8), offsets, seed, out)
    return out.tolist()


@given(st.lists(st.binary(max_size=12), max_size=6), st.integers(0, 1 << 40))
def test_a_salt_is_of_the_name_and_the_seed_alone(names: list[bytes], seed: int):
    expected = []
    for name in names:
        h = mix_slowly(seed)
        for byte in name:
            h = mix_slowly(h ^ byte)
        expected.append(h)
    assert salts(names, seed) == expected


def test_names_and_seeds_make_different_salts():
    names = [f"read{i}".encode() for i in range(1000)]
    assert len(set(salts(names, 0)) | set(salts(names, 1))) == 2000


def test_ties_are_broken_evenly_and_differently_for_each_read():
    places = (100, 50_000, 3_000_000, -7)
    wins = dict.fromkeys(places, 0)
    for salt in salts([f"read{i}".encode() for i in range(2000)], 0):
        wins[max(places, key=lambda place: int(tie_break(np.uint64(salt), place)))] += 1
    assert all(420 < n < 580 for n in wins.values())
