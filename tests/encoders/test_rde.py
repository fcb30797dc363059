"""`esa.encoders.rde`: tokens, the model, and the encoder around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from esa.encoders import rde
from esa.encoders.rde import BLOCK, RdeEncoder
from esa.encoders.rde_model import RdeModel, RdeShape
from esa.encoders.rde_tokens import PADDING, SLOTS, SPAN, kmer_rows, lay_out, tokens_of
from esa.encoders.registry import create_encoder, save_encoder
from esa.errors import EsaError, UsageError
from esa.fragments.base import Fragments
from esa.sequence import dna

K = 4
SHAPE = RdeShape(k=K, dimensions=32, width=16, layers=2, heads=2, longest=64)
LENGTHS = (64, 63, 50, 37, K + 1, K, K - 1)


@pytest.fixture(scope="module")
def encoder() -> RdeEncoder:
    """Weights far from the start, so that every part of the model counts."""
    torch.manual_seed(1)
    model = RdeModel(SHAPE)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.2 * torch.randn_like(value))
        model.kmers.weight[PADDING] = 0
    return RdeEncoder.of_model(model)


@pytest.fixture(scope="module")
def codes() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 4, 3000).astype(np.uint8)


def windows(starts: NDArray[np.int64], lengths: NDArray[np.int32]) -> Fragments:
    n = len(starts)
    return Fragments(starts, lengths, np.zeros(n, np.uint8), np.zeros(n, np.int32))


def of_length(starts: NDArray[np.int64], length: int) -> Fragments:
    return windows(starts, np.full(len(starts), length, np.int32))


def lay_out_slowly(bases: NDArray[np.uint8]) -> list[dict[int, float]]:
    """The weighted canonical k-mers of each token, by their values."""
    kmers = []
    for i in range(len(bases) - K + 1):
        kmer = bases[i : i + K]
        digits = [sum(int(b) << 2 * (K - 1 - j) for j, b in enumerate(side)) for side in
                  (kmer, dna.reverse_complement(kmer))]  # fmt: skip
        kmers.append(None if (kmer > 3).any() else min(digits))
    tokens: list[dict[int, float]] = [{} for _ in range(tokens_of(len(bases), K))]
    middle = (len(kmers) - 1) / 2
    for i, kmer in enumerate(kmers):
        if kmer is None:
            continue
        place = (i - middle) / SPAN + len(tokens) / 2
        border = len(kmers) % 2 and place == int(place)
        for token in (int(place) - 1, int(place)) if border else (int(place),):
            if 0 <= token < len(tokens):
                weight = (0.5 if border else 1) / kmers.count(kmer) ** 0.5
                tokens[token][kmer] = tokens[token].get(kmer, 0.0) + weight
    return tokens


@pytest.mark.parametrize("length", LENGTHS)
def test_tokens_are_those_of_the_definition(length: int, codes: NDArray[np.uint8]):
    bases = codes[:length].copy()
    if length > 30:
        bases[20] = dna.N
    rows = np.empty((1, tokens_of(length, K), SLOTS), np.int32)
    weights = np.empty(rows.shape, np.float32)
    table = kmer_rows(K)
    for _ in range(2):  # what was counted is forgotten
        lay_out(bases, np.array([0]), length, K, table, rows, weights)
    for token, counted, expected in zip(rows[0], weights[0], lay_out_slowly(bases), strict=True):
        found: dict[int, float] = {}
        for row, weight in zip(token.tolist(), counted.tolist(), strict=True):
            if row != PADDING:
                found[row] = found.get(row, 0.0) + weight
        assert found == pytest.approx({int(table[kmer]): share for kmer, share in expected.items()})


def test_both_strands_of_a_k_mer_share_a_row_and_no_two_others_do():
    rows = kmer_rows(3)
    kmers = [np.array([i >> 4 & 3, i >> 2 & 3, i & 3], np.uint8) for i in range(64)]
    groups: dict[int, set[bytes]] = {}
    for row, kmer in zip(rows.tolist(), kmers, strict=True):
        groups.setdefault(row, set()).add(min(kmer.tobytes(), dna.reverse_complement(kmer).tobytes()))
    assert sorted(groups) == list(range(1, 33))
    assert all(len(group) == 1 for group in groups.values())


@pytest.mark.parametrize("length", LENGTHS)
def test_the_reverse_complement_has_the_same_embedding(
    encoder: RdeEncoder, codes: NDArray[np.uint8], length: int
):
    ahead = encoder.embed(codes[:length], of_length(np.array([0]), length))
    back = encoder.embed(dna.reverse_complement(codes[:length]), of_length(np.array([0]), length))
    np.testing.assert_allclose(ahead, back, atol=1e-5)
    assert np.linalg.norm(ahead) == pytest.approx(1 if length > K else np.linalg.norm(back), abs=1e-5)


def test_an_embedding_does_not_depend_on_what_stands_beside_it(encoder: RdeEncoder, codes: NDArray[np.uint8]):
    """Bit for bit: alignments must not depend on the batch size."""
    rng = np.random.default_rng(2)
    starts = rng.integers(0, len(codes) - 64, 3 * BLOCK + 5)
    lengths = rng.choice(LENGTHS, len(starts)).astype(np.int32)
    whole = encoder.embed(codes, windows(starts, lengths))
    order = rng.permutation(len(starts))
    np.testing.assert_array_equal(encoder.embed(codes, windows(starts[order], lengths[order])), whole[order])
    for i in range(20):
        alone = encoder.embed(codes, windows(starts[i : i + 1], lengths[i : i + 1]))
        np.testing.assert_array_equal(alone[0], whole[i])


def test_blocks_of_another_device_hold_the_same(
    encoder: RdeEncoder, codes: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
):
    """The path of CUDA, on a device that is the CPU but is not called so."""
    fragments = windows(np.arange(0, 2900, 64), np.tile(LENGTHS, 46)[:46].astype(np.int32))
    monkeypatch.setattr(rde, "DEVICE_BLOCK", 5)
    there = replace(encoder, device=torch.device("cpu", 0))
    assert there._block == 5
    np.testing.assert_allclose(there.embed(codes, fragments), encoder.embed(codes, fragments), atol=1e-6)
    assert there.parameters() == encoder.parameters()


def test_prefixes_are_embeddings(encoder: RdeEncoder, codes: NDArray[np.uint8]):
    fragments = of_length(np.arange(0, 2900, 64), 64)
    whole, part = encoder.embed(codes, fragments), encoder.truncated(8).embed(codes, fragments)
    expected = whole[:, :8] / np.linalg.norm(whole[:, :8], axis=1, keepdims=True)
    np.testing.assert_allclose(part, expected, atol=1e-5)
    assert encoder.truncated(8).dimensions == part.shape[1] == 8


def test_without_k_mers_there_is_the_zero_vector(codes: NDArray[np.uint8]):
    encoder = RdeEncoder.of_model(RdeModel(SHAPE))
    unknown = np.full(64, dna.N, np.uint8)
    assert not encoder.embed(unknown, of_length(np.array([0]), 64)).any()
    assert encoder.embed(codes, of_length(np.empty(0, np.int64), 64)).shape == (0, 32)


def test_the_middle_of_a_longer_fragment_counts(encoder: RdeEncoder, codes: NDArray[np.uint8]):
    np.testing.assert_array_equal(
        encoder.embed(codes, of_length(np.array([100]), 100)),
        encoder.embed(codes, of_length(np.array([118]), 64)),
    )


def test_untrained_it_is_the_tapered_projection(codes: NDArray[np.uint8]):
    """The Transformer begins where the sketch is: with nothing added, and all gates alike."""
    fragments = of_length(np.arange(0, 2900, 64), 64)
    with_layers = RdeEncoder.of_model(RdeModel(SHAPE)).embed(codes, fragments)
    without = RdeEncoder.of_model(RdeModel(replace(SHAPE, layers=0))).embed(codes, fragments)
    np.testing.assert_allclose(with_layers, without, atol=1e-5)


def test_kept_in_a_directory_it_embeds_the_same(encoder: RdeEncoder, codes: NDArray[np.uint8], tmp_path):
    save_encoder(encoder, tmp_path / "rde")
    opened = create_encoder(str(tmp_path / "rde"), "dense", 64)
    fragments = of_length(np.arange(0, 2900, 64), 64)
    np.testing.assert_array_equal(opened.embed(codes, fragments), encoder.embed(codes, fragments))
    assert opened.parameters() == encoder.parameters()
    with pytest.raises(UsageError, match="does not fit the preset's store"):
        create_encoder(str(tmp_path / "rde"), "codes", 64)


def test_weights_of_another_shape_are_refused(encoder: RdeEncoder, tmp_path):
    with pytest.raises(ValueError, match="not the weights of"):
        RdeEncoder(replace(SHAPE, layers=1), encoder.weights, 32)
    for kept in (0, 6, 64):
        with pytest.raises(ValueError, match="kept is a multiple"):
            encoder.truncated(kept)
    save_encoder(encoder, tmp_path / "rde")
    config = tmp_path / "rde" / "encoder.json"
    config.write_text(config.read_text().replace('"width": 16', '"width": 32'))
    with pytest.raises(EsaError, match=r"encoder\.json was altered"):
        create_encoder(str(tmp_path / "rde"), "dense", 64)


@pytest.mark.parametrize(
    "wrong", [{"k": 1}, {"heads": 3}, {"dimensions": 30}, {"layers": -1}, {"longest": 2}]
)
def test_shapes_that_are_no_model_are_refused(wrong: dict[str, int]):
    with pytest.raises(ValueError, match="RdeShape"):
        replace(SHAPE, **wrong)
