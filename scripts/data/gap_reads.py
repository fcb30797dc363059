"""Reads with one insertion or deletion each at a chosen distance from the end; and what a CIGAR says of it.

Pure functions and a generator. Places are 0-based, in the direction of the reference. A deletion stands at its first
base of the reference, and at the base of the read after it. An insertion stands at the base of the reference that it
precedes, and at its own first base of the read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pysam
from numpy.typing import NDArray

from esa.sequence import dna

Codes = NDArray[np.uint8]

KINDS = "ID"
LENGTHS = (1, 2, 3, 5, 8, 10, 15, 20, 25, 30, 40, 50)
FLANKS = ((10, 20), (20, 30), (30, 50), (50, 1000))
"""Bases between the gap and the nearer end of the read, half-open; the last bin ends at the read's middle."""
SUBSTITUTIONS = 0.002

KMER = 31
KMER_STEP = 7
"""Every so many bases a k-mer is looked up."""
UNIQUE_SHARE = 0.9
"""Share of a read's k-mers that occur once, on either strand."""

GAP_OPEN, MISMATCH_LOSS, END_BONUS = 6, 5, 5
"""The score that bwa mem and esa share: what opening a gap costs, what a mismatch loses, what an end is worth."""

M_OPERATIONS = (pysam.CMATCH, pysam.CEQUAL, pysam.CDIFF)


# The gap of a CIGAR


@dataclass(frozen=True)
class Gap:
    """An insertion or a deletion in an alignment; ``kind`` is I or D."""

    kind: str
    length: int
    place: int
    base: int


def gaps(cigar: Iterable[tuple[int, int]], start: int) -> list[tuple[Gap, int]]:
    """The gaps of an alignment that begins at ``start``, each with the number of bases matched right before."""
    found = []
    place, base, before = start, 0, 0
    for operation, length in cigar:
        if operation in M_OPERATIONS:
            place, base, before = place + length, base + length, before + length
            continue
        if operation == pysam.CINS:
            found.append((Gap("I", length, place, base), before))
            base += length
        elif operation == pysam.CDEL:
            found.append((Gap("D", length, place, base), before))
            place += length
        elif operation == pysam.CSOFT_CLIP:
            base += length
        before = 0
    return found


def shifts(gap: Gap, read: Codes, reference: Codes) -> bool:
    """Whether the gap one base further left leaves the same bases paired with equal ones."""
    if gap.base == 0 or gap.place == 0:
        return False
    if gap.kind == "D":
        return bool(reference[gap.place - 1] == reference[gap.place + gap.length - 1])
    return bool(read[gap.base - 1] == read[gap.base + gap.length - 1])


def left_aligned(gap: Gap, read: Codes, reference: Codes) -> Gap:
    """The gap as far left as it goes without a change of the score."""
    while shifts(gap, read, reference):
        gap = Gap(gap.kind, gap.length, gap.place - 1, gap.base - 1)
    return gap


# Places


class UniquePlaces:
    """Which stretches of a sequence have k-mers that occur nowhere else in it.

    Args:
        codes: ``uint8[n]``, base codes.
    """

    def __init__(self, codes: Codes) -> None:
        self._kmers = canonical_kmers(codes)
        self._sorted = np.sort(self._kmers)
        self._n_before = np.concatenate(([0], np.cumsum(codes == dna.N)))

    def are_unique(self, starts: NDArray[np.int64], span: int) -> NDArray[np.bool_]:
        """``bool[m]``, for stretches of ``span`` bases: no N, and `UNIQUE_SHARE` of the k-mers occur once."""
        places = starts[:, None] + np.arange(0, span - KMER + 1, KMER_STEP)
        found = self._kmers[places].ravel()
        counts = np.searchsorted(self._sorted, found, "right") - np.searchsorted(self._sorted, found)
        share = (counts == 1).reshape(places.shape).mean(axis=1)
        without_n = self._n_before[starts + span] == self._n_before[starts]
        return np.asarray((share >= UNIQUE_SHARE) & without_n, np.bool_)


def canonical_kmers(codes: Codes) -> NDArray[np.uint64]:
    """``uint64[n - KMER + 1]``, the lesser of each k-mer and its reverse complement; N counts as A."""
    bases = (codes & 3).astype(np.uint64)
    n = len(codes) - KMER + 1
    forward, backward = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    for i in range(KMER):
        window = bases[i : i + n]
        forward = (forward << np.uint64(2)) | window
        backward |= (np.uint64(3) - window) << np.uint64(2 * i)
    return np.minimum(forward, backward)


# Reads


