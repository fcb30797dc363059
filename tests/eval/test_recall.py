"""`esa.eval.recall` against a search written out."""

from __future__ import annotations

import numpy as np
import pytest

from esa.encoders.projection import ProjectionEncoder
from esa.encoders.sketch import SketchEncoder
from esa.eval import recall
from esa.eval.recall import (
    DIAGONAL_SLACK,
    Found,
    ReadSet,
    anchored_recall,
    bits_kept,
    bucket_at_size,
    code_store,
    dense_recall,
    embed_reads,
    in_chunks,
    joined,
    nearest,
    prefix,
    recall_at_cost,
    recall_at_depths,
    share_at_cost,
    share_in_common,
    signs_kept,
    simulate_reads,
    start_of_last,
)
from esa.fragments.base import Fragments
from esa.fragments.fixed import FixedFragmenter
from esa.fragments.minimizers import MinimizerFragmenter
from esa.sequence.genome import Genome
from esa.stores.base import REPEAT_BUCKET
from esa.stores.codes import CodeStore, binarize, probe_patterns

FRAGMENTER = MinimizerFragmenter()
ENCODER = ProjectionEncoder.untrained(FRAGMENTER.length)
KEY_BITS = 10


@pytest.fixture(scope="module")
def genome() -> Genome:
    rng = np.random.default_rng(1)
    repeat = rng.integers(0, 4, 600).astype(np.uint8)
    pieces = [part for _ in range(4) for part in (rng.integers(0, 4, 4000).astype(np.uint8), repeat)]
    return Genome.of_contigs({"a": np.concatenate(pieces), "b": rng.integers(0, 4, 5000).astype(np.uint8)})


@pytest.fixture(scope="module")
def store(genome: Genome) -> CodeStore:
    return code_store(genome, FRAGMENTER, ENCODER, KEY_BITS)


def recall_slowly(genome: Genome, reads: ReadSet, probes: int, max_bucket: int) -> Found:
    """Every code of the genome against every key that a read's fragments probe."""
    codes = genome.fetch(0, genome.bases)
    fragments = FRAGMENTER.reference(codes, genome.offsets)
    keys = (binarize(ENCODER.embed(codes, fragments)) & np.uint64((1 << KEY_BITS) - 1)).astype(int)
    found = scanned = own_codes = 0
    for i in range(len(reads)):
        bases = reads.codes[i * reads.length : (i + 1) * reads.length]
        own = FRAGMENTER.queries(bases, np.array([0, len(bases)]), np.array([0], np.int32), 0)
        hit = False
        for start, reverse, sums in zip(own.start, own.reverse, ENCODER.embed(bases, own), strict=True):
            least_certain = np.argsort(np.abs(sums[:KEY_BITS].astype(int)), kind="stable")
            own_key = sum(1 << b for b in range(KEY_BITS) if sums[b] > 0)
            flips = [
                sum(1 << int(least_certain[r]) for r in range(KEY_BITS) if pattern >> r & 1)
                for pattern in probe_patterns(KEY_BITS, probes).tolist()
            ]
            probed_keys = [own_key ^ flip for flip in flips]
            probed = np.isin(keys, [key for key in probed_keys if (keys == key).sum() <= max_bucket])
            scanned += int(probed.sum())
            place = reads.length - start - FRAGMENTER.length if reads.reverse[i] else start
            near = np.abs(fragments.start - (reads.start[i] + place)) <= DIAGONAL_SLACK
            alike = fragments.reverse == (reverse ^ int(reads.reverse[i]))
            own_codes += int((probed & near & alike).sum())
            hit |= bool((probed & near & alike).any())
        found += hit
    return Found(found / len(reads), scanned / len(reads), own_codes / len(reads))


