"""The sketch computed by torch: the same vectors, bit for bit, on any device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from esa.encoders.sketch import SketchEncoder, taper
from esa.fragments.base import Fragments

BLOCK = 2048
"""Fragments embedded at a time; their k-mer counts take 0.3 GB."""


@dataclass(frozen=True)
class SketchOnDevice:
    """`SketchEncoder` with its sums on a device.

    All sums are of integers, and those in float32 stay below 2**24 (a fragment of 256 bases reaches 16,000). So they
    are exact in any order.

    Attributes:
        encoder: the sketch.
        device: where it is computed.
    """

    encoder: SketchEncoder
    device: torch.device

    name: ClassVar[str] = SketchEncoder.name

    @property
    def dimensions(self) -> int:
        """Components of an embedding."""
        return self.encoder.dimensions

    @cached_property
    def _signs(self) -> Tensor:
        return torch.tensor(self.encoder.signs, device=self.device).float()

    def embed(self, codes: NDArray[np.uint8], fragments: Fragments) -> NDArray[np.float32]:
        """`SketchEncoder.embed`."""
        out = np.zeros((len(fragments), self.dimensions), np.float32)
        for bases in np.unique(fragments.length[fragments.length >= self.encoder.k]):
            chosen = np.flatnonzero(fragments.length == bases)
            for begin in range(0, len(chosen), BLOCK):
                rows = chosen[begin : begin + BLOCK]
                windows = codes[fragments.start[rows, None] + np.arange(bases)]
                with torch.inference_mode():
                    out[rows] = self._embed(torch.from_numpy(windows).to(self.device)).cpu().numpy()
        return out

    def _embed(self, windows: Tensor) -> Tensor:
        """``float32[n, dimensions]``: embeddings of base codes ``uint8[n, length]``."""
        k = self.encoder.k
        kmers, known = _canonical_kmers(windows.to(torch.int64), k)
        places = kmers.shape[1]
        weights = torch.tensor([taper(i, places) for i in range(places)], device=self.device)
        counts = torch.zeros((len(windows), 4**k), dtype=torch.int64, device=self.device)
        counts.scatter_add_(1, kmers, weights * known)
        sums = (counts.double().sqrt().round().float() @ self._signs).double()
        norm = (sums * sums).sum(1, keepdim=True).sqrt()
        return (sums / norm.where(norm > 0, 1.0)).float()

    def calibrated(self, codes: NDArray[np.uint8], fragments: Fragments) -> SketchOnDevice:
        """This encoder: nothing is fitted to the reference."""
        return self

    def parameters(self) -> dict[str, Any]:
        """Parameters for the index manifest."""
        return self.encoder.parameters()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """None: there are no weights."""
        return self.encoder.arrays()


def _canonical_kmers(bases: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The canonical k-mer at each place (``int64[n, places]``), and whether it has no N (else it is arbitrary)."""
    places = bases.shape[1] - k + 1
    known = bases < 4
    letters = bases * known
    forward = torch.zeros((len(bases), places), dtype=torch.int64, device=bases.device)
    backward, free = torch.zeros_like(forward), torch.ones_like(forward, dtype=torch.bool)
    for i in range(k):
        here = slice(i, i + places)
        forward += letters[:, here] << 2 * (k - 1 - i)
        backward += (3 - letters[:, here]) << 2 * i
        free &= known[:, here]
    return torch.minimum(forward, backward), free
