"""`esa info`."""

from __future__ import annotations

from pathlib import Path

import click

from esa.cli.summaries import manifest_summary
from esa.index.manifest import render
from esa.index.reader import open_directory


@click.command("info")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
@click.option("--verify", is_flag=True, help="Read every file and check its digest.")
@click.option(
    "-t",
    "--threads",
    type=click.IntRange(1),
    default=1,
    metavar="INT",
    show_default=True,
    help="Files read at a time.",
)
def command(directory: Path, as_json: bool, verify: bool, threads: int) -> None:
    """Show how the index in DIR was built, from which contigs, and its size."""
    manifest, _ = open_directory(directory, verify="full" if verify else "sizes", threads=threads)
    click.echo(
        render(manifest).decode() if as_json else manifest_summary(manifest, directory), nl=not as_json
    )
    if verify:
        click.echo(f"OK: every byte of {directory} is as it was written", err=as_json)
