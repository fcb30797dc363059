"""How many reads reach each level of the escalation, what it costs, and what edit-directed keys find.

    python -m scripts.benchmarks.levels               (make bench-levels)

First table: simulated reads of human chromosome 20 go through the mapper in one thread. For each level it has the
share of reads that reach it and its share of the mapper's processor time. Mate rescue is `rescue`, the search for
segments of chimeric reads `split`; choosing and reporting are `rest`.

Second table: fragments at minimizers of the reference get a number of substitutions, anywhere. A fragment is found if
its key is among those looked up. Keys compared:

    least margins: as many keys with the least margins as single substitutions give.
    edited minimizers: keys of single substitutions, where the minimizer is known.
    sliding: the same where it is not.
    two edits: keys of two substitutions, where it is not.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esa.align.config import AlignConfig
from esa.align.inserts import learn_insert_sizes
from esa.align.mapper import Mapper
from esa.align.placer import SPLIT, Placer
from esa.encoders.codes import CodeEncoder
from esa.fragments.base import Fragments
from esa.fragments.minimizers import MinimizerFragmenter
from esa.index.open import Index, open_index
from esa.io.fastq import ReadSource
from esa.sequence.reads import ReadBatch
from esa.stores.base import Keys
from esa.stores.codes import CodeStore, binarize, margin_keys
from esa.stores.packed import unpacked_entries
from scripts.common.aligners import esa
from scripts.common.cache import cached, digest, simulator_digest
from scripts.common.command_line import add_common_options, guarded, script_parser, settings, workplace
from scripts.common.programs import ESA, run
from scripts.common.real_sets import CHR20
from scripts.common.tables import Table, publish
from scripts.common.workplace import Workplace

LENGTHS = (50, 100, 150, 250)
DIVERGENCES = (0.6, 2, 5, 10)
INSERT = (500, 50)
SUBSTITUTIONS = (1, 2, 3, 4)
WAYS = (("edited minimizers", True, 1), ("sliding", False, 1), ("two edits", False, 2))
RESCUE, REST = "rescue", "rest"

Bases = NDArray[np.uint8]


class TimedPlacer(Placer):
    """A placer whose mapper knows what each stage costs."""

    def __init__(self, placer: Placer, timed: Callable[..., Any]) -> None:
        super().__init__(placer.searcher, placer.reference, placer.config)
        self._timed = timed

    def place(self, *arguments: Any) -> Any:
        return self._timed(arguments[0].name, super().place, *arguments)


class TimedMapper(Mapper):
    """A mapper that knows what its parts cost."""

    def __init__(self, index: Index) -> None:
        config = AlignConfig(index.preset.levels)
        super().__init__(index, config)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._within: list[str] = []
        self.placer = TimedPlacer(self.placer, self._timed)

    def _timed(self, part: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Seconds of a call that lies within another one count for the inner one alone."""
        start = time.process_time()
        self._within.append(part)
        result = function(*arguments)
        self._within.pop()
        spent = time.process_time() - start
        self.seconds[part] += spent
        if self._within:
            self.seconds[self._within[-1]] -= spent
        return result

    def rescue(self, *arguments: Any) -> None:
        self._timed(RESCUE, super().rescue, *arguments)

    def rescue_thoroughly(self, *arguments: Any) -> None:
        self._timed(RESCUE, super().rescue_thoroughly, *arguments)

    def split(self, *arguments: Any) -> Any:
        return self._timed(SPLIT, super().split, *arguments)

    def map(self, batch: ReadBatch) -> Counter[str]:
        """Align a batch; returns how many reads came to each level."""
        state = self.begin(batch)
        inserts = None
        if batch.paired:
            sample = self.insert_sample(state, self.config.pair.learning_pairs)
            inserts = learn_insert_sizes(sample, self.config.pair)
        self._timed(REST, self.finish, state, inserts)
        return Counter({level: counts["reads"] for level, counts in state.statistics.levels.items()})


def reads_of(
    place: Workplace, reference: Path, length: int, divergence: float, pairs: int, seed: int
) -> list[Path]:
    """Simulated pairs, plain FASTQ, from the cache or made now."""
    options = ["--pairs", pairs, "--length", length, "--insert", INSERT[0], "--insert-sd", INSERT[1]]
    options += ["--divergence", divergence, "--seed", seed]
    key = digest(simulator_digest(), reference.name, *options)

    def make(partial: Path) -> None:
        partial.mkdir()
        run([*ESA, "simulate", reference, "-o", partial / "r", *map(str, options)])

    folder = cached(place.out / "reads" / f"levels-{length}-{divergence:g}-{key}", make)
    return [folder / f"r_R{end}.fq.gz" for end in (1, 2)]


