"""Variants of two VCF files, compared; and how the reads lie at a place. Nothing here runs a program."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pysam

KINDS = ("SNP", "indel")

NEAR = 10
"""Bases on either side of a variant within which clips and gaps are looked for."""
REPEAT_MAPQ = 10
MAJORITY = 0.5


@dataclass(frozen=True, order=True)
class Variant:
    """One allele after normalisation; ``position`` is 1-based, as in VCF."""

    position: int
    ref: str
    alt: str

    @property
    def kind(self) -> str:
        """``SNP``, ``indel``, or ``other`` (several bases for as many others), which is not compared."""
        if len(self.ref) != len(self.alt):
            return "indel"
        return "SNP" if len(self.ref) == 1 else "other"


@dataclass(frozen=True)
class Call:
    """How often the allele is in the genotype (0 to 2), and the caller's quality."""

    dosage: int
    quality: float


Calls = dict[Variant, Call]


def parse_calls(lines: Iterable[str]) -> Calls:
    """From lines of position, REF, ALT, QUAL and GT with tabs between, one allele a line (`bcftools norm -m -any`).

    An allele that stands in several lines has the sum of their dosages.
    """
    calls: Calls = {}
    for line in lines:
        position, ref, alt, quality, genotype = line.rstrip("\n").split("\t")
        variant = Variant(int(position), ref.upper(), alt.upper())
        dosage = genotype.replace("|", "/").split("/").count("1")
        before = calls.get(variant, Call(0, 0.0))
        score = 0.0 if quality == "." else float(quality)
        calls[variant] = Call(before.dosage + dosage, max(before.quality, score))
    return calls


@dataclass(frozen=True)
class Match:
    """Counts of one kind of variant, and which they are."""

    right: int
    false: tuple[Variant, ...]
    missed: tuple[Variant, ...]

    @property
    def precision(self) -> float:
        """Right calls among all calls; 1 if there are none."""
        called = self.right + len(self.false)
        return self.right / called if called else 1.0

    @property
    def recall(self) -> float:
        """True variants that are called, among all; 1 if there are none."""
        there = self.right + len(self.missed)
        return self.right / there if there else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        errors = len(self.false) + len(self.missed)
        return 2 * self.right / (2 * self.right + errors) if self.right + errors else 1.0


def match(truth: Mapping[Variant, Call], calls: Calls, kind: str, least: float, genotypes: bool) -> Match:
    """Compare the alleles of a kind that were called with a quality of at least ``least``.

    With ``genotypes`` an allele must have the right dosage too; else it is both false and missed.
    """
    true = {v: c.dosage for v, c in truth.items() if v.kind == kind and c.dosage}
    called = {v: c.dosage for v, c in calls.items() if v.kind == kind and c.dosage and c.quality >= least}
    right = {v for v, dosage in called.items() if v in true and (not genotypes or dosage == true[v])}
    return Match(len(right), tuple(sorted(set(called) - right)), tuple(sorted(set(true) - right)))


def best_threshold(truth: Calls, calls: Calls, kind: str, genotypes: bool) -> float:
    """The least quality with the highest F1; the lowest of them if there are several."""
    true = {v: c.dosage for v, c in truth.items() if v.kind == kind and c.dosage}
    ordered = sorted(
        (
            (c.quality, v in true and (not genotypes or c.dosage == true[v]))
            for v, c in calls.items()
            if v.kind == kind and c.dosage
        ),
        reverse=True,
    )
    if not ordered:
        return 0.0
    quality = np.array([q for q, _ in ordered])
    right = np.cumsum([r for _, r in ordered])
    f1 = 2 * right / (np.arange(1, len(ordered) + 1) + len(true))
    # A threshold takes all calls of its quality.
    f1[:-1][quality[:-1] == quality[1:]] = 0
    return float(quality[len(f1) - 1 - int(np.argmax(f1[::-1]))])


# The reads at a place


@dataclass(frozen=True)
class Pile:
    """The primary records over a place.

    Attributes:
        depth: their number.
        unsure: of them with a mapping quality under `REPEAT_MAPQ`.
        clipped: of them clipped within `NEAR` bases.
        gapped: of them with an insertion or a deletion within `NEAR` bases.
        supporting: of them that have the allele as one substitution or one gap at this place.
    """

    depth: int
    unsure: int
    clipped: int
    gapped: int
    supporting: int

    def __str__(self) -> str:
        return (
            f"depth {self.depth}, MAPQ<{REPEAT_MAPQ} {self.unsure}, clipped {self.clipped}, "
            f"gapped {self.gapped}, with the allele {self.supporting}"
        )


def pile(bam: pysam.AlignmentFile, contig: str, variant: Variant) -> Pile:
    """How the reads lie at a variant."""
    start = variant.position - 1
    end = start + len(variant.ref)
    depth = unsure = clipped = gapped = supporting = 0
    for record in bam.fetch(contig, start, end):
        if record.is_secondary or record.is_supplementary:
            continue
        depth += 1
        unsure += record.mapping_quality < REPEAT_MAPQ
        clips, gaps, shows = _look(record, variant)
        clipped += clips
        gapped += gaps
        supporting += shows
    return Pile(depth, unsure, clipped, gapped, supporting)


def _look(record: pysam.AlignedSegment, variant: Variant) -> tuple[bool, bool, bool]:
    """Whether the record is clipped near, has a gap near, has the very allele."""
    start, place, base = variant.position - 1, record.reference_start, 0
    change = len(variant.alt) - len(variant.ref)
    clips = gaps = shows = False
    sequence = record.query_sequence or ""
    for operation, length in record.cigartuples or ():
        near = place - NEAR <= start <= place + NEAR
        if operation == pysam.CSOFT_CLIP:
            clips |= near
            base += length
        elif operation == pysam.CINS:
            gaps |= near
            shows |= change == length and place == start + 1
            base += length
        elif operation == pysam.CDEL:
            gaps |= place - NEAR <= start <= place + length + NEAR
            shows |= change == -length and place == start + 1
            place += length
        else:
            if change == 0 and place <= start < place + length:
                shows = sequence[base + start - place] == variant.alt
            place += length
            base += length
    return clips, gaps, shows


def cause(ours: Pile, peer: Pile) -> str:
    """Heuristic: why a caller may have judged our reads otherwise than the peer's, by what differs most."""
    if ours.depth == 0 or peer.depth == 0:
        return "depth"
    if ours.unsure > MAJORITY * ours.depth and peer.unsure > MAJORITY * peer.depth:
        return "repeat"
    gains = {
        "MAPQ": (ours.unsure - peer.unsure) / ours.depth,
        "clip": (ours.clipped - peer.clipped) / ours.depth,
        "gap placement": (peer.supporting - ours.supporting) / ours.depth
        if ours.gapped or peer.gapped
        else 0,
        "depth": abs(ours.depth - peer.depth) / max(ours.depth, peer.depth),
    }
    best = max(gains, key=lambda name: gains[name])
    return best if gains[best] > 0 else "caller"
