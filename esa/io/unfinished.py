"""What a command would leave behind if it ended now: unfinished files and folders, and child processes.

A signal may end a command at any moment (`esa.cli.signals`). It raises no exception in the command, because one that
is raised while numba boxes a kernel's result crashes the process. Instead the main thread, which does nothing else,
removes what is noted here (`end_all`), and the process exits.

A process that is killed (SIGKILL, a power cut) leaves its files. So each is locked while it is being written, and the
next run with the same output removes those that no process holds (`is_abandoned`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from multiprocessing import active_children
from pathlib import Path

LOCK_NAME = "writing.lock"
"""File in a folder that is being written; the writing process holds its lock."""
_TOKEN_BYTES = 4
_PATIENCE = 5.0
"""Seconds that the end of the process waits for a file to be made or renamed."""
_REMOVALS = 20
"""Times that a folder is emptied: the command may write into it meanwhile."""

_CHANGING = threading.RLock()
_PATHS: set[str | Path] = set()
_PROCESSES: set[subprocess.Popen[bytes]] = set()


@contextlib.contextmanager
def changing() -> Iterator[None]:
    """In this context unfinished files and folders are made, get their final name, or are removed.

    Once `end_all` has begun, nobody enters it any more.
    """
    with _CHANGING:
        yield


def note(path: str | Path) -> None:
    """An unfinished file or folder is about to be made under this name."""
    _PATHS.add(path)


def forget(path: str | Path) -> None:
    """It is complete, or removed."""
    _PATHS.discard(path)


@contextlib.contextmanager
def noted_process(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A child process that is killed if the command ends in the context."""
    _PROCESSES.add(process)
    try:
        yield
    finally:
        _PROCESSES.discard(process)


def end_all() -> None:
    """Remove what is unfinished and kill child processes, stopped ones, too. The process must exit after it."""
    for pid in [child.pid for child in active_children()] + [process.pid for process in list(_PROCESSES)]:
        if pid is not None:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    # Never released: whoever waits for it makes no more files.
    _CHANGING.acquire(timeout=_PATIENCE)
    for path in list(_PATHS):
        _remove(path)


def _remove(path: str | Path) -> None:
    for _ in range(_REMOVALS):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)
        if not os.path.lexists(path):
            return


def lock(descriptor: int) -> None:
    """Hold the lock of an open file until it is closed everywhere, or all processes that have it open have ended.

    On a file system without locks nothing is held, and nothing is ever taken for abandoned.
    """
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def lock_folder(folder: Path) -> int:
    """Hold the `lock` of a folder, as a file `LOCK_NAME` in it; returns the descriptor that holds it.

    Raises:
        OSError: the file cannot be made.
    """
    new = folder / f"{LOCK_NAME}.new"
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        lock(descriptor)
        # Renamed once locked: under its final name it is never seen unlocked.
        os.rename(new, folder / LOCK_NAME)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A folder for temporary files, removed at the end; those that killed processes left are removed, too.

    Raises:
        OSError: it cannot be made.
    """
    parent = Path(tempfile.gettempdir())
    with contextlib.suppress(OSError):
        for path in parent.glob(f"{prefix}*"):
            if path.lstat().st_uid == os.getuid() and is_abandoned(path / LOCK_NAME):
                shutil.rmtree(path, ignore_errors=True)
    with changing():
        folder = parent / f"{prefix}{secrets.token_hex(_TOKEN_BYTES)}"
        note(folder)
        folder.mkdir(mode=stat.S_IRWXU)
        descriptor = lock_folder(folder)
    try:
        yield folder
    finally:
        with changing():
            _remove(folder)
            forget(folder)
        os.close(descriptor)


def is_abandoned(path: str | Path) -> bool:
    """Whether no process holds the `lock` of a file. (Two machines may not see each other's locks.)"""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def tell_removed(path: str | Path) -> None:
    """Say on stderr that a leftover was removed."""
    if sys.stderr is not None:  # None: the shell closed it
        with contextlib.suppress(OSError, ValueError):
            print(f"esa: removed {path}, which a killed run had left unfinished", file=sys.stderr)
