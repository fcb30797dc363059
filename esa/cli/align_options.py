"""Options of `esa align`, in groups that reach the command as one object each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, TypeVar

import click

from esa.errors import UsageError

LARGEST = 2**31 - 1
"""Largest number that an option takes: the kernels compute with 64 bits."""

MOST_ALIGNMENTS = 100
"""Most alignments of a read that -k reports: all of them are verified."""

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class ReadGroupOptions:
    """A read group as given: as one text, or by ID and fields."""

    text: str | None
    id: str | None
    fields: tuple[str, ...]


@dataclass(frozen=True)
class AlignmentOptions:
    """What decides where a read goes."""

    seed: int
    min_score: int | None
    inserts: str | None


@dataclass(frozen=True)
class RecordOptions:
    """Which records a read has, and how they are written."""

    eqx: bool
    soft_clips: bool
    alignments: int | None
    everything: bool
    xa: bool

    def __post_init__(self) -> None:
        if self.xa and (self.everything or self.alignments is not None):
            raise UsageError(
                "--xa stands for the secondary records that -a and -k report: give one or the other"
            )


@dataclass(frozen=True)
class RunOptions:
    """What the run is told that has no part in the records."""

    batch_size: int | None
    stats: str | None
    trace_read: str | None
    quiet: bool


def _group(name: str, kind: type, *options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """A decorator that adds options to a command and hands it their values as one ``kind``, named ``name``."""

    def decorate(command: Command) -> Command:
        @wraps(command)
        def called(**values: Any) -> Any:
            group = kind(**{field.name: values.pop(f"{name}_{field.name}") for field in fields(kind)})
            return command(**values, **{name: group})

        decorated: Any = called
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


read_group_options = _group(
    "read_group",
    ReadGroupOptions,
    click.option(
        "-R", "--read-group", "read_group_text", metavar="STR", help=r"Read group as '@RG\tID:x\tSM:y'."
    ),
    click.option("--rg-id", "read_group_id", metavar="ID", help="Read group by its ID ..."),
    click.option(
        "--rg",
        "read_group_fields",
        metavar="KEY:VALUE",
        multiple=True,
        help="... and its fields (repeatable).",
    ),
)

alignment_options = _group(
    "alignment",
    AlignmentOptions,
    click.option(
        "--seed",
        "alignment_seed",
        type=click.IntRange(0, LARGEST),
        default=0,
        show_default=True,
        help="Varies how ties are broken.",
    ),
    click.option(
        "-T",
        "alignment_min_score",
        type=click.IntRange(1, LARGEST),
        default=None,
        help="Least score of what is reported; ends of proper pairs from 19 up.  [default: 30]",
    ),
    click.option(
        "-I",
        "--insert-size",
        "alignment_inserts",
        metavar="MEAN[,SD[,MAX[,MIN]]]",
        help="Insert sizes of FR pairs, instead of learning them.  [SD: a tenth of MEAN; MAX, MIN: 4 SD away]",
    ),
)

record_options = _group(
    "records",
    RecordOptions,
    click.option("--eqx", "records_eqx", is_flag=True, help="CIGAR with = and X instead of M."),
    click.option(
        "-Y",
        "records_soft_clips",
        is_flag=True,
        help="Soft clips in supplementary and secondary records, too.",
    ),
    click.option(
        "-k",
        "records_alignments",
        type=click.IntRange(1, MOST_ALIGNMENTS),
        default=None,
        metavar="N",
        help="Up to N alignments of a read: secondary records with 80 % of the primary's score.",
    ),
    click.option(
        "-a",
        "records_everything",
        is_flag=True,
        help="All alignments held, up to 64 or N of -k, whatever their score.",
    ),
    click.option("--xa", "records_xa", is_flag=True, help="Up to 5 other places as an XA tag."),
)

run_options = _group(
    "run",
    RunOptions,
    click.option(
        "--batch-size",
        "run_batch_size",
        type=click.IntRange(1),
        default=None,
        help="Reads worked on together.",
    ),
    click.option(
        "--stats",
        "run_stats",
        metavar="FILE",
        help="Write counts, seconds by stage and shares of the levels, as JSON.",
    ),
    click.option(
        "--trace-read",
        "run_trace_read",
        metavar="NAME",
        help="Tell on stderr what each stage looked up and found for this read, and why it stopped.",
    ),
    click.option("-q", "--quiet", "run_quiet", is_flag=True, help="No progress, no summary."),
)
