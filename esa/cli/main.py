"""The `esa` command: subcommands imported on demand, and the one error boundary."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence

import click

from esa import __version__
from esa.cli.signals import run_until_signal, wait_if_ended
from esa.cli.standard_streams import replace_closed_streams
from esa.errors import EXIT_BROKEN_PIPE, EXIT_SIGINT, EXIT_USAGE, EsaError

SUBCOMMANDS = {
    "index": ("esa.cli.index", "Index a reference genome."),
    "align": ("esa.cli.align", "Align reads to an indexed reference."),
    "eval": ("esa.cli.eval", "Compare alignments with the truth and with each other."),
    "simulate": ("esa.cli.simulate", "Simulate reads of known origin."),
    "info": ("esa.cli.info", "Show or verify an index."),
    "train": ("esa.cli.train", "Train an encoder on reference genomes."),
}
"""Name: (module with the attribute ``command``, line in the overview)."""

GARBAGE_THRESHOLD = 50_000
"""New objects after which Python's garbage collector runs (Python's own default: 700)."""


class LazyGroup(click.Group):
    """Imports a subcommand's module only when that is called, so that `esa --help` is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the subcommands."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand, imported; None if there is none of that name."""
        if cmd_name not in SUBCOMMANDS:
            return None
        command = importlib.import_module(SUBCOMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the overview without importing the subcommands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in SUBCOMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="esa")
def cli() -> None:
    """Embed, search, align: DNA read alignment by nearest-neighbour search over embeddings.

    \b
    esa index ref.fa
    esa align ref.fa.esa reads_R1.fq.gz reads_R2.fq.gz -o out.bam
    """


def _quiet_exit(code: int) -> int:
    """Prevent Python's own message about a broken pipe at shutdown; returns the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return code


def _invoke(arguments: list[str]) -> None:
    # Not click's main(): it exits with 1 after a broken pipe and treats an EOFError as an interrupt.
    try:
        with cli.make_context("esa", list(arguments), obj=arguments) as context:
            cli.invoke(context)
        sys.stdout.flush()
    except BaseException:
        wait_if_ended()
        raise


def run(argv: Sequence[str] | None = None) -> int:
    """Run `esa` with ``argv`` (default: the process's) and return its exit code."""
    try:
        _invoke(sys.argv[1:] if argv is None else list(argv))
        return 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except BrokenPipeError:
        return _quiet_exit(EXIT_BROKEN_PIPE)
    except KeyboardInterrupt:  # of a program that calls this
        click.echo("esa: interrupted", err=True)
        return EXIT_SIGINT
    except EsaError as error:
        click.echo(f"esa: {error}", err=True)
        return error.exit_code
    except OSError as error:
        # No library function names it better: a full disk, a folder without permission.
        where = f": {error.filename}" if error.filename else ""
        click.echo(f"esa: {error.strerror or error}{where}", err=True)
        return EsaError.exit_code


def main() -> None:
    """Run `esa` as a process: its signals, its standard streams, its exit."""
    replace_closed_streams()
    # Objects made by imports stay. Collecting garbage among them again and again takes a tenth of a short run, and once
    # more at exit as much.
    gc.set_threshold(GARBAGE_THRESHOLD)
    code = run_until_signal(run)
    gc.freeze()
    sys.exit(code)
