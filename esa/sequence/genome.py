"""The reference in memory: contigs laid end to end in one 2-bit packed sequence.

A *global* position is a 0-based offset into that sequence. Only this module and `esa.io` turn it into (contig,
position).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from esa.sequence import dna


@dataclass(frozen=True)
class Genome:
    """Contigs and their bases.

    Attributes:
        names: contig names, unique, in FASTA order.
        lengths: ``int64[contigs]``, bases of each.
        m5: MD5 of each original upper-cased sequence, 32 hex digits (the M5 of SAM's @SQ).
        packed: ``uint8[ceil(bases / 4)]``, 2 bits a base (`esa.sequence.dna`).
        n_starts, n_ends: ``int64[runs]``, the runs of N in global positions, half-open, sorted, disjoint.
    """

    names: tuple[str, ...]
    lengths: NDArray[np.int64]
    m5: tuple[str, ...]
    packed: NDArray[np.uint8]
    n_starts: NDArray[np.int64]
    n_ends: NDArray[np.int64]

    @classmethod
    def of_contigs(cls, contigs: Mapping[str, NDArray[np.uint8]]) -> Genome:
        """A genome of contigs given as base codes (``uint8[bases]``) by name; its ``m5`` are empty."""
        lengths = np.array([len(codes) for codes in contigs.values()], np.int64)
        codes = np.concatenate([np.empty(0, np.uint8), *contigs.values()])
        packed = np.empty(-(-len(codes) // dna.BASES_PER_BYTE), np.uint8)
        dna.pack(codes, packed)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], codes == dna.N, [False]]).astype(np.int8)))
        return cls(tuple(contigs), lengths, ("",) * len(contigs), packed, edges[::2], edges[1::2])

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """``int64[contigs + 1]``: contig i occupies global positions ``[offsets[i], offsets[i + 1])``."""
        offsets = np.zeros(len(self.lengths) + 1, np.int64)
        np.cumsum(self.lengths, out=offsets[1:])
        return offsets

    @property
    def bases(self) -> int:
        """Number of bases of all contigs."""
        return int(self.offsets[-1])

    def fetch(self, start: int, end: int) -> NDArray[np.uint8]:
        """Base codes (``uint8[end - start]``) of the global interval ``[start, end)``.

        Raises:
            ValueError: The interval is not within the genome.
        """
        if not 0 <= start <= end <= self.bases:
            raise ValueError(f"interval [{start}, {end}) outside the genome of {self.bases} bases")
        out = np.empty(end - start, np.uint8)
        dna.unpack(self.packed, self.n_starts, self.n_ends, start, end, out)
        return out

    def contig(self, index: int) -> NDArray[np.uint8]:
        """Base codes of one contig, given its index."""
        return self.fetch(int(self.offsets[index]), int(self.offsets[index + 1]))
