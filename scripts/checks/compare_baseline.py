"""Which records differ from those of the last commit that changed alignments, and are they better or worse?

    python -m scripts.checks.compare_baseline [--baseline COMMIT] [--sets lambda,chr20] [--threads 1,2,6] [--quick]

The baseline is the last commit up to HEAD whose message has a line `Changes-alignments: yes...`. It is checked out
temporarily. Both versions index and align fixed sets of reads; this checkout's includes uncommitted changes. Compared
are the arrays of the indexes and, byte for byte, header and records of the outputs without @PG; with --bam, of BAM
files. A primary record that differs is judged. Simulated reads are judged by the rule of `esa eval`, real ones by the
window that they come from or, without one, by alignment score.

With several --threads the baseline runs with the first; this checkout's outputs must be the same with all of them.

Prints a row per comparison, and the first records that differ in both versions. The outputs stay in
bench_out/baseline/outputs until the next run; the baseline's results are kept by its commit.
Exit code: 0 if all is equal, 1 if anything differs.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from esa.errors import EsaError
from scripts.checks.output_differences import (
    BETTER,
    NEITHER,
    WORSE,
    Difference,
    differences,
    differing_arrays,
    read_output,
    same_order,
    verdict,
)
from scripts.common.aligners import Aligner, Version, esa
from scripts.common.baseline import Baseline, beside_baseline, title
from scripts.common.cache import cached, digest
from scripts.common.command_line import add_data_options, add_out_option, guarded, script_parser
from scripts.common.programs import BenchError, note, run
from scripts.common.real_sets import CEU76, DSM30083, NA12878, RealSet
from scripts.common.speed_sets import SpeedSet, gzipped_reads, real_set, right_reads, simulated_set
from scripts.common.tables import Table
from scripts.common.workplace import Workplace

LAMBDA = "lambda_phage"
LENGTH = 150
PAIRS = 20_000
SHOWN = 3
QUICK = ("lambda", "DSM30083")
"""Sets of the repository's own data."""
SETS = (*QUICK, "chr20", "NA12878", "CEU76")
REAL = {"DSM30083": DSM30083, "NA12878": NA12878, "CEU76": CEU76}
COLUMNS = ("reads", "with", "index", "header", "order", "records", "differing", BETTER, WORSE, NEITHER)


@dataclass(frozen=True)
class Compared:
    """Two outputs over one read set.

    Attributes:
        beside: what today's esa is compared with.
        arrays: of the index, that differ; None where both took one index.
        same_header, same_order: of the outputs; the order is that of the records that both have.
        records: of today's output.
        judged: the records that differ, each with its verdict.
    """

    reads: str
    beside: str
    arrays: Sequence[str] | None
    same_header: bool
    same_order: bool
    records: int
    judged: Sequence[tuple[Difference, str]]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.arrays and self.same_header and self.same_order and not self.judged

    def row(self) -> list[str]:
        """Cells under `COLUMNS`."""
        counts = Counter(verdict for _, verdict in self.judged)
        index = "" if self.arrays is None else same_or_different(not self.arrays)
        cells = [
            self.reads,
            self.beside,
            index,
            same_or_different(self.same_header),
            same_or_different(self.same_order),
        ]
        numbers = [self.records, len(self.judged), *(counts[name] for name in (BETTER, WORSE, NEITHER))]
        return [*cells, *(f"{number:,}" for number in numbers)]

    def examples(self, most: int) -> str:
        """The arrays and the first records that differ, the better and the worse ones before the others."""
        lines = [f"{self.reads}, {self.beside}:"]
        if self.arrays:
            lines.append(f"  arrays of the index: {', '.join(self.arrays)}")
        for difference, judgement in sorted(self.judged, key=lambda one: one[1] == NEITHER)[:most]:
            name, end = difference.read
            lines.append(f"  {judgement}: {name.decode(errors='replace')}, end {end}")
            lines += [f"    - {shown(difference.before)}", f"    + {shown(difference.after)}"]
        return "\n".join(lines)


def same_or_different(same: bool) -> str:
    """A verdict in words."""
    return "same" if same else "DIFFERENT"


def shown(record: bytes | None) -> str:
    """A record as text."""
    return "(no record)" if record is None else record.decode(errors="replace")


def compare(reads: SpeedSet, beside: str, before: Path, after: Path) -> Compared:
    """Two outputs, of one index so far.

    Raises:
        BenchError: records differ, and one of the files cannot be judged.
    """
    one, other = read_output(before), read_output(after)
    found = differences(one, other)
    right = None
    if found and reads.origins_known:
        try:
            right = right_reads(before, reads), right_reads(after, reads)
        except EsaError as error:
            raise BenchError(f"{reads.name}, {beside}: {error}") from error
    return Compared(
        reads.name,
        beside,
        None,
        one.header == other.header,
        same_order(one, other),
        len(other.order),
        [(difference, verdict(difference, right)) for difference in found],
    )


# Reads


def lambda_set(place: Workplace, today: Version, pairs: int, seed: int) -> SpeedSet:
    """Pairs of lambda by today's `esa simulate`, which needs nothing that is not in the repository."""
    reference = place.reference(LAMBDA)
    options = ["--pairs", str(pairs), "--length", str(LENGTH), "--seed", str(seed), "--no-gzip"]

    def make(partial: Path) -> None:
        partial.mkdir()
        run([*today.command, "simulate", reference, "-o", partial / "reads", *options])

    key = digest(today.label, reference.name, *options)
    folder = cached(place.out / "reads" / f"{LAMBDA}-{LENGTH}-{pairs}-{key}", make)
    files = tuple(folder / f"reads_R{end}.fq" for end in (1, 2))
    return SpeedSet(f"lambda 2x{LENGTH}", LAMBDA, files, LENGTH, reference=LAMBDA)


