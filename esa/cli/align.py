"""`esa align`."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

import click

from esa import __version__
from esa.cli.align_options import (
    AlignmentOptions,
    ReadGroupOptions,
    RecordOptions,
    RunOptions,
    alignment_options,
    read_group_options,
    record_options,
    run_options,
)
from esa.cli.compiling import compiled_kernels
from esa.cli.options import device_option, shows_progress, threads_option

if TYPE_CHECKING:
    from tqdm import tqdm

    from esa.align.config import AlignConfig
    from esa.align.inserts import InsertSizes
    from esa.align.stages import Stage
    from esa.io.fastq import ReadSource
    from esa.io.sam_header import ReadGroup
    from esa.run.pipeline import AlignSummary


@click.command("align")
@click.argument("index", metavar="DIR")
@click.argument("reads1", metavar="R1")
@click.argument("reads2", metavar="[R2]", required=False)
@click.option(
    "-o", "--output", metavar="OUT", help="Output, .sam or .bam by its ending.  [default: SAM on stdout]"
)
@threads_option
@device_option("cpu", "cuda: dense presets embed and search there, exactly.")
@click.option("--interleaved", is_flag=True, help="R1 holds pairs: first, second, first, ...")
@read_group_options
@alignment_options
@record_options
@run_options
def command(
    index: str,
    reads1: str,
    reads2: str | None,
    output: str | None,
    threads: int,
    device: str,
    interleaved: bool,
    read_group: ReadGroupOptions,
    alignment: AlignmentOptions,
    records: RecordOptions,
    run: RunOptions,
) -> None:
    """Align reads to an index made by `esa index`.

    R1 and R2 are FASTQ or FASTA, plain or gzip; '-' is standard input. With R2, or with --interleaved, reads
    are pairs.
    """
    from esa.cli.render import align_stats, align_summary
    from esa.index.open import open_index
    from esa.io.fastq import DEFAULT_BATCH_SIZE, ReadSource
    from esa.io.output import names_bam, open_file, open_output
    from esa.kernels.malloc import keep_freed_memory
    from esa.run.pipeline import AlignOptions, align

    options = AlignOptions(
        threads,
        shlex.join(["esa", *click.get_current_context().obj]),
        __version__,
        _read_group(read_group),
        eqx=records.eqx,
        soft_clips=records.soft_clips,
        xa=records.xa,
        inserts=_inserts(alignment),
        bam=names_bam(output),
    )
    keep_freed_memory()
    with ReadSource(
        reads1, reads2, interleaved=interleaved, batch_size=run.batch_size or DEFAULT_BATCH_SIZE
    ) as source:
        opened = open_index(index, threads, device)
        config = _config(opened.preset.levels, alignment, records)
        with nullcontext() if run.stats is None else open_file(run.stats) as stats_file:
            with (
                open_output(output) as sink,
                compiled_kernels(opened.preset.name, threads, run.quiet),
                _progress_bar(source, run.quiet) as bar,
            ):
                summary = align(opened, source, sink, config, options, partial(_advance, bar))
            # Not before the alignments have their name: whoever finds these finds those.
            if stats_file is not None:
                stats_file.write(align_stats(summary, options).encode())
    if not run.quiet:
        click.echo(align_summary(summary), err=True)


def _config(levels: tuple[Stage, ...], alignment: AlignmentOptions, records: RecordOptions) -> AlignConfig:
    from esa.align.config import AlignConfig

    config = AlignConfig(levels, seed=alignment.seed)
    if alignment.min_score is not None:
        config = config._replace(min_score=alignment.min_score)
    if records.alignments is not None or records.everything:
        return config.reporting(records.alignments, records.everything)
    return config.with_xa() if records.xa else config


def _inserts(alignment: AlignmentOptions) -> InsertSizes | None:
    from esa.align.inserts import parse_insert_sizes

    return None if alignment.inserts is None else parse_insert_sizes(alignment.inserts)


def _read_group(given: ReadGroupOptions) -> ReadGroup | None:
    from esa.errors import UsageError
    from esa.io.sam_header import parse_read_group, read_group_from_options

    if given.text is None:
        return read_group_from_options(given.id, given.fields)
    if given.id is not None or given.fields:
        raise UsageError("a read group is given twice: use either -R or --rg-id with --rg")
    return parse_read_group(given.text)


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
