"""The decorator of esa's kernels, and where their compiled code is kept.

numba keeps compiled code until the file of the *kernel* changes. What a kernel took from other modules, constants
and kernels that it calls, is baked in, so that after an upgrade an old copy of it may be served. Here the folder is
named by a digest of the whole package, and the folders of other versions of it are removed.

Compiled code is loaded as a pickle: a folder that others can write would let them run code as this user. So it is the
user's own, under the cache directory of the user (``NUMBA_CACHE_DIR``, ``XDG_CACHE_HOME``, ``~/.cache``, the first that
is set and can be written), else under the directory for temporary files, or one for this process alone.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numba
from numba.core import config

_PACKAGE = Path(__file__).resolve().parent
_DIGEST_LENGTH = 16
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`numba.njit`; with ``cache=True``, the compiled code is kept in `kernel_folder`."""
    if function is None:
        return partial(njit, **options)
    before = config.CACHE_DIR  # numba takes the folder from here when it wraps a function
    config.CACHE_DIR = str(kernel_folder())
    try:
        return numba.njit(**options)(function)
    finally:
        config.CACHE_DIR = before


def leaf(function: Callable[..., Any]) -> Any:
    """`njit` for a kernel that makes no array and returns none.

    It is compiled without numba's reference counts. A view, or a tuple of arrays taken apart, costs an atomic
    increment and decrement each, often more than what a small kernel does with it; where nothing is made, nothing
    need be counted. (numba refuses to compile an allocation here; the option is how it compiles kernels of its own.)
    """
    return njit(function, cache=True, nogil=True, _nrt=False)


@cache
def kernel_folder() -> Path:
    """Folder of the compiled code of this version of the package; made if need be."""
    install = hashlib.sha256(os.fsencode(_PACKAGE)).hexdigest()[:_DIGEST_LENGTH]
    for parent in _parents():
        try:
            folder = _private(_private(_private(parent) / install) / _package_digest())
        except OSError:
            continue
        _remove_others(folder)
        return folder
    folder = Path(tempfile.mkdtemp(prefix="esa-kernels-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _parents() -> list[Path]:
    """Where the folder may be, the best first."""
    places = [os.environ.get("NUMBA_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")]
    parents = [Path(place) / "esa-kernels" for place in places if place]
    with contextlib.suppress(RuntimeError):
        parents.append(Path.home() / ".cache" / "esa-kernels")
    return [*parents, Path(tempfile.gettempdir()) / f"esa-kernels-{os.getuid()}"]


def _private(folder: Path) -> Path:
    """The folder, made if need be, if it is this user's alone and can be written.

    Raises:
        OSError: It cannot be made, or others may write it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & _OTHERS_MAY_WRITE:
        raise PermissionError(f"{folder} is not this user's alone")
    tempfile.TemporaryFile(dir=folder).close()
    return folder


def _package_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(
            os.fsencode(path.relative_to(_PACKAGE)) + b"\0" + hashlib.sha256(path.read_bytes()).digest()
        )
    return digest.hexdigest()[:_DIGEST_LENGTH]


def _remove_others(folder: Path) -> None:
    """Remove what other versions of this install left. One that runs compiles anew what it has not loaded yet."""
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
