"""How the files of two versions of esa differ: arrays of an index, header and records of an output.

@PG lines, which hold version and command line, are left aside. Records are compared byte for byte, those of BAM files
as lines of SAM. Whether a differing record is better or worse is judged by its read's primary record: by the origin of
the read if it is known, else by alignment score. Places of supplementary and secondary records are not judged.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pysam

from scripts.common.speed_sets import bare_name

BETTER, WORSE, NEITHER = "better", "worse", "neither"
PROGRAM_LINE = b"@PG\t"
HEADER_MARK = b"@"
FLAG_FIELD, FIRST_TAG_FIELD = 1, 11
SCORE_TAG = b"AS:i:"
UNMAPPED_SCORE = 0
END_SHIFT, END_MASK = 6, 3
"""Of the flags for the first and the second end, as a number: 1 or 2."""

ReadEnd = tuple[bytes, int]
"""Name, without /1 and /2, and end (0 unpaired, 1, 2) of a read."""


def array_digests(index: Path) -> dict[str, str]:
    """A digest of each array of an index, by the name of its file."""
    found = {}
    for path in sorted(index.glob("*.npy")):
        with path.open("rb") as handle:
            found[path.name] = hashlib.file_digest(handle, "sha256").hexdigest()
    return found


def differing_arrays(before: Path, after: Path) -> list[str]:
    """Files of arrays that two indexes do not both have with the same content."""
    one, other = array_digests(before), array_digests(after)
    return [name for name in sorted(one | other) if one.get(name) != other.get(name)]


def output_lines(path: Path) -> Iterator[bytes]:
    """The lines of a SAM file, or a BAM file's content as such, but @PG. Without newlines."""
    lines = _bam_lines(path) if path.suffix == ".bam" else _text_lines(path)
    return (line for line in lines if not line.startswith(PROGRAM_LINE))


def _text_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as lines:
        for line in lines:
            yield line.removesuffix(b"\n")


def _bam_lines(path: Path) -> Iterator[bytes]:
    with pysam.AlignmentFile(str(path), check_sq=False) as records:
        yield from str(records.header).encode().splitlines()
        for record in records:
            yield record.to_string().encode()


@dataclass(frozen=True)
class Output:
    """A SAM or BAM file without its @PG lines.

    Attributes:
        order: of all records, the read that each is of, and whether it is its primary one.
        records: of each read, the primary one first.
    """

    header: list[bytes]
    order: list[tuple[ReadEnd, bool]]
    records: dict[ReadEnd, list[bytes]]


def read_output(path: Path) -> Output:
    """The file by its reads."""
    output = Output([], [], {})
    for line in output_lines(path):
        # No read's name begins with @, so the SAM format has it.
        if line.startswith(HEADER_MARK):
            output.header.append(line)
            continue
        read, primary = read_of(line), is_primary(line)
        output.order.append((read, primary))
        records = output.records.setdefault(read, [])
        records.insert(0 if primary else len(records), line)
    return output


def flag_of(record: bytes) -> int:
    """The FLAG of a SAM line."""
    return int(record.split(b"\t", FLAG_FIELD + 1)[FLAG_FIELD])


def read_of(record: bytes) -> ReadEnd:
    """The read that a SAM line is of."""
    flag = flag_of(record)
    end = flag >> END_SHIFT & END_MASK if flag & pysam.FPAIRED else 0
    return bare_name(record.split(b"\t", 1)[0]), end


def is_primary(record: bytes) -> bool:
    """Whether a SAM line is neither secondary nor supplementary."""
    return not flag_of(record) & (pysam.FSECONDARY | pysam.FSUPPLEMENTARY)


def score_of(record: bytes | None) -> float:
    """AS; of an unmapped record `UNMAPPED_SCORE`, and less where there is no record."""
    if record is None:
        return -math.inf
    if flag_of(record) & pysam.FUNMAP:
        return UNMAPPED_SCORE
    tags = record.split(b"\t")[FIRST_TAG_FIELD:]
    return next(
        (int(tag.removeprefix(SCORE_TAG)) for tag in tags if tag.startswith(SCORE_TAG)), UNMAPPED_SCORE
    )


@dataclass(frozen=True)
class Difference:
    """A record as both files have it; None in a file without it."""

    read: ReadEnd
    before: bytes | None
    after: bytes | None

    @property
    def primary(self) -> bool:
        """Whether a primary record is among the two."""
        return any(record is not None and is_primary(record) for record in (self.before, self.after))


def differences(before: Output, after: Output) -> list[Difference]:
    """The records that are not the same, whatever the order of the reads (see `same_order`)."""
    return [
        Difference(read, one, other)
        for read in before.records | after.records
        for one, other in zip_longest(before.records.get(read, ()), after.records.get(read, ()))
        if one != other
    ]


def same_order(before: Output, after: Output) -> bool:
    """Whether the records that both files have, differing or not, come in the same order."""
    common = Counter(before.order) & Counter(after.order)
    return _only(before.order, common) == _only(after.order, common)


def _only(
    order: list[tuple[ReadEnd, bool]], counts: Counter[tuple[ReadEnd, bool]]
) -> list[tuple[ReadEnd, bool]]:
    """The first of each, as many as the counts say."""
    left = counts.copy()
    kept = []
    for one in order:
        if left[one]:
            left[one] -= 1
            kept.append(one)
    return kept


Right = Mapping[ReadEnd, bool]
"""Whether each read's primary record lies where the read belongs."""


def verdict(difference: Difference, right: tuple[Right, Right] | None) -> str:
    """Whether a record became better or worse; ``right`` of both files, None if nothing is known of origins."""
    if not difference.primary:
        return NEITHER
    if right is None:
        before, after = score_of(difference.before), score_of(difference.after)
    else:
        before, after = (side.get(difference.read, False) for side in right)
    return BETTER if after > before else WORSE if after < before else NEITHER
