"""Keys of fragments and of those that substitutions or an indel make of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from esa.encoders.codes import BITS, CodeEncoder, groups_of
from esa.fragments.base import Fragments, MinimizerEdits
from esa.sequence import dna

LENGTH = 16
MINIMIZER = (6, 10)
ALL = (1 << (3 * (MINIMIZER[1] - MINIMIZER[0]) + 1)) - 1
"""Every substitution leaves a minimizer."""

Bases = NDArray[np.uint8]


def random_encoder(step: int, length: int = LENGTH) -> CodeEncoder:
    rng = np.random.default_rng(step)
    return CodeEncoder(rng.integers(-300, 300, (groups_of(length, step), 256, BITS)).astype(np.int16), step)


def fragment_at(start: int, reverse: int, length: int = LENGTH) -> Fragments:
    return Fragments(
        np.full(1, start, np.int64), np.full(1, length, np.int32), np.full(1, reverse, np.uint8),
        np.zeros(1, np.int32),
    )  # fmt: skip


def found(
    encoder: CodeEncoder, codes: Bases, fragment: Fragments, bits: int, plausible: int, depth: int
) -> list[int]:
    edits = MinimizerEdits(*MINIMIZER, np.full(1, plausible, np.int64))
    offsets, keys = encoder.edited_keys(codes, np.array([0, len(codes)]), fragment, bits, edits, depth)
    assert offsets.tolist() == [0, len(keys)]
    return keys.tolist()


def key_of(encoder: CodeEncoder, oriented: Bases, bits: int) -> int:
    sums = encoder.embed(oriented, fragment_at(0, 0, encoder.length))[0]
    return sum(int(sums[b] > 0) << b for b in range(bits))


def oriented(codes: Bases, reverse: int) -> Bases:
    return (3 - codes[::-1]) if reverse else codes


def allowed(plausible: int, length: int) -> list[tuple[int, int]]:
    """(Base, x) of the single substitutions that the mask lets through."""
    inside = [
        (MINIMIZER[0] + i, x)
        for i in range(MINIMIZER[1] - MINIMIZER[0])
        for x in (1, 2, 3)
        if plausible >> (3 * i + x) & 1
    ]
    return inside + [(p, x) for p in outside(length) for x in (1, 2, 3) if plausible & 1]


def outside(length: int) -> list[int]:
    return [p for p in range(length) if not MINIMIZER[0] <= p < MINIMIZER[1]]


def changed(bases: Bases, *edits: tuple[int, int]) -> Bases:
    out = bases.copy()
    for p, x in edits:
        out[p] ^= x
    return out


def substitutions_slowly(bases: Bases, plausible: int, depth: int) -> list[Bases]:
    """The fragment with up to ``depth`` substitutions, of two at least one outside the minimizer."""
    variants = [bases] if plausible & 1 else []
    variants += [changed(bases, edit) for edit in allowed(plausible, len(bases))]
    if depth > 1:
        variants += [
            changed(bases, one, (p, x))
            for one, p, x in itertools.product(allowed(plausible, len(bases)), outside(len(bases)), (1, 2, 3))
            if p != one[0]
        ]
    return variants


def indels_slowly(before: list[int], bases: Bases, after: list[int]) -> list[Bases]:
    """The fragment with one base of the read left out, or one put in, on either side of its minimizer, which stays."""
    own = bases.tolist()
    variants = []
    for j in range(MINIMIZER[0]):
        # Base j of the read is one too many, or one is missing before base j + 1.
        variants += [before + own[:j] + own[j + 1 :]] if before else []
        variants += [[*own[1 : j + 1], base, *own[j + 1 :]] for base in range(4)]
    for j in range(MINIMIZER[1], LENGTH):
        variants += [own[:j] + own[j + 1 :] + after] if after else []
        variants += [[*own[:j], base, *own[j:-1]] for base in range(4)]
    return [np.array(variant, np.uint8) for variant in variants]


MASKS = [ALL, 1, 0, 0b0110010000010, 0b0000000000101]


@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("plausible", MASKS)
@pytest.mark.parametrize(
    ("length", "step"),
    [(LENGTH, 1), (LENGTH, 2), (LENGTH, 3), (LENGTH, 4), (dna.WORD, 1), (dna.WORD, 2), (dna.WORD, 4)],
)
def test_single_substitutions_have_their_keys(length: int, step: int, plausible: int, reverse: int) -> None:
    """Of a fragment that ends where the read ends."""
    encoder = random_encoder(step, length)
    for bits in (9, 30):
        codes = np.random.default_rng(bits).integers(0, 4, 5 + length).astype(np.uint8)
        keys = found(encoder, codes, fragment_at(5, reverse, length), bits, plausible, 1)
        expected = {
            key_of(encoder, variant, bits)
            for variant in substitutions_slowly(oriented(codes[5:], reverse), plausible, 1)
        }
        assert len(keys) == len(set(keys))
        assert set(keys) == expected


@pytest.mark.parametrize("start", [0, 1, 3])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("plausible", MASKS)
@pytest.mark.parametrize("step", [2, 4])
def test_two_substitutions_and_indels_have_their_keys(
    step: int, plausible: int, reverse: int, start: int
) -> None:
    """A read of three bases more than the fragment, which begins at its first, second or last possible base."""
    encoder = random_encoder(step)
    codes = np.random.default_rng(start).integers(0, 4, LENGTH + 3).astype(np.uint8)
    keys = found(encoder, codes, fragment_at(start, reverse), 14, plausible, 2)
    own = oriented(codes[start : start + LENGTH], reverse)
    variants = substitutions_slowly(own, plausible, 2)
    if plausible & 1:
        left, right = codes[:start][-1:], codes[start + LENGTH :][:1]
        if reverse:
            left, right = 3 - right, 3 - left
        variants += indels_slowly(left.tolist(), own, right.tolist())
    assert len(keys) == len(set(keys))
    assert set(keys) == {key_of(encoder, variant, 14) for variant in variants}


def test_fragments_do_not_mix() -> None:
    """Keys of several fragments are those of each alone."""
    encoder = random_encoder(2)
    codes = np.random.default_rng(4).integers(0, 4, 5 * LENGTH).astype(np.uint8)
    starts = np.arange(5, dtype=np.int64) * LENGTH
    many = Fragments(starts, np.full(5, LENGTH, np.int32), np.zeros(5, np.uint8), np.zeros(5, np.int32))
    masks = np.array(MASKS, np.int64)
    offsets, keys = encoder.edited_keys(
        codes, np.array([0, len(codes)]), many, 12, MinimizerEdits(*MINIMIZER, masks), 2
    )
    for f in range(5):
        alone = found(encoder, codes, fragment_at(f * LENGTH, 0), 12, MASKS[f], 2)
        assert keys[offsets[f] : offsets[f + 1]].tolist() == alone


@pytest.mark.parametrize("length", [LENGTH, dna.WORD])
def test_an_n_may_be_any_base(length: int) -> None:
    """And is first taken for an A of the fragment as it is oriented."""
    encoder = random_encoder(2, length)
    rng = np.random.default_rng(5)
    for reverse in (0, 1):
        codes = rng.integers(0, 4, length).astype(np.uint8)
        hidden = codes.copy()
        hidden[3] = dna.N
        keys = found(encoder, hidden, fragment_at(0, reverse, length), 24, ALL, 1)
        codes[3] = 3 if reverse else 0
        assert keys[0] == key_of(encoder, oriented(codes, reverse), 24)
        for base in range(4):
            codes[3] = base
            assert key_of(encoder, oriented(codes, reverse), 24) in keys
