"""The folder of compiled kernels, so that only the first run compiles.

numba keeps compiled code until the source file of the *kernel* changes. But constants and kernels of other modules are
compiled into a kernel, so after an upgrade numba may serve stale code. Here the folder is named by a digest of the
whole package, and the folders of other versions are removed.

Compiled code is loaded as a pickle: whoever can write the folder can run code as this user. So the folder belongs to
the user alone. It lies in the first of these that can be written: ``NUMBA_CACHE_DIR``, ``XDG_CACHE_HOME``,
``~/.cache``, the directory for temporary files. If none can be written, or a file cannot be read, a process compiles
for itself: no fault of the folder ends a run.

`esa.run.precompile` compiles in the first run everything that later runs need, and leaves a mark (`complete_mark`).
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
"""Set once some compiled code could not be kept and the user has been warned."""


@contextlib.contextmanager
def alone(purpose: str, waiting: Callable[[], object] = lambda: None) -> Iterator[None]:
    """A lock among the processes that share the `kernel_folder`. The system releases it if its holder dies.

    Args:
        purpose: Name of the lock.
        waiting: Called before waiting, if another process holds the lock.

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
    """Warn the user on stderr, once a process, that some compiled code is not kept for later runs, and why."""
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
    """Whether all code that this process has compiled so far could be kept."""
    return not _NOT_KEPT.is_set()


def complete_mark() -> Path | None:
    """The file that marks `kernel_folder` as complete: it holds all kernels of `esa align` for this machine.

    The path depends on the versions of Python and numba, and on the processor. None: there is no `kernel_folder`.
    """
    folder = kernel_folder()
    if folder is None:
        return None
    # Beside the source (in the folder's name), numba looks kept code up by these.
    state = (sys.version_info[:3], numba.__version__, cpu_target.target_context.codegen().magic_tuple())
    return folder / f"complete-{hashlib.sha256(repr(state).encode()).hexdigest()[:_DIGEST_LENGTH]}"


@cache
def kernel_folder() -> Path | None:
    """Folder of compiled code of this version of the package, created if missing. None: nowhere to create it."""
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
    """Candidate parents of the folder, in order of preference."""
    for place in (os.environ.get("NUMBA_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")):
        if place:
            yield Path(place) / "esa-kernels"
    with contextlib.suppress(RuntimeError):
        yield Path.home() / ".cache" / "esa-kernels"
    with contextlib.suppress(OSError):  # none can be written
        yield Path(tempfile.gettempdir()) / f"esa-kernels-{os.getuid()}"


def _made(folder: Path) -> Path:
    """Create a version's folder and its two parents (the installation's and esa's), private to this user.

    Raises:
        OSError: One cannot be created, or others may write it.
    """
    top = folder.parent.parent
    top.parent.mkdir(parents=True, exist_ok=True)
    for part in (top, folder.parent, folder):
        make_private(part)
    return folder


def make_private(folder: Path) -> None:
    """Create a folder if missing, and check that only this user can write it.

    Raises:
        OSError: It cannot be created or written, or others may write it.
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
    """SHA-256 of a file's content, 64 hexadecimal digits.

    Raises:
        OSError: The file cannot be read.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _remove_others(folder: Path) -> None:
    """Remove the folders of other versions of this installation. A process of one compiles again what it needs."""
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
