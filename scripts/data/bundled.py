"""Makes the files of data/ from the larger collection, so that every one of them has a command behind it.

    python -m scripts.data.bundled [--collection ../shared/data] [--out data]

Needs bwa and dwgsim. Prints one line per file: name, bytes. The same run gives the same content (gzip without time
stamp). data/README.md describes each file.
"""

from __future__ import annotations

import gzip
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from scripts.common.command_line import script_parser

WHOLE_FILES = (
    "ref/ecoli_K12_MG1655_NC_000913.3.fa.gz",
    "ref/lambda_phage.fa.gz",
    "ref/human_MT.fa.gz",
    "ref/hiv1_DQ234790.fa.gz",
    "reads/ecoli_DSM30083_SRR3927310_PE76_R1.fq.gz",
    "reads/ecoli_DSM30083_SRR3927310_PE76_R2.fq.gz",
)
MG1655 = "ecoli_K12_MG1655_NC_000913.3.fa.gz"
DSM30083 = "ecoli_DSM30083_SRR3927310_PE76"
NA12878 = "human_NA12878_PE101_chr20_10.0-10.1Mb"
HIV = "hiv1_PE250"
DONORS = "human_10donors_PE151_chr22A"

# 1-based, inclusive: the read window and 25 kb on either side.
CHR20_WINDOW = (9_975_001, 10_125_000)
CHR20_CUT = f"human_GRCh37_chr20_{CHR20_WINDOW[0]}-{CHR20_WINDOW[1]}.fa.gz"

SIMULATION = (
    "-e 0 -E 0 -H -r 0.006 -R 0.1 -X 0.333333 -y 0 -n 0 -1 150 -2 150 -d 400 -s 50 -N 10000 -z 11 -q I -o 1"
)
SIMULATED = "ecoli_K12_MG1655_dwgsim_PE150"

PRIMATE_CUT = "primate22A_human_200contigs.fa.gz"
N_HIT_CONTIGS, N_SHORT_CONTIGS = 150, 50
N_DONOR_PAIRS_INSIDE, N_DONOR_PAIRS_OUTSIDE = 270, 30
CONFIDENT_MAPQ = 30

FIXTURE = "bwa_mem_scores.tsv"
FIXTURE_READS_A_SET = 500
FIXTURE_GAPPED_OR_CLIPPED = 200
FIXTURE_SEED = 7


class Read(NamedTuple):
    """One FASTQ record; ``header`` is the whole line after the @."""

    header: str
    bases: str
    qualities: str


class Hit(NamedTuple):
    """One primary SAM line."""

    name: str
    flag: int
    contig: str
    start: int  # 0-based
    mapq: int
    cigar: str
    score: int
    edits: int


def read_fastq(path: Path) -> Iterator[Read]:
    """The reads of a gzipped FASTQ file."""
    with gzip.open(path, "rt") as handle:
        while header := handle.readline():
            bases, _, qualities = handle.readline(), handle.readline(), handle.readline()
            yield Read(header[1:].rstrip("\n"), bases.rstrip("\n"), qualities.rstrip("\n"))


def read_fasta(path: Path) -> Iterator[tuple[str, str]]:
    """(header line without >, sequence) of every record."""
    with gzip.open(path, "rt") as handle:
        header, lines = "", list[str]()
        for line in handle:
            if line.startswith(">"):
                if header:
                    yield header, "".join(lines)
                header, lines = line[1:].rstrip("\n"), []
            else:
                lines.append(line.strip())
        yield header, "".join(lines)


def write_gzip(path: Path, text: str) -> None:
    """The same text gives the same bytes: no time stamp, no file name inside."""
    path.write_bytes(gzip.compress(text.encode("ascii"), compresslevel=9, mtime=0))


def write_fastq(path: Path, reads: Iterable[Read]) -> None:
    """A gzipped FASTQ file, without time stamp."""
    write_gzip(path, "".join(f"@{r.header}\n{r.bases}\n+\n{r.qualities}\n" for r in reads))


