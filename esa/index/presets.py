"""Presets: which fragmenter, encoder and store go together, and how hard reads are searched.

Modules with heavy imports (faiss) are imported when a preset needs them, so that `esa align` on the default
preset starts without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from esa.align.levels import ANCHORED_LEVELS, DENSE_LEVELS
from esa.align.stages import Stage
from esa.encoders.base import Encoder
from esa.encoders.registry import Kind
from esa.errors import UsageError
from esa.fragments.base import Fragmenter
from esa.fragments.minimizers import MinimizerFragmenter
from esa.sequence.genome import Genome
from esa.stores.base import Room, Store, StoreBuilder


class Preset(Protocol):
    """One Fragmenter x Encoder x Store.

    Attributes:
        name: what the user says and the manifest records.
        kind: encoders that fit the store.
        default_encoder: the encoder's name, unless the user says another.
        levels: the escalation of `esa align`.
    """

    name: str
    kind: Kind
    default_encoder: str
    levels: tuple[Stage, ...]

    def fragmenter(self, parameters: Mapping[str, Any]) -> Fragmenter:
        """The fragmenter with these parameters (those of the manifest), else the defaults."""

    def builder(self, genome: Genome, encoder: Encoder, threads: int, room: Room) -> StoreBuilder:
        """An empty store for a genome's fragments; what it holds more than memory may, it keeps in ``room``."""

    def load_store(self, parameters: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Store:
        """The store that the index keeps."""


class Anchored(Preset):
    """Content-defined fragments, 64-bit codes, bucketed multi-probe."""

    name = "anchored"
    kind: Kind = "codes"
    default_encoder = "codes"
    levels = ANCHORED_LEVELS

    def fragmenter(self, parameters: Mapping[str, Any]) -> Fragmenter:
        return MinimizerFragmenter(**parameters)

    def builder(self, genome: Genome, encoder: Encoder, threads: int, room: Room) -> StoreBuilder:
        from esa.stores.code_builder import CodeStoreBuilder

        return CodeStoreBuilder(genome.bases)

    def load_store(self, parameters: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Store:
        from esa.stores.codes import CodeStore

        return CodeStore.from_arrays(parameters, arrays)


class Dense(Preset):
    """Long overlapping fragments of fixed stride, one vector each, faiss."""

    kind: Kind = "dense"
    levels = DENSE_LEVELS

    def __init__(self, name: str) -> None:
        # Each dense preset is named after its encoder.
        self.name = self.default_encoder = name

    def fragmenter(self, parameters: Mapping[str, Any]) -> Fragmenter:
        from esa.fragments.fixed import FixedFragmenter

        return FixedFragmenter(**parameters)

    def builder(self, genome: Genome, encoder: Encoder, threads: int, room: Room) -> StoreBuilder:
        from esa.stores.dense_builder import DenseStoreBuilder

        return DenseStoreBuilder(encoder.dimensions, threads=threads, room=room)

    def load_store(self, parameters: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Store:
        from esa.stores.dense import DenseStore

        return DenseStore.from_arrays(parameters, arrays)


PRESETS: dict[str, Preset] = {preset.name: preset for preset in (Anchored(), Dense("sketch"), Dense("rde"))}
DEFAULT_PRESET = Anchored.name


def preset_named(name: str) -> Preset:
    """The preset of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in PRESETS:
        raise UsageError(f"unknown preset {name!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[name]
