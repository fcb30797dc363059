"""`esa.stores.codes` against a search through all codes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest
from numpy.typing import NDArray

from esa.kernels.bits import popcount
from esa.stores import code_builder
from esa.stores.base import ANY_SIZE, Hits, Keys, SearchEffort
from esa.stores.code_builder import CodeStoreBuilder
from esa.stores.code_search import COPY_DISTANCE, RUN
from esa.stores.codes import (
    MAX_KEY_BITS,
    MIN_KEY_BITS,
    PROBE_BITS,
    CodeStore,
    binarize,
    default_key_bits,
    probe_patterns,
)
from esa.stores.packed import GROUP_BITS, bounds, bucket_bounds, unpacked_entries

KEY_BITS = 8


@dataclass(frozen=True)
class Fragments:
    """What goes into a store."""

    embeddings: NDArray[np.int16]
    position: NDArray[np.int64]
    reverse: NDArray[np.uint8]

    @cached_property
    def rows(self) -> list[tuple[int, int, int]]:
        """(Code, position, orientation) of each."""
        codes = [code_of(embedding) for embedding in self.embeddings]
        return list(zip(codes, self.position.tolist(), self.reverse.tolist(), strict=True))

    def build(
        self, chunk: int | None = None, bases: int = 10**6, key_bits: int | None = KEY_BITS
    ) -> CodeStore:
        builder = CodeStoreBuilder(bases, key_bits)
        step = chunk or max(1, len(self.position))
        for begin in range(0, len(self.position), step):
            rows = slice(begin, begin + step)
            builder.add(self.embeddings[rows], self.position[rows], self.reverse[rows])
        return builder.finish()


def random_fragments(rng: np.random.Generator, n: int, families: int) -> Fragments:
    """Embeddings around a few centres, so that searches find many at every distance."""
    centres = rng.integers(-300, 300, (families, 64))
    noisy = centres[rng.integers(families, size=n)] + np.rint(rng.normal(0, 60, (n, 64))).astype(np.int64)
    return Fragments(
        noisy.astype(np.int16),
        np.sort(rng.choice(10**6, n, replace=False)),
        rng.integers(0, 2, n).astype(np.uint8),
    )


def code_of(embedding: NDArray[np.int16]) -> int:
    return sum(1 << b for b, value in enumerate(embedding.tolist()) if value > 0)


@dataclass(frozen=True)
class Found:
    """Hits of one query, in order, as (position, reverse, score)."""

    hits: list[tuple[int, int, int]]
    truncated: int
    scanned: int


def search_slowly(fragments: Fragments, embedding: NDArray[np.int16], effort: SearchEffort) -> Found:
    """Every code is looked at; the keys are those of `probe_patterns`, which has a test of its own."""
    code = code_of(embedding)
    margins = [abs(int(value)) for value in embedding[:KEY_BITS]]
    least_certain = sorted(range(KEY_BITS), key=lambda b: margins[b])
    hits = []
    scanned = skipped = 0
    for number, pattern in enumerate(probe_patterns(KEY_BITS, effort.probes).tolist()):
        flips = sum(1 << least_certain[r] for r in range(KEY_BITS) if pattern >> r & 1)
        key = (code ^ flips) % (1 << KEY_BITS)
        bucket = [row for row in fragments.rows if row[0] % (1 << KEY_BITS) == key]
        max_size = effort.max_edited if number else effort.max_bucket
        if len(bucket) > max_size or scanned + len(bucket) > effort.max_scanned:
            skipped = 1
            continue
        scanned += len(bucket)
        for other_code, position, reverse in bucket:
            distance = (other_code ^ code).bit_count()
            if distance < effort.radius:
                hits.append((position, reverse, effort.radius - distance))
    if len(hits) <= effort.max_hits:
        return Found(hits, skipped, scanned)
    scores = sorted({score for _, _, score in hits}, reverse=True)
    kept = [hit for hit in hits if hit[2] == scores[0]]
    if len(kept) > effort.max_hits:
        return Found(kept[: effort.max_hits], skipped | is_copy(scores[0], effort), scanned)
    for score in scores[1:]:
        wider = [hit for hit in hits if hit[2] >= score]
        if len(wider) > effort.max_hits:
            break
        kept = wider
    return Found(kept, skipped | is_copy(score, effort), scanned)


def is_copy(score: int, effort: SearchEffort) -> int:
    """Whether it matters that codes of this score were cut off."""
    return int(effort.radius - score < COPY_DISTANCE)


def hits_of(hits: Hits, query: int) -> list[tuple[int, int, int]]:
    rows = slice(hits.offsets[query], hits.offsets[query + 1])
    columns = (hits.position[rows], hits.reverse[rows], hits.score[rows])
    return [tuple(int(x) for x in row) for row in zip(*columns, strict=True)]


@pytest.fixture(scope="module")
def fragments() -> Fragments:
    return random_fragments(np.random.default_rng(1), 300, 3)


@pytest.mark.parametrize("probes", [1, 7, 40])
@pytest.mark.parametrize(
    ("max_bucket", "max_scanned"), [(ANY_SIZE, ANY_SIZE), (3, ANY_SIZE), (0, 4), (ANY_SIZE, 5)]
)
@pytest.mark.parametrize(("radius", "max_hits"), [(64, 1000), (20, 1000), (20, 12), (20, 1), (3, 30), (1, 2)])
def test_search_equals_a_look_at_every_code(
    fragments: Fragments, probes: int, radius: int, max_hits: int, max_bucket: int, max_scanned: int
):
    rng = np.random.default_rng(radius + max_hits)
    store = fragments.build()
    near = fragments.embeddings[rng.integers(300, size=4)]
    far = rng.integers(-300, 300, (2, 64)).astype(np.int16)
    queries = np.concatenate([near, far, np.zeros((1, 64), np.int16)])
    effort = SearchEffort(max_hits, probes, radius, max_bucket, max_bucket + 1, max_scanned)
    found = store.search(queries, effort)
    scanned = 0
    for q, embedding in enumerate(queries):
        expected = search_slowly(fragments, embedding, effort)
        assert hits_of(found, q) == expected.hits
        assert found.truncated[q] == expected.truncated
        scanned += expected.scanned
    assert found.scanned == scanned
    assert found.offsets[0] == 0
    assert found.position.dtype == np.int64


@pytest.mark.parametrize("order", ["mixed", "nearest first", "farthest first"])
@pytest.mark.parametrize("max_hits", [1, 3, 40, 200, 900])
def test_what_is_cut_off_on_the_way_is_cut_off_in_the_end(order: str, max_hits: int):
    """Buckets of several runs: what was seen in one says how near those of the next must be."""
    rng = np.random.default_rng(max_hits)
    query = rng.integers(50, 300, 64).astype(np.int16)
    distances = rng.choice(
        [0, 1, 2, 5, 9, 10, 13, 18, 19, 25], 3 * RUN + 7, p=[0.001, 0.009, *[0.12] * 7, 0.15]
    )
    if order != "mixed":
        distances = np.sort(distances)[:: 1 if order == "nearest first" else -1]
    rows = np.tile(query, (len(distances), 1))
    for row, distance in zip(rows, distances, strict=True):
        # Those of two bits or more lie in two buckets.
        bits = rng.choice(np.arange(KEY_BITS, 64), distance, replace=False)
        row[bits[1:]] *= -1
        row[int(np.argmin(query[:KEY_BITS])) if distance > 1 and rng.random() < 0.5 else bits[:1]] *= -1
    fragments = Fragments(rows, np.arange(len(rows)) * 10, np.zeros(len(rows), np.uint8))
    effort = SearchEffort(max_hits, probes=2, radius=20)
    found = fragments.build().search(query[None], effort)
    expected = search_slowly(fragments, query, effort)
    assert hits_of(found, 0) == expected.hits
    assert found.truncated.tolist() == [expected.truncated]


def test_the_keys_that_are_given_are_looked_up(fragments: Fragments):
    """Each code is found through its own key, whatever the query's; the first of the keys is the query's own."""
    store = fragments.build()
    query = fragments.embeddings[:2]
    own = [code % (1 << KEY_BITS) for code in map(code_of, fragments.embeddings[:40])]
    every = np.array(sorted(set(own[1:]) - {own[0]}), np.int32)
    keys = Keys(np.array([0, 1 + len(every), 1 + len(every)]), np.concatenate([np.int32(own[:1]), every]))
    found = store.search_codes(binarize(query), SearchEffort(1000, radius=65), keys)
    assert set(fragments.position[:40].tolist()) <= {position for position, _, _ in hits_of(found, 0)}
    assert hits_of(found, 1) == []


def test_capping_keeps_whole_classes_of_distance():
    """Five codes at distance 1, three at 2, one at 3, all in the query's bucket."""
    query = np.full(64, 100, np.int16)
    rows = []
    for distance, copies in ((1, 5), (2, 3), (3, 1)):
        for c in range(copies):
            row = query.copy()
            row[20 + 3 * c : 20 + 3 * c + distance] = -100
            rows.append(row)
    store = Fragments(np.array(rows), np.arange(9) * 10, np.zeros(9, np.uint8)).build()

    def scores(max_hits: int) -> tuple[list[int], int]:
        found = store.search(query[None], SearchEffort(max_hits, probes=1, radius=10))
        return [score for _, _, score in hits_of(found, 0)], int(found.truncated[0])

    assert scores(9) == ([9] * 5 + [8] * 3 + [7], 0)
    assert scores(8) == ([9] * 5 + [8] * 3, 1)
    assert scores(7) == ([9] * 5, 1)
    assert scores(5) == ([9] * 5, 1)
    assert scores(2) == ([9] * 2, 1)


