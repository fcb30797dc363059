"""Why pairs of simulated reads are wrong: their score at the true place beside the score of what was reported.

    python -m scripts.benchmarks.real.pair_fates REF.fa FILE.sam [FILE.sam ...]

Ends that are not at their origin (from dwgsim's names) are counted per file, by the score of the pair's true place:

    more than reported: the search missed it.
    the same: chance decides.
    less: no search by this score finds it.

In brackets stands how many of each the next file has right. The score of a pair is the sum of both ends' scores (see
`primates_why`), less the cost of its insert size (`esa.align.inserts.InsertSizes.penalties`) or of an improper pair.
Mean and deviation of the insert sizes are those of the file's proper pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from esa.align.config import PairConfig
from esa.align.inserts import FR, InsertSizes
from esa.align.pairing.choose import LEARNT_MAX
from esa.eval.alignments import Contigs, read_alignments
from esa.eval.metrics import correct, spread
from esa.eval.truth import NOWHERE, SCHEMES, Truth, concatenate, from_names
from esa.io.fasta import read_genome
from esa.sequence import dna
from esa.sequence.genome import Genome
from scripts.benchmarks.real.primates_why import MARGIN, locus_score, reported_score
from scripts.common.command_line import script_parser
from scripts.common.primary_records import primaries
from scripts.common.tables import Table

FATES = ("true place scores more", "the same", "less", "an end unmapped")

Pair = tuple[pysam.AlignedSegment, ...]


@dataclass(frozen=True)
class Place:
    """Where an end comes from: ``begin`` in its contig, 0-based."""

    contig: str
    begin: int
    end: int
    reverse: bool


@dataclass(frozen=True)
class Judged:
    """A file's primary records, those of a pair side by side.

    Attributes:
        rows: ``int64[pairs, 2]``, in the truth.
        right: ``bool[pairs, 2]``, as `esa eval` judges.
    """

    sam: Path
    truth: Truth
    contigs: Contigs
    rows: NDArray[np.int64]
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, sam: Path) -> Judged:
        """Read a SAM file and judge its records by the origins in their names."""
        contigs = Contigs()
        alignments, names = read_alignments(str(sam), contigs)
        everyone = np.ones(len(alignments), np.bool_)
        truth = concatenate([from_names(SCHEMES["dwgsim"], alignments, names, everyone, contigs)])
        right = correct(spread(alignments, alignments.key), truth)
        return cls(sam, truth, contigs, names.row.reshape(-1, 2), right[names.row].reshape(-1, 2))

    def origin(self, row: int, length: int) -> Place:
        """Where the read of so many bases in a row of the truth comes from."""
        truth = self.truth
        reverse = bool(truth.forward_start[row] == NOWHERE)
        begin = int((truth.reverse_start if reverse else truth.forward_start)[row])
        return Place(self.contigs.names[truth.contig[row]], begin, begin + length, reverse)


def pairs_of(sam: Path) -> Iterator[Pair]:
    """The primary records of each pair."""
    records = primaries(sam)
    return zip(records, records, strict=True)


def insert_penalties(sam: Path) -> InsertSizes:
    """Of all sizes up to the largest that teaches any."""
    sizes = np.array([abs(a.template_length) for a, _ in pairs_of(sam) if a.is_proper_pair])
    middle = np.percentile(sizes, (1, 99))
    inliers = sizes[(sizes >= middle[0]) & (sizes <= middle[1])]
    return InsertSizes(FR, 0, LEARNT_MAX, float(inliers.mean()), float(inliers.std()), len(inliers))


def cost_of(size: int, inserts: InsertSizes) -> int:
    """What an insert size costs; beyond the proper sizes, what an improper pair costs."""
    unpaired = PairConfig().unpaired_penalty
    return min(unpaired, int(inserts.penalties[size])) if size <= inserts.high else unpaired


def true_score(record: pysam.AlignedSegment, place: Place, genome: Genome, contigs: dict[str, int]) -> int:
    """The best score of a read within `MARGIN` bases of its true place."""
    read = dna.encode(str(record.get_forward_sequence()).encode())
    begin, end = (int(genome.offsets[contigs[place.contig] + i]) for i in (0, 1))
    window = genome.fetch(max(begin, begin + place.begin - MARGIN), min(end, begin + place.end + MARGIN))
    return int(locus_score(dna.reverse_complement(read) if place.reverse else read, window)[0])


def fate_of(
    pair: Pair, places: Sequence[Place], inserts: InsertSizes, genome: Genome, contigs: dict[str, int]
) -> str:
    """Which of `FATES` a pair has."""
    if any(record.is_unmapped for record in pair):
        return FATES[3]
    size = max(place.end for place in places) - min(place.begin for place in places)
    true = sum(true_score(record, place, genome, contigs) for record, place in zip(pair, places, strict=True))
    true -= cost_of(size, inserts)
    length = abs(pair[0].template_length) if pair[0].is_proper_pair else LEARNT_MAX + 1
    reported = sum(map(reported_score, pair)) - cost_of(length, inserts)
    return FATES[0] if true > reported else FATES[1] if true == reported else FATES[2]


def main() -> None:
    """Run the command."""
    parser = script_parser(__doc__)
    parser.add_argument("reference", type=Path)
    parser.add_argument("sams", type=Path, nargs="+")
    args = parser.parse_args()
    genome = read_genome(str(args.reference))
    contigs = {name: i for i, name in enumerate(genome.names)}
    files = [Judged.of(sam) for sam in args.sams]
    rows = []
    for i, file in enumerate(files):
        inserts, other = insert_penalties(file.sam), files[(i + 1) % len(files)].right
        ends: Counter[str] = Counter()
        elsewhere: Counter[str] = Counter()
        for p, pair in enumerate(pairs_of(file.sam)):
            lost = ~file.right[p]
            if lost.any():
                places = [file.origin(row, x.query_length) for row, x in zip(file.rows[p], pair, strict=True)]
                fate = fate_of(pair, places, inserts, genome, contigs)
                ends[fate] += int(lost.sum())
                elsewhere[fate] += int((lost & other[p]).sum())
        cells = [f"{ends[fate]:,} ({elsewhere[fate]:,})" for fate in FATES]
        rows.append([file.sam.name, f"{ends.total():,}", *cells])
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
