"""The work on a batch of reads (`Worker`), and the threads or processes that do it (`pool_of`).

`pool_of` gives an executor, to which `esa.run.pipeline` submits methods of a `Worker`. There are two kinds, with one
interface (`concurrent.futures.Executor`):

- up to `MOST_THREADS` workers: a `ThreadPoolExecutor` in this process (one thread for a serial run);
- more: `_Processes`, worker processes forked from this one. They share the mapped index, the kernels and all else that
  was loaded before the fork. Where processes cannot be had, or share kernels, threads do the work.

Why processes: threads share the GIL. They hold it a twentieth of the time only, but handing it over takes longer the
more threads wait for it: 16 threads aligned no more reads than 12 (scripts/README.md, "Many cores").

Message flow of `_Processes`, for each call:

    submit: hands the call to the sender thread and returns a future
    sender thread: packs the call's arrays into a free slot, sends the rest and the slot's number by pipe
    worker process: runs the call, packs the result's arrays into the same slot, sends the rest by pipe
    callback: unpacks the result and sets the future

Slots lie in memory shared since the fork (`esa.run.shared_memory`); only small messages go through the pipes of
`ProcessPoolExecutor`. With no slot free, or for arrays too large for one, everything goes through the pipe. The arrays
of an `AlignedBatch` are not copied out: the main thread writes them from the slot, which becomes free when the last
view of them is gone. A `Worker` is never sent: its pickle is a reference to the one that the process inherited.

Stop: the shutdown of the executor sends no new calls, and `ProcessPoolExecutor` puts a stop token for each process.
SIGINT is ignored in worker processes, as the main process handles it. A process whose parent died ends itself. When a
worker process dies, its calls fail with `BrokenProcessPool`, and the run ends with an error.
"""

from __future__ import annotations

import ctypes
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
from typing import Any, NamedTuple, TypeVar

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
"""Most worker threads in one process."""

SPARE_SLOTS = 4
"""Slots beside one a worker: for the batches that wait (`esa.run.pipeline.READ_AHEAD` and one) and the one being
written."""

_READ = 150
"""Bases of the reads that warm up a worker."""

_ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a run."""

_PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2)."""

R = TypeVar("R")


@dataclass(frozen=True)
class AlignedBatch:
    """An aligned batch.

    Attributes:
        made: ``uint8[bytes]``, its records as they are written. From another process: in shared memory, which is used
            again as soon as neither the array nor a view of it exists.
        reads, mapped: its reads, and those that are mapped.
        proper: pairs that are properly paired.
        supplementary: supplementary records.
        statistics: its run statistics.
    """

    made: NDArray[np.uint8]
    reads: int
    mapped: int
    proper: int
    supplementary: int
    statistics: RunStatistics

    @classmethod
    def of(cls, records: Records, made: bytes | NDArray[np.uint8], statistics: RunStatistics) -> AlignedBatch:
        """Count the records of a batch; ``made``: the same records as they are written."""
        primary = records.flag[(records.flag & (FLAG_SECONDARY | FLAG_SUPPLEMENTARY)) == 0]
        return cls(
            np.frombuffer(made, np.uint8),
            reads=len(primary),
            mapped=int(np.count_nonzero((primary & FLAG_UNMAPPED) == 0)),
            proper=int(np.count_nonzero(primary & FLAG_PROPER)) // 2,
            supplementary=int(np.count_nonzero(records.flag & FLAG_SUPPLEMENTARY)),
            statistics=statistics,
        )


class Begun(NamedTuple):
    """A batch after the levels that need no insert sizes.

    Attributes:
        sample: ``int64[pairs, 2]``, insert sizes (`esa.align.pairing.choose.sample_sizes`).
        waiting: gives the batch to `Worker.finish`.
    """

    sample: NDArray[np.int64]
    waiting: Callable[[], MappingState]


@dataclass(frozen=True)
class Worker:
    """Aligns batches. Each call is a function of its arguments alone: any thread or process may run it.

    Attributes:
        forks: whether a forked process may run it. Not with torch or faiss, which have threads of their own.
    """

    mapper: Mapper
    formatter: Formatter
    forks: bool

    def begin(self, batch: ReadBatch, pairs: int) -> Begun:
        """Run the levels that need no insert sizes. ``pairs``: so many, the first ones, are sampled."""
        state = self.mapper.begin(batch)
        return Begun(self.mapper.insert_sample(state, pairs), state.waiting())

    def finish(self, waiting: Callable[[], MappingState], inserts: InsertSizes | None) -> AlignedBatch:
        """The records of a batch that was begun."""
        return self._finish(waiting(), inserts)

    def align(self, batch: ReadBatch, inserts: InsertSizes | None) -> AlignedBatch:
        """The records of a batch."""
        return self._finish(self.mapper.begin(batch), inserts)

    def _finish(self, state: MappingState, inserts: InsertSizes | None) -> AlignedBatch:
        records = self.mapper.finish(state, inserts)
        with state.statistics.stage("format"):
            made = self.formatter.format(state.batch, records)
        with state.statistics.stage("compress"):
            made_compact = self.formatter.compress(made)
        return AlignedBatch.of(records, made_compact, state.statistics)

    def __reduce__(self) -> tuple[object, tuple[()]]:
        # The forked process has inherited it.
        return _inherited, ()


