"""`BamFormatter` against htslib: the bytes that `samtools view` makes of our SAM."""

from __future__ import annotations

import gzip
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pysam
import pytest
from record_cases import (
    GENOME,
    GROUP,
    Alignment,
    Read,
    make_batch,
    make_records,
    random_case,
)

from esa.errors import ReadsError, UsageError
from esa.io.bam import BamFormatter
from esa.io.formatter import Formatter
from esa.io.records import NONE
from esa.io.sam import SamFormatter
from esa.io.sam_header import ReadGroup

HEAD = {"command_line": "esa align 'a\tb' ü", "version": "1"}


def formatted(
    kind: type[Formatter],
    reads: list[Read],
    alignments: list[Alignment],
    *,
    group: ReadGroup | None = None,
    eqx: bool = False,
    xa: bool = False,
) -> bytes:
    """Header and records, not compressed."""
    formatter = kind(GENOME, read_group=group, xa=xa)
    batch = make_batch(reads, any(a.flag & 1 for a in alignments))
    return formatter.header(**HEAD) + formatter.format(batch, make_records(alignments, eqx)).tobytes()


def by_htslib(folder: Path, sam: bytes) -> bytes:
    """BAM of SAM text, not compressed."""
    (folder / "x.sam").write_bytes(sam)
    pysam.samtools.view("-b", "--no-PG", "-o", f"{folder}/x.bam", f"{folder}/x.sam", catch_stdout=False)
    return gzip.decompress((folder / "x.bam").read_bytes())


def check(folder: Path, reads: list[Read], alignments: list[Alignment], **options: object) -> bytes:
    """Compare header and records with htslib's; the records."""
    sam, bam = (formatted(kind, reads, alignments, **options) for kind in (SamFormatter, BamFormatter))  # type: ignore[arg-type]
    theirs = by_htslib(folder, sam)
    start = records_start(bam)
    assert bam[:start] == theirs[:start]
    ours, expected = records_of(bam[start:]), records_of(theirs[start:])
    for i, (one, other) in enumerate(zip(ours, expected, strict=True)):
        assert one == other, (i, sam.splitlines()[i - len(ours)])
    return bam[start:]


def records_start(bam: bytes) -> int:
    p = 8 + struct.unpack_from("<i", bam, 4)[0]
    contigs, p = struct.unpack_from("<i", bam, p)[0], p + 4
    for _ in range(contigs):
        p += 8 + struct.unpack_from("<i", bam, p)[0]
    return int(p)


def records_of(data: bytes) -> list[bytes]:
    records, p = [], 0
    while p < len(data):
        end = p + 4 + struct.unpack_from("<i", data, p)[0]
        records.append(data[p:end])
        p = end
    assert p == len(data)
    return records


@pytest.mark.parametrize("eqx", [False, True])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_equals_what_htslib_makes_of_our_sam(tmp_path: Path, seed: int, paired: bool, eqx: bool) -> None:
    reads, alignments = random_case(seed, paired)
    check(tmp_path, reads, alignments, group=GROUP if seed % 2 else None, eqx=eqx, xa=seed % 3 == 0)


def one(folder: Path, read: Read, **fields: object) -> pysam.AlignedSegment:
    """A mapped record on its own, as pysam reads it."""
    base = Alignment(0, 0, 0, 9, 60, [(len(read.sequence), "=")], score=5, md=str(len(read.sequence)))
    check(folder, [read], [replace(base, **fields)])  # type: ignore[arg-type]
    formatter = BamFormatter(GENOME)
    records = make_records([replace(base, **fields)], eqx=False)  # type: ignore[arg-type]
    parts = (formatter.header(**HEAD), formatter.format(make_batch([read], False), records))
    path = folder / "one.bam"
    path.write_bytes(b"".join(map(formatter.compress, parts)) + formatter.end)  # type: ignore[arg-type]
    with pysam.AlignmentFile(str(path)) as file:
        (record,) = file
    return record


@pytest.mark.parametrize("length", range(9))
@pytest.mark.parametrize("flag", [0, 16])
def test_sequences_of_every_length(tmp_path: Path, length: int, flag: int) -> None:
    read = Read("q", "NACGTTGA"[:length], "!I5?~+9A"[:length])
    cigar = [(length, "=")] if length else [(5, "D")]
    record = one(tmp_path, read, flag=flag, cigar=cigar)
    assert (record.get_forward_sequence() or "") == read.sequence
    assert one(tmp_path, replace(read, quality=None), flag=flag, cigar=cigar).query_qualities is None


def test_one_base_whose_quality_looks_like_none(tmp_path: Path) -> None:
    assert one(tmp_path, Read("q", "A", "*")).query_qualities is None
    assert list(one(tmp_path, Read("q", "AC", "**")).query_qualities) == [9, 9]


@pytest.mark.parametrize("name", ["", "q", "n" * 254])
def test_names(tmp_path: Path, name: str) -> None:
    assert one(tmp_path, Read(name, "A", "I")).query_name == (name or "*")


EDGES = [0] + [x + d for x in (255, 256, 32767, 65535, 65536, 2**31 - 1) for d in (-1, 0, 1) if x + d < 2**31]


@pytest.mark.parametrize("value", [*EDGES, *(-value for value in EDGES[1:]), 127, -127, -128, -129, -(2**31)])
def test_integers_of_every_size(tmp_path: Path, value: int) -> None:
    tags = dict(one(tmp_path, Read("q", "A", "I"), nm=value, score=value, second=max(value, NONE)).tags)
    assert (tags["NM"], tags["AS"], tags.get("XS", NONE)) == (value, value, max(value, NONE))


