"""The manifest of an index directory: its content, its JSON text, and the errors for a damaged one."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from esa import __version__
from esa.errors import IndexFormatError
from esa.index.npy import DTYPES, MAX_DIMENSIONS

FORMAT = "esa-index"
FORMAT_VERSION = 4
MANIFEST_NAME = "manifest.json"

DIGEST = "sha256"
"""Measured on one core with SHA instructions, in GB/s: sha256 1.6, md5 0.73, blake2b 0.66, sha512 0.44."""

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""Names of arrays and files: none can lead out of the directory or be hidden in it."""

_DIGEST_VALUE = re.compile(DIGEST + r":[0-9a-f]{64}")
_FIRST_FIELD = f'"format": "{FORMAT}"'


@dataclass(frozen=True)
class Contig:
    """A contig of the reference: its name, its length in bases, and the M5 of its @SQ line in SAM."""

    name: str
    length: int
    m5: str


@dataclass(frozen=True)
class FileEntry:
    """A file of the directory.

    Attributes:
        name: its name in the index.
        file: its name in the directory.
        bytes: its size.
        digest: ``sha256:`` and 64 hex digits, of the whole file.
    """

    name: str
    file: str
    bytes: int
    digest: str


@dataclass(frozen=True)
class ArrayEntry(FileEntry):
    """A file with an array in numpy's npy format (C order), of ``dtype`` (one of `DTYPES`) and ``shape``."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """What an index directory holds and how it was made.

    Attributes:
        preset: name of the combination of fragmenter, encoder and store (`esa.index.presets`).
        parameters: of fragmenter, encoder and store, JSON values.
        statistics: counts of the build, JSON values.
        arrays, files: entries of everything in the directory but the manifest itself.
        contigs: of the reference, in its order.
        tool_version: version of esa that wrote it; shown, never compared.
        format_version: version of this format; another one is refused.
    """

    preset: str
    parameters: Mapping[str, Any]
    statistics: Mapping[str, Any]
    arrays: tuple[ArrayEntry, ...]
    files: tuple[FileEntry, ...]
    contigs: tuple[Contig, ...]
    tool_version: str = __version__
    format_version: int = FORMAT_VERSION

    @property
    def entries(self) -> tuple[FileEntry, ...]:
        """Arrays and files."""
        return (*self.arrays, *self.files)

    @property
    def bases(self) -> int:
        """Bases of all contigs together."""
        return sum(contig.length for contig in self.contigs)

    @property
    def bytes(self) -> int:
        """Bytes of all entries."""
        return sum(entry.bytes for entry in self.entries)


def refusal(path: Path | str, problem: str) -> IndexFormatError:
    """The error for a damaged or foreign index; its remedy is to build the index again."""
    return IndexFormatError(f"{path}: {problem}: rebuild the index with 'esa index --force'")


def is_manifest(text: str) -> bool:
    """Whether a text begins like a manifest of esa, of any version, damaged or not."""
    return _FIRST_FIELD in text[: 2 * len(_FIRST_FIELD)]


def render(manifest: Manifest) -> bytes:
    """The manifest as JSON, with a digest of itself; each field, contig and array has its own line.

    Raises:
        TypeError, ValueError: parameters or statistics that are not JSON.
    """
    document = {
        "format": FORMAT,
        "format_version": manifest.format_version,
        "tool_version": manifest.tool_version,
        "preset": manifest.preset,
        "parameters": manifest.parameters,
        "statistics": manifest.statistics,
        "arrays": [asdict(entry) for entry in manifest.arrays],
        "files": [asdict(entry) for entry in manifest.files],
        "contigs": [{"name": c.name, "length": c.length, "m5": c.m5} for c in manifest.contigs],
        "digest": "",
    }
    return _write(document | {"digest": _own_digest(document)})


def parse(text: bytes, path: Path | str) -> Manifest:
    """The manifest in ``text``, read from ``path`` (for messages only).

    Raises:
        IndexFormatError: not JSON, another format version, altered, or not as `render` writes it.
    """
    try:
        document = json.loads(text.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise refusal(path, "is not JSON (truncated or altered)") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise refusal(path, "is not the manifest of an esa index")
    version = document.get("format_version")
    if version != FORMAT_VERSION or type(version) is not int:
        raise refusal(
            path, f"index format {version!r}, but this esa ({__version__}) reads format {FORMAT_VERSION}"
        )
    try:
        intact = document["digest"] == _own_digest(document) and text == _write(document)
    except (KeyError, ValueError, RecursionError):
        intact = False
    if not intact:
        raise refusal(path, "was altered (its digest does not match)")
    try:
        return _manifest(document)
    except _MalformedError as error:
        raise refusal(path, f"holds what this esa does not understand ({error})") from error


class _MalformedError(Exception):
    """A manifest is intact but not of the expected structure."""


def _write(document: Mapping[str, Any]) -> bytes:
    def dump(value: Any) -> str:
        return json.dumps(value, allow_nan=False)

    def field(value: Any) -> str:
        if isinstance(value, list) and value:
            return "[\n  " + ",\n  ".join(map(dump, value)) + "\n ]"
        return dump(value)

    lines = (f" {dump(key)}: {field(value)}" for key, value in document.items())
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode("ascii")


def _own_digest(document: Mapping[str, Any]) -> str:
    text = _write({**document, "digest": ""})
    return f"{DIGEST}:{hashlib.new(DIGEST, text).hexdigest()}"


def _manifest(document: dict[str, Any]) -> Manifest:
    values = {key: value for key, value in document.items() if key not in ("format", "digest")}
    _check_keys(values, Manifest, "manifest")
    for key, kind in _MANIFEST_TYPES.items():
        if type(values[key]) is not kind:
            raise _MalformedError(f"{key} is no {kind.__name__}")
    manifest = Manifest(
        **values
        | {
            "arrays": tuple(_entry(item, ArrayEntry) for item in values["arrays"]),
            "files": tuple(_entry(item, FileEntry) for item in values["files"]),
            "contigs": tuple(_entry(item, Contig) for item in values["contigs"]),
        }
    )
    for key in ("name", "file"):
        if len({getattr(entry, key) for entry in manifest.entries}) < len(manifest.entries):
            raise _MalformedError(f"two arrays or files of one {key}")
    if len({contig.name for contig in manifest.contigs}) < len(manifest.contigs):
        raise _MalformedError("two contigs of one name")
    return manifest


_MANIFEST_TYPES = {
    "tool_version": str,
    "preset": str,
    "parameters": dict,
    "statistics": dict,
    "arrays": list,
    "files": list,
    "contigs": list,
}

_ENTRY_CHECKS = {
    "name": lambda value: type(value) is str and value != "",
    "file": lambda value: type(value) is str and NAME.fullmatch(value) and value != MANIFEST_NAME,
    "bytes": lambda value: type(value) is int and value >= 0,
    "digest": lambda value: type(value) is str and _DIGEST_VALUE.fullmatch(value),
    "dtype": lambda value: type(value) is str and value in DTYPES,
    "shape": lambda value: (
        type(value) is list
        and len(value) <= MAX_DIMENSIONS
        and all(type(n) is int and 0 <= n < 2**63 for n in value)
    ),
    "length": lambda value: type(value) is int and value > 0,
    "m5": lambda value: type(value) is str and re.fullmatch("[0-9a-f]{32}", value),
}

_Entry = TypeVar("_Entry", Contig, FileEntry, ArrayEntry)


def _check_keys(values: Any, cls: type, what: str) -> None:
    if type(values) is not dict:
        raise _MalformedError(f"a {what} that is no object")
    expected = {field.name for field in fields(cls)}
    for key in (*(values.keys() - expected), *(expected - values.keys())):
        raise _MalformedError(f"{'unknown' if key in values else 'missing'} key {key!r} in a {what}")


def _entry(item: Any, cls: type[_Entry]) -> _Entry:
    _check_keys(item, cls, cls.__name__)
    for key, value in item.items():
        if not _ENTRY_CHECKS[key](value):
            raise _MalformedError(f"{cls.__name__} with {key} {value!r}")
    if cls is ArrayEntry:
        item = item | {"shape": tuple(item["shape"])}
    return cls(**item)


def digest_of_file(path: Path) -> str:
    """Digest of a whole file, as in `FileEntry`.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return f"{DIGEST}:{hashlib.file_digest(file, DIGEST).hexdigest()}"
