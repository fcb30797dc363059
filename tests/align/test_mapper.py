"""`esa.align.mapper`: what may not matter to where a read goes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from align_oracles import Codes, make_batch, make_genome, mutate
from numpy.typing import NDArray

from esa.align.config import AlignConfig
from esa.align.inserts import FR, InsertSizes
from esa.align.levels import ANY_SCORE, Cut, Edits, Level, Overhang, Repeats
from esa.align.loci import Candidates
from esa.align.mapper import Mapper
from esa.align.placer import SPLIT, Placer
from esa.align.scoring import MAX_READ_LENGTH
from esa.align.search import searcher
from esa.align.state import MappingState
from esa.encoders.registry import create_encoder
from esa.fragments.base import Fragmenter
from esa.index.build import assemble
from esa.index.open import Index
from esa.index.presets import PRESETS
from esa.io.records import FLAG_REVERSE, FLAG_UNMAPPED, Records
from esa.sequence import dna
from esa.sequence.reads import ReadBatch
from esa.stores.base import REPEAT_BUCKET, Hits, Keys, SearchEffort
from esa.stores.codes import CodeStore


@pytest.fixture(scope="module", params=sorted(PRESETS))
def built(request: pytest.FixtureRequest) -> Index:
    """A genome of many contigs with exact and diverged copies, among them some on the other strand."""
    rng = np.random.default_rng(1)
    unit = rng.integers(0, 4, 1500).astype(np.uint8)
    contigs = [rng.integers(0, 4, int(n)).astype(np.uint8) for n in rng.integers(40, 900, 60)]
    contigs += [unit, dna.reverse_complement(unit), mutate(rng, unit, 30, 3)]
    contigs.append(np.resize(rng.integers(0, 4, 31).astype(np.uint8), 700))
    return build(request.param, contigs)


def build(name: str, contigs: list[Codes]) -> Index:
    preset = PRESETS[name]
    fragmenter = preset.fragmenter({})
    encoder = create_encoder(preset.default_encoder, preset.kind, fragmenter.length)
    return assemble(make_genome(contigs), preset, fragmenter, encoder)[0]


def mapper_of(built: Index, levels: Iterable[Level] | None = None, **settings: Any) -> Mapper:
    """The mapper of an index, with other levels or settings (fields of `AlignConfig`) than its preset's."""
    config = AlignConfig(built.preset.levels if levels is None else tuple(levels))._replace(**settings)
    return Mapper(built, config)


def reads_of(built: Index, n: int) -> list[Codes]:
    rng = np.random.default_rng(2)
    reads = []
    for _ in range(n):
        length = int(rng.integers(30, 200))
        start = int(rng.integers(0, built.genome.bases - length))
        read = built.genome.fetch(start, start + length)
        reads.append(
            mutate(rng, read, int(rng.integers(0, 8)), int(rng.integers(0, 2)), 4, int(rng.integers(0, 3)))
        )
    return [*reads, np.empty(0, np.uint8), np.full(90, dna.N, np.uint8)]


def run(built: Index, batch: ReadBatch) -> Records:
    made = mapper_of(built)
    return made.finish(made.begin(batch), None)


def row(records: Records, r: int) -> dict[str, object]:
    """What a record says, its number and its read's left out."""
    cigar = records.cigar[records.cigar_offsets[r] : records.cigar_offsets[r + 1]].tolist()
    md = records.md[records.md_offsets[r] : records.md_offsets[r + 1]].tobytes()
    plain = {f.name: getattr(records, f.name)[r].item() for f in fields(records) if f.name in PLAIN}
    return {**plain, "cigar": cigar, "md": md}


PLAIN = {"flag", "contig", "position", "mapq", "nm", "alignment_score", "second_score"}


def test_a_read_and_its_reverse_complement_go_to_one_locus(built: Index):
    reads = reads_of(built, 150)
    here = run(built, make_batch(reads))
    there = run(built, make_batch([dna.reverse_complement(read) for read in reads]))
    mapped = 0
    for r in range(len(reads)):
        mine, theirs = row(here, r), row(there, r)
        if not here.flag[r] & FLAG_UNMAPPED:
            mapped += 1
            theirs["flag"] = there.flag[r].item() ^ FLAG_REVERSE
        assert mine == theirs
    assert mapped > 100


