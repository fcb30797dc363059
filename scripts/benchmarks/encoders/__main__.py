"""What encoders find before alignment, and at which cost, as Markdown tables.

    python -m scripts.benchmarks.encoders [--reference FA] [--reads 2000] [--encoder hf:DIR[:max]] [--json FILE]

    python -m scripts.benchmarks.encoders --stores [--store-encoder rde]
    python -m scripts.benchmarks.encoders --frontier
    python -m scripts.benchmarks.encoders --transfer [--transfer-encoder rde]

Reads are simulated from both strands: d % substitutions and a tenth as many one-base indels. Dense encoders: R@n, the
share of reads with a true fragment (one that covers at least half of the read) among the n nearest, by exact search.
Code encoders: the share of reads with a fragment whose true code lies in a probed bucket, at a number of codes scanned
per read. An encoder without weights here, or a reference that is missing, is left out with a note.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from esa.align.ladders import ANCHORED
from esa.encoders.base import Encoder
from esa.encoders.registry import Kind
from esa.errors import EsaError
from esa.eval.recall import (
    ReadSet,
    anchored_recall,
    bits_kept,
    bucket_at_size,
    code_store,
    dense_recall,
    embed_reads,
    in_chunks,
    nearest,
    prefix,
    probe_curve,
    recall_at_depths,
    share_at_cost,
    signs_kept,
)
from esa.stores.base import ANY_SIZE, REPEAT_BUCKET, Store
from esa.stores.codes import CodeStore, default_key_bits
from esa.stores.dense_builder import DenseStoreBuilder
from scripts.benchmarks.encoders.embeddings import (
    ORTHOLOGS,
    Loaded,
    Source,
    calibrated,
    embed_reference,
    load,
    open_source,
)
from scripts.benchmarks.encoders.frontier import frontier_table
from scripts.benchmarks.encoders.stores import Queries, stores_table
from scripts.common.command_line import add_data_options, guarded, script_parser
from scripts.common.markdown_tables import AtCost, MarkdownTable, publish
from scripts.common.programs import BenchError, note
from scripts.common.real_sets import CHR20
from scripts.common.timed_runs import MICROS, median_seconds

ENCODERS = ("projection", "codes", "sketch", "rde")

READ_SETS = ((250, 1), (150, 1), (100, 1), (250, 5), (250, 10), (150, 10))
"""Bases of a read; substitutions in 100 bases."""
TRANSFER_SETS = ((250, 5), (150, 1))
DEPTHS = (1, 10, 50)
TRANSFER_DEPTHS = (1, 50)
SCANNED = (100, 200, 300)
"""Codes scanned a read."""

LEAST_BUCKET = 2
"""Codes of a bucket here that can stand for an escaped one in a larger genome: the own one and another."""

TRANSFER_SCANNED = 200

MATRYOSHKA = "rde"
PREFIXES = (64, 128, 256)
"""Dimensions at which an encoder of that name is measured."""

PROBES = (1, 4, 16)
"""Of a fragment, in a genome of `HUMAN_BASES`."""

HUMAN_BASES = 3_100_000_000

COSTS = {"bits kept": ".3f", "us a read": ".1f", "bytes a fragment": ".1f", "index s": ".1f"}
"""Columns of the encoders tables beside those of the read sets, and their formats."""

TIMED_READS = 200
REPEATS = 5

TRANSFER_REFERENCES = (
    CHR20,
    "celegans_ce2_chrX",
    "pfalciparum_MAL1-14",
    "mtb_H37Rv",
    "primate22A_chimp",
    "primate22A_orangutan",
)


def bytes_each(store: Store) -> float:
    """Bytes of a store per fragment."""
    return sum(array.nbytes for array in store.arrays().values()) / max(1, len(store))


def embedding_micros(loaded: Sequence[Loaded], sets: Sequence[ReadSet]) -> list[tuple[float, ...]]:
    """Microseconds to cut and embed a read of each set, one thread; for each encoder."""
    few = [
        ReadSet(r.codes[: TIMED_READS * r.length], r.start[:TIMED_READS], r.reverse[:TIMED_READS], r.length)
        for r in sets
    ]
    tasks = [partial(one.embed, reads) for one in loaded for reads in few]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = median_seconds(tasks, REPEATS)
    finally:
        torch.set_num_threads(threads)
    micros = [s / len(few[i % len(few)]) * MICROS for i, s in enumerate(seconds)]
    return [tuple(micros[i : i + len(few)]) for i in range(0, len(micros), len(few))]


# The encoders table


@dataclass(frozen=True)
class Measured:
    """One encoder on one reference: what its rows are made of."""

    one: Loaded
    source: Source
    reads: Sequence[ReadSet]
    micros: tuple[float, ...]


def dense_rows(table: MarkdownTable, m: Measured) -> None:
    """Add the row of a dense encoder: recall by exact search, and its cost."""
    one, genome = m.one, m.source.searched
    begin = time.perf_counter()
    fragments, vectors = embed_reference(one, genome)
    embedding = time.perf_counter() - begin
    queries = [embed_reads(one.fragmenter, one.encoder, reads) for reads in m.reads]
    for dimensions in dimensions_of(one.encoder):
        ours = prefix(vectors, dimensions)
        theirs = [prefix(q, dimensions) for q in queries]
        begin = time.perf_counter()
        builder = DenseStoreBuilder(dimensions)
        builder.add(ours, fragments.start, fragments.reverse)
        store = builder.finish()
        seconds = embedding + time.perf_counter() - begin
        recall = [
            recall_at_depths(fragments, reads, nearest(q, in_chunks(ours), max(DEPTHS)), DEPTHS)
            for reads, q in zip(m.reads, theirs, strict=True)
        ]
        kept = [signs_kept(fragments, ours, reads, q) for reads, q in zip(m.reads, theirs, strict=True)]
        table.add(one.name, dimensions, *recall, tuple(kept), m.micros, bytes_each(store), seconds)


def dimensions_of(encoder: Encoder) -> list[int]:
    """At which an encoder is measured, its own last."""
    shorter = PREFIXES if encoder.name == MATRYOSHKA else ()
    return [*(d for d in shorter if d < encoder.dimensions), encoder.dimensions]


def code_rows(table: MarkdownTable, m: Measured) -> None:
    """On this reference, by the aligner's own levels, and what is expected as a part of a human genome."""
    one, searched = calibrated(m.one, m.source.searched), m.source.searched
    kept = tuple(bits_kept(one.fragmenter, one.encoder, m.source.genome, reads) for reads in m.reads)
    begin = time.perf_counter()
    store = code_store(searched, one.fragmenter, one.encoder)
    seconds = time.perf_counter() - begin
    shares = shares_at_costs(one, store, m.reads)
    table.add(one.name, store.key_bits, *shares, kept, m.micros, bytes_each(store), seconds)
    no_costs = ("",) * len(COSTS)

    def add(what: str, where: CodeStore, probes: int, max_bucket: int, factor: float = 1.0) -> None:
        found = (
            anchored_recall(one.fragmenter, one.encoder, where, reads, probes, max_bucket)
            for reads in m.reads
        )
        cells = (AtCost(f.share, f.at_size(factor)) for f in found)
        table.add(f"{one.name}, {what}", where.key_bits, *cells, *no_costs)

    for level in ANCHORED:
        # What edit-directed keys find is in `make bench-levels`.
        if not level.effort.edits:
            add(f"level `{level.name}`", store, level.effort.probes, level.effort.max_bucket)
    factor = HUMAN_BASES / searched.bases
    longer = code_store(searched, one.fragmenter, one.encoder, default_key_bits(round(len(store) * factor)))
    add("at 3.1 Gb, probes: 1, any bucket", longer, 1, ANY_SIZE, factor)
    if factor * LEAST_BUCKET <= REPEAT_BUCKET:
        for probes in PROBES:
            add(f"at 3.1 Gb, probes: {probes}", longer, probes, bucket_at_size(REPEAT_BUCKET, factor), factor)


