"""The run of `esa align`: batches in, records out, in order, on several threads with bounded memory.

    reader thread -> seed -> (pairs: insert sizes are learnt from the first pairs, once) -> finish -> format
        -> compress (BAM) -> write

Workers spend their time in kernels that release the GIL, so threads suffice. What comes out depends on neither
their number nor the batch size; of BAM the blocks depend on the batch size, but not what they hold.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from esa.align.config import AlignConfig
from esa.align.mapper import Mapper, SeededBatch
from esa.align.pair import InsertSizes, learn_insert_sizes
from esa.genome import Genome
from esa.index import Index
from esa.io.fastq import ReadSource
from esa.io.formatter import Formatter
from esa.io.output import AlignmentOutput
from esa.io.sam_header import ReadGroup
from esa.reads import ReadBatch
from esa.records import FLAG_PROPER, FLAG_SECONDARY, FLAG_SUPPLEMENTARY, FLAG_UNMAPPED, Records
from esa.work import Work

READ_AHEAD = 2
"""Parsed batches that wait for a worker, beside those in work."""

PATIENCE = 0.2
"""Seconds after which a thread that waits looks whether it is still wanted."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class AlignOptions:
    """What a run takes from the user.

    Attributes:
        threads: workers.
        read_group: put on every record.
        eqx: CIGAR with = and X.
        soft_clips: soft clips in supplementary and secondary records, too.
        xa: secondary alignments as XA tags, not as records.
        inserts: insert sizes of pairs; None: they are learnt.
        bam: BAM instead of SAM.
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


@dataclass
class AlignSummary:
    """Counts of a run.

    Attributes:
        reads, pairs, mapped: of the input; ``mapped`` reads.
        proper: pairs properly paired.
        supplementary: further parts of chimeric reads.
        ambiguous: IUPAC letters in reads that became N.
        inserts: insert sizes, None for single reads.
        seconds: wall time of the run.
        first_seconds: of it, until the first records were written.
        bytes_done: of the input as stored, up to about the last read counted here.
        work: what was spent and where.
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
    work: Work = field(default_factory=Work)

    def count(self, records: Records) -> None:
        """Add the records of a batch."""
        primary = records.flag[(records.flag & (FLAG_SECONDARY | FLAG_SUPPLEMENTARY)) == 0]
        self.reads += len(primary)
        self.mapped += int(np.count_nonzero((primary & FLAG_UNMAPPED) == 0))
        self.proper += int(np.count_nonzero(primary & FLAG_PROPER)) // 2
        self.supplementary += int(np.count_nonzero(records.flag & FLAG_SUPPLEMENTARY))


def align(
    index: Index,
    source: ReadSource,
    output: AlignmentOutput,
    config: AlignConfig,
    options: AlignOptions,
    progress: Callable[[AlignSummary], object] = lambda summary: None,
) -> AlignSummary:
    """Align all reads of ``source`` and write them, header first. ``progress`` is called after each batch."""
    start = time.monotonic()
    summary = AlignSummary()
    mapper = Mapper(
        index.genome, index.fragmenter, index.encoder, index.store, config, options.eqx, options.soft_clips
    )
    formatter = _formatter(index.genome, options)
    head = formatter.header(command_line=options.command_line, version=options.version)
    output.write(formatter.compress(head))

    def finish(seeded: SeededBatch) -> tuple[Work, Records, bytes | NDArray[np.uint8]]:
        records = mapper.finish(seeded, summary.inserts)
        with seeded.work.stage("format"):
            made = formatter.format(seeded.batch, records)
        with seeded.work.stage("compress"):
            return seeded.work, records, formatter.compress(made)

    reader = _ReadAhead(source)
    with ThreadPoolExecutor(options.threads) as pool, reader as batches, _given_up_on_error(pool):
        waiting: Iterator[Callable[[], SeededBatch]] = iter(())
        if source.paired and options.inserts is not None:
            summary.inserts = options.inserts
        elif source.paired:
            waiting = _learn(mapper, pool, batches, config, summary, options.threads)
        finished = itertools.chain(
            _ordered(pool, lambda seeded: finish(seeded()), waiting, options.threads),
            _ordered(pool, lambda batch: finish(mapper.seed(batch)), batches, options.threads),
        )
        for work, records, made in finished:
            with summary.work.stage("write"):
                output.write(made)
            summary.count(records)
            summary.work.add(work)
            summary.seconds = time.monotonic() - start
            summary.first_seconds = summary.first_seconds or summary.seconds
            summary.bytes_done = reader.bytes_behind.popleft()
            progress(summary)
    # Not before all is well: without it, a reader of BAM sees that something is missing.
    output.write(formatter.end)
    summary.pairs = summary.reads // 2 if source.paired else 0
    summary.ambiguous = source.ambiguous_bases
    summary.work.add(reader.work)
    summary.seconds = time.monotonic() - start
    return summary


