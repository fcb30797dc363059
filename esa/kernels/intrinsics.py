"""What numba lacks: hints that a place in memory will be read soon, loads of bytes across words, arrays that grow."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_untracked
from numba.extending import intrinsic

from esa.kernels.decorator import njit

_READ, _KEEP, _DATA = 0, 3, 1
"""Arguments of LLVM's prefetch: for reading, to stay in all caches, of the data cache."""
PADDING = 8
"""Bytes behind an array that `load64` reads."""


def first_item(context: Any, builder: Any, signature: Any, arguments: Any, k: int) -> Any:
    """In the generator of an intrinsic: the pointer to the first item of the array that is its argument ``k``."""
    # Only who compiles needs it, and every start would pay for it.
    from numba.np.arrayobj import make_array

    return make_array(signature.args[k])(context, builder, arguments[k]).data


@intrinsic
def prefetch(_context: Any, array: Any, index: Any) -> Any:
    """``prefetch(array, i)`` starts to load ``array[i]`` (one-dimensional, contiguous) into the caches."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = first_item(context, builder, signature, arguments, 0)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), cgutils.voidptr_t)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, *[ir.IntType(32)] * 3])
        hint = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(hint, [address, *(ir.IntType(32)(flag) for flag in (_READ, _KEEP, _DATA))])
        return impl_ret_untracked(context, builder, types.none, context.get_dummy_value())

    return types.none(array, index), generate


@intrinsic
def load64(_context: Any, array: Any, index: Any) -> Any:
    """``load64(array, i)``: the eight bytes of a ``uint8`` array from i on, aligned or not, as a ``uint64``.

    Bounds are not checked: arrays that are read so have `PADDING` bytes at their end.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = first_item(context, builder, signature, arguments, 0)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(address, align=1)

    return types.uint64(array, index), generate


@njit
def grown(array, used, room):  # type: ignore[no-untyped-def]
    """A new array of ``room`` items that begins with the first ``used`` of a one-dimensional one."""
    out = np.empty(room, array.dtype)
    out[:used] = array[:used]
    return out
