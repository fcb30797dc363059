"""The decorator of esa's kernels, and where their compiled code is kept.

numba keeps compiled code until the file of the *kernel* changes. What a kernel took from other modules, constants
and kernels that it calls, is baked in, so that after an upgrade an old copy of it may be served. Here the folder is
named by a digest of the whole package, and the folders of other versions of it are removed.

Compiled code is loaded as a pickle: a folder that others can write would let them run code as this user. So it is the
user's own, under the cache directory of the user (``NUMBA_CACHE_DIR``, ``XDG_CACHE_HOME``, ``~/.cache``, the first that
is set and can be written), else under the directory for temporary files, or one for this process alone.

`esa.warm` compiles at the first run all that later ones need, and leaves a mark.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

import numba
from numba.core import config, types
from numba.core.caching import FunctionCache
from numba.core.registry import CPUDispatcher, cpu_target
from numba.core.runtime.nrt import rtsys
from numba.core.types.misc import unliteral

_PACKAGE = Path(__file__).resolve().parent
_DIGEST_LENGTH = 16
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class _Kept(FunctionCache):
    """The compiled code of a kernel. Two processes at a time may add to it; numba's own is for one."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """As numba has it, but its registries are left alone, which take longer to fill than the code to load.

        They say how to compile. Code that is compiled needs the runtime only, and the compiler fills them itself.
        """
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        with alone("saving"):
            super().save_overload(sig, data)


class _Compiled(CPUDispatcher):
    """A function whose compiled code is kept in `kernel_folder`, looked for there when it is first asked for.

    (There are two hundred kernels, and a run calls some seventeen from Python. numba asks with its compiler locked.)
    """

    part: ClassVar[str] = "called"
    """Folder in the `kernel_folder`: one function may be compiled in two ways."""
    _code: _Kept | None = None

    @property
    def _cache(self) -> _Kept:
        if self._code is None:
            before = config.CACHE_DIR  # numba takes the folder from here
            config.CACHE_DIR = str(kernel_folder() / self.part)
            try:
                self._code = _Kept(self.py_func)
            finally:
                config.CACHE_DIR = before
        return self._code

    @_cache.setter
    def _cache(self, _none: object) -> None:
        """A new dispatcher of numba's sets one that keeps nothing."""


class Kernel(_Compiled):
    """A kernel. Kernels call it as they call any of numba's; a call from Python goes to a twin of it.

    What numba wraps round a function for calls from Python takes every array of every argument apart and is often more
    code than the function itself. It would be compiled, and optimised again in all that calls the function, for each
    of the many kernels that only kernels call. So this one has no such wrapper, and only the twin has it.
    """

    part = "kernels"

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """As numba has it, for integers of one kind: each other kind would be compiled by itself."""
        return super().get_call_template(
            tuple(map(_one_kind, args)), {name: _one_kind(kind) for name, kind in kws.items()}
        )

    def __call__(self, *args: Any) -> Any:
        return self.from_python(*args)

    @cached_property
    def from_python(self) -> Any:
        """The twin."""
        options = {name: value for name, value in self.targetoptions.items() if name not in _BARE}
        return _Compiled(py_func=self.py_func, targetoptions={**options, "no_cfunc_wrapper": True})


_BARE = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _one_kind(kind: Any) -> Any:
    """The type that a kernel is compiled for, of an argument of another kernel: no constants, no small integers.

    What a kernel computes is the same: numba's arithmetic widens signed integers to 64 bits anyhow.
    """
    kind = unliteral(kind)
    return types.int64 if kind in types.signed_domain else kind


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`numba.njit` for a `Kernel`; the compiled code is kept in `kernel_folder`."""
    if function is None:
        return partial(njit, **options)
    return Kernel(py_func=function, targetoptions={"nopython": True, "nogil": True, **options, **_BARE})


def leaf(function: Callable[..., Any]) -> Any:
    """`njit` for a kernel that makes no array and returns none.

    It is compiled without numba's reference counts. A view, or a tuple of arrays taken apart, costs an atomic
    increment and decrement each, often more than what a small kernel does with it; where nothing is made, nothing
    need be counted. (numba refuses to compile an allocation here; the option is how it compiles kernels of its own.)
    """
    return njit(function, _nrt=False)


@contextlib.contextmanager
def alone(purpose: str) -> Iterator[None]:
    """For one process at a time, of those that share the `kernel_folder`; one that dies stands in nobody's way."""
    with open(kernel_folder() / f"{purpose}.lock", "w") as file:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def kernel_folder() -> Path:
    """Folder of the compiled code of this version of the package; made if need be."""
    return _kept_folder() or _passing_folder()


def complete_mark() -> Path | None:
    """File that is there if this machine's code of all kernels that `esa align` needs is in `kernel_folder`.

    None: the folder ends with this process.
    """
    if _kept_folder() is None:
        return None
    # What makes numba compile anew.
    stamps = [(path.stat().st_mtime_ns, path.stat().st_size) for path in _modules()]
    state = (numba.__version__, cpu_target.target_context.codegen().magic_tuple(), stamps)
    name = hashlib.sha256(repr(state).encode()).hexdigest()[:_DIGEST_LENGTH]
    return kernel_folder() / f"complete-{name}"


@cache
def _kept_folder() -> Path | None:
    install = hashlib.sha256(os.fsencode(_PACKAGE)).hexdigest()[:_DIGEST_LENGTH]
    for parent in _parents():
        try:
            folder = _private(_private(_private(parent) / install) / _package_digest())
        except OSError:
            continue
        _remove_others(folder)
        return folder
    return None


@cache
def _passing_folder() -> Path:
    """A folder for this process alone."""
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


def _modules() -> list[Path]:
    return sorted(_PACKAGE.rglob("*.py"))


def _package_digest() -> str:
    digest = hashlib.sha256()
    for path in _modules():
        digest.update(
            os.fsencode(path.relative_to(_PACKAGE)) + b"\0" + hashlib.sha256(path.read_bytes()).digest()
        )
    return digest.hexdigest()[:_DIGEST_LENGTH]


def _remove_others(folder: Path) -> None:
    """Remove what other versions of this install left. One that runs compiles anew what it has not loaded yet."""
    for other in folder.parent.iterdir():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)
