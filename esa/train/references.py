"""The sequences that an encoder is trained on, and those held out for validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esa.errors import EsaError
from esa.eval.recall import ReadSet, simulate_reads
from esa.io.fasta import read_genome
from esa.sequence.dna import N
from esa.sequence.genome import Genome

VALIDATION_SHARE = 10
"""One base in so many is held out for validation, at the end of each reference."""

MIN_BASES = 100_000
"""Bases of all references together that training needs."""


def read_references(paths: Sequence[str]) -> tuple[Genome, Genome]:
    """The references as a genome to train on and one to validate on, without common bases.

    The last tenth of each reference is held out for validation; a contig that reaches into it is cut in two.

    Raises:
        FastaError: a reference cannot be read.
        EsaError: the references are too small to train on.
    """
    training: dict[str, NDArray[np.uint8]] = {}
    validation: dict[str, NDArray[np.uint8]] = {}
    for number, path in enumerate(paths):
        genome = read_genome(path)
        limit = genome.bases - genome.bases // VALIDATION_SHARE
        for i, name in enumerate(genome.names):
            codes = genome.contig(i)
            cut = int(np.clip(limit - genome.offsets[i], 0, len(codes)))
            for contigs, piece in ((training, codes[:cut]), (validation, codes[cut:])):
                if len(piece):
                    contigs[f"{number}:{Path(path).name}:{name}"] = piece
    one, other = Genome.of_contigs(training), Genome.of_contigs(validation)
    if one.bases + other.bases < MIN_BASES:
        raise EsaError(
            f"{', '.join(paths)}: {one.bases + other.bases:,} bases are too few to train on; "
            f"give references of {MIN_BASES:,} bases or more"
        )
    return one, other


def fenced(genome: Genome) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Base codes with an N behind each contig, so that noise does not reach into the next, and the contigs' bounds."""
    pieces = [np.append(genome.contig(i), np.uint8(N)) for i in range(len(genome.names))]
    offsets = genome.offsets + np.arange(len(genome.offsets))
    return np.concatenate([np.empty(0, np.uint8), *pieces]), offsets


def validation_reads(
    genome: Genome, sets: Sequence[tuple[int, float]], count: int, seed: int
) -> dict[str, ReadSet]:
    """Simulated reads of each set, by the name of their curve.

    Args:
        genome: to draw them from.
        sets: length in bases and substitutions per base of each set.
        count: reads per set.
        seed: of all that is drawn.

    Raises:
        EsaError: the genome is too small, or in too many pieces.
    """
    try:
        return {
            f"{length} bp {substitutions:.0%}": simulate_reads(genome, count, length, substitutions, seed)
            for length, substitutions in sets
        }
    except EsaError as error:
        longest = max(length for length, _ in sets)
        raise EsaError(
            f"the last tenth of the references, kept for validation, gives no reads of {longest} bases; "
            "give references with longer contigs, or fewer N"
        ) from error