def distinct_pairs(place: Workplace, real: RealSet, pairs: int) -> SpeedSet:
    """The first pairs of a real set, none of them twice."""
    return real_set(place, min(pairs, len(gzipped_reads(place.real_reads(real)[0]))), False, real)


def read_set(place: Workplace, name: str, today: Version, pairs: int, seed: int) -> SpeedSet:
    """The read set of that name."""
    if name == "lambda":
        return lambda_set(place, today, pairs, seed)
    if name in REAL:
        return distinct_pairs(place, REAL[name], pairs)
    simulated = simulated_set(place, LENGTH, pairs, seed, single=False)
    return replace(simulated, name=f"chr20 {simulated.name}")


# Runs


def outputs_of(place: Workplace, reads: SpeedSet) -> Path:
    """Folder for the outputs over these reads."""
    return place.out / "baseline" / "outputs" / reads.label


def kept_output(place: Workplace, aligner: Aligner, version: Version, reads: SpeedSet, suffix: str) -> Path:
    """The baseline's, from the cache or made now."""
    reference = place.reference(reads.reference)
    index = aligner.index(place, reference)
    inputs = [x for path in reads.files for x in (path.parent.name, path.name, path.stat().st_size)]
    key = digest(version.label, reference.name, place.threads, *inputs)
    path = place.out / "baseline" / "kept" / f"{version.label}-{reads.label}-{key}{suffix}"
    return cached(path, lambda partial: run(aligner.command(place, index, reads.files, partial)[0]))


def fresh_output(place: Workplace, aligner: Aligner, reads: SpeedSet, suffix: str) -> Path:
    """Today's, made anew; its index comes from the cache, if this very code made it."""
    index = aligner.index(place, place.reference(reads.reference))
    path = outputs_of(place, reads) / f"today-{place.threads}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    note(f"aligning {reads.name}, {place.threads} threads")
    run(aligner.command(place, index, reads.files, path)[0])
    return path


def comparisons(
    place: Workplace, both: Baseline, reads: SpeedSet, threads: Sequence[int], suffix: str
) -> Iterator[Compared]:
    """With the baseline, then of today's esa with each further number of threads."""
    before, today = esa(version=both.before), esa(version=both.today)
    reference = place.reference(reads.reference)
    old = kept_output(place, before, both.before, reads, suffix)
    new = fresh_output(place, today, reads, suffix)
    arrays = differing_arrays(before.index(place, reference), today.index(place, reference))
    yield replace(compare(reads, f"baseline, -t {place.threads}", old, new), arrays=arrays)
    for count in threads:
        other = fresh_output(replace(place, threads=count), today, reads, suffix)
        yield compare(reads, f"itself, -t {place.threads} to {count}", new, other)


def thread_counts(text: str) -> list[int]:
    """Numbers with commas between, for argparse."""
    counts = [int(word) for word in text.split(",")]
    if min(counts) < 1:
        raise argparse.ArgumentTypeError("a number of threads is 1 at least")
    return counts


def chosen_sets(text: str) -> list[str]:
    """Names with commas between, checked, for argparse."""
    names = text.split(",")
    if unknown := set(names) - set(SETS):
        raise argparse.ArgumentTypeError(
            f"no such set: {', '.join(sorted(unknown))} (there are {', '.join(SETS)})"
        )
    return names


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = script_parser(__doc__)
    add_data_options(parser)
    add_out_option(parser)
    parser.add_argument("-t", "--threads", type=thread_counts, default=[2], help="with commas between")
    parser.add_argument(
        "--baseline", metavar="COMMIT", help="another commit than the last that changed alignments"
    )
    parser.add_argument("--pairs", type=int, default=PAIRS, help="of each set, at most")
    parser.add_argument("--sets", type=chosen_sets, default=list(SETS), help=f"of {','.join(SETS)}")
    quick = f"no sets but {','.join(QUICK)}, which need no ESA_DATA"
    parser.add_argument("--quick", action="store_const", dest="sets", const=list(QUICK), help=quick)
    parser.add_argument("--bam", action="store_true", help="compare BAM files")
    parser.add_argument("--show", type=int, default=SHOWN, help="records that differ, of each comparison")
    return parser.parse_args()


def report(found: Sequence[Compared], commit: str, show: int) -> None:
    """The table, the first records that differ, and a line on all."""
    rows = [one.row() for one in found]
    print(
        Table(
            "Beside the baseline", f"{title(commit)}; differing records by where they belong.", COLUMNS, rows
        ).text()
    )
    unequal = [one for one in found if not one.equal]
    for one in unequal:
        print(f"\n{one.examples(show)}")
    print(f"\n{len(unequal)} of {len(found)} comparisons differ" if unequal else "\nall equal")


def main() -> None:
    """Run the command."""
    args = parse()
    place = Workplace(args.data.resolve(), args.out.resolve(), args.threads[0])
    suffix = ".bam" if args.bam else ".sam"
    with beside_baseline(place, args.baseline) as both:
        make = partial(read_set, place, today=both.today, pairs=args.pairs, seed=args.seed)
        found = [
            one
            for name in args.sets
            for one in comparisons(place, both, make(name=name), args.threads[1:], suffix)
        ]
        report(found, both.commit, args.show)
    sys.exit(not all(one.equal for one in found))


if __name__ == "__main__":
    guarded(main)
