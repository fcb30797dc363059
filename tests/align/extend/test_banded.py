"""`esa.align.extend.banded` against a full dynamic programme and against Biopython."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from align_oracles import (
    ANY_SCORE,
    BONUS,
    DELETION,
    INSERTION,
    OUTSIDE,
    PAIR,
    Codes,
    Path,
    best_banded_path,
    best_by_ends,
    best_total,
    mutate,
)
from Bio.Align import PairwiseAligner, substitution_matrices

from esa.align.extend.banded import Band, align_banded, fill_profile, trace
from esa.align.extend.ungapped import pair_score
from esa.sequence import dna


def align(query: Codes, window: Codes) -> tuple[int, int, int, np.ndarray, Band]:
    """(Total, last query base, its column, profile, band) of a band as wide as the window allows."""
    columns = len(window) - len(query) + 1
    profile = np.empty((5, len(window)), np.int32)
    fill_profile(window, len(window), profile)
    shape = (len(query) + 1, columns + 1)
    band = Band(np.empty(shape, np.int32), np.empty(shape, np.int32), np.empty(shape, np.int32))
    return (*align_banded(query, profile, columns, band), profile, band)


def align_path(query: Codes, window: Codes) -> tuple[int, Path]:
    """(Total, path)."""
    total, i, b, profile, band = align(query, window)
    ops = np.empty(len(query) + len(window), np.uint8)
    count, first, column = trace(query, profile, band, i, b, ops)
    path = Path(tuple(int(op) for op in ops[:count][::-1]), first, first + column)
    assert (path.query_end - 1, path.window_end - 1) == (i, i + b)
    return total, path


def random_case(rng: np.random.Generator, length: int, letters: int, widen: int) -> tuple[Codes, Codes]:
    """A query and a window that holds a relative of it, wide enough that any path fits the band."""
    reference = rng.integers(0, letters, length).astype(np.uint8)
    query = mutate(
        rng, reference, int(rng.integers(0, 4)), int(rng.integers(0, 3)), ns=int(rng.integers(0, 2))
    )
    window = np.full(len(query) + 2 * widen, OUTSIDE, np.uint8)
    window[widen : widen + len(reference)] = reference[: len(query) + widen]
    return query, window


def test_pair_scores_are_the_design_s():
    profile = np.empty((5, 6), np.int32)
    fill_profile(np.array([0, 1, 2, 3, dna.N, OUTSIDE], np.uint8), 6, profile)
    for a in range(5):
        for b in range(5):
            expected = -1 if dna.N in (a, b) else 1 if a == b else -4
            assert profile[a, b] == pair_score(a, b) == expected
        assert profile[a, 5] < -1_000_000


@pytest.mark.parametrize("letters", [1, 2, 4])
def test_total_and_path_equal_the_full_dynamic_programme(letters: int):
    rng = np.random.default_rng(letters)
    for _ in range(200):
        query, window = random_case(rng, int(rng.integers(1, 22)), letters, widen=int(rng.integers(0, 12)))
        total, path = align_path(query, window)
        columns = len(window) - len(query) + 1
        assert total == best_total(best_by_ends(query, window, 0, columns - 1))
        if total > 0:
            assert path.total(query, window) == total
            assert OUTSIDE not in window[path.window_begin : path.window_end]


@pytest.mark.parametrize("letters", [1, 2, 4])
def test_the_path_is_that_of_the_totals_of_all_cells(letters: int):
    """Among equal paths, too."""
    rng = np.random.default_rng(letters)
    gapped = 0
    for _ in range(150):
        query, window = random_case(rng, int(rng.integers(1, 40)), letters, widen=int(rng.integers(0, 9)))
        total, path = align_path(query, window)
        expected, ops, (i, b) = best_banded_path(query.tolist(), window.tolist())
        assert (total, list(path.ops), path.query_begin, path.window_begin) == (expected, ops, i, i + b)
        gapped += any(op != PAIR for op in ops)
    assert gapped > 10 or letters == 1


def test_an_end_is_clipped_only_if_that_gains_more_than_the_bonus():
    """Said for the reported score: no path that reaches an end more is at least as good, bonuses included.

    `trace` prefers a pair to a gap and does not look how either goes on: where the path that reaches the
    read's start needs a gap and draws with one that is clipped, the clip may win. That is all it may do.
    """
    rng = np.random.default_rng(6)
    clipped = drawn = 0
    for _ in range(300):
        query, window = random_case(rng, int(rng.integers(8, 24)), 4, widen=5)
        total, path = align_path(query, window)
        by_ends = best_by_ends(query, window, 0, len(window) - len(query))
        if total <= 0:
            continue
        score = path.score(query, window)
        at_start, at_end = path.query_begin == 0, path.query_end == len(query)
        assert score == by_ends[at_start, at_end]
        if not at_end:
            assert score > by_ends[at_start, True] + BONUS
        if not at_start:
            assert score >= by_ends[True, at_end] + BONUS
            drawn += score == by_ends[True, at_end] + BONUS
        clipped += not (at_start and at_end)
    assert clipped > 50
    assert drawn * 20 < clipped


@pytest.mark.parametrize("side", ["start", "end"])
@pytest.mark.parametrize("matches_beyond", [0, 1, 3])
def test_one_mismatch_near_an_end_is_never_clipped(side: str, matches_beyond: int):
    reference = dna.encode(b"ACGTTGCATCAGGATTACAC")
    query = reference.copy()
    at = matches_beyond if side == "start" else len(query) - 1 - matches_beyond
    query[at] = (query[at] + 1) % 4
    _, path = align_path(query, reference)
    assert (path.query_begin, path.query_end) == (0, len(query))


@pytest.mark.parametrize("side", ["start", "end"])
@pytest.mark.parametrize(
    ("changed", "clip"),
    [
        ([0], 0),  # -4 + 5 > 0
        ([0, 1], 2),  # -8 + 5 < 0
        ([0, 4], 0),  # -8 + 3 + 5 = 0: a draw goes to the end of the read
        ([0, 3], 4),  # -8 + 2 + 5 < 0
    ],
)
def test_the_clip_rule_at_its_boundary(side: str, changed: list[int], clip: int):
    reference = dna.encode(b"ACGTTGCATCAGGATTACACGGCAT")
    query = reference.copy()
    for place in changed:
        at = place if side == "start" else len(query) - 1 - place
        query[at] = (query[at] + 2) % 4
    _, path = align_path(query, reference)
    expected = (clip, len(query)) if side == "start" else (0, len(query) - clip)
    assert (path.query_begin, path.query_end) == expected


def aligner(mode: str) -> PairwiseAligner:
    matrix = substitution_matrices.Array("ACGTN", 2)
    for a in "ACGTN":
        for b in "ACGTN":
            matrix[a, b] = -1 if "N" in (a, b) else 1 if a == b else -4
    made = PairwiseAligner(mode=mode, substitution_matrix=matrix, open_gap_score=-7, extend_gap_score=-1)
    if mode == "global":
        # The reference's ends are free: they are deletions at the ends, in Biopython's terms.
        made.open_end_deletion_score = made.extend_end_deletion_score = 0
    return made


def touches(blocks: np.ndarray) -> bool:
    """Whether an insertion touches a deletion in Biopython's ``Alignment.aligned``: we allow none."""
    target, query = blocks
    return bool(np.any((target[1:, 0] > target[:-1, 1]) & (query[1:, 0] > query[:-1, 1])))


