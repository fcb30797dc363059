"""Lifting reads from one species' blocks to another's through a MAF, and the score of a true locus."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pysam
import pytest

M, I, D, S = pysam.CMATCH, pysam.CINS, pysam.CDEL, pysam.CSOFT_CLIP  # noqa: E741

BLOCKS = """##maf version=1
a
s Hsap.22 99 8 + 1000 AC--GTACgt
s Ptro.22 7 8 - 900 ACTTGT--GT

a
s Hsap.22 200 3 + 1000 AAA
s Ggor.22 1 3 + 900 AAA
"""


def test_pairs_of_bases_skip_the_gaps_of_both_rows() -> None:
    from scripts.benchmarks.real.primates import UNPAIRED, pairing

    pairs = pairing("ACTTGT--GT", "AC--GTACgt")
    assert pairs.tolist() == [0, 1, UNPAIRED, UNPAIRED, 2, 3, 6, 7]


def test_rows_of_unequal_length_are_refused() -> None:
    from scripts.benchmarks.real.primates import pairing
    from scripts.common.programs import BenchError

    with pytest.raises(BenchError, match="differ in length"):
        pairing("ACG", "ACGT")


def test_blocks_are_named_as_in_the_fasta_and_only_those_of_the_species_are_kept(tmp_path: Path) -> None:
    from scripts.benchmarks.real.primates import SPECIES, read_pairings

    path = tmp_path / "blocks.maf.xz"
    path.write_bytes(lzma.compress(BLOCKS.encode()))
    found = read_pairings(path, SPECIES)
    assert {name: list(blocks) for name, blocks in found.items()} == {
        "chimp": ["chr22_100_107"],
        "orangutan": [],
    }


def test_an_origin_is_read_from_a_name_for_each_end_and_strand() -> None:
    from scripts.benchmarks.real.primates import Origin, fragment_number, origin

    name = "chr22_100_900_Ppyg_12_345_0_1_0_0_0:0:0_1:0:0_1f"
    assert origin(name, 0) == Origin("chr22_100_900", 11, False)
    assert origin(name, 1) == Origin("chr22_100_900", 344, True)
    assert fragment_number(name) == 31


@pytest.mark.parametrize(
    ("cigar", "position", "joined"),
    [
        ([(M, 6)], 20, True),
        ([(M, 6)], 21, False),
        # Shifted by a base before the insertion, right behind it.
        ([(M, 3), (I, 1), (M, 2)], 21, True),
        ([(M, 3), (D, 1), (M, 2)], 20, True),
        # The clipped bases alone would be right.
        ([(S, 3), (M, 3)], 24, False),
        ([(S, 3), (M, 3)], 23, True),
    ],
)
def test_one_base_on_its_pair_makes_an_alignment_right(
    cigar: list[tuple[int, int]], position: int, joined: bool
) -> None:
    from scripts.benchmarks.real.primates import aligned_to_its_pair

    pairs = np.array([20, 21, 22, 23, 24, 25], np.int32)
    assert aligned_to_its_pair(cigar, position, pairs) == joined


def test_unpaired_bases_join_nothing() -> None:
    from scripts.benchmarks.real.primates import UNPAIRED, aligned_to_its_pair

    assert not aligned_to_its_pair([(M, 3)], 0, np.full(3, UNPAIRED, np.int32))


def sam_of(path: Path, records: list[tuple[str, int, str, int, str]]) -> Path:
    lines = ["@SQ\tSN:chr22_100_900\tLN:801", "@SQ\tSN:chr22_1_50\tLN:50"]
    for name, flag, contig, position, cigar in records:
        lines.append(f"{name}\t{flag}\t{contig}\t{position}\t60\t{cigar}\t*\t0\t0\t{'A' * 10}\t*")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_judging_asks_for_block_strand_and_place_of_the_primary_record(tmp_path: Path) -> None:
    from scripts.benchmarks.real.primates import UNPAIRED, judge

    # Bases 0-99 of the block are paired 5 further on; from 100 there is nothing.
    pairs = np.concatenate((np.arange(5, 105), np.full(100, UNPAIRED))).astype(np.int32)
    tail = "_0_0_0_0:0:0_0:0:0_"
    name = "chr22_100_900_Ppyg_11_0_{}" + tail
    records = [
        (name.format(0) + "0", 0, "chr22_100_900", 16, "10M"),
        (name.format(0) + "1", 16, "chr22_100_900", 16, "10M"),
        (name.format(0) + "2", 0, "chr22_1_50", 16, "10M"),
        (name.format(0) + "3", 0, "chr22_100_900", 18, "10M"),
        (name.format(0) + "3", 2048, "chr22_100_900", 16, "10M"),
        (name.format(1) + "4", 16, "chr22_100_900", 16, "10M"),
        (name.format(0) + "5", 4, "*", 0, "*"),
        ("chr22_100_900_Ppyg_151_0_0" + tail + "6", 0, "chr22_100_900", 16, "10M"),
    ]
    judged = judge(sam_of(tmp_path / "x.sam", records), {"chr22_100_900": pairs}, 7, 1)
    assert judged.right[:, 0].tolist() == [True, False, False, False, True, False, False]
    assert judged.mapped[:, 0].tolist() == [True] * 5 + [False, True]
    assert judged.counts.tolist() == [True] * 6 + [False]
    assert judged.fragments().sum() == 2


def test_a_missing_primary_record_is_an_error(tmp_path: Path) -> None:
    from scripts.benchmarks.real.primates import judge
    from scripts.common.programs import BenchError

    name = "chr22_100_900_Ppyg_11_0_0_0_0_0_0:0:0_0:0:0_0"
    path = sam_of(tmp_path / "x.sam", [(name, 0, "chr22_100_900", 16, "10M")])
    with pytest.raises(BenchError, match="1 primary records are missing"):
        judge(path, {"chr22_100_900": np.arange(200, dtype=np.int32)}, 2, 1)


@pytest.mark.parametrize(
    ("read", "total", "plain"),
    [
        ("ACGTACGGTTCAGCTTAGCA", 30, 20),
        # A mismatch at the very end is kept for the bonus of 5, two are not: -8 + 5 < 0.
        ("ACGTACGGTTCAGCTTAGCC", 25, 15),
        ("ACGTACGGTTCAGCTTAGTC", 23, 18),
        # Two bases missing: 18 matches - 8.
        ("ACGTACGGTAGCTTAGCA"[:18], 20, 10),
        ("N" * 20, 5, 0),
    ],
)
def test_the_score_of_a_locus_is_that_of_bwa(read: str, total: int, plain: int) -> None:
    from esa.sequence import dna
    from scripts.benchmarks.real.primates_why import locus_score

    reference = "GG" + "ACGTACGGTTCAGCTTAGCA" + "CC"
    found = locus_score(dna.encode(read.encode()), dna.encode(reference.encode()))
    assert (int(found[0]), int(found[1])) == (total, plain)
