"""Slow, obvious versions of what the alignment kernels do, and the small worlds that the tests put them in.

The numbers of the score are written out here: they are the design's, not a tuning of the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from esa.align.extend.mismatch_masks import Query, make_strands, orient
from esa.align.loci import Candidates, Loci, Reference
from esa.sequence import dna
from esa.sequence.genome import Genome
from esa.sequence.reads import ReadBatch

Codes = NDArray[np.uint8]
OUTSIDE = 5
BONUS = 5
ANY_SCORE = -(10**9)
PAIR, INSERTION, DELETION = range(3)


def score_pair(query_base: int, reference_base: int) -> int:
    """Match 1, mismatch -4, an N with anything -1; nothing aligns outside the contig."""
    if reference_base == OUTSIDE:
        return ANY_SCORE
    if query_base == dna.N or reference_base == dna.N:
        return -1
    return 1 if query_base == reference_base else -4


def best_by_ends(
    query: Sequence[int], window: Sequence[int], lowest: int | None = None, highest: int | None = None
) -> dict[tuple[bool, bool], int]:
    """Best score of a path that begins at the query's first base or not and ends at its last or not.

    Full dynamic programming over pairs on the diagonals ``lowest`` to ``highest``; a gap of k bases costs
    6 + k and opens from a pair only.
    """
    n, width = len(query), len(window)
    out = dict.fromkeys([(a, b) for a in (False, True) for b in (False, True)], ANY_SCORE)
    for from_start in (False, True):
        above = [[ANY_SCORE] * (width + 1) for _ in range(3)]
        for i in range(n):
            rows = [[ANY_SCORE] * (width + 1) for _ in range(3)]
            for j in range(width):
                # Index j + 1 of a row is window base j.
                if (lowest is None or j - i >= lowest) and (highest is None or j - i <= highest):
                    fresh = 0 if (i == 0) == from_start else ANY_SCORE
                    before = max(fresh, above[PAIR][j], above[INSERTION][j], above[DELETION][j])
                    rows[PAIR][j + 1] = before + score_pair(query[i], window[j])
                rows[INSERTION][j + 1] = max(above[PAIR][j + 1] - 7, above[INSERTION][j + 1] - 1)
                rows[DELETION][j + 1] = max(rows[PAIR][j] - 7, rows[DELETION][j] - 1)
            at_end = i == n - 1
            out[from_start, at_end] = max(out[from_start, at_end], *rows[PAIR])
            above = rows
    return out


def best_total(by_ends: dict[tuple[bool, bool], int]) -> int:
    """Best score with `BONUS` for each end reached."""
    return max(score + BONUS * sum(ends) for ends, score in by_ends.items())


@dataclass(frozen=True)
class Path:
    """An alignment: its operations in order, and the first base of each sequence."""

    ops: tuple[int, ...]
    query_begin: int
    window_begin: int

    @property
    def query_end(self) -> int:
        """Behind the last base of the query."""
        return self.query_begin + sum(op != DELETION for op in self.ops)

    @property
    def window_end(self) -> int:
        """Behind the last base of the window."""
        return self.window_begin + sum(op != INSERTION for op in self.ops)

    def runs(self) -> list[tuple[int, int]]:
        """(Operation, length) of each run."""
        out: list[tuple[int, int]] = []
        for op in self.ops:
            if out and out[-1][0] == op:
                out[-1] = (op, out[-1][1] + 1)
            else:
                out.append((op, 1))
        return out

    def score(self, query: Sequence[int], window: Sequence[int]) -> int:
        """Score of the path, ends' bonuses left out; fails on a path that may not be."""
        i, j, score = self.query_begin, self.window_begin, 0
        last = None
        for op, length in self.runs():
            assert PAIR in (last, op) or last is None, "an insertion touches a deletion"
            if op == PAIR:
                score += sum(score_pair(query[i + k], window[j + k]) for k in range(length))
            else:
                score -= 6 + length
            i += length if op != DELETION else 0
            j += length if op != INSERTION else 0
            last = op
        assert self.ops[0] == self.ops[-1] == PAIR
        return score

    def total(self, query: Sequence[int], window: Sequence[int]) -> int:
        """`score` with the bonuses of the ends that are reached."""
        ends = (self.query_begin == 0) + (self.query_end == len(query))
        return self.score(query, window) + BONUS * ends


