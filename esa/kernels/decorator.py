"""The decorators of esa's kernels: `numba.njit` whose compiled code is kept in `esa.kernels.cache.kernel_folder`."""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Callable
from functools import cached_property, partial
from glob import escape
from pathlib import Path
from typing import Any, ClassVar

import llvmlite.binding as llvm
from numba.core import config, types
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import CompileResultCacheImpl, FunctionCache, NullCache
from numba.core.registry import CPUDispatcher
from numba.core.runtime.nrt import rtsys
from numba.core.types.misc import unliteral

from esa.kernels.cache import alone, file_digest, kernel_folder, make_private, tell_not_kept

_MAKING_ENTRIES = threading.Lock()

# numba tells functions of one name and one signature apart by a number that each process counts from 1. Such are the
# parts of its np.sort and its np.argsort. Where one process loads what several have compiled, one number would name
# both, and of equal names the linker takes the first for all: kernels then sort wrongly, or crash. So every process
# begins somewhere else, a forked one, too, with as many digits, so that names are equally long.
_UNIQUE_BITS = 48


def _number_anew() -> None:
    first = (1 << _UNIQUE_BITS) + random.SystemRandom().getrandbits(_UNIQUE_BITS - 1)
    FunctionIdentity._unique_ids = itertools.count(first)


_number_anew()
os.register_at_fork(after_in_child=_number_anew)


class _Place(CompileResultCacheImpl._locator_classes[0]):  # its name is not the same in every numba
    """Where numba keeps the code of a file's functions: in its ``CACHE_DIR``, if that is this user's alone."""

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Place:
        """As numba has it, but nothing is written before there is something to keep."""
        return cls(py_func, py_file)

    def ensure_cache_path(self) -> None:
        folder = Path(self.get_cache_path())
        make_private(folder.parent)
        make_private(folder)

    def get_source_stamp(self) -> str:
        """Of the content. (In numba up to 0.65 at least, it is the time of the file's last change.)"""
        return file_digest(Path(self._py_file))


class _InPlace(CompileResultCacheImpl):
    # numba's list goes on with ``__pycache__`` beside the source, which all versions of the package share.
    _locator_classes = (_Place,)


class _Called(_InPlace):
    """Of entries: without the bitcode by which code is linked into other code, almost half of the time to load it.

    No code calls an entry. numba takes from the bitcode, too, which symbols the machine code has: what stays names
    them.
    """

    def reduce(self, cres: Any) -> Any:
        (name, kind, (machine_code, _)), *rest = super().reduce(cres)
        return ((name, kind, (machine_code, _only_names(cres.library._get_module_for_linking()))), *rest)


def _only_names(module: llvm.ModuleRef) -> bytes:
    """Bitcode with what a module defines, each with next to nothing in it."""
    functions = (
        f'define void @"{x.name}"() {{ ret void }}' for x in module.functions if not x.is_declaration
    )
    variables = (f'@"{x.name}" = global i8 0' for x in module.global_variables if not x.is_declaration)
    bitcode: bytes = llvm.parse_assembly("\n".join([*functions, *variables])).as_bitcode()
    return bitcode


class _Kept(FunctionCache):
    """The compiled code of a kernel. Two processes at a time may add to it; numba's own is for one."""

    _impl_class = _InPlace

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """As numba has it, but its registries are left alone, which take longer to fill than the code to load.

        They say how to compile. Code that is compiled needs the runtime only, and the compiler fills them itself.
        The exception is code that hashes str or bytes: its symbols (``_numba_hashsecret_*``) are added when
        `numba.cpython.hashing` is imported, which only the filling of the registries does. No kernel hashes any.

        A file that cannot be read is as good as none: it is removed, and the code compiled and kept anew.
        """
        rtsys.initialize(target_context)
        try:
            return self._load_overload(sig, target_context)
        except Exception:  # pickle raises all sorts of them for a file that a crash or a full disk cut short
            self._discard()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """As numba has it, but a full disk, say, is no harm to a run: the code is there."""
        try:
            with alone("saving"):
                super().save_overload(sig, data)
        except OSError as error:
            tell_not_kept(error)

    def _discard(self) -> None:
        """Remove all that is kept of this kernel.

        (numba's ``flush`` leaves the files of code. A new index names them again before they are written anew, so that
        another process might load them meanwhile, for other types.)
        """
        try:
            with alone("saving"):
                for path in Path(self.cache_path).glob(escape(self._impl.filename_base) + ".*"):
                    path.unlink()
        except OSError as error:
            self.disable()  # what cannot be read cannot be added to
            tell_not_kept(error)


class _KeptEntry(_Kept):
    _impl_class = _Called


class _Compiled(CPUDispatcher):
    """A function whose compiled code is kept in `kernel_folder`, looked for there when it is first asked for.

    (There are two hundred kernels, and a run calls some seventeen from Python. numba asks with its compiler locked.)
    """

    part: ClassVar[str] = "called"
    """Folder in the `kernel_folder`: one function may be compiled in two ways."""
    kept: ClassVar[type[_Kept]] = _KeptEntry
    _code: _Kept | NullCache | None = None

    @property
    def _cache(self) -> _Kept | NullCache:
        if self._code is None:
            self._code = self._kept()
        return self._code

    @_cache.setter
    def _cache(self, _none: object) -> None:
        """A new dispatcher of numba's sets one that keeps nothing."""

    def _kept(self) -> _Kept | NullCache:
        folder = kernel_folder()
        if folder is None:
            return NullCache()
        before = config.CACHE_DIR  # numba takes the folder from here
        config.CACHE_DIR = str(folder / self.part)
        try:
            return self.kept(self.py_func)
        except OSError as error:  # the source is gone: the package is being replaced
            tell_not_kept(error)
            return NullCache()
        finally:
            config.CACHE_DIR = before


class Kernel(_Compiled):
    """A kernel. Kernels call it as they call any of numba's; a call from Python goes to an entry of it.

    What numba wraps round a function for calls from Python takes every array of every argument apart and is often more
    code than the function itself. It would be compiled, and optimised again in all that calls the function, for each
    of the many kernels that only kernels call. So this one has no such wrapper, and only the entry has it.
    """

    part = "kernels"
    kept = _Kept

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """As numba has it, for integers of one kind: each other kind would be compiled by itself."""
        return super().get_call_template(
            tuple(map(_one_kind, args)), {name: _one_kind(kind) for name, kind in kws.items()}
        )

    def __call__(self, *args: Any) -> Any:
        return self.python_entry(*args)

    @cached_property
    def python_entry(self) -> Any:
        """The entry."""
        with _MAKING_ENTRIES:  # a cached property has no lock of its own from Python 3.12 on
            entry = self.__dict__.get("python_entry")
            if entry is None:
                options = {name: value for name, value in self.targetoptions.items() if name not in _BARE}
                entry = _Compiled(py_func=self.py_func, targetoptions={**options, "no_cfunc_wrapper": True})
                self.__dict__["python_entry"] = entry
        return entry


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


def inline_njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`njit` for a kernel that makes no array and returns none.

    It is compiled into the kernels that call it: a call hands over each array in seven parts, so that to offer a read a
    locus, in arrays for each of its fields, took twice as long. With ``forceinline=False`` LLVM decides: for what is
    large and called from several places.

    It is compiled without numba's reference counts. A view, or a tuple of arrays taken apart, costs an atomic
    increment and decrement each, often more than what a small kernel does with it; where nothing is made, nothing
    need be counted. (numba refuses to compile an allocation here; the option is how it compiles kernels of its own.)
    """
    return njit(function, **{"_nrt": False, "forceinline": True, **options})