def test_a_read_s_record_does_not_depend_on_its_batch(built: Index):
    reads = reads_of(built, 60)
    whole = make_batch(reads)
    together = run(built, whole)
    for begin, end in ((0, 1), (1, 8), (8, 62)):
        lo, hi = whole.offsets[begin], whole.offsets[end]
        names_lo, names_hi = whole.name_offsets[begin], whole.name_offsets[end]
        part = replace(
            whole,
            names=whole.names[names_lo:names_hi],
            name_offsets=whole.name_offsets[begin : end + 1] - names_lo,
            codes=whole.codes[lo:hi],
            quals=whole.quals[lo:hi],
            offsets=whole.offsets[begin : end + 1] - lo,
            has_qual=whole.has_qual[begin:end],
        )
        apart = run(built, part)
        assert [row(apart, r) for r in range(end - begin)] == [row(together, r) for r in range(begin, end)]


def test_how_many_fragments_are_searched_together_does_not_matter(
    built: Index, monkeypatch: pytest.MonkeyPatch
):
    batch = make_batch(reads_of(built, 60))
    together = run(built, batch)
    sizes = []
    cut = Level.cut

    def count(self: Level, fragmenter: Fragmenter, bases: ReadBatch, reads: NDArray[np.int32]) -> Cut:
        sizes.append(len(reads))
        return cut(self, fragmenter, bases, reads)

    monkeypatch.setattr(searcher, "FRAGMENTS_TOGETHER", 200)
    monkeypatch.setattr(Level, "cut", count)
    apart = run(built, batch)
    assert len(sizes) > len(built.preset.levels)
    assert 0 < max(sizes) < len(batch) / 2
    assert [row(apart, r) for r in range(len(batch))] == [row(together, r) for r in range(len(batch))]


def test_a_read_too_long_for_a_level_is_not_searched_for(built: Index):
    reads = reads_of(built, 5)
    assert all(level.longest <= MAX_READ_LENGTH for level in built.preset.levels)
    made = mapper_of(built, (replace(level, longest=100) for level in built.preset.levels))
    state = made.begin(make_batch(reads))
    counts = [counts["reads"] for counts in state.statistics.levels.values()]
    assert sum(counts) == sum(len(read) <= 100 for read in reads) < len(reads)


def test_a_read_too_long_for_a_level_goes_on_to_later_ones():
    """The limit of one level is not that of those behind it."""
    rng = np.random.default_rng(4)
    index = build("anchored", [rng.integers(0, 4, 4000).astype(np.uint8)])
    reads = [rng.integers(0, 4, n).astype(np.uint8) for n in (90, 150)]
    levels = [
        replace(level, longest=100) if level.name == "edited minimizers" else level
        for level in index.preset.levels
    ]
    made = mapper_of(index, levels)
    state = made.begin(make_batch(reads))
    made.finish(state, None)
    counts = {name: counts["reads"] for name, counts in state.statistics.levels.items()}
    assert (counts["edited minimizers"], counts["overhang"], counts["sliding"]) == (1, 2, 2)


def test_each_level_gets_what_the_one_before_left_and_no_longer_reads(
    built: Index, monkeypatch: pytest.MonkeyPatch
):
    longest = 100
    levels = built.preset.levels
    made = mapper_of(built, (*levels[:-1], replace(levels[-1], longest=longest)))
    asked: list[tuple[str, set[int]]] = []
    place = Placer.place

    def ask(
        self: Placer, level: Level, state: MappingState, active: NDArray[np.bool_], *inserts: Any
    ) -> NDArray[np.bool_]:
        taken = active & (state.lengths <= level.longest)
        asked.append((level.name, set(np.flatnonzero(taken).tolist())))
        return place(self, level, state, active, *inserts)

    monkeypatch.setattr(Placer, "place", ask)
    reads = reads_of(built, 150)
    made.finish(made.begin(make_batch(reads)), None)
    # No bucket of this genome is a repeat's.
    assert [name for name, _ in asked] == [level.name for level in levels if not isinstance(level, Repeats)]
    # What has few fragments was looked at with all of them at once.
    sampled = [level.samples for level in levels if not isinstance(level, Repeats)]
    assert all(asked[i + 1][1] < asked[i][1] for i in range(len(asked) - 1) if sampled[i])
    whole = [reads for (_, reads), sample in zip(asked, [False, *sampled], strict=False) if not sample]
    for before, after in itertools.pairwise(whole):
        assert after < before
    assert asked[-1][1]
    assert all(len(reads[r]) <= longest for r in asked[-1][1])


