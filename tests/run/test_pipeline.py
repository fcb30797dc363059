"""The run of `esa align`: what comes out depends on input, seed and parameters, and on nothing else."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pysam
import pytest
from samples import (
    Aligner,
    Collected,
    Read,
    edited,
    fasta_text,
    fastq_text,
    make_index,
    random_bases,
    reverse_complement,
    substituted,
    write,
)

from esa.align.config import PairConfig
from esa.errors import ReadsError
from esa.index.build import assemble
from esa.index.open import open_index
from esa.index.presets import PRESETS
from esa.io.fasta import read_fasta
from esa.io.fastq import ReadSource
from esa.run import pipeline
from esa.run.pipeline import AlignOptions, AlignSummary, align
from esa.sequence.reads import ReadBatch

PAIRS = 450
LEARNING_PAIRS = 150
OPTIONS = AlignOptions(1, "esa", "0")


def a_genome() -> dict[str, str]:
    """Contigs that share exact and nearly exact repeats."""
    rng = np.random.default_rng(41)
    first, second = random_bases(rng, 12_000), random_bases(rng, 6_000)
    repeat = first[3_000:4_000]
    second += repeat + random_bases(rng, 700) + substituted(rng, repeat, 0.02) + random_bases(rng, 900)
    short = {f"short{i}": random_bases(rng, 60 + 20 * i) for i in range(12)}
    return {"a": first, "b": second + reverse_complement(repeat), **short}


GENOME = a_genome()


def pair_from(rng: np.random.Generator, contig: str, start: int, size: int) -> tuple[str, str]:
    bases = GENOME[contig]
    lengths = rng.integers(60, 110, 2)
    ends = (
        bases[start : start + lengths[0]],
        reverse_complement(bases[start + size - lengths[1] : start + size]),
    )
    first, second = (edited(rng, end, rng.choice([0, 0.01, 0.06])) for end in ends)
    return (first, second) if rng.random() < 0.5 else (second, first)


def some_pairs() -> tuple[list[Read], list[Read]]:
    """Pairs of every kind. Inserts are longer after the first ones: it shows which were learnt from."""
    rng = np.random.default_rng(42)
    first, second = [], []
    for i in range(PAIRS):
        contig = "a" if i % 3 else "b"
        size = int(rng.normal(300 if i < LEARNING_PAIRS else 420, 25))
        # Half of them from the repeats.
        start = int(rng.integers(0, len(GENOME[contig]) - 600))
        if contig == "a" and i % 2:
            start = int(rng.integers(2_800, 3_900))
        ends = pair_from(rng, contig, start, size)
        if i % 50 == 7:
            ends = ends[0], random_bases(rng, 90)
        elif i % 50 == 17:
            ends = random_bases(rng, 80), random_bases(rng, 90)
        elif i % 50 == 27:
            ends = ends[0], ("", "A", "N" * 70, GENOME["short4"])[i // 50 % 4]
        elif i % 50 == 37:
            ends = ends[0], GENOME["a"][7_000 : 7_000 + 100]
        first.append((f"pair{i}", ends[0]))
        second.append((f"pair{i}", ends[1]))
    return first, second


FIRST, SECOND = some_pairs()


@pytest.fixture(scope="module", params=list(PRESETS))
def aligner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Aligner:
    made = Aligner.of(tmp_path_factory.mktemp(request.param), GENOME, request.param)
    made.config = made.config._replace(pair=PairConfig(learning_pairs=LEARNING_PAIRS))
    return made


@pytest.fixture(scope="module")
def single(aligner: Aligner) -> str:
    return aligner.sam(FIRST)


@pytest.fixture(scope="module")
def paired(aligner: Aligner) -> str:
    return aligner.sam(FIRST, SECOND)


def lines(sam: str) -> list[list[str]]:
    return [line.split("\t") for line in sam.splitlines() if not line.startswith("@")]


# --- what must not matter


def test_the_sample_is_a_mixed_one(single: str, paired: str) -> None:
    flags = np.array([int(line[1]) for line in lines(paired)])
    assert np.count_nonzero(flags & 2) > PAIRS // 2
    assert np.count_nonzero(flags & 4) > PAIRS // 50
    assert np.count_nonzero(flags & 8) > PAIRS // 50
    mapqs = np.array([int(line[4]) for line in lines(single)])
    assert np.count_nonzero(mapqs <= 3) > PAIRS // 20
    assert np.count_nonzero(mapqs >= 30) > PAIRS // 3


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_do_not_matter(threads: int, aligner: Aligner, single: str, paired: str) -> None:
    assert aligner.sam(FIRST, threads=threads, batch_size=100) == single
    assert aligner.sam(FIRST, SECOND, threads=threads, batch_size=100) == paired


# Pairs learnt from: whole batches of 100 reads, but parts of one of 10,000 and of the third one of 140.
@pytest.mark.parametrize("batch_size", [1, 100, 140, 10_000])
def test_batch_size_does_not_matter(batch_size: int, aligner: Aligner, single: str, paired: str) -> None:
    if batch_size > 1:
        assert aligner.sam(FIRST, batch_size=batch_size) == single
        assert aligner.sam(FIRST, SECOND, batch_size=batch_size) == paired
    else:
        few = 60
        assert aligner.sam(FIRST[:few], SECOND[:few], batch_size=batch_size) == aligner.sam(
            FIRST[:few], SECOND[:few]
        )


def test_bam_depends_on_batches_in_its_blocks_only(aligner: Aligner, paired: str) -> None:
    whole, parts, by_threads = (
        aligner.output(FIRST, SECOND, threads=threads, batch_size=batch_size, bam=True)
        for threads, batch_size in ((1, 8192), (1, 100), (3, 100))
    )
    assert parts == by_threads
    assert parts != whole
    assert gzip.decompress(parts) == gzip.decompress(whole)
    path = aligner.folder / "x.bam"
    path.write_bytes(whole)
    with pysam.AlignmentFile(str(path)) as file:
        assert str(file.header) + "".join(f"{record.to_string()}\n" for record in file) == paired


def test_a_saved_index_equals_a_fresh_one(aligner: Aligner, paired: str) -> None:
    genome = read_fasta(write(aligner.folder / "again.fa", fasta_text(GENOME))).genome
    fresh, _ = assemble(genome, aligner.index.preset, aligner.index.fragmenter, fresh_encoder(aligner))
    for array in (genome.packed, genome.n_starts, genome.n_ends, *fresh.store.arrays().values()):
        array.flags.writeable = False  # as those of a saved index are: spares compiling the kernels anew
    other = Aligner(aligner.folder, fresh)
    other.config = aligner.config
    assert other.sam(FIRST, SECOND) == paired


def fresh_encoder(aligner: Aligner):  # type: ignore[no-untyped-def]
    from esa.encoders.registry import create_encoder

    preset = aligner.index.preset
    return create_encoder(preset.default_encoder, preset.kind, aligner.index.fragmenter.length)


def test_input_order_is_kept(single: str, paired: str) -> None:
    names = [name for name, _ in FIRST]
    assert [line[0] for line in lines(single)] == names
    assert [line[0] for line in lines(paired)] == [name for name in names for _ in range(2)]
    assert [int(line[1]) & 0xC0 for line in lines(paired)] == [0x40, 0x80] * PAIRS


def test_a_read_does_not_depend_on_its_neighbours(aligner: Aligner, single: str) -> None:
    some = list(range(0, PAIRS, 9))[::-1]
    alone = lines(aligner.sam([FIRST[i] for i in some]))
    together = lines(single)
    assert alone == [together[i] for i in some]


def test_the_seed_changes_only_ties(aligner: Aligner, single: str) -> None:
    other = lines(aligner.sam(FIRST, config=aligner.config._replace(seed=7)))
    moved = 0
    for one, two in zip(lines(single), other, strict=True):
        assert [tag for tag in one[11:] if tag.startswith("AS")] == [
            tag for tag in two[11:] if tag.startswith("AS")
        ]
        assert one[4] == two[4]
        if one != two:
            moved += 1
            assert int(one[4]) <= 3
    assert moved > 10


# --- insert sizes


def summary_of(aligner: Aligner, pairs: int, batch_size: int = 100) -> AlignSummary:
    first = write(aligner.folder / "s1.fq", fastq_text(FIRST[:pairs]))
    second = write(aligner.folder / "s2.fq", fastq_text(SECOND[:pairs]))
    with ReadSource(first, second, batch_size=batch_size) as source:
        return align(aligner.index, source, Collected(), aligner.config, OPTIONS)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch_size", [100, 140, 10_000])
def test_insert_sizes_are_learnt_from_the_first_pairs_alone(batch_size: int, aligner: Aligner) -> None:
    learnt = summary_of(aligner, PAIRS, batch_size).inserts
    assert learnt is not None
    assert learnt == summary_of(aligner, LEARNING_PAIRS).inserts
    assert 280 < learnt.mean < 320
    assert learnt.pairs <= LEARNING_PAIRS


def test_summary_counts(aligner: Aligner, paired: str) -> None:
    summary = summary_of(aligner, PAIRS)
    flags = [int(line[1]) for line in lines(paired)]
    assert summary.reads == 2 * PAIRS
    assert summary.pairs == PAIRS
    assert summary.mapped == sum(not flag & 4 for flag in flags)
    assert summary.proper == sum(bool(flag & 2) for flag in flags) // 2
    assert summary.seconds > 0
    assert summary.statistics.levels[aligner.config.levels[0].name]["reads"] == 2 * PAIRS


def test_progress_counts_the_bytes_of_what_is_done(aligner: Aligner) -> None:
    """While insert sizes are learnt, batches are read that are not aligned yet."""
    first = write(aligner.folder / "b1.fq", fastq_text(FIRST))
    second = write(aligner.folder / "b2.fq", fastq_text(SECOND))
    told = []
    with ReadSource(first, second, batch_size=50, chunk_bytes=1000) as source:
        align(
            aligner.index, source, Collected(), aligner.config, OPTIONS,  # type: ignore[arg-type]
            lambda summary: told.append((summary.reads, summary.bytes_done)),
        )  # fmt: skip
        size = source.total_bytes
    assert size is not None
    for reads, done in told:
        assert done / size == pytest.approx(reads / (2 * PAIRS), abs=0.05)


# --- batches, threads, errors


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Aligner:
    folder = tmp_path_factory.mktemp("small")
    return Aligner(folder, open_index(make_index(folder, GENOME)))


def test_progress_is_told_of_each_batch(small: Aligner) -> None:
    seen = []
    with ReadSource(write(small.folder / "p.fq", fastq_text(FIRST[:250])), batch_size=100) as source:
        align(
            small.index, source, Collected(), small.config, OPTIONS,  # type: ignore[arg-type]
            lambda summary: seen.append((summary.reads, summary.seconds > 0)),
        )  # fmt: skip
    assert seen == [(100, True), (200, True), (250, True)]


def test_records_before_a_fault_are_written(small: Aligner) -> None:
    out = Collected()
    reads = write(small.folder / "f.fq", fastq_text(FIRST[:25]) + "@cut\n")
    with ReadSource(reads, batch_size=10) as source, pytest.raises(ReadsError, match="record 26"):
        align(small.index, source, out, small.config, AlignOptions(2, "esa", "0"))  # type: ignore[arg-type]
    names = [line[0] for line in lines(out.getvalue().decode())]
    assert names == [name for name, _ in FIRST[:20]]


def reader_threads() -> list[str]:
    """Those that do not end: one that waits for room sees a little later that it is no more wanted."""
    readers = [thread for thread in threading.enumerate() if thread.name == "esa-reader"]
    for thread in readers:
        thread.join(50 * pipeline.PATIENCE)
    return [thread.name for thread in readers if thread.is_alive()]


@pytest.mark.parametrize("mates", [None, SECOND], ids=["single", "paired"])
def test_a_failing_worker_stops_the_run(
    mates: list[Read] | None, small: Aligner, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = pipeline.Mapper.begin

    def fail_at_the_third(self: pipeline.Mapper, batch: pipeline.ReadBatch) -> pipeline.MappingState:
        if batch.name(0) == "pair100":
            raise ZeroDivisionError("a bug")
        return begin(self, batch)

    monkeypatch.setattr(pipeline.Mapper, "begin", fail_at_the_third)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        small.sam(FIRST, mates, threads=2, batch_size=50 if mates is None else 100)
    assert reader_threads() == []


def test_an_output_that_fails_stops_the_run(small: Aligner) -> None:
    class Full(Collected):
        def write(self, data: object) -> int:
            raise BrokenPipeError

    reads = write(small.folder / "o.fq", fastq_text(FIRST))
    with ReadSource(reads, batch_size=10) as source, pytest.raises(BrokenPipeError):
        align(small.index, source, Full(), small.config, OPTIONS)  # type: ignore[arg-type]
    assert reader_threads() == []


def test_work_that_nobody_waits_for_is_not_done(small: Aligner, monkeypatch: pytest.MonkeyPatch) -> None:
    written = threading.Event()
    state = []
    begin = pipeline.Mapper.begin

    class Full(Collected):
        def write(self, data: bytes) -> None:
            if bytes(data[:1]) != b"@":
                written.set()
                raise BrokenPipeError

    def wait_after_the_first(self: pipeline.Mapper, batch: pipeline.ReadBatch) -> pipeline.MappingState:
        if state:
            written.wait()
            time.sleep(0.05)
        state.append(batch.name(0))
        return begin(self, batch)

    monkeypatch.setattr(pipeline.Mapper, "begin", wait_after_the_first)
    reads = write(small.folder / "w.fq", fastq_text(FIRST))
    with ReadSource(reads, batch_size=10) as source, pytest.raises(BrokenPipeError):
        align(small.index, source, Full(), small.config, OPTIONS)  # type: ignore[arg-type]
    assert len(state) <= 2


def test_a_source_that_cannot_be_closed_is_a_fault(small: Aligner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records come first, and nobody waits for the reader for ever."""

    close = ReadSource.close

    def fail(self: ReadSource) -> None:
        close(self)
        raise OSError("a disk that went away")

    reads = write(small.folder / "c.fq", fastq_text(FIRST))
    output = Collected()
    monkeypatch.setattr(ReadSource, "close", fail)
    with pytest.raises(OSError, match="went away"):
        align(small.index, ReadSource(reads, batch_size=10), output, small.config, OPTIONS)  # type: ignore[arg-type]
    assert [line[0] for line in lines(output.getvalue().decode())] == [name for name, _ in FIRST]
    assert reader_threads() == []


