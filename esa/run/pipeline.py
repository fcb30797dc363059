"""The run of `esa align`: batches of reads in, records out, in input order and with bounded memory.

Threads and queues, all in the main process (for worker processes see `esa.run.workers`):

    reader thread --queue of READ_AHEAD batches--> main thread --calls--> pool of workers --futures--> main thread

The *reader thread* (`_ReadAhead`) parses the input and puts batches into a queue. After the last batch, or after a
fault, it puts one stop token (`_End`). The main thread raises the fault once all batches before it are written.

The *main thread* submits one call a batch to the pool and holds the futures in a deque, oldest first. At most
``threads + READ_AHEAD`` are in flight. Beyond that it waits for the oldest, writes its records and counts them: records
come out in input order, and only this thread writes. While the input pauses, the queue gives None every `PATIENCE`
seconds, and the main thread writes what is done.

The *pool* is an executor (`esa.run.workers.pool_of`) whose workers begin, finish, format and, for BAM, compress. Single
reads, and pairs whose insert sizes are given, take one call: `Worker.align`. Other pairs begin with batches that are
only begun (`Worker.begin`), until the first pairs of the input have been sampled. Insert sizes are then learnt, once.
The batches begun are finished (`Worker.finish`), and all later ones take one call.

*Stop*: the stop token ends the loop, and leaving the pool's context ends the workers. After an exception the pool drops
the calls that have not begun, and the reader thread ends as its `_closed` event is set.

One thread, many threads and many processes run through the same code: only the executor differs. The records depend
neither on the number of workers nor on the batch size. The blocks of BAM depend on the batch size; their content does
not.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Self, TypeVar

import numpy as np

from esa.align.config import AlignConfig
from esa.align.inserts import InsertSizes, learn_insert_sizes
from esa.align.mapper import Mapper
from esa.align.statistics import RunStatistics
from esa.index.open import Index
from esa.io.fastq import ReadSource
from esa.io.formatter import Formatter
from esa.io.output import AlignmentOutput
from esa.io.sam_header import ReadGroup
from esa.run.workers import AlignedBatch, Begun, Worker, pool_of
from esa.sequence.genome import Genome
from esa.sequence.reads import ReadBatch

READ_AHEAD = 2
"""Parsed batches that wait for a worker, beside those being aligned."""

PATIENCE = 0.2
"""Seconds that a thread waits at a queue before it checks for a stop, or, in the main thread, for finished batches."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class ReadTrace:
    """A read whose way through the mapper is shown (`esa.align.trace`).

    Attributes:
        name: as in SAM's QNAME; both ends of a pair are followed.
        show: takes one or several lines of text; not called if no read has the name.
    """

    name: str
    show: Callable[[str], object]


@dataclass(frozen=True)
class AlignOptions:
    """The options of a run.

    Attributes:
        threads: number of workers.
        read_group: its ID goes into every record.
        eqx: CIGAR with = and X instead of M.
        soft_clips: soft clips in supplementary and secondary records, too.
        xa: secondary alignments as XA tags, not as records.
        inserts: insert sizes of pairs; None: they are learnt from the first pairs.
        bam: BAM instead of SAM.
        trace: the read whose way through the mapper is shown; None: of none.
        command_line: for @PG.
        version: for @PG.
    """

    threads: int
    command_line: str
    version: str
    read_group: ReadGroup | None = None
    eqx: bool = False
    soft_clips: bool = False
    xa: bool = False
    inserts: InsertSizes | None = None
    bam: bool = False
    trace: ReadTrace | None = None


