"""True origins of simulated reads: from read names, or from a file of true alignments.

Name formats, after the simulators' sources and output. A contig may hold underscores, so names are parsed from the
right.

- ``dwgsim``: ``contig_pos1_pos2_strand1_strand2_random1_random2_e:s:i_e:s:i_number``. Positions are 1-based, leftmost,
  of both ends. Strand 1 is reverse; random 1 is a read of random sequence.
- ``wgsim``: ``contig_begin_end_e:s:i_e:s:i_number``. This is the fragment, 1-based, both ends included. The name does
  not say which read is on which strand. A forward read starts at ``begin``, a reverse one ends at ``end``.
- ``mason2``: `mason_simulator` writes the origin into the FASTQ comment (``--embed-read-info``), which aligners drop.
  It is parsed where the comment was made part of the name, each space replaced by one other character. ``SEQUENCE`` is
  the contig's index in the reference, 0-based. It is -1 for single-end reads, whose contig is known only if there is
  just one. The position is on the haplotype, so it is right only without variants. The better source is the file of
  true alignments (``-oa``), see `from_alignments`.

A read that is not paired counts as the first end of its name.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from esa.errors import EsaError
from esa.eval.alignments import END_MASK, Alignments, Contigs, ReadNames
from esa.io.records import NONE

NOWHERE = -(1 << 62)
"""No position. (-1 is a possible start of a read with clipped bases.)"""

NO_TRUTH, FROM_FILE = "none", "file"
"""Sources of origins other than read names."""

SECOND_END = 2
OTHER_REFERENCE_REMEDY = (
    "align to the reference that the reads were simulated from, or compare without origins (--truth none)"
)

DETECTION_NAMES = 1000
"""Names at the head of a file from which `detect` tells the scheme."""


@dataclass(frozen=True)
class Origin:
    """Where one read comes from. Positions are 0-based, `NOWHERE` where unknown or impossible.

    Attributes:
        contig: the contig's name, its index in the reference, or None for a read of random sequence.
        forward_start: start of the read if it is on the forward strand.
        reverse_start, reverse_end: start or end of the read if it is on the reverse strand; at most one is known.
    """

    contig: bytes | int | None
    forward_start: int = NOWHERE
    reverse_start: int = NOWHERE
    reverse_end: int = NOWHERE


@dataclass(frozen=True)
class Scheme:
    """A simulator's format of read names that hold the origin."""

    name: str
    pattern: re.Pattern[bytes]
    origin: Callable[[re.Match[bytes], int], Origin]
    """Origin from a match of the pattern and the end of the pair (0, 1, 2)."""
    remedy: str = "leave such reads out"
    """Advice for names that do not follow the format."""


def _dwgsim_origin(match: re.Match[bytes], end: int) -> Origin:
    contig, *fields = match.groups()
    position, reverse, random = map(int, fields[1::2] if end == SECOND_END else fields[0::2])
    if random:
        return Origin(None)
    if reverse:
        return Origin(contig, reverse_start=position - 1)
    return Origin(contig, forward_start=position - 1)


def _wgsim_origin(match: re.Match[bytes], end: int) -> Origin:
    return Origin(match[1], forward_start=int(match[2]) - 1, reverse_end=int(match[3]))


def _mason2_origin(match: re.Match[bytes], end: int) -> Origin:
    start = int(match[2])
    if match[3] == b"R":
        return Origin(int(match[1]), reverse_start=start)
    return Origin(int(match[1]), forward_start=start)


_EDITS = rb"_\d+:\d+:\d+_\d+:\d+:\d+_[0-9a-f]+"

SCHEMES = {
    scheme.name: scheme
    for scheme in (
        # In this order: a dwgsim name also matches wgsim's pattern, with a strange contig name.
        Scheme(
            "dwgsim",
            re.compile(rb"(.+)_(\d+)_(\d+)_([01])_([01])_([01])_([01])" + _EDITS),
            _dwgsim_origin,
        ),
        Scheme("wgsim", re.compile(rb"(.+)_(\d+)_(\d+)" + _EDITS), _wgsim_origin),
        Scheme(
            "mason2",
            re.compile(rb".*SEQUENCE=(-?\d+).HAPLOTYPE=.*.BEGIN_POS=(\d+).*.STRAND=([FR]).*"),
            _mason2_origin,
            "give mason_simulator's true alignments (-oa) by --truth-file",
        ),
    )
}


