"""Reading FASTQ and writing SAM and BAM beside the libraries that could do it: dnaio and pysam, one thread each.

    python -m scripts.benchmarks.formats [READS.fq] [--reads N] [--rounds N] [--json FILE]

What is compared ends alike. Reading ends with the reads of a batch as arrays, which the mapper takes; dnaio is also
timed without them, with a Python object a read. Writing begins with arrays of records, which the mapper makes, and
ends with a file. A record is made up: read i lies at position i and matches the reference. Before anything is timed,
the arrays and the SAM lines of both sides are compared.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import dnaio
import numpy as np
import pysam
from isal import igzip
from numpy.typing import NDArray

from esa.io.bam import BamFormatter
from esa.io.fastq import DEFAULT_BATCH_SIZE, ReadSource
from esa.io.formatter import Formatter
from esa.io.records import CIGAR_M, NONE, Records
from esa.io.sam import SamFormatter
from esa.sequence import dna
from esa.sequence.genome import Genome
from esa.sequence.reads import ReadBatch
from scripts.common.command_line import guarded, script_parser
from scripts.common.programs import BenchError
from scripts.common.tables import table, write_json
from scripts.common.timed_runs import commit, median_seconds, processor_name
from scripts.common.workplace import DATA

DEFAULT_READS = DATA / "ecoli_K12_MG1655_dwgsim_PE150_R1.fq.gz"
"""10,000 reads of 150 bases; what is missing to ``--reads`` is made by repeating them."""
GENOME = Genome(
    ("contig",),
    np.array([1 << 30]),
    ("0" * 32,),
    np.zeros(0, np.uint8),
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
)
HEAD = {"command_line": "formats", "version": "1"}
MAPQ = 60
PHRED = 33
HEADER = ("", "esa, us", "library, us", "ratio")
MICROS = 1e6


@dataclass(frozen=True)
class Comparison:
    """Two ways to the same end; ``theirs`` is the library's."""

    name: str
    ours: Callable[[], object]
    theirs: Callable[[], object]


def read_by_esa(path: Path) -> Iterator[ReadBatch]:
    """Batches of arrays."""
    with ReadSource(str(path)) as source:
        yield from source


def read_by_dnaio(path: Path) -> Iterator[list[dnaio.SequenceRecord]]:
    """Batches of Python objects."""
    with dnaio.open(path, open_threads=0) as source:
        records = iter(source)
        while batch := list(islice(records, DEFAULT_BATCH_SIZE)):
            yield batch


def arrays_of(records: list[dnaio.SequenceRecord]) -> ReadBatch:
    """The batch that esa's reader makes of these reads."""
    names = [record.id.removesuffix("/1").encode() for record in records]
    return ReadBatch(
        np.frombuffer(b"".join(names), np.uint8),
        np.cumsum([0, *map(len, names)]),
        dna.encode("".join([record.sequence for record in records]).encode()),
        np.frombuffer("".join([record.qualities or "" for record in records]).encode(), np.uint8),
        np.cumsum([0, *map(len, records)]),
        np.ones(len(records), np.uint8),
        paired=False,
    )


def exhaust(batches: Iterator[Any]) -> int:
    """Reads in all batches."""
    return sum(map(len, batches))


def records_of(batch: ReadBatch, first: int) -> Records:
    """A record for each read: the read with number i, from ``first`` on, matches the bases from i on."""
    count = len(batch)
    lengths = np.diff(batch.offsets)
    texts = [str(length).encode() for length in lengths.tolist()]
    absent = np.full(count, NONE, np.int32)
    return Records(
        read=np.arange(count, dtype=np.int32),
        flag=np.zeros(count, np.uint16),
        contig=np.zeros(count, np.int32),
        position=np.arange(first, first + count),
        mapq=np.full(count, MAPQ, np.uint8),
        cigar=(lengths << 4 | CIGAR_M).astype(np.uint32),
        cigar_offsets=np.arange(count + 1),
        mate_contig=absent,
        mate_position=np.full(count, NONE, np.int64),
        mate=absent,
        template_length=np.zeros(count, np.int64),
        nm=np.zeros(count, np.int32),
        alignment_score=lengths.astype(np.int32),
        second_score=np.zeros(count, np.int32),
        md=np.frombuffer(b"".join(texts), np.uint8),
        md_offsets=np.cumsum([0, *map(len, texts)]),
    )


