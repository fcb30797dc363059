"""`esa align`."""

from __future__ import annotations

import shlex
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from esa import __version__
from esa.cli.align_options import (
    AlignmentOptions,
    FileOptions,
    ReadGroupOptions,
    RecordOptions,
    RunOptions,
    alignment_options,
    file_options,
    read_group_options,
    record_options,
    run_options,
)
from esa.cli.compiling import compiled_kernels
from esa.cli.options import SectionedCommand
from esa.cli.progress import progress_bar
from esa.io.compressed import STDIN

if TYPE_CHECKING:
    from tqdm import tqdm

    from esa.align.config import AlignConfig
    from esa.align.inserts import InsertSizes
    from esa.align.levels import Level
    from esa.io.fastq import ReadSource
    from esa.io.sam_header import ReadGroup
    from esa.run.pipeline import AlignOptions, AlignSummary, ReadTrace


@click.command("align", cls=SectionedCommand)
@click.argument("index", metavar="DIR")
@file_options
@read_group_options
@alignment_options
@record_options
@run_options
def command(
    index: str,
    files: FileOptions,
    read_group: ReadGroupOptions,
    alignment: AlignmentOptions,
    records: RecordOptions,
    run: RunOptions,
) -> None:
    """Align reads to the index in DIR (made by `esa index`) and write SAM or BAM.

    R1 and R2 are FASTQ or FASTA files, plain or gzip; '-' is standard input. With R2, or with --interleaved,
    the reads are pairs.
    """
    from esa.cli.stats_file import KEYS, align_stats
    from esa.cli.summaries import align_summary
    from esa.index.open import open_index
    from esa.io.distinct import require_distinct, require_replaceable
    from esa.io.fastq import ReadSource
    from esa.io.output import open_file, open_output
    from esa.kernels.malloc import keep_freed_memory
    from esa.run.pipeline import align

    written = {"-o": files.output} if files.output else {"standard output": STDIN}
    require_distinct({"R1": files.reads1, "R2": files.reads2}, {**written, "--stats": run.stats}, index)
    require_replaceable("--stats", run.stats, KEYS, run.force)
    traced: set[str] = set()
    options = replace(_options(files, read_group, alignment, records, run), trace=_trace(run, traced))
    keep_freed_memory()
    with ReadSource(
        files.reads1,
        files.reads2,
        interleaved=files.interleaved,
        eof_check=not files.no_eof_check,
        batch_size=run.batch_size,
    ) as source:
        opened = open_index(index, run.threads, run.device)
        config = _config(opened.preset.levels, alignment, records)
        with nullcontext() if run.stats is None else open_file(run.stats) as stats_file:
            with (
                open_output(files.output) as sink,
                compiled_kernels(opened.preset.name, run.threads, run.quiet),
                _progress_bar(source, run.quiet) as bar,
            ):
                summary = align(opened, source, sink, config, options, partial(_advance, bar))
            # After the alignments were renamed into place: statistics never exist without them.
            if stats_file is not None:
                stats_file.write(align_stats(summary, options).encode())
    if options.trace is not None and not traced:
        click.echo(f"esa: no read is named {options.trace.name!r}, so none was traced", err=True)
    if not run.quiet:
        click.echo(align_summary(summary), err=True)


def _options(
    files: FileOptions,
    read_group: ReadGroupOptions,
    alignment: AlignmentOptions,
    records: RecordOptions,
    run: RunOptions,
) -> AlignOptions:
    from esa.io.output import names_bam
    from esa.run.pipeline import AlignOptions

    return AlignOptions(
        run.threads,
        shlex.join(["esa", *click.get_current_context().obj]),
        __version__,
        _read_group(read_group),
        eqx=records.eqx,
        soft_clips=records.soft_clips,
        xa=records.xa,
        inserts=_inserts(alignment),
        bam=names_bam(files.output),
    )


def _config(levels: tuple[Level, ...], alignment: AlignmentOptions, records: RecordOptions) -> AlignConfig:
    from esa.align.config import AlignConfig

    config = AlignConfig(levels, seed=alignment.seed)
    if alignment.min_score is not None:
        config = config._replace(min_score=alignment.min_score)
    if records.alignments is not None or records.everything:
        return config.reporting(records.alignments, records.everything)
    return config.with_xa() if records.xa else config


def _trace(run: RunOptions, traced: set[str]) -> ReadTrace | None:
    """The read to trace; its name is among the ``traced`` once its trace begins."""
    from esa.run.pipeline import ReadTrace

    name = run.trace_read
    if name is None:
        return None

    def show(text: str) -> None:
        traced.add(name)
        click.echo(text, err=True)

    return ReadTrace(name, show)


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
    left = "{percentage:3.0f}% |{bar}| {elapsed} < {remaining}" if source.total_bytes else "{elapsed}"
    return progress_bar(quiet, total=source.total_bytes, bar_format="{desc}" + left)


def _advance(bar: tqdm[None], summary: AlignSummary) -> None:
    bar.set_description_str(
        f"{summary.reads:,} reads, {summary.reads / max(summary.seconds, 1e-9):,.0f}/s ", refresh=False
    )
    bar.update(summary.bytes_done - bar.n)
