"""Encoders by name, and encoders in directories.

A directory holds ``encoder.json`` (an encoder's parameters and a digest of all) and ``weights.safetensors``; never
pickles.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from esa.encoders.base import Encoder
from esa.errors import EsaError, OutputError, UsageError

if TYPE_CHECKING:  # nor torch
    from esa.encoders.device import Device

Kind = Literal["codes", "dense"]
"""The kind of store that an encoder's vectors fit."""

ENCODERS: dict[str, Kind] = {
    "projection": "codes",
    "codes": "codes",
    "sketch": "dense",
    "rde": "dense",
    "hf": "dense",
}
"""Kinds by the name that encoders record in their parameters."""
UNTRAINED = ("projection", "sketch")
"""Encoders that need no weights."""

SHIPPED = ("codes", "rde")
"""Encoders whose weights are part of the package, each in a directory of its name in `WEIGHTS`."""

BY_NAME = SHIPPED + UNTRAINED
"""Names that `create_encoder` takes."""

WEIGHTS = Path(__file__).parent / "weights"

CONFIG_NAME = "encoder.json"
WEIGHTS_NAME = "weights.safetensors"
FRAGMENTER_KEY = "fragmenter"
"""Key in ``encoder.json``: the parameters of the fragmenter that the encoder was trained for."""
DIGEST_KEY = "sha256"
"""Key in ``encoder.json``: the digest of the rest of the file and of the weights."""


def shipped(name: str) -> str:
    """The spec of the encoder of that name in the package, whatever the working directory holds."""
    return str(WEIGHTS / name) if name in SHIPPED else name


