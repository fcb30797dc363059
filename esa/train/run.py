"""A training run as a whole, from references to a directory with an encoder."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from esa.encoders import registry
from esa.encoders.device import choose_device
from esa.encoders.registry import save_encoder
from esa.errors import MissingLibraryError, OutputError, UsageError
from esa.io.output import open_file
from esa.sequence.genome import Genome
from esa.train import curves
from esa.train.card import model_card
from esa.train.checkpoint import Progress
from esa.train.codes import CodesConfig, CodesTask
from esa.train.config import RUN_TABLE, RunConfig, build, read_tables, render
from esa.train.loop import Report, Trained, train
from esa.train.rde import RdeConfig, RdeTask
from esa.train.references import read_references
from esa.train.task import Task, parameters_of

CHECKPOINT_NAME = "checkpoint.safetensors"
CONFIG_NAME = "config.toml"
CURVES_NAME = "curves.csv"
PICTURE_NAME = "curves.png"
CARD_NAME = "README.md"
WRITTEN = (
    *(CHECKPOINT_NAME, CONFIG_NAME, CURVES_NAME, PICTURE_NAME, CARD_NAME),
    *(registry.CONFIG_NAME, registry.WEIGHTS_NAME),
)
"""All files that a training writes into its directory."""


@dataclass(frozen=True)
class Kind:
    """A kind of encoder that can be trained: its configuration, its task, and the defaults of its runs."""

    config: type[Any]
    task: Callable[[Any, Genome, Genome, int], Task]
    run: RunConfig


KINDS: dict[str, Kind] = {
    "codes": Kind(CodesConfig, CodesTask, RunConfig()),
    "rde": Kind(
        RdeConfig, RdeTask, RunConfig(steps=2400, learning_rate=2e-3, warm_up=50, validate_every=600)
    ),
}


@dataclass(frozen=True)
class TrainSummary:
    """Result of a run.

    Attributes:
        directory: of the encoder.
        trained: the encoder and its curves.
        parameters: number of trained parameters.
        no_picture: why the curves were not drawn, or None.
    """

    directory: Path
    trained: Trained
    parameters: int
    no_picture: str | None = None


@dataclass(frozen=True)
class Settings:
    """The configuration of a training: kind of encoder, run, and task."""

    kind: str
    run: RunConfig
    task: Any

    def text(self) -> bytes:
        """TOML text (UTF-8)."""
        return render({RUN_TABLE: self.run, self.kind: self.task})


def read_settings(kind: str, path: str | None, changes: dict[str, Any]) -> Settings:
    """Defaults, overridden by a TOML file, overridden by ``changes`` of `RunConfig` fields.

    Args:
        kind: name in `KINDS`.
        path: of the TOML file; None: no file.
        changes: by field.

    Raises:
        UsageError: an unknown kind or key, or a value out of range.
        EsaError: the file cannot be read.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown kind of encoder {kind!r}; there are: {', '.join(KINDS)}")
    chosen = KINDS[kind]
    tables = read_tables(path, (RUN_TABLE, kind)) if path else {RUN_TABLE: {}, kind: {}}
    where = path or "options"
    run = {**dataclasses.asdict(chosen.run), **tables[RUN_TABLE], **changes}
    return Settings(
        kind,
        build(RunConfig, run, f"{where}: [{RUN_TABLE}]"),
        build(chosen.config, tables[kind], f"{where}: [{kind}]"),
    )


def train_encoder(
    settings: Settings,
    references: Sequence[str],
    output: Path,
    *,
    device: str = "auto",
    resume: bool = False,
    force: bool = False,
    report: Report = lambda progress: None,
) -> TrainSummary:
    """Train an encoder on references and write it, with its config, curves and model card, into a directory.

    The config is written first. The curves and the checkpoint are written at each validation.

    Args:
        settings: of the training.
        references: paths of FASTA files.
        output: the directory.
        device: name in `esa.encoders.device.DEVICES`.
        resume: continue from the checkpoint in the directory.
        force: start anew in a directory that is not empty.
        report: called after each step.

    Raises:
        UsageError, EsaError: invalid settings, references or checkpoint, or a device that is not available.
        OutputError: the directory is not empty, or cannot be written.
    """
    kind, run = settings.kind, settings.run
    chosen = choose_device(device)
    _require_startable(output, resume, force)
    genomes = read_references(references)
    task = KINDS[kind].task(settings.task, *genomes, run.seed)
    _prepare(output)
    if not resume:
        for name in WRITTEN:  # by an earlier run
            (output / name).unlink(missing_ok=True)
        _write(output / CONFIG_NAME, settings.text())

    def follow(progress: Progress) -> None:
        if progress.curves and progress.curves[-1]["step"] == progress.step:
            _write_curves(output, kind, progress.curves)
        report(progress)

    trained = train(
        task,
        run,
        output / CHECKPOINT_NAME,
        _digest(settings, genomes),
        device=chosen,
        resume=resume,
        report=follow,
    )
    no_picture = _write_curves(output, kind, trained.progress.curves)
    parameters = parameters_of(task.model())
    save_encoder(trained.encoder, output, task.fragmenter.parameters())
    _write(
        output / CARD_NAME,
        model_card(kind, references, genomes, trained, parameters, chosen, task.validation),
    )
    return TrainSummary(output, trained, parameters, no_picture)


def _require_startable(output: Path, resume: bool, force: bool) -> None:
    """Raise `OutputError` if a training cannot start in this directory."""
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output}: is there and no directory; give another one")
    if resume and not (output / CHECKPOINT_NAME).is_file():
        raise OutputError(f"{output / CHECKPOINT_NAME}: no such file: there is nothing to resume")
    if output.is_dir() and any(output.iterdir()) and not (resume or force):
        raise OutputError(
            f"{output}: is not empty; --resume goes on from its checkpoint, --force trains anew"
        )


def _prepare(output: Path) -> None:
    """Make the directory, if need be."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{output}: {error.strerror}") from error


def _digest(settings: Settings, genomes: tuple[Genome, Genome]) -> str:
    """Digest of all that the weights at a step depend on; stopping rules and workers do not count."""
    indifferent = {field: getattr(RunConfig, field) for field in ("workers", "minutes", "patience")}
    digest = hashlib.sha256(replace(settings, run=replace(settings.run, **indifferent)).text())
    for genome in genomes:
        for array in (genome.offsets, genome.packed, genome.n_starts, genome.n_ends):
            digest.update(array.tobytes())
    return digest.hexdigest()


def _write_curves(output: Path, kind: str, rows: Sequence[curves.CURVE]) -> str | None:
    """Write the table and the figure of a run's curves; returns why there is no figure, which no training fails for."""
    names = list(rows[0])
    recalls = names[names.index("recall") :]
    _write(output / CURVES_NAME, curves.table(rows))
    try:
        picture = curves.picture(rows, recalls, f"esa train {kind}")
    except MissingLibraryError as error:
        return str(error)
    _write(output / PICTURE_NAME, picture)
    return None


def _write(path: Path, content: bytes) -> None:
    with open_file(str(path)) as out:
        out.write(content)
