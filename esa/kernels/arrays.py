"""Names of the types that kernels take: for annotations, which numba ignores and people and mypy read.

The shape of an array stands in the docstring of the kernel or of the field that holds it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
U8Array = NDArray[np.uint8]
U16Array = NDArray[np.uint16]
U32Array = NDArray[np.uint32]
U64Array = NDArray[np.uint64]
I8Array = NDArray[np.int8]
I16Array = NDArray[np.int16]
I32Array = NDArray[np.int32]
I64Array = NDArray[np.int64]
F32Array = NDArray[np.float32]
F64Array = NDArray[np.float64]

Int = Any
"""A signed integer of 64 bits, or less: numpy's or Python's, which numba takes for one and mypy for two."""
Word = Any
"""A ``uint64``."""
Float = Any
"""A float of 64 bits, numpy's or Python's."""
Bool = Any
"""A truth value, numpy's or Python's."""