def best_ungapped(query: Sequence[int], window: Sequence[int], shift: int, lo: int, hi: int) -> int:
    """Best total of any query interval of ``[lo, hi)`` on one diagonal; 0 where nothing scores."""
    best = 0
    for begin in range(lo, hi):
        score = BONUS if begin == 0 else 0
        for end in range(begin + 1, hi + 1):
            score += score_pair(query[end - 1], window[end - 1 + shift])
            best = max(best, score + (BONUS if end == len(query) else 0))
    return best


def local_score(query: Sequence[int], window: Sequence[int], shift: int, lo: int, hi: int) -> int:
    """Best score of any stretch of ``query[lo:hi]`` on one diagonal, without end bonuses."""
    best = running = 0
    for i in range(lo, hi):
        running = max(running, 0) + score_pair(int(query[i]), int(window[i + shift]))
        best = max(best, running)
    return best


def best_banded_path(query: Sequence[int], window: Sequence[int]) -> tuple[int, list[int], tuple[int, int]]:
    """(Total, operations, first cell) of the best path of a band as wide as the window allows.

    Walks back through the totals of all cells themselves: a pair is preferred as long as one explains the total, then
    an insertion, then a deletion; a gap ends where it may have been opened.
    """
    n, columns = len(query), len(window) - len(query) + 1
    impossible = -(1 << 24)
    pairs, insertions, deletions = ([[impossible] * (columns + 1) for _ in range(n + 1)] for _ in range(3))
    scores = [[impossible if w == OUTSIDE else score_pair(q, w) for w in window] for q in query]
    best, at = impossible, (-1, -1)
    for i in range(n):
        for b in range(columns):
            begin = BONUS if i == 0 else 0
            before = max(pairs[i][b], insertions[i][b], deletions[i][b], begin)
            pairs[i + 1][b] = before + scores[i][i + b]
            insertions[i + 1][b] = max(pairs[i][b + 1] - 6, insertions[i][b + 1]) - 1
            if b:
                deletions[i + 1][b] = max(pairs[i + 1][b - 1] - 6, deletions[i + 1][b - 1]) - 1
        top = max(pairs[i + 1][:columns])
        total = top + (BONUS if i == n - 1 else 0)
        if total > best or (i == n - 1 and total == best):
            best, at = total, (i, pairs[i + 1].index(top))
    ops, (i, b) = [], at
    while True:
        ops.append(PAIR)
        rest = pairs[i + 1][b] - scores[i][i + b]
        if pairs[i][b] == rest:
            i -= 1
        elif insertions[i][b] == rest:
            i -= 1
            opened = False
            while not opened:
                ops.append(INSERTION)
                opened = pairs[i][b + 1] - 7 == insertions[i + 1][b]
                i, b = i - 1, b + 1
        elif deletions[i][b] == rest:
            i -= 1
            opened = False
            while not opened:
                ops.append(DELETION)
                opened = pairs[i + 1][b - 1] - 7 == deletions[i + 1][b]
                b -= 1
        else:
            return best, ops[::-1], (i, b)


def mutate(
    rng: np.random.Generator, codes: Codes, substitutions: int, indels: int, longest: int = 3, ns: int = 0
) -> Codes:
    """A copy with so many edits at random places."""
    out = codes.tolist()
    for _ in range(substitutions):
        at = int(rng.integers(len(out)))
        out[at] = (out[at] + int(rng.integers(1, 4))) % 4
    for _ in range(indels):
        at, size = int(rng.integers(len(out))), int(rng.integers(1, longest + 1))
        if rng.random() < 0.5 and len(out) > size + 1:
            del out[at : at + size]
        else:
            out[at:at] = rng.integers(0, 4, size).tolist()
    for _ in range(ns):
        out[int(rng.integers(len(out)))] = dna.N
    return np.array(out, np.uint8)


