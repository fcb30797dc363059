"""SAM text: header, read group and records.

The only owner of 1-based coordinates, of the SEQ and QUAL flip of reverse records, of the header and of @PG.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esa.errors import ReadsError, UsageError
from esa.genome import Genome
from esa.io import _cigar, _format
from esa.reads import ReadBatch
from esa.records import CIGAR_EQ, CIGAR_X, Records

MAX_NAME = 254
"""Longest QNAME of the SAM specification; BAM has one byte for it."""

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9]")
_PRINTABLE = re.compile(r"[ -~]+")
_UTF8_KEYS = ("DS",)
"""The keys of @RG whose value need not be ASCII."""
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "\\": "\\"}
_EXAMPLE = r"'@RG\tID:run1\tSM:sample1\tPL:ILLUMINA'"
_OPTION_EXAMPLE = "--rg-id run1 --rg SM:sample1 --rg PL:ILLUMINA"


@dataclass(frozen=True)
class ReadGroup:
    """The @RG line: its ID and the other fields, (key, value) in the order given."""

    id: str
    fields: tuple[tuple[str, str], ...] = ()

    def line(self) -> str:
        """The header line, without newline."""
        return "\t".join(["@RG", f"ID:{self.id}", *(f"{key}:{value}" for key, value in self.fields)])


def parse_read_group(text: str) -> ReadGroup:
    r"""Read group from bwa's form, ``@RG\tID:x\tSM:y``, tabs written as such or as a backslash and a t.

    Raises:
        UsageError: no @RG, no ID, an empty, repeated or malformed field, a control character.
    """
    line = _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[0]), text)
    tag, *fields = line.split("\t")
    remedy = f"write it like {_EXAMPLE}"
    if tag != "@RG":
        raise UsageError(f"read group {text!r} does not begin with @RG and a tab; {remedy}")
    pairs = _checked_fields(fields, f"read group {text!r}", remedy)
    ids = [value for key, value in pairs if key == "ID"]
    if not ids:
        raise UsageError(f"read group {text!r} has no ID; {remedy}")
    return ReadGroup(ids[0], tuple(pair for pair in pairs if pair[0] != "ID"))


def read_group_from_options(id: str | None, fields: Sequence[str]) -> ReadGroup | None:
    """Read group from ``--rg-id ID`` and the ``KEY:VALUE`` of each ``--rg``; None where neither is given.

    Raises:
        UsageError: fields without an ID, an empty, repeated or malformed field, a control character.
    """
    remedy = f"write it like {_OPTION_EXAMPLE}"
    if id is None:
        if fields:
            raise UsageError(f"--rg {fields[0]!r} is given without --rg-id; {remedy}")
        return None
    (_, checked_id), *pairs = _checked_fields([f"ID:{id}", *fields], "read group", remedy)
    return ReadGroup(checked_id, tuple(pairs))


def _checked_fields(fields: Sequence[str], what: str, remedy: str) -> list[tuple[str, str]]:
    """(key, value) of each ``KEY:VALUE``; refuses what a header line may not hold."""
    pairs: dict[str, str] = {}
    for field in fields:
        key, colon, value = field.partition(":")
        if not colon or not _KEY.fullmatch(key):
            raise UsageError(f"{what}: field {field!r} is not KEY:VALUE with a key of two letters; {remedy}")
        if not value:
            raise UsageError(f"{what}: {key} has no value; {remedy}")
        printable = value.isprintable() if key in _UTF8_KEYS else _PRINTABLE.fullmatch(value)
        if not printable:
            raise UsageError(f"{what}: {key} {value!r} has characters other than printable ASCII; {remedy}")
        if key in pairs:
            raise UsageError(f"{what}: {key} is given twice; {remedy}")
        pairs[key] = value
    return list(pairs.items())


def header(genome: Genome, *, read_group: ReadGroup | None, command_line: str, version: str) -> bytes:
    """The SAM header: @HD, one @SQ a contig, @RG if there is a read group, @PG.

    Tabs and line ends in ``command_line`` are written as backslash escapes.
    """
    lines = ["@HD\tVN:1.6\tSO:unsorted\tGO:query"]
    for name, length, m5 in zip(genome.names, genome.lengths.tolist(), genome.m5, strict=True):
        lines.append(f"@SQ\tSN:{name}\tLN:{length}\tM5:{m5}")
    if read_group is not None:
        lines.append(read_group.line())
    visible = "".join(c if c.isprintable() else _escape_character(c) for c in command_line)
    lines.append(f"@PG\tID:esa\tPN:esa\tVN:{version}\tCL:{visible}")
    return "".join(f"{line}\n" for line in lines).encode()


def _escape_character(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


class SamFormatter:
    """Prints the records of a batch as SAM lines.

    Args:
        genome: gives the contig names.
        read_group: its ID goes into the RG tag of every record.
        eqx: CIGARs with = and X; else with M. The records may hold either (M is split as their MD has it).
        xa: secondary records become an XA tag of the part of the read that they follow, as bwa mem has it.
    """

    def __init__(
        self,
        genome: Genome,
        *,
        read_group: ReadGroup | None = None,
        eqx: bool = False,
        xa: bool = False,
    ) -> None:
        names = [name.encode() for name in genome.names]
        offsets = np.zeros(len(names) + 1, np.int64)
        np.cumsum([len(name) for name in names], out=offsets[1:])
        rg_tag = b"" if read_group is None else f"\tRG:Z:{read_group.id}".encode()
        self._contigs = _format.Contigs(
            _flat(np.frombuffer(b"".join(names), np.uint8), np.uint8),
            _flat(offsets, np.int64),
            _flat(np.frombuffer(rg_tag, np.uint8), np.uint8),
        )
        self._eqx = eqx
        self._xa = xa

    def format(self, batch: ReadBatch, records: Records) -> NDArray[np.uint8]:
        """SAM lines of ``records``, each with its newline: ``uint8[bytes]``.

        Records of one read lie next to each other; the parts of a chimeric alignment (primary and
        supplementary) refer to each other in SA. QNAME, SEQ and QUAL are ``*`` where the read has none, SEQ
        and QUAL in secondary records, too.

        Raises:
            ReadsError: a read name longer than SAM allows.
        """
        self._check_names(batch)
        reads = _format.Reads(
            _flat(batch.names, np.uint8),
            _flat(batch.name_offsets, np.int64),
            _flat(batch.codes, np.uint8),
            _flat(batch.quals, np.uint8),
            _flat(batch.offsets, np.int64),
            _flat(batch.has_qual, np.uint8),
        )
        table = self._table(records)
        out = np.empty(_format.text_size(self._contigs, reads, table), np.uint8)
        return out[: _format.write_text(self._contigs, reads, table, self._xa, out)]

    def _table(self, records: Records) -> _format.Table:
        table = _format.Table(
            read=_flat(records.read, np.int32),
            flag=_flat(records.flag, np.uint16),
            contig=_flat(records.contig, np.int32),
            position=_flat(records.position, np.int64),
            mapq=_flat(records.mapq, np.uint8),
            cigar=_flat(records.cigar, np.uint32),
            cigar_offsets=_flat(records.cigar_offsets, np.int64),
            mate_contig=_flat(records.mate_contig, np.int32),
            mate_position=_flat(records.mate_position, np.int64),
            mate=_flat(records.mate, np.int32),
            template_length=_flat(records.template_length, np.int64),
            nm=_flat(records.nm, np.int32),
            alignment_score=_flat(records.alignment_score, np.int32),
            second_score=_flat(records.second_score, np.int32),
            md=_flat(records.md, np.uint8),
            md_offsets=_flat(records.md_offsets, np.int64),
        )
        has_eqx = bool(np.any((table.cigar & 15 == CIGAR_EQ) | (table.cigar & 15 == CIGAR_X)))
        if has_eqx == self._eqx or not len(table.cigar):
            return table
        if self._eqx:
            new = _cigar.split_matches(table.cigar, table.cigar_offsets, table.md, table.md_offsets)
        else:
            new = _cigar.merge_matches(table.cigar, table.cigar_offsets)
        return table._replace(cigar=_flat(new[0], np.uint32), cigar_offsets=_flat(new[1], np.int64))

    @staticmethod
    def _check_names(batch: ReadBatch) -> None:
        lengths = np.diff(batch.name_offsets)
        if len(lengths) and lengths.max() > MAX_NAME:
            name = batch.name(int(lengths.argmax()))
            raise ReadsError(
                f"read {name[:40]}...: its name has {lengths.max()} characters, SAM allows {MAX_NAME}; "
                "shorten the read names"
            )


def _flat(array: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """A contiguous, read-only view, so that the kernels compile once and not for each mixture of arrays."""
    view = np.ascontiguousarray(array, dtype).view()
    view.flags.writeable = False
    return view
