"""The state of a training run in one safetensors file. A resumed run equals one that was not interrupted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from esa.errors import EsaError
from esa.io.output import open_file

MODEL, BEST, OPTIMIZER = "model/", "best/", "optimizer/"
PROGRESS, DIGEST = "progress", "sha256"


@dataclass
class Progress:
    """Progress of a run.

    Attributes:
        config: digest of the configuration and the references, which must not change between sittings.
        step: batches done.
        seconds: wall time so far, in all sittings.
        best: the best validation score so far.
        best_step: step of the best validation.
        curves: one row per validation: step, loss, and the values that the task reports.
    """

    config: str
    step: int = 0
    seconds: float = 0.0
    best: float = float("-inf")
    best_step: int = 0
    curves: list[dict[str, float]] = field(default_factory=list)


@dataclass
class State:
    """The state of a run between two steps.

    Attributes:
        model, optimizer: in training.
        progress: so far.
        best: parameters of the model with the best validation score, on the CPU.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    progress: Progress
    best: dict[str, Tensor]


def copy_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of a model's parameters, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def save_checkpoint(path: Path, state: State) -> None:
    """Write the state beside ``path`` and rename it into place; never a pickle.

    Raises:
        OutputError: the file cannot be written.
    """
    tensors = {MODEL + name: value for name, value in state.model.state_dict().items()}
    tensors |= {BEST + name: value for name, value in state.best.items()}
    for number, moments in state.optimizer.state_dict()["state"].items():
        tensors |= {f"{OPTIMIZER}{number}/{name}": torch.as_tensor(value) for name, value in moments.items()}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    progress = json.dumps(asdict(state.progress))
    content = save(tensors, {PROGRESS: progress, DIGEST: _digest(progress, tensors)})
    with open_file(str(path)) as out:
        out.write(content)


def load_checkpoint(path: Path, state: State) -> None:
    """Replace ``state`` with a saved one of the same model and settings (`Progress.config`).

    Raises:
        EsaError: the file is no checkpoint, was altered, or is of another model, configuration or set of references.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            progress = Progress(**json.loads(metadata[PROGRESS]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            altered = _digest(metadata[PROGRESS], tensors) != metadata[DIGEST]
    except OSError as error:
        raise EsaError(f"{path}: {error.strerror or 'cannot be read'}") from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise EsaError(f"{path}: is no checkpoint of esa ({error})") from error
    if altered:
        raise EsaError(f"{path}: altered (its digest does not match)")
    if progress.config != state.progress.config:
        raise EsaError(
            f"{path}: was made with other settings or references; resume with those, or train anew with --force"
        )
    try:
        state.model.load_state_dict(_with_prefix(tensors, MODEL))
        moments: dict[int, dict[str, Any]] = {}
        for name, value in _with_prefix(tensors, OPTIMIZER).items():
            number, key = name.split("/")
            moments.setdefault(int(number), {})[key] = value
        state.optimizer.load_state_dict({**state.optimizer.state_dict(), "state": moments})
    except (RuntimeError, ValueError, KeyError) as error:
        raise EsaError(f"{path}: does not fit the model ({error})") from error
    state.progress, state.best = progress, _with_prefix(tensors, BEST)


def _digest(progress: str, tensors: Mapping[str, Tensor]) -> str:
    """Digest of a checkpoint's content."""
    digest = hashlib.sha256(progress.encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].numpy().tobytes())
    return digest.hexdigest()


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names have a prefix, by the rest of the name."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