def test_nobody_hears_of_far_codes_that_were_cut_off():
    """Two codes at distance 1 and two just within or at the distance of copies."""
    query = np.full(64, 100, np.int16)
    for far, truncated in ((COPY_DISTANCE - 1, 1), (COPY_DISTANCE, 0)):
        rows = np.stack([query] * 4)
        for row, distance in zip(rows, (1, 1, far, far), strict=True):
            row[20 : 20 + distance] = -100
        store = Fragments(rows, np.arange(4) * 10, np.zeros(4, np.uint8)).build()
        found = store.search(query[None], SearchEffort(3, probes=1, radius=20))
        assert [score for _, _, score in hits_of(found, 0)] == [19, 19]
        assert found.truncated.tolist() == [truncated]


def test_a_search_does_not_depend_on_its_batch(fragments: Fragments):
    store = fragments.build()
    effort = SearchEffort(max_hits=9, probes=20, radius=24)
    together = store.search(fragments.embeddings, effort)
    assert together.truncated.any()
    for q in range(0, 300, 17):
        alone = store.search(fragments.embeddings[q : q + 1], effort)
        assert hits_of(alone, 0) == hits_of(together, q)
        assert alone.truncated[0] == together.truncated[q]


@pytest.mark.parametrize("max_hits", [7, 100_000])
def test_hits_are_in_order_of_position_where_a_query_has_one_bucket(fragments: Fragments, max_hits: int):
    store, queries = fragments.build(), fragments.embeddings[:200]

    def ascends(hits: Hits) -> list[bool]:
        rows = [hits.position[a:b] for a, b in zip(hits.offsets, hits.offsets[1:], strict=False)]
        return [bool((np.diff(row) > 0).all()) for row in rows if len(row) > 1]

    one = store.search(queries, SearchEffort(max_hits, radius=40))
    assert one.in_order
    assert len(ascends(one)) > 100
    assert all(ascends(one))
    several = store.search(queries, SearchEffort(max_hits, probes=8, radius=40))
    assert not several.in_order
    assert not all(ascends(several))
    keys = Keys(np.arange(len(queries) + 1), np.zeros(len(queries), np.int32))
    assert not store.search_codes(
        binarize(queries), SearchEffort(max_hits, radius=40, edits=1), keys
    ).in_order


