"""`esa index`."""

from __future__ import annotations

from pathlib import Path

import click

from esa.cli.compiling import compiled_kernels
from esa.cli.options import device_option, shows_progress, threads_option
from esa.index.presets import DEFAULT_PRESET, PRESETS


@click.command("index")
@click.argument("reference", metavar="REF.fa[.gz]")
@click.option(
    "-o", "--output", metavar="DIR", help="Index directory.  [default: REF.esa beside the reference]"
)
@threads_option
@click.option("--preset", type=click.Choice(list(PRESETS)), default=DEFAULT_PRESET, show_default=True)
@click.option("--encoder", metavar="NAME|DIR", help="Encoder instead of the preset's own.")
@device_option("cpu", "Where a dense preset embeds.")
@click.option("--force", is_flag=True, help="Replace an index that is there.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary.")
def command(
    reference: str,
    output: str | None,
    threads: int,
    preset: str,
    encoder: str | None,
    device: str,
    force: bool,
    quiet: bool,
) -> None:
    """Index a reference genome (FASTA, plain or gzip)."""
    from tqdm import tqdm

    from esa.cli.render import index_summary
    from esa.index.build import build_index, default_path

    path = Path(output) if output else default_path(reference)
    with (
        compiled_kernels(preset, threads, quiet),
        tqdm(
            desc="indexing", unit="b", unit_scale=True, disable=not shows_progress(quiet), leave=False
        ) as bar,
    ):
        summary = build_index(
            reference,
            path,
            preset=preset,
            encoder=encoder,
            threads=threads,
            device=device,
            force=force,
            progress=bar.update,
        )
    if not quiet:
        click.echo(index_summary(summary), err=True)
