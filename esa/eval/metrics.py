"""Measures of `esa eval`: mapped, correct and wrong reads, by mapping quality, and agreement of files.

A read is *mapped* if its primary record is. A read that another file has and this one lacks is unmapped.

Two alignments are at the *same locus* if contig and strand are the same and their intervals overlap, with clipped bases
added back at both ends. The overlap is at least `MIN_OVERLAP` of the union.

A read is *correct* if it is mapped to the locus of its origin. It is *wrong* if it is mapped and not correct. A mapped
read of random sequence is always wrong.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from esa.eval.alignments import END_MASK, Alignments
from esa.eval.truth import NOWHERE, Truth
from esa.io.records import NONE

MIN_OVERLAP = 0.1
MAPQ_THRESHOLDS = (0, 1, 3, 10, 20, 30, 40, 50, 60)
CONFIDENT_MAPQ = 30
PER_MILLION = 1_000_000


def share(part: int, whole: int) -> float | None:
    """``part / whole``, None if ``whole`` is 0."""
    return part / whole if whole else None


JSON_KEYS = ("format_version", "rule", "files")
"""Some keys of the JSON file, by which it is recognised."""


@dataclass(frozen=True)
class MapqLevel:
    """The reads mapped with at least the mapping quality ``mapq``.

    Attributes:
        kept: such reads; the share is of all reads.
        wrong: wrong ones among them; None without origins.
    """

    mapq: int
    kept: int
    kept_share: float | None
    wrong: int | None
    wrong_per_million: float | None


@dataclass(frozen=True)
class Accuracy:
    """One file against the origins of the reads.

    Attributes:
        correct: correct reads; the share is of the reads that have an origin.
        wrong: wrong reads; the share is of all reads.
        wrong_random: wrong reads of random sequence.
    """

    correct: int
    correct_share: float | None
    wrong: int
    wrong_share: float | None
    wrong_random: int


@dataclass(frozen=True)
class FileMetrics:
    """One file. Counts are of reads; shares are of all reads.

    Attributes:
        missing: reads of other files that this one lacks; they count as unmapped.
        properly_paired: properly paired reads; the share is of the reads of pairs. None if no file has pairs.
        accuracy: None without origins.
    """

    name: str
    path: str
    missing: int
    mapped: int
    mapped_share: float | None
    properly_paired: int | None
    properly_paired_share: float | None
    accuracy: Accuracy | None
    by_mapq: tuple[MapqLevel, ...]


@dataclass(frozen=True)
class Agreement:
    """Agreement of two files.

    Attributes:
        both_mapped: reads that both files map.
        same_locus: such reads that both map to the same locus.
        both_confident: reads that both map with MAPQ `CONFIDENT_MAPQ` or more.
        same_locus_confident: such reads that both map to the same locus.
    """

    first: str
    second: str
    both_mapped: int
    same_locus: int
    same_locus_share: float | None
    both_confident: int
    same_locus_confident: int
    same_locus_confident_share: float | None


@dataclass(frozen=True)
class Evaluation:
    """All measures of a set of files.

    Attributes:
        truth: source of the origins: a scheme of `esa.eval.truth`, "file", or "none".
        reads: reads in any of the files.
        paired_reads: such reads that are ends of pairs.
        random_reads: such reads of random sequence; None without origins.
    """

    truth: str
    reads: int
    paired_reads: int
    random_reads: int | None
    files: tuple[FileMetrics, ...]
    agreements: tuple[Agreement, ...]

    def to_json(self) -> str:
        """The measures and their thresholds as JSON; shares are fractions, null where undefined."""
        rule = {"min_overlap": MIN_OVERLAP, "confident_mapq": CONFIDENT_MAPQ}
        return json.dumps({"format_version": 1, "rule": rule, **asdict(self)}, indent=2) + "\n"


@dataclass(frozen=True)
class Placements:
    """The alignments of one file, one row for each of n reads.

    Attributes:
        present: ``bool[n]``, whether the file has the read.

    The other arrays are as in `Alignments`.
    """

    present: NDArray[np.bool_]
    contig: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    length: NDArray[np.int32]
    reverse: NDArray[np.bool_]
    proper: NDArray[np.bool_]
    mapq: NDArray[np.uint8]

    @property
    def mapped(self) -> NDArray[np.bool_]:
        """``bool[n]``, whether the read is mapped."""
        return self.contig != NONE


def spread(alignments: Alignments, reads: NDArray[np.int64]) -> Placements:
    """The alignments in the rows of ``reads`` (``int64[n]``, sorted keys, those of the alignments among them)."""
    rows = np.searchsorted(reads, alignments.key)

    def column(name: str, absent: int) -> NDArray[np.generic]:
        values = getattr(alignments, name)
        out = np.full(len(reads), absent, values.dtype)
        out[rows] = values
        return out

    present = np.zeros(len(reads), np.bool_)
    present[rows] = True
    absent = {"contig": NONE, "start": 0, "end": 0, "length": 0, "reverse": 0, "proper": 0, "mapq": 0}
    return Placements(present, **{name: column(name, value) for name, value in absent.items()})  # type: ignore[arg-type]


def overlaps(
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    other_start: NDArray[np.int64],
    other_end: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """``bool[n]``: whether the overlap of two intervals is at least `MIN_OVERLAP` of their union."""
    intersection = np.minimum(end, other_end) - np.maximum(start, other_start)
    union = np.maximum(end, other_end) - np.minimum(start, other_start)
    # A quotient, not a product: an exact tenth then equals the constant 0.1.
    return intersection / np.maximum(union, 1) >= MIN_OVERLAP


def same_locus(first: Placements, second: Placements) -> NDArray[np.bool_]:
    """``bool[n]``: whether both map a read to the same locus."""
    return (
        first.mapped
        & (first.contig == second.contig)
        & (first.reverse == second.reverse)
        & overlaps(first.start, first.end, second.start, second.end)
    )


def correct(placements: Placements, truth: Truth) -> NDArray[np.bool_]:
    """``bool[n]``: whether a read is mapped to its origin.

    The origin is known by its start or its end; the read's length gives the other one.
    """
    start = truth.forward_start.copy()
    reverse = placements.reverse
    start[reverse] = truth.reverse_start[reverse]
    from_end = reverse & (truth.reverse_end != NOWHERE)
    start[from_end] = truth.reverse_end[from_end] - placements.length[from_end]
    return (
        placements.mapped
        & (placements.contig == truth.contig)
        & overlaps(placements.start, placements.end, start, start + placements.length)
    )


def _count(condition: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(condition))


def _by_mapq(placements: Placements, right: NDArray[np.bool_] | None) -> tuple[MapqLevel, ...]:
    levels = []
    for threshold in MAPQ_THRESHOLDS:
        kept = placements.mapped & (placements.mapq >= threshold)
        kept_count = _count(kept)
        wrong = None if right is None else _count(kept & ~right)
        wrong_share = None if wrong is None else share(wrong, kept_count)
        levels.append(
            MapqLevel(
                mapq=threshold,
                kept=kept_count,
                kept_share=share(kept_count, len(kept)),
                wrong=wrong,
                wrong_per_million=None if wrong_share is None else wrong_share * PER_MILLION,
            )
        )
    return tuple(levels)


def _accuracy(placements: Placements, right: NDArray[np.bool_], random: NDArray[np.bool_]) -> Accuracy:
    wrong = placements.mapped & ~right
    return Accuracy(
        correct=_count(right),
        correct_share=share(_count(right), _count(~random)),
        wrong=_count(wrong),
        wrong_share=share(_count(wrong), len(wrong)),
        wrong_random=_count(wrong & random),
    )


def measure_file(
    name: str, path: str, placements: Placements, paired: NDArray[np.bool_], truth: Truth | None
) -> FileMetrics:
    """The measures of one file.

    Args:
        name, path: of the file.
        placements: its alignments, of n reads.
        paired: ``bool[n]``, whether a read is an end of a pair.
        truth: origins of the n reads, if known.
    """
    right = None if truth is None else correct(placements, truth)
    accuracy = None
    if truth is not None and right is not None:
        accuracy = _accuracy(placements, right, truth.contig == NONE)
    mapped = _count(placements.mapped)
    pairs = _count(paired)
    proper = _count(placements.proper & placements.mapped & paired) if pairs else None
    return FileMetrics(
        name=name,
        path=path,
        missing=_count(~placements.present),
        mapped=mapped,
        mapped_share=share(mapped, len(paired)),
        properly_paired=proper,
        properly_paired_share=None if proper is None else share(proper, pairs),
        accuracy=accuracy,
        by_mapq=_by_mapq(placements, right),
    )


def measure_agreement(first_name: str, first: Placements, second_name: str, second: Placements) -> Agreement:
    """Agreement of two files with the same n reads."""
    same = same_locus(first, second)
    both = first.mapped & second.mapped
    confident = both & (first.mapq >= CONFIDENT_MAPQ) & (second.mapq >= CONFIDENT_MAPQ)
    return Agreement(
        first=first_name,
        second=second_name,
        both_mapped=_count(both),
        same_locus=_count(same),
        same_locus_share=share(_count(same), _count(both)),
        both_confident=_count(confident),
        same_locus_confident=_count(same & confident),
        same_locus_confident_share=share(_count(same & confident), _count(confident)),
    )


def ends_of_pairs(reads: NDArray[np.int64]) -> NDArray[np.bool_]:
    """``bool[n]``: whether a key (`Alignments.key`) is that of an end of a pair."""
    return (reads & END_MASK) != 0