def text(codes: Codes) -> str:
    return dna.decode(codes).decode()


def biopython_case(rng: np.random.Generator) -> tuple[Codes, Codes, Codes]:
    """(Query, reference, window: the reference with enough room for any path)."""
    letters = int(rng.integers(2, 5))
    reference = rng.integers(0, letters, int(rng.integers(20, 60))).astype(np.uint8)
    piece = reference[int(rng.integers(0, 10)) : len(reference) - int(rng.integers(0, 8))]
    query = mutate(
        rng, piece, int(rng.integers(0, 6)), int(rng.integers(0, 3)), longest=8, ns=int(rng.integers(0, 2))
    )
    room = len(query)
    window = np.full(len(reference) + 2 * room, OUTSIDE, np.uint8)
    window[room : room + len(reference)] = reference
    return query, reference, window


def test_local_score_equals_biopython_s():
    """Six N at each end cost more than the bonus pays, so that what is left is the plain local score."""
    rng = np.random.default_rng(7)
    local = aligner("local")
    fence = np.full(6, dna.N, np.uint8)
    compared = 0
    for _ in range(1500):
        query, reference, window = biopython_case(rng)
        fenced = np.concatenate([fence, query, fence])
        margin = np.full(6, OUTSIDE, np.uint8)
        total = align(fenced, np.concatenate([margin, window, margin]))[0]
        expected = int(local.score(text(reference), text(fenced)))
        if expected < BONUS:
            continue  # one N at the read's end has a better total than that
        if total != expected:
            # Ours is a maximum over fewer paths.
            assert total < expected
            assert all(touches(a.aligned) for a in local.align(text(reference), text(fenced)))
        compared += total == expected
    assert compared > 1400


def test_global_score_equals_biopython_s():
    """Biopython also lets an insertion touch a deletion or hang over an end: there, its score is a bound."""
    rng = np.random.default_rng(8)
    whole = aligner("global")
    reached = legal = 0
    for _ in range(1500):
        query, reference, window = biopython_case(rng)
        total, path = align_path(query, window)
        found = whole.align(text(reference), text(query))[0]
        query_blocks = found.aligned[1]
        is_legal = (
            not touches(found.aligned) and query_blocks[0][0] == 0 and query_blocks[-1][1] == len(query)
        )
        if is_legal:
            assert total >= found.score + 2 * BONUS
            legal += 1
        if path.query_begin == 0 and path.query_end == len(query):
            assert total - 2 * BONUS <= found.score
            reached += 1
            if is_legal:
                assert total - 2 * BONUS == found.score
    assert legal > 1200
    assert reached > 700


