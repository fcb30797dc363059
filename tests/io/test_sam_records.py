"""`SamFormatter` against a slow, obvious formatter of one record at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pysam
import pytest
from record_cases import (
    CONTIGS,
    GENOME,
    GROUP,
    Alignment,
    Read,
    make_batch,
    make_records,
    merged,
    random_case,
)

from esa.errors import ReadsError
from esa.io.records import NONE
from esa.io.sam import SamFormatter
from esa.io.sam_header import ReadGroup, header

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def cigar_text(cigar: list[tuple[int, str]], eqx: bool) -> str:
    return "".join(f"{length}{letter}" for length, letter in (cigar if eqx else merged(cigar))) or "*"


def oracle_line(
    i: int, reads: list[Read], alignments: list[Alignment], group: ReadGroup | None, eqx: bool
) -> str:
    """The slow, obvious formatter."""
    a = alignments[i]
    read = reads[a.read]
    mapped = not a.flag & 4
    sequence, quality = read.sequence, read.quality or ""
    if mapped and a.flag & 16:
        sequence, quality = sequence.translate(COMPLEMENT)[::-1], quality[::-1]
    if a.cigar and a.cigar[-1][1] == "H":
        sequence, quality = sequence[: -a.cigar[-1][0]], quality[: -a.cigar[-1][0]]
    if a.cigar and a.cigar[0][1] == "H":
        sequence, quality = sequence[a.cigar[0][0] :], quality[a.cigar[0][0] :]
    if a.flag & 0x100:
        sequence = quality = ""
    contig = CONTIGS[a.contig] if a.contig >= 0 else "*"
    mate_contig = CONTIGS[a.mate_contig] if a.mate_contig >= 0 else "*"
    if mate_contig == contig != "*":
        mate_contig = "="
    line = [
        read.name or "*",
        a.flag,
        contig,
        a.position + 1,
        a.mapq if mapped else 0,
        cigar_text(a.cigar, eqx),
    ]
    line += [mate_contig, a.mate_position + 1, a.template_length, sequence or "*", quality or "*"]
    if mapped:
        line += [f"NM:i:{a.nm}", f"MD:Z:{a.md}"]
    if a.mate != NONE and not alignments[a.mate].flag & 4:
        mate = alignments[a.mate]
        line += [f"MC:Z:{cigar_text(mate.cigar, eqx)}", f"MQ:i:{mate.mapq}"]
    if mapped:
        line += [f"AS:i:{a.score}"] + [f"XS:i:{a.second}"] * (a.second != NONE)
    line += [f"RG:Z:{group.id}"] if group else []
    others = [b for b in alignments if b.read == a.read and b is not a and not b.flag & 0x104]
    if others and not a.flag & 0x104:
        line.append("SA:Z:" + "".join(other_part(b, eqx) for b in others))
    return "\t".join(map(str, line)) + "\n"


def other_part(b: Alignment, eqx: bool) -> str:
    strand = "-" if b.flag & 16 else "+"
    cigar = cigar_text(b.cigar, eqx).replace("H", "S")
    return f"{CONTIGS[b.contig]},{b.position + 1},{strand},{cigar},{b.mapq},{b.nm};"


def formatted(
    reads: list[Read],
    alignments: list[Alignment],
    *,
    group: ReadGroup | None = None,
    eqx: bool = False,
    xa: bool = False,
) -> str:
    formatter = SamFormatter(GENOME, read_group=group, xa=xa)
    batch = make_batch(reads, any(a.flag & 1 for a in alignments))
    return formatter.format(batch, make_records(alignments, eqx)).tobytes().decode()


@pytest.mark.parametrize("eqx", [False, True])
@pytest.mark.parametrize("group", [None, GROUP])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_equals_the_oracle(seed: int, paired: bool, group: ReadGroup | None, eqx: bool) -> None:
    reads, alignments = random_case(seed, paired)
    lines = formatted(reads, alignments, group=group, eqx=eqx).splitlines(keepends=True)
    assert lines == [oracle_line(i, reads, alignments, group, eqx) for i in range(len(alignments))]


def test_random_cases_hold_every_kind() -> None:
    cases = [random_case(seed, True) for seed in range(15)]
    alignments = [a for _, case in cases for a in case]
    letters = {letter for a in alignments for _, letter in a.cigar}
    assert letters == set("=XIDSH")
    for flags in (16, 4, 4 | 8, 8, 32, 0x100, 0x800, 0x800 | 16):
        assert any(a.flag & flags == flags for a in alignments), flags
    assert any("^" in a.md and "0^" in a.md for a in alignments)


@pytest.mark.parametrize("eqx", [False, True])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_secondary_records_become_the_xa_tag_of_the_record_before_them(
    seed: int, paired: bool, eqx: bool
) -> None:
    reads, alignments = random_case(seed, paired)
    expected: list[str] = []
    for i, a in enumerate(alignments):
        if not a.flag & 0x100:
            expected.append(oracle_line(i, reads, alignments, GROUP, eqx).rstrip("\n"))
            continue
        follows = alignments[i - 1].flag & 0x100
        cigar = cigar_text([(n, "S" if x == "H" else x) for n, x in a.cigar], eqx)
        place = f"{'-' if a.flag & 16 else '+'}{a.position + 1}"
        expected[-1] += "" if follows else "\tXA:Z:"
        expected[-1] += f"{CONTIGS[a.contig]},{place},{cigar},{a.nm};"
    assert formatted(reads, alignments, group=GROUP, eqx=eqx, xa=True).splitlines() == expected


@pytest.mark.parametrize("paired", [False, True])
def test_htslib_reads_the_same_back(tmp_path: Path, paired: bool) -> None:
    reads, alignments = random_case(99, paired, n=200)
    text = formatted(reads, alignments, group=GROUP)
    path = tmp_path / "x.sam"
    head = header(GENOME, read_group=GROUP, command_line="esa align", version="1")
    path.write_bytes(head + text.encode())
    with pysam.AlignmentFile(str(path)) as file:
        assert [f"{record.to_string()}\n" for record in file] == text.splitlines(keepends=True)


def one(read: Read, **fields: object) -> list[str]:
    """Fields of the line of a mapped record on its own."""
    base = Alignment(0, 0, 0, 9, 60, [(len(read.sequence), "=")], score=5, md=str(len(read.sequence)))
    return formatted([read], [replace(base, **fields)]).rstrip("\n").split("\t")  # type: ignore[arg-type]


def test_golden_lines() -> None:
    read = Read("q", "ACGTN", "ABCDE")
    assert " ".join(one(read)) == "q 0 chr1 10 60 5M * 0 0 ACGTN ABCDE NM:i:0 MD:Z:5 AS:i:5"
    assert one(read, flag=16)[9:11] == ["NACGT", "EDCBA"]
    assert one(read, second=3)[-1] == "XS:i:3"
    hard = [(2, "H"), (2, "="), (1, "H")]
    assert one(read, flag=0x800, cigar=hard)[9:11] == ["GT", "CD"]
    assert one(read, flag=0x810, cigar=hard)[9:11] == ["CG", "CB"]
    assert one(read, flag=0x100)[9:11] == ["*", "*"]
    assert one(Read("q", "ACGTN", None))[9:11] == ["ACGTN", "*"]
    assert one(read, flag=4 | 16, cigar=[])[9:11] == ["ACGTN", "ABCDE"], "an unmapped read is not reversed"
    unmapped = ["*", "4", "*", "0", "0", "*", "*", "0", "0", "*", "*"]
    assert one(Read("", "", ""), flag=4, contig=NONE, position=NONE, cigar=[], md="") == unmapped


def test_longest_integers_fit() -> None:
    largest = 2**31 - 1
    fields = one(
        Read("q" * 254, "A", "I"),
        flag=0xFFFF & ~(4 | 0x100),
        contig=1,
        position=largest - 1,
        mapq=255,
        cigar=[(2**28 - 1, "S"), (1, "="), (2**28 - 1, "S")],
        mate_contig=2,
        mate_position=largest - 1,
        template_length=-largest,
        nm=largest,
        score=largest,
        second=largest,
    )
    assert [fields[k] for k in (3, 7, 8)] == [str(largest), str(largest), str(-largest)]
    assert fields[5] == "268435455S1M268435455S"
    assert fields[-2:] == [f"AS:i:{largest}", f"XS:i:{largest}"]


def test_no_records() -> None:
    batch = make_batch([], paired=False)
    assert len(SamFormatter(GENOME).format(batch, make_records([], eqx=False))) == 0


def test_negative_scores() -> None:
    assert one(Read("q", "A", "I"), score=-7)[-1] == "AS:i:-7"


def test_name_too_long() -> None:
    batch = make_batch([Read("ok", "A", "I"), Read("n" * 255, "A", "I")], paired=False)
    with pytest.raises(ReadsError, match=r"read n+\.\.\..*255 characters.*254.*shorten"):
        SamFormatter(GENOME).format(batch, make_records([Alignment(0, 4), Alignment(1, 4)], eqx=False))


def test_does_not_write_into_its_input() -> None:
    reads, alignments = random_case(3, True)
    batch, records = make_batch(reads, True), make_records(alignments, eqx=False)
    before = [np.copy(getattr(records, name)) for name in vars(records)]
    SamFormatter(GENOME).format(batch, records)
    for name, array in zip(vars(records), before, strict=True):
        assert np.array_equal(getattr(records, name), array), name
        assert getattr(records, name).flags.writeable or name == "md"
