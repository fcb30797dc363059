"""Keys of fragments and of their single substitutions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from esa.encoders.codes import BITS, CodeEncoder, groups_of
from esa.fragments import Fragments

LENGTH = 16


def random_encoder(step: int) -> CodeEncoder:
    rng = np.random.default_rng(step)
    return CodeEncoder(rng.integers(-300, 300, (groups_of(LENGTH, step), 256, BITS)).astype(np.int16), step)


def fragment_of(codes: NDArray[np.uint8], reverse: int) -> Fragments:
    return Fragments(
        np.zeros(1, np.int64),
        np.full(1, len(codes), np.int32),
        np.full(1, reverse, np.uint8),
        np.zeros(1, np.int32),
    )


def keys_slowly(encoder: CodeEncoder, codes: NDArray[np.uint8], reverse: int, bits: int) -> Counter[int]:
    """How many of the fragment and its substitutions, each embedded anew, have each key."""
    variants = [codes]
    for at in range(LENGTH):
        for base in range(4):
            if base != codes[at]:
                variants.append(codes.copy())
                variants[-1][at] = base
    found: Counter[int] = Counter()
    for variant in variants:
        sums = encoder.embed(variant, fragment_of(variant, reverse))[0]
        found[sum(int(sums[b] > 0) << b for b in range(bits))] += 1
    return found


@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("bits", [9, 30])
@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_every_substitution_has_its_key(step: int, bits: int, reverse: int):
    encoder = random_encoder(step)
    rng = np.random.default_rng(bits)
    for _ in range(5):
        codes = rng.integers(0, 4, LENGTH).astype(np.uint8)
        one = fragment_of(codes, reverse)
        embedding = encoder.embed(codes, one)
        expected = keys_slowly(encoder, codes, reverse, bits)
        offsets, keys = encoder.edited_keys(codes, one, embedding, bits, 97)
        assert offsets.tolist() == [0, len(expected)]
        assert set(keys.tolist()) == set(expected)
        assert keys[0] == sum(int(embedding[0, b] > 0) << b for b in range(bits))
        _, few = encoder.edited_keys(codes, one, embedding, bits, 5)
        assert few[0] == keys[0]
        rest = sorted((n for key, n in expected.items() if key != keys[0]), reverse=True)
        assert [expected[key] for key in few[1:].tolist()] == rest[:4]


def test_fragments_do_not_mix():
    """Keys of several fragments are those of each alone."""
    encoder = random_encoder(2)
    codes = np.random.default_rng(4).integers(0, 4, 5 * LENGTH).astype(np.uint8)
    starts = np.arange(5, dtype=np.int64) * LENGTH
    many = Fragments(starts, np.full(5, LENGTH, np.int32), np.zeros(5, np.uint8), np.zeros(5, np.int32))
    offsets, keys = encoder.edited_keys(codes, many, encoder.embed(codes, many), 12, 97)
    for f in range(5):
        own = codes[f * LENGTH : (f + 1) * LENGTH]
        _, alone = encoder.edited_keys(
            own, fragment_of(own, 0), encoder.embed(own, fragment_of(own, 0)), 12, 97
        )
        assert keys[offsets[f] : offsets[f + 1]].tolist() == alone.tolist()
