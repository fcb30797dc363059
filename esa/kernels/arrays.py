"""Names of types for the annotations of kernels. numba ignores annotations; people and mypy read them.

An array's shape is given in the docstring of the kernel, or of the field that holds the array.
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
"""A signed integer of at most 64 bits, numpy's or Python's: one type to numba, two to mypy."""
Word = Any
"""A ``uint64``."""
Float = Any
"""A float of 64 bits, numpy's or Python's."""
Bool = Any
"""A boolean, numpy's or Python's."""
