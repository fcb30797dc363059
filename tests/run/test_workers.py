"""`esa.run.workers`: many threads are processes, which end when they should and say so when they do not."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from samples import Aligner, Read, fastq_text, make_index, random_bases, reverse_complement

from esa.align.mapper import Mapper
from esa.align.state import MappingState
from esa.align.statistics import RunStatistics
from esa.errors import EsaError
from esa.index.open import open_index
from esa.run import shared_memory, workers
from esa.sequence.reads import ReadBatch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are for Linux")

MANY = workers.MOST_THREADS + 1
BASES = random_bases(np.random.default_rng(5), 20_000)
READS: list[Read] = [(f"r{i}", BASES[i * 45 : i * 45 + 150]) for i in range(400)]
MATES: list[Read] = [(f"r{i}", reverse_complement(BASES[i * 45 + 150 : i * 45 + 300])) for i in range(400)]
PATIENCE = 20.0
"""Seconds in which what ends has ended."""


@pytest.fixture(scope="module")
def aligner(tmp_path_factory: pytest.TempPathFactory) -> Aligner:
    folder = tmp_path_factory.mktemp("worker")
    return Aligner(folder, open_index(make_index(folder, {"a": BASES})))


@pytest.fixture
def beginning(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Functions called before a batch is begun."""
    calls: list[object] = []
    begin = Mapper.begin

    def after_calls(self: Mapper, batch: ReadBatch) -> MappingState:
        for call in calls:
            call(batch)  # type: ignore[operator]
        return begin(self, batch)

    monkeypatch.setattr(Mapper, "begin", after_calls)
    return calls


