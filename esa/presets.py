"""Presets: which fragmenter, encoder and store go together, and how hard reads are searched."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from esa.align.config import ANCHORED_LEVELS, DENSE_LEVELS, Level
from esa.encoders.base import Encoder
from esa.fragments import Fragmenter
from esa.genome import Genome
from esa.stores.base import Store, StoreBuilder

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Preset:
    """One Fragmenter x Encoder x Store.

    Attributes:
        name: what the user says and the manifest records.
        levels: the escalation of `esa align`.
        fragmenter: makes the fragmenter from its recorded parameters (none: the defaults).
        encoder: makes the encoder for a new index, for fragments of a length.
        load_encoder: makes the encoder from its recorded parameters and arrays.
        builder: starts a store for a genome.
        load_store: makes the store from its recorded parameters and arrays.

    Modules with heavy imports are imported when a preset is used, so that `esa align` on the default preset
    starts without them.
    """

    name: str
    levels: tuple[Level, ...]
    fragmenter: Callable[[Mapping[str, Any]], Fragmenter]
    encoder: Callable[[int], Encoder]
    load_encoder: Callable[[Mapping[str, Any], Arrays], Encoder]
    builder: Callable[[Genome], StoreBuilder]
    load_store: Callable[[Mapping[str, Any], Arrays], Store]


def _anchored() -> Preset:
    fragments = importlib.import_module("esa.fragments")
    codes = importlib.import_module("esa.encoders.codes")
    projection = importlib.import_module("esa.encoders.projection")
    store = importlib.import_module("esa.stores.codes")
    return Preset(
        name="anchored",
        levels=ANCHORED_LEVELS,
        fragmenter=lambda parameters: fragments.AnchoredFragmenter(**parameters),
        encoder=projection.ProjectionEncoder.untrained,
        load_encoder=lambda _, arrays: codes.CodeEncoder(arrays["table"], arrays["bias"]),
        builder=lambda genome: store.CodeStoreBuilder(genome.bases),
        load_store=lambda parameters, arrays: store.CodeStore(
            arrays["codes"], arrays["position"], arrays["buckets"], parameters["key_bits"]
        ),
    )


PRESETS: dict[str, Callable[[], Preset]] = {"anchored": _anchored}
DEFAULT = "anchored"
