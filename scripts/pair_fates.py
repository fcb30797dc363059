"""Why pairs of simulated reads are not right: what they score at their true place, beside what was reported.

    python scripts/pair_fates.py REF.fa FILE.sam [FILE.sam ...]

For each file, of the ends that are not at their origin (in dwgsim's names): how many belong to pairs whose true place
scores more than the one reported (the search missed it), as much (chance decides), or less (no search by this score
finds it); and how many of each the next file has right. The score of a pair is that of both ends, as
`primates_why.py` has it, less what the insert size costs (`esa.align.pair.InsertSizes.penalties`) or that of a pair
that is no proper one. Mean and deviation of the inserts are those of the file's proper pairs.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam
from grid_report import Table
from primates_why import MARGIN, locus_score, reported_score
from real_reads import primaries

from esa import dna
from esa.align.config import PairConfig
from esa.align.pair import FR, LEARNT_MAX, InsertSizes
from esa.eval.truth import NOWHERE, SECOND_END, Scheme, detect
from esa.genome import Genome
from esa.io.fasta import read_genome

LEAST_OVERLAP = 0.1
"""Of the union of both intervals, as `esa eval` asks."""
FATES = ("true place scores more", "the same", "less", "an end unmapped")

Pair = tuple[pysam.AlignedSegment, ...]


@dataclass(frozen=True)
class Place:
    """Where an end lies: ``begin`` in its contig, 0-based, clipped bases included."""

    contig: str
    begin: int
    end: int
    reverse: bool

    def agrees(self, other: Place) -> bool:
        shared = min(self.end, other.end) - max(self.begin, other.begin)
        union = max(self.end, other.end) - min(self.begin, other.begin)
        same = (self.contig, self.reverse) == (other.contig, other.reverse)
        return same and shared > 0 and shared >= LEAST_OVERLAP * union


def true_place(record: pysam.AlignedSegment, scheme: Scheme) -> Place:
    match = scheme.pattern.fullmatch(str(record.query_name).encode())
    assert match is not None
    origin = scheme.origin(match, SECOND_END if record.is_read2 else 1)
    reverse = origin.forward_start == NOWHERE
    begin = origin.reverse_start if reverse else origin.forward_start
    assert isinstance(origin.contig, bytes)
    return Place(origin.contig.decode(), begin, begin + record.query_length, reverse)


def reported_place(record: pysam.AlignedSegment) -> Place:
    cigar = list(record.cigartuples or ())
    before, after = (n if operation == pysam.CSOFT_CLIP else 0 for operation, n in (cigar[0], cigar[-1]))
    begin, end = record.reference_start - before, int(record.reference_end or 0) + after
    return Place(str(record.reference_name), begin, end, record.is_reverse)


def is_right(record: pysam.AlignedSegment, scheme: Scheme) -> bool:
    return not record.is_unmapped and reported_place(record).agrees(true_place(record, scheme))


def pairs_of(sam: Path) -> Iterator[Pair]:
    records = primaries(sam)
    return zip(records, records, strict=True)


def insert_penalties(sam: Path) -> InsertSizes:
    """Of all sizes up to the largest that teaches any."""
    sizes = np.array([abs(a.template_length) for a, _ in pairs_of(sam) if a.is_proper_pair])
    middle = np.percentile(sizes, (1, 99))
    inliers = sizes[(sizes >= middle[0]) & (sizes <= middle[1])]
    return InsertSizes(FR, 0, LEARNT_MAX, float(inliers.mean()), float(inliers.std()), len(inliers))


def cost_of(size: int, inserts: InsertSizes) -> int:
    unpaired = PairConfig().unpaired_penalty
    return min(unpaired, int(inserts.penalties[size])) if size <= inserts.high else unpaired


def true_score(record: pysam.AlignedSegment, place: Place, genome: Genome, contigs: dict[str, int]) -> int:
    read = dna.encode(str(record.get_forward_sequence()).encode())
    begin, end = (int(genome.offsets[contigs[place.contig] + i]) for i in (0, 1))
    window = genome.fetch(max(begin, begin + place.begin - MARGIN), min(end, begin + place.end + MARGIN))
    return int(locus_score(dna.reverse_complement(read) if place.reverse else read, window)[0])


def fate_of(pair: Pair, scheme: Scheme, inserts: InsertSizes, genome: Genome, contigs: dict[str, int]) -> str:
    if any(record.is_unmapped for record in pair):
        return FATES[3]
    places = [true_place(record, scheme) for record in pair]
    size = max(place.end for place in places) - min(place.begin for place in places)
    true = sum(true_score(record, place, genome, contigs) for record, place in zip(pair, places, strict=True))
    true -= cost_of(size, inserts)
    length = abs(pair[0].template_length) if pair[0].is_proper_pair else LEARNT_MAX + 1
    reported = sum(map(reported_score, pair)) - cost_of(length, inserts)
    return FATES[0] if true > reported else FATES[1] if true == reported else FATES[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("reference", type=Path)
    parser.add_argument("sams", type=Path, nargs="+")
    args = parser.parse_args()
    genome = read_genome(str(args.reference))
    contigs = {name: i for i, name in enumerate(genome.names)}
    names = (str(record.query_name).encode() for record in primaries(args.sams[0]))
    scheme = detect(names)
    assert scheme is not None, "names do not tell where reads come from"
    right = [np.array([is_right(r, scheme) for r in primaries(sam)]).reshape(-1, 2) for sam in args.sams]
    rows = []
    for i, sam in enumerate(args.sams):
        inserts, other = insert_penalties(sam), right[(i + 1) % len(args.sams)]
        ends: Counter[str] = Counter()
        elsewhere: Counter[str] = Counter()
        for p, pair in enumerate(pairs_of(sam)):
            lost = ~right[i][p]
            if lost.any():
                fate = fate_of(pair, scheme, inserts, genome, contigs)
                ends[fate] += int(lost.sum())
                elsewhere[fate] += int((lost & other[p]).sum())
        cells = [f"{ends[fate]:,} ({elsewhere[fate]:,})" for fate in FATES]
        rows.append([sam.name, f"{ends.total():,}", *cells])
    print(
        Table(
            "Ends that are not right",
            "In brackets: those that the next file has right.",
            ("file", "all", *FATES),
            rows,
        ).text()
    )


if __name__ == "__main__":
    main()
