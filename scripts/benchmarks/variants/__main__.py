"""Variants called from esa's alignments and from those of its peers, compared with the truth.

    python -m scripts.benchmarks.variants --region 20:10000000-18000000

`bcftools consensus` makes both haplotypes of NA12878 (GIAB v3.3.2, chromosome 20). Reads of dwgsim, 15x of each and
with sequencing errors only, are aligned to the whole chromosome and sorted. `bcftools mpileup | bcftools call -mv`
calls variants from each aligner's output alike. The truth is the haplotypes: outside the VCF they are the reference, so
every false call counts and no confident regions are needed. Unphased genotypes (266 of 78,096) are taken as they stand:
the first allele on the first haplotype. A record that overlaps the one before it is left out (10 of them), from
haplotypes and truth alike.

Calls and truth are normalised (`bcftools norm -f -m -any`); an allele counts if position, REF and ALT are the same.
Figures are at QUAL >= LEAST for all, and at each aligner's own threshold of the highest F1.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pysam

from scripts.benchmarks.variants.calls import (
    KINDS,
    Calls,
    Match,
    Variant,
    best_threshold,
    cause,
    match,
    parse_calls,
    pile,
)
from scripts.common.aligners import Aligner, bwa, esa, minimap2
from scripts.common.cache import cached, digest
from scripts.common.command_line import add_common_options, guarded, script_parser, settings, workplace
from scripts.common.programs import BenchError, Command, need, run, version_of
from scripts.common.real_sets import CHR20
from scripts.common.tables import Table, publish
from scripts.common.workplace import Workplace, unpacked_dwgsim

TRUTH = "HG001_GIAB_v3.3.2_GRCh37_chr20.vcf.gz"
REGION = "20:10000000-18000000"
SAMPLE = "NA12878"
READ_GROUP = rf"@RG\tID:{SAMPLE}\tSM:{SAMPLE}"

DEPTH = 30
READ_LENGTH = 150
# Errors alone, their rate and the qualities that state it going along the read; no mutations, no random reads.
DWGSIM = "-r 0 -R 0 -H -y 0 -n 0 -e 0.001-0.006 -E 0.001-0.006 -o 1 -d 400 -s 50"
LEAST_QUALITY = 20.0
PROGRAMS = ("bwa", "minimap2", "dwgsim", "samtools", "bcftools")


@dataclass(frozen=True)
class Region:
    """1-based, both ends included, as bcftools has it."""

    contig: str
    first: int
    last: int

    @property
    def length(self) -> int:
        """Bases of it."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.contig}:{self.first}-{self.last}"


def parse_region(text: str, lengths: dict[str, int]) -> Region:
    """``CONTIG`` or ``CONTIG:FIRST-LAST``."""
    contig, _, span = text.partition(":")
    try:
        first, last = map(int, span.replace(",", "").split("-")) if span else (1, lengths[contig])
        if 1 <= first < last <= lengths[contig]:
            return Region(contig, first, last)
    except (KeyError, ValueError):
        pass
    raise BenchError(f"no such region of the reference: {text}")


def pipe(commands: Sequence[Command], stdout: Path) -> str:
    """Run commands with pipes between; the last one's output goes to ``stdout``. Returns all stderr."""
    script = " | ".join(" ".join(f"'{word}'" for word in command) for command in commands)
    return run(["bash", "-c", f"set -o pipefail; {script}"], stdout)


# What is simulated


def without_overlaps(source: Path, region: Region, target: Path) -> None:
    """The records within the region, bgzipped and indexed, but for those that overlap the one before."""
    with (
        pysam.VariantFile(str(source)) as records,
        pysam.VariantFile(str(target), "w", header=records.header) as kept,
    ):
        free = region.first
        for record in records:
            if record.contig == region.contig and free <= record.pos and record.stop <= region.last:
                kept.write(record)
                free = record.stop + 1
    pysam.tabix_index(str(target), preset="vcf", force=True)


def haplotypes(place: Workplace, reference: Path, region: Region) -> Path:
    """A folder with ``truth.vcf.gz`` and ``haplotypes.fa``, records hap1 and hap2."""
    source = place.data / "truth" / TRUTH

    def make(partial: Path) -> None:
        partial.mkdir()
        truth = partial / "truth.vcf.gz"
        without_overlaps(source, region, truth)
        with (partial / "haplotypes.fa").open("w") as out:
            for haplotype in ("1", "2"):
                consensus = ["bcftools", "consensus", "-H", haplotype, truth]
                made = partial / "one.fa"
                said = pipe([["samtools", "faidx", reference, str(region)], consensus], made)
                if "skipping" in said:
                    raise BenchError(f"bcftools consensus left records out of haplotype {haplotype}:\n{said}")
                _, bases = made.read_text().split("\n", 1)
                out.write(f">hap{haplotype}\n{bases}")
                made.unlink()

    key = digest(reference.name, TRUTH, source.stat().st_size, region, version_of("bcftools"))
    return cached(place.out / "variants" / f"haplotypes-{key}", make)


