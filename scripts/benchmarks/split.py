"""Chimeric reads beside bwa mem: are both segments found, and do ordinary reads stay whole?

    python -m scripts.benchmarks.split [--reads 20000] [--ordinary 100000] [--lengths 100,150,250]

Each chimeric read joins two stretches of human chromosome 20, drawn at random with their strands. The break is uniform,
at least 30 bases from either end of the read. Then 0.54 % of the bases are substituted, and 0.06 % begin an indel
(geometric, mean 1.5 bases).

A segment is found if a primary or supplementary record lies on its contig and strand and covers half of its reference
bases. A read is right if two records find its two segments. By length of the shorter segment:

    of all reads: % with both found, with the longer found, with more than two records.
    of right reads: median distance of the records' ends from the break, on the read; % with both within 5 bases of it.
    of right reads, too: % whose two records both have MAPQ >= 30.
    of records at MAPQ >= 30: how many cover neither segment.

Ordinary reads are dwgsim's (0.6 % divergence), pairs and single ends: reads with a supplementary record, per million.
Both bwa mem and esa run with -Y.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from scripts.common.aligners import Aligner, bwa, esa
from scripts.common.command_line import add_common_options, guarded, script_parser, workplace
from scripts.common.programs import need
from scripts.common.real_sets import CHR20
from scripts.common.tables import table
from scripts.common.workplace import INSERT_SIZE, Workplace
from scripts.data.chimeric_reads import LEAST_SEGMENT, Chimera, Piece, chimeric_reads

LENGTHS = (100, 150, 250)
BINS = (30, 40, 50, 70, 100)
"""Rows: the least length of the shorter segment."""
NEAR_BREAK = 5
CONFIDENT_MAPQ = 30


@dataclass(frozen=True)
class Record:
    """A primary or supplementary record; the query interval is that of the read as sequenced."""

    piece: Piece
    begin: int
    end: int
    mapq: int

    @classmethod
    def of(cls, record: pysam.AlignedSegment) -> Record:
        """From a record of a SAM file."""
        length = record.infer_read_length() or 0
        cigar = record.cigartuples or []
        left, right = (c[1] if c[0] in (4, 5) else 0 for c in (cigar[0], cigar[-1]))
        begin, end = (right, length - left) if record.is_reverse else (left, length - right)
        assert record.reference_name is not None
        assert record.reference_end is not None
        piece = Piece(record.reference_name, record.reference_start, record.reference_end, record.is_reverse)
        return cls(piece, begin, end, record.mapping_quality)

    def covers(self, piece: Piece) -> bool:
        """Whether it lies on the strand of a stretch and on half of its bases."""
        mine = self.piece
        if (mine.contig, mine.reverse) != (piece.contig, piece.reverse):
            return False
        return 2 * (min(mine.end, piece.end) - max(mine.start, piece.start)) >= piece.end - piece.start


@dataclass(frozen=True)
class Outcome:
    """What became of a chimeric read. ``offsets``: distances of the two records' ends from the break."""

    shorter: int
    records: int
    longer_found: bool
    offsets: tuple[int, int] | None
    confident: bool
    wrong: int

    @property
    def right(self) -> bool:
        """Whether two records cover the two stretches."""
        return self.offsets is not None


def read_records(sam: Path) -> Iterator[tuple[str, list[Record]]]:
    """Name, and primary and supplementary records of each read, in the order of the file."""
    with pysam.AlignmentFile(str(sam)) as file:
        for name, records in groupby(file, lambda record: record.query_name):
            yield str(name), [Record.of(r) for r in records if not r.is_unmapped and not r.is_secondary]


def outcome(name: str, records: Sequence[Record]) -> Outcome:
    """Judge the records of a read by its name."""
    truth = Chimera.of(name)
    sizes = [piece.end - piece.start for piece in truth.pieces]
    longer = int(sizes[1] > sizes[0])
    found = [[r for r in records if r.covers(piece)] for piece in truth.pieces]
    wrong = sum(
        r.mapq >= CONFIDENT_MAPQ and not any(r.covers(piece) for piece in truth.pieces) for r in records
    )
    ends = next(((a, b) for a in found[0] for b in found[1] if a is not b), None)
    offsets = None if ends is None else (abs(ends[0].end - truth.at), abs(ends[1].begin - truth.at))
    confident = ends is not None and min(r.mapq for r in ends) >= CONFIDENT_MAPQ
    return Outcome(min(sizes), len(records), bool(found[longer]), offsets, confident, wrong)


