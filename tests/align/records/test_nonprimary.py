"""`esa.align.records.nonprimary`: records of stretches of reads, and where they stand among the primary ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from align_oracles import Codes, Locus, make_batch, make_genome, make_loci, reference_of

from esa.align.config import VerifyConfig
from esa.align.loci import Loci
from esa.align.pairing.choose import Choice
from esa.align.records.nonprimary import with_nonprimary
from esa.align.records.report import make_records
from esa.align.records.split import Alignments
from esa.io.records import (
    CIGAR_H,
    CIGAR_LETTERS,
    CIGAR_S,
    FLAG_MATE_REVERSE,
    FLAG_REVERSE,
    FLAG_SECONDARY,
    FLAG_SUPPLEMENTARY,
    NONE,
    Records,
)
from esa.sequence import dna
from esa.sequence.genome import Genome

CONFIG = VerifyConfig()


class Stretch(NamedTuple):
    """Bases of a read that are exactly those of a place, and what kind of alignment they have."""

    read: int
    low: int
    high: int
    at: int
    reverse: int
    flag: int


READS = 4
"""Two pairs."""
LENGTH = 80
CONTIG = 1500
STRETCHES = [
    # Reads 0 and 1 are a pair on contig 0, reads 2 and 3 one on contig 1. Read 1 has no nonprimary alignment.
    Stretch(0, 0, 50, 100, 0, 0),
    Stretch(0, 50, 80, 900, 1, FLAG_SUPPLEMENTARY),
    Stretch(0, 20, 50, 1700, 0, FLAG_SECONDARY),
    Stretch(1, 0, 80, 300, 1, 0),
    Stretch(2, 30, 80, 1800, 1, 0),
    Stretch(2, 0, 30, 2300, 0, FLAG_SUPPLEMENTARY),
    Stretch(3, 0, 60, 2000, 0, 0),
    Stretch(3, 60, 80, 400, 0, FLAG_SUPPLEMENTARY),
]
PRIMARY = {stretch.read: stretch for stretch in STRETCHES if not stretch.flag}


class Case(NamedTuple):
    """The reads, and their alignments from `STRETCHES`."""

    genome: Genome
    reads: list[Codes]
    primaries: Records
    nonprimary: Alignments


def contig_of(stretch: Stretch) -> int:
    return stretch.at // CONTIG


def sides(stretch: Stretch) -> tuple[int, int]:
    """Bases of the read on either side of a stretch, in the direction of the reference."""
    before, behind = stretch.low, LENGTH - stretch.high
    return (behind, before) if stretch.reverse else (before, behind)


def loci_at(stretches: list[Stretch], whole: bool) -> Loci:
    """A locus of each stretch; ``whole``: the whole read is aligned there, else the stretch by itself."""
    entries = []
    for stretch in stretches:
        size = stretch.high - stretch.low
        diagonal = stretch.at - (sides(stretch)[0] if whole else 0)
        span = (stretch.at, stretch.at + size)
        entries.append([Locus(size, diagonal, stretch.reverse, contig_of(stretch), *span)])
    return make_loci(entries)


def reads_of(codes: Codes) -> list[Codes]:
    """Each made of its stretches; a secondary alignment has bases of the primary one."""
    reads = [np.zeros(LENGTH, np.uint8) for _ in range(READS)]
    for stretch in STRETCHES:
        bases = codes[stretch.at : stretch.at + stretch.high - stretch.low]
        bases = dna.reverse_complement(bases) if stretch.reverse else bases
        if stretch.flag == FLAG_SECONDARY:
            assert (reads[stretch.read][stretch.low : stretch.high] == bases).all()
        reads[stretch.read][stretch.low : stretch.high] = bases
    return reads


def end_alignments(codes: Codes, reads: list[Codes]) -> None:
    """Make the bases of the reference beside each primary alignment others than the read's."""
    for r, stretch in PRIMARY.items():
        read = dna.reverse_complement(reads[r]) if stretch.reverse else reads[r]
        before, behind = sides(stretch)
        if before:
            codes[stretch.at - 1] = (read[before - 1] + 1) % 4
        if behind:
            codes[stretch.at + LENGTH - before - behind] = (read[LENGTH - behind] + 1) % 4


@pytest.fixture(scope="module")
def case() -> Case:
    rng = np.random.default_rng(40)
    codes = rng.integers(0, 4, 2 * CONTIG).astype(np.uint8)
    codes[1700:1730] = codes[120:150]
    reads = reads_of(codes)
    end_alignments(codes, reads)
    genome = make_genome([codes[:CONTIG], codes[CONTIG:]])
    choice = Choice.empty(READS)
    choice.locus[:], choice.mapq[:] = 0, 60
    primary = [PRIMARY[r] for r in range(READS)]
    loci = loci_at(primary, whole=True)
    primaries = make_records(make_batch(reads, True), loci, choice, reference_of(genome), CONFIG, False)
    others = [stretch for stretch in STRETCHES if stretch.flag]
    m = len(others)
    nonprimary = Alignments(
        np.array([x.read for x in others], np.int32),
        np.array([x.low for x in others], np.int64),
        np.array([x.high for x in others], np.int64),
        loci_at(others, whole=False),
        np.zeros(m, np.int32),
        np.array([x.flag for x in others], np.uint16),
        np.arange(10, 10 + m).astype(np.uint8),
        np.arange(20, 20 + m).astype(np.int32),
    )
    return Case(genome, reads, primaries, nonprimary)


