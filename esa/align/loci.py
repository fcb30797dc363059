"""Candidates and loci: the flat arrays that pass between the stages of the mapper."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Candidates(NamedTuple):
    """Places where a read may belong, grouped by read, the most promising first.

    offsets: ``int64[reads + 1]``, read i has candidates ``offsets[i]:offsets[i + 1]``.
    diagonal: ``int64``, global position of the base that pairs with the first base of the read, in the
        orientation in which it aligns; may lie outside the contig where the read hangs over its end.
    reverse: ``uint8``, 1 where the read aligns as its reverse complement.
    contig: ``int32``.
    weight: ``int32``, evidence.
    capped: ``uint8[reads]``, 1 where a limit cut hits or candidates off.
    """

    offsets: NDArray[np.int64]
    diagonal: NDArray[np.int64]
    reverse: NDArray[np.uint8]
    contig: NDArray[np.int32]
    weight: NDArray[np.int32]
    capped: NDArray[np.uint8]


class Loci(NamedTuple):
    """Verified places of each read, best score first; row i belongs to read i, ``count[i]`` entries of it count.

    count: ``int32[reads]``.
    score: ``int32[reads, max_loci]``, alignment score (AS).
    diagonal, reverse, contig: as in `Candidates`.
    start, end: ``int64``, global interval of the reference that the alignment covers.
    band: ``int32``, half-width of the band that holds the alignment; 0: it has no gaps.
    capped: ``uint8[reads]``, 1 where a limit may have hidden a locus.
    """

    count: NDArray[np.int32]
    score: NDArray[np.int32]
    diagonal: NDArray[np.int64]
    reverse: NDArray[np.uint8]
    contig: NDArray[np.int32]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    band: NDArray[np.int32]
    capped: NDArray[np.uint8]

    @classmethod
    def empty(cls, reads: int, max_loci: int) -> Loci:
        """No loci for any read."""
        shape = (reads, max_loci)
        return cls(
            count=np.zeros(reads, np.int32),
            score=np.zeros(shape, np.int32),
            diagonal=np.zeros(shape, np.int64),
            reverse=np.zeros(shape, np.uint8),
            contig=np.zeros(shape, np.int32),
            start=np.zeros(shape, np.int64),
            end=np.zeros(shape, np.int64),
            band=np.zeros(shape, np.int32),
            capped=np.zeros(reads, np.uint8),
        )


class Reference(NamedTuple):
    """What kernels need of a `esa.genome.Genome`.

    packed, n_starts, n_ends, offsets: as there.
    """

    packed: NDArray[np.uint8]
    n_starts: NDArray[np.int64]
    n_ends: NDArray[np.int64]
    offsets: NDArray[np.int64]