Aligned = list[tuple[ReadBatch, Records]]


def aligned(path: Path) -> Aligned:
    """The reads of a file, batch by batch, and their records."""
    batches = list(read_by_esa(path))
    firsts = np.cumsum([0, *map(len, batches)])
    return [(batch, records_of(batch, int(first))) for batch, first in zip(batches, firsts, strict=False)]


def write_by_esa(kind: type[Formatter], data: Aligned, path: Path, *, compressed: bool = True) -> None:
    """SAM or BAM; ``compressed`` False leaves BAM's records as they are, which no file may hold."""
    formatter = kind(GENOME)
    with path.open("wb") as out:
        out.write(_buffer(formatter.compress(formatter.header(**HEAD))))
        for batch, records in data:
            lines = formatter.format(batch, records)
            out.write(_buffer(formatter.compress(lines) if compressed else lines))
        out.write(formatter.end)


def _buffer(data: bytes | NDArray[np.uint8]) -> memoryview:
    return memoryview(data)  # type: ignore[arg-type]  # an array has the buffer protocol


def write_by_pysam(mode: str, data: Aligned, path: Path, level: int | None = None) -> None:
    """SAM (mode ``w``) or BAM (``wb``, compressed at ``level``; ``wb0``, not compressed)."""
    header = pysam.AlignmentHeader.from_text(SamFormatter(GENOME).header(**HEAD).decode())
    options = None if level is None else [f"level={level}"]
    with pysam.AlignmentFile(str(path), mode, header=header, format_options=options) as out:
        for batch, records in data:
            for segment in segments(header, batch, records):
                out.write(segment)


def segments(
    header: pysam.AlignmentHeader, batch: ReadBatch, records: Records
) -> Iterator[pysam.AlignedSegment]:
    """A batch's records as pysam's objects; what one array holds is turned into Python's types at once."""
    columns = (records.position, records.mapq, records.nm, records.alignment_score, records.second_score)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    names, letters = batch.names.tobytes().decode(), dna.decode(batch.codes).decode()
    phred = array("B", (batch.quals - PHRED).tobytes())
    md, cigar = records.md.tobytes().decode(), records.cigar.tolist()
    name_at, base_at, md_at, cigar_at = (
        offsets.tolist()
        for offsets in (batch.name_offsets, batch.offsets, records.md_offsets, records.cigar_offsets)
    )
    for i, (position, mapq, nm, score, second) in enumerate(rows):
        segment = pysam.AlignedSegment(header)
        segment.query_name = names[name_at[i] : name_at[i + 1]]
        segment.flag = 0
        segment.reference_id = 0
        segment.reference_start = position
        segment.mapping_quality = mapq
        segment.cigartuples = [(x & 15, x >> 4) for x in cigar[cigar_at[i] : cigar_at[i + 1]]]
        segment.query_sequence = letters[base_at[i] : base_at[i + 1]]
        segment.query_qualities = phred[base_at[i] : base_at[i + 1]]
        segment.set_tags(
            [
                ("NM", nm, "i"),
                ("MD", md[md_at[i] : md_at[i + 1]], "Z"),
                ("AS", score, "i"),
                ("XS", second, "i"),
            ]
        )
        yield segment


