"""The bundled data is what its README says, and a missing peer is reported as it should be."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import find_peer

ABSENT = "esa-no-such-program"
MAX_BUNDLE_BYTES = 8_000_000


def test_missing_peer_is_skipped_locally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=ABSENT):
        find_peer(ABSENT)


def test_missing_peer_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=ABSENT):
        find_peer(ABSENT)


def test_peer_users_are_marked(peer: Callable[[str], str], request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("peer") is not None
    assert Path(peer("sh")).name == "sh"


def test_every_file_is_described_and_the_bundle_is_small(data_dir: Path) -> None:
    readme = (data_dir / "README.md").read_text()
    names = {path.name for path in data_dir.iterdir()} - {"README.md"}
    # A pair of files has one row, which names _R1 in full.
    assert {name for name in names if f"`{name.replace('_R2.', '_R1.')}`" not in readme} == set()
    assert sum((data_dir / name).stat().st_size for name in names) < MAX_BUNDLE_BYTES


def _read_lengths(path: Path) -> dict[str, int]:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return {
        header[1:].split()[0].removesuffix("/1").removesuffix("/2"): len(bases)
        for header, bases in zip(lines[::4], lines[1::4], strict=True)
    }


def test_fixture_rows_name_bundled_reads(data_dir: Path) -> None:
    prefixes = {
        "NA12878": "human_NA12878_PE101_chr20_10.0-10.1Mb_500pairs",
        "DSM30083": "ecoli_DSM30083_SRR3927310_PE76",
    }
    lengths = {
        (label, end): _read_lengths(data_dir / f"{prefix}_R{end}.fq.gz")
        for label, prefix in prefixes.items()
        for end in (1, 2)
    }
    lines = [x for x in (data_dir / "bwa_mem_scores.tsv").read_text().splitlines() if not x.startswith("#")]
    header, rows = lines[0].split("\t"), [line.split("\t") for line in lines[1:]]
    assert len(rows) == 1000
    for row in (dict(zip(header, row, strict=True)) for row in rows):
        # With match 1 no score exceeds the read's length.
        assert 0 < int(row["score"]) <= lengths[row["set"], int(row["end"])][row["name"]]
