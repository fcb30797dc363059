"""Names as the simulators wrote them, of dwgsim 0.1.14, wgsim 1.16.1 and mason_simulator 2.0.9."""

from __future__ import annotations

import pytest

from esa.eval.truth import NOWHERE, SCHEMES, Origin, detect

LAMBDA = b"gi|9626243|ref|NC_001416.1|"
DWGSIM = LAMBDA + b"_23205_22718_1_0_0_0_0:0:0_0:0:0_0"
DWGSIM_RANDOM = b"rand_0_0_0_0_1_1_0:0:0_0:0:0_0"
DWGSIM_SINGLE = LAMBDA + b"_37815_1_1_0_0_0_2:0:0_0:0:0_1"
WGSIM = LAMBDA + b"_21056_21478_1:0:0_1:0:0_1f"
MASON = (
    b"simulated.1/1;SEQUENCE=2;HAPLOTYPE=0;BEGIN_POS=29268;SAMPLE_SEQUENCE=ATATTACATAAC;CIGAR=63M1X36M;STRAND=R;"
    b"NUM_SNPS=0;NUM_INDELS=0"
)


def origin(scheme: str, name: bytes, end: int) -> Origin | None:
    match = SCHEMES[scheme].pattern.fullmatch(name)
    return match and SCHEMES[scheme].origin(match, end)


@pytest.mark.parametrize(
    ("scheme", "name", "end", "expected"),
    [
        ("dwgsim", DWGSIM, 1, Origin(LAMBDA, reverse_start=23204)),
        ("dwgsim", DWGSIM, 2, Origin(LAMBDA, forward_start=22717)),
        ("dwgsim", DWGSIM, 0, Origin(LAMBDA, reverse_start=23204)),
        ("dwgsim", DWGSIM_SINGLE, 0, Origin(LAMBDA, reverse_start=37814)),
        ("dwgsim", DWGSIM_RANDOM, 1, Origin(None)),
        ("dwgsim", b"chr_1_2_7_9_0_1_0_1_0:0:0_0:0:0_a", 1, Origin(b"chr_1_2", forward_start=6)),
        ("dwgsim", b"chr_1_2_7_9_0_1_0_1_0:0:0_0:0:0_a", 2, Origin(None)),
        ("wgsim", WGSIM, 1, Origin(LAMBDA, forward_start=21055, reverse_end=21478)),
        ("wgsim", WGSIM, 2, Origin(LAMBDA, forward_start=21055, reverse_end=21478)),
        ("mason2", MASON, 1, Origin(2, reverse_start=29268)),
        ("mason2", MASON.replace(b"=R", b"=F").replace(b";", b"_"), 0, Origin(2, forward_start=29268)),
        ("mason2", MASON.replace(b"SEQUENCE=2", b"SEQUENCE=-1"), 0, Origin(-1, reverse_start=29268)),
        ("dwgsim", WGSIM, 1, None),
        ("mason2", b"simulated.1", 1, None),
        ("wgsim", b"HWI-ST999:102:D1N6AACXX:1:1101:1235:1936", 1, None),
    ],
)
def test_origin(scheme: str, name: bytes, end: int, expected: Origin | None) -> None:
    assert origin(scheme, name, end) == expected


def test_an_absent_position_is_none_that_a_clipped_read_can_have() -> None:
    assert Origin(b"c", forward_start=-1).forward_start != NOWHERE


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([DWGSIM, DWGSIM_RANDOM], "dwgsim"),
        ([WGSIM], "wgsim"),
        ([MASON], "mason2"),
        ([DWGSIM, DWGSIM, b"phix"], "dwgsim"),
        ([DWGSIM, b"phix"], None),
        ([b"simulated.1"], None),
        ([], None),
    ],
)
def test_detect_wants_a_majority(names: list[bytes], expected: str | None) -> None:
    scheme = detect(names)
    assert (scheme and scheme.name) == expected