@contextlib.contextmanager
def _given_up_on_error(pool: ThreadPoolExecutor) -> Iterator[None]:
    """After an exception the workers begin nothing more."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _formatter(genome: Genome, options: AlignOptions) -> Formatter:
    kind: type[Formatter]
    # Imported here: a run needs one of them, and starts the sooner without the other.
    if options.bam:
        from esa.io.bam import BamFormatter

        kind = BamFormatter
    else:
        from esa.io.sam import SamFormatter

        kind = SamFormatter
    return kind(genome, read_group=options.read_group, eqx=options.eqx, xa=options.xa)


def _learn(
    mapper: Mapper,
    pool: ThreadPoolExecutor,
    batches: Iterator[ReadBatch],
    config: AlignConfig,
    summary: AlignSummary,
    threads: int,
) -> Iterator[Callable[[], SeededBatch]]:
    """Seed the batches that insert sizes are learnt from, and set ``summary.inserts``.

    Meanwhile workers that have nothing else to do seed those that follow. Returns what gives all of these, in order.
    """

    def seed(batch: ReadBatch, pairs: int) -> _Lesson:
        seeded = mapper.seed(batch)
        return mapper.insert_sample(seeded, pairs), seeded.waiting()

    # Exactly the first pairs, wherever a batch ends: the batch size must not matter.
    wanted, teachers, waited_for = config.pair.learning_pairs, 0, 0
    lessons: list[Future[_Lesson]] = []
    for batch in batches:
        pairs = min(wanted, len(batch) // 2)
        teachers += wanted > 0
        wanted -= pairs
        lessons.append(pool.submit(seed, batch, pairs))
        if len(lessons) - waited_for > threads + READ_AHEAD:
            lessons[waited_for].result()
            waited_for += 1
        if not wanted and all(lesson.done() for lesson in lessons[:teachers]):
            break
    samples = [np.empty((0, 2), np.int64), *(lesson.result()[0] for lesson in lessons[:teachers])]
    summary.inserts = learn_insert_sizes(np.concatenate(samples), config.pair)
    return _taken(deque(partial(_seeded, lesson) for lesson in lessons))


_Lesson = tuple[NDArray[np.int64], Callable[[], SeededBatch]]
"""What a batch tells of insert sizes, and what gives it, seeded."""


def _seeded(lesson: Future[_Lesson]) -> SeededBatch:
    # Never waited for in vain: the pool began with it before it begins with anything that asks for it.
    return lesson.result()[1]()


def _taken(items: deque[T]) -> Iterator[T]:
    """The items, each forgotten as it is taken."""
    while items:
        yield items.popleft()


def _ordered(
    pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], threads: int
) -> Iterator[R]:
    """``map(work, items)`` on the pool, in order, with a bounded number of items in flight."""
    waiting: deque[Future[R]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > threads + READ_AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _ReadAhead:
    """Batches of a source, read in a thread of their own; its errors are raised where the batches are taken.

    Attributes:
        bytes_behind: bytes of the input read when each batch was complete; the user takes them off.
        work: what reading took.
    """

    def __init__(self, source: ReadSource) -> None:
        self._source = source
        self.bytes_behind: deque[int] = deque()
        self.work = Work()
        self._queue: queue.Queue[ReadBatch | BaseException | None] = queue.Queue(READ_AHEAD)
        self._closed = threading.Event()
        # A daemon: a reader that waits for standard input must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="esa-reader", daemon=True)

    def __enter__(self) -> Iterator[ReadBatch]:
        self._thread.start()
        return self._batches()

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join(PATIENCE)

    def _batches(self) -> Iterator[ReadBatch]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _run(self) -> None:
        last: BaseException | None = None
        try:
            batches = iter(self._source)
            while True:
                with self.work.stage("read"):
                    batch = next(batches, None)
                if batch is None:
                    break
                self.bytes_behind.append(self._source.bytes_read)
                if not self._put(batch):
                    return
        except BaseException as error:  # raised again by the thread that takes the batches
            last = error
        finally:
            self._source.close()
        self._put(last)

    def _put(self, item: ReadBatch | BaseException | None) -> bool:
        """Queue an item when there is room; False if nobody wants it any more."""
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=PATIENCE)
            except queue.Full:
                continue
            return True
        return False
