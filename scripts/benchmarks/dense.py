"""The dense store on a large genome: what lists, codes and shortlists find and cost, as Markdown tables.

    esa index --preset sketch REF.fa -o DIR
    python -m scripts.benchmarks.dense DIR [--reads 300] [--exact FILE] [--far] [--codes] [--rde 20000]
        [--align READS.fq]

The index holds genome and vectors; nothing else is needed. Reads are simulated from both strands, with d %
substitutions and a tenth as many one-base indels. A read's true fragments cover half of it; R@n is the share of reads
with a true fragment among the n nearest. Exact search compares each read with each vector. With 24 million vectors it
takes some minutes per thousand reads, and `--exact` keeps its result for the next run. `--codes` builds other indexes
of the vectors: for genomes of some hundred megabases.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from esa.encoders.registry import create_encoder, shipped
from esa.eval.recall import (
    ReadSet,
    embed_reads,
    nearest,
    recall_at_depths,
    share_in_common,
    simulate_reads,
)
from esa.fragments.base import Fragments
from esa.index.open import Index, open_index
from esa.stores.base import SearchEffort
from esa.stores.dense import DenseParameters, DenseStore, quantize
from esa.stores.dense_builder import lists_of
from esa.stores.scanner import TRAINING_LISTS
from scripts.benchmarks.encoders.stores import LEAST_FLOOR, one_thread
from scripts.common.command_line import guarded, script_parser
from scripts.common.markdown_tables import MarkdownTable, publish
from scripts.common.process_memory import own_and_mapped
from scripts.common.programs import ESA, BenchError, note
from scripts.common.timed_runs import MICROS

READ_SETS = ((250, 1), (250, 5), (250, 10), (150, 1))
"""Bases of a read; substitutions in 100 bases."""
DEPTHS = (1, 50)
EXACT_AT_ONCE = 1 << 16
"""Vectors."""

TOLD_BY = 1000
"""Vectors that tell an index from another one."""

VISITED = (128, 32, 8, 1)
"""One list in so many is looked into."""
SHORTLISTS = (500, 2000)
FAR = ((0.5, 1000), (0.5, 4000), (0.5, 16000), (0.6, 4000), (0.6, 16000))
"""Cosine under which a query looks into all lists, and the shortlist there."""

CODES = ("PQ128x4", "PQ64x4", "PQ32x4", "RaBitQ")
CODES_VISITED = (16, 1)

TIMED_READS = 50
LOOKS_APART = 0.05
"""Seconds between two looks at a process's memory."""
HOUR = 3600


@dataclass(frozen=True)
class Asked:
    """A read set, its vectors, and the rows that exact search finds, by which the others are judged."""

    label: str
    reads: ReadSet
    vectors: NDArray[np.float32]
    exact: NDArray[np.int64]


@dataclass(frozen=True)
class Subject:
    """An index, its fragments and what is asked of it."""

    index: Index
    store: DenseStore
    fragments: Fragments
    asked: Sequence[Asked]


def subject(path: str, count: int, seed: int, kept: Path | None) -> Subject:
    """Open an index and search its reads exactly; ``kept``: a file that holds or takes what is found."""
    index = open_index(path)
    store = index.store
    if not isinstance(store, DenseStore):
        raise BenchError(f"{path}: has preset {index.preset.name}, not a dense one")
    n = len(store)
    lengths = np.full(n, index.fragmenter.length, np.int32)
    fragments = Fragments(store.position, lengths, np.zeros(n, np.uint8), np.zeros(n, np.int32))
    sets = [
        (f"{length} bp {percent} %", simulate_reads(index.genome, count, length, percent / 100, seed))
        for length, percent in READ_SETS
    ]
    vectors = [embed_reads(index.fragmenter, index.encoder, reads) for _, reads in sets]
    exact = exact_rows(store, np.concatenate(vectors), kept)
    asked = [
        Asked(label, reads, v, rows)
        for (label, reads), v, rows in zip(sets, vectors, np.split(exact, len(sets)), strict=True)
    ]
    return Subject(index, store, fragments, asked)