@pytest.mark.parametrize("band", [0, 1, 2, 5, 13])
def test_banded_equals_full_where_the_optimum_lies_in_the_band(band: int):
    rng = np.random.default_rng(band)
    inside = 0
    for _ in range(30):
        reference = rng.integers(0, 4, 40).astype(np.uint8)
        query = mutate(rng, reference[5:35], int(rng.integers(0, 2)), int(rng.integers(0, 3)), longest=6)
        full = best_total(best_by_ends(query, reference))
        in_band = best_total(best_by_ends(query, reference, 5 - band, 5 + band))
        # Window base 0 is reference base 5 - band.
        window = np.full(len(query) + 2 * band, OUTSIDE, np.uint8)
        for j in range(len(window)):
            if 0 <= j + 5 - band < len(reference):
                window[j] = reference[j + 5 - band]
        total = align(query, window)[0]
        assert total == in_band
        assert total <= full
        inside += total == full
    assert inside == 30 if band >= 13 else inside >= 5


@pytest.mark.parametrize("kind", [INSERTION, DELETION])
@pytest.mark.parametrize("size", [1, 7, 50])
def test_long_gaps_are_found_when_the_band_reaches_them(kind: int, size: int):
    rng = np.random.default_rng(size)
    reference = rng.integers(0, 4, 400).astype(np.uint8)
    if kind == DELETION:
        query = np.concatenate([reference[50:150], reference[150 + size : 250 + size]])
    else:
        query = np.concatenate(
            [reference[50:150], rng.integers(0, 4, size).astype(np.uint8), reference[150:250]]
        )
    window = reference[50 - size : 50 - size + len(query) + 2 * size]
    window = np.concatenate([window, np.full(len(query) + 2 * size - len(window), OUTSIDE, np.uint8)])
    total, path = align_path(query, window)
    gaps = [run for run in path.runs() if run[0] != PAIR]
    assert gaps == [(kind, size)]
    assert total == len(query) - (size if kind == INSERTION else 0) - 6 - size + 2 * BONUS
    # One column less on either side, and the far flank is out of reach.
    narrow = window[1:-1]
    assert align(query, narrow)[0] < total


def is_leftmost(path: Path, query: Sequence[int], window: Sequence[int]) -> bool:
    """Whether no gap of the path can move one base to the left for the same score."""
    score = path.score(query, window)
    ops = list(path.ops)
    for at in range(2, len(ops)):
        if ops[at] != PAIR and ops[at - 1] == PAIR and ops[at - 2] == PAIR:
            end = at
            while ops[end] == ops[at]:
                end += 1
            moved = [*ops[: at - 1], *ops[at:end], PAIR, *ops[end:]]
            if Path(tuple(moved), path.query_begin, path.window_begin).score(query, window) == score:
                return False
    return True


@pytest.mark.parametrize(
    ("reference", "query", "cigar"),
    [
        (b"GATCAAAAATCGTC", b"GATCAAAATCGTC", [(PAIR, 4), (DELETION, 1), (PAIR, 9)]),
        (b"GATCAAAATCGTC", b"GATCAAAAATCGTC", [(PAIR, 4), (INSERTION, 1), (PAIR, 9)]),
        (b"GATCACACACTTCGG", b"GATCACACTTCGG", [(PAIR, 3), (DELETION, 2), (PAIR, 10)]),
        (b"GATCACACTTCGGTT", b"GATCACACACTTCGGTT", [(PAIR, 3), (INSERTION, 2), (PAIR, 12)]),
    ],
)
def test_gaps_in_repeats_lie_leftmost(reference: bytes, query: bytes, cigar: list[tuple[int, int]]):
    flank = dna.encode(b"CGTAGCTTGAACGTCC")
    codes = np.concatenate([flank, dna.encode(query), flank])
    window = np.concatenate([np.full(2, OUTSIDE), flank, dna.encode(reference), flank, np.full(4, OUTSIDE)])
    window = window[: len(codes) + 4].astype(np.uint8)
    _, path = align_path(codes, window)
    expected = [(PAIR, cigar[0][1] + len(flank)), cigar[1], (PAIR, cigar[2][1] + len(flank))]
    assert path.runs() == expected


def test_all_gaps_lie_leftmost():
    rng = np.random.default_rng(11)
    gapped = 0
    for _ in range(400):
        query, window = random_case(rng, 36, 2, widen=8)
        total, path = align_path(query, window)
        if total > 0:
            assert is_leftmost(path, query.tolist(), window.tolist())
            gapped += any(op != PAIR for op in path.ops)
    assert gapped > 60


def test_nothing_aligns_outside_the_contig():
    query = dna.encode(b"ACGTACGTAC")
    nowhere = np.full(14, OUTSIDE, np.uint8)
    assert align(query, nowhere)[0] < ANY_SCORE // 1000
    # Only the middle of the read lies inside.
    window = nowhere.copy()
    window[5:9] = query[3:7]
    total, path = align_path(query, window)
    assert (total, path.ops, path.query_begin, path.window_begin) == (4, (PAIR,) * 4, 3, 5)
