"""`esa simulate`."""

from __future__ import annotations

from dataclasses import dataclass

import click

from esa.cli.options import SectionedCommand, option_group
from esa.eval.simulate import (
    DEFAULT_DIVERGENCE,
    SimulationParameters,
    count_fragments,
    edit_rates,
    output_paths,
    write_reads,
)
from esa.eval.simulate_indels import LAWS, indel_lengths

DEFAULTS = SimulationParameters(fragments=0)
INDELS = DEFAULTS.indel_lengths


@dataclass(frozen=True)
class OutputOptions:
    """Output files."""

    prefix: str
    no_gzip: bool
    force: bool


@dataclass(frozen=True)
class ReadOptions:
    """Number, length and quality of the reads."""

    pairs: int | None
    reads: int | None
    single: bool
    length: int
    length2: int | None
    insert: float
    insert_sd: float
    random_fraction: float
    quality: int
    seed: int


@dataclass(frozen=True)
class EditOptions:
    """Differences from the reference; None is an option's default."""

    divergence: float | None
    substitutions: float | None
    indels: float | None
    indel_law: str
    indel_length: float | None
    indel_exponent: float | None
    indel_max: int


output_options = option_group(
    "Output",
    "output",
    OutputOptions,
    click.option(
        "-o", "--output", "prefix", metavar="PREFIX", required=True, help="Prefix of the output files."
    ),
    click.option("--no-gzip", is_flag=True, help="Write plain FASTQ instead of gzip."),
    click.option("--force", is_flag=True, help="Replace existing files."),
)

read_options = option_group(
    "Reads",
    "reads",
    ReadOptions,
    click.option("--pairs", type=int, metavar="INT", help="Number of pairs."),
    click.option("--reads", type=int, metavar="INT", help="Number of reads, with --single."),
    click.option("--single", is_flag=True, help="Simulate single-end reads instead of pairs."),
    click.option(
        "--length", default=DEFAULTS.length, metavar="INT", show_default=True, help="Read length, in bases."
    ),
    click.option(
        "--length2",
        type=int,
        metavar="INT",
        show_default="as --length",
        help="Length of the second reads of pairs, in bases.",
    ),
    click.option(
        "--insert",
        default=DEFAULTS.insert_mean,
        metavar="FLOAT",
        show_default=True,
        help="Mean insert size (fragment length) of pairs, in bases.",
    ),
    click.option(
        "--insert-sd",
        default=DEFAULTS.insert_sd,
        metavar="FLOAT",
        show_default=True,
        help="Standard deviation of the insert size, in bases.",
    ),
    click.option(
        "--random-fraction",
        default=DEFAULTS.random_fraction,
        metavar="FLOAT",
        show_default=True,
        help="Fraction of pairs (or single-end reads) that are random sequence, 0 to 1.",
    ),
    click.option(
        "--quality",
        default=DEFAULTS.quality,
        metavar="INT",
        show_default=True,
        help="Phred score of every base.",
    ),
    click.option(
        "--seed",
        default=DEFAULTS.seed,
        metavar="INT",
        show_default=True,
        help="Random seed; the same seed gives the same reads.",
    ),
)

edit_options = option_group(
    "Differences from the reference",
    "edits",
    EditOptions,
    click.option(
        "--divergence",
        type=float,
        metavar="FLOAT",
        show_default=str(DEFAULT_DIVERGENCE),
        help="Edits per 100 bases, a tenth of them indels; instead of --substitutions and --indels.",
    ),
    click.option("--substitutions", type=float, metavar="FLOAT", help="Substitutions per base, 0 to 1."),
    click.option(
        "--indels", type=float, metavar="FLOAT", help="Indels per base, 0 to 1; half of them are insertions."
    ),
    click.option(
        "--indel-law",
        type=click.Choice(LAWS),
        default=INDELS.law,
        show_default=True,
        help="Distribution of indel lengths; zipf is a power law, with the heavy tail of real genomes.",
    ),
    click.option(
        "--indel-length",
        type=float,
        metavar="FLOAT",
        show_default=str(INDELS.mean),
        help="Mean indel length of the geometric distribution, in bases.",
    ),
    click.option(
        "--indel-exponent",
        type=float,
        metavar="FLOAT",
        show_default=str(INDELS.exponent),
        help="Exponent of the zipf distribution: length k has a probability proportional to k^-FLOAT.",
    ),
    click.option(
        "--indel-max",
        default=INDELS.longest,
        metavar="INT",
        show_default=True,
        help="Longest indel, in bases.",
    ),
)


@click.command("simulate", cls=SectionedCommand)
@click.argument("reference", metavar="REF.fa[.gz]")
@output_options
@read_options
@edit_options
def command(reference: str, output: OutputOptions, reads: ReadOptions, edits: EditOptions) -> None:
    """Simulate reads of known origin from a reference FASTA; read names hold the origin, as dwgsim's do.

    Writes PREFIX_R1.fq.gz and PREFIX_R2.fq.gz, or PREFIX.fq.gz with --single.
    """
    from esa.cli.summaries import simulation_summary
    from esa.io.distinct import require_distinct, require_new

    parameters = _parameters(reads, edits)
    paths = output_paths(output.prefix, parameters.paired, not output.no_gzip)
    require_distinct({"the reference": reference}, {f"output {i}": path for i, path in enumerate(paths, 1)})
    require_new(paths, output.force)
    summary = write_reads(reference, output.prefix, parameters, compress=not output.no_gzip)
    click.echo(simulation_summary(summary), err=True)


def _parameters(reads: ReadOptions, edits: EditOptions) -> SimulationParameters:
    substitutions, indels = edit_rates(edits.divergence, edits.substitutions, edits.indels)
    return SimulationParameters(
        fragments=count_fragments(reads.pairs, reads.reads, reads.single),
        paired=not reads.single,
        length=reads.length,
        length2=reads.length if reads.length2 is None else reads.length2,
        insert_mean=reads.insert,
        insert_sd=reads.insert_sd,
        substitutions=substitutions,
        indels=indels,
        indel_lengths=indel_lengths(
            edits.indel_law, edits.indel_length, edits.indel_exponent, edits.indel_max
        ),
        random_fraction=reads.random_fraction,
        quality=reads.quality,
        seed=reads.seed,
    )
