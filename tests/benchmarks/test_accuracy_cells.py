"""The cells of the grid with aligners that only pretend: what is kept is not run again, what changed is."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from samples import fasta_text, random_bases

from scripts.benchmarks.accuracy.cells import (
    DIVERGENCES,
    GENOMES,
    LENGTHS,
    Cell,
    CellReads,
    Plan,
    all_cells,
    core_cells,
    is_kept,
    kept_outcome,
    measure,
    measure_all,
    outcome_of,
    select,
)
from scripts.common.aligners import Aligner
from scripts.common.programs import BenchError, Command
from scripts.common.workplace import Workplace

CELLS = "scripts.benchmarks.accuracy.cells"
CELL = Cell("mtb", 100, 2.0, "paired")
SINGLE = Cell("mtb", 100, 2.0, "single")
READS = 40

PRETENDER = """
import sys
log, sam, *files = sys.argv[1:]
with open(log, "a") as handle:
    handle.write(" ".join(files) + "\\n")
out = open(sam, "w")
out.write("@SQ\\tSN:t\\tLN:30000\\n")
for end, path in enumerate(files):
    for i, line in enumerate(open(path)):
        if i % 4:
            continue
        name = line[1:].split("/")[0].strip()
        fields = name.rsplit("_", 9)
        place, reverse, number = int(fields[1 + end]), fields[3 + end] == "1", int(fields[-1], 16)
        flag = (16 if reverse else 0) + (1 + (64 << end) if len(files) > 1 else 0)
        if number % 4 == 3:
            out.write(f"{name}\\t{flag | 4}\\t*\\t0\\t0\\t*\\t*\\t0\\t0\\t*\\t*\\n")
            continue
        if number % 4 == 2 and end == 0:
            place += 5000 if place < 15000 else -5000
        out.write(f"{name}\\t{flag}\\tt\\t{place}\\t{number}\\t100M\\t*\\t0\\t0\\t*\\t*\\n")
