"""`esa train`."""

from __future__ import annotations

from pathlib import Path

import click

from esa.cli.options import device_option, shows_progress
from esa.errors import needed_by


@click.command("train")
@click.argument("kind", type=click.Choice(["codes", "rde"]))
@click.option(
    "--ref", "references", metavar="FA", multiple=True, required=True, help="FASTA to train on; give more."
)
@click.option("-o", "--output", metavar="DIR", required=True, help="Directory of the encoder.")
@click.option("--config", metavar="TOML", help="Settings: tables [run] and [codes] or [rde].")
@click.option("--steps", type=click.IntRange(1), help="Batches, instead of the settings'.")
@click.option("--minutes", type=click.FloatRange(0), help="Stop this sitting after so long.")
@click.option("--seed", type=click.IntRange(0), help="Seed, instead of the settings'.")
@click.option("--workers", type=click.IntRange(0), help="Processes that make batches.")
@device_option("auto", "Where to train.")
@click.option("--resume", is_flag=True, help="Go on from the directory's checkpoint, with its settings.")
@click.option("--force", is_flag=True, help="Train anew in a directory that is not empty.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary.")
def command(
    kind: str,
    references: tuple[str, ...],
    output: str,
    config: str | None,
    device: str,
    resume: bool,
    force: bool,
    quiet: bool,
    **run: float | None,
) -> None:
    """Train an encoder on reference genomes; `esa index --encoder DIR` uses it."""
    from tqdm import tqdm

    from esa.cli.render import train_summary

    with needed_by("esa train"):
        from esa.train.checkpoint import Progress
        from esa.train.run import CONFIG_NAME, read_settings, train_encoder

    if resume and force:
        raise click.UsageError("--resume goes on, --force begins anew; give one of them")
    written = Path(output, CONFIG_NAME)
    if resume and config is None and written.is_file():
        config = str(written)
    settings = read_settings(kind, config, {name: value for name, value in run.items() if value is not None})
    with tqdm(
        total=settings.run.steps, desc="training", unit="step", disable=not shows_progress(quiet), leave=False
    ) as bar:

        def report(progress: Progress) -> None:
            bar.update(progress.step - bar.n)
            if progress.curves:
                bar.set_postfix(recall=f"{progress.curves[-1]['recall']:.4f}", refresh=False)

        summary = train_encoder(
            settings,
            references,
            Path(output),
            device=device,
            resume=resume,
            force=force,
            report=report,
        )
    if not quiet:
        click.echo(train_summary(summary), err=True)
