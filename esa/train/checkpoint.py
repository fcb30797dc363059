"""The state of a training run between steps, in one safetensors file: resumed, it goes on as if never stopped."""

from __future__ import annotations

import json
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


@dataclass
class Progress:
    """What a run knows beside its tensors.

    Attributes:
        step: batches done.
        seconds: wall time so far, all sittings together.
        best: the best validation so far, and ``best_step`` where.
        config: digest of the configuration and the references, which must not change between sittings.
        curves: a row for each validation: step, loss, what the task reports.
    """

    config: str
    step: int = 0
    seconds: float = 0.0
    best: float = float("-inf")
    best_step: int = 0
    curves: list[dict[str, float]] = field(default_factory=list)


def save_checkpoint(
    path: Path,
    progress: Progress,
    model: nn.Module,
    best: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write the state aside and put it in place; never a pickle."""
    tensors = {MODEL + name: value for name, value in model.state_dict().items()}
    tensors |= {BEST + name: value for name, value in best.items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{OPTIMIZER}{number}/{name}": torch.as_tensor(value) for name, value in state.items()}
    content = save(
        {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
        {"progress": json.dumps(asdict(progress))},
    )
    with open_file(str(path)) as out:
        out.write(content)


def load_checkpoint(
    path: Path, config: str, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Tensor]]:
    """Put a saved state into a model and its optimizer.

    Returns:
        The progress, and the best model's state.

    Raises:
        EsaError: no checkpoint, or one of another model, configuration or set of references.
    """
    try:
        with safe_open(path, "pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise EsaError(f"{path}: {error.strerror or 'cannot be read'}") from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise EsaError(f"{path}: is no checkpoint of esa ({error})") from error
    if progress.config != config:
        raise EsaError(
            f"{path}: was made with other settings or references; resume with those, or train anew with --force"
        )
    try:
        model.load_state_dict(_with_prefix(tensors, MODEL))
        state: dict[int, dict[str, Any]] = {}
        for name, value in _with_prefix(tensors, OPTIMIZER).items():
            number, key = name.split("/")
            state.setdefault(int(number), {})[key] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    except (RuntimeError, ValueError, KeyError) as error:
        raise EsaError(f"{path}: does not fit the model ({error})") from error
    return progress, _with_prefix(tensors, BEST)


def _with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