"""
"""Places fragment n right if n % 4 < 2; of 2 the first end is wrong, 3 is unmapped; MAPQ is n."""


class Bench:
    """A workplace with a small genome, and what its pretended aligners were asked to do."""

    def __init__(self, folder: Path) -> None:
        self.place = Workplace(folder / "data", folder / "out", 1)
        self.log = folder / "log"
        self.script = folder / "pretender.py"
        self.script.write_text(PRETENDER)
        (folder / "data" / "ref").mkdir(parents=True)
        text = fasta_text({"t": random_bases(np.random.default_rng(3), 30_000)})
        (folder / "data" / "ref" / f"{GENOMES['mtb']}.fa.gz").write_bytes(gzip.compress(text.encode()))

    def aligner(self, name: str, version: str = "1") -> Aligner:
        def command(
            place: Workplace, index: Path, reads: Sequence[Path], sam: Path
        ) -> tuple[Command, Path | None]:
            return [sys.executable, self.script, self.log, sam, *reads], None

        return Aligner(name, lambda: version, lambda place, reference: reference, command)

    def plan(self, *aligners: Aligner, reads: int = READS, orders: int = 0, seed: int = 1) -> Plan:
        return Plan(lambda cell: list(aligners), reads, reads, orders, seed)

    def runs(self) -> int:
        """Since the last time of asking."""
        count = len(self.log.read_text().splitlines()) if self.log.exists() else 0
        self.log.unlink(missing_ok=True)
        return count


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_grid_has_every_cell_and_the_core_is_of_it() -> None:
    cells = all_cells()
    assert len(cells) == len(set(cells)) == 4 * 6 * 6 * 2
    core = core_cells()
    assert 14 <= len(core) <= 18
    assert {c.genome for c in core} == set(GENOMES)
    assert {c.length for c in core} == set(LENGTHS)
    assert {c.divergence for c in core} == set(DIVERGENCES)


def test_patterns() -> None:
    cells = all_cells()
    assert select(cells, ["mtb:100:2:paired"]) == [CELL]
    assert len(select(cells, ["mtb:*:0.1,0.6"])) == 6 * 2 * 2
    assert len(select(cells, ["*"])) == len(cells)
    for wrong in ("mtb:101", "mtb:100:2:paired:x", "yeast"):
        with pytest.raises(BenchError, match="no cell"):
            select(cells, [wrong])


def test_reads_of_a_cell() -> None:
    p = CELL.parameters(READS, 1)
    assert (p.fragments, p.insert_mean, p.insert_sd) == (READS // 2, 500, 50)
    assert (p.substitutions, p.indels) == pytest.approx((0.018, 0.002))
    assert SINGLE.parameters(READS, 1).fragments == READS
    long = Cell("mtb", 500, 0.1, "paired").parameters(READS, 1)
    assert (long.insert_mean, long.insert_sd) == (1200, 100)
    assert len({SINGLE.parameters(4, 1).seed, p.seed, CELL.parameters(READS, 2).seed}) == 3


@pytest.mark.parametrize("order", [0, 3])
def test_outcomes_lie_in_the_order_of_simulation(bench: Bench, order: int) -> None:
    with CellReads(bench.place, CELL, READS, 1) as reads:
        outcome = kept_outcome(bench.place, bench.aligner("a"), reads, order)
        first = reads.files(order)[0].read_text().splitlines()[0]
    number = np.repeat(np.arange(READS // 2), 2)
    second = np.tile([False, True], READS // 2)
    assert first.endswith("_0/1") == (order == 0)
    assert (outcome.mapped == (number % 4 != 3)).all()
    assert (outcome.right == ((number % 4 < 2) | ((number % 4 == 2) & second))).all()
    assert (outcome.mapq == np.where(outcome.mapped, number, 0)).all()


def test_what_is_done_is_not_run_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = bench.plan(bench.aligner("esa"), bench.aligner("bwa"), orders=2)
    assert not is_kept(bench.place, CELL, plan)
    result = measure(bench.place, CELL, plan)
    # Both, and bwa in two orders more.
    assert bench.runs() == 4
    assert (result.fragments, len(result.orders)) == (READS // 2, 2)
    assert is_kept(bench.place, CELL, plan)

    def no_simulation(*_: object) -> None:
        raise AssertionError("simulated again")

    monkeypatch.setattr(f"{CELLS}.write_reads", no_simulation)
    again = measure(bench.place, CELL, plan)
    assert bench.runs() == 0
    for name, outcome in result.outcomes.items():
        assert (again.outcomes[name].right == outcome.right).all()
        assert (again.outcomes[name].mapq == outcome.mapq).all()


def test_what_changed_is_run_and_nothing_else(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    esa, bwa = bench.aligner("esa"), bench.aligner("bwa")
    measure(bench.place, CELL, bench.plan(esa, bwa))
    bench.runs()
    measure(bench.place, CELL, bench.plan(bench.aligner("esa", "2"), bwa))
    assert bench.runs() == 1
    # Another simulator that makes the same reads.
    monkeypatch.setattr(f"{CELLS}.simulator_digest", lambda: "other")
    assert not is_kept(bench.place, CELL, bench.plan(esa, bwa))
    measure(bench.place, CELL, bench.plan(esa, bwa))
    assert bench.runs() == 0
    # Other reads.
    for other in (bench.plan(esa, bwa, seed=2), bench.plan(esa, bwa, reads=READS - 2)):
        measure(bench.place, CELL, other)
        assert bench.runs() == 2


def test_a_cut_run_goes_on_where_it_was(bench: Bench) -> None:
    esa, bwa = bench.aligner("esa"), bench.aligner("bwa")
    measure(bench.place, CELL, bench.plan(esa))
    bench.runs()
    plan = bench.plan(esa, bwa)
    assert measure_all(bench.place, [CELL, SINGLE], plan, kept_only=True) == []
    assert bench.runs() == 0
    assert [r.cell for r in measure_all(bench.place, [CELL, SINGLE], plan)] == [CELL, SINGLE]
    assert bench.runs() == 3
    assert [r.cell for r in measure_all(bench.place, [CELL], plan, kept_only=True)] == [CELL]


def test_nothing_large_stays(bench: Bench) -> None:
    measure(bench.place, CELL, bench.plan(bench.aligner("esa")))
    left = [path.suffix for path in (bench.place.out / "grid").rglob("*") if path.is_file()]
    assert sorted(left) == [".json", ".npz"]


def test_a_file_without_some_reads_is_refused(tmp_path: Path) -> None:
    sam = tmp_path / "x.sam"
    sam.write_text("@SQ\tSN:t\tLN:30000\nt_5_0_0_0_0_0_0:0:0_0:0:0_0\t0\tt\t5\t9\t4M\t*\t0\t0\tACGT\t*\n")
    assert outcome_of(sam, 1, 1).right.tolist() == [True]
    with pytest.raises(BenchError, match="each of the 2 reads once"):
        outcome_of(sam, 2, 1)
