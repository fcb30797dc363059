"""The decorators of esa's kernels, `njit` and `inline_njit`, on top of numba's dispatcher and cache.

They differ from `numba.njit` in three ways. Compiled code is kept in `esa.kernels.cache.kernel_folder`, which several
processes may fill at a time. Wrappers for calls from Python are compiled only for kernels that Python calls. And inline
kernels do without reference counts.

Parts of numba that are not its public interface are listed in README.md beside this file.
"""

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

# numba distinguishes functions of the same name and signature by a counter that starts at 1 in every process. The inner
# functions of its np.sort and np.argsort are such. A process that loads code compiled by several others could then find
# two functions under one symbol, and the linker takes the first for both: kernels sort wrongly, or crash. So every
# process, forked ones included, starts at a random number, of constant length to keep symbols equally long.
_UNIQUE_BITS = 48


def _renumber_functions() -> None:
    first = (1 << _UNIQUE_BITS) + random.SystemRandom().getrandbits(_UNIQUE_BITS - 1)
    FunctionIdentity._unique_ids = itertools.count(first)


_renumber_functions()
os.register_at_fork(after_in_child=_renumber_functions)


class _Place(CompileResultCacheImpl._locator_classes[0]):  # the class's name varies between releases of numba
    """numba's cache locator for ``CACHE_DIR``; here the folder must be private to this user."""

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Place:
        """As in numba, but nothing is written before there is code to keep."""
        return cls(py_func, py_file)

    def ensure_cache_path(self) -> None:
        """Create the folder of a source file's code, and its parent, private to this user."""
        folder = Path(self.get_cache_path())
        make_private(folder.parent)
        make_private(folder)

    def get_source_stamp(self) -> str:
        """A digest of the source file. (In numba up to 0.65 at least, it is the time of the last change.)"""
        return file_digest(Path(self._py_file))


class _InPlace(CompileResultCacheImpl):
    """numba's serialization, with `_Place` as the only locator."""

    # numba's own list continues with ``__pycache__`` beside the source, which all versions of the package share.
    _locator_classes = (_Place,)


class _Called(_InPlace):
    """Serialization of Python entries, without the bitcode, which takes almost half of the time to load.

    Bitcode is for linking code into other code, and no kernel calls an entry. But numba also reads from the bitcode
    which symbols the machine code defines, so a stub of it stays that names them.
    """

    def reduce(self, cres: Any) -> Any:
        """The content of a file of compiled code, as numba's, but with stub bitcode."""
        (name, kind, (machine_code, _)), *rest = super().reduce(cres)
        return ((name, kind, (machine_code, _only_names(cres.library._get_module_for_linking()))), *rest)


def _only_names(module: llvm.ModuleRef) -> bytes:
    """Bitcode that defines the same symbols as a module, each with an empty body."""
    functions = (
        f'define void @"{x.name}"() {{ ret void }}' for x in module.functions if not x.is_declaration
    )
    variables = (f'@"{x.name}" = global i8 0' for x in module.global_variables if not x.is_declaration)
    bitcode: bytes = llvm.parse_assembly("\n".join([*functions, *variables])).as_bitcode()
    return bitcode


class _Kept(FunctionCache):
    """The compiled code of a kernel on disk. Unlike numba's own, several processes may add to it at a time."""

    _impl_class = _InPlace

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """As in numba, but without filling its registries, which takes longer than loading the code.

        The registries say how to compile, and the compiler fills them itself. Compiled code needs only the runtime.
        The exception is code that hashes str or bytes: its symbols (``_numba_hashsecret_*``) are added when
        `numba.cpython.hashing` is imported, which only filling the registries does. No kernel hashes either.

        A file that cannot be read is removed, and the code is compiled and kept again.
        """
        rtsys.initialize(target_context)
        try:
            return self._load_overload(sig, target_context)
        except Exception:  # pickle raises many kinds for a file that was truncated by a crash or a full disk
            self._discard()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """As in numba, but under a lock, and a failure (a full disk, say) does not end the run: it has the code."""
        try:
            with alone("saving"):
                super().save_overload(sig, data)
        except OSError as error:
            tell_not_kept(error)

    def _discard(self) -> None:
        """Remove all files of this kernel.

        (numba's ``flush`` leaves the files of code. A new index names them again before they are rewritten, so another
        process could load them meanwhile, for other types.)
        """
        try:
            with alone("saving"):
                for path in Path(self.cache_path).glob(escape(self._impl.filename_base) + ".*"):
                    path.unlink()
        except OSError as error:
            self.disable()  # an index that cannot be read cannot be extended
            tell_not_kept(error)


