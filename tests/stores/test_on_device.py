"""Exact search by torch, on the CPU by the path that CUDA takes: numpy's hits, ties and all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from esa.stores import on_device
from esa.stores.base import SearchEffort
from esa.stores.dense import SCORE_SCALE, DenseParameters, DenseStore, quantize
from esa.stores.dense_builder import DenseStoreBuilder
from esa.stores.on_device import DeviceScanner, store_on_device

CPU = torch.device("cpu")


def bytes_at_random(n: int, seed: int, largest: int, dimensions: int = 32) -> NDArray[np.int8]:
    rng = np.random.default_rng(seed)
    return rng.integers(-largest, largest + 1, (n, dimensions)).astype(np.int8)


def nearest_slowly(vectors: NDArray[np.int8], queries: NDArray[np.int8], width: int) -> list[list[int]]:
    products = queries.astype(np.int64) @ vectors.astype(np.int64).T
    found = [sorted(range(len(vectors)), key=lambda i: (-line[i], i))[:width] for line in products.tolist()]
    return [rows + [-1] * (width - len(rows)) for rows in found]


@pytest.mark.parametrize("largest", [1, 127], ids=["many ties", "few ties"])
@pytest.mark.parametrize("block", [1 << 16, 100, 33])
@pytest.mark.parametrize("width", [1, 20, 120, 700])
def test_rows_are_those_of_numpy(
    largest: int, block: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_device, "BLOCK", block)
    vectors, queries = bytes_at_random(500, 1, largest), bytes_at_random(40, 2, largest)
    found = DeviceScanner(vectors, CPU).search(queries, width)
    assert found.tolist() == nearest_slowly(vectors, queries, width)


def test_the_largest_products_are_exact() -> None:
    vectors = np.full((3, 4096), 127, np.int8)
    vectors[1, 0], vectors[2, 0] = 126, 125
    assert DeviceScanner(vectors[::-1], CPU).search(vectors[:1] // 4, 3).tolist() == [[2, 1, 0]]
    assert DeviceScanner(vectors, CPU).search(-(vectors[:1] // 4), 3).tolist() == [[2, 1, 0]]


def test_nothing_is_found_of_nothing() -> None:
    few = bytes_at_random(2, 3, 9)
    assert DeviceScanner(few[:0], CPU).search(few, 2).tolist() == [[-1, -1], [-1, -1]]
    assert DeviceScanner(few, CPU).search(few[:0], 2).shape == (0, 2)


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    out: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return out


def store_of(vectors: NDArray[np.float32], settings: DenseParameters) -> DenseStore:
    builder = DenseStoreBuilder(vectors.shape[1], settings)
    builder.add(vectors, 100 * np.arange(len(vectors)), np.zeros(len(vectors), np.uint8))
    return builder.finish()


@pytest.mark.parametrize("way", [{}, {"exact_limit": 0}, {"exact_limit": 0, "lists_from": 1}])
@pytest.mark.parametrize("probes", [1, 4])
def test_the_hits_of_any_store_are_those_of_an_exact_one(way: dict[str, int], probes: int) -> None:
    rng = np.random.default_rng(4)
    vectors = unit(rng.standard_normal((2000, 64)))
    queries = unit(
        np.concatenate([vectors[:30] + 0.05 * rng.standard_normal((30, 64)), np.zeros((1, 64)) + 1])
    )
    effort = SearchEffort(max_hits=20, probes=probes)
    settings = DenseParameters(**way)  # type: ignore[arg-type]
    on = store_on_device(store_of(vectors, settings), CPU)
    hits = on.search(queries, effort)
    assert hits.scanned == 2000 * 31
    # Of equal products at the end of its shortlist faiss keeps any.
    expected = store_of(vectors, DenseParameters()).search(queries, effort)
    for name in ("offsets", "score", "truncated"):
        np.testing.assert_array_equal(getattr(hits, name), getattr(expected, name), err_msg=name)
    rounded = quantize(queries, settings.scale(64))
    scale = SCORE_SCALE / settings.scale(64) ** 2
    for i, rows in enumerate(nearest_slowly(on.vectors, rounded, 21)):
        scores = {r: round(int(on.vectors[r].astype(int) @ rounded[i].astype(int)) * scale) for r in rows}
        least = max(SCORE_SCALE * settings.floor, settings.ratio * max(scores.values()))
        near = sorted((-score, r) for r, score in scores.items() if score >= least)[:20]
        found = hits.position[hits.offsets[i] : hits.offsets[i + 1]]
        assert (found // 100).tolist() == [r for _, r in near]
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(lambda _: on.search(queries, effort), range(8)):
            np.testing.assert_array_equal(again.position, hits.position)
