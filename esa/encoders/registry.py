"""Encoders by name, and encoders kept in a directory.

A directory holds ``encoder.json`` (what the index manifest records of an encoder, and the digest of the weights)
and ``weights.safetensors``. Never pickles.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from esa.encoders.base import Encoder
from esa.errors import EsaError, UsageError

Kind = Literal["codes", "dense"]
"""Which stores an encoder's vectors fit."""

ENCODERS: dict[str, Kind] = {
    "projection": "codes",
    "codes": "codes",
    "sketch": "dense",
    "rde": "dense",
    "hf": "dense",
}
UNTRAINED = ("projection", "sketch")
"""Encoders that need no weights."""

SHIPPED = ("codes", "rde")
"""Encoders whose weights come with the package, each in a directory of its name in `WEIGHTS`."""

BY_NAME = SHIPPED + UNTRAINED

WEIGHTS = Path(__file__).parent / "weights"

CONFIG_NAME = "encoder.json"
WEIGHTS_NAME = "weights.safetensors"
FRAGMENTER_KEY = "fragmenter"
"""In the description: the parameters of the fragmenter that the encoder was trained for."""


def create_encoder(name_or_directory: str, kind: Kind, length: int) -> Encoder:
    """The encoder of that name, or the one kept in that directory, for fragments of ``length`` bases.

    Raises:
        UsageError: neither a name nor a directory, or an encoder whose vectors the preset's store cannot hold.
        EsaError: a directory whose files are missing, altered or not of an encoder.
    """
    if name_or_directory in BY_NAME:
        _require_kind(name_or_directory, name_or_directory, kind)
    if name_or_directory in UNTRAINED:
        if name_or_directory == "sketch":
            from esa.encoders.sketch import SketchEncoder

            return SketchEncoder()
        from esa.encoders.projection import ProjectionEncoder

        return ProjectionEncoder.untrained(length)
    if name_or_directory.startswith("hf:"):
        from esa.encoders.huggingface import HuggingFaceEncoder

        _require_kind("hf", name_or_directory, kind)
        return HuggingFaceEncoder.open(name_or_directory)
    directory = _directory_of(name_or_directory)
    if not directory.is_dir():
        raise UsageError(
            f"encoder {name_or_directory!r} is neither a name ({', '.join(BY_NAME)}) nor a directory"
        )
    parameters, arrays = _read_directory(directory)
    parameters.pop(FRAGMENTER_KEY, None)
    _require_kind(str(parameters.get("name")), name_or_directory, kind)
    try:
        encoder = load_encoder(parameters, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise EsaError(f"{directory / CONFIG_NAME}: does not describe its weights ({error})") from error
    encoded = encoder.parameters().get("length", length)
    if encoded != length:
        raise UsageError(f"{directory}: encodes fragments of {encoded} bases, but the preset cuts {length}")
    return encoder


def recorded_fragmenter(name_or_directory: str, kind: Kind) -> dict[str, Any]:
    """Parameters of the fragmenter that an encoder was trained for; none where it was not trained.

    Raises:
        UsageError, EsaError: as `create_encoder`.
    """
    directory = _directory_of(name_or_directory)
    if name_or_directory in UNTRAINED or not directory.is_dir():
        return {}
    parameters = _read_directory(directory)[0]
    _require_kind(str(parameters.get("name")), name_or_directory, kind)
    recorded = parameters.get(FRAGMENTER_KEY, {})
    if not isinstance(recorded, dict):
        raise EsaError(f"{directory / CONFIG_NAME}: {FRAGMENTER_KEY} is not an object")
    return recorded


def _directory_of(name_or_directory: str) -> Path:
    return WEIGHTS / name_or_directory if name_or_directory in SHIPPED else Path(name_or_directory)


def load_encoder(parameters: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Encoder:
    """The encoder that ``Encoder.parameters`` and ``Encoder.arrays`` described."""
    name = parameters["name"]
    if name not in ENCODERS:
        raise ValueError(f"unknown encoder {name!r}")
    if ENCODERS[name] == "codes":
        from esa.encoders.codes import CodeEncoder

        return CodeEncoder(arrays["table"], parameters["step"])
    if name == "rde":
        from esa.encoders.rde import RdeEncoder

        return RdeEncoder.from_arrays(parameters, arrays)
    if name == "hf":
        from esa.encoders.huggingface import HuggingFaceEncoder

        return HuggingFaceEncoder.from_parameters(parameters)
    from esa.encoders.sketch import SketchEncoder

    return SketchEncoder(**{key: value for key, value in parameters.items() if key != "name"})


def save_encoder(encoder: Encoder, directory: Path, fragmenter: Mapping[str, Any] | None = None) -> None:
    """Keep an encoder in a directory, which is made, with the parameters of the fragmenter it was trained for."""
    from safetensors.numpy import save

    directory.mkdir(parents=True, exist_ok=True)
    weights = save({name: np.ascontiguousarray(array) for name, array in encoder.arrays().items()})
    (directory / WEIGHTS_NAME).write_bytes(weights)
    told = {FRAGMENTER_KEY: dict(fragmenter)} if fragmenter else {}
    config = {**encoder.parameters(), **told, "sha256": hashlib.sha256(weights).hexdigest()}
    (directory / CONFIG_NAME).write_text(json.dumps(config, indent=1) + "\n")


def _require_kind(name: str, said: str, kind: Kind) -> None:
    if ENCODERS.get(name) != kind:
        fitting = ", ".join(n for n in BY_NAME if ENCODERS[n] == kind)
        raise UsageError(f"encoder {said!r} does not fit the preset's store; those that do: {fitting}")


def _read_directory(directory: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        parameters = json.loads((directory / CONFIG_NAME).read_text())
        weights = (directory / WEIGHTS_NAME).read_bytes()
        digest = parameters.pop("sha256")
    except OSError as error:
        raise EsaError(f"{error.filename}: {error.strerror}: not a directory of an encoder") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EsaError(f"{directory / CONFIG_NAME}: is not an encoder's description ({error})") from error
    if hashlib.sha256(weights).hexdigest() != digest:
        raise EsaError(f"{directory / WEIGHTS_NAME}: altered (its digest does not match {CONFIG_NAME})")
    try:
        return parameters, load(weights)
    except SafetensorError as error:
        raise EsaError(f"{directory / WEIGHTS_NAME}: is no safetensors file ({error})") from error
