"""`esa.align.trace`: what is shown of a read is what happened to it, and its records are those of any run."""

from __future__ import annotations

import re

import numpy as np
import pytest
from align_oracles import Codes, make_batch, make_genome, mutate

from esa.align.config import AlignConfig
from esa.align.inserts import FR, InsertSizes
from esa.align.mapper import Mapper
from esa.align.trace import TracedMapper, rows_named
from esa.encoders.registry import create_encoder
from esa.index.build import assemble
from esa.index.open import Index
from esa.index.presets import PRESETS
from esa.io.records import Records
from esa.sequence import dna
from esa.sequence.reads import ReadBatch

INSERTS = InsertSizes(FR, 250, 600, 400.0, 60.0, 1000)


@pytest.fixture(scope="module")
def index() -> Index:
    preset = PRESETS["anchored"]
    fragmenter = preset.fragmenter({})
    encoder = create_encoder(preset.default_encoder, preset.kind, fragmenter.length)
    genome = make_genome([np.random.default_rng(5).integers(0, 4, 20_000).astype(np.uint8)])
    return assemble(genome, preset, fragmenter, encoder)[0]


def pairs(index: Index) -> list[Codes]:
    """An easy pair, one with an end that its mate leads to, one of a chimeric read, and one that belongs nowhere."""
    rng = np.random.default_rng(6)
    at = index.genome.fetch
    hard = dna.reverse_complement(at(4300, 4400)).copy()
    hard[7::8] = 3 - hard[7::8]
    return [
        *(at(1000, 1150), dna.reverse_complement(at(1250, 1400))),
        *(at(4000, 4150), hard),
        *(np.concatenate([at(9000, 9080), at(15_000, 15_070)]), mutate(rng, at(100, 250), 5, 0)),
        *rng.integers(0, 4, (2, 120)).astype(np.uint8),
    ]


def mapped(made: Mapper, batch: ReadBatch) -> tuple[Records, dict[str, int]]:
    state = made.begin(batch)
    records = made.finish(state, INSERTS if batch.paired else None)
    return records, {name: counts["reads"] for name, counts in state.statistics.levels.items()}


def config(index: Index, levels: int | None = None) -> AlignConfig:
    return AlignConfig(index.preset.levels[:levels])


def traced(index: Index, batch: ReadBatch, row: int, levels: int | None = None) -> tuple[Records, str]:
    shown: list[str] = []
    made = TracedMapper(index, config(index, levels))
    made.follow(index.genome, batch.name(row), shown.append)
    return mapped(made, batch)[0], "\n".join(shown)


@pytest.mark.parametrize("paired", [True, False])
def test_a_traced_run_gives_the_same_records(index: Index, paired: bool) -> None:
    batch = make_batch(pairs(index), paired=paired)
    plain, _ = mapped(Mapper(index, config(index)), batch)
    followed, _ = traced(index, batch, 2)
    for name in ("read", "flag", "contig", "position", "mapq", "cigar", "alignment_score"):
        assert np.array_equal(getattr(plain, name), getattr(followed, name))


@pytest.mark.parametrize("row", range(8))
def test_the_levels_shown_are_those_that_a_read_goes_through(index: Index, row: int) -> None:
    codes = pairs(index)[row]
    alone = make_batch([codes])
    _, reached = mapped(Mapper(index, config(index)), alone)
    records, text = traced(index, alone, 0)
    shown = re.findall(r"^  read, level '([^']+)':", text, re.MULTILINE)
    assert shown == [name for name, reads in reached.items() if reads and name != "split"]
    # Each other level has a reason, or the read stopped before.
    left_out = re.findall(r"is left out of level '([^']+)': \S", text)
    stops = re.findall(r"stops after level '([^']+)'", text)
    assert len(stops) <= 1
    names = [level.name for level in index.preset.levels]
    last = names.index(stops[0]) if stops else len(names) - 1
    # A sample that was all of a read's fragments is judged as the next level is.
    assert {*shown, *left_out, *names[1 : last + 1][:1]} == set(names[: last + 1])
    assert text.startswith(f"{alone.name(0)}: {len(codes)} bases")
    assert f"record: flag {records.flag[0]}, " in text
    if records.contig[0] >= 0:
        assert f"MAPQ {records.mapq[0]}" in text


def test_a_mate_s_rescue_and_another_segment_are_shown(index: Index) -> None:
    batch = make_batch(pairs(index), paired=True)
    # Later levels would find the hard end by sliding fragments.
    _, rescued = traced(index, batch, 2, levels=2)
    assert re.search(r"end 2, (thorough )?rescue in its mate's window:\n    locus c0:4,301 -", rescued)
    records, split = traced(index, batch, 4)
    assert np.count_nonzero(records.read == 4) == 2
    assert "end 1, other segment" in split
    assert re.search(r"end 1, bases 80-1\d\d left over, level 'split':\n    \d+ fragments looked up", split)
    assert re.search(r"candidate c0:14,9\d\d \+: weight \d+, score \d+", split)
    assert split.count("end 1, record: ") == 2


def test_both_ends_are_followed_and_no_other_read(index: Index) -> None:
    batch = make_batch(pairs(index), paired=True)
    _, text = traced(index, batch, 0)
    assert rows_named(batch, batch.name(0).encode()) == [0, 1]
    assert text.count("chosen:") == 2
    assert rows_named(batch, b"nobody") == []