def reads_of(place: Workplace, folder: Path, region: Region, seed: int) -> list[Path]:
    """Pairs at `DEPTH` of the two haplotypes together."""
    pairs = DEPTH * region.length // (2 * READ_LENGTH)
    options = [*DWGSIM.split(), "-1", str(READ_LENGTH), "-2", str(READ_LENGTH), "-N", str(pairs)]
    options += ["-z", str(seed)]

    def make(partial: Path) -> None:
        partial.mkdir()
        run(["dwgsim", *options, folder / "haplotypes.fa", partial / "reads"])
        unpacked_dwgsim(partial)

    made = cached(
        place.out / "variants" / f"reads-{digest(folder.name, version_of('dwgsim'), *options)}", make
    )
    return [made / "R1.fq", made / "R2.fq"]


# What is called


def sorted_bam(place: Workplace, aligner: Aligner, reference: Path, reads: Sequence[Path]) -> Path:
    """The aligner's output, sorted and indexed, from the cache or made now."""
    index = aligner.index(place, reference)
    key = digest(aligner.name, aligner.version(), reference.name, reads[0].parent.name)

    def make(partial: Path) -> None:
        sam = partial.with_suffix(".sam")
        try:
            command, stdout = aligner.command(place, index, reads, sam)
            run(command, stdout)
            run(["samtools", "sort", "-@", str(place.threads), "-o", partial, sam])
        finally:
            sam.unlink(missing_ok=True)

    bam = cached(place.out / "variants" / f"{aligner.name}-{key}.bam", make)
    cached(bam.with_suffix(".bam.bai"), lambda partial: run(["samtools", "index", bam, partial]))
    return bam


