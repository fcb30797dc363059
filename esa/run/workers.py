"""What is done to a batch of reads, and who does it: threads of this process, or more processes.

Threads share Python's lock. They hold it for a twentieth of the time, and to pass it on takes longer the more wait for
it: 16 threads aligned no more reads than 12 (README, "Many cores"). So many threads are as many processes instead,
forked, which share the mapped index and whatever else was there before.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, connection, get_context, parent_process
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from esa.align.inserts import ASSUMED, InsertSizes
from esa.align.mapper import Mapper
from esa.align.state import MappingState
from esa.align.statistics import RunStatistics
from esa.errors import EsaError
from esa.io.formatter import Formatter
from esa.io.records import FLAG_PROPER, FLAG_SECONDARY, FLAG_SUPPLEMENTARY, FLAG_UNMAPPED, Records
from esa.kernels.cache import all_kept, complete_mark
from esa.run.shared_memory import Message, Slots, pack, unpack
from esa.sequence.reads import ReadBatch

MOST_THREADS = 4
"""Of one process."""

SPARE_SLOTS = 4
"""Slots for messages beside those of the batches in work: for those that wait (`esa.run.pipeline.READ_AHEAD` and one)
and the one that is being written."""

_READ = 150
"""Bases."""

_ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a run."""

R = TypeVar("R")


@dataclass(frozen=True)
class AlignedBatch:
    """A batch, done.

    Attributes:
        made: its records as they are to be written. From another process: in memory that is used again when nobody
            holds it any more, nor a view of it.
        reads, mapped: reads of it.
        proper: pairs properly paired.
        supplementary: further parts of chimeric reads.
        statistics: what it took.
    """

    made: NDArray[np.uint8]
    reads: int
    mapped: int
    proper: int
    supplementary: int
    statistics: RunStatistics

    @classmethod
    def of(cls, records: Records, made: bytes | NDArray[np.uint8], statistics: RunStatistics) -> AlignedBatch:
        primary = records.flag[(records.flag & (FLAG_SECONDARY | FLAG_SUPPLEMENTARY)) == 0]
        return cls(
            np.frombuffer(made, np.uint8),
            reads=len(primary),
            mapped=int(np.count_nonzero((primary & FLAG_UNMAPPED) == 0)),
            proper=int(np.count_nonzero(primary & FLAG_PROPER)) // 2,
            supplementary=int(np.count_nonzero(records.flag & FLAG_SUPPLEMENTARY)),
            statistics=statistics,
        )


@dataclass(frozen=True)
class Worker:
    """Aligns batches; each call is a function of its arguments alone, so any thread and process may have it."""

    mapper: Mapper
    formatter: Formatter
    forks: bool
    """Whether a forked process may do it: one that needs torch or faiss may not, as these have threads of their own."""

    def seed(self, batch: ReadBatch, pairs: int) -> tuple[NDArray[np.int64], Callable[[], MappingState]]:
        """What the first ``pairs`` pairs tell of insert sizes, and the batch, for `finish`."""
        state = self.mapper.seed(batch)
        return self.mapper.insert_sample(state, pairs), state.waiting()

    def finish(self, waiting: Callable[[], MappingState], inserts: InsertSizes | None) -> AlignedBatch:
        """The records of a seeded batch."""
        return self._finish(waiting(), inserts)

    def align(self, batch: ReadBatch, inserts: InsertSizes | None) -> AlignedBatch:
        """The records of a batch."""
        return self._finish(self.mapper.seed(batch), inserts)

    def _finish(self, state: MappingState, inserts: InsertSizes | None) -> AlignedBatch:
        records = self.mapper.finish(state, inserts)
        with state.statistics.stage("format"):
            made = self.formatter.format(state.batch, records)
        with state.statistics.stage("compress"):
            made_compact = self.formatter.compress(made)
        return AlignedBatch.of(records, made_compact, state.statistics)

    def __reduce__(self) -> tuple[object, tuple[()]]:
        # The other process has it since it was forked.
        return _inherited, ()


@contextmanager
def pool_of(worker: Worker, threads: int) -> Iterator[Executor]:
    """Something that runs the worker's methods, ``threads`` at a time.

    Processes may be forked here: threads that run meanwhile may hold no lock that a worker takes. After an exception
    in the context nothing more is begun.

    Raises:
        EsaError: a process died; this is noticed when there is something to submit or to wait for.
    """
    with _executor(worker, threads) as pool:
        try:
            yield pool
        except BaseException as error:
            # Waits here: at the end of its context, which is its second shutdown, the pool would not.
            pool.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                raise EsaError(
                    "a process that aligns died, perhaps of too little memory; give fewer threads (-t)"
                ) from error
            raise


def _executor(worker: Worker, threads: int) -> Executor:
    if _forks(worker, threads):
        # Without semaphores (a container without /dev/shm), or where no more processes may be: threads, then. It is a
        # RuntimeError if a process dies at once or a thread cannot be started.
        with suppress(OSError, ImportError, NotImplementedError, RuntimeError):
            return _Processes(worker, threads)
    return ThreadPoolExecutor(threads)


