"""Presets: combinations of fragmenter, encoder, store and levels of the search.

Stores are imported when a preset needs them, so that `esa align` with the default preset never imports faiss.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from esa.align.ladders import ANCHORED, DENSE
from esa.align.levels import Level
from esa.encoders.base import Encoder
from esa.encoders.registry import Kind
from esa.errors import UsageError, needed_by
from esa.fragments.base import Fragmenter
from esa.fragments.minimizers import MinimizerFragmenter
from esa.sequence.genome import Genome
from esa.stores.base import ArrayStorage, Store, StoreBuilder


class Preset(Protocol):
    """A combination of fragmenter, encoder and store.

    Attributes:
        name: as in ``--preset`` and in the manifest.
        kind: the kind of encoder that fits the store.
        default_encoder: name of the encoder without ``--encoder``.
        levels: escalation ladder of `esa align`.
    """

    name: str
    kind: Kind
    default_encoder: str
    levels: tuple[Level, ...]

    def fragmenter(self, parameters: Mapping[str, Any]) -> Fragmenter:
        """The fragmenter with these parameters (from the manifest or an encoder), defaults for the rest."""

    def import_store(self) -> None:
        """Import the libraries of the store, before any work is done.

        Raises:
            MissingLibraryError: one is not installed.
        """

    def builder(self, genome: Genome, encoder: Encoder, threads: int, storage: ArrayStorage) -> StoreBuilder:
        """A builder of the store; arrays that may exceed memory grow in ``storage``."""

    def load_store(self, parameters: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Store:
        """The store with the parameters and arrays that an index holds."""


class Anchored(Preset):
    """Fragments around minimizers, learned 64-bit codes, buckets by key with multi-probe search."""

    name = "anchored"
    kind: Kind = "codes"
    default_encoder = "codes"
    levels = ANCHORED

    def fragmenter(self, parameters: Mapping[str, Any]) -> Fragmenter:
        """Minimizer fragments."""
        return MinimizerFragmenter(**parameters)

    def import_store(self) -> None:
        """A plain installation has all libraries."""

    def builder(self, genome: Genome, encoder: Encoder, threads: int, storage: ArrayStorage) -> StoreBuilder:
        """A builder of buckets by key."""
        from esa.stores.code_builder import CodeStoreBuilder

        return CodeStoreBuilder(genome.bases)

    def load_store(self, parameters: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Store:
        """Buckets by key."""
        from esa.stores.codes import CodeStore

        return CodeStore.from_arrays(parameters, arrays)


class Dense(Preset):
    """Long overlapping fragments of fixed stride, one vector each, searched by faiss."""

    kind: Kind = "dense"
    levels = DENSE

    def __init__(self, name: str) -> None:
        # Each dense preset is named after its encoder.
        self.name = self.default_encoder = name

    def fragmenter(self, parameters: Mapping[str, Any]) -> Fragmenter:
        """Fragments of fixed stride."""
        from esa.fragments.fixed import FixedFragmenter

        return FixedFragmenter(**parameters)

    def import_store(self) -> None:
        with needed_by(f"preset {self.name!r}"):
            import esa.stores.scanner  # noqa: F401

    def builder(self, genome: Genome, encoder: Encoder, threads: int, storage: ArrayStorage) -> StoreBuilder:
        """A builder of a faiss store."""
        from esa.stores.dense_builder import DenseStoreBuilder

        return DenseStoreBuilder(encoder.dimensions, threads=threads, storage=storage)

    def load_store(self, parameters: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Store:
        """A faiss store."""
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
