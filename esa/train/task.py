"""What is trained: a task makes its batches, its model and its loss; `esa.train.loop` does the rest."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from esa.encoders.base import Encoder
from esa.fragments.base import Fragmenter


class Task(Protocol):
    """One kind of encoder in training. Picklable: worker processes hold copies of it."""

    name: str

    @property
    def fragmenter(self) -> Fragmenter:
        """What cuts references and reads for the encoder."""

    @property
    def validation(self) -> str:
        """What the numbers of `validate` are, in words."""

    def batch(self, step: int) -> dict[str, NDArray[Any]]:
        """The batch of a step; depends on the task's seed and on ``step`` alone."""

    def model(self) -> nn.Module:
        """A fresh model, the same every time."""

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and what else the curves show."""

    def encoder(self, model: nn.Module) -> Encoder:
        """What is saved, and used by `esa index`."""

    def validate(self, encoder: Encoder) -> dict[str, float]:
        """Recall on sequence that no batch holds; the first is what early stopping watches, larger is better."""


def parameters_of(model: nn.Module) -> int:
    """Trained numbers of a model."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def to_tensors(batch: dict[str, NDArray[Any]]) -> dict[str, Tensor]:
    """The batch as torch takes it."""
    return {name: torch.from_numpy(array) for name, array in batch.items()}