def test_every_fragment_finds_itself_in_its_own_bucket(fragments: Fragments):
    found = fragments.build().search(fragments.embeddings, SearchEffort(1000, probes=1, radius=1))
    for q in range(300):
        assert (int(fragments.position[q]), int(fragments.reverse[q]), 1) in hits_of(found, q)


def test_codes_alone_are_looked_up_in_their_own_buckets(fragments: Fragments):
    store, effort = fragments.build(), SearchEffort(1000, probes=1, radius=20)
    alone = store.search_codes(binarize(fragments.embeddings), effort)
    with_margins = store.search(fragments.embeddings, effort)
    assert alone.offsets[-1] > 300
    for q in range(300):
        assert hits_of(alone, q) == hits_of(with_margins, q)


@pytest.mark.parametrize("chunk", [1, 7, 299, 300])
def test_a_store_does_not_depend_on_the_chunks_it_was_built_of(fragments: Fragments, chunk: int):
    whole, pieces = fragments.build(), fragments.build(chunk)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(pieces.arrays()[name], array)
        assert pieces.arrays()[name].dtype == array.dtype


@pytest.mark.parametrize("key_bits", [8, 9, 16, 17, 24])
@pytest.mark.parametrize("bases", [10**6, 1 << 34])
def test_buckets_hold_the_codes_in_order_of_position(fragments: Fragments, key_bits: int, bases: int):
    store = fragments.build(bases=bases, key_bits=key_bits)
    assert len(store) == 300
    seen = []
    end = 0
    for key in sorted({code % (1 << key_bits) for code, _, _ in fragments.rows} | {0, (1 << key_bits) - 1}):
        begin, stop = bucket_bounds(store.packed, key)
        assert begin == end
        assert (begin, stop) == bounds(store.packed, key)
        end = stop
        rest, position, reverse = unpacked_entries(store.packed, np.arange(begin, end))
        assert np.all(np.diff(position) > 0)
        codes = [int(bits) << key_bits | key for bits in rest]
        seen += zip(codes, position.tolist(), reverse.tolist(), strict=True)
    assert sorted(seen) == sorted(fragments.rows)
    assert end == 300


