"""A batch of reads as flat arrays, from parser to mapper to formatter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from esa.sequence.dna import LETTERS, N


@dataclass(frozen=True)
class ReadBatch:
    """n reads in order of input. If paired, reads 2 i and 2 i + 1 are the first and the second end of a pair.

    Attributes:
        names: ``uint8``, the names one after another, without ``/1``, ``/2`` and comment.
        name_offsets: ``int64[n + 1]``, read i is named ``names[name_offsets[i]:name_offsets[i + 1]]``.
        codes: ``uint8``, base codes (`esa.sequence.dna`) of the reads one after another, as sequenced.
        quals: ``uint8``, ASCII qualities (Phred + 33), laid out as ``codes``; undefined where `has_qual` is 0.
        offsets: ``int64[n + 1]``, read i holds ``codes[offsets[i]:offsets[i + 1]]``.
        has_qual: ``uint8[n]``, 0 for a read of a FASTA file.
        paired: whether the reads come in pairs.
    """

    names: NDArray[np.uint8]
    name_offsets: NDArray[np.int64]
    codes: NDArray[np.uint8]
    quals: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    has_qual: NDArray[np.uint8]
    paired: bool

    @classmethod
    def pair(cls, codes: NDArray[np.uint8]) -> ReadBatch:
        """One pair with the two halves of ``codes`` as its reads, and arbitrary name and qualities."""
        offsets = np.array([0, len(codes) // 2, len(codes)])
        return cls(
            LETTERS[codes[:2]],
            np.arange(3),
            codes,
            LETTERS[codes],
            offsets,
            np.ones(2, np.uint8),
            paired=True,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def name(self, i: int) -> str:
        """Name of read i."""
        return self.names[self.name_offsets[i] : self.name_offsets[i + 1]].tobytes().decode()

    def sequence(self, i: int) -> NDArray[np.uint8]:
        """Base codes of read i (a view)."""
        return self.codes[self.offsets[i] : self.offsets[i + 1]]

    def stretches(
        self, reads: NDArray[np.int32], low: NDArray[np.int64], high: NDArray[np.int64]
    ) -> ReadBatch:
        """Bases ``low:high`` of some reads as a batch of single reads without names and qualities.

        Args:
            reads: ``int32[m]``, indices of reads.
            low, high: ``int64[m]``, an interval of each, in the direction it was sequenced.
        """
        sizes = high - low
        offsets = np.zeros(len(reads) + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[reads] + low - offsets[:-1], sizes)
        nothing = np.empty(0, np.uint8)
        return ReadBatch(
            nothing, np.zeros(len(reads) + 1, np.int64), self.codes[places], nothing, offsets,
            np.zeros(len(reads), np.uint8), paired=False,
        )  # fmt: skip

    def padded(self, padding: int) -> ReadBatch:
        """The same reads with so many N on either side of each; the qualities are unchanged.

        This lets the fragmenter cut fragments that reach beyond the read: the reference may have them, too.
        """
        sizes = np.diff(self.offsets)
        offsets = np.zeros(len(self.offsets), np.int64)
        np.cumsum(sizes + 2 * padding, out=offsets[1:])
        codes = np.full(offsets[-1], N, np.uint8)
        codes[np.arange(len(self.codes)) + np.repeat(offsets[:-1] - self.offsets[:-1] + padding, sizes)] = (
            self.codes
        )
        return replace(self, codes=codes, offsets=offsets)
