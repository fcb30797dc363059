"""Random alignment records: the fields of their SAM lines, and the arrays that esa makes of them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from esa.io.records import CIGAR_LETTERS, NONE, Records
from esa.io.sam_header import ReadGroup
from esa.sequence import dna
from esa.sequence.genome import Genome
from esa.sequence.reads import ReadBatch

CONTIGS = ("chr1", "a_much_longer_contig_name.1", "M")
GENOME = Genome(
    CONTIGS,
    np.array([2_000_000_000, 5000, 300]),
    ("0" * 32, "1" * 32, "f" * 32),
    np.zeros(0, np.uint8),
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
)
GROUP = ReadGroup("lane1", (("SM", "x"),))


@dataclass
class Read:
    name: str
    sequence: str
    quality: str | None


@dataclass
class Alignment:
    """One record as its line has it, but for 0-based positions; CIGAR of (length, letter) with = and X."""

    read: int
    flag: int
    contig: int = NONE
    position: int = NONE
    mapq: int = 0
    cigar: list[tuple[int, str]] = field(default_factory=list)
    mate_contig: int = NONE
    mate_position: int = NONE
    mate: int = NONE
    template_length: int = 0
    nm: int = 0
    score: int = 0
    second: int = NONE
    md: str = ""


def merged(cigar: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """= and X as M."""
    result: list[tuple[int, str]] = []
    for length, letter in cigar:
        letter = "M" if letter in "=X" else letter
        if result and result[-1][1] == letter:
            length += result.pop()[0]
        result.append((length, letter))
    return result


def random_alignment(rng: random.Random, read: int, flag: int, bases: int, clip: str) -> Alignment:
    """A mapped record whose CIGAR, MD and NM agree, from one column after another."""
    left = rng.choice([0, 0, rng.randrange(bases)])
    right = rng.choice([0, 0, rng.randrange(bases - left)])
    columns, used = [], 0
    while used < bases - left - right:
        edge = used in (0, bases - left - right - 1)
        column = rng.choice("=X" if edge else "======XXID")
        used += column != "D"
        columns.append(column)
    cigar: list[tuple[int, str]] = [(left, clip)] * (left > 0)
    md, run = "", 0
    for k, column in enumerate(columns):
        if column == "=":
            run += 1
        elif column == "X":
            md, run = f"{md}{run}{rng.choice('ACGTN')}", 0
        elif column == "D":
            new = f"{run}^" if columns[k - 1] != "D" else ""
            md, run = md + new + rng.choice("ACGT"), 0
        cigar.append((1 + (cigar.pop()[0] if cigar and cigar[-1][1] == column else 0), column))
    return Alignment(
        read,
        flag | rng.choice([0, 16]),
        rng.randrange(len(CONTIGS)),
        rng.choice([0, 1, 9, 99, 100, rng.randrange(1_999_000_000)]),
        rng.randrange(61),
        cigar + [(right, clip)] * (right > 0),
        nm=sum(column != "=" for column in columns),
        score=rng.randrange(300),
        second=rng.choice([NONE, 0, rng.randrange(300)]),
        md=f"{md}{run}",
    )


def random_case(seed: int, paired: bool, n: int = 40) -> tuple[list[Read], list[Alignment]]:
    """Reads of all lengths with random records: unmapped, clipped, secondary, supplementary, with mates."""
    rng = random.Random(seed)
    reads, alignments = [], []
    primaries = []
    for i in range(n):
        bases = rng.choice([0, 1, 2, 7, 40, 151])
        quality = "".join(chr(rng.randrange(33, 127)) for _ in range(bases)) if rng.random() < 0.8 else None
        letters = rng.choice(["ACGT", "ACGTN", "N"])
        name = f"r{'x' * rng.randrange(9)}:{i // 2 if paired else i}"
        reads.append(Read(name, "".join(rng.choice(letters) for _ in range(bases)), quality))
        flag = (1 | (64, 128)[i % 2]) if paired else 0
        primaries.append(len(alignments))
        if bases == 0 or rng.random() < 0.3:
            alignments.append(Alignment(i, flag | 4, mapq=rng.randrange(61)))
            continue
        alignments.append(random_alignment(rng, i, flag, bases, "S"))
        kinds = rng.choices((0x100, 0x800), k=rng.choice([0, 0, 0, 1, 3]))
        alignments += [random_alignment(rng, i, flag | kind, bases, "H") for kind in kinds]
    for a in alignments if paired else []:
        add_mate(a, primaries[a.read ^ 1], alignments)
        a.template_length = rng.choice([0, rng.randrange(-(10**9), 10**9)])
    return reads, alignments


def add_mate(a: Alignment, index: int, alignments: list[Alignment]) -> None:
    """Set what a record says of its mate, whose primary record is ``alignments[index]``."""
    mate = alignments[index]
    a.mate = index
    for one, other in ((a, mate), (mate, a)):
        if one.flag & 4 and not other.flag & 4:
            one.contig, one.position = other.contig, other.position
    a.mate_contig, a.mate_position = mate.contig, mate.position
    a.flag |= 8 * bool(mate.flag & 4) | 32 * bool(mate.flag & 16)


def offsets_of(texts: list[str]) -> np.ndarray:
    """Where each text begins in all of them together, and where the last ends."""
    return np.cumsum([0, *map(len, texts)])


def make_batch(reads: list[Read], paired: bool) -> ReadBatch:
    """The reads as the batch that esa makes of them."""
    names, sequences = [r.name for r in reads], [r.sequence for r in reads]
    quals = "".join("?" * len(r.sequence) if r.quality is None else r.quality for r in reads)
    return ReadBatch(
        np.frombuffer("".join(names).encode(), np.uint8),
        offsets_of(names),
        dna.encode("".join(sequences).encode()),
        np.frombuffer(quals.encode(), np.uint8),
        offsets_of(sequences),
        np.array([r.quality is not None for r in reads], np.uint8),
        paired,
    )


def make_records(alignments: list[Alignment], eqx: bool) -> Records:
    """The alignments as the arrays that esa makes of them; without ``eqx`` with M for = and X."""
    cigars = [a.cigar if eqx else merged(a.cigar) for a in alignments]
    elements = [n << 4 | CIGAR_LETTERS.index(letter.encode()) for c in cigars for n, letter in c]

    def column(name: str, dtype: type[np.generic]) -> np.ndarray:
        return np.array([getattr(a, name) for a in alignments], dtype)

    return Records(
        read=column("read", np.int32),
        flag=column("flag", np.uint16),
        contig=column("contig", np.int32),
        position=column("position", np.int64),
        mapq=column("mapq", np.uint8),
        cigar=np.array(elements, np.uint32),
        cigar_offsets=np.cumsum([0, *map(len, cigars)]),
        mate_contig=column("mate_contig", np.int32),
        mate_position=column("mate_position", np.int64),
        mate=column("mate", np.int32),
        template_length=column("template_length", np.int64),
        nm=column("nm", np.int32),
        alignment_score=column("score", np.int32),
        second_score=column("second", np.int32),
        md=np.frombuffer("".join(a.md for a in alignments).encode(), np.uint8),
        md_offsets=offsets_of([a.md for a in alignments]),
    )