@dataclass(frozen=True)
class Truth:
    """Origins of n reads.

    Attributes:
        key: ``int64[n]``, as `Alignments.key`.
        contig: ``int32[n]``, number in `Contigs`, `NONE` for a read of random sequence.
        forward_start, reverse_start, reverse_end: ``int64[n]``, as in `Origin`.
    """

    key: NDArray[np.int64]
    contig: NDArray[np.int32]
    forward_start: NDArray[np.int64]
    reverse_start: NDArray[np.int64]
    reverse_end: NDArray[np.int64]


def detect(names: Iterable[bytes]) -> Scheme | None:
    """The scheme that most of the first `DETECTION_NAMES` names follow, or None."""
    head = list(islice(names, DETECTION_NAMES))
    for scheme in SCHEMES.values():
        if 2 * sum(scheme.pattern.fullmatch(name) is not None for name in head) > len(head):
            return scheme
    return None


def from_names(
    scheme: Scheme, alignments: Alignments, names: ReadNames, wanted: NDArray[np.bool_], contigs: Contigs
) -> Truth:
    """Origins from the names of the ``wanted`` reads (``bool[n]``, by row of ``alignments``).

    Raises:
        EsaError: a name does not follow the scheme, or its contig is not in the file's header.
    """
    rows, contig = array("q"), array("i")
    positions = array("q"), array("q"), array("q")
    header = [contigs.names[i] for i in alignments.header]
    numbers: dict[bytes | int | None, int] = {None: NONE}
    for name, row in zip(names, names.row.tolist(), strict=True):
        if not wanted[row]:
            continue
        match = scheme.pattern.fullmatch(name)
        if match is None:
            raise EsaError(
                f"{alignments.path}: the name of read {name.decode()!r} is not one of {scheme.name}'s; "
                f"{scheme.remedy}, or compare without origins (--truth none)"
            )
        origin = scheme.origin(match, int(alignments.key[row]) & END_MASK)
        if origin.contig not in numbers:
            numbers[origin.contig] = _contig_number(origin.contig, header, contigs, alignments.path, name)
        rows.append(row)
        contig.append(numbers[origin.contig])
        for column, value in zip(
            positions, (origin.forward_start, origin.reverse_start, origin.reverse_end), strict=True
        ):
            column.append(value)
    return Truth(
        alignments.key[np.array(rows, np.int64)],
        np.array(contig, np.int32),
        *(np.array(column, np.int64) for column in positions),
    )


def _contig_number(
    contig: bytes | int | None, header: list[str], contigs: Contigs, path: str, read: bytes
) -> int:
    if isinstance(contig, bytes) and contig.decode() in header:
        return contigs.get(contig.decode())
    if isinstance(contig, int) and 0 <= contig < len(header):
        return contigs.get(header[contig])
    if isinstance(contig, int) and len(header) == 1:
        return contigs.get(header[0])
    shown = repr(contig.decode()) if isinstance(contig, bytes) else f"number {contig}"
    raise EsaError(
        f"{path}: its header has no contig {shown}, where read {read.decode()!r} comes from; "
        f"{OTHER_REFERENCE_REMEDY}"
    )


def from_alignments(true: Alignments) -> Truth:
    """Origins from a file of true alignments, such as `mason_simulator -oa` writes.

    Its unmapped reads count as random sequence.
    """
    forward = (true.contig != NONE) & ~true.reverse
    reverse = (true.contig != NONE) & true.reverse
    return Truth(
        true.key,
        true.contig,
        np.where(forward, true.start, NOWHERE),
        np.where(reverse, true.start, NOWHERE),
        np.full(len(true), NOWHERE),
    )


def concatenate(truths: list[Truth]) -> Truth:
    """All origins in order of key. No read may be in two of the ``truths``."""
    key = np.concatenate([truth.key for truth in truths])
    columns = [np.concatenate([getattr(truth, column) for truth in truths]) for column in _COLUMNS]
    return _take(Truth(key, *columns), np.argsort(key))


def select(truth: Truth, reads: NDArray[np.int64]) -> Truth:
    """The origins of ``reads`` (``int64[n]``, keys), all of which are in ``truth`` (in order of key)."""
    return _take(truth, np.searchsorted(truth.key, reads))


_COLUMNS = ("contig", "forward_start", "reverse_start", "reverse_end")


def _take(truth: Truth, rows: NDArray[np.int64]) -> Truth:
    return Truth(truth.key[rows], *(getattr(truth, column)[rows] for column in _COLUMNS))