@pytest.mark.parametrize(
    ("substitutions", "probes", "max_bucket"),
    [(0.0, 1, REPEAT_BUCKET), (0.05, 1, 9), (0.05, 1, 20), (0.1, 4, 30)],
)
def test_recall_is_what_a_search_of_everything_finds(
    genome: Genome, store: CodeStore, substitutions: float, probes: int, max_bucket: int
):
    reads = simulate_reads(genome, 60, 80, substitutions)
    found = anchored_recall(FRAGMENTER, ENCODER, store, reads, probes, max_bucket)
    assert found == recall_slowly(genome, reads, probes, max_bucket)
    assert found.scanned > 0
    assert found.share == 1 if substitutions == 0 else 0 < found.share < 1


def test_reads_come_from_where_they_say(genome: Genome):
    reads = simulate_reads(genome, 40, 70, 0.0)
    for i in range(len(reads)):
        bases = reads.codes[i * 70 : (i + 1) * 70]
        origin = genome.fetch(int(reads.start[i]), int(reads.start[i]) + 70)
        np.testing.assert_array_equal(bases, 3 - origin[::-1] if reads.reverse[i] else origin)
    assert 0 < reads.reverse.sum() < len(reads)


def test_recall_at_a_cost_lies_between_the_probes_beside_it(genome: Genome, store: CodeStore):
    reads = simulate_reads(genome, 200, 100, 0.1)
    two, four = (anchored_recall(FRAGMENTER, ENCODER, store, reads, probes) for probes in (2, 4))
    middle = (two.scanned + four.scanned) / 2
    assert two.share < recall_at_cost(FRAGMENTER, ENCODER, store, reads, middle) < four.share
    at = recall_at_cost(FRAGMENTER, ENCODER, store, reads, four.scanned)
    assert at == pytest.approx(four.share)
    # More than all probes can scan: what they find. Less than one probe scans: a share of it.
    most = anchored_recall(FRAGMENTER, ENCODER, store, reads, 128)
    assert recall_at_cost(FRAGMENTER, ENCODER, store, reads, 1e9) == most.share
    one = anchored_recall(FRAGMENTER, ENCODER, store, reads, 1)
    half = recall_at_cost(FRAGMENTER, ENCODER, store, reads, one.scanned / 2)
    assert half == pytest.approx(one.share / 2)


def test_a_larger_reference_costs_more_but_finds_the_same_codes():
    found = Found(share=0.9, scanned=100.0, own=10.0)
    assert found.at_size(1) == 100
    assert found.at_size(50) == 10 + 50 * 90


def test_a_share_at_a_cost_follows_the_logarithm_of_the_cost():
    curve = [Found(share=0.4, scanned=20.0, own=10.0), Found(share=0.8, scanned=80.0, own=20.0)]
    assert share_at_cost(curve, 40.0) == pytest.approx(0.6)
    assert share_at_cost(curve, 10.0) == pytest.approx(0.2)
    assert share_at_cost(curve, 99.0) == 0.8
    # Ten times as large: 10 + 10 * 10 and 20 + 10 * 60 codes.
    assert share_at_cost(curve, 110.0, factor=10) == pytest.approx(0.4)
    assert share_at_cost(curve, (110.0 * 620.0) ** 0.5, factor=10) == pytest.approx(0.6)


def test_a_bucket_stands_for_one_of_a_larger_reference():
    assert [bucket_at_size(128, factor) for factor in (1.0, 49.2, 128.0, 1000.0)] == [128, 2, 1, 1]


def test_reads_of_the_last_part_come_from_there_alone(genome: Genome):
    begin = 15_000
    assert begin < genome.offsets[1]
    reads = simulate_reads(genome, 300, 70, 0.0, begin=begin)
    assert reads.start.min() >= begin
    assert (reads.start < genome.offsets[1]).any()
    assert (reads.start >= genome.offsets[1]).any()
    for i in range(len(reads)):
        bases = reads.codes[i * 70 : (i + 1) * 70]
        origin = genome.fetch(int(reads.start[i]), int(reads.start[i]) + 70)
        np.testing.assert_array_equal(bases, 3 - origin[::-1] if reads.reverse[i] else origin)


