"""Error messages for malformed reads. Slow and plain: only the one record that fails comes here."""

from __future__ import annotations

import re

from esa.io._read_kernels import MAX_QUAL, MIN_QUAL
from esa.io.compressed import other_compression
from esa.io.records import MAX_READ_NAME

_SHOWN = 40
_NAME_END = re.compile(rb"[ \t\n\v\f\r]")
_MATE_SUFFIX = re.compile(rb"(?<=.)/[12]$", re.DOTALL)
_UNPRINTABLE = re.compile(rb"[^!-~]")
_NO_NUCLEOTIDE = re.compile(rb"[^ACGTUNRYSWKMBDHV.]", re.IGNORECASE)
_BAD_QUAL = re.compile(rb"[^\x%02x-\x%02x]" % (MIN_QUAL, MAX_QUAL))
_SAM_HEADER = re.compile(rb"@(HD|SQ|RG|PG)\t[A-Za-z][A-Za-z0-9]:|@CO\t")
_FOREIGN = (
    (b"BAM\1", "is a BAM file, not FASTQ or FASTA; extract the reads with `samtools fastq`"),
    (b"CRAM", "is a CRAM file, not FASTQ or FASTA; extract the reads with `samtools fastq`"),
)
FOREIGN_BYTES = 64
"""Bytes at the start of a file that suffice to recognise its format."""

_PARTS = "a FASTQ record is @name, SEQ, +, QUAL"
_CUT_OFF = "the file ends in the middle of this record; copy or download it again"


def show(text: bytes) -> str:
    """Bytes made printable and short, for a message."""
    shown = text[:_SHOWN].decode("ascii", "backslashreplace")
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown)
    return printable + ("..." if len(text) > _SHOWN else "")


def foreign_fault(head: bytes) -> str | None:
    """Why a file that starts (blank lines aside) with these bytes is no read file; None if it may be one."""
    if _SAM_HEADER.match(head):
        return "is a SAM file, not FASTQ or FASTA; extract the reads with `samtools fastq`"
    for magic, fault in _FOREIGN:
        if head.startswith(magic):
            return fault
    compression = other_compression(head)
    if compression == "zip":
        return "is a zip archive; only gzip is read: unpack it first"
    if compression is not None:
        return f"is compressed with {compression}; only gzip is read: decompress it first ({compression} -d)"
    if head[:1] not in (b"@", b">"):
        start = head.split(b"\n", 1)[0]
        return f"is neither FASTQ nor FASTA: it starts with '{show(start)}', not with '@' or '>'"
    return None


def name_of(header: bytes) -> bytes:
    """The read's name in a header line without its '@' or '>'."""
    return _MATE_SUFFIX.sub(b"", _NAME_END.split(header, maxsplit=1)[0])


def _name_fault(header: bytes) -> str | None:
    name = name_of(header)
    if not name:
        return "the name is empty; give every read a name"
    if len(name) > MAX_READ_NAME:
        return f"the name has {len(name)} bytes, BAM holds at most {MAX_READ_NAME}; shorten it"
    if name.startswith(b"@"):
        return "the name starts with '@', which SAM takes for a header line; rename the read"
    if found := _UNPRINTABLE.search(name):
        return f"the name holds byte {found[0][0]}, SAM allows only printable ASCII; rename the read"
    return None


def _sequence_fault(sequence: bytes) -> str | None:
    if found := _NO_NUCLEOTIDE.search(sequence):
        letter = show(found[0])
        return (
            f"'{letter}' at base {found.start() + 1} is no nucleotide; "
            "only ACGTUN, the other IUPAC letters and '.' may stand in a read"
        )
    return None


def fastq_fault(record: bytes) -> str | None:
    """The fault of the FASTQ record at the start of ``record`` (four lines, or the rest of the file); None if none."""
    lines = [line.removesuffix(b"\r") for line in record.split(b"\n", 4)]
    if not record.startswith(b"@"):
        return f"'{show(lines[0])}' stands where '@' and a name should; {_PARTS}"
    if fault := _name_fault(lines[0][1:]):
        return fault
    if len(lines) < 3 or lines[2:] == [b""]:
        return _CUT_OFF
    if not lines[2].startswith(b"+"):
        return f"'{show(lines[2])}' stands where '+' should; {_PARTS}"
    if len(lines) < 4:
        return _CUT_OFF
    sequence, qual = lines[1], lines[3]
    if len(qual) < len(sequence) and len(lines) == 4:
        return f"{_CUT_OFF} (SEQ has {len(sequence)} bases, QUAL {len(qual)} values)"
    if len(sequence) != len(qual):
        return (
            f"SEQ has {len(sequence)} bases but QUAL {len(qual)} values; "
            "the file is damaged: make it or copy it again"
        )
    if fault := _sequence_fault(sequence):
        return fault
    if found := _BAD_QUAL.search(qual):
        return (
            f"byte {found[0][0]} at place {found.start() + 1} of QUAL is no quality; Phred + 33 has bytes "
            f"{MIN_QUAL} to {MAX_QUAL}: the file is damaged, make it or copy it again"
        )
    return None


def fasta_fault(record: bytes) -> str | None:
    """The fault of a complete FASTA record; None if none."""
    header, _, sequence = record.partition(b"\n")
    return _name_fault(header[1:]) or _sequence_fault(re.sub(rb"\r?\n|\r$", b"", sequence))