def write_fasta(path: Path, records: Iterable[tuple[str, str]]) -> None:
    """A gzipped FASTA file, without time stamp."""
    write_gzip(path, "".join(f">{header}\n{_folded(sequence)}" for header, sequence in records))


def _folded(sequence: str, width: int = 80) -> str:
    return "".join(sequence[i : i + width] + "\n" for i in range(0, len(sequence), width))


def bwa_hits(reference: Path, *reads: Path, workdir: Path) -> list[Hit]:
    """The mapped primary lines of `bwa mem` with default options."""
    prefix = workdir / reference.name
    if not prefix.with_name(prefix.name + ".sa").exists():
        subprocess.run(["bwa", "index", "-p", prefix, reference], check=True, capture_output=True)
    command = ["bwa", "mem", "-t", "2", str(prefix), *map(str, reads)]
    sam = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    hits = []
    for line in sam.splitlines():
        if line.startswith("@"):
            continue
        fields = line.split("\t")
        flag = int(fields[1])
        if flag & (4 | 256 | 2048):
            continue
        tags = dict(tag.split(":", 2)[::2] for tag in fields[11:])
        start, mapq = int(fields[3]) - 1, int(fields[4])
        hits.append(Hit(fields[0], flag, fields[2], start, mapq, fields[5], int(tags["AS"]), int(tags["NM"])))
    return hits


def cut_chr20(collection: Path, out: Path) -> None:
    """A window of human chromosome 20."""
    first, last = CHR20_WINDOW
    ((_, sequence),) = read_fasta(collection / "ref/human_GRCh37_chr20.fa.gz")
    header = f"chr20_{first}_{last} GRCh37 chromosome 20, bases {first} to {last} (1-based, inclusive)"
    write_fasta(out / CHR20_CUT, [(header, sequence[first - 1 : last].upper())])


def cut_first_pairs(collection: Path, out: Path, name: str, pairs: int) -> None:
    """The first pairs of a real set."""
    for end in ("R1", "R2"):
        reads = islice(read_fastq(collection / f"reads/{name}_{end}.fq.gz"), pairs)
        write_fastq(out / f"{name}_{pairs}pairs_{end}.fq.gz", reads)


def cut_primate(collection: Path, out: Path, workdir: Path) -> None:
    """The contigs that most donor pairs hit, the shortest ones beside them, and pairs inside and outside."""
    reference = collection / "ref/primate22A_human.fa.gz"
    files = [collection / f"reads/{DONORS}_{end}.fq.gz" for end in ("R1", "R2")]
    contigs = list(read_fasta(reference))
    names = [header.split()[0] for header, _ in contigs]
    places: dict[str, set[str]] = {}
    for hit in bwa_hits(reference, *files, workdir=workdir):
        if hit.mapq >= CONFIDENT_MAPQ:
            places.setdefault(hit.name, set()).add(hit.contig)
    loads = Counter(next(iter(where)) for where in places.values() if len(where) == 1)
    kept = {name for name, _ in sorted(loads.items(), key=lambda item: (-item[1], item[0]))[:N_HIT_CONTIGS]}
    by_length = sorted(zip(map(len, (s for _, s in contigs)), names, strict=True))
    kept |= set(islice((name for _, name in by_length if name not in kept), N_SHORT_CONTIGS))
    write_fasta(out / PRIMATE_CUT, [c for c, name in zip(contigs, names, strict=True) if name in kept])

    pairs = list(zip(*map(read_fastq, files), strict=True))
    inside = [p for p in pairs if (w := places.get(_plain_name(p[0]))) and len(w) == 1 and w <= kept]
    outside = [p for p in pairs if not places.get(_plain_name(p[0]), set()) & kept]
    chosen = set(inside[:N_DONOR_PAIRS_INSIDE] + outside[:N_DONOR_PAIRS_OUTSIDE])
    in_order = [p for p in pairs if p in chosen]
    for i, end in enumerate(("R1", "R2")):
        write_fastq(out / f"{DONORS}_{len(in_order)}pairs_{end}.fq.gz", (p[i] for p in in_order))


