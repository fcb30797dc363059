"""Chimeric reads: two stretches of a reference, joined at a break, with sequencing errors.

The name of a read holds the truth: the break, and both stretches with their strands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam

from scripts.common.cache import cached, digest
from scripts.common.workplace import Workplace

LEAST_SEGMENT = 30
SUBSTITUTIONS, INDELS, LONGER_INDEL = 0.0054, 0.0006, 1 / 3
QUALITY = "I"
LETTERS = np.frombuffer(b"ACGT", np.uint8)
COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")


@dataclass(frozen=True)
class Piece:
    """A stretch of a chromosome: 0-based, half-open."""

    contig: str
    start: int
    end: int
    reverse: bool


@dataclass(frozen=True)
class Chimera:
    """The truth of a read, which is its name."""

    at: int
    pieces: tuple[Piece, Piece]

    def name(self, number: int) -> str:
        """The name of the read with this number."""
        parts = [f"{p.contig}:{p.start}:{p.end}:{int(p.reverse)}" for p in self.pieces]
        return "_".join((str(number), str(self.at), *parts))

    @classmethod
    def of(cls, name: str) -> Chimera:
        """From the name of a read."""
        _, at, *parts = name.split("_")
        pieces = [part.split(":") for part in parts]
        first, second = (Piece(c, int(s), int(e), r == "1") for c, s, e, r in pieces)
        return cls(int(at), (first, second))


def contig_codes(reference: Path) -> dict[str, bytes]:
    """The upper-cased bases of each contig."""
    with pysam.FastaFile(str(reference)) as fasta:
        return {name: fasta.fetch(name).upper().encode() for name in fasta.references}


def draw_piece(rng: np.random.Generator, contigs: dict[str, bytes], size: int) -> tuple[Piece, bytes]:
    """A stretch without N, as it is read."""
    names = list(contigs)
    weights = np.array([len(contigs[name]) for name in names], float)
    while True:
        name = names[rng.choice(len(names), p=weights / weights.sum())]
        start = int(rng.integers(0, len(contigs[name]) - size))
        bases = contigs[name][start : start + size]
        if not bases.strip(b"ACGT"):
            break
    reverse = bool(rng.integers(2))
    return Piece(name, start, start + size, reverse), bases.translate(COMPLEMENT)[::-1] if reverse else bases


def with_errors(rng: np.random.Generator, bases: bytes) -> bytes:
    """A copy with substitutions and indels."""
    out: list[bytes] = []
    skip = 0
    for i in range(len(bases)):
        base = bases[i : i + 1]
        if rng.random() < INDELS:
            size = int(rng.geometric(1 - LONGER_INDEL))
            if rng.random() < 0.5:
                skip = max(skip, size)
            else:
                base = LETTERS[rng.integers(0, 4, size)].tobytes() + base
        if skip:
            skip -= 1
            continue
        if rng.random() < SUBSTITUTIONS:
            base = base[:-1] + bytes(rng.choice([x for x in b"ACGT" if x != base[-1]], 1).astype(np.uint8))
        out.append(base)
    return b"".join(out)


def chimeric_reads(place: Workplace, reference: Path, length: int, reads: int, seed: int) -> Path:
    """FASTQ of chimeric reads."""

    def make(partial: Path) -> None:
        rng = np.random.default_rng([seed, length])
        contigs = contig_codes(reference)
        with partial.open("w") as handle:
            for number in range(reads):
                at = int(rng.integers(LEAST_SEGMENT, length - LEAST_SEGMENT + 1))
                drawn = [draw_piece(rng, contigs, size) for size in (at, length - at)]
                first, second = (with_errors(rng, bases).decode() for _, bases in drawn)
                truth = Chimera(len(first), (drawn[0][0], drawn[1][0]))
                sequence = first + second
                handle.write(f"@{truth.name(number)}\n{sequence}\n+\n{QUALITY * len(sequence)}\n")

    key = digest(reference.name, length, reads, seed, Path(__file__).read_text())
    return cached(place.out / "reads" / f"split-{length}-{key}.fq", make)