def test_the_last_part_begins_with_a_contig_where_one_begins_there():
    contigs = {name: np.zeros(length, np.uint8) for name, length in (("a", 70), ("b", 25), ("c", 5))}
    whole = Genome.of_contigs(contigs)
    assert start_of_last(whole, 10) == 95
    assert start_of_last(whole, 20) == 95
    assert start_of_last(whole, 3) == 70
    assert start_of_last(whole, 100) == 99


def test_decoys_leave_the_first_genome_where_it_was(genome: Genome):
    both = joined([genome, genome])
    assert both.bases == 2 * genome.bases
    np.testing.assert_array_equal(both.offsets[: len(genome.offsets)], genome.offsets)
    for begin in (0, genome.bases):
        np.testing.assert_array_equal(both.fetch(begin, begin + genome.bases), genome.fetch(0, genome.bases))


def test_bits_kept_falls_with_noise_and_is_all_of_them_without(genome: Genome):
    kept = [
        bits_kept(FRAGMENTER, ENCODER, genome, simulate_reads(genome, 80, 120, rate))
        for rate in (0.0, 0.05, 0.2)
    ]
    assert kept[0] == 1
    assert 1 > kept[1] > kept[2] > 0.5


def test_bits_kept_are_those_of_the_anchors_that_are_there(genome: Genome):
    reads = simulate_reads(genome, 60, 120, 0.05)
    codes = genome.fetch(0, genome.bases)
    there = FRAGMENTER.reference(codes, genome.offsets)
    theirs = ENCODER.embed(codes, there) > 0
    same = []
    for i in range(len(reads)):
        bases = reads.codes[i * 120 : (i + 1) * 120]
        own = FRAGMENTER.queries(bases, np.array([0, 120]), np.array([0], np.int32), 0)
        for start, reverse, sums in zip(own.start, own.reverse, ENCODER.embed(bases, own), strict=True):
            place = reads.start[i] + (120 - start - FRAGMENTER.length if reads.reverse[i] else start)
            alike = np.flatnonzero(
                (np.abs(there.start - place) <= DIAGONAL_SLACK)
                & (there.reverse == (reverse ^ int(reads.reverse[i])))
            )
            if len(alike):
                nearest_one = alike[np.argmin(np.abs(there.start[alike] - place))]
                same.append((theirs[nearest_one] == (sums > 0)).mean())
    assert bits_kept(FRAGMENTER, ENCODER, genome, reads) == pytest.approx(np.mean(same), abs=1e-12)
    # Reads of another place have no more than chance gives.
    moved = ReadSet(reads.codes, np.roll(reads.start, 7), reads.reverse, reads.length)
    assert bits_kept(FRAGMENTER, ENCODER, genome, moved) == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("at_once", [7, 1 << 14])
def test_dense_recall_is_that_of_all_cosines(genome: Genome, at_once: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recall, "VECTORS_AT_ONCE", at_once)
    fragmenter, encoder = FixedFragmenter(), SketchEncoder(k=4, dimensions=64)
    reads = simulate_reads(genome, 50, 120, 0.15)
    codes = genome.fetch(0, genome.bases)
    fragments = fragmenter.reference(codes, genome.offsets)
    vectors = encoder.embed(codes, fragments)
    expected = np.zeros(3)
    for i in range(len(reads)):
        bases = reads.codes[i * 120 : (i + 1) * 120]
        own = fragmenter.queries(bases, np.array([0, 120]), np.array([0], np.int32), 0)
        order = np.argsort(-(vectors @ encoder.embed(bases, own)[0]), kind="stable")
        shared = [
            min(fragments.start[f] + fragments.length[f], reads.start[i] + 120)
            - max(fragments.start[f], reads.start[i])
            for f in order[:20]
        ]
        expected += [max(shared[:depth]) >= 60 for depth in (1, 5, 20)]
    found = dense_recall(fragmenter, encoder, genome, reads, (1, 5, 20))
    assert found == tuple(expected / len(reads))
    assert found[0] < found[2]


