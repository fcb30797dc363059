"""Exact search by torch, with the vectors on the computing device: for CUDA, and tested on the CPU.

Products of 8-bit vectors stay far below 2**24. So float32 holds them and all their partial sums exactly, whatever the
order of summation, and the results are the same on every device. (This holds as long as they are multiplied as float32.
TensorFloat-32 has 10 bits, but torch uses it only on request.)
"""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esa.stores.dense import DenseStore

BLOCK = 1 << 16
"""Vectors compared at a time: with `esa.stores.dense.QUERIES` queries, products and keys take under 1 GB."""

ROW_BITS = 32
"""Low bits of a key that hold the row of a vector; the product is above them."""


class DeviceScanner:
    """All vectors on a device, in blocks. Threads take turns, as they would only compete for the device.

    Args:
        vectors: ``int8[n, dimensions]``.
        device: where they are kept and compared.
    """

    def __init__(self, vectors: NDArray[np.int8], device: torch.device) -> None:
        self._device = device
        # Copied first: torch takes writable arrays only, and mapped ones are read-only.
        self._blocks = [
            torch.from_numpy(vectors[begin : begin + BLOCK].copy()).to(device)
            for begin in range(0, len(vectors), BLOCK)
        ]
        self._lock = threading.Lock()

    def search(self, queries: NDArray[np.int8], width: int) -> NDArray[np.int64]:
        """The rows with the largest products, of equal ones the first.

        Args:
            queries: ``int8[n, dimensions]``.
            width: rows per query.

        Returns:
            ``int64[n, width]``, filled up with -1.
        """
        with self._lock, torch.inference_mode():
            return self._search(queries, width)

    def _search(self, queries: NDArray[np.int8], width: int) -> NDArray[np.int64]:
        x = torch.from_numpy(queries.astype(np.float32)).to(self._device)
        best = torch.empty((len(queries), 0), dtype=torch.int64, device=self._device)
        for number, block in enumerate(self._blocks):
            keys = _keys(x @ block.float().T, number * BLOCK)
            best = torch.cat([best, keys.topk(min(width, keys.shape[1])).values], 1)
            best = best.topk(min(width, best.shape[1])).values
        found = np.full((len(queries), width), -1, np.int64)
        found[:, : best.shape[1]] = _rows(best).cpu().numpy()
        return found


def _keys(products: Tensor, first: int) -> Tensor:
    """``int64[queries, vectors]``: larger for a larger product, and for an earlier row where products are equal.

    So all keys differ, and which are the largest does not depend on the device.
    """
    rows = torch.arange(first, first + products.shape[1], device=products.device)
    return (products.to(torch.int64) << ROW_BITS) - rows


def _rows(keys: Tensor) -> Tensor:
    """The rows that keys stand for."""
    return -keys & ((1 << ROW_BITS) - 1)


def store_on_device(store: DenseStore, device: torch.device) -> DenseStore:
    """A copy of the store with its vectors on a device, where it is searched exactly."""
    return replace(store, exact=DeviceScanner(store.vectors, device))