class _KeptEntry(_Kept):
    """`_Kept` for Python entries."""

    _impl_class = _Called


class _Compiled(CPUDispatcher):
    """A function whose compiled code is kept in `kernel_folder`; its cache is opened when first needed.

    (There are two hundred kernels, and a run calls some seventeen from Python. numba opens caches under its compiler
    lock.)
    """

    subfolder: ClassVar[str] = "called"
    """Subfolder of the `kernel_folder`: one function may be compiled as a kernel and as an entry."""
    kept: ClassVar[type[_Kept]] = _KeptEntry
    _code: _Kept | NullCache | None = None

    @property
    def _cache(self) -> _Kept | NullCache:
        if self._code is None:
            self._code = self._kept()
        return self._code

    @_cache.setter
    def _cache(self, _none: object) -> None:
        """Ignored: numba's constructor of dispatchers sets a `NullCache`."""

    def _kept(self) -> _Kept | NullCache:
        folder = kernel_folder()
        if folder is None:
            return NullCache()
        before = config.CACHE_DIR  # the locator reads the folder from here
        config.CACHE_DIR = str(folder / self.subfolder)
        try:
            return self.kept(self.py_func)
        except OSError as error:  # the source is gone: the package is being replaced
            tell_not_kept(error)
            return NullCache()
        finally:
            config.CACHE_DIR = before


class Kernel(_Compiled):
    """A kernel. Other kernels call it directly; a call from Python goes through its Python entry.

    numba's wrapper for calls from Python unpacks every array of every argument and is often larger than the function
    itself. It would be compiled for each of the many kernels that only kernels call, and optimised again in every
    caller. So a kernel has no wrapper; only its entry, compiled when Python first calls the kernel, has one.
    """

    subfolder = "kernels"
    kept = _Kept

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """As in numba, but all signed integers count as ``int64``: each width would be compiled by itself."""
        return super().get_call_template(
            tuple(map(_one_kind, args)), {name: _one_kind(kind) for name, kind in kws.items()}
        )

    def __call__(self, *args: Any) -> Any:
        return self.python_entry(*args)

    @cached_property
    def python_entry(self) -> Any:
        """The dispatcher that Python calls: the same function with numba's wrapper."""
        with _MAKING_ENTRIES:  # a cached property has no lock of its own from Python 3.12 on
            entry = self.__dict__.get("python_entry")
            if entry is None:
                options = {name: value for name, value in self.targetoptions.items() if name not in _BARE}
                entry = _Compiled(py_func=self.py_func, targetoptions={**options, "no_cfunc_wrapper": True})
                self.__dict__["python_entry"] = entry
        return entry


_BARE = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _one_kind(kind: Any) -> Any:
    """The type that a kernel is compiled for, given the type of an argument: no literals, no small integers.

    Results are the same: numba's arithmetic widens signed integers to 64 bits in any case.
    """
    kind = unliteral(kind)
    return types.int64 if kind in types.signed_domain else kind


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`numba.njit` that makes a `Kernel`: it releases the GIL, and its code is kept in `kernel_folder`.

    ``options``: those of `numba.njit`.
    """
    if function is None:
        return partial(njit, **options)
    return Kernel(py_func=function, targetoptions={"nopython": True, "nogil": True, **options, **_BARE})


def inline_njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`njit` for an inline kernel: one that allocates no array and returns none.

    It is inlined into the kernels that call it. A call passes each array as seven values: `esa.align.loci.offer`, whose
    loci have an array for each field, took twice as long. With ``forceinline=False`` LLVM decides whether to inline:
    use it for large kernels with several callers.

    It is compiled without numba's reference counts. A view, or an array taken from a tuple, costs an atomic increment
    and an atomic decrement, often more than the work of a small kernel. Where nothing is allocated, nothing need be
    counted. (numba refuses to compile an allocation here. Some of its own functions are compiled with this option.)
    """
    return njit(function, **{"_nrt": False, "forceinline": True, **options})
