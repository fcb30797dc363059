"""`esa.align.extend.gapped`: alignments made side by side are those made one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from align_oracles import (
    DELETION,
    INSERTION,
    PAIR,
    Codes,
    Path,
    make_genome,
    mutate,
    offsets_of,
    query_of,
    reference_of,
)

from esa.align.extend.gapped import FEWEST_LANES, Tasks, align_gapped, align_tasks, make_scratch, score_tasks
from esa.align.extend.lanes import LANES, LONGEST
from esa.sequence import dna
from esa.sequence.genome import Genome

BANDS = [1, 2, 8, 20, 25, 50]


@dataclass(frozen=True)
class Task:
    """An alignment to make: of a read as sequenced, about a diagonal."""

    read: Codes
    reverse: int
    contig: int
    diagonal: int
    band: int

    @property
    def query(self) -> Codes:
        return dna.reverse_complement(self.read) if self.reverse else self.read


@dataclass(frozen=True)
class Found:
    """What `align_gapped` returns, and its operations, last first."""

    total: int
    begin: int
    stop: int
    start: int
    end: int
    ops: list[int]


def one_by_one(tasks: list[Task], genome: Genome) -> list[Found]:
    scratch = make_scratch(max(len(task.read) for task in tasks), max(BANDS))
    out = []
    for task in tasks:
        total, begin, stop, start, end, count = align_gapped(
            query_of(task.read, task.reverse),
            reference_of(genome),
            task.contig,
            task.diagonal,
            task.band,
            scratch,
        )
        out.append(Found(total, begin, stop, start, end, scratch.ops[:count].tolist()))
    return out


def together(tasks: list[Task], genome: Genome, extra: int = 0) -> list[Found]:
    """All but the last ``extra`` tasks side by side; `score_tasks` agrees."""
    reads = [task.read for task in tasks]
    codes = np.concatenate([np.empty(0, np.uint8), *reads])
    rows = Tasks(
        np.arange(len(tasks), dtype=np.int32),
        np.array([task.reverse for task in tasks], np.uint8),
        np.array([task.contig for task in tasks], np.int32),
        np.array([task.diagonal for task in tasks], np.int64),
        np.array([task.band for task in tasks], np.int32),
        np.full(len(tasks), -(1 << 24), np.int32),
    )
    count = len(tasks) - extra
    done = align_tasks(rows, count, codes, offsets_of(reads), reference_of(genome))
    for to_beat in (-(1 << 24), 60):
        rows.to_beat[:] = to_beat
        scored = score_tasks(rows, count, codes, offsets_of(reads), reference_of(genome))
        needed = done.total > to_beat
        assert scored.total.tolist() == done.total.tolist()
        for name in ("begin", "stop", "start", "end"):
            assert getattr(scored, name)[needed].tolist() == getattr(done, name)[needed].tolist()
        assert len(scored.ops) == 0
    assert len(done.total) == count
    assert done.ops_offsets[0] == 0
    assert done.ops_offsets[-1] == len(done.ops)
    found = []
    for t in range(count):
        at = int(done.ops_offsets[t])
        assert at + done.steps[t] <= done.ops_offsets[t + 1]
        ops = done.ops[at:][: done.steps[t]].tolist()
        total, begin, stop = int(done.total[t]), int(done.begin[t]), int(done.stop[t])
        found.append(Found(total, begin, stop, int(done.start[t]), int(done.end[t]), ops))
    return found


@pytest.fixture(scope="module")
def genome() -> Genome:
    """Contigs with N, one of them with a tandem repeat, one shorter than most reads."""
    rng = np.random.default_rng(1)
    contigs = [rng.integers(0, 4, n).astype(np.uint8) for n in (900, 40, 1700, 600)]
    contigs[0][300:304] = dna.N
    contigs[2][0] = dna.N
    contigs[2][700] = dna.N
    contigs[3][200:330] = np.resize(contigs[3][200:207], 130)
    return make_genome(contigs)


def random_task(
    rng: np.random.Generator, genome: Genome, band: int, shortest: int = 1, longest: int = 140
) -> Task:
    """Of a read with edits from anywhere, over the ends of contigs too, some with N, some about a wrong diagonal."""
    n = int(rng.integers(shortest, longest + 1))
    contig = int(rng.integers(len(genome.names)))
    bases = genome.contig(contig)
    hang = n if rng.random() < 0.3 else 0
    padded = np.concatenate([rng.integers(0, 4, hang), bases, rng.integers(0, 4, hang + n)]).astype(np.uint8)
    start = int(rng.integers(0, max(1, len(bases) - n + 2 * hang)))
    piece = padded[start : start + n]
    piece = np.where(piece == dna.N, 0, piece).astype(np.uint8)
    ns = int(rng.random() < 0.1)
    read = mutate(rng, piece, int(rng.integers(0, 1 + n // 12)), int(rng.integers(0, 3)), 2 * band, ns)
    shift = int(rng.integers(-band, band + 1)) if rng.random() < 0.5 else 0
    reverse = int(rng.integers(2))
    return Task(
        dna.reverse_complement(read) if reverse else read,
        reverse,
        contig,
        int(genome.offsets[contig]) + start - hang + shift,
        band,
    )


COUNTS = [0, 1, FEWEST_LANES - 1, FEWEST_LANES, LANES + 1, 70]


@pytest.mark.parametrize("turn", range(len(COUNTS)))
def test_tasks_side_by_side_equal_those_one_by_one(turn: int, genome: Genome) -> None:
    """As many of each band as go into no lane, into some, and into more than there are at once; all mixed."""
    rng = np.random.default_rng(turn)
    counts = np.roll(COUNTS, turn)
    tasks = [random_task(rng, genome, band) for k, band in enumerate(BANDS) for _ in range(counts[k])]
    tasks = [tasks[t] for t in rng.permutation(len(tasks))]
    expected = one_by_one(tasks, genome)
    assert together(tasks, genome) == expected
    assert together(tasks, genome, extra=20) == expected[:-20]
    ops = {op for found in expected for op in found.ops}
    assert ops == {PAIR, INSERTION, DELETION}


def test_tasks_of_one_band_that_all_go_into_lanes(genome: Genome) -> None:
    """Away from the ends and from N; as many of them as leave none, one or a few for the last lanes."""
    rng = np.random.default_rng(9)
    for count in (FEWEST_LANES, LANES - 1, LANES, LANES + 1, LANES + FEWEST_LANES, 2 * LANES):
        tasks = []
        for _ in range(count):
            start, n = int(rng.integers(1300, 1500)), int(rng.integers(60, 110))
            read = mutate(rng, genome.fetch(start, start + n), 3, int(rng.integers(0, 3)), longest=8)
            tasks.append(Task(read, 0, 2, start, 8))
        assert together(tasks, genome) == one_by_one(tasks, genome)


def test_no_tasks(genome: Genome) -> None:
    assert together([], genome) == []


def test_queries_too_long_for_lanes(genome: Genome) -> None:
    """Among others that are not, and of just the most bases."""
    rng = np.random.default_rng(10)
    tasks = [
        *[random_task(rng, genome, 8, LONGEST - 3, LONGEST + 3) for _ in range(9)],
        *[random_task(rng, genome, 8, 100, 200) for _ in range(9)],
    ]
    start = int(genome.offsets[2]) + 10
    for n in (LONGEST, LONGEST + 1):
        tasks += [
            Task(mutate(rng, genome.fetch(start, start + 660)[:n], 3, 2), 0, 2, start, 2) for _ in range(5)
        ]
        whole = np.concatenate(
            [genome.fetch(start, start + 660), rng.integers(0, 4, n - 660).astype(np.uint8)]
        )
        tasks += [Task(whole, 0, 2, start, 2) for _ in range(5)]
    assert {len(task.read) - LONGEST for task in tasks} >= {0, 1}
    assert together(tasks, genome) == one_by_one(tasks, genome)


@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("spoilt", ["read", "window", "contig's begin", "contig's end", "genome's end"])
def test_tasks_that_go_into_no_lane_among_others(spoilt: str, reverse: int) -> None:
    """An N, or a contig's end, anywhere in the read or in the window: even one base at their ends."""
    rng = np.random.default_rng(11)
    n, band = 50, 8
    contigs = [rng.integers(0, 4, 400).astype(np.uint8) for _ in range(3)]
    contigs[1][200] = dna.N
    genome = make_genome(contigs)
    plain = [Task(mutate(rng, genome.fetch(620, 670), 2, 1), 0, 1, 620, band) for _ in range(LANES - 1)]
    whole = genome.fetch(0, genome.bases)
    spots = {
        "read": [620] * n,
        "window": range(600 - n - band - 1, 600 + band + 2),
        "contig's begin": range(400 - n, 400 + band + 2),
        "contig's end": range(800 - n - band - 2, 800),
        "genome's end": range(1200 - n - band - 80, 1200 - n + 8),
    }
    for k, start in enumerate(spots[spoilt]):
        codes = whole[np.clip(np.arange(start, start + n), 0, len(whole) - 1)]
        codes = np.where(codes == dna.N, 0, codes).astype(np.uint8)
        codes[25] ^= 1
        if spoilt == "read":
            codes[k] = dna.N
        read = dna.reverse_complement(codes) if reverse else codes
        # In the middle of the band, and on either side of it, where the read reaches the window's ends.
        contig = 2 if start > 900 else 1
        tasks = [*plain, *(Task(read, reverse, contig, start + shift, band) for shift in (-band, 0, band))]
        assert together(tasks, genome) == one_by_one(tasks, genome)


def test_paths_that_cross_the_band_more_than_once() -> None:
    """Deletions of more bases in all than the band is wide: there are insertions between them."""
    rng = np.random.default_rng(12)
    genome = make_genome([rng.integers(0, 4, 1500).astype(np.uint8)])
    bases, band = genome.contig(0), 8
    tasks = []
    for k in range(LANES):
        # The first flank lies on the band's first column, then it goes from side to side.
        start, at, parts = 100 + 10 * k, 100 + 10 * k, []
        for gap in (16, -16, 16, -16, 16):
            parts.append(bases[at : at + 60])
            at += 60
            if gap > 0:
                at += gap
            else:
                parts.append(rng.integers(0, 4, -gap).astype(np.uint8))
        parts.append(bases[at : at + 60])
        tasks.append(Task(np.concatenate(parts), 0, 0, start + band, band))
    expected = one_by_one(tasks, genome)
    for few in (1, len(tasks)):
        assert together(tasks[:few], genome) == expected[:few]
    for task, found in zip(tasks, expected, strict=True):
        assert found.ops.count(DELETION) == 48
        path = Path(tuple(found.ops[::-1]), found.begin, found.start)
        assert path.total(task.query.tolist(), bases.tolist()) == found.total