def make_genome(contigs: Iterable[Codes]) -> Genome:
    """A genome of these contigs, named c0, c1 and so on."""
    contigs = list(contigs)
    joined = np.concatenate(contigs)
    packed = np.zeros((len(joined) + 3) // 4, np.uint8)
    dna.pack(joined, packed)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (joined == dna.N).astype(np.int8), [0]])))
    return Genome(
        tuple(f"c{i}" for i in range(len(contigs))),
        np.array([len(contig) for contig in contigs], np.int64),
        ("0" * 32,) * len(contigs),
        packed,
        edges[0::2].astype(np.int64),
        edges[1::2].astype(np.int64),
    )


def reference_of(genome: Genome) -> Reference:
    """The genome as the kernels take it."""
    return Reference(genome.packed, genome.n_starts, genome.n_ends, genome.offsets)


def make_batch(reads: Sequence[Codes], paired: bool = False) -> ReadBatch:
    """A batch of reads named by their (pair's) number."""
    names = [str(i // 2 if paired else i).encode() for i in range(len(reads))]
    codes = np.concatenate([np.empty(0, np.uint8), *reads])
    return ReadBatch(
        names=np.frombuffer(b"".join(names), np.uint8),
        name_offsets=offsets_of(names),
        codes=codes,
        quals=np.full(len(codes), ord("I"), np.uint8),
        offsets=offsets_of(reads),
        has_qual=np.ones(len(reads), np.uint8),
        paired=paired,
    )


def offsets_of(items: Sequence[Sequence[int] | Codes | bytes]) -> NDArray[np.int64]:
    """Where each text begins in all of them together, and where the last ends."""
    return np.concatenate([[0], np.cumsum([len(item) for item in items])]).astype(np.int64)


def make_candidates(
    reads: Sequence[Sequence[tuple[int, int, int]]], truncated: Sequence[int] = ()
) -> Candidates:
    """Candidates from each read's (diagonal, reverse, contig)."""
    flat = [candidate for read in reads for candidate in read]
    return Candidates(
        offsets_of(reads),
        np.array([c[0] for c in flat], np.int64),
        np.array([c[1] for c in flat], np.uint8),
        np.array([c[2] for c in flat], np.int32),
        np.ones(len(flat), np.int32),
        np.array(truncated if len(truncated) else [0] * len(reads), np.uint8),
    )


@dataclass(frozen=True)
class Locus:
    """One entry of `Loci`."""

    score: int
    diagonal: int
    reverse: int
    contig: int
    start: int
    end: int
    band: int = 0
    local_score: int = field(default=0, compare=False)
    """Its best local score; 0: the score."""


def loci_of(loci: Loci, read: int) -> list[Locus]:
    """The loci of a read, in their order."""
    return [
        Locus(*(int(array[read, k]) for array in (*loci[1:8], loci.local_score)))  # type: ignore[index]
        for k in range(loci.held[read])
    ]


def make_loci(reads: Sequence[Sequence[Locus]], room: int = 8) -> Loci:
    """`Loci` that hold these, in this order."""
    loci = Loci.empty(len(reads), room)
    for r, entries in enumerate(reads):
        loci.held[r] = len(entries)
        for k, entry in enumerate(entries):
            values = {**vars(entry), "local_score": entry.local_score or entry.score}
            for array, value in zip((*loci[1:8], loci.local_score), values.values(), strict=True):
                array[r, k] = value
            loci.rescued[r, k] = 0
            # The whole read, as far as rivals go.
            loci.query_begin[r, k] = loci.query_end[r, k] = 0
    return loci


def query_of(codes: Codes, reverse: int = 0) -> Query:
    """A read in one orientation, as the kernels take it."""
    strands = make_strands(len(codes))
    orient(codes, 0, len(codes), strands)
    return Query(strands.codes[reverse][: len(codes)], strands.words[reverse], bool(strands.plain[0]))
