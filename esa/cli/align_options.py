"""Options of `esa align`, in groups that reach the command as one object each."""

from __future__ import annotations

from dataclasses import dataclass

import click

from esa.cli.options import device_option, option_group, quiet_option, threads_option
from esa.errors import UsageError
from esa.io.fastq import DEFAULT_BATCH_SIZE

LARGEST = 2**31 - 1
"""Largest number that an option takes; the kernels compute with 64 bits."""

MOST_ALIGNMENTS = 100
"""Largest N of -k; all alignments of a read are verified."""


@dataclass(frozen=True)
class FileOptions:
    """Reads and alignments.

    Attributes:
        reads1, reads2: input files; no second one for single-end or interleaved reads.
        interleaved: the first file holds pairs.
        no_eof_check: take bgzip files without their end-of-file block.
        output: SAM or BAM file; None is SAM on stdout.
    """

    reads1: str
    reads2: str | None
    interleaved: bool
    no_eof_check: bool
    output: str | None


@dataclass(frozen=True)
class ReadGroupOptions:
    """A read group: as an @RG line, or by ID and fields."""

    text: str | None
    id: str | None
    fields: tuple[str, ...]


@dataclass(frozen=True)
class AlignmentOptions:
    """Options that decide where a read is placed."""

    seed: int
    min_score: int | None
    inserts: str | None


@dataclass(frozen=True)
class RecordOptions:
    """Which records a read has, and how they are written.

    Raises:
        UsageError: secondary alignments are requested both as records and as XA tags.
    """

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
    """Options that do not change the records."""

    threads: int
    device: str
    batch_size: int
    stats: str | None
    trace_read: str | None
    force: bool
    quiet: bool


file_options = option_group(
    "Input and output",
    "files",
    FileOptions,
    click.argument("reads1", metavar="R1"),
    click.argument("reads2", metavar="[R2]", required=False),
    click.option(
        "--interleaved", is_flag=True, help="R1 holds pairs: first and second reads of pairs alternate."
    ),
    click.option(
        "--no-eof-check",
        is_flag=True,
        help="Take reads from bgzip files that lack their end-of-file block; they may have been cut.",
    ),
    click.option(
        "-o",
        "--output",
        metavar="FILE",
        show_default="SAM on stdout",
        help="Output file, SAM or BAM by its ending (.sam or .bam).",
    ),
)

read_group_options = option_group(
    "Read group",
    "read_group",
    ReadGroupOptions,
    click.option(
        "-R", "--read-group", "text", metavar="STR", help=r"Read group line, like '@RG\tID:x\tSM:y'."
    ),
    click.option("--rg-id", "id", metavar="ID", help="Read group ID, instead of -R."),
    click.option(
        "--rg",
        "fields",
        metavar="KEY:VALUE",
        multiple=True,
        help="Field of the read group of --rg-id, like SM:y; repeatable.",
    ),
)

alignment_options = option_group(
    "Alignment",
    "alignment",
    AlignmentOptions,
    click.option(
        "-T",
        "min_score",
        type=click.IntRange(1, LARGEST),
        default=None,
        metavar="INT",
        show_default="30",
        help="Minimum score of reported alignments; 19 in proper pairs, scaled down for reads under 60 bases.",
    ),
    click.option(
        "-I",
        "--insert-size",
        "inserts",
        metavar="MEAN[,SD[,MAX[,MIN]]]",
        show_default="estimated",
        help="Insert sizes of pairs in FR orientation. SD is MEAN / 10 and MAX and MIN are 4 SD from MEAN, "
        "where not given.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, LARGEST),
        default=0,
        metavar="INT",
        show_default=True,
        help="Random seed of the choice among equally good alignments.",
    ),
)

record_options = option_group(
    "Records",
    "records",
    RecordOptions,
    click.option("--eqx", is_flag=True, help="Write CIGAR operators = and X instead of M."),
    click.option(
        "-Y", "soft_clips", is_flag=True, help="Soft-clip supplementary and secondary records, too."
    ),
    click.option(
        "-k",
        "alignments",
        type=click.IntRange(1, MOST_ALIGNMENTS),
        default=None,
        metavar="N",
        show_default="1",
        help="Report up to N alignments per read: secondary ones have 80 % of the primary's score or more.",
    ),
    click.option(
        "-a",
        "everything",
        is_flag=True,
        help="Report all alignments found, up to 64 (or the N of -k), whatever share of the primary's score "
        "they have.",
    ),
    click.option(
        "--xa",
        is_flag=True,
        help="Write up to 5 other alignments as an XA tag, instead of secondary records.",
    ),
)

run_options = option_group(
    "Run",
    "run",
    RunOptions,
    threads_option,
    device_option("cpu", "Where dense presets embed and search; on cuda, the search is exact."),
    click.option(
        "--batch-size",
        type=click.IntRange(1),
        default=DEFAULT_BATCH_SIZE,
        metavar="INT",
        show_default=True,
        help="Reads in a batch, the unit of work of a thread.",
    ),
    click.option(
        "--stats",
        metavar="FILE",
        help="Write read counts, seconds by stage and the work of each search level to FILE, as JSON.",
    ),
    click.option(
        "--trace-read",
        metavar="NAME",
        help="Show on stderr what each level looked up and found for the read NAME, and why it stopped.",
    ),
    click.option(
        "--force", is_flag=True, help="Replace the FILE of --stats even if it holds something else."
    ),
    quiet_option,
)