def parts_of(region: Region, n: int) -> list[Region]:
    """The region cut into ``n`` parts of about one length, for as many processes."""
    cuts = [region.first + i * region.length // n for i in range(n)] + [region.last + 1]
    return [Region(region.contig, a, b - 1) for a, b in itertools.pairwise(cuts)]


def called(place: Workplace, reference: Path, bam: Path, region: Region) -> Path:
    """The normalised calls of a BAM, as tab-separated lines, from the cache or made now."""
    words = "'{0}' mpileup -f '{1}' -r {2} '{3}' | '{0}' call -mv -Ou | '{0}' norm -f '{1}' -m -any -Ou"

    def make(partial: Path) -> None:
        names = [partial.with_suffix(f".{i}") for i in range(place.threads)]
        jobs = []
        for part, name in zip(parts_of(region, place.threads), names, strict=True):
            script = words.format("bcftools", reference, part, bam)
            script += f" | bcftools query -f '{QUERY}' > '{name}'"
            jobs.append(
                subprocess.Popen(["bash", "-c", f"set -o pipefail; {script}"], stderr=subprocess.DEVNULL)
            )
        failed = [job.wait() for job in jobs]
        if any(failed):
            raise BenchError(f"bcftools failed on {bam}")
        partial.write_bytes(b"".join(name.read_bytes() for name in names))
        for name in names:
            name.unlink()

    key = digest(words, QUERY, bam.name, region, version_of("bcftools"))
    return cached(place.out / "variants" / f"{bam.stem}-{key}.tsv", make)


QUERY = r"%POS\t%REF\t%ALT\t%QUAL[\t%GT]\n"


def truth_calls(place: Workplace, reference: Path, folder: Path) -> Calls:
    """The true variants of the region."""
    truth = folder / "truth.vcf.gz"

    def make(partial: Path) -> None:
        norm: Command = ["bcftools", "norm", "-f", reference, "-m", "-any", truth]
        pipe([norm, ["bcftools", "query", "-f", QUERY]], partial)

    key = digest(folder.name, QUERY, version_of("bcftools"))
    path = cached(place.out / "variants" / f"truth-{key}.tsv", make)
    return parse_calls(path.read_text().splitlines())


# What is printed


def row(kind: str, genotypes: bool, name: str, least: float, found: Match) -> list[str]:
    """A row of a table: shares and counts."""
    shares = [f"{100 * x:.3f}" for x in (found.precision, found.recall, found.f1)]
    counts = [f"{n:,}" for n in (found.right, len(found.false), len(found.missed))]
    return [f"{kind}, {'genotype' if genotypes else 'allele'}", name, f"{least:.1f}", *counts, *shares]


COLUMNS = ("variants", "aligner", "QUAL >=", "TP", "FP", "FN", "precision %", "recall %", "F1 %")


def tables(truth: Calls, calls: dict[str, Calls], region: Region) -> list[Table]:
    """One table at the common threshold, one at each aligner's best."""
    fixed, best = [], []
    for kind in KINDS:
        for genotypes in (False, True):
            for name, found in calls.items():
                matched = match(truth, found, kind, LEAST_QUALITY, genotypes)
                fixed.append(row(kind, genotypes, name, LEAST_QUALITY, matched))
                least = best_threshold(truth, found, kind, genotypes)
                best.append(row(kind, genotypes, name, least, match(truth, found, kind, least, genotypes)))
    depth = f"{DEPTH}x of 2x{READ_LENGTH} from both haplotypes, {region}"
    return [
        Table(f"Variants at QUAL >= {LEAST_QUALITY:g}", depth, COLUMNS, fixed),
        Table("Variants at the threshold of the highest F1", depth, COLUMNS, best),
    ]


def verdicts(truth: Calls, calls: dict[str, Calls]) -> Table:
    """esa against bwa mem at the same threshold: no lower in any of the three."""
    rows = []
    for kind in KINDS:
        for genotypes in (False, True):
            peer, ours = (
                match(truth, calls[name], kind, LEAST_QUALITY, genotypes) for name in ("bwa", "esa-anchored")
            )
            for what in ("precision", "recall", "f1"):
                a, b = getattr(ours, what), getattr(peer, what)
                label = f"{kind}, {'genotype' if genotypes else 'allele'}: {what}"
                rows.append([label, f"{100 * a:.4f}", f"{100 * b:.4f}", "met" if a >= b else "SHORT"])
    caption = f"At QUAL >= {LEAST_QUALITY:g}, in percent."
    return Table("No lower than bwa mem", caption, ("figure", "esa", "bwa", ""), rows)


def differences(truth: Calls, calls: dict[str, Calls], bams: dict[str, Path], region: Region) -> Table:
    """Alleles that one of esa and bwa has with the right genotype and the other has not, and how the reads lie."""
    rows = []
    with (
        pysam.AlignmentFile(str(bams["esa-anchored"])) as ours,
        pysam.AlignmentFile(str(bams["bwa"])) as peers,
    ):
        for kind in KINDS:
            a, b = (match(truth, calls[x], kind, LEAST_QUALITY, True) for x in ("esa-anchored", "bwa"))
            sets: tuple[tuple[str, Sequence[Variant]], ...] = (
                ("missed by esa only", sorted(set(a.missed) - set(b.missed))),
                ("missed by bwa only", sorted(set(b.missed) - set(a.missed))),
                ("false with esa only", sorted(set(a.false) - set(b.false))),
                ("false with bwa only", sorted(set(b.false) - set(a.false))),
            )
            for what, variants in sets:
                for v in variants:
                    mine, theirs = pile(ours, region.contig, v), pile(peers, region.contig, v)
                    worse = (mine, theirs) if "esa" in what else (theirs, mine)
                    allele = f"{v.position} {v.ref}>{v.alt}"
                    rows.append([f"{kind} {what}", allele, cause(*worse), str(mine), str(theirs)])
    caption = "A wrong genotype is both missed and false. The cause is a guess from what differs most in the two piles."
    return Table("Where esa and bwa differ", caption, ("", "allele", "cause", "esa", "bwa"), rows)


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = script_parser(__doc__)
    add_common_options(parser)
    parser.add_argument("--region", default=REGION, help="what is simulated and called; 20 is all (hours)")
    parser.add_argument(
        "--aligners", default="bwa,esa,minimap2", help="with commas between; bwa and esa stay"
    )
    parser.add_argument("--differences", action="store_true", help="list where esa and bwa differ")
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse()
    need(*PROGRAMS)
    place = workplace(args)
    reference = place.reference(CHR20)
    cached(
        Path(f"{reference}.fai"), lambda partial: run(["samtools", "faidx", reference, "--fai-idx", partial])
    )
    with pysam.FastaFile(str(reference)) as fasta:
        lengths = dict(zip(fasta.references, fasta.lengths, strict=True))
    region = parse_region(args.region, lengths)
    folder = haplotypes(place, reference, region)
    reads = reads_of(place, folder, region, args.seed)
    group = ["-R", READ_GROUP]
    makers = {"bwa": lambda: bwa(group), "esa": lambda: esa(extra=group), "minimap2": lambda: minimap2(group)}
    wanted = dict.fromkeys(["bwa", "esa", *args.aligners.split(",")])
    bams = {}
    for name in wanted:
        if name not in makers:
            raise BenchError(f"no aligner {name!r} here: {', '.join(makers)}")
        aligner = makers[name]()
        bams[aligner.name] = sorted_bam(place, aligner, reference, reads)
    truth = truth_calls(place, reference, folder)
    calls = {
        name: parse_calls(called(place, reference, bam, region).read_text().splitlines())
        for name, bam in bams.items()
    }
    shown = [*tables(truth, calls, region), verdicts(truth, calls)]
    if args.differences:
        shown.append(differences(truth, calls, bams, region))
    publish(shown, place.out / "variants.json", {"settings": settings(args, PROGRAMS)})


if __name__ == "__main__":
    guarded(main)