@pytest.mark.parametrize("shift", [14, 17, 20, 23, 26, 29])
def test_bins(tmp_path: Path, shift: int) -> None:
    for position in (2**shift + d for d in (-5, -4, -3, 0, 1)):
        assert one(tmp_path, Read("q", "ACGT", "IIII"), position=position).reference_start == position
    # Beyond what bins were made for.
    one(tmp_path, Read("q", "ACGT", "IIII"), position=1_999_999_000, cigar=[(4, "=")])
    one(tmp_path, Read("q", "ACGT", "IIII"), position=2**shift - 9, cigar=[(2, "="), (2**21, "D"), (2, "=")])


@pytest.mark.parametrize("cigar", [[(4, "S")], [(4, "I")], [(2, "H"), (1, "I"), (1, "H")]])
def test_cigars_that_cover_no_base(tmp_path: Path, cigar: list[tuple[int, str]]) -> None:
    for position in (0, 2**14 - 1, 2**14):
        one(tmp_path, Read("q", "ACGT", "IIII"), position=position, cigar=cigar)


def test_unmapped_reads(tmp_path: Path) -> None:
    read = Read("q", "ACGTN", "ABCDE")
    nowhere = {"contig": NONE, "position": NONE, "cigar": [], "md": ""}
    assert one(tmp_path, read, flag=4, **nowhere).bin == 4680
    assert one(tmp_path, read, flag=4, position=2**20, cigar=[], md="").bin == 4681 + 2**6
    assert one(tmp_path, read, flag=4 | 16, **nowhere).query_sequence == "ACGTN", "it is not reversed"
    assert one(tmp_path, read, flag=4, mapq=9, **nowhere).mapping_quality == 0
    assert one(tmp_path, Read("", "", ""), flag=4, **nowhere).query_sequence is None


def test_mates(tmp_path: Path) -> None:
    for contig, mate_contig in ((0, 0), (0, 1), (2, 0), (0, NONE)):
        mate_position = NONE if mate_contig == NONE else 299
        record = one(
            tmp_path,
            Read("q", "A", "I"),
            flag=1,
            contig=contig,
            mate_contig=mate_contig,
            mate_position=mate_position,
            template_length=-(2**31) + 1,
        )
        assert (record.next_reference_id, record.next_reference_start) == (mate_contig, mate_position)
        assert record.template_length == -(2**31) + 1


@pytest.mark.parametrize("elements", [65534, 65535, 65536, 70001])
@pytest.mark.parametrize("flag", [0, 16])
def test_cigars_too_long_for_their_field(tmp_path: Path, elements: int, flag: int) -> None:
    cigar = [(1, "=I"[k % 2]) for k in range(elements - 1)] + [(3, "S")]
    bases = elements + 2
    read = Read("q", "ACGTN" * (bases // 5) + "ACGTN"[: bases % 5], None)
    record = one(tmp_path, read, flag=flag, cigar=cigar, md=str((elements - 1) // 2))
    assert len(record.cigartuples) == elements


def test_no_records(tmp_path: Path) -> None:
    assert check(tmp_path, [], []) == b""


def test_name_too_long() -> None:
    batch = make_batch([Read("n" * 255, "A", "I")], paired=False)
    with pytest.raises(ReadsError, match=r"255 characters"):
        BamFormatter(GENOME).format(batch, make_records([Alignment(0, 4)], eqx=False))


def test_a_file_of_several_batches(tmp_path: Path) -> None:
    formatter = BamFormatter(GENOME, read_group=GROUP)
    lines, path = "", tmp_path / "x.bam"
    with path.open("wb") as file:
        file.write(formatter.compress(formatter.header(**HEAD)))
        for seed in range(3):
            reads, alignments = random_case(seed, True, n=500)
            batch, records = make_batch(reads, True), make_records(alignments, eqx=False)
            file.write(formatter.compress(formatter.format(batch, records)))
            lines += SamFormatter(GENOME, read_group=GROUP).format(batch, records).tobytes().decode()
            file.write(formatter.compress(np.zeros(0, np.uint8)))
        file.write(formatter.end)
    pysam.samtools.quickcheck(str(path))
    with pysam.AlignmentFile(str(path)) as bam:
        assert "".join(f"{record.to_string()}\n" for record in bam) == lines
        assert str(bam.header).encode() == formatter.header(**HEAD)[8:].split(struct.pack("<i", 3))[0]


@pytest.mark.parametrize("bases", [2**31 - 1, 2**31])
def test_contigs_that_bam_has_no_room_for(bases: int) -> None:
    genome = replace(GENOME, lengths=np.array([5, bases, 7]))
    formatter = BamFormatter(genome)
    if bases < 2**31:
        assert struct.pack("<i", bases) in formatter.header(**HEAD)
    else:
        with pytest.raises(UsageError, match=r"2,147,483,648 bases.*write \.sam"):
            formatter.header(**HEAD)


GUARD = 64


@pytest.mark.parametrize("kind", [SamFormatter, BamFormatter])
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("options", [{}, {"eqx": True}, {"xa": True, "group": GROUP}])
def test_nothing_is_written_beyond_the_room_that_was_asked_for(
    kind: type[Formatter], paired: bool, options: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, fullest = kind._write, 0.0

    def guarded(self: Formatter, reads: object, table: object, out: np.ndarray) -> int:
        nonlocal fullest
        room = np.full(len(out) + GUARD, 0xA5, np.uint8)
        written = write(self, reads, table, room)  # type: ignore[arg-type]
        assert written <= len(out)
        assert np.all(room[len(out) :] == 0xA5)
        out[:] = room[: len(out)]
        fullest = max(fullest, written / len(out))
        return written

    monkeypatch.setattr(kind, "_write", guarded)
    for seed in range(20):
        formatted(kind, *random_case(seed, paired), **options)  # type: ignore[arg-type]
    assert fullest > 0.1