def summary_row(outcomes: Sequence[Outcome]) -> list[str]:
    """The figures of these reads, under `SPLIT_COLUMNS`."""
    n = max(len(outcomes), 1)
    right = [o.offsets for o in outcomes if o.offsets is not None]
    offsets: NDArray[np.int64] = np.array(right, np.int64).reshape(-1, 2)
    near = (offsets <= NEAR_BREAK).all(axis=1)
    return [
        f"{len(outcomes):,}",
        f"{100 * len(right) / n:.2f}",
        f"{100 * sum(o.longer_found for o in outcomes) / n:.2f}",
        f"{100 * sum(o.records > 2 for o in outcomes) / n:.2f}",
        f"{np.median(offsets):.0f}" if right else "-",
        f"{100 * near.mean():.2f}" if right else "-",
        f"{100 * sum(o.confident for o in outcomes) / max(len(right), 1):.2f}",
        f"{sum(o.wrong for o in outcomes):,}",
    ]


SPLIT_COLUMNS = (
    "length", "shorter segment", "aligner", "reads", "both %", "longer %", "> 2 records %", "median offset",
    f"within {NEAR_BREAK} %", "both MAPQ >= 30 %", "wrong, MAPQ >= 30",
)  # fmt: skip


def split_rows(length: int, sams: dict[str, Path]) -> Iterator[list[str]]:
    """A row per bin of the shorter segment and aligner; the first rows are of all reads."""
    outcomes = {name: [outcome(*read) for read in read_records(sam)] for name, sam in sams.items()}
    for least, beyond in [(LEAST_SEGMENT, length), *zip(BINS, [*BINS[1:], length], strict=True)]:
        for name, all_reads in outcomes.items():
            some = [o for o in all_reads if least <= o.shorter < beyond]
            if some:
                label = "all" if beyond == length and least == LEAST_SEGMENT else f"{least}-{beyond - 1}"
                yield [str(length), label, name, *summary_row(some)]


def false_splits(sam: Path) -> tuple[int, int]:
    """(Reads, those with a supplementary record); the ends of a pair are two."""
    reads, split = 0, set()
    with pysam.AlignmentFile(str(sam)) as file:
        for record in file:
            reads += not record.is_secondary and not record.is_supplementary
            if record.is_supplementary:
                split.add((record.query_name, record.is_read2))
    return reads, len(split)


def ordinary_rows(
    place: Workplace, reference: Path, aligners: dict[str, Aligner], pairs: int, seed: int
) -> Iterator[list[str]]:
    """By length and layout, how many ordinary reads of each aligner have a supplementary record."""
    for length in sorted(INSERT_SIZE):
        ends = place.simulated(reference, length, pairs, seed)
        for label, files in (("paired", ends), ("single", ends[:1])):
            for name, aligner in aligners.items():
                reads, split = false_splits(aligner.align(place, reference, files))
                yield [str(length), label, name, f"{reads:,}", f"{split:,}", f"{1e6 * split / reads:.1f}"]


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = script_parser(__doc__)
    add_common_options(parser)
    parser.add_argument("--reads", type=int, default=20_000, help="chimeric reads of each length")
    parser.add_argument("--ordinary", type=int, default=100_000, help="ordinary pairs of each length")
    parser.add_argument("--lengths", default=",".join(map(str, LENGTHS)), help="of the chimeric reads")
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse()
    need("bwa", "dwgsim")
    place = workplace(args)
    reference = place.reference(CHR20)
    aligners = {"bwa": bwa(("-Y",)), "esa": esa(extra=("-Y",))}
    rows: list[list[str]] = []
    for length in map(int, args.lengths.split(",")):
        reads = chimeric_reads(place, reference, length, args.reads, args.seed)
        sams = {name: a.align(place, reference, [reads]) for name, a in aligners.items()}
        rows += split_rows(length, sams)
    print(table(SPLIT_COLUMNS, rows))
    if args.ordinary:
        columns = ("length", "ends", "aligner", "reads", "with supplementary", "of a million")
        print(table(columns, list(ordinary_rows(place, reference, aligners, args.ordinary, args.seed))))


if __name__ == "__main__":
    guarded(main)
