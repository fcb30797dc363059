"""`esa index`."""

from __future__ import annotations

from pathlib import Path

import click

from esa.cli.compiling import compiled_kernels
from esa.cli.options import device_option, option_group, quiet_option, threads_option
from esa.cli.progress import progress_bar
from esa.index.build import SUFFIX, BuildOptions, build_index, default_path
from esa.index.presets import DEFAULT_PRESET, PRESETS

build_options = option_group(
    "Index",
    "options",
    BuildOptions,
    threads_option,
    click.option(
        "--preset",
        type=click.Choice(list(PRESETS)),
        default=DEFAULT_PRESET,
        show_default=True,
        help=f"Kind of index: {DEFAULT_PRESET} for general use; the others search dense vectors.",
    ),
    click.option(
        "--encoder",
        metavar="NAME|DIR",
        show_default="the preset's own",
        help="Encoder, by name or as a directory made by `esa train`.",
    ),
    device_option("cpu", "Where a dense preset embeds."),
    click.option("--force", is_flag=True, help="Replace an existing index."),
    click.option(
        "--no-eof-check",
        is_flag=True,
        help="Take a bgzip reference that lacks its end-of-file block; it may have been cut.",
    ),
)


@click.command("index")
@click.argument("reference", metavar="REF.fa[.gz]")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    show_default=f"the reference's path with {SUFFIX} appended",
    help="Index directory.",
)
@build_options
@quiet_option
def command(reference: str, output: str | None, options: BuildOptions, quiet: bool) -> None:
    """Index a reference genome (FASTA, plain or gzip)."""
    from esa.cli.summaries import index_summary

    path = Path(output) if output else default_path(reference)
    with (
        compiled_kernels(options.preset, options.threads, quiet),
        progress_bar(quiet, desc="indexing", unit="b", unit_scale=True) as bar,
    ):
        summary = build_index(reference, path, options, bar.update)
    if not quiet:
        click.echo(index_summary(summary), err=True)
