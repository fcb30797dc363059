"""`esa.align.search.searcher`: which reads are searched together."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from esa.align.ladders import ANCHORED, DENSE
from esa.align.levels import Level
from esa.align.search import searcher
from esa.align.search.searcher import chunks


@pytest.mark.parametrize("level", [*ANCHORED, *DENSE], ids=lambda level: level.name)
@pytest.mark.parametrize("most", [1, 300, 1 << 19])
def test_chunks_hold_all_reads_in_order_and_divide_no_pair(
    level: Level, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher, "FRAGMENTS_TOGETHER", most)
    rng = np.random.default_rng(most)
    lengths = rng.integers(0, 400, 200)
    reads = np.flatnonzero(rng.random(200) < 0.7).astype(np.int32)
    made = list(chunks(reads, lengths, level))
    assert np.array_equal(np.concatenate(made), reads)
    assert all(len(chunk) for chunk in made)
    for before, after in itertools.pairwise(made):
        assert before[-1] // 2 != after[0] // 2
    limit = max(1, min(most, searcher.HITS_TOGETHER // level.effort.max_hits))
    # Beyond the limit by a pair at most, at either end of a run.
    slack = 2 * int(level.estimated_fragments(np.array([400]))[0])
    assert all(level.estimated_fragments(lengths[chunk]).sum() <= limit + 2 * slack for chunk in made)


def test_no_reads_are_no_chunk() -> None:
    assert list(chunks(np.empty(0, np.int32), np.array([100, 100]), ANCHORED[0])) == []