@contextmanager
def pool_of(
    worker: Worker, threads: int, at_death: Callable[[], object] = lambda: None
) -> Iterator[Executor]:
    """An executor that runs the worker's methods, ``threads`` at a time.

    It may fork processes: other threads that run at that moment must not hold a lock that a worker takes. After an
    exception in the context no further call begins. ``at_death`` is called when a process died: it may raise a better
    reason than any known here.

    Raises:
        EsaError: a worker process died; noticed at the next call that is submitted or waited for.
    """
    with _executor(worker, threads) as pool:
        try:
            yield pool
        except BaseException as error:
            # This waits; the pool's second shutdown, at the end of its context, would not.
            pool.shutdown(cancel_futures=True)
            if isinstance(error, BrokenProcessPool):
                at_death()
                raise EsaError(
                    "a process that aligns died, perhaps of too little memory; give fewer threads (-t)"
                ) from error
            raise


def _executor(worker: Worker, threads: int) -> Executor:
    if _forks(worker, threads):
        # Without semaphores (a container without /dev/shm), or with no more processes allowed: use threads. A process
        # that dies at once, or a thread that cannot be started, raises RuntimeError.
        with suppress(OSError, ImportError, NotImplementedError, RuntimeError):
            return _Processes(worker, threads)
    return ThreadPoolExecutor(threads)


def _forks(worker: Worker, threads: int) -> bool:
    """Whether to use processes: on Linux only, and only with cached kernels, or each process would compile its own."""
    kept = complete_mark() is not None and all_kept()
    return worker.forks and threads > MOST_THREADS and sys.platform == "linux" and kept


class _Processes(Executor):
    """Runs a worker's methods in forked processes.

    A `ProcessPoolExecutor` whose arguments and results go through shared memory.
    """

    def __init__(self, worker: Worker, threads: int) -> None:
        # Kernels and tables loaded before the fork are loaded once, and take memory once.
        worker.align(ReadBatch.pair(_of_no_genome()), ASSUMED)
        self._slots = Slots(threads + SPARE_SLOTS)
        self._free = deque(range(threads + SPARE_SLOTS))
        # Packing has a thread of its own, as the main thread writes the output.
        self._sender = ThreadPoolExecutor(1, "esa-sender")
        others = active_children()
        gc.freeze()  # pages that the garbage collector does not touch stay shared
        try:
            with _signals_wait():
                self._pool = ProcessPoolExecutor(
                    threads, get_context("fork"), _initialise, (worker, self._slots)
                )
                # All processes are forked at the first task.
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
        # Calls are not cancelled singly; after `shutdown` nobody waits for those that were not sent.
        found.set_running_or_notify_cancel()
        self._sender.submit(self._send, partial(call, *args, **keywords), found)
        return found

    def _send(self, call: Callable[[], R], found: Future[R]) -> None:
        slot = self._free.pop() if self._free else None
        try:
            sent = self._pool.submit(_run, pack(call, self._slots.area(slot, back=False)), slot)
        except BaseException as error:  # a broken pool's: raised where the future is waited for
            self._release(slot)
            found.set_exception(error)
        else:
            sent.add_done_callback(partial(self._deliver, slot, found))

    def _deliver(self, slot: int | None, found: Future[R], sent: Future[Message]) -> None:
        try:
            message, area = sent.result(), self._slots.area(slot, back=True)
            result = unpack(message, area, copy=False)
            if isinstance(result, AlignedBatch) and message.extents:
                # Written from the slot, not copied: a copy would take time of the main thread.
                weakref.finalize(_owner(result.made), self._release, slot).atexit = False
            else:
                result = unpack(message, area, copy=True)
                self._release(slot)
        except (
            BaseException
        ) as error:  # the process's, or a cancellation: raised where the future is waited for
            self._release(slot)
            found.set_exception(error)
        else:
            found.set_result(result)

    def _release(self, slot: int | None) -> None:
        if slot is not None:
            self._free.append(slot)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._sender.shutdown(wait, cancel_futures=cancel_futures)
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Defer SIGINT and SIGTERM of this thread; a process forked in the context unblocks them itself."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _owner(array: NDArray[Any]) -> NDArray[Any]:
    """The array that owns the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _of_no_genome() -> NDArray[np.uint8]:
    """Base codes of two random reads: they go through the whole escalation, which calls most kernels."""
    return np.random.default_rng(1).integers(0, 4, 2 * _READ).astype(np.uint8)


_WORKER: Worker | None = None
_SLOTS: Slots | None = None
"""In a worker process: what it inherited."""


def _inherited() -> Worker:
    assert _WORKER is not None
    return _WORKER


def _run(message: Message, slot: int | None) -> Message:
    """Run a call in a worker process."""
    assert _SLOTS is not None
    call = unpack(message, _SLOTS.area(slot, back=False), copy=False)
    return pack(call(), _SLOTS.area(slot, back=True))


def _initialise(worker: Worker, slots: Slots) -> None:
    """Initialise a worker process."""
    global _WORKER, _SLOTS
    _WORKER, _SLOTS = worker, slots
    # Ctrl-C reaches all processes of the terminal: the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _die_with_parent()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    try:
        threading.Thread(target=_end_with_parent, name="esa-parent", daemon=True).start()
    except RuntimeError:
        # No more threads are allowed: the parent sees this process die, and uses threads of its own.
        os._exit(1)


def _die_with_parent() -> None:
    """Have the system kill this process with the thread that forked it, even while it is stopped (SIGSTOP)."""
    with suppress(OSError, AttributeError):  # Linux alone has it
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_parent() -> None:
    """End this process when its parent has ended, in whatever way."""
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)
