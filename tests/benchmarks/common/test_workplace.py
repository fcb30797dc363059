"""`scripts.common.real_sets` and `scripts.common.workplace`: read sets by name, and where files are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.common.programs import BenchError
from scripts.common.real_sets import CEU76, DSM30083, NA12878, named_set
from scripts.common.workplace import DATA, Workplace


def test_real_sets_are_found_by_name_or_by_how_it_begins() -> None:
    assert named_set("NA12878") is NA12878
    assert named_set("ceu 2x76") is CEU76
    assert named_set("DSM 30083") is DSM30083
    for text, fault in (("CEU", "several"), ("chr20", "no real set"), ("", "no real set")):
        with pytest.raises(BenchError, match=fault):
            named_set(text)


def test_what_the_collection_lacks_is_taken_from_the_repository(tmp_path: Path) -> None:
    place = Workplace(tmp_path, tmp_path, 1)
    assert place.source("ref", "lambda_phage.fa.gz") == DATA / "lambda_phage.fa.gz"
    (tmp_path / "ref").mkdir()
    own = tmp_path / "ref" / "lambda_phage.fa.gz"
    own.touch()
    assert place.source("ref", "lambda_phage.fa.gz") == own
    with pytest.raises(BenchError, match="ESA_DATA"):
        place.source("ref", "human_GRCh37_chr20.fa.gz")
