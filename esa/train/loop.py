"""The training loop: batches made ahead by worker processes, validation, checkpoints, early stop.

Every step depends on the seed and its own number alone, so a run that was stopped and resumed ends with the
same weights as one that was not (on one machine, with as many threads).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from esa.encoders.base import Encoder
from esa.errors import EsaError, UsageError
from esa.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from esa.train.config import RunConfig
from esa.train.task import Task, to_tensors

DEVICES = ("auto", "cpu", "cuda")
BATCHES_AHEAD = 8
"""Batches that each worker process keeps ready."""

Report = Callable[[Progress], None]


def choose_device(name: str) -> torch.device:
    """``cpu``, ``cuda``, or with ``auto`` cuda where there is one.

    Raises:
        EsaError: CUDA asked for and absent.
    """
    if name not in DEVICES:
        raise UsageError(f"unknown device {name!r}; there are: {', '.join(DEVICES)}")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise EsaError("no CUDA device can be used by this torch; train with --device cpu")
    return torch.device("cuda" if name != "cpu" and available else "cpu")


@dataclass(frozen=True)
class Trained:
    """A finished run: the encoder with the best validation, and how it came about."""

    encoder: Encoder
    progress: Progress
    stopped: str


class _Batches(Dataset[dict[str, Tensor]]):
    """A task's batches by step."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        return to_tensors(self._task.batch(step))


def _batches(task: Task, run: RunConfig, first: int) -> Iterator[dict[str, Tensor]]:
    """The batches of steps ``first`` and on, in order, whatever the number of workers."""
    loader = DataLoader(
        _Batches(task),
        batch_size=None,
        sampler=range(first, run.steps),
        num_workers=run.workers,
        prefetch_factor=BATCHES_AHEAD if run.workers else None,
        multiprocessing_context="spawn" if run.workers else None,
    )
    return iter(loader)


def _learning_rate(run: RunConfig, step: int) -> float:
    """Linear warm-up, then half a cosine (Loshchilov & Hutter 2017, ICLR, "SGDR")."""
    rise = min(1.0, (step + 1) / max(1, run.warm_up))
    return run.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * step / run.steps))


def train(
    task: Task,
    run: RunConfig,
    checkpoint: Path,
    settings: str,
    *,
    device: torch.device,
    resume: bool = False,
    report: Report = lambda progress: None,
) -> Trained:
    """Train a task's model.

    Args:
        checkpoint: file of the run's state, written at each validation.
        settings: digest of what must not change between sittings.
        report: told after each step.

    Raises:
        EsaError: nothing to resume, or a loss that is no number.
    """
    torch.manual_seed(run.seed)
    model = task.model().to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), run.learning_rate, betas=(0.9, 0.99), weight_decay=run.weight_decay
    )
    progress, best = Progress(settings), _state(model)
    if resume:
        progress, best = load_checkpoint(checkpoint, settings, model, optimizer)
    before, begun = progress.seconds, time.monotonic()
    stopped = "all steps done"
    # Since the last validation, which is where a resumed run begins.
    values: list[dict[str, float]] = []
    for batch in _batches(task, run, progress.step):
        values.append(_step(task, run, model, optimizer, progress.step, batch, device))
        progress.step += 1
        progress.seconds = before + time.monotonic() - begun
        late = run.minutes > 0 and progress.seconds >= 60 * run.minutes
        if progress.step % run.validate_every == 0 or progress.step == run.steps or late:
            best = _validated(task, model, progress, values, best)
            values.clear()
            progress.seconds = before + time.monotonic() - begun
            save_checkpoint(checkpoint, progress, model, best, optimizer)
        report(progress)
        if late:
            stopped = f"after {run.minutes:g} minutes"
            break
        if _exhausted(run, progress):
            stopped = f"no better validation in {run.patience}"
            break
    model.load_state_dict(best)
    return Trained(task.encoder(model), progress, stopped)


def _step(
    task: Task,
    run: RunConfig,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    batch: dict[str, Tensor],
    device: torch.device,
) -> dict[str, float]:
    """One batch forward and backward; returns what the curves show of it."""
    # Dropout and the like draw from torch's own generator: seeded by the step, a resumed run draws the same.
    torch.manual_seed(run.seed * 1_000_003 + step)
    for group in optimizer.param_groups:
        group["lr"] = _learning_rate(run, step)
    optimizer.zero_grad(set_to_none=True)
    with _precision(device):
        loss, values = task.loss(model, {name: value.to(device) for name, value in batch.items()})
    if not torch.isfinite(loss):
        raise EsaError(f"the loss is {loss.item()} at step {step}; lower learning_rate")
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), run.clip)
    optimizer.step()
    return {"loss": loss.item(), **values}


def _precision(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 on CUDA; a task that gains by it on a CPU says so itself."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def _validated(
    task: Task,
    model: nn.Module,
    progress: Progress,
    values: Sequence[dict[str, float]],
    best: dict[str, Tensor],
) -> dict[str, Tensor]:
    """Adds a row to the curves, with the means of the batches' ``values``; returns the best model's state so far."""
    found = task.validate(task.encoder(model))
    means = {name: sum(v[name] for v in values) / len(values) for name in values[0]}
    progress.curves.append({"step": progress.step, "seconds": round(progress.seconds, 1), **means, **found})
    score = next(iter(found.values()))
    if score > progress.best:
        progress.best, progress.best_step = score, progress.step
        return _state(model)
    return best


def _exhausted(run: RunConfig, progress: Progress) -> bool:
    since = (progress.step - progress.best_step) // run.validate_every
    return run.patience > 0 and since >= run.patience