def test_a_sample_of_fragments_settles_only_reads_that_stand_alone():
    rng = np.random.default_rng(8)
    unique, copy = rng.integers(0, 4, (2, 3000)).astype(np.uint8)
    index = build("anchored", [np.concatenate([unique, copy]), copy])
    made = mapper_of(index)

    def state(begin: int, edits: int) -> MappingState:
        reads = [index.genome.fetch(begin + 10 * i, begin + 10 * i + 200) for i in range(100)]
        return made.begin(make_batch([mutate(rng, read, edits, 0) for read in reads]))

    assert state(500, 0).settled.mean() > 0.9
    assert state(500, 2).settled.mean() > 0.9
    # Under 90 % of their length.
    assert not state(500, 30).settled.any()
    copies = state(3500, 0)
    assert not copies.settled.any()
    assert (copies.loci.held == 2).all()


def satellite(rng: np.random.Generator, copies: int) -> list[Codes]:
    """Copies of a unit of 300 bases, each with three edits of its own, amid other sequence."""
    unit = rng.integers(0, 4, 300).astype(np.uint8)
    arrays = [mutate(rng, unit, 3, 0) for _ in range(copies)]
    return [np.concatenate([rng.integers(0, 4, 2000).astype(np.uint8), *arrays])]


def test_reads_of_repeat_buckets_go_to_their_copy():
    """Their few fragments in small buckets lead to copies that share an edit, or an error, with the read."""
    rng = np.random.default_rng(11)
    copies = REPEAT_BUCKET + 60
    index = build("anchored", satellite(rng, copies))
    starts = 2000 + 300 * rng.integers(0, copies - 1, 200)
    reads = [mutate(rng, index.genome.fetch(int(at), int(at) + 150), 1, 0) for at in starts]
    found = {}
    for in_repeats in (True, False):
        made = mapper_of(index, (x for x in index.preset.levels if in_repeats or not isinstance(x, Repeats)))
        records = made.finish(made.begin(make_batch(reads)), None)
        found[in_repeats] = int((abs(records.position - starts) < 5).sum())
        sure = (records.mapq >= 20) & (abs(records.position - starts) >= 5)
        assert not sure.any() or not in_repeats
    assert found[True] > found[False]