@pytest.mark.parametrize("shard_bits", [1, 4, 22])
@pytest.mark.parametrize("block", [3, 64, 1 << 22])
def test_blocks_and_shards_do_not_matter(
    fragments: Fragments, monkeypatch: pytest.MonkeyPatch, shard_bits: int, block: int
):
    whole = fragments.build(50)
    monkeypatch.setattr(code_builder, "BLOCK_FRAGMENTS", block)
    # A shard is no smaller than a group of buckets.
    monkeypatch.setattr(code_builder, "SHARD_KEY_BITS", max(shard_bits, GROUP_BITS))
    pieces = fragments.build(50)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(pieces.arrays()[name], array)


@pytest.mark.parametrize(
    "sizes", [(255,), (254,), (300, 0, 256, 7), (0, 1, 254, 255, 1000, 2), (70_000, 3, 255)]
)
def test_bounds_of_buckets_with_escaped_sizes(sizes: tuple[int, ...]):
    """Many sizes about what a byte holds, in the first, a middle and the last group, and behind each other."""
    codes = []
    for first in (0, 100, 256 - len(sizes)):
        codes += [key for k, size in enumerate(sizes) for key in [first + k] * size]
    codes += list(range(30, 60))
    bits = (np.array(sorted(codes))[:, None] >> np.arange(64)[None, :].clip(max=62)) & 1
    embeddings = np.where(bits > 0, 1, -1).astype(np.int16)
    store = Fragments(embeddings, np.arange(len(codes)), np.zeros(len(codes), np.uint8)).build()
    size_of = np.bincount(codes, minlength=256)
    ends = np.cumsum(size_of)
    for key in range(256):
        expected = (ends[key] - size_of[key], ends[key])
        assert bounds(store.packed, key) == expected
        assert bucket_bounds(store.packed, key) == expected
    assert len(store.packed.escaped) == np.count_nonzero(size_of >= 255)
    assert len(store) == len(codes)


def test_arrays_that_do_not_fit_are_no_store(fragments: Fragments):
    store = fragments.build()
    assert len(CodeStore.from_arrays(store.parameters(), store.arrays())) == 300
    for parameters, arrays in (
        ({"key_bits": KEY_BITS + 1}, {}),
        ({"position_bytes": 5}, {}),
        ({}, {"entries": store.packed.entries[:-1]}),
        ({}, {"entries": np.append(store.packed.entries, np.zeros(11, np.uint8))}),
        ({}, {"buckets": store.packed.buckets[:-1]}),
        ({}, {"crowded": np.zeros(3, np.int64)}),
    ):
        with pytest.raises(ValueError, match="not a code store"):
            CodeStore.from_arrays(store.parameters() | parameters, store.arrays() | arrays)


