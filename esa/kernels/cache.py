"""Where the compiled code of kernels is kept, so that a later run need not compile.

numba keeps compiled code until the file of the *kernel* changes. What a kernel took from other modules, constants
and kernels that it calls, is baked in, so that after an upgrade an old copy of it may be served. Here the folder is
named by a digest of the whole package, and the folders of other versions of it are removed.

Compiled code is loaded as a pickle: a folder that others can write would let them run code as this user. So it is the
user's own, under the cache directory of the user (``NUMBA_CACHE_DIR``, ``XDG_CACHE_HOME``, ``~/.cache``, the first that
is set and can be written), else under the directory for temporary files. Where none can be written, or what is kept
cannot be read, a process compiles for itself: nothing that befalls the folder ends a run.

`esa.run.precompile` compiles at the first run all that later ones need, and leaves a mark (`complete_mark`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import IO

import numba
from numba.core.registry import cpu_target

_PACKAGE = Path(__file__).resolve().parents[1]
_DIGEST_LENGTH = 16
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
_NOT_KEPT = threading.Event()
"""Some compiled code could not be kept, and the user has been told."""


@contextlib.contextmanager
def alone(purpose: str, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """For one process at a time, of those that share the `kernel_folder`; one that dies stands in nobody's way.

    Args:
        waiting: Called if there is another process to wait for.

    Raises:
        OSError: There is no such folder, or it cannot be written.
    """
    folder = kernel_folder()
    if folder is None:
        raise FileNotFoundError("no folder for compiled code")
    # Another version of the package may have removed it meanwhile.
    with open(_made(folder) / f"{purpose}.lock", "w") as file:
        _lock(file, waiting)
        yield


def _lock(file: IO[str], waiting: Callable[[], object]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        waiting()
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return


def tell_not_kept(error: Exception) -> None:
    """Tell the user, once, that some compiled code ends with this process, and why."""
    if _NOT_KEPT.is_set():
        return
    _NOT_KEPT.set()
    if sys.stderr is not None:  # None: the shell closed it
        with contextlib.suppress(OSError):
            print(
                f"esa: not all compiled kernels are kept in {kernel_folder()}, so later runs compile some again: "
                f"{error} (NUMBA_CACHE_DIR can name another folder)",
                file=sys.stderr,
            )


def all_kept() -> bool:
    """All code that this process has compiled so far is kept, or none was to be kept."""
    return not _NOT_KEPT.is_set()


def complete_mark() -> Path | None:
    """File that is there if this machine's code of all kernels that `esa align` needs is in `kernel_folder`.

    None: nothing is kept.
    """
    folder = kernel_folder()
    if folder is None:
        return None
    # What numba takes kept code by, beside the source, which the folder is named by.
    state = (numba.__version__, cpu_target.target_context.codegen().magic_tuple())
    return folder / f"complete-{hashlib.sha256(repr(state).encode()).hexdigest()[:_DIGEST_LENGTH]}"


@cache
def kernel_folder() -> Path | None:
    """Folder of the compiled code of this version of the package; made if need be. None: there is no place for it."""
    install = hashlib.sha256(os.fsencode(_PACKAGE)).hexdigest()[:_DIGEST_LENGTH]
    for parent in _parents():
        try:
            folder = _made(parent / install / _package_digest())
        except OSError:
            continue
        _remove_others(folder)
        return folder
    return None


def _parents() -> Iterator[Path]:
    """Where the folder may be, the best first."""
    for place in (os.environ.get("NUMBA_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")):
        if place:
            yield Path(place) / "esa-kernels"
    with contextlib.suppress(RuntimeError):
        yield Path.home() / ".cache" / "esa-kernels"
    with contextlib.suppress(OSError):  # none can be written
        yield Path(tempfile.gettempdir()) / f"esa-kernels-{os.getuid()}"


def _made(folder: Path) -> Path:
    """A version's folder; it, the install's and esa's are made if need be, for this user alone.

    Raises:
        OSError: One cannot be made, or others may write it.
    """
    top = folder.parent.parent
    top.parent.mkdir(parents=True, exist_ok=True)
    for part in (top, folder.parent, folder):
        make_private(part)
    return folder


def make_private(folder: Path) -> None:
    """Make a folder if need be, and see that it is this user's alone and can be written.

    Raises:
        OSError: It cannot be made, or others may write it.
    """
    folder.mkdir(mode=stat.S_IRWXU, exist_ok=True)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & _OTHERS_MAY_WRITE:
        raise PermissionError(f"{folder} is not this user's alone")
    tempfile.TemporaryFile(dir=folder).close()


def _package_digest() -> str:
    files = [(str(path.relative_to(_PACKAGE)), file_digest(path)) for path in sorted(_PACKAGE.rglob("*.py"))]
    return hashlib.sha256(repr(files).encode()).hexdigest()[:_DIGEST_LENGTH]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _remove_others(folder: Path) -> None:
    """Remove what other versions of this install left. One that runs compiles anew what it has not loaded yet."""
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
