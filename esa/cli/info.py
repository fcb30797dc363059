"""`esa info`: show what an index directory says of itself, or verify that it is as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from esa.index.manifest import Manifest, render
from esa.index.storage import open_directory

CONTIGS_SHOWN = 5


@click.command("info")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
@click.option("--verify", is_flag=True, help="Read every file and check its digest.")
@click.option(
    "-t", "--threads", type=click.IntRange(1), default=1, show_default=True, help="Files read at a time."
)
def command(directory: Path, as_json: bool, verify: bool, threads: int) -> None:
    """Show the manifest of the index in DIR: how it was made, from what, and how large it is."""
    manifest, _ = open_directory(directory, verify="full" if verify else "sizes", threads=threads)
    click.echo(render(manifest).decode() if as_json else describe(manifest, directory), nl=not as_json)
    if verify:
        click.echo(f"OK: every byte of {directory} is as it was written", err=as_json)


def describe(manifest: Manifest, directory: Path) -> str:
    """The manifest for people, one fact a line."""
    facts: list[tuple[str, object]] = [
        ("Index", directory),
        ("Format", f"{manifest.format_version} (written by esa {manifest.tool_version})"),
        ("Preset", manifest.preset),
        *((f"  {key}", value) for key, value in _flat(manifest.parameters)),
        ("Contigs", len(manifest.contigs)),
        *((f"  {c.name}", f"{c.length:,} bases, M5 {c.m5}") for c in manifest.contigs[:CONTIGS_SHOWN]),
    ]
    if len(manifest.contigs) > CONTIGS_SHOWN:
        facts.append(("  ...", f"and {len(manifest.contigs) - CONTIGS_SHOWN:,} more (all of them: --json)"))
    facts += [
        ("Bases", manifest.bases),
        *((_LABELS.get(key, key), value) for key, value in _flat(manifest.statistics)),
        ("On disk", f"{manifest.bytes:,} bytes, {manifest.bytes / max(manifest.bases, 1):.2f} a base"),
        *((f"  {a.name}", f"{a.bytes:,} bytes, {a.dtype[1:]} {list(a.shape)}") for a in manifest.arrays),
        *((f"  {file.name}", f"{file.bytes:,} bytes") for file in manifest.files),
    ]
    width = max(len(label) for label, _ in facts)
    return "\n".join(f"{label:{width}}  {_text(value)}" for label, value in facts)


_LABELS = {
    "n_bases": "N",
    "iupac_bases": "IUPAC, now N",
    "fragments": "Fragments",
    "contigs_without_fragments": "Contigs without any",
}
"""Labels of the statistics that every index has; any other shows under its own name."""


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values under dotted names."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
