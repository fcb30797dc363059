"""`esa.align.records.report`: records against what CIGAR, read and reference say by themselves."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pysam
import pytest
from align_oracles import (
    Codes,
    loci_of,
    make_batch,
    make_candidates,
    make_genome,
    mutate,
    reference_of,
    score_pair,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from esa.align.config import AlignConfig, VerifyConfig
from esa.align.extend.band_state import FIRST_BAND
from esa.align.extend.verify import verify
from esa.align.loci import Loci, Reads
from esa.align.pairing.choose import Choice
from esa.align.records.report import make_records
from esa.io.records import (
    CIGAR_D,
    CIGAR_EQ,
    CIGAR_I,
    CIGAR_LETTERS,
    CIGAR_M,
    CIGAR_S,
    CIGAR_X,
    FLAG_FIRST,
    FLAG_MATE_REVERSE,
    FLAG_MATE_UNMAPPED,
    FLAG_PAIRED,
    FLAG_PROPER,
    FLAG_REVERSE,
    FLAG_SECOND,
    FLAG_UNMAPPED,
    NONE,
    Records,
)
from esa.sequence import dna
from esa.sequence.genome import Genome

CONFIG = AlignConfig(levels=(), verify=VerifyConfig(max_gap=20), min_score=1)
Place = tuple[int, int, int]
"""(Diagonal, reverse, contig)."""


@dataclass(frozen=True)
class Run:
    """Records, and the loci that they were made of."""

    records: Records
    loci: Loci


def report(
    genome: Genome,
    reads: Sequence[Codes],
    places: Sequence[Place | None],
    paired: bool = False,
    eqx: bool = False,
    proper: Sequence[int] | None = None,
    config: AlignConfig = CONFIG,
) -> Run:
    """Verify each read at one place, choose it, and report."""
    batch = make_batch(reads, paired)
    loci = Loci.empty(len(reads), 2)
    candidates = make_candidates([[p] if p else [] for p in places])
    salts = np.zeros(len(reads), np.uint64)
    verify(Reads(batch.codes, batch.offsets, salts), candidates, reference_of(genome), config, loci)
    choice = Choice.empty(len(reads))
    choice.locus[:] = np.where(loci.held > 0, 0, -1)
    choice.mapq[:] = np.where(loci.held > 0, 40, 0)
    choice.second[:] = np.where(loci.held > 0, 7, -1)
    if proper is not None:
        choice.proper[:] = proper
    records = make_records(batch, loci, choice, reference_of(genome), config.verify, eqx)
    return Run(records, loci)


def cigar_of(records: Records, r: int) -> list[tuple[int, int]]:
    """(Operation, length) of each element."""
    elements = records.cigar[records.cigar_offsets[r] : records.cigar_offsets[r + 1]]
    return [(int(e & 15), int(e >> 4)) for e in elements]


def cigar_text(records: Records, r: int) -> str:
    return "".join(f"{length}{chr(CIGAR_LETTERS[op])}" for op, length in cigar_of(records, r))


def md_of(records: Records, r: int) -> str:
    return records.md[records.md_offsets[r] : records.md_offsets[r + 1]].tobytes().decode()


@dataclass(frozen=True)
class Described:
    """What a CIGAR says of a read on a contig."""

    score: int
    edits: int
    md: str
    query: int
    span: int


def describe(cigar: Sequence[tuple[int, int]], position: int, query: Codes, contig: Codes) -> Described:
    """Walk a CIGAR base by base."""
    i, j, score, edits = 0, position, 0, 0
    md: list[str] = []
    run = 0
    for op, length in cigar:
        if op in (CIGAR_M, CIGAR_EQ, CIGAR_X):
            for _ in range(length):
                same = query[i] == contig[j] and query[i] != dna.N
                assert op == CIGAR_M or (op == CIGAR_EQ) == same
                score += score_pair(int(query[i]), int(contig[j]))
                if same:
                    run += 1
                else:
                    md += [str(run), "ACGTN"[contig[j]]]
                    run, edits = 0, edits + 1
                i, j = i + 1, j + 1
        elif op == CIGAR_I:
            score, edits, i = score - 6 - length, edits + length, i + length
        elif op == CIGAR_D:
            md += [str(run), "^" + "".join("ACGTN"[b] for b in contig[j : j + length])]
            run = 0
            score, edits, j = score - 6 - length, edits + length, j + length
        else:
            assert op == CIGAR_S
            i += length
    return Described(score, edits, "".join([*md, str(run)]), i, j - position)


def check_mapped(genome: Genome, run: Run, r: int, read: Codes) -> None:
    """Everything that a mapped record says of its alignment follows from CIGAR, read and reference."""
    records = run.records
    [locus] = loci_of(run.loci, r)
    cigar = cigar_of(records, r)
    query = dna.reverse_complement(read) if records.flag[r] & FLAG_REVERSE else read
    contig = genome.contig(int(records.contig[r]))
    found = describe(cigar, int(records.position[r]), query, contig)
    assert found.query == len(read)
    assert found.score == records.alignment_score[r] == locus.score
    assert found.edits == records.nm[r]
    assert found.md == md_of(records, r)
    start = int(genome.offsets[locus.contig] + records.position[r])
    assert (start, start + found.span, records.contig[r]) == (locus.start, locus.end, locus.contig)
    assert bool(records.flag[r] & FLAG_REVERSE) == locus.reverse
    # Neighbours are merged, nothing is empty, clips lie outside, a pair lies beside every gap.
    ops = [op for op, _ in cigar]
    assert all(a != b for a, b in itertools.pairwise(ops))
    assert all(length > 0 for _, length in cigar)
    assert CIGAR_S not in ops[1:-1]
    core = [op for op in ops if op != CIGAR_S]
    aligned = {CIGAR_M, CIGAR_EQ, CIGAR_X}
    assert core[0] in aligned
    assert core[-1] in aligned
    assert all(a in aligned or b in aligned for a, b in itertools.pairwise(core))


@pytest.fixture(scope="module")
def genome() -> Genome:
    rng = np.random.default_rng(1)
    contigs = [rng.integers(0, 4, n).astype(np.uint8) for n in (400, 120, 900)]
    contigs[0][150:153] = dna.N
    contigs[2][300:360] = np.resize(np.array([0, 1], np.uint8), 60)
    return make_genome(contigs)


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=60)
def test_records_follow_from_cigar_read_and_reference(genome: Genome, seed: int, eqx: bool):
    rng = np.random.default_rng(seed)
    reads: list[Codes] = []
    places: list[Place | None] = []
    for _ in range(12):
        contig = int(rng.integers(3))
        lo, hi = int(genome.offsets[contig]), int(genome.offsets[contig + 1])
        length = int(rng.integers(30, 110))
        start = int(rng.integers(lo - 20, hi - 30))
        inside = genome.fetch(max(lo, start), min(hi, start + length))
        before = rng.integers(0, 4, max(0, lo - start)).astype(np.uint8)
        after = rng.integers(0, 4, max(0, start + length - hi)).astype(np.uint8)
        read = np.concatenate([before, inside, after])
        read = mutate(
            rng, read, int(rng.integers(0, 5)), int(rng.integers(0, 3)), 12, int(rng.integers(0, 2))
        )
        reverse = int(rng.integers(2))
        reads.append(dna.reverse_complement(read) if reverse else read)
        places.append((start, reverse, contig))
    run = report(genome, reads, places, eqx=eqx)
    assert len(run.records) == len(reads)
    np.testing.assert_array_equal(run.records.read, np.arange(len(reads)))
    for r, read in enumerate(reads):
        if run.loci.held[r]:
            check_mapped(genome, run, r, read)
            assert run.records.flag[r] in (0, FLAG_REVERSE)
            assert (run.records.mapq[r], run.records.second_score[r]) == (40, 7)
        else:
            assert run.records.flag[r] == FLAG_UNMAPPED


def test_eqx_is_the_same_alignment_spelled_out(genome: Genome):
    rng = np.random.default_rng(3)
    reads = [mutate(rng, genome.fetch(start, start + 100), 4, 1) for start in range(520, 1200, 60)]
    places = [(start, 0, 2) for start in range(520, 1200, 60)]
    plain, spelled = (report(genome, reads, places, eqx=eqx).records for eqx in (False, True))
    for r in range(len(reads)):
        assert re.sub("[=X]", "M", cigar_text(spelled, r)) != cigar_text(spelled, r)
        merged: list[tuple[int, int]] = []
        for op, length in cigar_of(spelled, r):
            op = CIGAR_M if op in (CIGAR_EQ, CIGAR_X) else op
            if merged and merged[-1][0] == op == CIGAR_M:
                merged[-1] = (op, merged[-1][1] + length)
            else:
                merged.append((op, length))
        assert merged == cigar_of(plain, r)
        assert md_of(plain, r) == md_of(spelled, r)
    np.testing.assert_array_equal(plain.nm, spelled.nm)


@pytest.mark.parametrize(
    ("read", "cigar", "md", "edits", "score"),
    [
        ("=40", "40M", "40", 0, 40),
        ("=20 x1 =20", "41M", "20{20}20", 1, 36),
        ("x1 =39", "40M", "0{0}39", 1, 35),
        ("=39 x1", "40M", "39{39}0", 1, 35),
        ("x1 =12 x2 =25 x1", "41M", "0{0}12{13}0{14}25{40}0", 4, 37 - 16),
        ("=21 d3 =20", "21M3D20M", "21^{21}{22}{23}20", 3, 41 - 9),
        ("=20 i3 =20", "20M3I20M", "40", 3, 40 - 9),
        ("=20 d2 x1 =30", "20M2D31M", "20^{20}{21}0{22}30", 3, 50 - 8 - 4),
        ("=20 x1 d2 =30", "20M2D31M", "20^{20}{21}0{22}30", 3, 50 - 8 - 4),  # the same score, leftmost,
        ("j12 =40", "12S40M", "40", 0, 40),
        ("=40 j12", "40M12S", "40", 0, 40),
        ("=20 n1 =20", "41M", "20{20}20", 1, 39),
    ],
)
def test_golden_alignments(read: str, cigar: str, md: str, edits: int, score: int):
    """=: as the reference; x: another base; i, d: inserted, deleted; j: junk; n: N."""
    bases = dna.encode(b"ACGTCAGTACTGATCGTAGCATCGACTGTACGATGCTAGACTCGATGCATCAGT" * 2)
    flank = np.array([3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3], np.uint8)
    contig = np.concatenate([flank, bases, flank])
    start = len(flank)
    codes: list[int] = []
    at = start
    for part in read.split():
        kind, size = part[0], int(part[1:])
        if kind in "=xn":
            for _ in range(size):
                base = int(contig[at])
                codes.append(base if kind == "=" else dna.N if kind == "n" else (base + 2) % 4)
                at += 1
        elif kind == "d":
            at += size
        elif kind == "j":
            codes += [2, 2, 2, 0] * (size // 4)
        else:
            codes += [(int(contig[at]) + 1) % 4, *[(int(contig[at - 1]) + 2) % 4] * (size - 1)][:size]
    junk = int(read[1:3]) if read[0] == "j" else 0
    genome = make_genome([contig])
    for reverse in (0, 1):
        query = np.array(codes, np.uint8)
        turned = dna.reverse_complement(query) if reverse else query
        records = report(genome, [turned], [(start - junk, reverse, 0)]).records
        letters = ["ACGTN"[b] for b in contig[start:]]
        assert (cigar_text(records, 0), md_of(records, 0)) == (cigar, md.format(*letters))
        assert (records.nm[0], records.alignment_score[0], records.position[0]) == (edits, score, start)


def test_pysam_reads_the_reference_back_from_md(genome: Genome):
    rng = np.random.default_rng(4)
    starts = range(530, 1250, 45)
    reads = [mutate(rng, genome.fetch(start, start + 100), 4, 2, 6) for start in starts]
    records = report(genome, reads, [(start, 0, 2) for start in starts]).records
    contig = genome.contig(2)
    for r, read in enumerate(reads):
        segment = pysam.AlignedSegment()
        segment.query_sequence = dna.decode(read).decode()
        segment.reference_start = int(records.position[r])
        segment.cigarstring = cigar_text(records, r)
        segment.set_tag("MD", md_of(records, r))
        covered = contig[segment.reference_start : segment.reference_end]
        assert segment.get_reference_sequence().upper() == dna.decode(covered).decode()


def pair_of(genome: Genome, first: Place | None, second: Place | None, proper: int = 0) -> Run:
    def read(place: Place | None) -> Codes:
        if place is None:
            return np.full(40, dna.N, np.uint8)
        bases = genome.fetch(place[0], place[0] + 60)
        return dna.reverse_complement(bases) if place[1] else bases

    return report(genome, [read(first), read(second)], [first, second], paired=True, proper=[proper] * 2)


def test_mates_describe_each_other(genome: Genome):
    base = int(genome.offsets[2])
    records = pair_of(genome, (base + 100, 0, 2), (base + 340, 1, 2), proper=1).records
    common = FLAG_PAIRED | FLAG_PROPER
    assert records.flag.tolist() == [
        common | FLAG_FIRST | FLAG_MATE_REVERSE,
        common | FLAG_SECOND | FLAG_REVERSE,
    ]
    assert records.position.tolist() == [100, 340]
    assert records.mate_position.tolist() == [340, 100]
    assert records.mate_contig.tolist() == [2, 2]
    assert records.mate.tolist() == [1, 0]


def test_an_unmapped_read_is_placed_by_its_mate(genome: Genome):
    place = (int(genome.offsets[2]) + 100, 1, 2)
    for first, second in ((place, None), (None, place)):
        records = pair_of(genome, first, second).records
        mapped = 0 if first else 1
        lost = 1 - mapped
        assert records.contig.tolist() == records.mate_contig.tolist() == [2, 2]
        assert records.position.tolist() == records.mate_position.tolist() == [100, 100]
        side = [FLAG_FIRST, FLAG_SECOND]
        assert records.flag[mapped] == FLAG_PAIRED | FLAG_REVERSE | FLAG_MATE_UNMAPPED | side[mapped]
        assert records.flag[lost] == FLAG_PAIRED | FLAG_UNMAPPED | FLAG_MATE_REVERSE | side[lost]
        assert records.template_length.tolist() == [0, 0]
        assert records.mapq[lost] == 0
        assert cigar_text(records, lost) == md_of(records, lost) == ""


def test_two_unmapped_mates_are_nowhere(genome: Genome):
    records = pair_of(genome, None, None).records
    both = FLAG_PAIRED | FLAG_UNMAPPED | FLAG_MATE_UNMAPPED
    assert records.flag.tolist() == [both | FLAG_FIRST, both | FLAG_SECOND]
    for column in (records.contig, records.position, records.mate_contig, records.mate_position):
        assert column.tolist() == [NONE, NONE]


def test_single_reads_have_no_mates(genome: Genome):
    records = report(genome, [genome.fetch(20, 80)], [(20, 0, 0)]).records
    assert (records.flag[0], records.mate[0], records.mate_contig[0], records.mate_position[0]) == (
        0,
        *[NONE] * 3,
    )
    assert records.template_length[0] == 0


@pytest.mark.parametrize(
    ("first", "second", "length"),
    [
        # 60 bases each: positions of the 5' ends' bases are the start, or start + 59 on the reverse strand.
        ((100, 0), (340, 1), 300),
        ((340, 1), (100, 0), -300),
        ((100, 1), (340, 0), 182),  # 159 to 340
        ((340, 0), (100, 1), -182),
        ((100, 0), (340, 0), 241),
        ((340, 1), (100, 1), -241),
        ((100, 0), (100, 1), 60),
        ((100, 0), (41, 1), 0),  # 5' ends on one base
        ((100, 0), (100, 0), 0),
    ],
)
def test_template_length_runs_from_five_prime_end_to_five_prime_end(
    genome: Genome, first: tuple[int, int], second: tuple[int, int], length: int
):
    base = int(genome.offsets[2])
    records = pair_of(genome, (base + first[0], first[1], 2), (base + second[0], second[1], 2)).records
    assert records.template_length.tolist() == [length, -length]


def test_template_length_is_of_aligned_bases_and_of_one_contig(genome: Genome):
    base = int(genome.offsets[2])
    junk = np.resize(np.array([2, 2, 2, 0, 0], np.uint8), 12)
    first = np.concatenate([junk, genome.fetch(base + 112, base + 160)])
    second = dna.reverse_complement(genome.fetch(base + 340, base + 400))
    run = report(genome, [first, second], [(base + 100, 0, 2), (base + 340, 1, 2)], paired=True)
    assert cigar_text(run.records, 0) == "12S48M"
    assert run.records.template_length.tolist() == [288, -288]
    apart = pair_of(genome, (30, 0, 0), (base + 200, 1, 2)).records
    assert apart.template_length.tolist() == [0, 0]
    assert apart.mate_contig.tolist() == [2, 0]


def test_many_long_records_fit_their_buffers():
    """Reads full of edits outgrow the first guess of the buffers' size."""
    rng = np.random.default_rng(6)
    genome = make_genome([rng.integers(0, 4, 3000).astype(np.uint8)])
    reads, places = [], []
    for _ in range(60):
        start = int(rng.integers(0, 1400))
        read = genome.fetch(start, start + 1500)
        read[5::9] = (read[5::9] + 1) % 4
        reads.append(read)
        places.append((start, 0, 0))
    run = report(genome, reads, places, eqx=True)
    for r, read in enumerate(reads):
        check_mapped(genome, run, r, read)


def test_a_read_that_crosses_its_band_more_than_once_leaves_its_neighbours_alone():
    """It has more deletions than the band is wide. The neighbour has its gap where one too many would be written."""
    rng = np.random.default_rng(7)
    genome = make_genome([rng.integers(0, 4, 1500).astype(np.uint8)])
    bases = genome.contig(0)
    inserted = (bases[132:139] + 2) % 4
    crossing = np.concatenate([bases[0:60], bases[72:132], inserted, bases[132:192], bases[203:263]])
    neighbour = np.concatenate([bases[500:596], bases[597:601]])
    run = report(genome, [crossing, neighbour], [(8, 0, 0), (500, 0, 0)], config=AlignConfig(levels=()))
    assert [cigar_text(run.records, r) for r in range(2)] == ["60M12D60M7I60M11D60M", "96M1D4M"]
    assert run.loci.band[0, 0] == FIRST_BAND
    for r, read in enumerate((crossing, neighbour)):
        check_mapped(genome, run, r, read)


def test_an_empty_batch_has_no_records(genome: Genome):
    records = report(genome, [], []).records
    assert len(records) == 0
    assert records.cigar_offsets.tolist() == records.md_offsets.tolist() == [0]
