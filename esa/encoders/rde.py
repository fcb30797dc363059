"""The learned dense encoder: a Transformer (`esa.encoders.rde_model`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from esa.encoders.rde_model import RdeModel, RdeShape
from esa.encoders.rde_tokens import SLOTS, kmer_rows, lay_out, tokens_of
from esa.fragments.base import Fragments

CPU = torch.device("cpu")

BLOCK = 64
"""Fragments per pass of the model on the CPU. Batches are filled up to it, so that the order of sums never varies."""
DEVICE_BLOCK = 4096
"""Fragments per pass of the model on another device."""


@dataclass(frozen=True)
class RdeEncoder:
    """Reference-free DNA Embedding.

    Attributes:
        shape: sizes of the model.
        weights: ``float32`` arrays by torch's names.
        kept: components of an embedding, the first of the model's, as a unit vector. (The model is trained so that a
            prefix is an embedding: Kusupati et al. 2022, "Matryoshka representation learning".)
        device: device of the model. The last bits of an embedding depend on it.

    Raises:
        ValueError: ``kept`` is out of range, or the weights do not fit the shape.
    """

    shape: RdeShape
    weights: Mapping[str, NDArray[np.float32]]
    kept: int
    device: torch.device = CPU

    name: ClassVar[str] = "rde"

    def __post_init__(self) -> None:
        if not 4 <= self.kept <= self.shape.dimensions or self.kept % 4:
            raise ValueError(
                f"kept is a multiple of 4 up to {self.shape.dimensions} dimensions, not {self.kept}"
            )
        expected = {name: tuple(value.shape) for name, value in RdeModel(self.shape).state_dict().items()}
        found = {name: tuple(value.shape) for name, value in self.weights.items()}
        if expected != found:
            wrong = sorted(set(expected.items()) ^ set(found.items()))[0][0]
            raise ValueError(f"not the weights of {self.shape}: {wrong} is {found.get(wrong, 'missing')}")

    @classmethod
    def of_model(cls, model: RdeModel) -> RdeEncoder:
        """The encoder with a copy of a model's weights."""
        state = {name: value.detach().cpu().float().numpy() for name, value in model.state_dict().items()}
        return cls(model.shape, {name: value.copy() for name, value in state.items()}, model.shape.dimensions)

    @classmethod
    def from_arrays(cls, parameters: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> RdeEncoder:
        """The encoder with these `parameters` and `arrays`."""
        values = dict(parameters)
        values.pop("name")
        kept = values.pop("kept")
        weights = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
        return cls(RdeShape(**values), weights, kept)

    @property
    def dimensions(self) -> int:
        """Components of an embedding."""
        return self.kept

    @property
    def _block(self) -> int:
        return BLOCK if self.device == CPU else DEVICE_BLOCK

    @cached_property
    def _model(self) -> RdeModel:
        model = RdeModel(self.shape)
        model.load_state_dict({name: torch.tensor(value) for name, value in self.weights.items()})
        return model.requires_grad_(False).eval().to(self.device)

    @cached_property
    def _rows(self) -> NDArray[np.int32]:
        return kmer_rows(self.shape.k)

    def embed(self, codes: NDArray[np.uint8], fragments: Fragments) -> NDArray[np.float32]:
        """``float32[len(fragments), kept]``, unit vectors; zero for a fragment without k-mers.

        Of a fragment longer than ``shape.longest``, the middle is embedded.
        """
        out = np.empty((len(fragments), self.kept), np.float32)
        length = np.minimum(fragments.length, self.shape.longest)
        start = fragments.start + (fragments.length - length) // 2
        for bases in np.unique(length):
            chosen = np.flatnonzero(length == bases)
            for begin in range(0, len(chosen), self._block):
                block = chosen[begin : begin + self._block]
                out[block] = self._embed(codes, start[block], int(bases))
        return out

    def _embed(self, codes: NDArray[np.uint8], start: NDArray[np.int64], length: int) -> NDArray[np.float32]:
        """Embeddings of up to a block of fragments of ``length`` bases."""
        k = self.shape.k
        rows = np.zeros((self._block, tokens_of(length, k), SLOTS), np.int32)
        weights = np.zeros(rows.shape, np.float32)
        lay_out(codes, start, length, k, self._rows, rows[: len(start)], weights[: len(start)])
        with torch.inference_mode(), _one_thread():
            tokens = (torch.from_numpy(array).to(self.device) for array in (rows, weights))
            vectors = self._model(*tokens)[: len(start)]
            kept = torch.nn.functional.normalize(vectors[:, : self.kept], dim=1)
            result: NDArray[np.float32] = kept.cpu().numpy()
        return result

    def calibrated(self, codes: NDArray[np.uint8], fragments: Fragments) -> RdeEncoder:
        """This encoder: nothing is fitted to the reference."""
        return self

    def truncated(self, kept: int) -> RdeEncoder:
        """This encoder with the first ``kept`` components only."""
        return replace(self, kept=kept)

    def parameters(self) -> dict[str, Any]:
        """Parameters for the index manifest."""
        return {"name": self.name, "kept": self.kept, **asdict(self.shape)}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The weights, in order of their names."""
        # safetensors returns them in any order.
        return dict(sorted(self.weights.items()))


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch on the calling thread only, since several threads call it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
