"""Header and read group."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esa.errors import UsageError
from esa.io.sam_header import ReadGroup, header, parse_read_group, read_group_from_options
from esa.sequence.genome import Genome

GENOME = Genome(
    ("chr1", "HLA-A*01:01"),
    np.array([2_000_000_000, 7]),
    ("0" * 32, "abcdef0123456789" * 2),
    np.zeros(0, np.uint8),
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
)
GROUP = ReadGroup("a b", (("SM", "x:y"), ("PL", "ILLUMINA")))


def parsed(tmp_path: Path, text: bytes) -> dict[str, object]:
    path = tmp_path / "h.sam"
    path.write_bytes(text)
    with pysam.AlignmentFile(str(path)) as file:
        return file.header.to_dict()


def test_header_as_pysam_reads_it(tmp_path: Path) -> None:
    text = header(GENOME, read_group=GROUP, command_line="esa align x.esa r.fq", version="0.1")
    assert parsed(tmp_path, text) == {
        "HD": {"VN": "1.6", "SO": "unsorted", "GO": "query"},
        "SQ": [
            {"SN": "chr1", "LN": 2_000_000_000, "M5": "0" * 32},
            {"SN": "HLA-A*01:01", "LN": 7, "M5": "abcdef0123456789" * 2},
        ],
        "RG": [{"ID": "a b", "SM": "x:y", "PL": "ILLUMINA"}],
        "PG": [{"ID": "esa", "PN": "esa", "VN": "0.1", "CL": "esa align x.esa r.fq"}],
    }


def test_header_text() -> None:
    text = header(GENOME, read_group=None, command_line="esa", version="1").decode()
    assert [line[:3] for line in text.split("\n")] == ["@HD", "@SQ", "@SQ", "@PG", ""]
    with_group = header(GENOME, read_group=GROUP, command_line="esa", version="1").decode()
    assert with_group.split("\n")[3] == "@RG\tID:a b\tSM:x:y\tPL:ILLUMINA"


def test_command_line_cannot_break_the_header(tmp_path: Path) -> None:
    command = "esa align -R '@RG\tID:x' a\nb\r\udcff é"
    text = header(GENOME, read_group=None, command_line=command, version="1")
    (program,) = parsed(tmp_path, text)["PG"]  # type: ignore[misc]
    assert program["CL"] == r"esa align -R '@RG\tID:x' a\nb\r\udcff é"


@pytest.mark.parametrize(
    "text", [r"@RG\tID:x\tSM:y z\tDS:été: 1", "@RG\tID:x\tSM:y z\tDS:été: 1", "@RG\tSM:y z\\tDS:été: 1\tID:x"]
)
def test_read_group(text: str) -> None:
    assert parse_read_group(text) == ReadGroup("x", (("SM", "y z"), ("DS", "été: 1")))


def test_read_group_with_a_backslash() -> None:
    assert parse_read_group(r"@RG\tID:a\\tb\tSM:c\d") == ReadGroup(r"a\tb", (("SM", r"c\d"),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not begin with @RG"),
        (r"RG\tID:x", "does not begin with @RG"),
        (r"@RGID:x", "does not begin with @RG"),
        (r"ID:x\t@RG", "does not begin with @RG"),
        ("@RG", "has no ID"),
        (r"@RG\tSM:x", "has no ID"),
        (r"@RG\tID:", "ID has no value"),
        (r"@RG\tID:x\tSM:", "SM has no value"),
        (r"@RG\tID:x\t", "field '' is not KEY:VALUE"),
        (r"@RG\t\tID:x", "field '' is not KEY:VALUE"),
        (r"@RG\tID:x\tSM", "field 'SM' is not KEY:VALUE"),
        (r"@RG\tID:x\tSMP:y", "field 'SMP:y' is not KEY:VALUE"),
        (r"@RG\tID:x\t1S:y", "field '1S:y' is not KEY:VALUE"),
        (r"@RG\tID:x\tÉA:y", "field 'ÉA:y' is not KEY:VALUE"),
        (r"@RG ID:x", "does not begin with @RG and a tab"),
        (r"@RG\tID:x\tSM:a\tSM:b", "SM is given twice"),
        (r"@RG\tID:x\tID:x", "ID is given twice"),
        (r"@RG\tID:x\nSM:y", "other than printable ASCII"),
        ("@RG\tID:x\nSM:y", "other than printable ASCII"),
        (r"@RG\tID:x\tSM:y\r", "other than printable ASCII"),
        ("@RG\tID:x\tSM:y\x07", "other than printable ASCII"),
        ("@RG\tID:x\tSM:é", "other than printable ASCII"),
        ("@RG\tID:x\tDS:é\x1b", "other than printable ASCII"),
        ("@RG\tID:x\tDS:\udcff", "other than printable ASCII"),
    ],
)
def test_bad_read_group(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_read_group(text)
    assert message in str(caught.value)
    assert r"'@RG\tID:run1\tSM:sample1" in str(caught.value), "the remedy"
    assert "\n" not in str(caught.value)


def test_read_group_from_options() -> None:
    assert read_group_from_options(None, []) is None
    assert read_group_from_options("x", []) == ReadGroup("x", ())
    assert read_group_from_options("x", ["SM:a", "PL:b:c"]) == ReadGroup("x", (("SM", "a"), ("PL", "b:c")))


@pytest.mark.parametrize(
    ("id", "fields", "message"),
    [
        (None, ["SM:x"], "without --rg-id"),
        ("", [], "ID has no value"),
        ("x\ty", [], "other than printable ASCII"),
        ("x", ["ID:y"], "ID is given twice"),
        ("x", ["SM:y", "SM:z"], "SM is given twice"),
        ("x", ["SM:y\tPL:z"], "other than printable ASCII"),
        ("x", ["SM"], "is not KEY:VALUE"),
        ("x", [""], "is not KEY:VALUE"),
    ],
)
def test_bad_read_group_options(id: str | None, fields: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_group_from_options(id, fields)
    assert message in str(caught.value)
    assert "--rg-id run1" in str(caught.value), "the remedy"


VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1)


@given(VALUES, st.dictionaries(st.from_regex(r"[A-HJ-Za-z][A-Za-z0-9]", fullmatch=True), VALUES))
def test_line_is_parsed_back(id: str, fields: dict[str, str]) -> None:
    group = ReadGroup(id, tuple(fields.items()))
    assert parse_read_group(group.line().replace("\\", r"\\").replace("\t", r"\t")) == group
