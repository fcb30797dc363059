"""`esa align`."""

from __future__ import annotations

import shlex
from functools import partial
from typing import TYPE_CHECKING

import click

from esa import __version__
from esa.cli.compiling import announce_compilation
from esa.cli.options import shows_progress, threads_option

if TYPE_CHECKING:
    from tqdm import tqdm

    from esa.io.fastq import ReadSource
    from esa.io.sam import ReadGroup
    from esa.pipeline import AlignSummary


LARGEST = 2**31 - 1
"""Largest number that an option takes: the kernels compute with 64 bits."""


@click.command("align")
@click.argument("index", metavar="DIR")
@click.argument("reads1", metavar="R1")
@click.argument("reads2", metavar="[R2]", required=False)
@click.option(
    "-o", "--output", metavar="OUT", help="Output, .sam or .bam by its ending.  [default: SAM on stdout]"
)
@threads_option
@click.option("--interleaved", is_flag=True, help="R1 holds pairs: first, second, first, ...")
@click.option("-R", "--read-group", metavar="STR", help=r"Read group as '@RG\tID:x\tSM:y'.")
@click.option("--rg-id", metavar="ID", help="Read group by its ID ...")
@click.option(
    "--rg", "rg_fields", metavar="KEY:VALUE", multiple=True, help="... and its fields (repeatable)."
)
@click.option(
    "--seed",
    type=click.IntRange(0, LARGEST),
    default=0,
    show_default=True,
    help="Varies how ties are broken.",
)
@click.option("--batch-size", type=click.IntRange(1), default=None, help="Reads worked on together.")
@click.option("--eqx", is_flag=True, help="CIGAR with = and X instead of M.")
@click.option(
    "-T",
    "least_score",
    type=click.IntRange(1, LARGEST),
    default=None,
    help="Least score reported.  [default: 30]",
)
@click.option("-q", "--quiet", is_flag=True, help="No progress, no summary.")
def command(
    index: str,
    reads1: str,
    reads2: str | None,
    output: str | None,
    threads: int,
    interleaved: bool,
    read_group: str | None,
    rg_id: str | None,
    rg_fields: tuple[str, ...],
    seed: int,
    batch_size: int | None,
    eqx: bool,
    least_score: int | None,
    quiet: bool,
) -> None:
    """Align reads to an index made by `esa index`.

    R1 and R2 are FASTQ or FASTA, plain or gzip; '-' is standard input. With R2, or with --interleaved, reads
    are pairs.
    """
    from esa.align.config import AlignConfig
    from esa.index import open_index
    from esa.io.fastq import DEFAULT_BATCH_SIZE, ReadSource
    from esa.io.output import open_output
    from esa.pipeline import AlignOptions, align
    from esa.render import align_summary

    group = _read_group(read_group, rg_id, rg_fields)
    with ReadSource(
        reads1, reads2, interleaved=interleaved, batch_size=batch_size or DEFAULT_BATCH_SIZE
    ) as source:
        opened = open_index(index, threads)
        config = AlignConfig(opened.preset.levels, seed=seed)
        if least_score is not None:
            config = config._replace(least_score=least_score)
        command_line = shlex.join(["esa", *click.get_current_context().obj])
        options = AlignOptions(threads, command_line, __version__, group, eqx)
        with (
            open_output(output, threads=threads) as sink,
            announce_compilation(quiet),
            _progress_bar(source, quiet) as bar,
        ):
            summary = align(opened, source, sink, config, options, partial(_advance, bar))
    if not quiet:
        click.echo(align_summary(summary), err=True)


def _read_group(text: str | None, rg_id: str | None, fields: tuple[str, ...]) -> ReadGroup | None:
    from esa.errors import UsageError
    from esa.io.sam import parse_read_group, read_group_from_options

    if text is None:
        return read_group_from_options(rg_id, fields)
    if rg_id is not None or fields:
        raise UsageError("a read group is given twice: use either -R or --rg-id with --rg")
    return parse_read_group(text)


def _progress_bar(source: ReadSource, quiet: bool) -> tqdm[None]:
    from tqdm import tqdm

    left = "{percentage:3.0f}% |{bar}| {elapsed} < {remaining}" if source.total_bytes else "{elapsed}"
    return tqdm(
        total=source.total_bytes,
        disable=not shows_progress(quiet),
        leave=False,
        bar_format="{desc}" + left,
    )


def _advance(bar: tqdm[None], summary: AlignSummary) -> None:
    bar.set_description_str(
        f"{summary.reads:,} reads, {summary.reads / max(summary.seconds, 1e-9):,.0f}/s ", refresh=False
    )
    bar.update(summary.bytes_done - bar.n)
