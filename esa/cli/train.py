"""`esa train`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from esa.cli.options import device_option, option_group, quiet_option
from esa.cli.progress import progress_bar
from esa.errors import needed_by

if TYPE_CHECKING:
    from tqdm import tqdm

    from esa.train.checkpoint import Progress

SETTINGS = "from the settings"


@dataclass(frozen=True)
class SettingsOptions:
    """Settings of the run that stand in place of those of the file; None leaves them."""

    steps: int | None
    minutes: float | None
    seed: int | None
    workers: int | None


@dataclass(frozen=True)
class StartOptions:
    """Where and from what state to train."""

    device: str
    resume: bool
    force: bool


settings_options = option_group(
    "Settings",
    "changes",
    SettingsOptions,
    click.option(
        "--steps", type=click.IntRange(1), metavar="INT", show_default=SETTINGS, help="Batches to train on."
    ),
    click.option(
        "--minutes",
        type=click.FloatRange(0),
        metavar="FLOAT",
        show_default=SETTINGS,
        help="Stop this run after so many minutes.",
    ),
    click.option("--seed", type=click.IntRange(0), metavar="INT", show_default=SETTINGS, help="Random seed."),
    click.option(
        "--workers",
        type=click.IntRange(0),
        metavar="INT",
        show_default=SETTINGS,
        help="Processes that prepare batches.",
    ),
)

start_options = option_group(
    "Start",
    "start",
    StartOptions,
    device_option("auto", "Where to train."),
    click.option(
        "--resume", is_flag=True, help="Resume from the checkpoint in the directory, with its settings."
    ),
    click.option("--force", is_flag=True, help="Start anew in a directory that is not empty."),
)


@click.command("train")
@click.argument("kind", type=click.Choice(["codes", "rde"]))
@click.option(
    "--ref",
    "references",
    metavar="FA",
    multiple=True,
    required=True,
    help="Reference FASTA to train on; repeatable.",
)
@click.option("-o", "--output", metavar="DIR", required=True, help="Directory of the encoder.")
@click.option(
    "--config",
    metavar="TOML",
    show_default="built-in settings",
    help="Settings, in the tables [run] and [codes] or [rde].",
)
@settings_options
@start_options
@quiet_option
def command(
    kind: str,
    references: tuple[str, ...],
    output: str,
    config: str | None,
    changes: SettingsOptions,
    start: StartOptions,
    quiet: bool,
) -> None:
    """Train an encoder on reference genomes, for `esa index --encoder DIR`."""
    from esa.cli.summaries import train_summary

    with needed_by("esa train"):
        from esa.train.run import CONFIG_NAME, read_settings, train_encoder

    if start.resume and start.force:
        raise click.UsageError("--resume goes on, --force begins anew; give one of them")
    written = Path(output, CONFIG_NAME)
    if start.resume and config is None and written.is_file():
        config = str(written)
    given = {name: value for name, value in asdict(changes).items() if value is not None}
    settings = read_settings(kind, config, given)
    with progress_bar(quiet, total=settings.run.steps, desc="training", unit="step") as bar:
        summary = train_encoder(
            settings,
            references,
            Path(output),
            **asdict(start),
            report=lambda progress: _advance(bar, progress),
        )
    if not quiet:
        click.echo(train_summary(summary), err=True)


def _advance(bar: tqdm[None], progress: Progress) -> None:
    bar.update(progress.step - bar.n)
    if progress.curves:
        bar.set_postfix(recall=f"{progress.curves[-1]['recall']:.4f}", refresh=False)