@dataclass
class AlignSummary:
    """Counts of a run.

    Attributes:
        reads, pairs: of the input.
        mapped: reads that are mapped.
        proper: pairs that are properly paired.
        supplementary: supplementary records.
        ambiguous: IUPAC letters in reads that became N.
        inserts: insert sizes, None for single reads.
        seconds: wall time of the run.
        first_seconds: wall time until the first records were written.
        bytes_done: stored (compressed) bytes of the input, up to about the last read counted here.
        statistics: run statistics.
    """

    reads: int = 0
    pairs: int = 0
    mapped: int = 0
    proper: int = 0
    supplementary: int = 0
    ambiguous: int = 0
    inserts: InsertSizes | None = None
    seconds: float = 0.0
    first_seconds: float = 0.0
    bytes_done: int = 0
    statistics: RunStatistics = field(default_factory=RunStatistics)

    def count(self, batch: AlignedBatch) -> None:
        """Add the counts of a batch."""
        self.reads += batch.reads
        self.mapped += batch.mapped
        self.proper += batch.proper
        self.supplementary += batch.supplementary
        self.statistics.add(batch.statistics)


def align(
    index: Index,
    source: ReadSource,
    output: AlignmentOutput,
    config: AlignConfig,
    options: AlignOptions,
    progress: Callable[[AlignSummary], object] = lambda summary: None,
) -> AlignSummary:
    """Align all reads of ``source`` and write them, header first. ``progress`` is called after each batch.

    Raises:
        EsaError: a fault in the reads, after the whole batches before it are written; or a process died.
    """
    start = time.monotonic()
    summary = AlignSummary()
    worker = _worker(index, config, options)
    formatter = worker.formatter
    head = formatter.header(command_line=options.command_line, version=options.version)
    output.write(formatter.compress(head))
    with (
        _ReadAhead(source) as reader,
        pool_of(worker, options.threads, at_death=index.require_whole) as pool,
    ):
        batches = _while_whole(index, reader.batches())
        begun: deque[Future[Begun]] = deque()
        if source.paired and options.inserts is not None:
            summary.inserts = options.inserts
        elif source.paired:
            summary.inserts, begun = _learn(worker, pool, batches, config, options.threads)
        calls = itertools.chain(
            (partial(worker.finish, done.result().waiting, summary.inserts) for done in _taken(begun)),
            (None if batch is None else partial(worker.align, batch, summary.inserts) for batch in batches),
        )
        for aligned in _ordered(pool, calls, options.threads):
            with summary.statistics.stage("write"):
                output.write(aligned.made)
            summary.count(aligned)
            summary.seconds = time.monotonic() - start
            summary.first_seconds = summary.first_seconds or summary.seconds
            summary.bytes_done = reader.bytes_behind.popleft()
            progress(summary)
        if reader.fault is not None:
            raise reader.fault
    # Only after success: a BAM without its end is recognised as truncated.
    output.write(formatter.end)
    summary.pairs = summary.reads // 2 if source.paired else 0
    summary.ambiguous = source.ambiguous_bases
    summary.statistics.add(reader.statistics)
    summary.seconds = time.monotonic() - start
    return summary


def _while_whole(index: Index, batches: Iterator[ReadBatch | None]) -> Iterator[ReadBatch | None]:
    """The batches, each after a look whether the index is still whole."""
    for batch in batches:
        if batch is not None:
            index.require_whole()
        yield batch


def _worker(index: Index, config: AlignConfig, options: AlignOptions) -> Worker:
    formatter = _formatter(index.genome, options)
    if options.trace is None:
        mapper = Mapper(index, config, options.eqx, options.soft_clips)
        return Worker(mapper, formatter, forks=index.preset.kind == "codes")
    from esa.align.trace import TracedMapper

    traced = TracedMapper(index, config, options.eqx, options.soft_clips)
    traced.follow(index.genome, options.trace.name, options.trace.show)
    return Worker(traced, formatter, forks=False)


def _formatter(genome: Genome, options: AlignOptions) -> Formatter:
    kind: type[Formatter]
    # Imported here: a run needs only one of them, and starts faster without the other.
    if options.bam:
        from esa.io.bam import BamFormatter

        kind = BamFormatter
    else:
        from esa.io.sam import SamFormatter

        kind = SamFormatter
    return kind(genome, read_group=options.read_group, xa=options.xa)


