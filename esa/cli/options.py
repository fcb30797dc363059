"""Options that several commands share, and groups of options that reach a command as one object each."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, TypeVar

import click

from esa.encoders.device import DEVICES

Command = TypeVar("Command", bound=Callable[..., Any])


def option_group(
    title: str, name: str, kind: type, *options: Callable[[Command], Command]
) -> Callable[[Command], Command]:
    """A decorator that adds options to a command and passes their values as one object.

    Args:
        title: heading of the options in ``--help`` (`SectionedCommand`).
        name: parameter of the command that takes the object.
        kind: dataclass of the object; its fields have the names of the options' values.
        options: click's decorators, in the order of ``--help``; arguments may be among them.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def called(**values: Any) -> Any:
            group = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            return command(**values, **{name: group})

        decorated: Any = called
        for option in reversed(options):
            decorated = option(decorated)
            decorated.__click_params__[-1].section = title
        return decorated

    return decorate


class SectionedCommand(click.Command):
    """A command whose ``--help`` lists the options of each `option_group` under its title."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by section, those of no group last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        others: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                title = getattr(parameter, "section", None)
                (sections.setdefault(title, []) if title else others).append(record)
        for title, records in (*sections.items(), ("Other options", others)):
            with formatter.section(title):
                formatter.write_dl(records)


def _available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


threads_option = click.option(
    "-t",
    "--threads",
    type=click.IntRange(1),
    default=_available_cores,
    metavar="INT",
    show_default="all cores",
    help="Worker threads.",
)

quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress bar, no summary.")


def device_option(default: str, text: str) -> Callable[[Command], Command]:
    """``--device`` with its default and its help text."""
    return click.option("--device", type=click.Choice(DEVICES), default=default, show_default=True, help=text)