@dataclass(frozen=True)
class GapRead:
    """A read's gap, all of it in the read's name.

    Attributes:
        flank: bases between the gap and the nearer end.
        gain: by how much the score to the end of the read beats the clipped one, as far as the nearer flank
            alone goes.
        end: which end of a pair has the gap, 0 or 1.
        reverse: the strand of this end.
    """

    kind: str
    length: int
    flank: int
    place: int
    base: int
    gain: int
    end: int
    reverse: bool

    def name(self, number: int) -> str:
        """The name of the read with this number."""
        values = (self.length, self.flank, self.place, self.base, self.gain, self.end, int(self.reverse))
        return ":".join(map(str, (self.kind, *values, number)))

    @classmethod
    def of_name(cls, name: str) -> Self:
        """From the name of a read."""
        kind, *values = name.split(":")
        length, flank, place, base, gain, end, reverse, _ = map(int, values)
        return cls(kind, length, flank, place, base, gain, end, bool(reverse))

    @property
    def gap(self) -> Gap:
        """The gap alone."""
        return Gap(self.kind, self.length, self.place, self.base)


@dataclass(frozen=True)
class Fragment:
    """The read with the gap, and its mate if it has one, as sequenced; in the order of the pair's ends."""

    truth: GapRead
    reads: tuple[Codes, ...]


def plans(length: int) -> list[tuple[str, int, tuple[int, int]]]:
    """Kind, length of the gap and flanks (half-open) that reads of a length can have."""
    found = []
    for kind, gap, (low, high) in itertools.product(KINDS, LENGTHS, FLANKS):
        middle = (length - gap * (kind == "I")) // 2
        if low < middle:
            found.append((kind, gap, (low, min(high, middle + 1))))
    return found


def make_reads(
    codes: Codes, length: int, repeats: int, insert: Sequence[int] | None, seed: int
) -> Iterator[Fragment]:
    """Of every plan so many reads.

    Args:
        codes: ``uint8[n]``, the reference.
        repeats: reads of each kind, length of gap and bin of flanks.
        insert: mean and standard deviation of the fragments' lengths; none makes single reads.
    """
    rng = np.random.default_rng(seed)
    places = UniquePlaces(codes)
    for kind, gap, (low, high) in plans(length):
        span = length + (gap if kind == "D" else -gap)
        starts = _draw(rng, places, len(codes), span, repeats)
        flanks = rng.integers(low, high, repeats)
        for start, flank in zip(starts.tolist(), flanks.tolist(), strict=True):
            yield _fragment(rng, codes, (kind, gap, flank), (start, span, length), insert)


def _draw(rng: np.random.Generator, places: UniquePlaces, bases: int, span: int, n: int) -> NDArray[np.int64]:
    """``int64[n]``, starts of unique stretches that leave room for a mate on both sides."""
    room = 2000
    found = np.empty(0, np.int64)
    while len(found) < n:
        starts = rng.integers(room, bases - span - room, 2 * n)
        found = np.concatenate((found, starts[places.are_unique(starts, span)]))
    return found[:n]


def _fragment(
    rng: np.random.Generator,
    codes: Codes,
    what: tuple[str, int, int],
    where: tuple[int, int, int],
    insert: Sequence[int] | None,
) -> Fragment:
    (kind, gap, flank), (start, span, length) = what, where
    first = bool(rng.integers(2))
    inserted = gap * (kind == "I")
    base = flank if first else length - flank - inserted
    place = start + base
    added = rng.integers(0, 4, inserted).astype(np.uint8)
    behind = place + gap * (kind == "D")
    true = np.concatenate((codes[start:place], added, codes[behind : start + span]))
    read = _substituted(rng, true)
    wrong = read != true
    near = wrong[:flank] if first else wrong[length - flank :]
    gain = flank - MISMATCH_LOSS * int(near.sum()) + END_BONUS - GAP_OPEN - gap
    reverse, end = bool(rng.integers(2)), int(rng.integers(2)) if insert else 0
    truth = GapRead(kind, gap, flank, place, base, gain, end, reverse)
    reads = [dna.reverse_complement(read) if reverse else read]
    if insert:
        size = max(span, round(float(rng.normal(insert[0], insert[1]))))
        mate_start = start + span - size if reverse else start + size - length
        mate = _substituted(rng, codes[mate_start : mate_start + length])
        reads.insert(0 if end else 1, mate if reverse else dna.reverse_complement(mate))
    return Fragment(truth, tuple(reads))


def _substituted(rng: np.random.Generator, codes: Codes) -> Codes:
    hit = rng.random(len(codes)) < SUBSTITUTIONS
    other = (codes + rng.integers(1, 4, len(codes))) % 4
    return np.where(hit & (codes != dna.N), other, codes).astype(np.uint8)