def _forks(worker: Worker, threads: int) -> bool:
    """Whether to have processes: on Linux, and where kernels are kept; else each of them would compile its own."""
    kept = complete_mark() is not None and all_kept()
    return worker.forks and threads > MOST_THREADS and sys.platform == "linux" and kept


class _Processes(Executor):
    """Runs a worker's methods in forked processes.

    `ProcessPoolExecutor` does it; here what they take and give goes through shared memory.
    """

    def __init__(self, worker: Worker, threads: int) -> None:
        # What is loaded before the fork is loaded once, and takes memory once.
        worker.align(ReadBatch.pair(_of_no_genome()), ASSUMED)
        self._slots = Slots(threads + SPARE_SLOTS)
        self._free = deque(range(threads + SPARE_SLOTS))
        # The thread that packs has nothing else to do: the main thread has the writing.
        self._sender = ThreadPoolExecutor(1, "esa-sender")
        others = active_children()
        gc.freeze()  # what garbage collection does not touch stays shared
        try:
            with _signals_wait():
                self._pool = ProcessPoolExecutor(threads, get_context("fork"), _begin, (worker, self._slots))
                # They are forked at the first task, all.
                first = self._pool.submit(os.getpid)
            first.result()
        except BaseException:
            for child in set(active_children()).difference(others):
                child.kill()
                child.join()
            raise
        finally:
            gc.unfreeze()

    def submit(self, call: Callable[..., R], /, *args: Any, **keywords: Any) -> Future[R]:
        found: Future[R] = Future()
        # What is submitted is not cancelled singly; after `shutdown` nobody waits for what was not sent.
        found.set_running_or_notify_cancel()
        self._sender.submit(self._send, partial(call, *args, **keywords), found)
        return found

    def _send(self, call: Callable[[], R], found: Future[R]) -> None:
        slot = self._free.pop() if self._free else None
        try:
            sent = self._pool.submit(_run, pack(call, self._slots.area(slot, back=False)), slot)
        except BaseException as error:  # a broken pool's: for whoever waits
            self._leave(slot)
            found.set_exception(error)
        else:
            sent.add_done_callback(partial(self._deliver, slot, found))

    def _deliver(self, slot: int | None, found: Future[R], sent: Future[Message]) -> None:
        try:
            message, area = sent.result(), self._slots.area(slot, back=True)
            result = unpack(message, area, copy=False)
            if isinstance(result, AlignedBatch) and message.extents:
                # Written from where it lies: in the end a batch takes the main thread's time alone.
                weakref.finalize(_owner(result.made), self._leave, slot).atexit = False
            else:
                result = unpack(message, area, copy=True)
                self._leave(slot)
        except BaseException as error:  # of the process, or cancelled: for whoever waits
            self._leave(slot)
            found.set_exception(error)
        else:
            found.set_result(result)

    def _leave(self, slot: int | None) -> None:
        if slot is not None:
            self._free.append(slot)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._sender.shutdown(wait, cancel_futures=cancel_futures)
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """SIGINT and SIGTERM come when the context has ended; in a process that is forked in it, when it takes them.

    What a handler raises amid a fork is printed by the child, or lost.
    """
    before = {}
    noted: list[int] = []
    if threading.current_thread() is threading.main_thread():  # which alone runs handlers
        before = {
            number: signal.signal(number, lambda came, _: noted.append(came))
            for number in _ENDING
            if callable(signal.getsignal(number))
        }
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
        for came in dict.fromkeys(noted):
            signal.raise_signal(came)


def _owner(array: NDArray[Any]) -> NDArray[Any]:
    """The array that all views of it hold."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _of_no_genome() -> NDArray[np.uint8]:
    """Base codes of two reads that go through all of the escalation, which calls most kernels."""
    return np.random.default_rng(1).integers(0, 4, 2 * _READ).astype(np.uint8)


_WORKER: Worker | None = None
_SLOTS: Slots | None = None
"""Of a forked process."""


def _inherited() -> Worker:
    assert _WORKER is not None
    return _WORKER


def _run(message: Message, slot: int | None) -> Message:
    """Make a call in a forked process."""
    assert _SLOTS is not None
    call = unpack(message, _SLOTS.area(slot, back=False), copy=False)
    return pack(call(), _SLOTS.area(slot, back=True))


def _begin(worker: Worker, slots: Slots) -> None:
    """The first thing that a forked process does."""
    global _WORKER, _SLOTS
    _WORKER, _SLOTS = worker, slots
    # Ctrl-C reaches all processes: this one's parent knows what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    try:
        threading.Thread(target=_end_with_parent, name="esa-parent", daemon=True).start()
    except RuntimeError:
        # No more threads may be: the parent sees this process die, and has threads of its own align.
        os._exit(1)


def _end_with_parent() -> None:
    """End this process when its parent is no more, however that ended."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