def shares_at_costs(one: Loaded, store: Store, sets: Sequence[ReadSet]) -> list[tuple[float, ...]]:
    """For each read set, the shares found at `SCANNED`."""
    shares = []
    for reads in sets:
        curve = probe_curve(one.fragmenter, one.encoder, store, reads, max(SCANNED))
        shares.append(tuple(share_at_cost(curve, scanned) for scanned in SCANNED))
    return shares


def encoders_tables(
    loaded: Sequence[Loaded], source: Source, count: int, seed: int
) -> Iterator[MarkdownTable]:
    """One table for each kind of encoder."""
    sets = source.reads(READ_SETS, count, seed)
    reads = [r for _, r in sets]
    lengths = {r.length: r for r in reads}
    note("timing the encoders")
    micros = embedding_micros(loaded, list(lengths.values()))
    common = (
        f"{source.caption} {count:,} reads a set, seed {seed}. Bits kept: of the sets in turn. us a read "
        f"(of {' / '.join(map(str, lengths))} bp): to cut and embed it, one thread, median of {REPEATS}, the encoders "
        f"in turn. index s: one thread but torch's."
    )
    kinds: tuple[tuple[Kind, str, str, str, Callable[[MarkdownTable, Measured], None]], ...] = (
        (
            "dense",
            "dimensions",
            "Dense encoders",
            f"R@{' / R@'.join(map(str, DEPTHS))}, exact search.",
            dense_rows,
        ),
        (
            "codes",
            "key bits",
            "Code encoders",
            f"Share of reads found at {' / '.join(map(str, SCANNED))} codes scanned a read (mean), buckets of more "
            f"than {REPEAT_BUCKET} codes passed over at any number of probes (where one probe alone scans more, it "
            "is what one probe finds, times the share of its cost). Then found @ scanned: at the aligner's own "
            "levels, which look up each read of this table, and at 3.1 Gb, with the key and the fuller buckets of a "
            "genome of that size that is like this one.",
            code_rows,
        ),
    )
    for kind, size, title, what, rows in kinds:
        columns = {"encoder": "", size: "d"} | {label: ".3f" for label, _ in sets} | COSTS
        table = MarkdownTable(f"{title}, {source.name}", f"{what} {common}", columns)
        table.begin()
        for one, micro in zip(loaded, micros, strict=True):
            if one.kind == kind:
                unless_it_fails(one.name, partial(rows, table, Measured(one, source, reads, micro)))
        yield table


