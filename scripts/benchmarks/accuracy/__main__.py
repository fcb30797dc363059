"""The accuracy grid: esa beside bwa mem, bowtie2 and minimap2 -ax sr on the same simulated reads.

    python -m scripts.benchmarks.accuracy             a core of some cells (make bench-accuracy)

    python -m scripts.benchmarks.accuracy --full      the whole grid (make bench-accuracy-full)

    python -m scripts.benchmarks.accuracy --cells chr20:150:5:single mtb:*:0.1,0.6

A cell is GENOME:LENGTH:DIVERGENCE:LAYOUT. Its reads come from `esa simulate`. Divergence is in edits per 100 bases, a
tenth of them indels. Pairs have inserts of 500 +- 50, those of 2x500 1,200 +- 100. A read is correct if its primary
record lies at its origin, by the rule of `esa eval`; an unmapped read is not correct.

The outcome of an aligner over a cell is kept by the digest of the reads and by the aligner's version (of esa: its
source code). So an interrupted run resumes where it stopped, and after an edit of esa only esa runs again. Prints
tables to stdout and progress to stderr; OUT/accuracy.json holds all of it. A missed target is not an error.
"""

from __future__ import annotations

import argparse

from scripts.benchmarks.accuracy.cells import (
    EASY_DIVERGENCE,
    Cell,
    Plan,
    all_cells,
    core_cells,
    measure_all,
    select,
)
from scripts.benchmarks.accuracy.report import as_json, tables
from scripts.common.aligners import Aligner, bowtie2, bwa, esa, minimap2
from scripts.common.command_line import add_common_options, guarded, script_parser, settings, workplace
from scripts.common.programs import need
from scripts.common.tables import write_json

EASY_READS = 100_000
HARD_READS = 20_000
CORE_ORDERS = 3
DENSE_LENGTH = 250
DENSE_PRESETS = ("sketch", "rde")
PEER_PROGRAMS = ("bwa", "bowtie2", "minimap2")


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = script_parser(__doc__)
    add_common_options(parser)
    parser.add_argument("--full", action="store_true", help="every cell instead of the core")
    parser.add_argument("--cells", nargs="+", metavar="CELL", help="these cells of the whole grid")
    parser.add_argument("--reads", type=int, default=EASY_READS, help=f"a cell up to {EASY_DIVERGENCE:g} %%")
    parser.add_argument("--hard-reads", type=int, default=HARD_READS, help="a cell beyond")
    parser.add_argument("--orders", type=int, help="shuffles of bwa's reads (core: 3, else 0)")
    parser.add_argument("--presets", action="store_true", help="sketch and rde too, at 250 bp")
    parser.add_argument("--peers", default=",".join(PEER_PROGRAMS), help="with commas between; bwa first")
    parser.add_argument("--kept-only", action="store_true", help="report on what is done; run nothing")
    parser.add_argument("--markdown", action="store_true", help="tables for the README")
    return parser.parse_args()


def plan(args: argparse.Namespace, core: bool) -> Plan:
    """The aligners and the numbers of reads that the options name; ``core``: with shuffled reads."""
    makers = {"bwa": bwa, "bowtie2": bowtie2, "minimap2": minimap2}
    peers = [makers[name]() for name in args.peers.split(",") if name]
    dense = [esa(preset) for preset in DENSE_PRESETS] if args.presets else []

    def aligners(cell: Cell) -> list[Aligner]:
        return [esa(), *peers, *(dense if cell.length == DENSE_LENGTH else ())]

    orders = args.orders if args.orders is not None else CORE_ORDERS * core
    return Plan(aligners, args.reads, args.hard_reads, orders, args.seed)


def main() -> None:
    """Run the command."""
    args = parse()
    need(*(name for name in args.peers.split(",") if name))
    core = not args.full and not args.cells
    cells = core_cells() if core else select(all_cells(), args.cells or ["*"])
    place = workplace(args)
    results = measure_all(place, cells, plan(args, core), args.kept_only)
    path = place.out / "accuracy.json"
    programs = [name for name in args.peers.split(",") if name]
    write_json(path, {"settings": settings(args, programs), **as_json(results)})
    print("\n\n".join(t.markdown() if args.markdown else t.text() for t in tables(results)))
    print(f"\nwritten: {path}")


if __name__ == "__main__":
    guarded(main)
