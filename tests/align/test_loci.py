"""`esa.align.loci.Loci`: its layout, and that what it leaves as it was is never looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import typeof
from numpy.typing import NDArray
from samples import Aligner, Read, edited, random_bases, reverse_complement

from esa.align import loci as loci_module
from esa.align.config import AlignConfig
from esa.align.loci import Candidates, Loci, Locus, OfferRules, offer
from esa.index.presets import PRESETS
from esa.kernels.decorator import njit
from esa.sequence.hashing import tie_break


def arrays(loci: Loci) -> tuple[NDArray[Any], ...]:
    return loci


def filled(reads: int, room: int, seed: int = 0) -> Loci:
    """Loci with another number in every field of every entry."""
    rng = np.random.default_rng(seed)
    loci = Loci.empty(reads, room)
    for field in arrays(loci):
        field[...] = rng.integers(0, np.iinfo(field.dtype).max, field.shape, field.dtype)
    loci.held[:] = rng.integers(0, room + 1, reads)
    return loci


def assert_layout_of_empty(loci: Loci) -> None:
    fresh = Loci.empty(*loci.score.shape)
    for name, mine, theirs in zip(Loci._fields, arrays(loci), arrays(fresh), strict=True):
        assert (mine.dtype, mine.shape, mine.strides) == (theirs.dtype, theirs.shape, theirs.strides), name
        assert mine.flags.writeable
    assert typeof(loci) == typeof(fresh)


@pytest.mark.parametrize(("reads", "room"), [(7, 5), (2, 64)])
def test_fields_do_not_overlap(reads: int, room: int) -> None:
    loci = Loci.empty(reads, room)
    kept = []
    for k, field in enumerate(arrays(loci)):
        field[...] = np.arange(field.size).reshape(field.shape) % 100 + k
        kept.append(field.copy())
    for field, values in zip(arrays(loci), kept, strict=True):
        assert np.array_equal(field, values)


def test_no_read_has_a_locus_at_first() -> None:
    loci = Loci.empty(5, 3)
    assert not loci.held.any()
    assert not loci.truncated.any()


@pytest.mark.parametrize("reads", [0, 1, 9])
def test_loci_that_wait_come_back_and_take_the_room_they_need(reads: int) -> None:
    loci = filled(reads, 6)
    packed = loci.packed()
    assert all(len(field) == loci.held.sum() for field in packed.fields)
    back = packed.unpacked()
    assert_layout_of_empty(back)
    assert np.array_equal(back.held, loci.held)
    assert np.array_equal(back.rescues, loci.rescues)
    assert np.array_equal(back.truncated, loci.truncated)
    for mine, theirs in zip(arrays(back), arrays(loci), strict=True):
        for r in range(reads if mine.ndim == 2 else 0):
            assert np.array_equal(mine[r, : loci.held[r]], theirs[r, : loci.held[r]])


@njit
def offer_all(loci: Loci, places: NDArray[np.int64], salt: int, room: int) -> None:
    """Offers read 0 loci of 10 bases: rows of (score, diagonal, rescued)."""
    for score, diagonal, rescued in places:
        locus = Locus(score, diagonal, 0, 0, diagonal, diagonal + 10, 0, 0, 10, score)
        offer(loci, 0, locus, OfferRules(np.uint64(salt), 5, room, rescued))


@njit
def hash_of(salt: int, diagonal: int) -> Any:
    return tie_break(np.uint64(salt), diagonal)


@pytest.mark.parametrize("rescues", [0, 1, 3])
def test_loci_of_a_read_and_those_rescued_have_room_of_their_own(rescues: int) -> None:
    rng = np.random.default_rng(rescues)
    room, salt = 4, 7
    full = 0
    for _ in range(200):
        n = int(rng.integers(1, 14))
        diagonal = 100 * rng.permutation(n)
        score = rng.integers(20, 24, n)
        rescued = rng.integers(0, 2, n) if rescues else np.zeros(n, np.int64)
        places = np.column_stack([score, diagonal, rescued]).astype(np.int64)

        def rank(row: list[int]) -> tuple[int, int]:
            return -row[0], -int(hash_of(salt, row[1]))

        best = [sorted((x for x in places.tolist() if x[2] == kind), key=rank) for kind in (0, 1)]
        expected = sorted(best[0][:room] + best[1][:rescues], key=rank)
        full += len(expected) == room + rescues
        for _ in range(3):
            loci = Loci.empty(1, room + rescues)
            offer_all(loci, rng.permutation(places), salt, room)
            held = int(loci.held[0])
            found = np.column_stack([x[0, :held] for x in (loci.score, loci.diagonal, loci.rescued)])
            assert found.tolist() == expected
            assert loci.rescues[0] == sum(row[2] for row in expected)
    assert full > 20


def test_a_better_alignment_at_a_rescued_place_is_rescued_too() -> None:
    loci = Loci.empty(1, 2)
    offer_all(loci, np.array([[30, 500, 1], [90, 100, 0], [40, 502, 0], [20, 501, 0]]), 1, 1)
    assert loci.held[0] == 2
    assert loci.diagonal[0].tolist() == [100, 502]
    assert loci.rescued[0].tolist() == [0, 1]
    assert loci.rescues[0] == 1


def test_candidates_without_those_of_reads_that_have_rivals() -> None:
    counts = [1, 0, 3, 2, 1]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    numbers = np.arange(7)
    candidates = Candidates(
        offsets, numbers * 10, (numbers % 2).astype(np.uint8), numbers.astype(np.int32),
        (numbers + 50).astype(np.int32), np.array([0, 1, 0, 1, 0], np.uint8),
    )  # fmt: skip
    left = candidates.without_rivals(np.array([True, True, True, False, True]))
    assert np.diff(left.offsets).tolist() == [1, 0, 0, 2, 1]
    assert left.contig.tolist() == [0, 4, 5, 6]
    assert left.diagonal.tolist() == [0, 40, 50, 60]
    assert left.weight.tolist() == [50, 54, 55, 56]
    assert left.reverse.tolist() == [0, 0, 1, 0]
    assert left.truncated.tolist() == candidates.truncated.tolist()
    for mine, theirs in zip(left, candidates, strict=True):
        assert mine.dtype == theirs.dtype


@pytest.mark.parametrize(
    "rows", [[3, 0, 5], [2, 2, 2, 2], [6], [], range(7)], ids=["some", "one often", "one", "none", "all"]
)
def test_select_takes_whole_rows(rows: list[int]) -> None:
    loci = filled(7, 5)
    chosen = loci.select(np.array(rows, np.int64))
    assert_layout_of_empty(chosen)
    for mine, theirs in zip(arrays(chosen), arrays(loci), strict=True):
        assert mine.tolist() == [theirs[r].tolist() for r in rows]
    # A copy, not a view.
    before = loci.score.copy()
    chosen.score[...] = -1
    assert np.array_equal(loci.score, before)


@pytest.mark.parametrize("others", [[], [1], [4, 0, 2], [0, 0]])
def test_followed_by_keeps_all_rows_in_order(others: list[int]) -> None:
    first, *rest = (filled(reads, 5, seed) for seed, reads in enumerate([3, *others]))
    joined = first.followed_by(rest)
    assert_layout_of_empty(joined)
    for mine, *theirs in zip(*map(arrays, (joined, first, *rest)), strict=True):
        assert mine.tolist() == [row for part in theirs for row in part.tolist()]


class Garbage:
    """numpy, but `empty` fills its arrays with a byte."""

    def __init__(self, byte: int) -> None:
        self.byte = byte
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, shape: Any, dtype: Any) -> Any:
        array = np.empty(shape, dtype)
        array.view(np.uint8)[...] = self.byte
        self.calls += 1
        return array


def some_reads(bases: str) -> tuple[list[Read], list[Read]]:
    """Pairs, some of them chimeric, in a repeat, with a lost end or of strange bases."""
    rng = np.random.default_rng(2)
    reads, mates = [], []
    for i in range(90):
        start = int(rng.integers(0, len(bases) - 400))
        ends = [
            edited(rng, bases[start : start + 150], 0.02),
            edited(rng, reverse_complement(bases[start + 200 : start + 350]), 0.02),
        ]
        if i % 5 == 0:
            ends[0] = ends[0][:80] + reverse_complement(bases[-start - 90 :][:70])
        if i % 7 == 0:
            ends[i % 2] = random_bases(rng, 120)
        if i % 11 == 0:
            ends[1] = ends[1][:60] + random_bases(rng, 90)
        reads.append((f"r{i}", ends[0]))
        mates.append((f"r{i}", ends[1]))
    return reads, mates


@pytest.mark.parametrize("preset", PRESETS)
def test_no_record_depends_on_what_empty_leaves(
    preset: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    bases = random_bases(rng, 3000)
    copied = edited(rng, bases[500:1500], 0.01)
    aligner = Aligner.of(tmp_path_factory.mktemp(preset), {"a": bases, "b": copied, "c": bases[:700]}, preset)
    reads, mates = some_reads(bases)
    config = AlignConfig(aligner.index.preset.levels)
    found = []
    for byte in (0x00, 0x01, 0x7F, 0xFF):
        garbage = Garbage(byte)
        monkeypatch.setattr(loci_module, "np", garbage)
        sams = [
            aligner.sam(reads, both, config=settings)
            for both in (None, mates)
            for settings in (config, config.reporting(None, True))
        ]
        assert garbage.calls
        found.append(sams)
    monkeypatch.undo()
    for sams in found:
        assert sams == found[0]
    flags = {int(line.split("\t")[1]) for line in found[0][3].splitlines() if line[0] != "@"}
    for bit in (0x2, 0x4, 0x100, 0x800):
        assert any(flag & bit for flag in flags)