def create_encoder(spec: str, kind: Kind, length: int) -> Encoder:
    """An encoder for fragments of ``length`` bases.

    Args:
        spec: a name (`BY_NAME`), the directory of a trained encoder, or ``hf:DIR[:POOLING]``. With ``:N`` after a
            name or directory, the first N components of a Transformer's vectors.
        kind: kind of the store.
        length: bases of a fragment.

    Raises:
        UsageError: an unknown spec, or an encoder that does not fit the store or the fragments.
        EsaError: a directory whose files are missing, altered or not those of an encoder.
    """
    if spec in UNTRAINED:
        _require_kind(spec, spec, kind)
        if spec == "sketch":
            from esa.encoders.sketch import SketchEncoder

            return SketchEncoder()
        from esa.encoders.projection import ProjectionEncoder

        return ProjectionEncoder.untrained(length)
    if spec.startswith("hf:"):
        from esa.encoders.huggingface import HuggingFaceEncoder

        _require_kind("hf", spec, kind)
        return HuggingFaceEncoder.open(spec)
    directory, kept = _directory_of(spec)
    parameters, arrays = _read_directory(directory)
    parameters.pop(FRAGMENTER_KEY, None)
    _require_kind(str(parameters.get("name")), spec, kind)
    if kept is not None and "kept" not in parameters:
        raise UsageError(
            f"encoder {spec!r}: only a Transformer's vectors can be cut to their first components"
        )
    try:
        encoder = load_encoder(parameters if kept is None else {**parameters, "kept": kept}, arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise EsaError(f"{directory / CONFIG_NAME}: does not describe its weights ({error})") from error
    encoded = encoder.parameters().get("length", length)
    if encoded != length:
        raise UsageError(f"{directory}: encodes fragments of {encoded} bases, but the preset cuts {length}")
    return encoder


def recorded_fragmenter(spec: str, kind: Kind) -> dict[str, Any]:
    """Parameters of the fragmenter that an encoder was trained for; empty if it was not trained.

    Raises:
        UsageError, EsaError: as by `create_encoder`.
    """
    if spec in UNTRAINED or spec.startswith("hf:"):
        return {}
    directory, _ = _directory_of(spec)
    parameters = _read_directory(directory)[0]
    _require_kind(str(parameters.get("name")), spec, kind)
    recorded = parameters.get(FRAGMENTER_KEY, {})
    if not isinstance(recorded, dict):
        raise EsaError(f"{directory / CONFIG_NAME}: {FRAGMENTER_KEY} is not an object")
    return recorded


def _directory_of(spec: str) -> tuple[Path, int | None]:
    """The directory of an encoder with weights, and the number of components after a colon (None: all)."""
    name, colon, number = spec.rpartition(":")
    kept = int(number) if colon and number.isdecimal() and not Path(spec).is_dir() else None
    name = spec if kept is None else name
    if name in SHIPPED:
        if Path(name, CONFIG_NAME).is_file():
            raise UsageError(
                f"encoder {name!r} comes with esa, but a directory of that name holds one too; "
                f"if you mean that one, say ./{name}"
            )
        return WEIGHTS / name, kept
    if not Path(name).is_dir():
        raise UsageError(f"encoder {spec!r} is neither a name ({', '.join(BY_NAME)}) nor a directory")
    return Path(name), kept


def load_encoder(parameters: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Encoder:
    """The encoder with these parameters and arrays (`Encoder.parameters`, `Encoder.arrays`).

    Raises:
        ValueError: an unknown name, or parameters and arrays that do not fit each other.
        KeyError, TypeError: parameters or arrays are missing or of another kind.
    """
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


def encoder_on_device(encoder: Encoder, device: Device) -> Encoder:
    """A copy of a dense encoder that computes on a device."""
    if encoder.name == "sketch":
        from esa.encoders.sketch import SketchEncoder
        from esa.encoders.sketch_on_device import SketchOnDevice

        assert isinstance(encoder, SketchEncoder)
        return SketchOnDevice(encoder, device)
    from esa.encoders.huggingface import HuggingFaceEncoder
    from esa.encoders.rde import RdeEncoder

    assert isinstance(encoder, RdeEncoder | HuggingFaceEncoder)
    return replace(encoder, device=device)


def save_encoder(encoder: Encoder, directory: Path, fragmenter: Mapping[str, Any] | None = None) -> None:
    """Write an encoder into a directory, which is made if need be.

    Args:
        encoder: with weights.
        directory: to write into.
        fragmenter: parameters of the fragmenter that it was trained for.

    Raises:
        OutputError: a file cannot be written.
    """
    from safetensors.numpy import save

    from esa.io.output import open_file

    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{directory}: {error.strerror}") from error
    weights = save({name: np.ascontiguousarray(array) for name, array in encoder.arrays().items()})
    trained_for = {FRAGMENTER_KEY: dict(fragmenter)} if fragmenter else {}
    description = {**encoder.parameters(), **trained_for}
    description[DIGEST_KEY] = _digest(description, weights)
    for name, content in (
        (WEIGHTS_NAME, weights),
        (CONFIG_NAME, (json.dumps(description, indent=1) + "\n").encode()),
    ):
        with open_file(str(directory / name)) as out:
            out.write(content)


def _digest(description: Mapping[str, Any], weights: bytes) -> str:
    """Digest of an encoder's description and weights."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode() + weights).hexdigest()


def _require_kind(name: str, spec: str, kind: Kind) -> None:
    """Raises `UsageError` if the encoder called ``name`` is not of this kind."""
    if ENCODERS.get(name) != kind:
        fitting = ", ".join(n for n in BY_NAME if ENCODERS[n] == kind)
        raise UsageError(f"encoder {spec!r} does not fit the preset's store; those that do: {fitting}")


def _read_directory(directory: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The description and the weights of an encoder; raises `EsaError` if a file is missing, altered or invalid."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        parameters = json.loads((directory / CONFIG_NAME).read_text())
        weights = (directory / WEIGHTS_NAME).read_bytes()
        digest = parameters.pop(DIGEST_KEY)
    except OSError as error:
        raise EsaError(f"{error.filename}: {error.strerror}: not a directory of an encoder") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EsaError(f"{directory / CONFIG_NAME}: is not an encoder's description ({error})") from error
    if _digest(parameters, weights) != digest:
        raise EsaError(
            f"{directory}: {WEIGHTS_NAME} or {CONFIG_NAME} was altered (the digest does not match)"
        )
    try:
        return parameters, load(weights)
    except SafetensorError as error:
        raise EsaError(f"{directory / WEIGHTS_NAME}: is no safetensors file ({error})") from error
