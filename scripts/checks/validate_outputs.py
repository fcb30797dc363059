"""Does picard find fault with what esa writes?

    python -m scripts.checks.validate_outputs [--pairs 5000] [--only TEXT]

Aligns every real set and simulated reads with a read group, and sorts with samtools. Then runs samtools quickcheck, and
picard ValidateSamFile with the reference, so that NM is checked (but see `verdict_of_picard`); nothing is ignored.
HCC1187C are reads of the whole genome on chromosome 20: most stay unmapped. Chimeric reads
(`scripts.data.chimeric_reads`) and two of the other sets are aligned again with each set of options that makes more
records: hard and soft clips, secondary records, XA.

Prints a row per set: records, mapped %, secondary and supplementary records, the verdicts of quickcheck and of picard
(`No errors found`, or its summary). Exit code 1 if any set fails. The BAM files stay in bench_out/validate.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pysam

from esa.io.records import FLAG_SECONDARY, FLAG_SUPPLEMENTARY, FLAG_UNMAPPED
from scripts.common.aligners import esa
from scripts.common.cache import cached
from scripts.common.command_line import add_common_options, guarded, script_parser, workplace
from scripts.common.programs import BenchError, need, note, run
from scripts.common.real_sets import CEU, CHR20, DONORS, DSM30083, ECOLI_536, HCC1187C, HIV, NA12878, RealSet
from scripts.common.tables import table
from scripts.common.workplace import Workplace
from scripts.data.chimeric_reads import chimeric_reads

REAL_SETS: tuple[RealSet, ...] = (NA12878, CEU, HIV, DSM30083, HCC1187C, DONORS)
LENGTHS = (150, 250)
OPTIONS = ((), ("-a",), ("-k", "20", "-Y", "--eqx"), ("-Y", "--xa"))
"""Of the sets that are to have supplementary and secondary records."""
CHIMERIC_LENGTH = 250
CLEAN = "No errors found"
READ_GROUP = r"@RG\tID:validate\tSM:sample\tPL:ILLUMINA\tLB:library"


@dataclass(frozen=True)
class Case:
    """One output to validate."""

    name: str
    reference: Path
    reads: Sequence[Path]
    preset: str = "anchored"
    options: Sequence[str] = ()


@dataclass(frozen=True)
class Verdict:
    """What was found of one case."""

    name: str
    records: int
    mapped: int
    secondary: int
    supplementary: int
    quickcheck: str
    picard: str

    @property
    def clean(self) -> bool:
        """Whether neither program finds fault."""
        return self.quickcheck == "ok" and self.picard == CLEAN


def cases(place: Workplace, pairs: int, seed: int) -> Iterator[Case]:
    """Everything that is validated."""
    for real in REAL_SETS:
        yield Case(real.name, place.reference(real.reference), place.real_reads(real))
    for label, name in (("chr20", CHR20), ("ecoli536", ECOLI_536)):
        reference = place.reference(name)
        for length in LENGTHS:
            reads = place.simulated(reference, length, pairs, seed)
            yield Case(f"{label} 2x{length}", reference, reads)
            yield Case(f"{label} 1x{length}", reference, reads[:1])
        for preset in ("sketch", "rde"):
            yield Case(f"{label} 2x{LENGTHS[-1]} {preset}", reference, reads, preset)
    reference = place.reference(CHR20)
    chimeric = [chimeric_reads(place, reference, CHIMERIC_LENGTH, pairs, seed)]
    simulated = place.simulated(reference, LENGTHS[0], pairs, seed)
    for options in OPTIONS:
        label = " ".join(options) or "by default"
        yield Case(f"chimeric 1x{CHIMERIC_LENGTH} {label}", reference, chimeric, options=options)
        if options:
            yield Case(f"chr20 2x{LENGTHS[0]} {label}", reference, simulated, options=options)
            yield Case(
                f"{HIV.name} {label}", place.reference(HIV.reference), place.real_reads(HIV), options=options
            )


def with_dictionary(reference: Path) -> Path:
    """The reference, after making the .fai and .dict that picard wants beside it."""
    cached(
        reference.with_suffix(".dict"),
        lambda partial: run(
            ["PicardCommandLine", "CreateSequenceDictionary", f"R={reference}", f"O={partial}"]
        ),
    )
    if not reference.with_name(f"{reference.name}.fai").exists():
        run(["samtools", "faidx", reference])
    return reference


def sorted_bam(place: Workplace, case: Case) -> Path:
    """The alignments of a case, sorted by coordinate."""
    aligner = esa(case.preset, ("-R", READ_GROUP, *case.options))
    sam = aligner.align(place, case.reference, case.reads)
    bam = place.out / "validate" / f"{sam.stem}.bam"
    return cached(
        bam, lambda partial: run(["samtools", "sort", "-@", str(place.threads), "-o", partial, sam])
    )


def quickcheck(bam: Path) -> str:
    """The verdict of samtools quickcheck."""
    done = subprocess.run(["samtools", "quickcheck", "-v", str(bam)], capture_output=True, text=True)
    return "ok" if done.returncode == 0 else f"FAILED {done.stderr.strip()}"


def verdict_of_picard(bam: Path, reference: Path, secondary: bool) -> str:
    """Picard's verdict with the reference, in two steps for a file with secondary records.

    Picard gives up on records that have NM but no bases, and warns where qualities are missing. Secondary records are
    such, those of bwa mem as well. So the whole file is checked without the reference and without that warning. Then
    the file without secondary records is checked with both.
    """
    if not secondary:
        return picard(bam, f"R={with_dictionary(reference)}")
    whole = picard(bam, "IGNORE=QUALITY_NOT_STORED")
    if whole != CLEAN:
        return whole
    with tempfile.TemporaryDirectory() as folder:
        rest = Path(folder) / "rest.bam"
        run(["samtools", "view", "-b", "-F", str(FLAG_SECONDARY), "-o", rest, bam])
        return picard(rest, f"R={with_dictionary(reference)}")


def picard(bam: Path, *options: str) -> str:
    """`CLEAN`, or picard's summary on one line. Its exit code only says whether there are errors."""
    command = ["PicardCommandLine", "ValidateSamFile", f"I={bam}", *options]
    done = subprocess.run(
        [*command, "MODE=SUMMARY"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if CLEAN in lines:
        return CLEAN
    findings = [line.replace("\t", " ") for line in lines if line.startswith(("ERROR:", "WARNING:"))]
    if not findings:
        raise BenchError(f"picard gave no verdict on {bam}:\n{done.stderr[-2000:]}")
    return "; ".join(findings)


def validate(place: Workplace, case: Case) -> Verdict:
    """Align a case and ask both programs."""
    note(case.name)
    bam = sorted_bam(place, case)
    with pysam.AlignmentFile(str(bam)) as records:
        flags = np.array([record.flag for record in records])
    unmapped, secondary, supplementary = (
        int(np.count_nonzero(flags & x)) for x in (FLAG_UNMAPPED, FLAG_SECONDARY, FLAG_SUPPLEMENTARY)
    )
    return Verdict(
        case.name, len(flags), len(flags) - unmapped, secondary, supplementary, quickcheck(bam),
        verdict_of_picard(bam, case.reference, secondary > 0),
    )  # fmt: skip


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = script_parser(__doc__)
    add_common_options(parser)
    parser.add_argument("--pairs", type=int, default=5_000, help="simulated pairs")
    parser.add_argument("--only", default="", help="only the sets whose name holds this text")
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse()
    need("samtools", "PicardCommandLine", "dwgsim")
    place = workplace(args)
    verdicts = [
        validate(place, case)
        for case in cases(place, args.pairs, args.seed)
        if args.only.lower() in case.name.lower()
    ]
    rows = [
        [
            v.name, f"{v.records:,}", f"{100 * v.mapped / max(v.records, 1):.2f}", f"{v.secondary:,}",
            f"{v.supplementary:,}", v.quickcheck, v.picard,
        ]
        for v in verdicts
    ]  # fmt: skip
    print(table(("reads", "records", "mapped %", "secondary", "supplementary", "quickcheck", "picard"), rows))
    if not verdicts or not all(v.clean for v in verdicts):
        sys.exit(1)


if __name__ == "__main__":
    guarded(main)
