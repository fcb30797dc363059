"""The training loop: batches made ahead by worker processes, validation, checkpoints, early stopping.

Every step depends only on the seed and its own number. So a run that was stopped and resumed ends with the same
weights as one that was not (on one machine, with the same number of threads).
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
from esa.errors import EsaError
from esa.train.checkpoint import Progress, State, copy_of, load_checkpoint, save_checkpoint
from esa.train.config import RunConfig
from esa.train.task import Task, to_tensors

BATCHES_AHEAD = 8
"""Batches that each worker process makes ahead."""

DEAD_WORKER = "DataLoader worker"
"""Start of torch's message when a worker process died."""

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        encoder: with the best validation score.
        progress: of the run.
        stopped: why it stopped, in words.
    """

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
    """The batches from step ``first`` on, in order, whatever the number of workers."""
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
    """Learning rate of a step: linear warm-up, then half a cosine (Loshchilov & Hutter 2017, ICLR, "SGDR")."""
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
        task: makes batches, model and loss.
        run: duration, learning rate and stopping rules.
        checkpoint: file of the run's state, written at each validation.
        settings: digest of all that must not change between sittings.
        device: that trains.
        resume: continue from the checkpoint.
        report: called after each step.

    Raises:
        EsaError: there is nothing to resume, the loss is not finite, or a worker process died.
    """
    torch.manual_seed(run.seed)
    model = task.model().to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), run.learning_rate, betas=(0.9, 0.99), weight_decay=run.weight_decay
    )
    state = State(model, optimizer, Progress(settings), copy_of(model))
    if resume:
        load_checkpoint(checkpoint, state)
    try:
        stopped = _sitting(task, run, checkpoint, state, device, report)
    except RuntimeError as error:
        # torch raises it from a signal handler, at any point of this process.
        if not str(error).startswith(DEAD_WORKER):
            raise
        raise EsaError(
            "a process that makes batches died, perhaps of too little memory; --resume goes on from the last "
            "validation, --workers 0 does without such processes"
        ) from error
    model.load_state_dict(state.best)
    return Trained(task.encoder(model), state.progress, stopped)


def _sitting(
    task: Task, run: RunConfig, checkpoint: Path, state: State, device: torch.device, report: Report
) -> str:
    """Train from the given state to the end of the run or of the sitting; returns why it stopped."""
    progress = state.progress
    before, begun = progress.seconds, time.monotonic()
    # Values since the last validation, from which a resumed run continues.
    values: list[dict[str, float]] = []
    if _exhausted(run, progress):
        return f"no better validation in {run.patience}"
    for batch in _batches(task, run, progress.step):
        values.append(_step(task, run, state, batch, device))
        progress.step += 1
        sitting = time.monotonic() - begun
        progress.seconds = before + sitting
        late = run.minutes > 0 and sitting >= 60 * run.minutes
        due = progress.step % run.validate_every == 0 or progress.step == run.steps
        if due:
            _validate(task, state, values)
            values.clear()
            progress.seconds = before + time.monotonic() - begun
        if due or late:
            save_checkpoint(checkpoint, state)
        if late and not progress.curves:
            # For the encoder of this sitting only: the checkpoint equals that of a run that did not stop here.
            _validate(task, state, values)
        report(progress)
        if late:
            return f"after {run.minutes:g} minutes"
        if due and _exhausted(run, progress):
            return f"no better validation in {run.patience}"
    return "all steps done"


def _step(
    task: Task, run: RunConfig, state: State, batch: dict[str, Tensor], device: torch.device
) -> dict[str, float]:
    """One batch forward and backward; returns its values for the curves."""
    step = state.progress.step
    for group in state.optimizer.param_groups:
        group["lr"] = _learning_rate(run, step)
    state.optimizer.zero_grad(set_to_none=True)
    with _precision(device):
        loss, values = task.loss(state.model, {name: value.to(device) for name, value in batch.items()})
    if not torch.isfinite(loss):
        raise EsaError(f"the loss is {loss.item()} at step {step}; lower learning_rate")
    loss.backward()
    nn.utils.clip_grad_norm_(state.model.parameters(), run.clip)
    state.optimizer.step()
    return {"loss": loss.item(), **values}


def _precision(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 on CUDA, float32 on the CPU (where a task may choose otherwise)."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def _validate(task: Task, state: State, values: Sequence[dict[str, float]]) -> None:
    """Add a row with the means of the batches' ``values`` to the curves; keep the model if it is the best so far."""
    progress = state.progress
    found = task.validate(task.encoder(state.model))
    means = {name: sum(v[name] for v in values) / len(values) for name in values[0]}
    progress.curves.append({"step": progress.step, "seconds": round(progress.seconds, 1), **means, **found})
    score = next(iter(found.values()))
    if score > progress.best:
        progress.best, progress.best_step = score, progress.step
        state.best = copy_of(state.model)


def _exhausted(run: RunConfig, progress: Progress) -> bool:
    """Whether the run's patience is exhausted."""
    since = (progress.step - progress.best_step) // run.validate_every
    return run.patience > 0 and since >= run.patience
