"""`scripts.common.primary_records`: the local score of an alignment."""

from __future__ import annotations

import pysam
import pytest

from scripts.common.primary_records import local_score

HEADER = pysam.AlignmentHeader.from_dict({"SQ": [{"SN": "one", "LN": 1000}]})


@pytest.mark.parametrize(
    ("cigar", "md", "bases", "score"),
    [
        ("10M", "10", "ACGTACGTAC", 10),
        # Both ends cost more than they bring: 1 - 4 on the left, 2 - 4 on the right.
        ("20M", "1A15G2", "A" + "C" * 19, 15),
        ("20M", "5A14", "C" * 20, 14 + 5 - 4),
        # N in the read or in the reference.
        ("12M", "12", "ACGTACNTACGT", 11 - 1),
        ("12M", "6N5", "ACGTACGTACGT", 11 - 1),
        # Gaps: opened once each, clips are no gaps.
        ("12M2D12M", "12^GG12", "A" * 24, 24 - 6 - 2),
        ("12M3I12M", "24", "A" * 27, 24 - 6 - 3),
        ("15M1I1D15M", "15^C15", "A" * 31, 30 - 7 - 7),
        ("5M9I12M", "17", "A" * 26, 12),
        ("3S8M4S", "8", "A" * 15, 8),
        ("3H8M4H", "8", "A" * 8, 8),
    ],
)
def test_best_part(cigar: str, md: str, bases: str, score: int):
    line = "\t".join(["r", "0", "one", "1", "60", cigar, "*", "0", "0", bases, "*", f"MD:Z:{md}"])
    assert local_score(pysam.AlignedSegment.fromstring(line, HEADER)) == score
