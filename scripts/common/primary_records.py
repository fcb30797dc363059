"""The primary records of a SAM file: mapped or not, MAPQ, identity, local score."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from esa.align.scoring import AMBIGUOUS, GAP_EXTEND, GAP_OPEN, MATCH, MISMATCH
from scripts.common.programs import BenchError
from scripts.common.stats import Flags


def primaries(sam: Path) -> Iterator[pysam.AlignedSegment]:
    """The records that are neither secondary nor supplementary."""
    with pysam.AlignmentFile(str(sam)) as records:
        yield from (r for r in records if not (r.is_secondary or r.is_supplementary))


@dataclass(frozen=True)
class Primaries:
    """The primary records of n reads in their order, the ends of a pair side by side.

    Attributes:
        names: of the reads.
        mapped: ``bool[n]``.
        mapq: ``uint8[n]``.
        identity: ``float64[n]``, 1 - NM / columns of the alignment; 0 if unmapped.
        inside: ``bool[n]``, whether the record overlaps the window; false where none is given.
    """

    names: tuple[str, ...]
    mapped: Flags
    mapq: NDArray[np.uint8]
    identity: NDArray[np.float64]
    inside: Flags

    def __len__(self) -> int:
        return len(self.names)


def read_primaries(sam: Path, window: tuple[str, int, int] | None = None) -> Primaries:
    """Of a SAM file; ``window`` is a contig, a start and an end."""
    names, mapped, mapq, identity, inside = [], [], [], [], []
    for record in primaries(sam):
        names.append(record.query_name or "")
        mapped.append(not record.is_unmapped)
        mapq.append(record.mapping_quality)
        identity.append(0.0 if record.is_unmapped else identity_of(record))
        inside.append(window is not None and overlaps(record, window))
    return Primaries(
        tuple(names),
        np.array(mapped, np.bool_),
        np.array(mapq, np.uint8),
        np.array(identity, np.float64),
        np.array(inside, np.bool_),
    )


def local_scores(sam: Path) -> NDArray[np.int64]:
    """`local_score` of the primary records of a SAM file with MD tags; 0 if unmapped."""
    return np.array([0 if record.is_unmapped else local_score(record) for record in primaries(sam)], np.int64)


def local_score(record: pysam.AlignedSegment) -> int:
    """The best local score within an alignment, from CIGAR and MD.

    One measure for all: bwa mem's AS is this, esa's is the score of the whole alignment, less where an end costs,
    minimap2's comes from other penalties.
    """
    first, last = record.query_alignment_start, record.query_alignment_end
    best = running = 0
    opened = None  # by which of both the gap that is open skips
    for i, at, base in record.get_aligned_pairs(with_seq=True):
        if i is not None and not first <= i < last:
            continue
        if i is None or at is None:
            skips = "query" if i is None else "reference"
            running -= GAP_EXTEND + (GAP_OPEN if opened != skips else 0)
            opened = skips
        else:
            opened = None
            # A mismatch is in lower case.
            letters = {str(base).upper(), str(record.query_sequence)[i].upper()}
            pair = AMBIGUOUS if letters - set("ACGT") else MATCH if len(letters) == 1 else MISMATCH
            running = max(running, 0) + pair
        best = max(best, running)
    return best


def identity_of(record: pysam.AlignedSegment) -> float:
    """1 - NM / columns: matched and mismatched bases, inserted and deleted ones."""
    clips = (pysam.CSOFT_CLIP, pysam.CHARD_CLIP)
    columns = sum(length for operation, length in record.cigartuples or () if operation not in clips)
    return 1 - int(str(record.get_tag("NM"))) / columns


def overlaps(record: pysam.AlignedSegment, window: tuple[str, int, int]) -> bool:
    """Whether a record lies on at least one base of a window (contig, start, end)."""
    contig, start, end = window
    if record.is_unmapped or record.reference_name != contig:
        return False
    return min(record.reference_end or 0, end) > max(record.reference_start, start)


def same_reads(found: dict[str, Primaries]) -> None:
    """Raise `BenchError` unless all hold the same reads in the same order."""
    first, *others = found.values()
    if any(other.names != first.names for other in others):
        raise BenchError(f"not the same reads in the same order: {', '.join(found)}")
