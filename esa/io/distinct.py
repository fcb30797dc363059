"""Refuses outputs that would destroy something, before anything is opened."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import TextIO

from esa.errors import EsaError, UsageError
from esa.io.compressed import STDIN, file_identity

_MOST_JSON_BYTES = 1 << 26
"""Larger files are not looked into: none of ours is so large."""

_Identity = tuple[object, ...]


def require_distinct(
    inputs: Mapping[str, str | None], outputs: Mapping[str, str | None], index: str | None = None
) -> None:
    """Refuse an output that is an input, another output, or in the index, whatever links lead there.

    Args:
        inputs, outputs: paths by their name in messages, like ``R1`` or ``--stats``; None: not given. ``-`` is
            standard input, or output.
        index: directory of an index that is read.

    Raises:
        UsageError: names both.
    """
    taken = {identity: name for name, path in inputs.items() for identity in _input(path)}
    taken |= dict.fromkeys(_files_in(index), f"the index {index}")
    for name, path in outputs.items():
        label = name if path is None or path == STDIN else f"{name} {path}"
        for identity in _output(path):
            if identity in taken:
                raise UsageError(f"{label} is also {taken[identity]}: name another file")
            taken[identity] = name
        if index is not None and path is not None and _lies_in(path, index):
            raise UsageError(f"{label} lies in the index {index}: name another file")


def require_replaceable(name: str, path: str | None, keys: Collection[str], force: bool) -> None:
    """Refuse to replace a file that is not a JSON object with these ``keys``, as an earlier run of ours wrote it.

    Args:
        name: in messages, like ``--stats``.
        force: replace it all the same.

    Raises:
        UsageError: a regular file of another kind, not empty.
    """
    if path is None or force or path == STDIN or not _is_regular(path) or not os.path.getsize(path):
        return
    if not _has_keys(path, keys):
        raise UsageError(
            f"{name} {path} exists and is no such file of esa: name another file, or replace it with --force"
        )


def require_new(paths: Collection[str], force: bool) -> None:
    """Refuse to replace files.

    Raises:
        UsageError: one exists, as a regular file, and ``force`` is not given.
    """
    for path in paths:
        if not force and _is_regular(path):
            raise UsageError(f"{path} exists: replace it with --force, or give another prefix with -o")


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _has_keys(path: str, keys: Collection[str]) -> bool:
    if os.path.getsize(path) > _MOST_JSON_BYTES:
        return False
    try:
        with open(path, "rb") as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.keys() >= set(keys)


def _input(path: str | None) -> Iterator[_Identity]:
    status = None if path is None else _status(path, sys.stdin)
    # Devices, like /dev/null, may be anything at once.
    if status is not None and not stat.S_ISCHR(status.st_mode):
        yield (status.st_dev, status.st_ino)


def _output(path: str | None) -> Iterator[_Identity]:
    """The identity of what would be replaced or written to; of a new file, that of its folder, and its name."""
    if path is None:
        return
    status = _status(path, sys.stdout)
    if status is None and path != STDIN:
        folder, name = os.path.split(os.path.realpath(path))
        if (parent := file_identity(folder)) is not None:
            yield (*parent, name)
    elif status is not None and not stat.S_ISCHR(status.st_mode):
        yield (status.st_dev, status.st_ino)


def _status(path: str, standard: TextIO | None) -> os.stat_result | None:
    """Of a file, or of what is behind the ``standard`` stream for ``-``; None if there is nothing."""
    try:
        if path == STDIN:
            return None if standard is None else os.fstat(standard.fileno())
        return os.stat(path)
    except (OSError, ValueError, EsaError):
        return None


def _files_in(folder: str | None) -> Iterator[_Identity]:
    """Files of an index. They may have other names, too."""
    if folder is None:
        return
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        identity = file_identity(entry.path)
        if identity is not None:
            yield identity


def _lies_in(path: str, folder: str) -> bool:
    wanted = file_identity(folder)
    place = os.path.realpath(path)
    while wanted is not None and (above := os.path.dirname(place)) != place:
        place = above
        if file_identity(place) == wanted:
            return True
    return False
