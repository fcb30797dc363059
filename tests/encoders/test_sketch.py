"""The sketch encoder against a slow dictionary version, strands, N, microsatellites, similarity."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from esa.encoders import sketch_on_device
from esa.encoders.base import Encoder
from esa.encoders.sketch import CENTRE, EDGE, SketchEncoder, taper
from esa.encoders.sketch_on_device import SketchOnDevice
from esa.fragments.base import Fragments
from esa.sequence import dna

SMALL = SketchEncoder(k=3, dimensions=64, seed=7)

sequences = st.text("ACGTN", max_size=60)


def fragments_of(*sequences: str) -> tuple[NDArray[np.uint8], Fragments]:
    lengths = np.array([len(s) for s in sequences], np.int32)
    start = np.cumsum([0, *lengths])[:-1].astype(np.int64)
    n = len(sequences)
    return dna.encode("".join(sequences).encode()), Fragments(
        start, lengths, np.zeros(n, np.uint8), np.arange(n, dtype=np.int32)
    )


def embed(encoder: SketchEncoder, *sequences: str) -> NDArray[np.float32]:
    return encoder.embed(*fragments_of(*sequences))


def reverse_complement(sequence: str) -> str:
    return sequence[::-1].translate(str.maketrans("ACGTN", "TGCAN"))


@cache
def signs(encoder: SketchEncoder, kmer: str) -> NDArray[np.int64]:
    """The vector of a k-mer, read off a fragment that holds nothing else."""
    return np.sign(embed(encoder, kmer)[0]).astype(np.int64)


def slow_sketch(encoder: SketchEncoder, sequence: str) -> NDArray[np.float32]:
    """The obvious version: a dictionary of tapered counts."""
    counts: Counter[str] = Counter()
    n = len(sequence) - encoder.k + 1
    for i in range(n):
        kmer = sequence[i : i + encoder.k]
        if "N" not in kmer:
            share = (2 * i + 1) * (2 * (n - i) - 1)
            counts[min(kmer, reverse_complement(kmer))] += EDGE + (CENTRE - EDGE) * share // n**2
    total = np.zeros(encoder.dimensions, np.int64)
    for kmer, count in counts.items():
        total += round(math.sqrt(count)) * signs(encoder, kmer)
    norm = math.sqrt(int((total**2).sum())) or 1.0
    return (total / norm).astype(np.float32)


@given(st.lists(sequences, min_size=1, max_size=5))
def test_equals_the_slow_version(sequences: list[str]) -> None:
    expected = np.stack([slow_sketch(SMALL, s) for s in sequences])
    np.testing.assert_array_equal(embed(SMALL, *sequences), expected)


@given(sequences)
def test_both_strands_have_the_same_embedding(sequence: str) -> None:
    forward, backward = embed(SMALL, sequence, reverse_complement(sequence))
    np.testing.assert_array_equal(forward, backward)


def test_a_fragment_is_the_same_alone_and_in_a_batch() -> None:
    rng = np.random.default_rng(1)
    sequences = ["".join(rng.choice(list("ACGTN"), size)) for size in (256, 3, 100, 0, 256)]
    together = embed(SketchEncoder(), *sequences)
    for row, sequence in zip(together, sequences, strict=True):
        np.testing.assert_array_equal(row, embed(SketchEncoder(), sequence)[0])


@pytest.mark.parametrize("k", [1, 2, 8])
def test_unit_length_and_shape(k: int) -> None:
    out = embed(SketchEncoder(k=k, dimensions=128), "ACGTTGCAATCGGCTA" * 5, "GATTACAGATTACA")
    assert out.dtype == np.float32
    assert out.shape == (2, 128)
    np.testing.assert_allclose((out.astype(np.float64) ** 2).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("sequence", ["", "AC", "N" * 50, "ACNACNACNAC"])
def test_without_a_kmer_the_embedding_is_zero(sequence: str) -> None:
    assert not embed(SMALL, sequence).any()


def test_kmers_with_n_are_skipped_and_do_not_join_their_sides() -> None:
    # TTT is its own side of the N: no k-mer such as TTA or TAC may arise across it.
    parts = slow_sketch(SMALL, "TTTNACG")
    np.testing.assert_array_equal(embed(SMALL, "TTTNACG")[0], parts)
    assert not np.array_equal(embed(SMALL, "TTTNACG"), embed(SMALL, "TTTACG"))


def test_no_fragments() -> None:
    assert embed(SMALL).shape == (0, 64)


def test_seeds_and_kmers_have_independent_signs() -> None:
    tables = np.concatenate([SketchEncoder(k=2, seed=s).signs for s in range(8)]).astype(np.int64)
    assert set(np.unique(tables)) == {-1, 1}
    products = tables @ tables.T
    np.fill_diagonal(products, 0)
    # 128 rows: the largest of 8,128 products of random signs stays under six standard deviations of 16.
    assert abs(products).max() < 6 * 16
    assert abs(tables.mean(axis=0)).max() < 6 / math.sqrt(128)


def test_the_taper_is_symmetric_and_largest_in_the_middle() -> None:
    for n in (1, 2, 5, 249):
        weights = [taper(i, n) for i in range(n)]
        assert weights == weights[::-1]
        assert max(weights) == weights[n // 2] <= CENTRE
        assert min(weights) >= EDGE
    assert taper(0, 1) == CENTRE


def test_edits_and_shifts_keep_a_fragment_near_and_others_stay_far() -> None:
    rng = np.random.default_rng(3)
    genome = "".join(rng.choice(list("ACGT"), 400))
    edited = list(genome[:256])
    for i in range(10, 256, 50):
        edited[i] = "ACGT"[("ACGT".index(edited[i]) + 1) % 4]
    rows = embed(
        SketchEncoder(), genome[:256], "".join(edited), genome[64:320], "".join(rng.choice(list("ACGT"), 256))
    )
    near_edits, near_shift, far = rows[1:] @ rows[0]
    assert near_edits > 0.75
    assert near_shift > 0.65
    assert abs(far) < 0.3


def test_a_microsatellite_does_not_drown_what_stands_beside_it() -> None:
    rng = np.random.default_rng(4)
    flanks = ["".join(rng.choice(list("ACGT"), 128)) for _ in range(2)]
    a, b = embed(SketchEncoder(), *("AC" * 64 + flank for flank in flanks))
    assert a @ b < 0.5  # .8 with plain counts


def test_it_is_an_encoder_and_its_parameters_rebuild_it() -> None:
    encoder: Encoder = SMALL
    parameters = encoder.parameters()
    assert parameters.pop("name") == encoder.name == "sketch"
    assert SketchEncoder(**parameters) == encoder
    assert encoder.calibrated(*fragments_of("ACGT")) is encoder
    assert encoder.arrays() == {}


@pytest.mark.parametrize("wrong", [{"k": 0}, {"k": 11}, {"dimensions": 0}, {"dimensions": 100}])
def test_impossible_parameters_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="multiple of 64"):
        SketchEncoder(**wrong)


@given(st.lists(sequences, max_size=5))
def test_torch_gives_the_same_bits(sequences: list[str]) -> None:
    there = SketchOnDevice(SMALL, torch.device("cpu"))
    np.testing.assert_array_equal(there.embed(*fragments_of(*sequences)), embed(SMALL, *sequences))


def test_torch_gives_the_same_bits_of_whole_fragments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch_on_device, "BLOCK", 7)
    rng = np.random.default_rng(4)
    codes = np.concatenate([rng.integers(0, 4, 3000), [dna.N] * 40, np.tile([0, 1], 400)]).astype(np.uint8)
    start = np.arange(0, len(codes) - 256, 16, dtype=np.int64)
    n = len(start)
    fragments = Fragments(
        start, rng.choice([256, 200], n).astype(np.int32), np.zeros(n, np.uint8), np.zeros(n, np.int32)
    )
    encoder: Encoder = SketchOnDevice(SketchEncoder(), torch.device("cpu"))
    expected = SketchEncoder().embed(codes, fragments)
    np.testing.assert_array_equal(encoder.embed(codes, fragments), expected)
    assert encoder.parameters() == SketchEncoder().parameters()
    assert encoder.dimensions == 256