def test_a_read_longer_than_a_fragment_has_no_vector(genome: Genome):
    fragmenter = FixedFragmenter()
    reads = simulate_reads(genome, 2, fragmenter.length + 1, 0.0)
    with pytest.raises(ValueError, match="longer than a fragment"):
        embed_reads(fragmenter, SketchEncoder(), reads)


def test_of_equal_products_the_first_is_nearer_and_missing_ones_are_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recall, "VECTORS_AT_ONCE", 2)
    vectors = np.array([[1, 0], [2, 0], [1, 0], [2, 0], [0, 1]], np.float32)
    queries = np.array([[1, 0], [0, 1]], np.float32)
    rows = nearest(queries, in_chunks(vectors), 7)
    np.testing.assert_array_equal(rows, [[1, 3, 0, 2, 4, -1, -1], [4, 0, 1, 2, 3, -1, -1]])


def four_fragments() -> Fragments:
    start = np.array([0, 50, 100, 150])
    return Fragments(start, np.full(4, 100, np.int32), np.zeros(4, np.uint8), np.zeros(4, np.int32))


def two_reads(first: int, second: int) -> ReadSet:
    return ReadSet(np.zeros(120, np.uint8), np.array([first, second]), np.zeros(2, np.bool_), 60)


def test_half_of_a_read_must_be_covered_and_no_row_is_none():
    fragments = four_fragments()
    # Of the read at 70, 30 bases lie in each of the first and the third fragment; of that at 71, 29 and 31.
    rows = np.array([[3, 0, 1], [0, -1, 2]])
    assert recall_at_depths(fragments, two_reads(70, 71), rows, (1, 2, 3)) == (0.0, 0.5, 1.0)
    last = np.full((2, 1), -1)
    assert recall_at_depths(fragments, two_reads(150, 160), last, (1,)) == (0.0,)


def test_shares_in_common_are_of_what_exact_search_finds():
    exact = np.array([[4, 2, 7], [1, -1, -1]])
    assert share_in_common(exact[:, ::-1], exact) == 1
    assert share_in_common(np.array([[7, 9, 4], [-1, -1, -1]]), exact) == 0.5


def test_signs_are_compared_with_the_nearest_of_the_true_fragments():
    vectors = np.array([[1, 1, 1, 1], [-1, 3, 1, 1], [1, 1, -1, -1], [9, 9, 9, 9]], np.float32)
    queries = np.array([[1, 2, 1, -1], [1, -1, -1, -1]], np.float32)
    # Read 0, at 40, is covered by half by fragments 0 and 1, and the second is nearer: two signs of four. The
    # last fragment is nearer still, but not true. Read 1 lies outside of all: it does not count.
    assert signs_kept(four_fragments(), vectors, two_reads(40, 400), queries) == 0.5


def test_signs_kept_fall_with_noise_and_are_all_there_for_a_fragment_itself(genome: Genome):
    fragmenter, encoder = FixedFragmenter(length=100, stride=1), SketchEncoder(k=4, dimensions=64)
    codes = genome.fetch(0, genome.bases)
    fragments = fragmenter.reference(codes, genome.offsets)
    vectors = encoder.embed(codes, fragments)
    kept = []
    for rate in (0.0, 0.05, 0.2):
        reads = simulate_reads(genome, 40, 100, rate)
        kept.append(signs_kept(fragments, vectors, reads, embed_reads(fragmenter, encoder, reads)))
    assert kept[0] == 1
    assert 1 > kept[1] > kept[2] > 0.5


def test_a_prefix_is_a_unit_vector():
    vectors = np.array([[3, 4, 12], [0, 0, 1]], np.float32)
    np.testing.assert_allclose(prefix(vectors, 2), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert prefix(vectors, 2).dtype == np.float32
