"""`esa align` with workers that align one batch and return its records for every later batch of as many reads.

    python -m scripts.benchmarks.resources.hollow_align align DIR R1 R2 -t N -I MEAN,SD ...

What remains is what no further core can take over: reading, passing batches and records, writing, and waiting, above
all for the GIL. So its reads/s are an upper bound for any number of cores. -I is needed: without it the first batches
are mapped in full to learn the insert sizes. N exceeds `esa.run.workers.MOST_THREADS`, so that workers are processes.
The records are meaningless.
"""

from __future__ import annotations

from unittest.mock import patch

from esa.align.inserts import InsertSizes
from esa.cli.main import main as esa_main
from esa.run.workers import AlignedBatch, Worker
from esa.sequence.reads import ReadBatch

_ALIGN = Worker.align
_MADE: dict[int, AlignedBatch] = {}


def align(worker: Worker, batch: ReadBatch, inserts: InsertSizes | None) -> AlignedBatch:
    """Takes the place of `Worker.align`, by its name, too: it is called by it in another process."""
    if len(batch) not in _MADE:
        _MADE[len(batch)] = _ALIGN(worker, batch, inserts)
    return _MADE[len(batch)]


if __name__ == "__main__":
    with patch.object(Worker, "align", align):
        esa_main()