def test_what_was_to_be_begun_ahead_is_not_after_an_error(
    small: Aligner, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = []
    begin = pipeline.Mapper.begin

    def slowly(self: pipeline.Mapper, batch: pipeline.ReadBatch) -> pipeline.MappingState:
        state.append(batch.name(0))
        time.sleep(0.05)
        return begin(self, batch)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(pipeline.Mapper, "begin", slowly)
    monkeypatch.setattr(pipeline, "learn_insert_sizes", fail)
    monkeypatch.setattr(small, "config", small.config._replace(pair=PairConfig(learning_pairs=10)))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        small.sam(FIRST, SECOND, threads=1, batch_size=10)
    # Two teach; of the four that wait behind them when these are done one is in statistics, and perhaps the next.
    assert 2 <= len(state) <= 4


@pytest.mark.parametrize("threads", [1, 3])
def test_work_keeps_order_and_does_not_run_ahead(threads: int) -> None:
    taken = done = 0
    ahead = []

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(60):
            taken += 1
            yield item

    def statistics(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * item

    with ThreadPoolExecutor(threads) as pool:
        for result in pipeline._ordered(pool, (partial(statistics, item) for item in items()), threads):
            assert result == done * done
            done += 1
            ahead.append(taken - done)
    assert done == 60
    assert max(ahead) <= threads + pipeline.READ_AHEAD


def test_what_is_done_is_given_when_the_input_pauses() -> None:
    """Whether the rest is or not; and what went wrong is raised."""
    given: list[int] = []
    goes_on = threading.Event()
    end = time.monotonic() + 60

    def fail() -> int:
        raise ZeroDivisionError("a bug")

    def calls() -> Iterator[Callable[[], int] | None]:
        yield lambda: 1
        yield lambda: 2
        yield lambda: 3 if goes_on.wait(60) else 0
        while len(given) < 2 and time.monotonic() < end:
            yield None
        assert given == [1, 2]
        goes_on.set()
        yield fail
        while time.monotonic() < end:
            yield None

    def take_all(pool: ThreadPoolExecutor) -> None:
        for result in pipeline._ordered(pool, calls(), 2):
            given.append(result)  # noqa: PERF402 - the calls look at it meanwhile

    with ThreadPoolExecutor(2) as pool, pytest.raises(ZeroDivisionError, match="a bug"):
        take_all(pool)
    assert given == [1, 2, 3]


def test_a_pause_of_the_input_is_told() -> None:
    class Slow:
        bytes_read = 0

        def __iter__(self) -> Iterator[ReadBatch]:
            yield ReadBatch.pair(np.zeros(4, np.uint8))
            time.sleep(3 * pipeline.PATIENCE)
            yield ReadBatch.pair(np.zeros(6, np.uint8))

        def close(self) -> None:
            pass

    with pipeline._ReadAhead(Slow()) as reader:  # type: ignore[arg-type]
        came = [batch and len(batch.codes) for batch in reader.batches()]
    assert [size for size in came if size is not None] == [4, 6]
    assert None in came[1:-1]
