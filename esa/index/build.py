"""The index of a reference: FASTA -> fragments -> embeddings -> store, kept in a directory (`esa.index.storage`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from esa.encoders.base import Encoder
from esa.encoders.registry import (
    create_encoder,
    encoder_on_device,
    recorded_fragmenter,
    shipped,
)
from esa.errors import FastaError, UsageError, needed_by
from esa.fragments.base import Fragmenter, Fragments
from esa.index.manifest import Manifest
from esa.index.open import STORE, Index, accelerator_for
from esa.index.presets import Preset, preset_named
from esa.index.storage import contigs_of, genome_arrays
from esa.index.writer import DirectoryWriter
from esa.io.fasta import read_fasta
from esa.sequence.genome import Genome
from esa.stores.base import Growing, Memory, Room

if TYPE_CHECKING:  # not torch
    pass

SUFFIX = ".esa"
GROUP_BASES = 1 << 24
"""Contigs are cut together until they have this many bases; longer ones are cut in pieces, if their fragments allow."""
CHUNK_FRAGMENTS = 1 << 16
"""Fragments embedded in one task."""
SAMPLE_FRAGMENTS = 100_000
"""Fragments that an encoder is calibrated on."""

Progress = Callable[[int], object]
"""Told of each number of bases done."""


@dataclass(frozen=True)
class IndexSummary:
    """What `build_index` did.

    Attributes:
        path: the directory.
        manifest: its manifest.
        seconds: wall time.
    """

    path: Path
    manifest: Manifest
    seconds: float


def default_path(reference: str) -> Path:
    """``REF.esa`` beside the reference; ``REF.gz.esa`` for a compressed one."""
    return Path(reference + SUFFIX)


def build_index(
    reference: str,
    path: Path,
    *,
    preset: str,
    encoder: str | None = None,
    threads: int = 1,
    device: str = "cpu",
    force: bool = False,
    progress: Progress = lambda bases: None,
) -> IndexSummary:
    """Index a FASTA into a directory, atomically.

    Args:
        device: of `esa.encoders.device.DEVICES`, where a dense encoder embeds.

    Raises:
        UsageError: an unknown preset or encoder, or a device that the preset has no use for.
        EsaError: no such device.
        MissingLibraryError: a library of a dense preset or encoder is not installed.
        FastaError: a reference that cannot be indexed.
        OutputError: a directory that cannot be made, or exists (without ``force``).
    """
    start = time.monotonic()
    chosen = preset_named(preset)
    name = encoder or shipped(chosen.default_encoder)
    fragmenter = fragmenter_for(chosen, name)
    with needed_by(f"encoder {encoder!r}" if encoder else f"preset {preset!r}"):
        embedder = create_encoder(name, chosen.kind, fragmenter.length)
    if (other := accelerator_for(device, chosen)) is not None:
        embedder = encoder_on_device(embedder, other)
    chosen.import_store()
    with DirectoryWriter(path, force) as directory:
        contents = read_fasta(reference)
        index, bare = assemble(
            contents.genome, chosen, fragmenter, embedder, threads, progress, _StoreRoom(directory)
        )
        if not len(index.store):
            raise FastaError(
                f"{reference}: no contig holds a fragment of {fragmenter.length} bases without N; "
                "give a longer reference"
            )
        for name, array in {
            **genome_arrays(index.genome),
            **_prefixed("encoder", index.encoder.arrays()),
            **_prefixed(STORE, index.store.arrays()),
        }.items():
            if name not in directory:
                directory.add(name, array)
        manifest = directory.commit(
            preset=preset,
            parameters={
                "fragmenter": index.fragmenter.parameters(),
                "encoder": index.encoder.parameters(),
                "store": index.store.parameters(),
            },
            contigs=contigs_of(index.genome),
            statistics={
                "n_bases": contents.n_bases,
                "iupac_bases": contents.iupac_bases,
                "fragments": len(index.store),
                "contigs_without_fragments": bare,
            },
            threads=threads,
        )
    return IndexSummary(path, manifest, time.monotonic() - start)


def fragmenter_for(preset: Preset, encoder: str) -> Fragmenter:
    """The preset's fragmenter, as the encoder was trained for it.

    Raises:
        UsageError, EsaError: as `esa.encoders.registry.create_encoder`, or an encoder of another preset's fragments.
    """
    recorded = recorded_fragmenter(encoder, preset.kind)
    try:
        return preset.fragmenter(recorded)
    except (TypeError, ValueError) as error:
        raise UsageError(f"encoder {encoder!r} does not fit preset {preset.name!r} ({error})") from error


def assemble(
    genome: Genome,
    preset: Preset,
    fragmenter: Fragmenter,
    encoder: Encoder,
    threads: int = 1,
    progress: Progress = lambda bases: None,
    room: Room | None = None,
) -> tuple[Index, int]:
    """The index of a genome, and how many contigs have no fragment. A large store is built in ``room``."""
    encoder = _calibrate(genome, fragmenter, encoder)
    builder = preset.builder(genome, encoder, threads, room or Memory())
    cut_from = np.zeros(len(genome.names), np.bool_)
    with ThreadPoolExecutor(threads) as pool:
        for piece, codes, fragments in _cut(genome, fragmenter, pool):
            cut_from[piece.first + fragments.owner] = True
            chunks = list(_chunks(fragments))
            told = piece.own_start - piece.start
            embeddings = _in_order(pool, encoder, codes, chunks, threads)
            for chunk, embedded in zip(chunks, embeddings, strict=True):
                builder.add(embedded, chunk.start + piece.start, chunk.reverse)
                progress(int(chunk.start[-1]) - told)
                told = int(chunk.start[-1])
            progress(piece.own_end - piece.start - told)
    index = Index(preset, genome, fragmenter, encoder, builder.finish())
    return index, int(np.count_nonzero(~cut_from))


@dataclass(frozen=True)
class _StoreRoom(Room):
    """Room for the arrays of a store in the directory that is made."""

    directory: DirectoryWriter

    def grow(self, name: str, dtype: DTypeLike, row: tuple[int, ...]) -> Growing:
        return self.directory.grow(f"{STORE}_{name}", dtype, row)


@dataclass(frozen=True)
class _Piece:
    """Contigs, or a part of one, that are cut together (global, half-open).

    Attributes:
        first, last: the contigs, half-open.
        start, end: bases that are looked at.
        own_start, own_end: where the fragments begin that are taken from it.
    """

    first: int
    last: int
    start: int
    end: int
    own_start: int
    own_end: int


def _cut(
    genome: Genome, fragmenter: Fragmenter, pool: ThreadPoolExecutor
) -> Iterator[tuple[_Piece, NDArray[np.uint8], Fragments]]:
    """The pieces of a genome, their bases and fragments in order; the next piece is cut ahead."""

    def cut(piece: _Piece) -> tuple[_Piece, NDArray[np.uint8], Fragments]:
        codes = genome.fetch(piece.start, piece.end)
        offsets = np.clip(genome.offsets[piece.first : piece.last + 1], piece.start, piece.end) - piece.start
        fragments = fragmenter.reference(codes, offsets)
        if (piece.own_start, piece.own_end) != (piece.start, piece.end):
            own = np.array([piece.own_start, piece.own_end]) - piece.start
            begin, end = np.searchsorted(fragments.start, own).tolist()
            fragments = fragments[begin:end]
        return piece, codes, fragments

    ahead = None
    for piece in _pieces(genome, fragmenter.context):
        behind, ahead = ahead, pool.submit(cut, piece)
        if behind is not None:
            yield behind.result()
    if ahead is not None:
        yield ahead.result()


def _pieces(genome: Genome, context: int | None) -> Iterator[_Piece]:
    """Runs of contigs of about `GROUP_BASES` together, and pieces of so many bases of longer contigs."""
    for first, last in _groups(genome):
        start, end = int(genome.offsets[first]), int(genome.offsets[last])
        if context is None or end - start <= GROUP_BASES:
            yield _Piece(first, last, start, end, start, end)
            continue
        for own in range(start, end, GROUP_BASES):
            own_end = min(end, own + GROUP_BASES)
            yield _Piece(first, last, max(start, own - context), min(end, own_end + context), own, own_end)


def _in_order(
    pool: ThreadPoolExecutor,
    encoder: Encoder,
    codes: NDArray[np.uint8],
    chunks: list[Fragments],
    threads: int,
) -> Iterator[NDArray[Any]]:
    """Embeddings of the chunks, a few ahead of the consumer: all at once would not fit."""
    for begin in range(0, len(chunks), 2 * threads):
        yield from pool.map(lambda chunk: encoder.embed(codes, chunk), chunks[begin : begin + 2 * threads])


def _calibrate(genome: Genome, fragmenter: Fragmenter, encoder: Encoder) -> Encoder:
    """The encoder fitted to fragments from evenly spread places of the genome."""
    windows = 64
    width = GROUP_BASES // windows
    starts = np.unique(np.linspace(0, max(0, genome.bases - width), windows).astype(np.int64))
    pieces = [genome.fetch(int(s), min(genome.bases, int(s) + width)) for s in starts]
    offsets = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype(np.int64)
    codes = np.concatenate(pieces)
    fragments = fragmenter.reference(codes, offsets)
    step = max(1, len(fragments) // SAMPLE_FRAGMENTS)
    return encoder.calibrated(codes, fragments[::step])


def _groups(genome: Genome) -> Iterator[tuple[int, int]]:
    """Runs of contigs of about `GROUP_BASES` together."""
    begin = 0
    while begin < len(genome.names):
        limit = genome.offsets[begin] + GROUP_BASES
        end = max(begin + 1, int(np.searchsorted(genome.offsets, limit, side="right")) - 1)
        yield begin, end
        begin = end


def _chunks(fragments: Fragments) -> Iterator[Fragments]:
    for begin in range(0, len(fragments), CHUNK_FRAGMENTS):
        yield fragments[begin : begin + CHUNK_FRAGMENTS]


def _prefixed(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{prefix}_{name}": array for name, array in arrays.items()}
