"""The `esa` command: lazy subcommands (start-up time) and the one error boundary."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Callable, Sequence

import click

from esa import __version__
from esa.cli.signals import Interrupts, Terminated
from esa.errors import EXIT_BROKEN_PIPE, EXIT_SIGINT, EXIT_SIGTERM, EXIT_USAGE, EsaError

SUBCOMMANDS = {
    "index": ("esa.cli.index", "Index a reference genome."),
    "info": ("esa.cli.info", "Show or verify an index."),
    "align": ("esa.cli.align", "Align reads to an indexed reference."),
    "eval": ("esa.cli.eval", "Compare alignments with the truth and with each other."),
    "train": ("esa.cli.train", "Train an encoder on reference genomes."),
    "simulate": ("esa.cli.simulate", "Make reads with known origin from a FASTA."),
}
"""Name: (module that holds it under the attribute ``command``, its line in the overview)."""

GARBAGE_THRESHOLD = 50_000
"""New objects after which Python looks for garbage among them (700 if nothing is said)."""


class LazyGroup(click.Group):
    """Imports a subcommand's module only when it is asked for, so that `esa --help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        command = importlib.import_module(SUBCOMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in SUBCOMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="esa")
def cli() -> None:
    """Embed, search, align: DNA read alignment by nearest-neighbour search over embeddings."""


def _quiet_exit(code: int) -> int:
    """Leave without Python's own complaint about a closed stdout at shutdown."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _invoke(arguments: list[str]) -> None:
    # Not click's main(), which would make exit code 1 of a broken pipe and an interrupt of an EOFError.
    with cli.make_context("esa", list(arguments), obj=arguments) as context:
        cli.invoke(context)
    if sys.stdout is not None:  # None: the shell closed it
        sys.stdout.flush()


def run(argv: Sequence[str] | None = None, interrupted: Callable[[], None] = lambda: None) -> int:
    """Run `esa` with ``argv`` (default: the process's) and return its exit code.

    Args:
        interrupted: called when an interrupt has arrived here.
    """
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
    except (KeyboardInterrupt, click.Abort):
        interrupted()
        click.echo("esa: interrupted", err=True)
        return EXIT_SIGINT
    except Terminated:
        interrupted()
        click.echo("esa: terminated", err=True)
        return EXIT_SIGTERM
    except EsaError as error:
        click.echo(f"esa: {error}", err=True)
        return error.exit_code
    except OSError as error:
        # What no library function could name better: a full disk, a folder without permission.
        where = f": {error.filename}" if error.filename else ""
        click.echo(f"esa: {error.strerror or error}{where}", err=True)
        return EsaError.exit_code


def main() -> None:
    """Entry point of the console script."""
    interrupts = Interrupts()
    interrupts.install()
    # What imports make stays. To look through it for garbage, again and again, takes a tenth of a short run, and to do
    # it once more at the end as much.
    gc.set_threshold(GARBAGE_THRESHOLD)
    code = run(interrupted=interrupts.taken)
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    main()