@pytest.fixture
def executors(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Classes of the executors that were made."""
    made: list[object] = []
    make = workers._executor

    def recorded(*arguments: object) -> object:
        executor = make(*arguments)  # type: ignore[arg-type]
        made.append(type(executor))
        return executor

    monkeypatch.setattr(workers, "_executor", recorded)
    return made


@pytest.mark.parametrize("mates", [None, MATES], ids=["single", "paired"])
@pytest.mark.parametrize("bam", [False, True], ids=["SAM", "BAM"])
def test_processes_make_what_threads_make(
    mates: list[Read] | None, bam: bool, aligner: Aligner, executors: list[object]
) -> None:
    one, many = (aligner.output(READS, mates, threads=n, batch_size=50, bam=bam) for n in (1, MANY))
    assert one == many
    assert executors == [ThreadPoolExecutor, workers._Processes]


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [(shared_memory, "AREA", 20_000), (workers, "SPARE_SLOTS", 1 - MANY)],
    ids=["small slots", "one slot"],
)
def test_what_finds_no_room_comes_through(
    module: object, name: str, value: int, aligner: Aligner, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = aligner.sam(READS, MATES, batch_size=50)
    sent = []

    def recorded(content: object, area: memoryview | None) -> shared_memory.Message:
        sent.append(shared_memory.pack(content, area))
        return sent[-1]

    monkeypatch.setattr(workers, "pack", recorded)
    monkeypatch.setattr(module, name, value)
    assert aligner.sam(READS, MATES, threads=MANY, batch_size=50) == whole
    assert any(message.extents is None for message in sent)


def test_where_processes_die_at_once_threads_do_it(
    aligner: Aligner, executors: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_initialise", lambda *_: os._exit(1))
    assert aligner.sam(READS, threads=MANY, batch_size=20) == aligner.sam(READS, batch_size=20)
    assert executors == [ThreadPoolExecutor, ThreadPoolExecutor]
    assert children(os.getpid()) == []


def test_few_threads_are_threads_and_many_are_processes(aligner: Aligner, beginning: list[object]) -> None:
    def tell(batch: ReadBatch) -> None:
        (aligner.folder / f"{os.getpid()}.process").touch()

    beginning.append(tell)
    for threads in (MANY - 1, MANY):
        aligner.sam(READS, threads=threads, batch_size=20)
        processes = {path.stem for path in aligner.folder.glob("*.process")}
        # The parent calls the kernels once before it forks.
        assert (processes - {str(os.getpid())} != set()) == (threads == MANY)
        assert len(processes) <= MANY + 1


def test_dense_presets_and_places_without_kept_kernels_have_threads(
    aligner: Aligner, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = workers.Worker(None, None, forks=True)  # type: ignore[arg-type]
    assert workers._forks(one, MANY)
    assert not workers._forks(workers.Worker(None, None, forks=False), MANY)  # type: ignore[arg-type]
    monkeypatch.setattr(workers, "complete_mark", lambda: None)
    assert not workers._forks(one, MANY)


def test_where_no_more_processes_may_be_threads_do_it(
    aligner: Aligner, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = aligner.sam(READS, batch_size=20)
    forked = 0
    fork = os.fork

    def fail_at_the_third() -> int:
        nonlocal forked
        forked += 1
        if forked > 2:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return fork()

    monkeypatch.setattr(os, "fork", fail_at_the_third)
    assert aligner.sam(READS, threads=MANY, batch_size=20) == whole
    assert forked == 3
    assert children(os.getpid()) == []


def test_without_semaphores_threads_do_it(
    aligner: Aligner, executors: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", lack)
    assert aligner.sam(READS, threads=MANY, batch_size=20) == aligner.sam(READS, batch_size=20)
    assert executors == [ThreadPoolExecutor, ThreadPoolExecutor]


def test_an_error_of_a_process_is_raised_here(aligner: Aligner, beginning: list[object]) -> None:
    def fail(batch: ReadBatch) -> None:
        if batch.name(0) == "r200":
            raise ZeroDivisionError("a bug")

    beginning.append(fail)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        aligner.sam(READS, MATES, threads=MANY, batch_size=40)
    assert children(os.getpid()) == []


def test_a_process_that_dies_is_an_error(aligner: Aligner, beginning: list[object]) -> None:
    def die(batch: ReadBatch) -> None:
        if batch.name(0) == "r200":
            os.kill(os.getpid(), signal.SIGKILL)

    beginning.append(die)
    with pytest.raises(EsaError, match=r"a process that aligns died.*fewer threads"):
        aligner.sam(READS, threads=MANY, batch_size=40)
    assert children(os.getpid()) == []


def test_signals_amid_a_fork_come_after_it() -> None:
    """An error in the context is no other case."""
    came: list[object] = []
    target = threading.get_ident()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, _: came.append(number)) for number in numbers]
    try:
        for _ in range(2):
            came.clear()
            with contextlib.suppress(ZeroDivisionError), workers._signals_wait():
                for number in numbers:
                    signal.pthread_kill(target, number)
                    time.sleep(0.05)
                came.append("forked")
                raise ZeroDivisionError
            assert came[0] == "forked"
            assert sorted(came[1:]) == sorted(numbers)  # type: ignore[type-var]
        came.clear()
        signal.raise_signal(signal.SIGTERM)
        assert came == [signal.SIGTERM]
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_a_room_is_left_when_nobody_holds_what_lies_in_it(aligner: Aligner) -> None:
    """Not even a view of it; what holds more than records is copied."""

    def sent(content: object) -> Future[shared_memory.Message]:
        done: Future[shared_memory.Message] = Future()
        done.set_result(shared_memory.pack(content, slots.area(0, back=True)))
        return done

    pool = workers._Processes.__new__(workers._Processes)
    pool._slots = slots = shared_memory.Slots(1)
    pool._free = deque()
    made = np.arange(100, dtype=np.uint8)
    delivered: Future[workers.AlignedBatch] = Future()
    pool._deliver(0, delivered, sent(workers.AlignedBatch(made, 1, 1, 0, 0, RunStatistics())))
    batch = delivered.result()
    view = batch.made[40:]
    del delivered, batch
    assert list(pool._free) == []
    assert view.tolist() == made[40:].tolist()
    del view
    assert list(pool._free) == [0]
    other: Future[object] = Future()
    pool._deliver(0, other, sent((made, None)))
    assert list(pool._free) == [0, 0]
    slots.area(0, back=True)[:] = bytes(shared_memory.AREA)  # type: ignore[index]
    assert other.result()[0].tolist() == made.tolist()  # type: ignore[index]
    failed: Future[object] = Future()
    broken: Future[shared_memory.Message] = Future()
    broken.set_exception(ZeroDivisionError())
    pool._deliver(None, failed, broken)
    assert isinstance(failed.exception(), ZeroDivisionError)
    assert list(pool._free) == [0, 0]


def test_a_process_forked_amid_signals_dies_of_them_in_silence(
    aligner: Aligner, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """One that is told to end before it has begun: threads do the statistics."""
    begin = workers._initialise

    def told(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        begin(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(workers, "_initialise", told)
    assert aligner.sam(READS, threads=MANY, batch_size=20) == aligner.sam(READS, batch_size=20)
    assert capfd.readouterr().err == ""


# --- the command


def children(process: int) -> list[int]:
    """Processes that it has started and that run."""
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended
            found += [int(number) for number in (task / "children").read_text().split()]
    return [child for child in found if alive(child)]


def until(condition: object) -> None:
    """Wait until it holds."""
    end = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def running(aligner: Aligner, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """`esa align` on many processes, with input that does not end, and these; in a process group of its own."""
    pipe = tmp_path / "reads.fq"
    os.mkfifo(pipe)
    index = str(aligner.folder / "ref.esa")
    command = [sys.executable, "-m", "esa", "align", index, str(pipe), "-t", str(MANY), "-q"]
    with subprocess.Popen(
        [*command, "-o", str(tmp_path / "out.sam")], stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        with pipe.open("w") as sink:
            sink.write(fastq_text(READS))
            sink.flush()
            until(lambda: len(children(process.pid)) == MANY)
            yield process, children(process.pid)
        process.kill()


def gone(processes: list[int]) -> bool:
    return not any(alive(process) for process in processes)


def alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [(signal.SIGINT, 130, b"esa: interrupted\n"), (signal.SIGTERM, 143, b"esa: terminated\n")],
)
def test_an_interrupt_ends_all_and_leaves_nothing(
    number: int, code: int, line: bytes, running: tuple[subprocess.Popen[bytes], list[int]], tmp_path: Path
) -> None:
    process, processes = running
    # As the terminal does it: to all of the group.
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    assert process.communicate(timeout=PATIENCE)[1] == line
    assert process.returncode == code
    until(lambda: gone(processes))
    assert [path.name for path in tmp_path.iterdir()] == ["reads.fq"]


@pytest.mark.parametrize(
    ("number", "stopped"), [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGHUP, True)]
)
def test_processes_do_not_outlive_their_parent(
    number: signal.Signals, stopped: bool, running: tuple[subprocess.Popen[bytes], list[int]]
) -> None:
    process, processes = running
    if stopped:
        for worker in processes:
            os.kill(worker, signal.SIGSTOP)
    process.send_signal(number)
    process.wait()
    until(lambda: gone(processes))


def test_a_process_that_is_killed_ends_the_command(
    running: tuple[subprocess.Popen[bytes], list[int]], tmp_path: Path
) -> None:
    process, processes = running
    os.kill(processes[0], signal.SIGKILL)
    until(lambda: gone(processes[:1]))
    with contextlib.suppress(BrokenPipeError), (tmp_path / "reads.fq").open("w") as sink:
        sink.write(fastq_text(READS) * 300)
    _, said = process.communicate(timeout=PATIENCE)
    assert b"a process that aligns died" in said
    assert process.returncode == 1
    assert not (tmp_path / "out.sam").exists()