def _learn(
    worker: Worker,
    pool: Executor,
    batches: Iterator[ReadBatch | None],
    config: AlignConfig,
    threads: int,
) -> tuple[InsertSizes, deque[Future[Begun]]]:
    """Insert sizes, learnt from the first pairs, and the batches begun so far.

    Idle workers begin the batches that follow in the meantime.
    """
    begun: deque[Future[Begun]] = deque()
    # Exactly the first pairs, wherever a batch ends: the result must not depend on the batch size.
    wanted, samples_wanted, waited_for = config.pair.learning_pairs, 0, 0
    for batch in batches:
        if batch is not None:
            pairs = min(wanted, len(batch) // 2)
            samples_wanted += wanted > 0
            wanted -= pairs
            begun.append(pool.submit(worker.begin, batch, pairs))
        while waited_for < len(begun) and (
            begun[waited_for].done() or len(begun) - waited_for > threads + READ_AHEAD
        ):
            begun[waited_for].result()
            waited_for += 1
        if not wanted and all(done.done() for done in itertools.islice(begun, samples_wanted)):
            break
    samples = (done.result().sample for done in itertools.islice(begun, samples_wanted))
    return learn_insert_sizes(np.concatenate([np.empty((0, 2), np.int64), *samples]), config.pair), begun


def _taken(items: deque[T]) -> Iterator[T]:
    """The items; each is removed when it is taken, so that its memory is freed."""
    while items:
        yield items.popleft()


def _ordered(pool: Executor, calls: Iterable[Callable[[], R] | None], threads: int) -> Iterator[R]:
    """The results of the calls, run on the pool, in order, with a bounded number of calls in flight.

    None in place of a call: the input pauses, and finished results, or errors, are handed on.
    """
    waiting: deque[Future[R]] = deque()
    for call in calls:
        if call is not None:
            waiting.append(pool.submit(call))
        while waiting and ((call is None and waiting[0].done()) or len(waiting) > threads + READ_AHEAD):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _End:
    """The stop token: follows the last batch."""


class _ReadAhead:
    """Batches of a source, read in a thread of its own.

    Attributes:
        fault: the exception that ended the reading; None: it ended with the input.
        bytes_behind: stored bytes read when each batch was complete; the caller removes them.
        statistics: run statistics of the reading.
    """

    def __init__(self, source: ReadSource) -> None:
        self._source = source
        self.fault: BaseException | None = None
        self.bytes_behind: deque[int] = deque()
        self.statistics = RunStatistics()
        self._queue: queue.Queue[ReadBatch | _End] = queue.Queue(READ_AHEAD)
        self._closed = threading.Event()
        # A daemon thread: waiting for standard input must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="esa-reader", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)

    def batches(self) -> Iterator[ReadBatch | None]:
        """Start reading (once); the batches in order, up to the end or a `fault`. None whenever the input pauses."""
        self._thread.start()
        return self._batches()

    def _batches(self) -> Iterator[ReadBatch | None]:
        while True:
            try:
                batch = self._queue.get(timeout=PATIENCE)
            except queue.Empty:
                yield None
                continue
            if isinstance(batch, _End):
                return
            yield batch

    def _run(self) -> None:
        try:
            with closing(self._source):
                self._read()
        except BaseException as error:  # raised again by the main thread
            self.fault = error
        self._put(_End())

    def _read(self) -> None:
        batches = iter(self._source)
        while True:
            with self.statistics.stage("read"):
                batch = next(batches, None)
            if batch is None:
                return
            self.bytes_behind.append(self._source.bytes_read)
            if not self._put(batch):
                return

    def _put(self, batch: ReadBatch | _End) -> bool:
        """Queue a batch, or the stop token, when there is room; returns False after a stop."""
        while not self._closed.is_set():
            try:
                self._queue.put(batch, timeout=PATIENCE)
            except queue.Full:
                continue
            return True
        return False
