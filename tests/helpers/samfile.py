"""Small SAM files for the tests."""

from __future__ import annotations

from pathlib import Path

HEADER = "@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:10000\n@SQ\tSN:chr2\tLN:5000\n"


def line(
    name: str, flag: int = 0, contig: str = "chr1", position: int = 101, mapq: int = 60, cigar: str = "50M"
) -> str:
    """A record; ``position`` is 1-based. An unmapped one has 50 bases, for the others the CIGAR tells."""
    bases = "*"
    if flag & 4:
        contig, position, mapq, cigar, bases = "*", 0, 0, "*", "A" * 50
    return f"{name}\t{flag}\t{contig}\t{position}\t{mapq}\t{cigar}\t*\t0\t0\t{bases}\t*\n"


def write(path: Path, *lines: str, header: str = HEADER) -> str:
    """Write a SAM file and return its path."""
    path.write_text(header + "".join(lines))
    return str(path)
