"""`esa eval`."""

from __future__ import annotations

import click

from esa.cli.evaluation_report import evaluation_report
from esa.eval.evaluate import AUTO, TRUTH_CHOICES, evaluate_files


@click.command("eval")
@click.argument("files", nargs=-1, required=True, metavar="[NAME=]FILE...")
@click.option(
    "--truth",
    type=click.Choice(TRUTH_CHOICES),
    default=AUTO,
    show_default=True,
    help="Simulator whose read names hold the true origins; auto recognizes it, and none compares the files only "
    "with each other.",
)
@click.option(
    "--truth-file",
    metavar="FILE",
    help="SAM or BAM of the true alignments (mason_simulator -oa), instead of read names.",
)
@click.option("--json", "json_file", metavar="FILE", help="Write the results to FILE as JSON, too.")
def command(files: tuple[str, ...], truth: str, truth_file: str | None, json_file: str | None) -> None:
    """Compare SAM or BAM files of the same reads, from esa or any other aligner.

    Reports how many reads are mapped, correct and wrong, overall and by mapping quality, and how far the files
    agree. NAME is a file's name in the report.
    """
    evaluation = evaluate_files(files, truth, truth_file, json_file)
    click.echo(evaluation_report(evaluation), nl=False)
