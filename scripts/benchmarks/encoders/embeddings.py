"""What `make bench-encoders` measures: encoders by name, and references with their reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esa.encoders.base import Encoder
from esa.encoders.registry import Kind, create_encoder
from esa.errors import EsaError
from esa.eval.recall import ReadSet, joined, simulate_reads, start_of_last
from esa.fragments.base import Fragmenter, Fragments
from esa.index.build import SAMPLE_FRAGMENTS, fragmenter_for
from esa.index.presets import preset_named
from esa.io.fasta import read_genome
from esa.sequence.genome import Genome
from esa.train.references import VALIDATION_SHARE
from scripts.common.programs import note

PRESET_OF: dict[Kind, str] = {"codes": "anchored", "dense": "sketch"}
"""Whose fragmenter an encoder of that kind gets."""

PERCENT = 100

ORTHOLOGS = "primate22A_"
"""References that begin so hold the orthologs of what encoders were trained on, its last tenth aside."""


@dataclass(frozen=True)
class Loaded:
    """An encoder with the fragmenter that it was trained for, or that of its kind's preset."""

    name: str
    kind: Kind
    encoder: Encoder
    fragmenter: Fragmenter

    def embed(self, reads: ReadSet) -> NDArray[Any]:
        """All fragments of the reads, as `esa align` first embeds them."""
        chosen = np.arange(len(reads), dtype=np.int32)
        return self.encoder.embed(reads.codes, self.fragmenter.queries(reads.codes, reads.offsets, chosen, 0))


@dataclass(frozen=True)
class Source:
    """A reference, all that is searched (it and the decoys), and where on it the reads begin."""

    name: str
    genome: Genome
    searched: Genome
    begin: int

    @property
    def caption(self) -> str:
        """Where the reads come from, in words."""
        where = f"of the last tenth of {self.name}" if self.begin else f"of {self.name}"
        decoys = self.searched.bases - self.genome.bases
        beside = f", {decoys:,} bases of decoys beside it" if decoys else ""
        return f"Reads {where}, all {self.genome.bases:,} bases of it indexed{beside}."

    def reads(self, sets: Sequence[tuple[int, int]], count: int, seed: int) -> list[tuple[str, ReadSet]]:
        """Each set with its label."""
        return [
            (
                f"{length} bp {percent} %",
                simulate_reads(self.genome, count, length, percent / PERCENT, seed, self.begin),
            )
            for length, percent in sets
        ]


def open_source(path: Path, decoys: Sequence[Path], last_tenth: bool) -> Source:
    """Raises `EsaError` if a file cannot be read."""
    genome = read_genome(str(path))
    others = [read_genome(str(decoy)) for decoy in decoys]
    last_tenth = last_tenth or path.name.startswith(ORTHOLOGS)
    return Source(
        path.name.removesuffix(".gz").removesuffix(".fa"),
        genome,
        joined([genome, *others]) if others else genome,
        start_of_last(genome, VALIDATION_SHARE) if last_tenth else 0,
    )


def load(names: Sequence[str]) -> list[Loaded]:
    """The encoders that there are; a note on each of the others."""
    loaded = []
    for name in dict.fromkeys(names):
        complaints: dict[str, None] = {}
        for kind, preset in PRESET_OF.items():
            try:
                fragmenter = fragmenter_for(preset_named(preset), name)
                encoder = create_encoder(name, kind, fragmenter.length)
            except EsaError as error:
                complaints[str(error)] = None
                continue
            loaded.append(Loaded(name, kind, encoder, fragmenter))
            break
        else:
            note(f"{name}: left out: {'; '.join(complaints)}")
    return loaded


def calibrated(one: Loaded, genome: Genome) -> Loaded:
    """Fitted to a sample of all of a genome's fragments."""
    codes = genome.fetch(0, genome.bases)
    fragments = one.fragmenter.reference(codes, genome.offsets)
    sample = fragments[:: max(1, len(fragments) // SAMPLE_FRAGMENTS)]
    return replace(one, encoder=one.encoder.calibrated(codes, sample))


def embed_reference(one: Loaded, genome: Genome) -> tuple[Fragments, NDArray[np.float32]]:
    """All fragments of a genome, with a dense encoder's vectors."""
    codes = genome.fetch(0, genome.bases)
    fragments = one.fragmenter.reference(codes, genome.offsets)
    return fragments, one.encoder.embed(codes, fragments)
