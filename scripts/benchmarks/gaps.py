"""Gaps of up to 50 bases: whether an aligner reports them in one CIGAR, left-aligned, and what it clips.

    python -m scripts.benchmarks.gaps                 (make bench-gaps)

Reads come from unique places of human chromosome 20, with 0.2 % substitutions. Each holds one insertion or deletion of
1 to 50 bases at a chosen distance from the nearer end (the flank); of a pair one end holds the gap. A gap is found if
the primary record has exactly one insertion or deletion, of that length, at that place. Both places are compared after
left-alignment.

A gap is *due* if the score to the end of the read beats the score of a clipped end. The score is that of bwa mem and
esa: match 1, mismatch -4, a gap of k costs 6 + k, an end is worth 5. Other costs (two-piece ones for long gaps) are
those of minimap2 -ax sr, which shows what they would find.

Clipped bases are counted on the same reads, on ordinary simulated reads, and on real ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray

from esa.io.fasta import read_genome
from esa.sequence import dna
from scripts.common.aligners import Aligner, bwa, esa, minimap2
from scripts.common.cache import cached, digest, file_digest, simulator_digest
from scripts.common.command_line import add_common_options, guarded, script_parser, settings, workplace
from scripts.common.primary_records import primaries
from scripts.common.programs import ESA, need, run
from scripts.common.real_sets import CEU, CHR20, NA12878
from scripts.common.stats import Flags, compare, percent
from scripts.common.tables import Table, number, publish
from scripts.common.workplace import Workplace
from scripts.data import gap_reads as reads_module
from scripts.data.gap_reads import FLANKS, KINDS, LENGTHS, GapRead, gaps, left_aligned, make_reads, shifts

READ_LENGTHS = (150, 250)
LAYOUTS = ("single", "paired")
INSERT = (500, 50)
REPEATS = 200
ORDINARY_DIVERGENCES = (0.6, 2.0, 5.0)
ORDINARY_PAIRS = 20_000
PEER, OURS = "bwa", "esa-anchored"


def aligners() -> list[Aligner]:
    """bwa mem, esa and minimap2."""
    return [bwa(), esa(), minimap2()]


# Reads


def gap_reads(place: Workplace, length: int, layout: str, repeats: int, seed: int) -> list[Path]:
    """FASTQ files, from the cache or made now."""
    reference = place.reference(CHR20)
    paired = layout == "paired"
    names = ["R1.fq", "R2.fq"][: 1 + paired]

    def make(partial: Path) -> None:
        partial.mkdir()
        codes = read_genome(str(reference)).contig(0)
        fragments = make_reads(codes, length, repeats, INSERT if paired else None, seed)
        files = [(partial / name).open("w") for name in names]
        for i, fragment in enumerate(fragments):
            for file, read in zip(files, fragment.reads, strict=True):
                bases = dna.decode(read).decode()
                file.write(f"@{fragment.truth.name(i)}\n{bases}\n+\n{'I' * len(bases)}\n")
        for file in files:
            file.close()

    source = file_digest(Path(reads_module.__file__))
    key = digest(reference.name, length, layout, repeats, seed, source)
    folder = cached(place.out / "reads" / f"gaps-{length}-{layout}-{key}", make)
    return [folder / name for name in names]


def ordinary_reads(place: Workplace, divergence: float, seed: int) -> list[Path]:
    """Pairs of 150 bases of `esa simulate`, from the cache or made now."""
    reference = place.reference(CHR20)
    options = ["--pairs", ORDINARY_PAIRS, "--divergence", divergence, "--seed", seed]
    options += ["--insert", INSERT[0], "--insert-sd", INSERT[1], "--no-gzip"]
    words = list(map(str, options))

    def make(partial: Path) -> None:
        partial.mkdir()
        run([*ESA, "simulate", reference, *words, "-o", partial / "reads"])

    key = digest(reference.name, simulator_digest(), *words)
    folder = cached(place.out / "reads" / f"ordinary-{divergence:g}-{key}", make)
    return [folder / "reads_R1.fq", folder / "reads_R2.fq"]


# Gaps


@dataclass(frozen=True)
class Found:
    """Of n gap reads in the order of their numbers.

    Attributes:
        truths: what each holds.
        found: ``bool[n]``.
    """

    truths: tuple[GapRead, ...]
    found: Flags

    def of_kind(self, kind: str) -> Flags:
        """``bool[n]``: reads with a gap of this kind."""
        return np.array([truth.kind == kind for truth in self.truths], np.bool_)

    def of_gap(self, kind: str, length: int, flank: tuple[int, int]) -> Flags:
        """``bool[n]``: reads with a gap of this kind and length, its distance from the nearer end in ``flank``."""
        low, high = flank
        near = [truth.length == length and low <= truth.flank < high for truth in self.truths]
        return self.of_kind(kind) & np.array(near, np.bool_)

    @property
    def due(self) -> Flags:
        """``bool[n]``: reads whose gap scores more than a clipped end."""
        return np.array([truth.gain > 0 for truth in self.truths], np.bool_)


def shows(record: pysam.AlignedSegment, truth: GapRead, reference: NDArray[np.uint8]) -> bool:
    """Whether a record has the gap and no other."""
    if record.is_unmapped or record.is_reverse != truth.reverse:
        return False
    seen = gaps(record.cigartuples or (), record.reference_start)
    if len(seen) != 1 or (seen[0][0].kind, seen[0][0].length) != (truth.kind, truth.length):
        return False
    read = dna.encode((record.query_sequence or "").encode())
    return left_aligned(seen[0][0], read, reference) == left_aligned(truth.gap, read, reference)


def judge(sam: Path, reference: NDArray[np.uint8]) -> Found:
    """Whether the primary records of a SAM file show the gaps that the names of their reads hold."""
    truths: dict[int, tuple[GapRead, bool]] = {}
    for record in primaries(sam):
        name = record.query_name or ""
        truth = GapRead.of_name(name)
        if truth.end == int(record.is_read2):
            truths[int(name.rsplit(":", 1)[1])] = truth, shows(record, truth, reference)
    ordered = [truths[i] for i in sorted(truths)]
    return Found(tuple(t for t, _ in ordered), np.array([f for _, f in ordered], np.bool_))


def bin_name(flank: tuple[int, int]) -> str:
    """Of a bin of flanks."""
    low, high = flank
    return f"{low}+" if flank == FLANKS[-1] else f"{low}-{high - 1}"


def share(found: dict[str, Found], chosen: Flags) -> str:
    """``esa / bwa / minimap2, b and c`` of the reads that are chosen."""
    flags = {name: one.found[chosen] for name, one in found.items()}
    if not len(flags[OURS]):
        return "-"
    seen = compare(flags[PEER], flags[OURS])
    shares = " / ".join(number(percent(flags[name]), 1) for name in (OURS, PEER, "minimap2"))
    return f"{shares} ({seen.b}, {seen.c})"


def gap_table(label: str, found: dict[str, Found]) -> Table:
    """A row per kind and length of gap and bin of flanks."""
    rows = []
    for kind in KINDS:
        for length in LENGTHS:
            cells = [share(found, found[OURS].of_gap(kind, length, flank)) for flank in FLANKS]
            rows.append([f"{kind}{length}", *cells])
    return Table(
        f"Gaps found, {label}",
        "Per cent of reads by kind and length of the gap (rows) and flank (columns): esa / bwa / minimap2, "
        "in brackets b and c, the reads that only bwa and only esa found.",
        ("gap", *map(bin_name, FLANKS)),
        rows,
    )


def due_table(found: dict[str, dict[str, Found]]) -> Table:
    """Over all lengths: the gaps that the score asks for and the others; esa against bwa by paired noise."""
    rows = []
    for label, sets in found.items():
        for kind in KINDS:
            for due in (True, False):
                chosen = sets[OURS].of_kind(kind) & (sets[OURS].due == due)
                flags = {name: one.found[chosen] for name, one in sets.items()}
                seen = compare(flags[PEER], flags[OURS])
                shares = [number(percent(flags[name]), 2) for name in (OURS, PEER, "minimap2")]
                verdict = ("SHORT" if seen.falls_short() else "met") if due else ""
                what = f"{label} {kind}, {'due' if due else 'not due'}"
                rows.append([what, f"{seen.n:,}", *shares, str(seen.b), str(seen.c), verdict])
    caption = "Per cent found; SHORT if b - c > 0.0003 n + 2 sqrt(b + c)."
    return Table(
        "Gaps that the score asks for", caption, ("", "n", "esa", "bwa", "minimap2", "b", "c", ""), rows
    )


def missed_table(found: dict[str, dict[str, Found]], sams: dict[str, dict[str, Path]], n: int) -> Table:
    """Examples of due gaps that bwa shows and esa does not."""
    rows = []
    for label, sets in found.items():
        ours, peer = sets[OURS], sets[PEER]
        lost = [i for i in np.flatnonzero(peer.found & ~ours.found) if ours.truths[i].gain > 0][:n]
        names = {ours.truths[i].name(int(i)): ours.truths[i].end for i in lost}
        shown: dict[str, list[str]] = {name: [] for name in names}
        for aligner in (OURS, PEER):
            for record in primaries(sams[label][aligner]):
                name = record.query_name or ""
                if names.get(name) == int(record.is_read2):
                    shown[name].append(
                        f"{record.reference_start}:{record.cigarstring}:{record.mapping_quality}"
                    )
        rows += [[label, name, *what] for name, what in shown.items()]
    caption = (
        "Name: kind:length:flank:place:base:gain:end:reverse:number. Records: 0-based start, CIGAR, MAPQ."
    )
    return Table("Due gaps that only bwa shows", caption, ("", "read", "esa", "bwa"), rows)


def left_table(sams: dict[str, dict[str, Path]], reference: NDArray[np.uint8]) -> Table:
    """Of all gaps of all primary records, those that could not stand further left."""
    rows = []
    for label, files in sams.items():
        row = [label]
        for name in (OURS, PEER, "minimap2"):
            total = left = 0
            for record in primaries(files[name]):
                if record.is_unmapped or not set("ID") & set(record.cigarstring or ""):
                    continue
                read = dna.encode((record.query_sequence or "").encode())
                for gap, before in gaps(record.cigartuples or (), record.reference_start):
                    total += 1
                    # A gap that would swallow the bases before it whole is a clip's neighbour, or another gap's.
                    left += before <= 1 or not shifts(gap, read, reference)
            row += [f"{total:,}", number(100 * left / max(total, 1), 3)]
        rows.append(row)
    columns = ("", "esa gaps", "left %", "bwa gaps", "left %", "minimap2 gaps", "left %")
    return Table("Gaps that are left-aligned", "Of all gaps of the primary records.", columns, rows)


# Clips


@dataclass(frozen=True)
class Clips:
    """By read and end, of the mapped primary records: start, clipped bases."""

    records: dict[tuple[str, bool], tuple[int, int]]


def clips_of(sam: Path) -> Clips:
    """Clipped bases of the primary records of a SAM file."""
    found = {}
    for record in primaries(sam):
        if not record.is_unmapped:
            cigar = record.cigartuples or ()
            clipped = sum(length for operation, length in cigar if operation == pysam.CSOFT_CLIP)
            found[record.query_name or "", record.is_read2] = record.reference_start, clipped
    return Clips(found)


SAME_LOCUS = 500


def clip_table(sams: dict[str, dict[str, Path]]) -> Table:
    """Over the reads that both place at one locus."""
    rows = []
    for label, files in sams.items():
        ours, peer = (clips_of(files[name]).records for name in (OURS, PEER))
        both = [
            (ours[key][1], peer[key][1])
            for key in ours.keys() & peer.keys()
            if abs(ours[key][0] - peer[key][0]) <= SAME_LOCUS
        ]
        counts = np.array(both, np.int64).reshape(-1, 2)
        (a, b), more = counts.sum(axis=0), int((counts[:, 0] > counts[:, 1]).sum())
        less = int((counts[:, 0] < counts[:, 1]).sum())
        clipped = [f"{int(x):,}" for x in (counts > 0).sum(axis=0)]
        rows.append(
            [
                label,
                f"{len(counts):,}",
                f"{a:,}",
                f"{b:,}",
                number(a / max(b, 1), 3),
                *clipped,
                str(more),
                str(less),
            ]
        )
    return Table(
        "Clipped bases",
        "Of the primary records that esa and bwa place at one locus; in the last two columns the reads of which "
        "esa clips more, and less.",
        ("reads", "n", "bases esa", "bases bwa", "ratio", "reads esa", "reads bwa", "more", "less"),
        rows,
    )


# Main


def align_all(place: Workplace, reads: Sequence[Path]) -> dict[str, Path]:
    """A SAM file per aligner, by its name."""
    reference = place.reference(CHR20)
    return {aligner.name: aligner.align(place, reference, reads) for aligner in aligners()}


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = script_parser(__doc__)
    add_common_options(parser)
    parser.add_argument("--repeats", type=int, default=REPEATS, help="reads of each gap and bin of flanks")
    parser.add_argument(
        "--examples", type=int, default=0, help="print so many gaps a set that only bwa shows"
    )
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse()
    need(PEER, "minimap2")
    place = workplace(args)
    reference = read_genome(str(place.reference(CHR20))).contig(0)
    sams, found = {}, {}
    for length in READ_LENGTHS:
        for layout in LAYOUTS:
            label = f"{length} {layout}"
            sams[label] = align_all(place, gap_reads(place, length, layout, args.repeats, args.seed))
            found[label] = {name: judge(sam, reference) for name, sam in sams[label].items()}
    others = {
        f"150 paired, {d:g} %": align_all(place, ordinary_reads(place, d, args.seed))
        for d in ORDINARY_DIVERGENCES
    }
    for real in (NA12878, CEU):
        others[real.name] = align_all(place, place.real_reads(real))
    everything = {f"gaps {label}": files for label, files in sams.items()} | others
    shown = [gap_table(label, sets) for label, sets in found.items()]
    shown += [due_table(found), left_table(everything, reference), clip_table(everything)]
    if args.examples:
        shown.append(missed_table(found, sams, args.examples))
    publish(shown, place.out / "gaps.json", {"settings": settings(args, [PEER, "minimap2"])})


if __name__ == "__main__":
    guarded(main)