def unless_it_fails(what: str, measure: Callable[[], object]) -> None:
    """Bad data costs a row, not the table."""
    try:
        measure()
    except EsaError as error:
        note(f"{what}: left out: {error}")


# The transfer table


def transfer_cell(one: Loaded, source: Source, reads: ReadSet, store: Store | None) -> tuple[float, ...]:
    """What an encoder finds of a read set on another genome; ``store``: None of a dense encoder."""
    if store is None:
        return dense_recall(one.fragmenter, one.encoder, source.searched, reads, TRANSFER_DEPTHS)
    curve = probe_curve(one.fragmenter, one.encoder, store, reads, TRANSFER_SCANNED)
    return (share_at_cost(curve, TRANSFER_SCANNED),)


def transfer_figures(one: Loaded, source: Source, sets: Sequence[ReadSet]) -> list[tuple[float, ...]]:
    """One encoder on one reference: a cell for each read set."""
    store = None
    if one.kind == "codes":
        one = calibrated(one, source.searched)
        store = code_store(source.searched, one.fragmenter, one.encoder)
    return [transfer_cell(one, source, reads, store) for reads in sets]


def transfer_table(loaded: Sequence[Loaded], args: argparse.Namespace) -> MarkdownTable:
    """What encoders find on genomes that they were not trained on."""
    labels = [f"{length} bp {percent} %" for length, percent in TRANSFER_SETS]
    columns = {"reference": ""} | {f"{one.name}, {label}": ".3f" for one in loaded for label in labels}
    table = MarkdownTable(
        "Transfer to other references",
        f"Dense encoders: R@{' / R@'.join(map(str, TRANSFER_DEPTHS))}, exact search; code encoders: share of reads "
        f"found at {TRANSFER_SCANNED} codes scanned a read (where one probe alone scans more: what it finds, times the "
        f"share of its cost). {args.reads:,} reads a set, seed {args.seed}. Of {ORTHOLOGS}* "
        "all contigs are indexed, but the reads come from those of the last tenth of the bases: encoders were "
        "trained on the human orthologs of the rest."
        + (" So do those of every other reference." if args.last_tenth else ""),
        columns,
    )
    table.begin()

    def add_row(name: str) -> None:
        source = open_source(args.data / "ref" / f"{name}.fa.gz", [], args.last_tenth)
        sets = [reads for _, reads in source.reads(TRANSFER_SETS, args.reads, args.seed)]
        table.add(source.name, *(cell for one in loaded for cell in transfer_figures(one, source, sets)))

    for name in TRANSFER_REFERENCES:
        unless_it_fails(name, partial(add_row, name))
    return table