def test_ends_of_a_pair_are_weighed_together_in_repeats(monkeypatch: pytest.MonkeyPatch):
    """Either end has 40 equal places; in one copy of the repeat, both."""
    rng = np.random.default_rng(31)
    variants, half = 40, 150
    left, right = (
        [mutate(rng, unit, 4, 0) for _ in range(variants)]
        for unit in rng.integers(0, 4, (2, half)).astype(np.uint8)
    )
    order = rng.permutation(variants**2)
    index = build(
        "anchored",
        [np.concatenate([part for k in order for part in (left[k // variants], right[k % variants])])],
    )
    copies = rng.choice(variants**2, 40, replace=False)
    reads = [
        read
        for k in order[copies]
        for read in (left[k // variants], dna.reverse_complement(right[k % variants]))
    ]
    true = np.repeat(copies * 2 * half, 2) + np.tile([0, half], len(copies))
    config = AlignConfig(index.preset.levels)
    made = mapper_of(
        index,
        (
            level
            if isinstance(level, Repeats)
            else replace(level, effort=replace(level.effort, max_bucket=16))
            for level in config.levels
        ),
        max_loci=10,
        cluster=config.cluster._replace(max_candidates=10, max_paired_candidates=10),
        pair=config.pair._replace(max_rescues=2, max_tied_rescues=2),
    )
    inserts = InsertSizes(FR, 250, 350, 300.0, 10.0, 100)
    clustered = searcher.cluster_hits
    asked = set()

    def cluster(*arguments: Any) -> Candidates:
        asked.add(arguments[-1])
        return clustered(*arguments[:-1], arguments[-1] if together else None)

    place, rescued = Placer.place, Mapper.rescue_thoroughly
    taken, other_copy = [], []

    def look(self: Placer, level: Level, state: MappingState, active: NDArray[np.bool_], *rest: Any) -> Any:
        if isinstance(level, Repeats):
            taken.append((active.copy(), state.loci.truncated != 0))
        return place(self, level, state, active, *rest)

    def rescue(self: Mapper, *arguments: Any) -> None:
        other_copy.append(arguments[-1])
        rescued(self, *arguments)

    monkeypatch.setattr(searcher, "cluster_hits", cluster)
    monkeypatch.setattr(Placer, "place", look)
    monkeypatch.setattr(Mapper, "rescue_thoroughly", rescue)
    right_ones = {}
    for together in (True, False):
        records = made.finish(made.begin(make_batch(reads, paired=True)), inserts)
        right_ones[together] = int((records.position == true).sum())
    assert asked == {None, inserts.range}
    assert right_ones[True] > 0.95 * len(reads)
    assert right_ones[False] < 0.7 * len(reads)
    # Where either end is looked for, both are, and what was looked up in whole may have no other copy.
    for active, hidden in taken:
        assert active.any()
        assert np.array_equal(active, np.repeat(active[0::2] | active[1::2], 2) & hidden)
    assert len(other_copy) == 2
    assert not np.any(other_copy)


def test_as_many_alignments_as_are_wanted_are_verified():
    config = AlignConfig(PRESETS["anchored"].levels)
    assert config.cluster.max_paired_candidates < config.cluster.max_candidates
    assert config.reporting(1000, True).cluster.max_paired_candidates >= 1000
    assert config.reporting(2, False).cluster == config.cluster


def test_reads_are_parted_between_pairs():
    for reads, at in (
        ([], 0),
        ([3], 0),
        ([2, 3], 0),
        ([1, 2], 1),
        ([0, 2, 3], 1),
        ([0, 1, 4, 5], 2),
        ([1, 2, 3, 8], 1),
    ):
        assert searcher._between_pairs(np.array(reads, np.int32)) == at


def test_reads_of_low_complexity_are_searched_in_more_parts(monkeypatch: pytest.MonkeyPatch):
    """Every base of theirs begins a fragment, and what parts reads counts on one in eight."""
    rng = np.random.default_rng(3)
    index = build("anchored", [rng.integers(0, 4, 3000).astype(np.uint8), np.zeros(900, np.uint8)])
    batch = make_batch([np.zeros(150, np.uint8)] * 40)
    together = run(index, batch)
    asked = []
    searched = CodeStore.search_codes

    def ask(
        self: CodeStore, queries: NDArray[np.uint64], effort: SearchEffort, keys: Keys | None = None
    ) -> Hits:
        asked.append(len(queries) * effort.max_hits)
        return searched(self, queries, effort, keys)

    monkeypatch.setattr(CodeStore, "search_codes", ask)
    monkeypatch.setattr(searcher, "HITS_TOGETHER", 1 << 21)
    apart = run(index, batch)
    assert max(asked) <= 1 << 22
    assert [row(apart, r) for r in range(len(batch))] == [row(together, r) for r in range(len(batch))]


def test_what_is_searched_together_is_bounded_and_holds_both_ends_of_a_pair():
    level = Level("", SearchEffort(1 << 20), ANY_SCORE)
    lengths = np.full(400, 80)
    # A read has some ten fragments, and there is room for the hits of 32.
    assert searcher.HITS_TOGETHER >> 20 == 32
    reads = np.sort(np.random.default_rng(5).choice(400, 300, replace=False)).astype(np.int32)
    parts = list(searcher.chunks(reads, lengths, level))
    assert np.concatenate(parts).tolist() == reads.tolist()
    assert max(map(len, parts)) <= 5
    pairs = [set((part // 2).tolist()) for part in parts]
    assert all(not first & second for first, second in itertools.pairwise(pairs))


def test_what_a_limit_hid_counts_as_searched_where_later_levels_would_hide_it_too():
    rng = np.random.default_rng(13)
    unit = rng.integers(0, 4, 400).astype(np.uint8)
    index = build("anchored", [unit] * 40)
    asked = {}
    for counts in (True, False):
        levels = []
        for level in index.preset.levels:
            changed = replace(level, effort=replace(level.effort, max_hits=4))
            if not isinstance(level, Edits):
                changed = replace(changed, resolved=((0, 101), (1, 100)))
            elif not counts:
                changed = Level(level.name, changed.effort, level.resolved)
            levels.append(changed)
        made = mapper_of(index, levels)
        state = made.begin(make_batch([unit[50:200]]))
        made.finish(state, None)
        asked[counts] = [name for name, count in state.statistics.levels.items() if count["reads"]]
    assert asked[True] == asked[False][: len(asked[True])]
    assert asked[True][-1] == "edited minimizers"
    assert "overhang" in asked[False]


@pytest.mark.parametrize("copies", [64, 63])
def test_a_read_with_as_many_perfect_loci_as_are_kept_is_not_searched_for_any_further(copies: int):
    rng = np.random.default_rng(12)
    unit = rng.integers(0, 4, 400).astype(np.uint8)
    index = build(
        "anchored", [part for _ in range(copies) for part in (unit, rng.integers(0, 4, 50).astype(np.uint8))]
    )
    made = mapper_of(index, (replace(level, resolved=((0, 101),)) for level in index.preset.levels))
    assert made.config.max_loci == 64
    state = made.begin(make_batch([unit[50:200], unit[100:300]]))
    made.finish(state, None)
    later = [name for name, counts in state.statistics.levels.items() if counts["reads"]]
    assert ("edited minimizers" in later) == (copies < 64)


def test_whoever_wants_secondary_alignments_gets_what_all_fragments_find(built: Index):
    config = AlignConfig(built.preset.levels).reporting(5, everything=False)
    made = Mapper(built, config)
    batch = made.begin(make_batch(reads_of(built, 20)))
    whole = next(x for x in built.preset.levels if not x.samples)
    assert list(batch.statistics.levels) == [whole.name]


def test_what_an_alignment_leaves_over_is_searched_at_levels_for_reads_of_any_length(built: Index):
    names = [level.name for level in mapper_of(built).segments.levels]
    assert names == {"anchored": [SPLIT, "sliding"]}.get(built.preset.name, ["farther"])


def test_reads_without_errors_are_found_and_exact_copies_have_no_quality(built: Index):
    genome = built.genome
    rng = np.random.default_rng(3)
    reads, origins = [], []
    for _ in range(100):
        contig = int(rng.integers(63))
        if genome.lengths[contig] < 200:
            continue
        start = int(rng.integers(0, genome.lengths[contig] - 150))
        reads.append(genome.contig(contig)[start : start + 150])
        origins.append((contig, start))
    records = run(built, make_batch(reads))
    found = 0
    for r, (contig, start) in enumerate(origins):
        if contig in (60, 61):
            mirrored = (121 - contig, 1500 - start - 150)
            at = (int(records.contig[r]), int(records.position[r]))
            assert at in ((contig, start), mirrored)
            assert records.mapq[r] <= 3
            assert records.second_score[r] == records.alignment_score[r] == 150
        elif contig < 60 and (int(records.contig[r]), int(records.position[r])) == (contig, start):
            found += 1
            assert records.alignment_score[r] == 150
    assert found >= 0.95 * sum(contig < 60 for contig, _ in origins)


def test_short_reads_without_a_whole_fragment_are_found_by_those_that_overhang():
    """36 bases hold five fragments of 32: for half of the reads none of them is one of the reference's."""
    rng = np.random.default_rng(36)
    length = 36
    bases = rng.integers(0, 4, 100_000).astype(np.uint8)
    built = build("anchored", [bases])
    starts = rng.integers(0, len(bases) - length, 300)
    reverse = rng.integers(0, 2, 300) == 1
    reads = [bases[start : start + length] for start in starts]
    reads = [
        dna.reverse_complement(read) if back else read for read, back in zip(reads, reverse, strict=True)
    ]

    def right(levels: Iterable[Level]) -> int:
        made = mapper_of(built, levels)
        found = made.finish(made.begin(make_batch(reads)), None)
        return np.count_nonzero((found.position == starts) & ((found.flag & FLAG_REVERSE > 0) == reverse))

    assert right(built.preset.levels) >= 295
    assert right(level for level in built.preset.levels if not isinstance(level, Overhang)) < 250


def test_padded_reads_keep_their_bases():
    batch = make_batch([np.array([0, 1, 2], np.uint8), np.empty(0, np.uint8), np.array([3], np.uint8)])
    padded = batch.padded(2)
    assert [padded.sequence(r).tolist() for r in range(3)] == [
        [4, 4, 0, 1, 2, 4, 4],
        [4] * 4,
        [4, 4, 3, 4, 4],
    ]
    assert [padded.name(r) for r in range(3)] == [batch.name(r) for r in range(3)]
