"""`scripts.common.targets`: ratios round by round, medians, and verdicts at the very limit."""

from __future__ import annotations

import pytest

from scripts.common.targets import (
    COLUMNS,
    RATIO_TARGETS,
    Finding,
    at_least,
    at_most,
    count_unmet,
    differences,
    ratios,
)


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (at_least(1.85), 1.85, True),
        (at_least(1.85), 1.8499, False),
        (at_least(1.85), 9.0, True),
        (at_most(0.3), 0.3, True),
        (at_most(0.3), 0.3001, False),
        (at_most(0.3), 0.0, True),
    ],
)
def test_a_target_is_met_from_its_limit_on(target, value: float, met: bool) -> None:
    assert target.met(value) is met
    assert Finding("", "", (value,), target).verdict == ("met" if met else "NOT MET")


def test_targets_are_those_of_the_project() -> None:
    limits = {length: {peer: t.limit for peer, t in row.items()} for length, row in RATIO_TARGETS.items()}
    assert limits == {
        150: {"bwa": 4, "bowtie2": 8, "minimap2": 1.5, "minibwa": 1.0},
        250: {"bwa": 8, "bowtie2": 10, "minimap2": 1.5, "minibwa": 1.2},
    }
    assert all(target.at_least for row in RATIO_TARGETS.values() for target in row.values())


def test_ratios_are_taken_within_a_round() -> None:
    # The medians, 20 and 10, would say 2.
    assert ratios([10.0, 20.0, 90.0], [10.0, 5.0, 30.0]) == (1.0, 4.0, 3.0)
    assert differences([10.0, 20.0], [1.0, 5.0]) == (9.0, 15.0)
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


def test_the_median_is_judged_and_the_range_is_shown() -> None:
    finding = Finding("esa to bwa", "x", (4.5, 3.0, 4.0), at_least(4))
    assert finding.row() == ["esa to bwa", "4.00 x", "3.00-4.50", ">= 4", "met"]
    assert len(finding.row()) == len(COLUMNS)
    assert finding.as_json() == {
        "what": "esa to bwa",
        "unit": "x",
        "value": 4.0,
        "values": (4.5, 3.0, 4.0),
        "target": ">= 4",
        "met": True,
    }


def test_what_has_no_target_has_no_verdict() -> None:
    finding = Finding("reads/s", "", (12345.6,), None, digits=0)
    assert finding.row() == ["reads/s", "12,346", "", "", ""]
    assert finding.as_json()["met"] is None


def test_verdicts_are_counted() -> None:
    findings = [
        Finding("", "", (1.0,), at_least(1)),
        Finding("", "", (2.0,), at_most(1)),
        Finding("", "", (2.0,), None),
    ]
    assert count_unmet(findings) == "1 of 2 targets met"
