"""Why a primate read is wrong: the score of its true locus beside the score that the aligner reported.

The score is that of bwa mem and esa: match 1, mismatch -4, a gap of k bases -(6 + k), 5 for each unclipped end. The
true locus is the human bases that the MAF pairs with the read's, with a margin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from esa.io.fasta import read_genome
from esa.kernels.arrays import Int, U8Array
from esa.kernels.decorator import njit
from esa.sequence import dna
from scripts.benchmarks.real.primates import (
    HUMAN,
    MAF,
    SPECIES,
    UNPAIRED,
    CellResult,
    fragment_number,
    origin,
    read_pairings,
)
from scripts.common.primary_records import primaries
from scripts.common.stats import Flags
from scripts.common.tables import Table
from scripts.common.workplace import Workplace

MATCH, MISMATCH, GAP_OPEN, GAP_EXTEND, END_BONUS = 1, -4, 6, 1, 5
MARGIN = 30
LEAST_SCORE = 30
"""What bwa mem and esa report from (75 bases and more)."""

Scores = NDArray[np.int64]

FATES = (
    "unmapped, true locus under the least score",
    "unmapped, true locus over it",
    "true locus scores more",
    "the same score",
    "true locus scores less",
)


@njit
def locus_score(read: U8Array, reference: U8Array) -> tuple[Int, Int]:
    """The best score of a read (``uint8[n]``) in a stretch (``uint8[m]``), and the same without the bonuses.

    Gaps are affine. The second is of the alignment that is best with them.
    """
    lowest = -(1 << 20)
    n, m = len(read), len(reference)
    # The score without the bonuses is carried along in tables of its own.
    above = np.zeros(m + 1, np.int64)
    above_plain = np.zeros(m + 1, np.int64)
    above[:] = END_BONUS
    down = np.full(m + 1, lowest, np.int64)
    down_plain = np.zeros(m + 1, np.int64)
    here = np.zeros(m + 1, np.int64)
    here_plain = np.zeros(m + 1, np.int64)
    best, best_plain = 0, 0
    for i in range(1, n + 1):
        right, right_plain = lowest, 0
        here[0], here_plain[0] = 0, 0
        for j in range(1, m + 1):
            equal = read[i - 1] == reference[j - 1] and read[i - 1] < 4
            step = MATCH if equal else MISMATCH
            if above[j] - GAP_OPEN > down[j]:
                down[j], down_plain[j] = above[j] - GAP_OPEN, above_plain[j] - GAP_OPEN
            down[j] -= GAP_EXTEND
            down_plain[j] -= GAP_EXTEND
            if here[j - 1] - GAP_OPEN > right:
                right, right_plain = here[j - 1] - GAP_OPEN, here_plain[j - 1] - GAP_OPEN
            right -= GAP_EXTEND
            right_plain -= GAP_EXTEND
            score, plain = above[j - 1] + step, above_plain[j - 1] + step
            if down[j] > score:
                score, plain = down[j], down_plain[j]
            if right > score:
                score, plain = right, right_plain
            if score < 0:
                score, plain = 0, 0
            here[j], here_plain[j] = score, plain
            total = score + (END_BONUS if i == n else 0)
            if total > best:
                best, best_plain = total, plain
        above, here = here, above
        above_plain, here_plain = here_plain, above_plain
    return best, best_plain


def reported_score(record: pysam.AlignedSegment) -> int:
    """AS and the bonuses of the ends that are not clipped."""
    cigar = list(record.cigartuples or ())
    clips = (pysam.CSOFT_CLIP, pysam.CHARD_CLIP)
    reached = sum(operation not in clips for operation, _ in (cigar[0], cigar[-1]))
    return int(str(record.get_tag("AS"))) + END_BONUS * reached


@dataclass(frozen=True)
class Lost:
    """A read that is not right, with its fate and scores (bonuses included)."""

    number: int
    end: int
    fate: str
    true_score: int
    record: str


class Loci:
    """Scores reads at their true loci."""

    def __init__(self, place: Workplace) -> None:
        self._pairings = read_pairings(place.data / "truth" / MAF, SPECIES)
        genome = read_genome(str(place.reference(HUMAN)))
        self._genome = genome
        self._contigs = {name: i for i, name in enumerate(genome.names)}

    def score(self, record: pysam.AlignedSegment, species: str) -> tuple[int, int]:
        """With and without the bonuses; (0, 0) if the MAF pairs no base."""
        truth = origin(record.query_name or "", int(record.is_read2))
        read = dna.encode((record.query_sequence or "").encode())
        pairs = self._pairings[species][truth.block][truth.position : truth.position + len(read)]
        paired = pairs[pairs != UNPAIRED]
        if not len(paired):
            return 0, 0
        # SEQ is in the direction of the record; the origin's direction is the block's.
        forward = read if record.is_reverse == truth.reverse else dna.reverse_complement(read)
        contig = self._contigs[truth.block]
        begin, end = self._genome.offsets[contig], self._genome.offsets[contig + 1]
        window = self._genome.fetch(
            max(int(begin), int(begin + paired.min()) - MARGIN),
            min(int(end), int(begin + paired.max()) + 1 + MARGIN),
        )
        total, plain = locus_score(forward, window)
        return int(total), int(plain)


def lost_reads(loci: Loci, result: CellResult, name: str) -> Iterator[Lost]:
    """The ends that an aligner has not right, of the fragments that count."""
    judged = result.judged[name]
    for record in primaries(result.sams[name]):
        number, end = fragment_number(record.query_name or ""), int(record.is_read2)
        if judged.right[number, end] or not judged.counts[number]:
            continue
        total, plain = loci.score(record, result.cell.species.name)
        yield Lost(number, end, fate(record, total, plain), total, summary(record))


def fate(record: pysam.AlignedSegment, total: int, plain: int) -> str:
    """Which of `FATES` a read has; ``total``, ``plain``: scores at its true locus, with and without bonuses."""
    if record.is_unmapped:
        return FATES[0] if plain < LEAST_SCORE else FATES[1]
    reported = reported_score(record)
    return FATES[2] if total > reported else FATES[3] if total == reported else FATES[4]


def summary(record: pysam.AlignedSegment) -> str:
    """Place, strand, CIGAR and scores of a record, in one line."""
    if record.is_unmapped:
        return "unmapped"
    strand = "-" if record.is_reverse else "+"
    where = f"{record.reference_name}:{record.reference_start + 1}{strand}"
    return f"{where} {record.cigarstring} AS {record.get_tag('AS')} MAPQ {record.mapping_quality}"


def records_of(sam: Path, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], tuple[str, str]]:
    """Name and `summary` of chosen primary records, by number and end."""
    found = {}
    for record in primaries(sam):
        key = fragment_number(record.query_name or ""), int(record.is_read2)
        if key in wanted:
            found[key] = record.query_name or "", summary(record)
    return found


def why_tables(place: Workplace, results: Sequence[CellResult], examples: int) -> list[Table]:
    """Counts of fates a cell for esa and bwa; the same of what only the other has right; examples."""
    loci = Loci(place)
    rows, shown = [], []
    for result in results:
        for name, other in (("esa-anchored", "bwa"), ("bwa", "esa-anchored")):
            lost = list(lost_reads(loci, result, name))
            alone = [x for x in lost if result.judged[other].right[x.number, x.end]]
            for label, chosen in (("all", lost), (f"{other} right", alone)):
                counts = Counter(x.fate for x in chosen)
                rows.append(
                    [str(result.cell), name, label, str(len(chosen)), *(str(counts[f]) for f in FATES)]
                )
            if name == "esa-anchored":
                shown += _examples(result, alone, examples)
    fates = Table(
        "Ends that are not right, by the score of their true locus",
        f"Scores with {END_BONUS} for each end that is reached, as reported and at the locus of the MAF.",
        ("reads", "aligner", "of", "n", *FATES),
        rows,
    )
    table = Table(
        "Ends that bwa has right and esa has not",
        "Drawn evenly from each fate.",
        ("reads", "name", "end", "fate", "true score", "esa", "bwa"),
        shown,
    )
    bound = bound_table(place, results)
    return [fates, bound, table] if shown else [fates, bound]


def bound_table(place: Workplace, results: Sequence[CellResult]) -> Table:
    """What no search could mend while this score decides: fragments whose true locus is not the best one known.

    The best known score of a fragment is the better of what esa and bwa reported (the sum of a pair's ends,
    less `UNPAIRED_LOSS` if the pair is not proper). Of fragments that either has wrong.
    """
    loci = Loci(place)
    rows = []
    for result in results:
        right = {name: result.judged[name].right.all(axis=1) for name in PAIR_OF}
        counts = result.judged["bwa"].counts
        wrong = counts & ~(right["bwa"] & right["esa-anchored"])
        known = np.zeros(len(wrong), np.int64)
        true = known
        for name in PAIR_OF:
            reported, true = _sums(loci, result, name, wrong)
            known = np.maximum(known, reported)
        cells = []
        for chosen in (wrong, *(counts & ~right[name] for name in PAIR_OF)):
            beaten, tied = chosen & (known > true), chosen & (known == true)
            cells += [f"{np.count_nonzero(x):,}" for x in (chosen, beaten, tied)]
        rows.append([str(result.cell), *cells])
    heads = [f"{who} {what}" for who in ("either", *PAIR_OF) for what in ("wrong", "beaten", "tied")]
    return Table(
        "Fragments whose true locus is not the best one known",
        "Beaten: esa or bwa reported a locus that scores more than the true one; no search can mend those. "
        "Tied: as much.",
        ("reads", *heads),
        rows,
    )


PAIR_OF = ("bwa", "esa-anchored")
UNPAIRED_LOSS = 17
"""What bwa mem takes off the score of a pair that is not proper (its -U)."""


def _sums(loci: Loci, result: CellResult, name: str, chosen: Flags) -> tuple[Scores, Scores]:
    """``int64[n]`` of fragments: the score reported and the true locus's; 0 for those not chosen."""
    reported, true = np.zeros(len(chosen), np.int64), np.zeros(len(chosen), np.int64)
    for record in primaries(result.sams[name]):
        number = fragment_number(record.query_name or "")
        if not chosen[number]:
            continue
        true[number] += loci.score(record, result.cell.species.name)[0]
        if not record.is_unmapped:
            reported[number] += reported_score(record)
        # Taken off once, with the first end.
        if result.cell.ends > 1 and not record.is_read2 and not record.is_proper_pair:
            reported[number] -= UNPAIRED_LOSS
    return reported, true


def _examples(result: CellResult, alone: Sequence[Lost], examples: int) -> list[list[str]]:
    chosen = [x for f in FATES for x in [y for y in alone if y.fate == f][:examples]]
    theirs = records_of(result.sams["bwa"], {(x.number, x.end) for x in chosen})
    rows = []
    for x in chosen:
        name, record = theirs[x.number, x.end]
        rows.append([str(result.cell), name, str(x.end + 1), x.fate, str(x.true_score), x.record, record])
    return rows