def prepare(source: Path, reads: int, folder: Path) -> tuple[Path, Path]:
    """The reads of a FASTQ file, repeated until they are so many, plain and as gzip."""
    data = source.read_bytes()
    lines = (igzip.decompress(data) if source.suffix == ".gz" else data).splitlines(keepends=True)
    own = len(lines) // 4
    if not own:
        raise BenchError(f"{source}: holds no reads")
    whole = b"".join(lines * (reads // own) + lines[: 4 * (reads % own)])
    plain, packed = folder / "reads.fq", folder / "reads.fq.gz"
    plain.write_bytes(whole)
    packed.write_bytes(igzip.compress(whole))
    return plain, packed


def require_equal(plain: Path, data: Aligned, folder: Path) -> None:
    """Raise `BenchError` unless both sides read the same arrays and write the same lines."""
    for (ours, _), records in zip(data, read_by_dnaio(plain), strict=True):
        theirs = arrays_of(records)
        for name in ("names", "name_offsets", "codes", "quals", "offsets"):
            if not np.array_equal(getattr(ours, name), getattr(theirs, name)):
                raise BenchError(f"esa and dnaio read other {name}")
    sams = folder / "ours.sam", folder / "theirs.sam"
    write_by_esa(SamFormatter, data, sams[0])
    write_by_pysam("w", data, sams[1])
    if sams[0].read_bytes() != sams[1].read_bytes():
        raise BenchError("esa and pysam write other lines")


def comparisons(plain: Path, packed: Path, data: Aligned, folder: Path) -> list[Comparison]:
    """All that is timed; files are written to ``folder``."""
    sam, bam, raw = SamFormatter, BamFormatter, folder / "raw"
    out = folder / "out.sam", folder / "out.bam"
    found = []
    for name, path in (("plain FASTQ", plain), ("gzip FASTQ", packed)):
        found += [
            Comparison(
                f"{name} -> arrays, dnaio -> objects",
                lambda path=path: exhaust(read_by_esa(path)),  # type: ignore[misc]
                lambda path=path: exhaust(read_by_dnaio(path)),  # type: ignore[misc]
            ),
            Comparison(
                f"{name} -> arrays, dnaio -> arrays",
                lambda path=path: exhaust(read_by_esa(path)),  # type: ignore[misc]
                lambda path=path: exhaust(map(arrays_of, read_by_dnaio(path))),  # type: ignore[misc]
            ),
        ]
    return [
        *found,
        Comparison(
            "arrays -> SAM, pysam",
            lambda: write_by_esa(sam, data, out[0]),
            lambda: write_by_pysam("w", data, out[0]),
        ),
        Comparison(
            "arrays -> BAM not compressed, pysam",
            lambda: write_by_esa(bam, data, raw, compressed=False),
            lambda: write_by_pysam("wb0", data, out[1]),
        ),
        Comparison(
            "arrays -> BAM, pysam level 1",
            lambda: write_by_esa(bam, data, out[1]),
            lambda: write_by_pysam("wb", data, out[1], level=1),
        ),
        Comparison(
            "arrays -> BAM, pysam level 6",
            lambda: write_by_esa(bam, data, out[1]),
            lambda: write_by_pysam("wb", data, out[1], level=6),
        ),
    ]


def measured(plain: Path, packed: Path, reads: int, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """A row for each comparison: microseconds a read of both sides, and how many times esa's are the library's."""
    data = aligned(plain)
    require_equal(plain, data, folder)
    rows = []
    for pair in comparisons(plain, packed, data, folder):
        ours, theirs = (s * MICROS / reads for s in median_seconds([pair.ours, pair.theirs], rounds))
        rows.append({"name": pair.name, "esa": ours, "library": theirs, "ratio": theirs / ours})
    return rows


def main() -> None:
    """Run the command."""
    parser = script_parser(__doc__)
    parser.add_argument("fastq", type=Path, nargs="?", default=DEFAULT_READS, help="FASTQ, plain or gzip")
    parser.add_argument("--reads", type=int, default=200_000, help="reads; the file's are repeated or cut")
    parser.add_argument("--rounds", type=int, default=5, help="turns, of which the median counts")
    parser.add_argument("--json", type=Path, help="write the table there, too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = measured(*prepare(args.fastq, args.reads, folder), args.reads, args.rounds, folder)
    texts = [
        [row["name"], *(f"{row[key]:.2f}" for key in ("esa", "library")), f"{row['ratio']:.1f}"]
        for row in rows
    ]
    versions = {"dnaio": version("dnaio"), "pysam": version("pysam")}
    print(table(HEADER, texts))
    print(f"\n{args.reads:,} reads of {args.fastq.name}; microseconds a read, median of {args.rounds} turns;")
    print(f"ratio: the library's time over esa's. {versions}, {processor_name()}")
    if args.json:
        write_json(args.json, {"rows": rows, "versions": versions, "reads": args.reads, "commit": commit()})


if __name__ == "__main__":
    guarded(main)
