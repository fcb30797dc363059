"""`esa.encoders.codes` and `esa.encoders.projection` against sums written out."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from esa.encoders.codes import BITS, GROUP, CodeEncoder, grouped
from esa.encoders.projection import ProjectionEncoder
from esa.fragments.base import Fragments
from esa.fragments.minimizers import MinimizerFragmenter
from esa.sequence import dna

LENGTH = 12


def an_encoder(step: int, length: int = LENGTH) -> CodeEncoder:
    rng = np.random.default_rng(1)
    groups = (length - GROUP) // step + 1
    return CodeEncoder(rng.integers(-999, 1000, (groups, 4**GROUP, BITS)).astype(np.int16), step)


@pytest.fixture(scope="module", params=[1, 2, 4])
def encoder(request: pytest.FixtureRequest) -> CodeEncoder:
    return an_encoder(request.param)


def windows(starts: list[int], reverse: list[int], length: int = LENGTH) -> Fragments:
    n = len(starts)
    return Fragments(
        np.array(starts, np.int64),
        np.full(n, length, np.int32),
        np.array(reverse, np.uint8),
        np.zeros(n, np.int32),
    )


def embed_slowly(encoder: CodeEncoder, codes: NDArray[np.uint8], start: int, reverse: int) -> list[int]:
    """For each group of the oriented fragment, the row of its bases, read as a number; the mean, rounded down,
    of the rows of all that it may be where it holds an N."""
    window = codes[start : start + encoder.length]
    if reverse:
        window = dna.reverse_complement(window)
    sums = np.zeros(BITS, int)
    for group in range(len(encoder.table)):
        bases = window[group * encoder.step :][:GROUP].tolist()
        choices = [range(4) if base == dna.N else [base] for base in bases]
        rows = [sum(b * 4**place for place, b in enumerate(x)) for x in itertools.product(*choices)]
        sums += encoder.table[group, rows].astype(int).sum(axis=0) // len(rows)
    return sums.tolist()


@given(st.lists(st.integers(0, 4), min_size=LENGTH, max_size=40), st.data())
@settings(max_examples=100)
def test_embedding_is_the_sum_of_the_table_s_rows(
    encoder: CodeEncoder, bases: list[int], data: st.DataObject
):
    codes = np.array(bases, np.uint8)
    starts = data.draw(st.lists(st.integers(0, len(bases) - LENGTH), min_size=1, max_size=5))
    reverse = data.draw(st.lists(st.integers(0, 1), min_size=len(starts), max_size=len(starts)))
    found = encoder.embed(codes, windows(starts, reverse))
    assert found.dtype == np.int16
    assert found.tolist() == [
        embed_slowly(encoder, codes, s, r) for s, r in zip(starts, reverse, strict=True)
    ]


@pytest.mark.parametrize("step", [1, 2, 4])
@pytest.mark.parametrize("length", [28, dna.WORD, 36])
@pytest.mark.parametrize("stride", [1, -1, 2])
def test_fragments_of_a_word_and_others_are_embedded_alike(step: int, length: int, stride: int):
    """From the first base to the last, in codes that need not lie side by side."""
    encoder = an_encoder(step, length)
    rng = np.random.default_rng(length)
    codes = rng.choice(5, 240, p=[0.24, 0.24, 0.24, 0.24, 0.04]).astype(np.uint8)[::stride]
    starts = list(range(len(codes) - length + 1))
    reverse = rng.integers(0, 2, len(starts)).tolist()
    expected = [embed_slowly(encoder, codes, s, r) for s, r in zip(starts, reverse, strict=True)]
    cut = windows(starts, reverse, length)
    assert encoder.embed(codes, cut).tolist() == expected
    assert encoder.signs(codes, cut).tolist() == [
        sum(1 << b for b in range(BITS) if row[b] > 0) for row in expected
    ]


def test_signs_are_those_of_the_embedding(encoder: CodeEncoder):
    rng = np.random.default_rng(3)
    codes = rng.choice(5, 300, p=[0.24, 0.24, 0.24, 0.24, 0.04]).astype(np.uint8)
    cut = windows(list(range(280)), rng.integers(0, 2, 280).tolist())
    found = encoder.signs(codes, cut)
    assert found.dtype == np.uint64
    expected = [sum(1 << b for b in range(BITS) if row[b] > 0) for row in encoder.embed(codes, cut)]
    assert found.tolist() == expected
    assert encoder.signs(codes, windows([], [])).tolist() == []


@given(st.lists(st.integers(0, 4), min_size=LENGTH, max_size=40))
@settings(max_examples=50)
def test_a_window_embeds_the_same_seen_from_the_other_strand(encoder: CodeEncoder, bases: list[int]):
    codes = np.array(bases, np.uint8)
    turned = dna.reverse_complement(codes)
    starts = list(range(len(bases) - LENGTH + 1))
    for reverse in (0, 1):
        here = encoder.embed(codes, windows(starts, [reverse] * len(starts)))
        there = encoder.embed(turned, windows(starts[::-1], [1 - reverse] * len(starts)))
        np.testing.assert_array_equal(here, there)


def test_an_embedding_does_not_depend_on_its_neighbours(encoder: CodeEncoder):
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 4, 100).astype(np.uint8)
    together = encoder.embed(codes, windows(list(range(80)), [0, 1] * 40))
    for i in range(0, 80, 9):
        np.testing.assert_array_equal(encoder.embed(codes, windows([i], [i % 2]))[0], together[i])
    assert encoder.embed(codes, windows([], [])).shape == (0, BITS)


def test_grouped_sums_base_by_base():
    rng = np.random.default_rng(7)
    table = rng.integers(-127, 128, (LENGTH, 4, BITS)).astype(np.int8)
    bias = rng.integers(-500, 501, BITS).astype(np.int16)
    codes = rng.integers(0, 4, 50).astype(np.uint8)
    starts = list(range(50 - LENGTH))
    found = CodeEncoder(grouped(table, bias)).embed(codes, windows(starts, [0] * len(starts)))
    for start, row in zip(starts, found, strict=True):
        expected = bias + sum(table[i, codes[start + i]].astype(int) for i in range(LENGTH))
        np.testing.assert_array_equal(row, expected)
    with pytest.raises(ValueError, match="groups"):
        grouped(table[:-1], bias)


def test_the_largest_sums_do_not_overflow():
    length = MinimizerFragmenter().length
    table = np.full((length, 4, BITS), 127, np.int8)
    encoder = CodeEncoder(grouped(table, np.full(BITS, 1000, np.int16)))
    found = encoder.embed(np.zeros(length, np.uint8), windows([0], [0], length))
    assert found.tolist() == [[127 * length + 1000] * BITS]


@pytest.mark.parametrize(
    ("table", "step"),
    [
        (np.zeros((3, 4**GROUP, BITS - 1), np.int16), 4),
        (np.zeros((3, 4**GROUP + 1, BITS), np.int16), 4),
        (np.zeros((0, 4**GROUP, BITS), np.int16), 4),
        (np.zeros((4**GROUP, BITS), np.int16), 4),
        (np.zeros((3, 4**GROUP, BITS), np.int8), 4),
        (np.zeros((3, 4**GROUP, BITS), np.int16), 0),
        (np.zeros((3, 4**GROUP, BITS), np.int16), GROUP + 1),
    ],
)
def test_what_is_no_code_table_is_refused(table: NDArray[Any], step: int):
    with pytest.raises(ValueError, match="not a code table"):
        CodeEncoder(table, step)


def sample_of(
    rng: np.random.Generator, bases: int, letters: list[float]
) -> tuple[NDArray[np.uint8], Fragments]:
    codes = rng.choice(4, bases, p=letters).astype(np.uint8)
    fragmenter = MinimizerFragmenter()
    return codes, fragmenter.reference(codes, np.array([0, bases]))


def test_calibration_balances_each_bit():
    """On a reference of uneven composition, whose sums are far from balanced without."""
    codes, fragments = sample_of(np.random.default_rng(3), 60_000, [0.45, 0.05, 0.2, 0.3])
    plain = ProjectionEncoder.untrained(MinimizerFragmenter().length)
    fitted = plain.calibrated(codes, fragments)

    def imbalance(encoder: CodeEncoder) -> float:
        return float(np.abs((encoder.embed(codes, fragments) > 0).mean(axis=0) - 0.5).max())

    assert imbalance(plain) > 0.1
    assert imbalance(fitted) < 0.01
    np.testing.assert_array_equal(fitted.table[1:], plain.table[1:])
    # Fitting again changes nothing.
    np.testing.assert_array_equal(fitted.calibrated(codes, fragments).table, fitted.table)


def test_calibration_on_nothing_and_of_a_learned_table_changes_nothing(encoder: CodeEncoder):
    codes, fragments = sample_of(np.random.default_rng(4), 3000, [0.25] * 4)
    plain = ProjectionEncoder.untrained(48)
    assert plain.calibrated(codes, windows([], [])) is plain
    assert encoder.calibrated(codes, fragments) is encoder


def test_the_projection_keeps_angles():
    """Substitutions in a share p of the bases flip about acos(1 - 4p/3) / pi of the bits."""
    rng = np.random.default_rng(5)
    length = 48
    encoder = ProjectionEncoder.untrained(length)
    codes = rng.integers(0, 4, 500 * length).astype(np.uint8)
    starts = list(range(0, len(codes), length))
    fragments = windows(starts, [0] * len(starts), length)
    bits = encoder.embed(codes, fragments) > 0
    for changed in (2, 5, 12):
        other = codes.reshape(-1, length).copy()
        for row in other:
            at = rng.choice(length, changed, replace=False)
            row[at] = (row[at] + rng.integers(1, 4, changed)) % 4
        flipped = (encoder.embed(other.ravel(), fragments) > 0) != bits
        expected = np.arccos(1 - 4 * changed / length / 3) / np.pi
        assert flipped.mean() == pytest.approx(expected, rel=0.1)


def test_the_untrained_table_is_the_same_every_time():
    one, two, other = (ProjectionEncoder.untrained(48, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.table, two.table)
    assert np.any(one.table != other.table)
    assert one.table.dtype == np.int16
