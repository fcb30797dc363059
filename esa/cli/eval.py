"""`esa eval`."""

from __future__ import annotations

import click

from esa.eval.evaluate import AUTO, TRUTH_CHOICES, run


@click.command("eval")
@click.argument("files", nargs=-1, required=True, metavar="[NAME=]FILE...")
@click.option(
    "--truth",
    type=click.Choice(TRUTH_CHOICES),
    default=AUTO,
    show_default=True,
    help="Simulator whose read names hold the origins; none: agreement only.",
)
@click.option(
    "--truth-file",
    metavar="FILE",
    help="SAM or BAM of the true alignments (mason_simulator -oa), in place of names.",
)
@click.option("--json", "json_file", metavar="FILE", help="Write the measures as JSON, too.")
def command(files: tuple[str, ...], truth: str, truth_file: str | None, json_file: str | None) -> None:
    """Compare SAM or BAM files of the same reads, of this aligner and of others.

    Shows how many reads are mapped, correct and wrong, overall and by mapping quality, and how far the files
    agree.
    """
    click.echo(run(files, truth=truth, truth_file=truth_file, json_file=json_file), nl=False)