def exact_rows(store: DenseStore, vectors: NDArray[np.float32], kept: Path | None) -> NDArray[np.int64]:
    """What exact search finds; from the file ``kept``, or kept there."""
    rounded = quantize(vectors, store.settings.scale(store.dimensions))
    # So many vectors differ somewhere from any other genome's.
    known = {"asked": rounded, "among": store.vectors[:: -(-len(store) // TOLD_BY)]}
    if kept is not None and kept.exists():
        before = np.load(kept)
        if not all(np.array_equal(before[name], value) for name, value in known.items()):
            raise BenchError(f"{kept}: is of other reads or another index")
        return np.asarray(before["rows"], np.int64)
    note(f"exact search of {len(rounded):,} reads among {len(store):,} vectors")
    rows = nearest(rounded.astype(np.float32), blocks(store.vectors), max(DEPTHS))
    if kept is not None:
        with kept.open("wb") as file:
            np.savez(file, rows=rows, **known)
    return rows


def blocks(vectors: NDArray[np.int8]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """All vectors, some at a time."""
    for begin in range(0, len(vectors), EXACT_AT_ONCE):
        yield begin, vectors[begin : begin + EXACT_AT_ONCE].astype(np.float32)


def rows_found(store: DenseStore, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """``int64[reads, hits]``: what the store finds, as rows, best first; -1 where there are no more."""
    hits = store.search(vectors, SearchEffort(max_hits=max(DEPTHS)))
    out = np.full((len(vectors), max(DEPTHS)), -1, np.int64)
    query = np.repeat(np.arange(len(vectors)), np.diff(hits.offsets))
    # Fragments are in order of position, and each has its own.
    out[query, np.arange(len(query)) - hits.offsets[query]] = np.searchsorted(store.position, hits.position)
    return out


def row_of(one: Subject, store: DenseStore) -> list[Any]:
    """For each read set, what the store finds and a query's microseconds of one core."""
    cells: list[Any] = []
    for asked in one.asked:
        # First all, then those that are timed: the pages that they need of the vectors are in memory then.
        rows = rows_found(store, asked.vectors)
        few = asked.vectors[:TIMED_READS]
        begin = time.process_time()
        store.search(few, SearchEffort(max_hits=max(DEPTHS)))
        micros = (time.process_time() - begin) / len(few) * MICROS
        recall = recall_at_depths(one.fragments, asked.reads, rows, DEPTHS)
        cells += [(*recall, share_in_common(rows, asked.exact)), micros]
    return cells


def columns(one: Subject, first: str) -> dict[str, str]:
    """The columns of a table: a label, then recall and time of each read set."""
    names = {first: ""}
    for asked in one.asked:
        names |= {asked.label: ".3f", f"us, {asked.label}": ",.0f"}
    return names


def caption(one: Subject) -> str:
    """What is measured on which index."""
    return (
        f"{len(one.store):,} vectors of {one.store.dimensions} components, {one.index.encoder.name}, "
        f"{len(one.asked[0].reads):,} reads a set: R@{DEPTHS[0]} / R@{DEPTHS[1]} / share of exact search's "
        f"{DEPTHS[1]}; us: of one core, a query, {TIMED_READS} at a time."
    )


def exact_row(one: Subject) -> list[Any]:
    """Recall and time of the exact search."""
    return [
        cell
        for a in one.asked
        for cell in ((*recall_at_depths(one.fragments, a.reads, a.exact, DEPTHS), 1.0), "")
    ]


def with_settings(store: DenseStore, **changed: Any) -> DenseStore:
    """The store, searched otherwise: every positive cosine is a hit."""
    other = replace(store, settings=replace(store.settings, floor=LEAST_FLOOR, ratio=0.0, **changed))
    # The scanner that was read stays: it is a gigabyte.
    other.__dict__["_opened"] = store._scanner
    return other


def lists_table(one: Subject, far: bool) -> MarkdownTable:
    """Lists, shortlists, and both steps; ``far``: more of the latter."""
    table = MarkdownTable("Lists and shortlists", caption(one), columns(one, "search"))
    table.begin()
    table.add("exact", *exact_row(one))
    for visited in VISITED:
        for shortlist in SHORTLISTS:
            store = with_settings(one.store, visited=visited, shortlist=shortlist, settled=0.0)
            table.add(f"1 list in {visited}, {shortlist} ranked", *row_of(one, store))
    for settled, more in FAR if far else ():
        store = with_settings(one.store, settled=settled, far_shortlist=more)
        name = f"1 list in {store.settings.visited}, all under {settled:g}, {more} ranked"
        table.add(name, *row_of(one, store))
    table.add("**esa**", *row_of(one, one.store))
    return table


def codes_table(one: Subject) -> MarkdownTable:
    """Other codes in lists of as many vectors."""
    table = MarkdownTable(
        "Codes", caption(one), columns(one, "codes") | {"bytes": ".0f", "build s of a core": ",.0f"}
    )
    table.begin()
    for code in CODES:
        begin = time.process_time()
        index = lists_with(code, one.store)
        seconds = time.process_time() - begin
        for visited in CODES_VISITED:
            index.nprobe = index.nlist // visited
            scanner = faiss.serialize_index(index)
            for shortlist in SHORTLISTS:
                settings_text = DenseParameters(
                    shortlist=shortlist, visited=visited, settled=0.0, floor=LEAST_FLOOR, ratio=0
                )
                store = replace(one.store, scanner=scanner, settings=settings_text)
                name = f"{code}, 1 list in {visited}, {shortlist} ranked"
                table.add(name, *row_of(one, store), len(scanner) / len(one.store), seconds)
    return table


def lists_with(code: str, store: DenseStore) -> Any:
    """The vectors in inverted lists with these codes."""
    dimensions, lists = store.dimensions, lists_of(len(store))
    sample = store.vectors[:: -(-len(store) // (TRAINING_LISTS * lists))].astype(np.float32)
    kind = "RaBitQfs" if code == "RaBitQ" else f"{code}fs"
    index: Any = faiss.index_factory(dimensions, f"IVF{lists},{kind}", faiss.METRIC_INNER_PRODUCT)
    index.train(sample)
    for _, block in blocks(store.vectors):
        index.add(block)
    return index


def rde_table(one: Subject, count: int) -> MarkdownTable:
    """What `rde` would take on this genome: a part of the fragments embedded on one core."""
    fragmenter, genome = one.index.fragmenter, one.index.genome
    encoder = create_encoder(shipped("rde"), "dense", fragmenter.length)
    chosen = np.linspace(0, len(one.store) - 1, count).astype(np.int64)
    length = fragmenter.length
    windows = [genome.fetch(int(p), min(int(p) + length, genome.bases)) for p in one.store.position[chosen]]
    lengths = np.array([len(w) for w in windows], np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    part = Fragments(starts, lengths, np.zeros(count, np.uint8), np.zeros(count, np.int32))
    codes = np.concatenate(windows)
    encoder.embed(codes, part[: count // 10])
    begin = time.process_time()
    encoder.embed(codes, part)
    each = (time.process_time() - begin) / count
    table = MarkdownTable(
        "rde, extrapolated",
        f"{count:,} evenly spread fragments embedded, one thread; all {len(one.store):,} would take so many hours.",
        {"us a fragment": ",.0f", "hours, 1 core": ".1f", "hours, 2 cores": ".1f"},
    )
    table.begin()
    hours = each * len(one.store) / HOUR
    table.add(each * MICROS, hours, hours / 2)
    return table


def align_table(path: str, reads: Sequence[str]) -> MarkdownTable:
    """Memory of a run of `esa align`."""
    table = MarkdownTable(
        "esa align, 2 threads",
        "Peak memory: the process's own, and pages of mapped files, which the system takes back when it needs them.",
        {"seconds": ".0f", "own MB": ",.0f", "mapped MB": ",.0f"},
    )
    table.begin()
    command = [*ESA, "align", path, *reads, "-t", "2", "-q", "-o", "/dev/null"]
    begin = time.monotonic()
    process = subprocess.Popen([str(word) for word in command])
    own = mapped = 0
    while process.poll() is None:
        a, b = own_and_mapped(process.pid)
        own, mapped = max(own, a), max(mapped, b)
        time.sleep(LOOKS_APART)
    if process.returncode:
        raise BenchError(f"exit code {process.returncode} from esa align")
    table.add(time.monotonic() - begin, own / MICROS, mapped / MICROS)
    return table


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = script_parser(__doc__)
    parser.add_argument("index", metavar="DIR", help="of a dense preset")
    parser.add_argument("--reads", type=int, default=300, help="of each set; 0: no recall")
    parser.add_argument("--seed", type=int, default=11, help="of the reads")
    parser.add_argument("--exact", type=Path, metavar="FILE.npz", help="what exact search finds, kept")
    parser.add_argument("--far", action="store_true", help="more of the second step")
    parser.add_argument("--codes", action="store_true", help="other codes, which are built")
    parser.add_argument("--rde", type=int, default=0, metavar="N", help="time rde on so many fragments")
    parser.add_argument(
        "--align", nargs="+", default=[], metavar="FQ", help="memory of esa align with these reads"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="the same numbers")
    return parser.parse_args()


def tables(args: argparse.Namespace) -> Iterator[MarkdownTable]:
    """The tables that the options name, one after the other."""
    if args.align:
        yield align_table(args.index, args.align)
    if not (args.reads or args.rde):
        return
    one = subject(args.index, args.reads, args.seed, args.exact)
    if args.rde:
        yield rde_table(one, args.rde)
    if args.reads:
        with one_thread():
            yield lists_table(one, args.far)
    if args.codes:
        yield codes_table(one)


def main() -> None:
    """Run the command."""
    args = parse()
    publish(tables(args), args)


if __name__ == "__main__":
    guarded(main)