# The stores table


def stores_of(one: Loaded, source: Source, args: argparse.Namespace) -> MarkdownTable:
    """The stores table of one encoder over one reference."""
    note(f"embedding {source.name} with {one.name}")
    fragments, vectors = embed_reference(one, source.searched)
    sets = [
        Queries(label, reads, embed_reads(one.fragmenter, one.encoder, reads))
        for label, reads in source.reads(READ_SETS, args.reads, args.seed)
    ]
    return stores_table(
        f"Stores of {one.name}, {source.name}", source.caption, fragments, vectors, sets, args.hnsw
    )


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = script_parser(__doc__)
    add_data_options(parser)
    parser.add_argument(
        "--encoders", action="store_true", help="the encoders tables (with --stores, if none is named)"
    )
    parser.add_argument("--stores", action="store_true", help="the table of ways to search")
    parser.add_argument("--frontier", action="store_true", help="minimizers and keys of the code encoders")
    parser.add_argument("--transfer", action="store_true", help="the table of other references")
    parser.add_argument("--reference", type=Path, metavar="FA", help=f"default: ref/{CHR20}.fa.gz of --data")
    parser.add_argument("--reads", type=int, default=2000, help="of each set")
    parser.add_argument(
        "--last-tenth", action="store_true", help=f"reads from there alone ({ORTHOLOGS}*: always)"
    )
    parser.add_argument("--decoys", type=Path, nargs="+", default=[], metavar="FA", help="searched as well")
    parser.add_argument(
        "--encoder", action="append", default=[], help="one more: a directory, or hf:DIR[:max]"
    )
    parser.add_argument("--store-encoder", default="rde", help="whose vectors the stores hold")
    parser.add_argument("--hnsw", action="store_true", help="a graph index too, which takes minutes to build")
    parser.add_argument("--transfer-encoder", default="rde", help="beside codes, sketch and projection")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the same numbers")
    args = parser.parse_args()
    if args.reads < 1:
        parser.error("--reads must be at least 1")
    args.reference = args.reference or args.data / "ref" / f"{CHR20}.fa.gz"
    if not (args.encoders or args.stores or args.transfer or args.frontier):
        args.encoders = args.stores = True
    return args


def tables(args: argparse.Namespace) -> Iterator[MarkdownTable]:
    """The tables that the options name, one after the other."""
    if args.encoders or args.stores or args.frontier:
        source = open_source(args.reference, args.decoys, args.last_tenth)
    if args.encoders:
        yield from encoders_tables(load([*ENCODERS, *args.encoder]), source, args.reads, args.seed)
    if args.stores:
        loaded = load([args.store_encoder])
        if not loaded or loaded[0].kind != "dense":
            raise BenchError(f"--store-encoder {args.store_encoder}: not a dense encoder that there is")
        yield stores_of(loaded[0], source, args)
    if args.frontier:
        codes = [one for one in load(["projection", "codes", *args.encoder]) if one.kind == "codes"]
        yield frontier_table(codes, source, args.reads, args.seed)
    if args.transfer:
        yield transfer_table(load([args.transfer_encoder, "sketch", "codes", "projection"]), args)


def main() -> None:
    """Run the command."""
    args = parse()
    publish(tables(args), args)


if __name__ == "__main__":
    guarded(main)
