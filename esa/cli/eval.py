"""`esa eval`."""

from __future__ import annotations

import click

from esa.cli.evaluation_report import evaluation_report
from esa.eval.evaluate import AUTO, TRUTH_CHOICES, evaluate_files, parse_inputs
from esa.eval.metrics import JSON_KEYS
from esa.io.distinct import require_distinct, require_replaceable


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
@click.option("--force", is_flag=True, help="Replace the FILE of --json even if it holds something else.")
def command(
    files: tuple[str, ...], truth: str, truth_file: str | None, json_file: str | None, force: bool
) -> None:
    """Compare SAM or BAM files of the same reads, from esa or any other aligner.

    Reports how many reads are mapped, correct and wrong, overall and by mapping quality, and how far the files
    agree. NAME is a file's name in the report.
    """
    inputs = {f"the input {file.path}": file.path for file in parse_inputs(files)}
    require_distinct({**inputs, "--truth-file": truth_file}, {"standard output": "-", "--json": json_file})
    require_replaceable("--json", json_file, JSON_KEYS, force)
    evaluation = evaluate_files(files, truth, truth_file, json_file)
    click.echo(evaluation_report(evaluation), nl=False)
