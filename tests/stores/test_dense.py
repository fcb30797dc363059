"""The dense store: faiss against numpy, recall of the approximate store, batches, files, ties, zeros."""

from __future__ import annotations

import gzip
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mappings import mappings_of
from numpy.typing import NDArray

from esa.encoders.sketch import SketchEncoder
from esa.errors import IndexFormatError
from esa.fragments.base import Fragments
from esa.fragments.fixed import FixedFragmenter
from esa.sequence import dna
from esa.stores import dense
from esa.stores.base import Hits, SearchEffort, Store, StoreBuilder
from esa.stores.dense import SCORE_SCALE, DenseParameters, DenseStore, quantize
from esa.stores.dense_builder import DenseStoreBuilder
from esa.stores.scanner import FaissScanner, ListScanner, open_scanner

DIMENSIONS = 64
ALL = DenseParameters(floor=0.001, ratio=0.0)
"""Keeps every hit of a positive cosine."""


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    out: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return out


def random_vectors(n: int, seed: int, dimensions: int = DIMENSIONS) -> NDArray[np.float32]:
    return unit(np.random.default_rng(seed).standard_normal((n, dimensions)))


def build(vectors: NDArray[np.float32], settings: DenseParameters = ALL, threads: int = 1) -> DenseStore:
    builder = DenseStoreBuilder(vectors.shape[1], settings, threads)
    position = 100 * np.arange(len(vectors))
    for begin in range(0, len(vectors), 300):
        chunk = slice(begin, begin + 300)
        builder.add(vectors[chunk], position[chunk], (position[chunk] // 100 % 2).astype(np.uint8))
    return builder.finish()


APPROXIMATE = replace(ALL, exact_limit=0, shortlist=100)
IN_LISTS = replace(APPROXIMATE, lists_from=1, visited=8, far_shortlist=150)
WAYS = {"exact": ALL, "approximate": APPROXIMATE, "in lists": IN_LISTS}
each_way = pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)


def row(hits: Hits, i: int) -> list[tuple[int, int, int]]:
    """Hits of query i: score, position, orientation."""
    of = slice(hits.offsets[i], hits.offsets[i + 1])
    return list(
        zip(hits.score[of].tolist(), hits.position[of].tolist(), hits.reverse[of].tolist(), strict=True)
    )


def assert_equal(a: Hits, b: Hits) -> None:
    for name in ("offsets", "position", "reverse", "score", "truncated"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def assert_sorted(hits: Hits) -> None:
    for i in range(len(hits.truncated)):
        order = [(-score, position) for score, position, _ in row(hits, i)]
        assert order == sorted(order)


@pytest.mark.parametrize(
    "settings",
    [
        ALL,
        replace(APPROXIMATE, shortlist=10_000),
        replace(IN_LISTS, settled=0.0, shortlist=10_000, visited=1),
    ],
    ids=["exact", "all ranked", "all lists ranked"],
)
def test_hits_are_those_of_numpy(settings: DenseParameters) -> None:
    vectors, queries = random_vectors(1500, 1), random_vectors(40, 2)
    hits = build(vectors, settings).search(queries, SearchEffort(max_hits=30))
    scale = 127 * DIMENSIONS**0.5 / settings.clip
    rounded = [np.clip(np.rint(v * scale), -127, 127).astype(np.int64) for v in (queries, vectors)]
    scores = np.rint(SCORE_SCALE * (rounded[0] @ rounded[1].T) / scale**2).astype(int)
    # Rounding to 8 bits moves a cosine a little.
    np.testing.assert_allclose(scores / SCORE_SCALE, queries @ vectors.T, atol=0.02)
    assert_sorted(hits)
    assert hits.truncated.all()
    assert hits.scanned == 1500 * 40
    for i in range(len(queries)):
        found = row(hits, i)
        assert [score for score, _, _ in found] == sorted(scores[i], reverse=True)[:30]
        assert len({position for _, position, _ in found}) == 30
        for score, position, reverse in found:
            assert score == scores[i, position // 100]
            assert reverse == position // 100 % 2


def test_scores_are_cosines_in_thousandths_and_only_those_near_enough_are_hits() -> None:
    rng = np.random.default_rng(3)
    query = random_vectors(1, 4, 256)
    across = random_vectors(1, 5, 256) * 1.0
    across = unit((across - (across @ query.T) * query).astype(np.float64))
    cosines = np.array([0.95, 0.8, 0.6, 0.58, 0.3, 0.24, -0.5])
    rng.shuffle(cosines)
    vectors = (cosines[:, None] * query + np.sqrt(1 - cosines**2)[:, None] * across).astype(np.float32)
    settings = DenseParameters(floor=0.25, ratio=0.0)
    found = row(build(vectors, settings).search(query, SearchEffort(max_hits=10)), 0)
    assert [score for score, _, _ in found] == pytest.approx([950, 800, 600, 580, 300], abs=3)
    assert [cosines[position // 100] for _, position, _ in found] == [0.95, 0.8, 0.6, 0.58, 0.3]
    relative = row(build(vectors, replace(settings, ratio=0.62)).search(query, SearchEffort(max_hits=10)), 0)
    assert relative == found[:3]


@each_way
def test_hits_do_not_depend_on_the_batch(settings: DenseParameters) -> None:
    # Half of the vectors are one and the same: which of them are kept must not vary either.
    vectors = random_vectors(2000, 6)
    vectors[1::2] = vectors[1]
    queries = np.concatenate([random_vectors(60, 7), vectors[1:2], vectors[:40]])
    store = build(vectors, settings)
    effort = SearchEffort(max_hits=120)
    whole = store.search(queries, effort)
    for cut in ([1, 2, 3, 50], list(range(1, len(queries)))):
        parts = [store.search(part, effort) for part in np.split(queries, cut)]
        rows = [row(part, i) for part in parts for i in range(len(part.truncated))]
        assert rows == [row(whole, i) for i in range(len(queries))]


@each_way
@pytest.mark.parametrize("together", [1, 7])
def test_how_many_are_searched_together_does_not_matter(
    settings: DenseParameters, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, effort = build(random_vectors(600, 26), settings), SearchEffort(max_hits=9)
    queries = np.concatenate([random_vectors(20, 27), np.zeros((1, DIMENSIONS), np.float32)])
    whole = store.search(queries, effort)
    monkeypatch.setattr(dense, "QUERIES", 3 * together)
    monkeypatch.setattr(dense, "FAR_QUERIES", together)
    parts = store.search(queries, effort)
    assert_equal(parts, whole)
    assert parts.scanned == whole.scanned


@each_way
def test_a_saved_store_equals_a_fresh_one(settings: DenseParameters, tmp_path: Path) -> None:
    store = build(random_vectors(900, 8), settings)
    arrays = {}
    for name, array in store.arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
        mapped = np.load(tmp_path / f"{name}.npy", mmap_mode="r") if array.size else array
        arrays[name] = np.asarray(mapped)
        assert not arrays[name].flags.writeable
    loaded = DenseStore.from_arrays(store.parameters(), arrays)
    assert len(loaded) == 900
    assert loaded.parameters() == store.parameters()
    queries, effort = random_vectors(20, 9), SearchEffort(max_hits=50)
    assert_equal(loaded.search(queries, effort), store.search(queries, effort))


@pytest.mark.parametrize("settings", [APPROXIMATE, IN_LISTS], ids=["approximate", "in lists"])
def test_two_builds_are_the_same_byte_for_byte(settings: DenseParameters) -> None:
    vectors = random_vectors(900, 10)
    one, two = (build(vectors, settings, threads).arrays() for threads in (1, 3))
    assert one.keys() == two.keys()
    assert len(one["scanner"])
    for name, array in one.items():
        np.testing.assert_array_equal(array, two[name], err_msg=name)


def test_the_size_decides_whether_a_store_is_exact() -> None:
    settings = replace(ALL, exact_limit=500)
    assert not len(build(random_vectors(500, 11), settings).scanner)
    assert len(build(random_vectors(501, 11), settings).scanner)


@each_way
def test_a_zero_vector_finds_nothing(settings: DenseParameters) -> None:
    vectors = random_vectors(300, 12)
    vectors[7] = 0
    queries = np.concatenate([np.zeros((1, DIMENSIONS), np.float32), vectors[5:6]])
    hits = build(vectors, settings).search(queries, SearchEffort(max_hits=300))
    assert hits.offsets[1] == 0
    assert row(hits, 1)[0] == (pytest.approx(1000, abs=8), 500, 1)
    assert 700 not in hits.position
    assert not hits.truncated[0]


@pytest.mark.parametrize("vectors", [0, 1, 3])
def test_few_vectors_and_no_queries(vectors: int) -> None:
    store = build(random_vectors(vectors, 13))
    hits = store.search(random_vectors(2, 14), SearchEffort(max_hits=5))
    assert len(hits.offsets) == 3
    assert not hits.truncated.any()
    none = store.search(np.empty((0, DIMENSIONS), np.float32), SearchEffort(max_hits=5))
    assert none.offsets.tolist() == [0]
    assert len(none.position) == 0


def test_truncated_says_that_hits_were_left_out() -> None:
    vectors = np.repeat(random_vectors(2, 15), [4, 9], axis=0)
    queries = vectors[[0, 4]]
    settings = DenseParameters(floor=0.9)
    for limit, truncated in ((3, [1, 1]), (4, [0, 1]), (8, [0, 1]), (9, [0, 0])):
        hits = build(vectors, settings).search(queries, SearchEffort(max_hits=limit))
        assert hits.truncated.tolist() == truncated
        assert np.diff(hits.offsets).tolist() == [min(limit, 4), min(limit, 9)]
        assert [position for _, position, _ in row(hits, 1)] == [100 * i for i in range(4, 4 + min(limit, 9))]


def lambda_phage(data_dir: Path) -> NDArray[np.uint8]:
    with gzip.open(data_dir / "lambda_phage.fa.gz") as lines:
        return dna.encode(b"".join(line.strip() for line in lines if not line.startswith(b">")))


def test_the_approximate_store_finds_what_the_exact_one_does_on_real_sequence(data_dir: Path) -> None:
    genome = lambda_phage(data_dir)
    encoder = SketchEncoder()
    fragments = FixedFragmenter(stride=16).reference(genome, np.array([0, len(genome)]))
    vectors = encoder.embed(genome, fragments)
    rng = np.random.default_rng(16)
    start = rng.integers(0, len(genome) - 250, 200)
    reads = np.stack([genome[s : s + 250] for s in start])
    reads = np.where(rng.random(reads.shape) < 0.05, rng.integers(0, 4, reads.shape), reads).astype(np.uint8)
    n = len(reads)
    queries = encoder.embed(
        reads.reshape(-1),
        Fragments(
            250 * np.arange(n), np.full(n, 250, np.int32), np.zeros(n, np.uint8), np.arange(n, dtype=np.int32)
        ),
    )
    found = []
    ways = [{}, {"exact_limit": 0}, {"exact_limit": 0, "lists_from": 1, "visited": 4}]
    for way in ways:
        settings = DenseParameters(shortlist=100, far_shortlist=200, **way)
        builder = DenseStoreBuilder(encoder.dimensions, settings)
        builder.add(vectors, fragments.start, fragments.reverse)
        hits = builder.finish().search(queries, SearchEffort(max_hits=10))
        found.append([{position for _, position, _ in row(hits, i)} for i in range(n)])
        best = np.array([row(hits, i)[0][1] if row(hits, i) else -1000 for i in range(n)])
        assert np.mean(abs(best + 128 - (start + 125)) <= 64) > 0.99
    exact, *others = found
    for approximate in others:
        recall = sum(len(a & b) for a, b in zip(exact, approximate, strict=True)) / sum(map(len, exact))
        assert recall > 0.95


def lists_slowly(
    store: DenseStore, queries: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The list of each vector, and each query's lists, the nearest first."""
    scanner = open_scanner(store.scanner)
    assert isinstance(scanner, ListScanner)
    centres = scanner.centres.astype(np.int64)
    list_of = (store.vectors.astype(np.int64) @ centres.T).argmax(axis=1)
    np.testing.assert_array_equal(np.bincount(list_of, minlength=len(centres)), scanner.sizes)
    return list_of, np.argsort(-(queries @ centres.T), axis=1, kind="stable")


@pytest.mark.parametrize("probes", [1, 2])
def test_lists_are_visited_as_far_as_a_query_needs(probes: int) -> None:
    """A query with something near in its lists finds what they hold; any other, and one that insists, finds all."""
    vectors = random_vectors(1500, 18)
    near = unit(vectors[:30] + 0.02 * random_vectors(30, 19).astype(np.float64))
    queries = np.concatenate([near, random_vectors(30, 20)])
    settings = replace(IN_LISTS, shortlist=10_000, far_shortlist=10_000, settled=0.9)
    store = build(vectors, settings)
    hits = store.search(queries, SearchEffort(max_hits=1500, probes=probes))
    scale = settings.scale(DIMENSIONS)
    rounded = quantize(queries, scale).astype(np.int64)
    list_of, order = lists_slowly(store, rounded)
    lists = order.shape[1]
    assert lists == 32
    products = rounded @ store.vectors.astype(np.int64).T
    scanned = 0
    for i in range(len(queries)):
        seen = np.isin(list_of, order[i, : lists // 8])
        if probes == 1:
            scanned += int(seen.sum())
        if probes > 1 or products[i, seen].max(initial=0) < 0.9 * scale**2:
            seen[:] = True
            scanned += len(vectors)
        scores = np.rint(SCORE_SCALE * products[i] / scale**2)
        found = [position // 100 for _, position, _ in row(hits, i)]
        assert sorted(found) == np.flatnonzero(seen & (scores >= 1)).tolist()
    assert hits.scanned == scanned
    assert (scanned == 60 * 1500) == (probes > 1)


def test_threads_that_search_at_once_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def open_slowly(serialized: NDArray[np.uint8]) -> FaissScanner:
        opened.append(len(serialized))
        time.sleep(0.05)
        return open_scanner(serialized)

    monkeypatch.setattr(dense, "open_scanner", open_slowly)
    store = build(random_vectors(3000, 21), IN_LISTS)
    queries, effort = random_vectors(200, 22), SearchEffort(max_hits=20)
    with ThreadPoolExecutor(4) as pool:
        every = list(pool.map(lambda _: store.search(queries, effort), range(12)))
    assert opened == [len(store.scanner)]
    expected = build(random_vectors(3000, 21), IN_LISTS).search(queries, effort)
    for hits in every:
        assert_equal(hits, expected)


def test_a_damaged_scanner_is_refused() -> None:
    store = build(random_vectors(300, 23), IN_LISTS)
    damaged = replace(store, scanner=store.scanner[: len(store.scanner) // 2])
    with pytest.raises(IndexFormatError, match="scanner"):
        damaged.search(random_vectors(1, 24), SearchEffort(max_hits=1))


def mapped_kilobytes(path: Path) -> int:
    """Of a file, in the memory of this process."""
    return sum(int(mapping["Rss"].removesuffix(" kB")) for mapping in mappings_of(path))


def test_a_scanner_is_not_in_memory_twice(tmp_path: Path) -> None:
    path = tmp_path / "scanner.npy"
    np.save(path, build(random_vectors(30_000, 25), IN_LISTS).scanner)
    scanner = np.load(path, mmap_mode="r")
    assert int(np.asarray(scanner, np.int64).sum()) > 0
    assert mapped_kilobytes(path) * 1024 >= scanner.nbytes
    open_scanner(scanner)
    assert mapped_kilobytes(path) == 0


def test_it_is_a_store() -> None:
    builder: StoreBuilder = DenseStoreBuilder(DIMENSIONS)
    store: Store = builder.finish()
    assert len(store) == 0
    assert store.parameters()["name"] == store.name == "dense"


@pytest.mark.parametrize("wrong", [{"floor": 0.0}, {"ratio": 1.5}, {"shortlist": 0}, {"clip": 0.0}])
def test_impossible_parameters_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no search can be made"):
        DenseParameters(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="multiple of 4"):
        DenseStoreBuilder(10)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    store = build(random_vectors(5, 17))
    with pytest.raises(ValueError, match="not a dense store"):
        DenseStore.from_arrays(store.parameters(), store.arrays() | {"position": store.position[:4]})
