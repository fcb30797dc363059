"""The interface of a training task: it makes batches, model and loss; `esa.train.loop` does the rest."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from esa.encoders.base import Encoder
from esa.fragments.base import Fragmenter


class Task(Protocol):
    """One kind of encoder in training. It can be pickled, since worker processes hold copies."""

    name: str

    @property
    def fragmenter(self) -> Fragmenter:
        """The fragmenter of the encoder."""

    @property
    def validation(self) -> str:
        """Meaning of the numbers of `validate`, in words."""

    def batch(self, step: int) -> dict[str, NDArray[Any]]:
        """The batch of a step, arrays by name; depends on the task's seed and on ``step`` only."""

    def model(self) -> nn.Module:
        """A new model, the same every time."""

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and other values for the curves."""

    def encoder(self, model: nn.Module) -> Encoder:
        """The encoder of a model, to be saved and used by `esa index`."""

    def validate(self, encoder: Encoder) -> dict[str, float]:
        """Recall on held-out sequence. The first value decides early stopping; larger is better."""


def parameters_of(model: nn.Module) -> int:
    """Number of a model's trained parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def to_tensors(batch: dict[str, NDArray[Any]]) -> dict[str, Tensor]:
    """The batch as tensors, which share memory with the arrays."""
    return {name: torch.from_numpy(array) for name, array in batch.items()}
