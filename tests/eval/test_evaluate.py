"""`evaluate` against an obvious version of it that works read by read on SAM lines."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samfile import HEADER, line, write

from esa.errors import EsaError, UsageError
from esa.eval.evaluate import InputFile, evaluate, parse_inputs
from esa.eval.metrics import MAPQ_THRESHOLDS, Evaluation, FileMetrics, overlaps

DWGSIM_NAME = re.compile(r"(.*)_(\d+)_(\d+)_(.)_(.)_(.)_(.)_\d+:\d+:\d+_\d+:\d+:\d+_\w+")
LENGTH = 50


@dataclass
class Place:
    contig: str
    reverse: bool
    bases: set[int]
    mapq: int = 0
    proper: bool = False


def slow_overlap(first: Place, second: Place) -> bool:
    """Same contig and strand, and a tenth of the bases in either are in both."""
    if (first.contig, first.reverse) != (second.contig, second.reverse):
        return False
    return 10 * len(first.bases & second.bases) >= len(first.bases | second.bases)


def slow_places(path: str) -> dict[tuple[str, int], Place | None]:
    places: dict[tuple[str, int], Place | None] = {}
    for text in Path(path).read_text().splitlines():
        if text.startswith("@"):
            continue
        name, flag_text, contig, position, mapq, cigar = text.split("\t")[:6]
        flag = int(flag_text)
        if flag & 0x900:
            continue
        end = (flag >> 6) & 3 if flag & 1 else 0
        if flag & 4:
            places[name, end] = None
            continue
        start = stop = int(position) - 1
        for size, operation in re.findall(r"(\d+)(\D)", cigar):
            if operation in "MDN=X":
                stop += int(size)
        clips = re.fullmatch(r"(?:(\d+)[SH])?.*?(?:(\d+)[SH])?", cigar)
        assert clips
        bases = set(range(start - int(clips[1] or 0), stop + int(clips[2] or 0)))
        places[name, end] = Place(contig, bool(flag & 16), bases, int(mapq), bool(flag & 2))
    return places


def slow_origin(name: str, end: int) -> Place | None:
    match = DWGSIM_NAME.fullmatch(name)
    assert match
    contig, *fields = match.groups()
    position, reverse, rand = (int(field) for field in fields[1 if end == 2 else 0 :: 2])
    if rand:
        return None
    return Place(contig, bool(reverse), set(range(position - 1, position - 1 + LENGTH)))


def check_file(
    file: FileMetrics, places: dict[tuple[str, int], Place | None], reads: set[tuple[str, int]]
) -> None:
    mapped = {read: place for read in reads if (place := places.get(read)) is not None}
    origins = {read: slow_origin(*read) for read in reads}
    right = {
        read
        for read, place in mapped.items()
        if (origin := origins[read]) is not None and slow_overlap(place, origin)
    }
    assert file.missing == len(reads - places.keys())
    assert file.mapped == len(mapped)
    assert file.accuracy is not None
    assert file.accuracy.correct == len(right)
    assert file.accuracy.wrong == len(mapped) - len(right)
    assert file.accuracy.wrong_random == sum(origins[read] is None for read in mapped)
    assert file.accuracy.correct_share == pytest.approx(
        len(right) / sum(origin is not None for origin in origins.values())
    )
    for level, threshold in zip(file.by_mapq, MAPQ_THRESHOLDS, strict=True):
        kept = {read for read, place in mapped.items() if place.mapq >= threshold}
        assert (level.mapq, level.kept, level.wrong) == (threshold, len(kept), len(kept - right))
        assert level.kept_share == pytest.approx(len(kept) / len(reads))
        if kept:
            assert level.wrong_per_million == pytest.approx(1e6 * len(kept - right) / len(kept))
        else:
            assert level.wrong_per_million is None
    pairs = {read for read in reads if read[1]}
    assert file.properly_paired == sum(place.proper for read, place in mapped.items() if read in pairs)
    assert file.properly_paired_share == pytest.approx((file.properly_paired or 0) / len(pairs))


def random_name(rng: random.Random, number: int) -> str:
    if rng.random() < 0.1:
        return f"rand_0_0_0_0_1_1_0:0:0_0:0:0_{number:x}"
    strand = rng.randrange(2)
    contig = rng.choice(("chr1", "chr2"))
    return (
        f"{contig}_{rng.randrange(1, 400)}_{rng.randrange(1, 400)}_{strand}_{1 - strand}_0_0_"
        f"1:0:0_0:0:1_{number:x}"
    )


def random_lines(rng: random.Random, names: list[str]) -> list[str]:
    lines = []
    for name in names:
        for end in (1, 2):
            if rng.random() < 0.1:
                continue
            origin = slow_origin(name, end) or Place("chr1", False, {300})
            flag = 1 | (64 if end == 1 else 128) | 2 * rng.randrange(2)
            if rng.random() < 0.15:
                lines.append(line(name, flag | 4))
                continue
            reverse = origin.reverse if rng.random() < 0.85 else not origin.reverse
            contig = origin.contig if rng.random() < 0.85 else rng.choice(("chr1", "chr2"))
            cigar, shift = rng.choice(
                (("50M", 0), ("12S38M", 12), ("30M20S", 0), ("5H40M5S", 5), ("20M7D30M", 0), ("25M10I15M", 0))
            )
            position = max(1, min(origin.bases) + 1 + shift + rng.choice((0, 0, 0, 3, -40, 41, 60)))
            mapq = rng.choice((0, 1, 2, 3, 9, 10, 29, 30, 40, 60))
            lines.append(line(name, flag | 16 * reverse, contig, position, mapq, cigar))
            if rng.random() < 0.1:
                lines.append(line(name, flag | 0x800, "chr2", 77))
    rng.shuffle(lines)
    return lines


@pytest.mark.parametrize("seed", range(3))
def test_against_the_slow_version(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    names = [random_name(rng, number) for number in range(300)]
    paths = [write(tmp_path / f"{i}.sam", *random_lines(rng, names)) for i in range(3)]
    places = [slow_places(path) for path in paths]
    reads = set().union(*places)
    result = evaluate([InputFile(str(i), path) for i, path in enumerate(paths)])
    assert (result.truth, result.reads, result.paired_reads) == ("dwgsim", len(reads), len(reads))
    assert result.random_reads == sum(slow_origin(*read) is None for read in reads)
    for file, file_places in zip(result.files, places, strict=True):
        check_file(file, file_places, reads)
    assert [(pair.first, pair.second) for pair in result.agreements] == [("0", "1"), ("0", "2"), ("1", "2")]
    for pair in result.agreements:
        first, second = places[int(pair.first)], places[int(pair.second)]
        both = [(a, b) for read in reads if (a := first.get(read)) and (b := second.get(read))]
        confident = [(a, b) for a, b in both if min(a.mapq, b.mapq) >= 30]
        assert pair.both_mapped == len(both)
        assert pair.same_locus == sum(slow_overlap(a, b) for a, b in both)
        assert pair.both_confident == len(confident)
        assert pair.same_locus_confident == sum(slow_overlap(a, b) for a, b in confident)
        assert pair.same_locus_share == pytest.approx(pair.same_locus / pair.both_mapped)


@example(0, 17, 14, 16)  # 3 bases of 30
@example(0, 18, 16, 17)  # 2 of 33
@example(0, 0, 0, 0)
@given(st.integers(-50, 50), st.integers(0, 60), st.integers(-50, 50), st.integers(0, 60))
def test_overlaps(start: int, length: int, other_start: int, other_length: int) -> None:
    first = set(range(start, start + length))
    second = set(range(other_start, other_start + other_length))
    expected = bool(first & second) and 10 * len(first & second) >= len(first | second)
    arrays = (np.array([x]) for x in (start, start + length, other_start, other_start + other_length))
    assert overlaps(*arrays)[0] == expected


def one(tmp_path: Path, *lines: str, header: str = HEADER, **options: str) -> Evaluation:
    return evaluate([InputFile("a", write(tmp_path / "a.sam", *lines, header=header))], **options)


@pytest.mark.parametrize(
    ("position", "flag", "right"),
    [
        (201, 0, True),  # the fragment is [200, 400)
        (351, 16, True),
        (201, 16, False),
        (351, 0, False),
        (241, 0, True),  # 10 of 90 bases
        (242, 0, False),  # 9 of 91
        (311, 16, True),
        (310, 16, False),
    ],
)
def test_wgsim_reads_start_or_end_the_fragment_by_strand(
    tmp_path: Path, position: int, flag: int, right: bool
) -> None:
    result = one(tmp_path, line("chr1_201_400_0:0:0_0:0:0_0", flag, position=position))
    assert result.truth == "wgsim"
    accuracy = result.files[0].accuracy
    assert accuracy
    assert (accuracy.correct, accuracy.wrong) == (right, not right)


def mason_name(sequence: int, strand: str) -> str:
    return f"simulated.1;SEQUENCE={sequence};HAPLOTYPE=0;BEGIN_POS=100;CIGAR=50M;STRAND={strand};NUM_SNPS=0"


def test_mason_contigs_are_numbered_as_in_the_header(tmp_path: Path) -> None:
    result = one(tmp_path, line(mason_name(1, "R"), 16, "chr2"), line(mason_name(0, "F"), 0, "chr2"))
    assert result.truth == "mason2"
    assert result.files[0].accuracy
    assert result.files[0].accuracy.correct == 1


def test_mason_single_end_names_need_a_single_contig(tmp_path: Path) -> None:
    with pytest.raises(EsaError, match="no contig number -1"):
        one(tmp_path, line(mason_name(-1, "F")))
    result = one(tmp_path, line(mason_name(-1, "F")), header="@SQ\tSN:chr1\tLN:10000\n")
    assert result.files[0].accuracy
    assert result.files[0].accuracy.correct == 1


def test_truth_from_a_file_of_true_alignments(tmp_path: Path) -> None:
    truth = write(tmp_path / "t.sam", line("x"), line("y", 16), line("z", 4), line("of another run"))
    result = one(tmp_path, line("x", cigar="30S20M", position=131), line("y"), line("z"), truth_file=truth)
    assert (result.truth, result.reads, result.random_reads) == ("file", 3, 1)
    accuracy = result.files[0].accuracy
    assert accuracy
    assert (accuracy.correct, accuracy.wrong, accuracy.wrong_random) == (1, 2, 1)
    assert accuracy.correct_share == 0.5
    with pytest.raises(EsaError, match=r"a\.sam: read 'w' is not in .*t\.sam"):
        one(tmp_path, line("x"), line("w"), truth_file=truth)
    with pytest.raises(UsageError, match="--truth dwgsim takes no --truth-file"):
        one(tmp_path, line("x"), truth="dwgsim", truth_file=truth)


def test_unknown_names_leave_agreement_only(tmp_path: Path) -> None:
    files = [
        InputFile(name, write(tmp_path / name, line("x", position=position), line("y", 4)))
        for name, position in (("a", 100), ("b", 110))
    ]
    result = evaluate(files)
    assert (result.truth, result.random_reads) == ("none", None)
    assert all(file.accuracy is None for file in result.files)
    assert all(level.wrong is None for file in result.files for level in file.by_mapq)
    assert result.agreements[0].same_locus_share == 1.0
    assert result.files[0].properly_paired is None


def test_a_name_of_another_kind_among_simulated_ones_is_refused(tmp_path: Path) -> None:
    simulated = [line(f"chr1_101_301_0_1_0_0_0:0:0_0:0:0_{i}") for i in range(3)]
    with pytest.raises(EsaError, match=r"a\.sam: the name of read 'phix' is not one of dwgsim's; leave"):
        one(tmp_path, *simulated, line("phix"))
    with pytest.raises(EsaError, match="true alignments \\(-oa\\) by --truth-file"):
        one(tmp_path, line("simulated.1"), truth="mason2")


def test_origin_on_a_contig_that_a_file_lacks_is_refused(tmp_path: Path) -> None:
    name = "chr3_101_301_0_1_0_0_0:0:0_0:0:0_1"
    with pytest.raises(
        EsaError, match=r"a\.sam: its header has no contig 'chr3', where read 'chr3_101_.*--truth none"
    ):
        one(tmp_path, line(name))
    assert one(tmp_path, line(name), truth="none").files[0].mapped == 1
    longer = write(tmp_path / "b.sam", line(name), header=HEADER + "@SQ\tSN:chr3\tLN:1000\n")
    with pytest.raises(EsaError, match=r"a\.sam: its header has no contig 'chr3'"):
        evaluate([InputFile("b", longer), InputFile("a", write(tmp_path / "a.sam", line(name)))])


def test_files_without_a_common_read_are_refused(tmp_path: Path) -> None:
    single = write(tmp_path / "a.sam", line("x"))
    paired = write(tmp_path / "b.sam", line("x", 0x41))
    empty = write(tmp_path / "c.sam")
    with pytest.raises(EsaError, match=r"a\.sam and .*b\.sam share no read"):
        evaluate(parse_inputs([empty, single, paired]))


def test_empty_files(tmp_path: Path) -> None:
    empty = write(tmp_path / "a.sam")
    result = evaluate(parse_inputs([empty, f"b={empty}"]))
    assert result.reads == 0
    assert result.files[0].mapped_share is None
    assert result.agreements[0].same_locus_share is None
    with_one = evaluate(
        parse_inputs([empty, write(tmp_path / "b.sam", line("chr1_101_301_0_1_0_0_0:0:0_0:0:0_1"))])
    )
    assert (with_one.truth, with_one.reads, with_one.files[0].missing) == ("dwgsim", 1, 1)


def test_json_holds_everything(tmp_path: Path) -> None:
    result = one(tmp_path, line("chr1_101_301_0_1_0_0_0:0:0_0:0:0_1"))
    content = json.loads(result.to_json())
    assert content["format_version"] == 1
    assert content["rule"] == {"min_overlap": 0.1, "confident_mapq": 30}
    assert content["files"][0]["accuracy"]["correct"] == 1
    assert content["files"][0]["by_mapq"][-1] == {
        "mapq": 60,
        "kept": 1,
        "kept_share": 1.0,
        "wrong": 0,
        "wrong_per_million": 0.0,
    }


def test_names_of_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "k=1.sam")
    assert parse_inputs(["esa=x/ours.bam", "x/bwa.v2.sam", "bt2.sam.gz", "k=1.sam", "a=b=c"]) == [
        InputFile("esa", "x/ours.bam"),
        InputFile("bwa.v2", "x/bwa.v2.sam"),
        InputFile("bt2", "bt2.sam.gz"),
        InputFile("k=1", "k=1.sam"),
        InputFile("a", "b=c"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no file"),
        (["=x.sam"], "not of the form"),
        (["x="], "not of the form"),
        (["a/x.sam", "x=b.bam"], "both called 'x'"),
    ],
)
def test_inputs_that_cannot_be_right(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_inputs(arguments)
