"""Chimeric reads, secondary alignments and insert sizes that are given or unusual: reads in, records out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pysam
import pytest
from properties import Run, by_read, check, check_pair, check_turned, query_interval
from samples import (
    Aligner,
    Collected,
    Read,
    edited,
    fastq_text,
    random_bases,
    reverse_complement,
    substituted,
    write,
)

from esa.align.config import SplitConfig
from esa.align.inserts import ASSUMED, FF, FR, RF, InsertSizes
from esa.index.presets import PRESETS
from esa.io.fastq import ReadSource
from esa.run.pipeline import AlignOptions, AlignSummary, align

LEAST_PART = 35
Piece = tuple[str, int, int, bool]
"""Contig, interval (0-based, half-open), whether it is read backwards."""


def a_genome() -> dict[str, str]:
    rng = np.random.default_rng(61)
    first, second = random_bases(rng, 30_000), random_bases(rng, 12_000)
    # Copies of one stretch: a read in it has three places, the last a poorer one.
    copy = first[20_000:20_400]
    third = random_bases(rng, 900) + copy + random_bases(rng, 700) + substituted(rng, copy, 0.03)
    return {"a": first, "b": second + random_bases(rng, 50), "c": third + random_bases(rng, 300)}


GENOME = a_genome()


def piece_bases(piece: Piece) -> str:
    contig, start, end, backwards = piece
    bases = GENOME[contig][start:end]
    return reverse_complement(bases) if backwards else bases


def random_piece(rng: np.random.Generator, size: int) -> Piece:
    """From the parts of the genome that are there but once."""
    contig = "ab"[int(rng.integers(2))]
    start = int(rng.integers(0, (19_000 if contig == "a" else 11_000) - size))
    return contig, start, start + size, bool(rng.integers(2))


def chimeras(seed: int, count: int, parts: int = 2) -> tuple[list[Read], list[list[Piece]]]:
    rng = np.random.default_rng(seed)
    reads, truths = [], []
    for i in range(count):
        pieces = [random_piece(rng, int(rng.integers(LEAST_PART + 15, 120))) for _ in range(parts)]
        reads.append((f"chimera{i}", "".join(map(piece_bases, pieces))))
        truths.append(pieces)
    return reads, truths


@pytest.fixture(scope="module")
def aligner(tmp_path_factory: pytest.TempPathFactory) -> Aligner:
    return Aligner.of(tmp_path_factory.mktemp("anchored"), GENOME)


def lies_on(record: pysam.AlignedSegment, piece: Piece) -> bool:
    contig, start, end, backwards = piece
    if (record.reference_name, record.is_reverse) != (contig, backwards):
        return False
    # A base or two more where the other piece happens to go on alike.
    return abs(record.reference_start - start) <= 8 and abs((record.reference_end or 0) - end) <= 8


# --- supplementary records


@pytest.mark.parametrize("parts", [2, 3])
def test_the_parts_of_a_chimeric_read_are_found(aligner: Aligner, parts: int) -> None:
    reads, truths = chimeras(parts, 40, parts)
    runs = by_read(aligner.align(reads))
    assert len(runs) == len(reads)
    for run, pieces in zip(runs, truths, strict=True):
        assert [x.is_supplementary for x in run] == [False] + [True] * (parts - 1)
        for piece in pieces:
            assert sum(lies_on(x, piece) for x in run) == 1
        assert min(x.mapping_quality for x in run) >= 40
        # The heaviest part is the primary one.
        assert run[0].get_tag("AS") == max(x.get_tag("AS") for x in run)


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "anchored"])
def test_dense_presets_split_reads_too(preset: str, tmp_path: Path) -> None:
    reads, truths = chimeras(3, 12)
    found = 0
    for run, pieces in zip(by_read(Aligner.of(tmp_path, GENOME, preset).align(reads)), truths, strict=True):
        found += all(any(lies_on(x, piece) for x in run) for piece in pieces)
    assert found >= 8


@pytest.mark.parametrize("soft_clips", [False, True])
def test_properties_of_split_reads(aligner: Aligner, soft_clips: bool) -> None:
    rng = np.random.default_rng(5)
    reads = [(name, edited(rng, bases, 0.02)) for name, bases in chimeras(6, 60, 3)[0]]
    split = 0
    for read, run in zip(reads, by_read(aligner.align(reads, soft_clips=soft_clips)), strict=True):
        check(run, read, GENOME, soft_clips)
        split += len(run) > 1
    assert split > 50


def test_ordinary_reads_stay_whole(aligner: Aligner) -> None:
    rng = np.random.default_rng(7)
    reads = []
    for i in range(150):
        bases = piece_bases(random_piece(rng, int(rng.integers(60, 200))))
        bases = edited(rng, bases, 0.03)
        # Some with an end that belongs nowhere.
        reads.append((f"r{i}", bases + random_bases(rng, int(rng.choice([0, 0, 15, 50])))))
    records = aligner.align(reads)
    assert len(records) == len(reads)
    assert not any(x.has_tag("SA") for x in records)


def test_a_deletion_longer_than_the_band_splits_a_read(aligner: Aligner) -> None:
    bases = GENOME["a"]
    for gap in (60, 90, 400):
        read = bases[2000:2080] + bases[2080 + gap : 2160 + gap]
        primary, other = aligner.align([("deletion", read)])
        assert other.is_supplementary
        left, right = sorted((primary, other), key=lambda x: x.reference_start)
        assert left.reference_start == 2000
        assert right.reference_end == 2160 + gap
        assert 2070 + gap <= right.reference_start <= 2090 + gap
    # Within the band it is one alignment.
    assert len(aligner.align([("deletion", bases[2000:2080] + bases[2120:2200])])) == 1


def test_a_part_in_a_repeat_has_no_quality_and_costs_the_other_none(aligner: Aligner) -> None:
    unique, repeat = GENOME["a"][5000:5080], GENOME["a"][20_050:20_140]
    alone = aligner.align([("one", unique)])[0]
    for read in (unique + repeat, repeat + unique, reverse_complement(repeat) + unique):
        run = aligner.align([("one", read)])
        assert len(run) == 2
        in_repeat = next(x for x in run if query_interval(x)[1] - query_interval(x)[0] > 85)
        other = next(x for x in run if x is not in_repeat)
        assert (other.reference_name, other.reference_start // 10) == ("a", 500)
        assert other.mapping_quality == alone.mapping_quality == 60
        assert not other.has_tag("XS")
        assert in_repeat.mapping_quality <= 3
        assert in_repeat.get_tag("XS") == in_repeat.get_tag("AS")


def test_splitting_can_be_switched_off(aligner: Aligner) -> None:
    reads, _ = chimeras(8, 10)
    config = aligner.config._replace(split=SplitConfig(max_segments=1))
    assert [x.is_supplementary for x in aligner.align(reads, config=config)] == [False] * 10


def chimeric_pairs(count: int) -> tuple[list[Read], list[Read]]:
    """The fragment begins in one place and ends in another; the break lies in the first end or the second one."""
    rng = np.random.default_rng(9)
    first, second = [], []
    for i in range(count):
        left, right = random_piece(rng, 400), random_piece(rng, 400)
        at = int(rng.integers(50, 100))
        template = piece_bases(left)[-at:] + piece_bases(right)[:300]
        ends = [(f"p{i}", template[:150]), (f"p{i}", reverse_complement(template)[:150])]
        # Ordinary pairs among them.
        if i % 3 == 0:
            whole = piece_bases(random_piece(rng, 350 + int(rng.integers(-20, 20))))
            ends = [(f"p{i}", whole[:150]), (f"p{i}", reverse_complement(whole)[:150])]
        if i % 2:
            ends.reverse()
        first.append(ends[0])
        second.append(ends[1])
    return first, second


@pytest.fixture(scope="module")
def paired(aligner: Aligner) -> list[Run]:
    """Records of the chimeric pairs, by read, with secondary ones."""
    config = aligner.config.reporting(4, everything=False)
    return by_read(aligner.align(*chimeric_pairs(90), config=config))


def test_other_records_of_a_pair_say_of_the_mate_what_its_primary_says(
    paired: list[Run],
) -> None:
    seen: Counter[str] = Counter()
    for first, second in zip(paired[::2], paired[1::2], strict=True):
        check_pair(first, second)
        for x in first + second:
            seen["supplementary"] += x.is_supplementary
            seen["other contig"] += x.is_supplementary and x.reference_id != x.next_reference_id
    assert seen["supplementary"] > 50
    assert seen["other contig"] > 5


def test_a_chimeric_read_s_primary_pairs_with_its_mate_where_parts_are_alike(aligner: Aligner) -> None:
    bases = GENOME["a"]
    here, elsewhere = bases[1000:1080], GENOME["b"][4000:4082]
    mate = reverse_complement(bases[1200:1350])
    config = aligner.config._replace()
    inserts = InsertSizes(FR, 100, 600, 350.0, 50.0, 0)
    run = by_read(aligner.align([("p", elsewhere + here)], [("p", mate)], config=config, inserts=inserts))
    primary, part = run[0]
    # The other part is two bases longer, but lies improperly.
    assert (primary.reference_name, primary.is_proper_pair) == ("a", True)
    assert (part.reference_name, part.is_supplementary) == ("b", True)


# --- what must not matter


def test_threads_and_batches_do_not_matter(aligner: Aligner) -> None:
    first, second = chimeric_pairs(120)
    config = aligner.config.reporting(3, everything=True)
    whole = aligner.sam(first, second, config=config)
    assert whole.count("SA:Z:") > 100
    for threads, batch_size in ((1, 7), (3, 30), (2, 1000)):
        assert aligner.sam(first, second, config=config, threads=threads, batch_size=batch_size) == whole


@pytest.mark.parametrize("parts", [2, 7], ids=["all reported", "more than are reported"])
def test_the_strand_that_was_read_does_not_matter(parts: int, aligner: Aligner) -> None:
    rng = np.random.default_rng(10)
    reads = [(name, edited(rng, bases, 0.02)) for name, bases in chimeras(11, 120 // parts, parts)[0]]
    turned = [(name, reverse_complement(bases)) for name, bases in reads]

    for run, other in zip(by_read(aligner.align(reads)), by_read(aligner.align(turned)), strict=True):
        check_turned(run, other)


# --- secondary alignments


def copies_read() -> Read:
    return "copies", GENOME["a"][20_100:20_250]


def test_alignments_of_a_read_in_a_repeat(aligner: Aligner) -> None:
    kinds = {}
    for alignments, everything in ((1, False), (2, False), (9, False), (None, True), (2, True)):
        config = aligner.config.reporting(alignments, everything)
        run = aligner.align([copies_read()], config=config)
        assert not run[0].is_secondary
        assert all(x.is_secondary and x.mapping_quality == 0 for x in run[1:])
        assert all((x.query_sequence, x.query_qualities) == (None, None) for x in run[1:])
        assert len({(x.reference_name, x.reference_start) for x in run}) == len(run)
        assert not any(x.has_tag("SA") or x.has_tag("XA") for x in run)
        kinds[alignments, everything] = len(run)
    assert kinds == {(1, False): 1, (2, False): 2, (9, False): 3, (None, True): 3, (2, True): 2}


def test_more_alignments_than_are_held_by_default_can_be_had(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    unit = random_bases(rng, 300)
    many = Aligner.of(tmp_path, {"many": "".join(unit + random_bases(rng, 200) for _ in range(90))})
    read = [("r", unit[50:200])]
    held = many.config.max_loci
    assert len(many.align(read, config=many.config.reporting(None, everything=True))) == held
    run = many.align(read, config=many.config.reporting(80, everything=False))
    assert len({x.reference_start for x in run}) == len(run) == 80


def test_poor_alignments_are_reported_on_demand_only(aligner: Aligner) -> None:
    # Half of the read lies in the repeat.
    read = [("half", GENOME["a"][19_900:20_080])]
    assert len(aligner.align(read, config=aligner.config.reporting(9, everything=False))) == 1
    run = aligner.align(read, config=aligner.config.reporting(None, everything=True))
    assert [x.is_secondary for x in run] == [False, True, True]
    assert run[0].mapping_quality >= 40


def test_unmapped_reads_have_one_record(aligner: Aligner) -> None:
    rng = np.random.default_rng(13)
    reads = [("random", random_bases(rng, 150)), ("empty", ""), copies_read()]
    for config in (aligner.config.reporting(None, everything=True), aligner.config.with_xa()):
        records = aligner.align(reads, config=config, xa=config.secondary.all_or_none)
        assert [x.flag for x in records[:2]] == [4, 4]
        assert not any(x.has_tag("XA") for x in records[:2])


def test_xa_lists_what_k_reports(aligner: Aligner) -> None:
    reads = [
        copies_read(),
        ("unique", GENOME["b"][500:650]),
        ("split", GENOME["b"][100:180] + copies_read()[1]),
    ]
    runs = by_read(aligner.align(reads, config=aligner.config.reporting(9, everything=False)))
    tagged = by_read(aligner.align(reads, config=aligner.config.with_xa(), xa=True))
    for run, records in zip(runs, tagged, strict=True):
        assert not any(x.is_secondary for x in records)
        listed = ["".join(f"{place};" for place in str(x.get_tag("XA")).split(";")[:-1]) if x.has_tag("XA") else ""
                  for x in records]  # fmt: skip
        expected: list[str] = []
        for x in run:
            if not x.is_secondary:
                expected.append("")
                continue
            strand = "-" if x.is_reverse else "+"
            cigar = str(x.cigarstring).replace("H", "S")
            expected[-1] += f"{x.reference_name},{strand}{x.reference_start + 1},{cigar},{x.get_tag('NM')};"
        assert listed == expected
    assert [sum(x.has_tag("XA") for x in records) for records in tagged] == [1, 0, 1]


# --- insert sizes


def library(
    orientation: int, size: int, count: int, random_share: float = 0.0
) -> tuple[list[Read], list[Read]]:
    rng = np.random.default_rng(14)
    first, second = [], []
    for i in range(count):
        start, insert = int(rng.integers(0, 17_000)), int(rng.normal(size, size / 20))
        template = GENOME["a"][start : start + insert]
        # FR: inwards; RF: each end turned outwards; FF: both as they lie.
        left, right = template[:100], template[-100:]
        if orientation == RF:
            ends = [reverse_complement(left), right]
        else:
            ends = [left, reverse_complement(right) if orientation == FR else right]
        if orientation != FF and rng.random() < 0.5:
            ends.reverse()
        if rng.random() < random_share:
            ends[1] = piece_bases(random_piece(rng, 100))
        first.append((f"p{i}", ends[0]))
        second.append((f"p{i}", ends[1]))
    return first, second


def summary(
    aligner: Aligner, pairs: tuple[list[Read], list[Read]], inserts: InsertSizes | None = None
) -> AlignSummary:
    files = [write(aligner.folder / f"l{i}.fq", fastq_text(reads)) for i, reads in enumerate(pairs)]
    with ReadSource(*files) as source:
        options = AlignOptions(1, "esa", "0", inserts=inserts)
        return align(aligner.index, source, Collected(), aligner.config, options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("orientation", "size"), [(FR, 400), (RF, 2000), (FF, 600)])
@pytest.mark.parametrize("random_share", [0.0, 0.3])
def test_libraries_of_other_orientation_and_with_random_pairs(
    aligner: Aligner, orientation: int, size: int, random_share: float
) -> None:
    count = 300
    found = summary(aligner, library(orientation, size, count, random_share))
    assert found.inserts is not None
    assert found.inserts.orientation == orientation
    # RF is measured from 5' end to 5' end, which are the inner ones.
    inner = size - 200 if orientation == RF else size - 100 if orientation == FF else size
    assert found.inserts.mean == pytest.approx(inner, rel=0.03)
    assert found.inserts.deviation == pytest.approx(size / 20, rel=0.3)
    assert found.mapped == 2 * count
    assert 0.95 * (1 - random_share) < found.proper / count < 1.02 - 0.9 * random_share


@pytest.mark.parametrize("count", [0, 1, 19])
def test_tiny_libraries_are_assumed_to_be_ordinary(aligner: Aligner, count: int) -> None:
    found = summary(aligner, library(FR, 400, count))
    assert found.inserts == ASSUMED
    assert found.proper == count


def test_given_insert_sizes_hold_from_the_first_pair_on(aligner: Aligner) -> None:
    given = InsertSizes(FR, 900, 1100, 1000.0, 25.0, 0)
    ordinary = summary(aligner, library(FR, 400, 100), given)
    assert ordinary.inserts == given
    assert ordinary.proper == 0
    assert ordinary.mapped == 200
    assert summary(aligner, library(FR, 1000, 100), given).proper > 90
