"""Opens an index directory as objects in memory, ready to be searched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from esa.encoders.base import Encoder
from esa.encoders.device import accelerator
from esa.encoders.registry import encoder_on_device, load_encoder
from esa.errors import UsageError, needed_by
from esa.fragments.base import Fragmenter
from esa.index.manifest import refusal
from esa.index.parts import ENCODER, STORE, genome_from, without_prefix
from esa.index.presets import Preset, preset_named
from esa.index.reader import open_directory, require_whole
from esa.sequence.genome import Genome
from esa.stores.base import Store

if TYPE_CHECKING:  # not torch
    from esa.encoders.device import Device


@dataclass(frozen=True)
class Index:
    """An index in memory, ready to be searched.

    Attributes:
        preset: names the kinds of the parts, and gives the levels of the search.
        genome, fragmenter, encoder, store: the parts.
        path, arrays: the directory and its memory-mapped arrays; none if it was made in memory.
    """

    preset: Preset
    genome: Genome
    fragmenter: Fragmenter
    encoder: Encoder
    store: Store
    path: str = ""
    arrays: tuple[NDArray[Any], ...] = ()

    def require_whole(self) -> None:
        """Check that the files of the index were not cut since it was opened (`esa.index.reader.require_whole`).

        Raises:
            IndexFormatError: one was.
        """
        require_whole(self.path, self.arrays)


def open_index(path: str, threads: int = 1, device: str = "cpu") -> Index:
    """Open an index directory, its arrays memory-mapped.

    Args:
        path: the directory.
        threads: files read at a time to check digests.
        device: one of `esa.encoders.device.DEVICES`; if not the CPU, a dense store keeps its vectors there.

    Raises:
        IndexFormatError: the index is missing, of another version, truncated or altered.
        UsageError: a device that the preset has no use for.
        EsaError: no such device.
        MissingLibraryError: a library of a dense preset or encoder is not installed.
    """
    manifest, arrays = open_directory(path, threads=threads)
    try:
        preset = preset_named(manifest.preset)
        parameters = manifest.parameters
        with needed_by(f"index {path}"):
            index = Index(
                preset=preset,
                genome=genome_from(manifest, arrays, path),
                fragmenter=preset.fragmenter(parameters["fragmenter"]),
                encoder=load_encoder(parameters["encoder"], without_prefix(ENCODER, arrays)),
                store=preset.load_store(parameters["store"], without_prefix(STORE, arrays)),
                path=path,
                arrays=tuple(arrays.values()),
            )
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise refusal(path, f"its parts do not fit each other ({error})") from error
    other = accelerator_for(device, preset)
    return index if other is None else on_device(index, other)


def on_device(index: Index, device: Device) -> Index:
    """An index of a dense preset that embeds on a device and searches there, exactly."""
    from esa.stores.dense import DenseStore
    from esa.stores.on_device import store_on_device

    assert isinstance(index.store, DenseStore)
    return replace(
        index,
        encoder=encoder_on_device(index.encoder, device),
        store=store_on_device(index.store, device),
    )


def accelerator_for(device: str, preset: Preset) -> Device | None:
    """The device, or None for the CPU.

    Raises:
        UsageError: the preset runs on the CPU alone.
        EsaError: no such device.
    """
    if preset.kind == "dense":
        return accelerator(device)
    if device == "cuda":
        raise UsageError(f"preset {preset.name!r} runs on the CPU alone; --device cuda is for the dense ones")
    return None
