"""The header of SAM and BAM (@HD, @SQ, @RG, @PG) and the read group."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from esa.errors import UsageError
from esa.sequence.genome import Genome

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
    r"""Parse a read group in bwa's form, ``@RG\tID:x\tSM:y``, with tabs or with ``\t`` for tabs.

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
    """(key, value) of each ``KEY:VALUE``; refuses what a header line may not contain."""
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