def level_row(index: Index, label: str, files: list[Path]) -> list[str]:
    """Shares of reads and of processor time by level, over one read set."""
    second = str(files[1]) if len(files) > 1 else None
    with ReadSource(str(files[0]), second, interleaved=False, batch_size=1 << 24) as source:
        batch = next(iter(source))
    # The first run compiles what is not compiled yet.
    TimedMapper(index).map(batch)
    mapper = TimedMapper(index)
    reached = mapper.map(batch)
    total = sum(mapper.seconds.values())
    cells = [label, f"{1e6 * total / len(batch):,.1f}"]
    cells += [
        f"{100 * reached[level] / len(batch):.2f} / {100 * mapper.seconds[level] / total:.1f}"
        for level in (*(level.name for level in index.preset.levels), SPLIT)
    ]
    return cells + [f"{100 * mapper.seconds[part] / total:.1f}" for part in (RESCUE, REST)]


def level_table(place: Workplace, index: Index, reference: Path, pairs: int, seed: int) -> Table:
    """A row per length and divergence, single ends and pairs."""
    rows = []
    for length in LENGTHS:
        for divergence in DIVERGENCES:
            files = reads_of(place, reference, length, divergence, pairs, seed)
            for layout, used in (("single", files[:1]), ("paired", files)):
                rows.append(level_row(index, f"{length} {divergence:g} % {layout}", used))
    names = [level.name for level in index.preset.levels]
    return Table(
        "Levels",
        "Share of the reads that come to a level, % / share of the time, %.",
        ("reads", "us a read", *names, SPLIT, RESCUE, REST),
        rows,
    )


def substituted(codes: Bases, count: int, rng: np.random.Generator) -> Bases:
    """``uint8[n, length]`` with ``count`` substitutions a row."""
    out = codes.copy()
    for row in out:
        at = rng.choice(len(row), count, replace=False)
        row[at] = (row[at] + rng.integers(1, 4, count)) % 4
    return out


def edited_keys(index: Index, codes: Bases, cut: Fragments, on_minimizers: bool, depth: int) -> Keys:
    """Keys of fragments that lie one after the other, each a read of its own."""
    fragmenter, encoder, store = index.fragmenter, index.encoder, index.store
    assert isinstance(fragmenter, MinimizerFragmenter)
    assert isinstance(encoder, CodeEncoder)
    assert isinstance(store, CodeStore)
    offsets = np.arange(len(cut) + 1, dtype=np.int64) * fragmenter.length
    edits = fragmenter.minimizer_edits(codes, cut, on_minimizers)
    return Keys(*encoder.edited_keys(codes, offsets, cut, store.key_bits, edits, depth))


def key_table(index: Index, fragments: int, seed: int) -> Table:
    """What edit-directed keys find, by number of substitutions."""
    fragmenter, encoder, store = index.fragmenter, index.encoder, index.store
    assert isinstance(store, CodeStore)
    rng = np.random.default_rng(seed)
    length = fragmenter.length
    chosen = np.sort(rng.choice(len(store), fragments, replace=False))
    _, start, reverse = unpacked_entries(store.packed, chosen)
    windows = np.stack([index.genome.fetch(at, at + length) for at in start.tolist()])
    cut = Fragments(
        np.arange(fragments, dtype=np.int64) * length, np.full(fragments, length, np.int32), reverse,
        np.arange(fragments, dtype=np.int32),
    )  # fmt: skip
    mask = np.uint64((1 << store.key_bits) - 1)
    own = binarize(encoder.embed(windows.ravel(), cut)) & mask

    def share(keys: Keys) -> tuple[float, float]:
        hit = [
            own[f] in keys.keys[keys.offsets[f] : keys.offsets[f + 1]].astype(np.uint64)
            for f in range(fragments)
        ]
        return float(np.mean(hit)), float(np.diff(keys.offsets).mean())

    rows = []
    for count in SUBSTITUTIONS:
        codes = substituted(windows, count, rng).ravel()
        embeddings = encoder.embed(codes, cut)

        ways = {
            name: edited_keys(index, codes, cut, on_minimizers, depth) for name, on_minimizers, depth in WAYS
        }
        most = max(1, round(share(ways["edited minimizers"])[1]))
        found = [share(margin_keys(embeddings, store.key_bits, most))]
        found += [share(keys) for keys in ways.values()]
        rows.append([str(count), *(f"{hit:.3f} ({keys:,.0f})" for hit, keys in found)])
    return Table(
        "Keys",
        "Share of the fragments found (keys looked up). Sliding fragments are looked up on the other strand, too.",
        ("substitutions", "least margins", *(name for name, *_ in WAYS)),
        rows,
    )


def main() -> None:
    """Run the command."""
    parser = script_parser(__doc__)
    add_common_options(parser)
    parser.add_argument("--pairs", type=int, default=20_000, help="of each set")
    parser.add_argument("--fragments", type=int, default=4_000, help="of the second table")
    args = parser.parse_args()
    place = workplace(args)
    reference = place.reference(CHR20)
    path = esa().index(place, reference)
    index = open_index(str(path), place.threads)
    tables = [
        level_table(place, index, reference, args.pairs, args.seed),
        key_table(index, args.fragments, args.seed),
    ]
    publish(tables, place.out / "levels.json", {"settings": settings(args, ())})


if __name__ == "__main__":
    guarded(main)
