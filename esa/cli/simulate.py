"""`esa simulate`."""

from __future__ import annotations

import click

from esa.eval.simulate import (
    DEFAULT_DIVERGENCE,
    SimulationParameters,
    count_fragments,
    edit_rates,
    write_reads,
)
from esa.eval.simulate_indels import LAWS, indel_lengths

DEFAULTS = SimulationParameters(fragments=0)
INDELS = DEFAULTS.indel_lengths


@click.command("simulate")
@click.argument("reference", metavar="REF.fa[.gz]")
@click.option("-o", "--output", "prefix", metavar="PREFIX", required=True, help="Start of the files' names.")
@click.option("--pairs", type=int, help="Number of pairs.")
@click.option("--reads", type=int, help="Number of reads, with --single.")
@click.option("--single", is_flag=True, help="Single-end reads instead of pairs.")
@click.option("--length", default=DEFAULTS.length, show_default=True, help="Bases of a read.")
@click.option("--length2", type=int, show_default="as --length", help="Bases of a second read.")
@click.option("--insert", default=DEFAULTS.insert_mean, show_default=True, help="Mean length of a fragment.")
@click.option("--insert-sd", default=DEFAULTS.insert_sd, show_default=True, help="Its standard deviation.")
@click.option(
    "--divergence",
    type=float,
    show_default=str(DEFAULT_DIVERGENCE),
    help="Edits in 100 bases, a tenth of them indels; in place of the two rates below.",
)
@click.option("--substitutions", type=float, help="Substitutions a base (0 to 1).")
@click.option("--indels", type=float, help="Indels a base (0 to 1), half of them insertions.")
@click.option(
    "--indel-law",
    type=click.Choice(LAWS),
    default=INDELS.law,
    show_default=True,
    help="Law of the indels' lengths; zipf is a power law, with the heavy tail of real genomes.",
)
@click.option(
    "--indel-length", type=float, show_default=str(INDELS.mean), help="Mean length of the geometric law."
)
@click.option(
    "--indel-exponent",
    type=float,
    show_default=str(INDELS.exponent),
    help="Length k is as often as k^-EXPONENT under the law zipf.",
)
@click.option("--indel-max", default=INDELS.longest, show_default=True, help="Longest indel, in bases.")
@click.option(
    "--random-fraction", default=DEFAULTS.random_fraction, show_default=True, help="Share of random reads."
)
@click.option("--quality", default=DEFAULTS.quality, show_default=True, help="Phred score of every base.")
@click.option("--seed", default=DEFAULTS.seed, show_default=True, help="The same seed gives the same reads.")
@click.option("--no-gzip", is_flag=True, help="Write plain FASTQ.")
def command(
    reference: str,
    prefix: str,
    pairs: int | None,
    reads: int | None,
    single: bool,
    length: int,
    length2: int | None,
    insert: float,
    insert_sd: float,
    divergence: float | None,
    substitutions: float | None,
    indels: float | None,
    indel_law: str,
    indel_length: float | None,
    indel_exponent: float | None,
    indel_max: int,
    random_fraction: float,
    quality: int,
    seed: int,
    no_gzip: bool,
) -> None:
    """Make reads with known origin from a FASTA, named as dwgsim names them.

    Writes PREFIX_R1.fq.gz and PREFIX_R2.fq.gz, or PREFIX.fq.gz with --single.
    """
    substitution_rate, indel_rate = edit_rates(divergence, substitutions, indels)
    parameters = SimulationParameters(
        fragments=count_fragments(pairs, reads, single),
        paired=not single,
        length=length,
        length2=length if length2 is None else length2,
        insert_mean=insert,
        insert_sd=insert_sd,
        substitutions=substitution_rate,
        indels=indel_rate,
        indel_lengths=indel_lengths(indel_law, indel_length, indel_exponent, indel_max),
        random_fraction=random_fraction,
        quality=quality,
        seed=seed,
    )
    click.echo(write_reads(reference, prefix, parameters, compress=not no_gzip).render(), err=True)
