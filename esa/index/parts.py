"""The parts of an index (genome, encoder, store) as the named arrays and contigs that its directory holds.

The names of a part's arrays begin with the part's own: ``genome_packed``, ``encoder_table``, ``store_entries``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from esa.index.manifest import Contig, Manifest, refusal
from esa.kernels.madvise import in_large_pages
from esa.sequence.genome import Genome

GENOME, ENCODER, STORE = "genome", "encoder", "store"

Arrays = Mapping[str, NDArray[Any]]


def array_name(part: str, name: str) -> str:
    """Name in the index of a part's array."""
    return f"{part}_{name}"


def with_prefix(part: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """A part's arrays under their names in the index."""
    return {array_name(part, name): array for name, array in arrays.items()}


def without_prefix(part: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays of one part of an index, under the part's own names."""
    prefix = array_name(part, "")
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def contigs_of(genome: Genome) -> tuple[Contig, ...]:
    """The genome's contigs, for the manifest."""
    return tuple(map(Contig, genome.names, genome.lengths.tolist(), genome.m5))


def genome_arrays(genome: Genome) -> dict[str, NDArray[Any]]:
    """The arrays of a genome by their names in the index; the manifest has the rest (`contigs_of`)."""
    return with_prefix(
        GENOME, {"packed": genome.packed, "n_starts": genome.n_starts, "n_ends": genome.n_ends}
    )


def genome_from(manifest: Manifest, arrays: Arrays, path: Path | str = "index") -> Genome:
    """The genome of an open index, on its mapped arrays; the kernel is advised to keep the bases in huge pages.

    Raises:
        IndexFormatError: the arrays are missing or do not fit the contigs.
    """
    packed = _required(arrays, GENOME, "packed", np.uint8, path)
    starts = _required(arrays, GENOME, "n_starts", np.int64, path)
    ends = _required(arrays, GENOME, "n_ends", np.int64, path)
    if len(packed) != -(-manifest.bases // 4):
        raise refusal(path, f"'genome_packed' holds {len(packed)} bytes for {manifest.bases} bases")
    bounds = np.empty(2 * len(starts), np.int64)
    if len(starts) == len(ends):
        bounds[0::2], bounds[1::2] = starts, ends
    if len(starts) != len(ends) or (
        len(bounds) and (bounds[0] < 0 or bounds[-1] > manifest.bases or (bounds[1:] < bounds[:-1]).any())
    ):
        raise refusal(path, "'genome_n_starts' and 'genome_n_ends' are no sorted runs inside the genome")
    in_large_pages(packed)
    return Genome(
        names=tuple(contig.name for contig in manifest.contigs),
        lengths=np.array([contig.length for contig in manifest.contigs], np.int64),
        m5=tuple(contig.m5 for contig in manifest.contigs),
        packed=packed,
        n_starts=starts,
        n_ends=ends,
    )


def _required(arrays: Arrays, part: str, name: str, dtype: DTypeLike, path: Path | str) -> NDArray[Any]:
    """A part's array of one dimension.

    Raises:
        IndexFormatError: there is none, or it is of another dtype or number of dimensions.
    """
    full_name = array_name(part, name)
    array = arrays.get(full_name)
    if array is None:
        raise refusal(path, f"holds no array '{full_name}'")
    if array.dtype != np.dtype(dtype) or array.ndim != 1:
        raise refusal(path, f"array '{full_name}' is {array.dtype} in {array.ndim} dimensions")
    return array
