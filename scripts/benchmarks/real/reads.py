"""Reads on a reference that is not theirs: real sets on other references, random reads, and how they are counted."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from scripts.common.cache import cached
from scripts.common.primary_records import Primaries
from scripts.common.real_sets import DSM30083, ECOLI_536, MG1655, NA12878, RealSet
from scripts.common.workplace import Workplace

DSM_ON_536 = RealSet("DSM30083 2x76 on 536", DSM30083.reads, ECOLI_536)
HUMAN_ON_ECOLI = RealSet("NA12878 on E. coli", NA12878.reads, MG1655)

RANDOM_LENGTHS = (50, 75, 100, 150, 250)


def random_reads(place: Workplace, length: int, pairs: int, seed: int) -> list[Path]:
    """Pairs of uniformly random bases, from the cache or made now."""

    def make(partial: Path) -> None:
        rng = random.Random(seed)
        partial.mkdir()
        for end in (1, 2):
            with (partial / f"R{end}.fq").open("w") as handle:
                for i in range(pairs):
                    bases = "".join(rng.choices("ACGT", k=length))
                    handle.write(f"@random_{i}\n{bases}\n+\n{'I' * length}\n")

    folder = cached(place.out / "reads" / f"random-{length}-{pairs}-{seed}", make)
    return [folder / "R1.fq", folder / "R2.fq"]


@dataclass(frozen=True)
class Nowhere:
    """Counts of reads that belong nowhere.

    Attributes:
        alike: mapped at `PLACED_MAPQ` or more with an identity of `ALIKE` or more.
        placed: the same at any identity.
        diverged_confident: with `CONFIDENT_MAPQ` or more under `ALIKE`.
        diverged: mapped under `ALIKE`.
    """

    mapped: int
    alike: int
    placed: int
    diverged_confident: int
    diverged: int


ALIKE = 0.95
PLACED_MAPQ = 10
CONFIDENT_MAPQ = 30


def nowhere(found: Primaries) -> Nowhere:
    """Count the primary records of reads that belong nowhere."""
    alike = found.identity >= ALIKE
    placed = found.mapped & (found.mapq >= PLACED_MAPQ)
    diverged = found.mapped & ~alike
    return Nowhere(
        int(found.mapped.sum()),
        int((placed & alike).sum()),
        int(placed.sum()),
        int((diverged & (found.mapq >= CONFIDENT_MAPQ)).sum()),
        int(diverged.sum()),
    )