def records_of(case: Case, eqx: bool = False, soft_clips: bool = False) -> Records:
    batch = make_batch(case.reads, True)
    reference = reference_of(case.genome)
    return with_nonprimary(case.primaries, case.nonprimary, batch, reference, CONFIG, eqx, soft_clips)


def cigar_of(records: Records, row: int) -> str:
    elements = records.cigar[records.cigar_offsets[row] : records.cigar_offsets[row + 1]]
    return "".join(f"{e >> 4}{chr(CIGAR_LETTERS[e & 15])}" for e in elements.tolist())


def md_of(records: Records, row: int) -> str:
    return records.md[records.md_offsets[row] : records.md_offsets[row + 1]].tobytes().decode()


def expected_cigar(stretch: Stretch, clip: str, match: str) -> str:
    """The bases of the read on either side are clipped, in the direction of the reference."""
    left, right = sides(stretch)
    parts = [(left, clip), (stretch.high - stretch.low, match), (right, clip)]
    return "".join(f"{count}{letter}" for count, letter in parts if count)


@pytest.mark.parametrize(("eqx", "soft_clips"), [(False, False), (False, True), (True, False)])
def test_every_alignment_has_its_record_behind_the_primary_one(
    case: Case, eqx: bool, soft_clips: bool
) -> None:
    records = records_of(case, eqx, soft_clips)
    assert records.read.tolist() == [stretch.read for stretch in STRETCHES]
    for row, stretch in enumerate(STRETCHES):
        # The primary records come as they are.
        clip = chr(CIGAR_LETTERS[CIGAR_S if soft_clips or not stretch.flag else CIGAR_H])
        match = "=" if eqx and stretch.flag else "M"
        assert cigar_of(records, row) == expected_cigar(stretch, clip, match)
        assert md_of(records, row) == str(stretch.high - stretch.low)
        assert records.contig[row] == contig_of(stretch)
        assert records.position[row] == stretch.at - CONTIG * contig_of(stretch)
        assert records.alignment_score[row] == stretch.high - stretch.low
        assert records.nm[row] == 0
        assert bool(records.flag[row] & FLAG_REVERSE) == bool(stretch.reverse)
        assert records.flag[row] & (FLAG_SECONDARY | FLAG_SUPPLEMENTARY) == stretch.flag
    extra = [row for row, stretch in enumerate(STRETCHES) if stretch.flag]
    assert records.mapq[extra].tolist() == case.nonprimary.mapq.tolist()
    assert records.second_score[extra].tolist() == case.nonprimary.second.tolist()


def five_prime(stretch: Stretch) -> int:
    return stretch.at + (stretch.high - stretch.low - 1 if stretch.reverse else 0)


def test_mates_are_the_primary_records(case: Case) -> None:
    records = records_of(case)
    for row, stretch in enumerate(STRETCHES):
        mate = PRIMARY[stretch.read ^ 1]
        assert STRETCHES[records.mate[row]] == mate
        assert records.mate_contig[row] == contig_of(mate)
        assert records.mate_position[row] == mate.at - CONTIG * contig_of(mate)
        assert bool(records.flag[row] & FLAG_MATE_REVERSE) == bool(mate.reverse)
        # From the alignment's own 5' base to the mate's, both counted, if they lie on one contig.
        ahead = five_prime(mate) - five_prime(stretch)
        same_contig = contig_of(mate) == contig_of(stretch)
        assert records.template_length[row] == (ahead + (1 if ahead > 0 else -1) if same_contig else 0)


def test_clips_of_a_stretch_and_of_its_alignment_are_one(case: Case) -> None:
    """Bases of a stretch that its own alignment clips join those beside it."""
    (row,) = (i for i, stretch in enumerate(STRETCHES) if stretch.read == 3 and stretch.flag)
    reads = [read.copy() for read in case.reads]
    reads[3][60:64] = 3 - reads[3][60:64]
    records = records_of(case._replace(reads=reads), soft_clips=True)
    assert cigar_of(records, row) == "64S16M"
    assert records.position[row] == STRETCHES[row].at + 4
    assert md_of(records, row) == "16"


def test_single_reads_have_no_mates(case: Case) -> None:
    batch = make_batch(case.reads, False)
    choice = Choice.empty(READS)
    choice.locus[:] = 0
    loci = loci_at([PRIMARY[r] for r in range(READS)], whole=True)
    reference = reference_of(case.genome)
    primaries = make_records(batch, loci, choice, reference, CONFIG, False)
    records = with_nonprimary(primaries, case.nonprimary, batch, reference, CONFIG, False, False)
    assert set(records.mate.tolist()) == set(records.mate_contig.tolist()) == {NONE}
    assert set(records.template_length.tolist()) == {0}
