"""Variants compared allele by allele, and how reads lie at a place."""

from __future__ import annotations

from pathlib import Path

import pysam
import pytest

TRUTH = [
    "10\tA\tC\t50\t0|1",
    "20\tG\tGT\t50\t1|1",
    "30\tAC\tGT\t50\t0|1",
    "40\tT\tG\t.\t1|0",
    "50\tC\tA\t50\t0|0",
]
CALLS = [
    "10\ta\tC\t30\t1/1",
    "20\tG\tGT\t90\t1/1",
    "20\tG\tGTT\t90\t0/1",
    "45\tT\tG\t15\t0/1",
    "40\tT\tA\t80\t0/1",
]


def test_alleles_are_right_false_or_missed() -> None:
    from scripts.benchmarks.variants.calls import Variant, match, parse_calls

    truth, calls = parse_calls(TRUTH), parse_calls(CALLS)
    snps = match(truth, calls, "SNP", 0, False)
    assert snps.right == 1
    assert snps.false == (Variant(40, "T", "A"), Variant(45, "T", "G"))
    assert snps.missed == (Variant(40, "T", "G"),)
    assert (snps.precision, snps.recall, snps.f1) == (pytest.approx(1 / 3), 0.5, pytest.approx(0.4))
    indels = match(truth, calls, "indel", 0, False)
    assert (indels.right, indels.false, indels.missed) == (1, (Variant(20, "G", "GTT"),), ())


def test_a_wrong_genotype_is_false_and_missed() -> None:
    from scripts.benchmarks.variants.calls import Variant, match, parse_calls

    found = match(parse_calls(TRUTH), parse_calls(CALLS), "SNP", 20, True)
    assert found.right == 0
    assert Variant(10, "A", "C") in found.false
    assert Variant(10, "A", "C") in found.missed
    assert Variant(45, "T", "G") not in found.false


def test_an_allele_in_two_lines_has_both_dosages() -> None:
    from scripts.benchmarks.variants.calls import Call, Variant, parse_calls

    assert parse_calls(["5\tA\tC\t10\t1|0", "5\tA\tC\t20\t0|1"]) == {Variant(5, "A", "C"): Call(2, 20.0)}


def test_the_best_threshold_takes_all_calls_of_one_quality() -> None:
    from scripts.benchmarks.variants.calls import best_threshold, parse_calls

    truth = parse_calls([f"{i}\tA\tC\t50\t0|1" for i in range(1, 5)])
    calls = parse_calls(
        ["1\tA\tC\t90\t0/1", "2\tA\tC\t80\t0/1", "3\tA\tC\t70\t0/1", "7\tA\tC\t70\t0/1", "8\tA\tC\t60\t0/1"]
    )
    # At 70: 3 right of 4, F1 .75; at 80: 2 of 2, F1 .67.
    assert best_threshold(truth, calls, "SNP", False) == 70
    assert best_threshold(truth, parse_calls([]), "SNP", False) == 0


RECORDS = """@SQ\tSN:20\tLN:1000
a\t0\t20\t101\t60\t20M\t*\t0\t0\tAAAAAAAAAACAAAAAAAAA\t*
b\t0\t20\t101\t0\t11M2D9M\t*\t0\t0\tAAAAAAAAAAAAAAAAAAAA\t*
c\t0\t20\t101\t60\t15M5S\t*\t0\t0\tAAAAAAAAAAAAAAAAAAAA\t*
d\t256\t20\t101\t60\t20M\t*\t0\t0\tAAAAAAAAAACAAAAAAAAA\t*
e\t0\t20\t101\t60\t11M1I8M\t*\t0\t0\tAAAAAAAAAAAAAAAAAAAA\t*
"""


@pytest.mark.parametrize(
    ("allele", "supporting"), [(("A", "C"), 1), (("AAA", "A"), 1), (("A", "AA"), 1), (("AA", "A"), 0)]
)
def test_a_pile_counts_what_lies_at_the_place(
    tmp_path: Path, allele: tuple[str, str], supporting: int
) -> None:
    from scripts.benchmarks.variants.calls import Pile, Variant, pile

    (tmp_path / "x.sam").write_text(RECORDS)
    bam = str(tmp_path / "x.bam")
    pysam.sort("-o", bam, str(tmp_path / "x.sam"))
    pysam.index(bam)
    with pysam.AlignmentFile(bam) as records:
        found = pile(records, "20", Variant(111, *allele))
    assert found == Pile(depth=4, unsure=1, clipped=1, gapped=2, supporting=supporting)


def test_the_cause_is_what_differs_most() -> None:
    from scripts.benchmarks.variants.calls import Pile, cause

    peer = Pile(30, 0, 1, 12, 12)
    assert cause(Pile(30, 0, 2, 5, 3), peer) == "gap placement"
    assert cause(Pile(30, 20, 1, 12, 12), peer) == "MAPQ"
    assert cause(Pile(30, 0, 15, 12, 11), peer) == "clip"
    assert cause(Pile(30, 25, 1, 12, 12), Pile(30, 26, 1, 12, 12)) == "repeat"
    assert cause(peer, peer) == "caller"
    assert cause(Pile(0, 0, 0, 0, 0), peer) == "depth"


def test_regions_are_cut_without_gap_or_overlap() -> None:
    from scripts.benchmarks.variants.__main__ import Region, parse_region, parts_of
    from scripts.common.programs import BenchError

    region = parse_region("20:11-1,000", {"20": 2000})
    assert region == Region("20", 11, 1000)
    parts = parts_of(region, 3)
    assert [p.first for p in parts[1:]] == [p.last + 1 for p in parts[:-1]]
    assert (parts[0].first, parts[-1].last) == (11, 1000)
    assert parse_region("20", {"20": 2000}).length == 2000
    for wrong in ("21", "20:5", "20:9-5", "20:1-2001"):
        with pytest.raises(BenchError):
            parse_region(wrong, {"20": 2000})
