"""Builds the index of a reference: FASTA -> fragments -> embeddings -> store -> directory (`esa.index.writer`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from esa.encoders.base import Encoder
from esa.encoders.registry import create_encoder, encoder_on_device, recorded_fragmenter, shipped
from esa.errors import FastaError, UsageError, needed_by
from esa.fragments.base import Fragmenter, Fragments
from esa.index.manifest import Manifest
from esa.index.open import Index, accelerator_for
from esa.index.parts import ENCODER, STORE, array_name, contigs_of, genome_arrays, with_prefix
from esa.index.presets import DEFAULT_PRESET, Preset, preset_named
from esa.index.writer import DirectoryWriter
from esa.io.fasta import read_fasta
from esa.sequence.genome import Genome
from esa.stores.base import ArrayStorage, Growing, MemoryStorage

SUFFIX = ".esa"
GROUP_BASES = 1 << 24
"""Bases that are fragmented together: contigs up to so many in all, or a piece of a longer contig.

Longer contigs are cut only if the fragmenter allows (`esa.fragments.base.Fragmenter.context`)."""
CHUNK_FRAGMENTS = 1 << 16
"""Fragments embedded in one task."""
SAMPLE_FRAGMENTS = 100_000
"""Fragments that an encoder is calibrated on, about."""

Progress = Callable[[int], object]
"""Called with each number of bases done."""


@dataclass(frozen=True)
class BuildOptions:
    """How to build an index.

    Attributes:
        preset: name of a preset (`esa.index.presets`).
        encoder: name or directory of an encoder, in place of the preset's own.
        threads: worker threads.
        device: one of `esa.encoders.device.DEVICES`, where a dense encoder embeds.
        force: replace an existing index.
        no_eof_check: take a bgzip reference without its end-of-file block.
    """

    preset: str = DEFAULT_PRESET
    encoder: str | None = None
    threads: int = 1
    device: str = "cpu"
    force: bool = False
    no_eof_check: bool = False


@dataclass(frozen=True)
class IndexSummary:
    """What `build_index` did.

    Attributes:
        path: the index directory.
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
    reference: str, path: Path, options: BuildOptions, progress: Progress = lambda bases: None
) -> IndexSummary:
    """Index a FASTA into a directory, atomically.

    Raises:
        UsageError: an unknown preset or encoder, or a device that the preset has no use for.
        EsaError: no such device.
        MissingLibraryError: a library of a dense preset or encoder is not installed.
        FastaError: the reference cannot be indexed.
        OutputError: the directory cannot be made, or exists (without ``force``).
    """
    start = time.monotonic()
    preset = preset_named(options.preset)
    encoder_name = options.encoder or shipped(preset.default_encoder)
    fragmenter = fragmenter_for(preset, encoder_name)
    with needed_by(f"encoder {options.encoder!r}" if options.encoder else f"preset {options.preset!r}"):
        encoder = create_encoder(encoder_name, preset.kind, fragmenter.length)
    if (device := accelerator_for(options.device, preset)) is not None:
        encoder = encoder_on_device(encoder, device)
    preset.import_store()
    with DirectoryWriter(path, options.force) as directory:
        contents = read_fasta(reference, not options.no_eof_check)
        storage = _DirectoryStorage(directory)
        index, bare = assemble(
            contents.genome, preset, fragmenter, encoder, options.threads, progress, storage
        )
        if not len(index.store):
            raise FastaError(
                f"{reference}: no contig holds a fragment of {fragmenter.length} bases without N; "
                "give a longer reference"
            )
        _add_arrays(directory, index)
        manifest = directory.commit(
            preset=options.preset,
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
            threads=options.threads,
        )
    return IndexSummary(path, manifest, time.monotonic() - start)


def _add_arrays(directory: DirectoryWriter, index: Index) -> None:
    """Write the arrays of an index, but for those of the store that were written as they grew."""
    arrays = {
        **genome_arrays(index.genome),
        **with_prefix(ENCODER, index.encoder.arrays()),
        **with_prefix(STORE, index.store.arrays()),
    }
    for name, array in arrays.items():
        if name not in directory:
            directory.add(name, array)


def fragmenter_for(preset: Preset, encoder: str) -> Fragmenter:
    """The preset's fragmenter, as the encoder was trained for it.

    Raises:
        UsageError: an unknown encoder, or one trained on fragments of another preset.
        EsaError: as `esa.encoders.registry.create_encoder`.
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
    storage: ArrayStorage | None = None,
) -> tuple[Index, int]:
    """Build the index of a genome in memory.

    Args:
        storage: where a store keeps arrays that may exceed memory; memory itself if None.

    Returns:
        The index, and the number of contigs without a fragment.
    """
    encoder = _calibrate(genome, fragmenter, encoder)
    builder = preset.builder(genome, encoder, threads, storage or MemoryStorage())
    cut_from = np.zeros(len(genome.names), np.bool_)
    with ThreadPoolExecutor(threads) as pool:
        for piece, codes, fragments in _cut(genome, fragmenter, pool):
            cut_from[piece.first + fragments.owner] = True
            chunks = list(_chunks(fragments))
            reported = piece.own_start - piece.start
            embeddings = _in_order(pool, encoder, codes, chunks, threads)
            for chunk, embedded in zip(chunks, embeddings, strict=True):
                builder.add(embedded, chunk.start + piece.start, chunk.reverse)
                progress(int(chunk.start[-1]) - reported)
                reported = int(chunk.start[-1])
            progress(piece.own_end - piece.start - reported)
    index = Index(preset, genome, fragmenter, encoder, builder.finish())
    return index, int(np.count_nonzero(~cut_from))


@dataclass(frozen=True)
class _DirectoryStorage(ArrayStorage):
    """Files of the index directory for arrays of a store that grow by rows."""

    directory: DirectoryWriter

    def grow(self, name: str, dtype: DTypeLike, row: tuple[int, ...]) -> Growing:
        return self.directory.grow(array_name(STORE, name), dtype, row)


@dataclass(frozen=True)
class _Piece:
    """Contigs, or a stretch of one, that are fragmented together.

    Attributes:
        first, last: the contigs, half-open.
        start, end: global positions of the bases fetched, half-open: the piece and its context.
        own_start, own_end: global positions at which this piece's own fragments start, half-open.
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
    """The pieces of a genome in order, each with its bases and its fragments; one piece is prepared ahead."""

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
    """Runs of contigs of about `GROUP_BASES` in all, and pieces of `GROUP_BASES` of longer contigs."""
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
    """Embeddings of the chunks in order; a few are computed ahead, as all of them may exceed memory."""
    for begin in range(0, len(chunks), 2 * threads):
        yield from pool.map(lambda chunk: encoder.embed(codes, chunk), chunks[begin : begin + 2 * threads])


def _calibrate(genome: Genome, fragmenter: Fragmenter, encoder: Encoder) -> Encoder:
    """The encoder calibrated on fragments from evenly spaced windows of the genome."""
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
    """Runs of contigs (first, last; half-open) of about `GROUP_BASES` in all."""
    begin = 0
    while begin < len(genome.names):
        limit = genome.offsets[begin] + GROUP_BASES
        end = max(begin + 1, int(np.searchsorted(genome.offsets, limit, side="right")) - 1)
        yield begin, end
        begin = end


def _chunks(fragments: Fragments) -> Iterator[Fragments]:
    for begin in range(0, len(fragments), CHUNK_FRAGMENTS):
        yield fragments[begin : begin + CHUNK_FRAGMENTS]
