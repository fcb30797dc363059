"""Operations that numba lacks: prefetch, unaligned 64-bit loads, copies of growing arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_untracked
from numba.extending import intrinsic
from numpy.typing import NDArray

from esa.kernels.arrays import Int
from esa.kernels.decorator import njit

_READ, _KEEP, _DATA = 0, 3, 1
"""Arguments of LLVM's prefetch: for reading; keep in all cache levels; the data cache."""
PADDING = 8
"""Bytes after the last one needed that `load64` may read."""


def first_item(context: Any, builder: Any, signature: Any, arguments: Any, k: int) -> Any:
    """LLVM pointer to the first item of an array; for code generators of intrinsics.

    Args:
        context, builder, signature, arguments: As the generator is given them.
        k: Index of the array among the arguments.
    """
    # Imported here, as it delays every start and only compiling needs it.
    from numba.np.arrayobj import make_array

    return make_array(signature.args[k])(context, builder, arguments[k]).data


@intrinsic
def prefetch(_context: Any, array: Any, index: Any) -> Any:
    """``prefetch(array, i)`` starts loading ``array[i]`` (one-dimensional, contiguous) into the caches."""

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
    """``load64(array, i)``: bytes i to i + 7 of a ``uint8`` array as a little-endian ``uint64``, aligned or not.

    Bounds are not checked: arrays read this way have `PADDING` extra bytes at their end.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = first_item(context, builder, signature, arguments, 0)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(address, align=1)

    return types.uint64(array, index), generate


@njit
def grown(array: NDArray[Any], used: Int, room: Int) -> NDArray[Any]:
    """A new array of ``room`` items that starts with the first ``used`` items of a one-dimensional array."""
    out = np.empty(room, array.dtype)
    out[:used] = array[:used]
    return out