def _plain_name(read: Read) -> str:
    return re.sub(r"/[12]$", "", read.header.split()[0])


def simulate(out: Path, workdir: Path) -> None:
    """Pairs of dwgsim from E. coli."""
    fasta = workdir / "MG1655.fa"
    fasta.write_bytes(gzip.decompress((out / MG1655).read_bytes()))
    prefix = workdir / "simulated"
    subprocess.run(["dwgsim", *SIMULATION.split(), fasta, prefix], check=True, capture_output=True)
    for i, end in ((1, "R1"), (2, "R2")):
        write_fastq(out / f"{SIMULATED}_{end}.fq.gz", read_fastq(Path(f"{prefix}.bwa.read{i}.fastq.gz")))


def fixture_rows(label: str, reference: Path, name: str, out: Path, workdir: Path) -> list[str]:
    """Rows of 500 reads of one set, each end mapped alone, reads with gaps or clips among them on purpose."""
    hits = [
        (end, hit)
        for end in (1, 2)
        for hit in bwa_hits(reference, out / f"{name}_R{end}.fq.gz", workdir=workdir)
    ]
    rng = random.Random(FIXTURE_SEED)
    rng.shuffle(hits)
    gapped = [h for h in hits if re.search("[ID]", h[1].cigar)]
    clipped = [h for h in hits if re.search("^[^ID]*S[^ID]*$", h[1].cigar)]
    special = (gapped + clipped)[:FIXTURE_GAPPED_OR_CLIPPED]
    plain = [h for h in hits if not re.search("[IDS]", h[1].cigar)]
    chosen = sorted(special + plain[: FIXTURE_READS_A_SET - len(special)], key=lambda h: (h[1].name, h[0]))
    return [
        "\t".join(
            map(str, (label, h.name, end, h.contig, h.start, "-" if h.flag & 16 else "+", h.score, h.cigar,
                      h.edits, h.mapq))
        )
        for end, h in chosen
    ]  # fmt: skip


def write_fixture(out: Path, workdir: Path) -> None:
    """The alignments of bwa mem that tests compare with."""
    usage = subprocess.run(["bwa"], capture_output=True, text=True).stderr
    version = next(line.split()[1] for line in usage.splitlines() if line.startswith("Version:"))
    rows = [
        f"# bwa {version}: `bwa mem REFERENCE READS`, one end at a time, defaults, mapped primary lines",
        "# start is 0-based; strand - means the read was reverse-complemented; score is AS, edits is NM",
        "set\tname\tend\tcontig\tstart\tstrand\tscore\tcigar\tedits\tmapq",
    ]
    rows += fixture_rows("NA12878", out / CHR20_CUT, f"{NA12878}_500pairs", out, workdir)
    rows += fixture_rows("DSM30083", out / MG1655, DSM30083, out, workdir)
    (out / FIXTURE).write_text("\n".join(rows) + "\n")


def main() -> None:
    """Run the command."""
    parser = script_parser(__doc__)
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--collection", type=Path, default=root.parent / "shared/data")
    parser.add_argument("--out", type=Path, default=root / "data")
    args = parser.parse_args()
    for program in ("bwa", "dwgsim"):
        if shutil.which(program) is None:
            sys.exit(f"bundled: {program} is not installed (Debian package of the same name)")
    args.out.mkdir(parents=True, exist_ok=True)
    for name in WHOLE_FILES:
        shutil.copyfile(args.collection / name, args.out / Path(name).name)
    with tempfile.TemporaryDirectory() as temporary:
        workdir = Path(temporary)
        cut_chr20(args.collection, args.out)
        cut_first_pairs(args.collection, args.out, NA12878, 500)
        cut_first_pairs(args.collection, args.out, HIV, 300)
        cut_primate(args.collection, args.out, workdir)
        simulate(args.out, workdir)
        write_fixture(args.out, workdir)
    for path in sorted(args.out.iterdir()):
        print(f"{path.stat().st_size:>10,}  {path.name}")


if __name__ == "__main__":
    main()