def test_positions_beyond_32_bits(fragments: Fragments):
    far = Fragments(fragments.embeddings, fragments.position + (1 << 33), fragments.reverse)
    store = far.build(bases=1 << 34)
    assert store.packed.position_bytes == 5
    found = store.search(fragments.embeddings[:5], SearchEffort(1000, probes=4, radius=20))
    near = fragments.build().search(fragments.embeddings[:5], SearchEffort(1000, probes=4, radius=20))
    np.testing.assert_array_equal(found.position, near.position + (1 << 33))


def test_an_empty_store_and_an_empty_search(fragments: Fragments):
    empty = Fragments(np.empty((0, 64), np.int16), np.empty(0, np.int64), np.empty(0, np.uint8)).build(
        key_bits=None
    )
    assert len(empty) == 0
    found = empty.search(fragments.embeddings[:3], SearchEffort(10, probes=4, radius=20))
    assert found.offsets.tolist() == [0, 0, 0, 0]
    none = fragments.build().search(fragments.embeddings[:0], SearchEffort(10, probes=4, radius=20))
    assert (none.offsets.tolist(), none.scanned) == ([0], 0)


def test_a_bit_is_set_where_the_component_is_positive():
    embeddings = np.random.default_rng(2).integers(-2, 3, (50, 64)).astype(np.int16)
    assert binarize(embeddings).tolist() == [code_of(row) for row in embeddings]


def test_popcount():
    rng = np.random.default_rng(3)
    for value in [0, 1, 1 << 63, (1 << 64) - 1, *rng.integers(0, 1 << 64, 200, np.uint64).tolist()]:
        assert popcount(np.uint64(value)) == int(value).bit_count()


def test_keys_are_long_enough_for_about_one_fragment_in_two_buckets():
    assert default_key_bits(0) == default_key_bits(100) == MIN_KEY_BITS
    assert default_key_bits(1 << 20) == 21
    assert default_key_bits(1 << 40) == MAX_KEY_BITS
    assert [default_key_bits(n) for n in (1 << 16, 3 << 15, 1 << 17)] == [17, 18, 18]


def expected_squares(key_bits: int) -> NDArray[np.float64]:
    """Expected square of the r-th smallest of so many half-normal margins, by quadrature."""
    x = np.linspace(0, 7, 20_001)
    cdf = np.array([math.erf(v / math.sqrt(2)) for v in x])
    density = np.sqrt(2 / np.pi) * np.exp(-(x**2) / 2)
    out = []
    for r in range(1, min(PROBE_BITS, key_bits) + 1):
        ways = math.factorial(key_bits) / (math.factorial(r - 1) * math.factorial(key_bits - r))
        of_rank = ways * cdf ** (r - 1) * (1 - cdf) ** (key_bits - r) * density
        out.append(np.trapezoid(x**2 * of_rank, x))
    return np.array(out)


@pytest.mark.parametrize("key_bits", [8, 16, 30])
@pytest.mark.parametrize("probes", [4, 64, 256])
def test_probes_go_best_first_where_margins_are_as_expected(key_bits: int, probes: int):
    """The patterns are ordered by sampled margins: by the exact ones' sums, they are in order but for 5 %."""
    patterns = probe_patterns(key_bits, probes)
    assert len(patterns) == len(set(patterns.tolist())) == probes
    assert patterns[0] == 0
    squares = expected_squares(key_bits)
    sums = {m: sum(squares[r] for r in range(len(squares)) if m >> r & 1) for m in range(1 << len(squares))}
    costs = np.array([sums[m] for m in patterns.tolist()])
    assert np.all(costs[1:] >= 0.95 * np.maximum.accumulate(costs)[:-1])
    left_out = [cost for m, cost in sums.items() if m not in set(patterns.tolist())]
    assert min(left_out, default=np.inf) >= 0.95 * costs.max()


def test_more_probes_continue_the_same_order():
    assert probe_patterns(20, 300)[:50].tolist() == probe_patterns(20, 50).tolist()
