"""Reads in, alignments out: properties of every alignment, known answers, real reads, other programs."""

from __future__ import annotations

import gzip
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties import END_BONUS, Run, by_read, check, check_pair, check_turned, primaries, rescored
from samples import (
    Aligner,
    Read,
    edited,
    esa,
    fastq_text,
    make_index,
    qual_of,
    random_bases,
    read_fasta,
    records_of,
    reverse_complement,
    substituted,
    write,
)

from esa.index.open import open_index
from esa.index.presets import PRESETS

FOLDER_IS_SHARED = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""An example takes some milliseconds, and writes over the reads of the one before."""


@pytest.fixture(scope="module")
def phage(data_dir: Path) -> tuple[str, str]:
    """Name and bases of a real genome of 48.5 kb, nearly without repeats."""
    ((name, bases),) = read_fasta(data_dir / "lambda_phage.fa.gz").items()
    return name, bases


@pytest.fixture(scope="module")
def genome(phage: tuple[str, str]) -> dict[str, str]:
    """That genome, and contigs with N, repeats and hardly any bases."""
    rng = np.random.default_rng(51)
    spaced = random_bases(rng, 700) + "N" * 30 + random_bases(rng, 40) + "N" + random_bases(rng, 600)
    return {
        "phage": phage[1],
        "tiny": "ACGTAC",
        "spaced": spaced,
        "tandem": random_bases(rng, 300) + 12 * random_bases(rng, 31) + random_bases(rng, 300),
        "copies": phage[1][30_000:30_800] + random_bases(rng, 90) + reverse_complement(phage[1][8_000:8_500]),
    }


@pytest.fixture(scope="module", params=list(PRESETS))
def aligner(
    request: pytest.FixtureRequest, genome: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Aligner:
    return Aligner.of(tmp_path_factory.mktemp(request.param), genome, request.param)


@pytest.fixture(scope="module")
def anchored(genome: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Aligner:
    return Aligner.of(tmp_path_factory.mktemp("anchored"), genome)


# --- properties of every alignment


def any_read(rng: np.random.Generator, genome: dict[str, str]) -> str:
    """A read from anywhere, contig ends and N too, with edits, gaps, foreign ends and ambiguous bases."""
    contig = genome[rng.choice(["phage", "phage", "spaced", "tandem", "copies"])]
    length = int(rng.integers(30, 260))
    start = int(rng.integers(-length // 2, len(contig) - length // 2))
    bases = contig[max(0, start) : start + length].replace("N", "A")
    bases = random_bases(rng, max(0, -start)) + bases
    bases += random_bases(rng, length - len(bases))
    bases = edited(rng, bases, rng.choice([0, 0.01, 0.05, 0.1]))
    middle, gap = int(rng.integers(0, len(bases))), rng.choice([0, 0, 1, 8, 50])
    if rng.random() < 0.5:
        bases = bases[:middle] + random_bases(rng, gap) + bases[middle:]
    else:
        bases = bases[:middle] + bases[middle + gap :]
    left, right = rng.choice([(0, 0), (0, 0), (12, 0), (0, 40), (3, 5)])
    bases = random_bases(rng, left) + bases + random_bases(rng, right)
    for place in rng.integers(0, len(bases), rng.choice([0, 0, 1, 3])) if bases else ():
        bases = bases[:place] + "N" + bases[place + 1 :]
    return reverse_complement(bases) if rng.random() < 0.5 else bases


def any_reads(seed: int, genome: dict[str, str], count: int) -> list[Read]:
    rng = np.random.default_rng(seed)
    return [(f"r{i}", any_read(rng, genome)) for i in range(count)]


SEEDS = st.integers(0, 2**32 - 1)


@FOLDER_IS_SHARED
@given(seed=SEEDS)
def test_every_record_is_true_to_read_and_reference(
    seed: int, aligner: Aligner, genome: dict[str, str]
) -> None:
    reads = any_reads(seed, genome, 12)
    for run, read in zip(by_read(aligner.align(reads)), reads, strict=True):
        check(run, read, genome)


@FOLDER_IS_SHARED
@given(seed=SEEDS, start=st.integers(0, 40_000), size=st.integers(150, 400))
def test_every_pair_is_true_to_itself(
    seed: int, start: int, size: int, aligner: Aligner, genome: dict[str, str]
) -> None:
    both = genome["phage"][start : start + size]
    reads = [*any_reads(seed, genome, 5), ("proper", both[:120])]
    mates = [*any_reads(seed + 1, genome, 5), ("proper", reverse_complement(both[-110:]))]
    runs = by_read(aligner.align(reads, mates))
    check_pairs(runs, reads, mates, genome)
    assert runs[-1][0].is_proper_pair


def check_pairs(
    runs: list[Run], reads: Sequence[Read], mates: Sequence[Read], genome: dict[str, str]
) -> None:
    """All properties of the records of a paired run; and that each read is there once, in order."""
    for first, second, read, mate in zip(runs[::2], runs[1::2], reads, mates, strict=True):
        check(first, read, genome)
        check(second, mate, genome)
        check_pair(first, second)


@FOLDER_IS_SHARED
@given(seed=SEEDS)
def test_a_read_turned_has_the_same_locus(seed: int, aligner: Aligner, genome: dict[str, str]) -> None:
    reads = any_reads(seed, genome, 8)
    turned = [(name, reverse_complement(bases)) for name, bases in reads]
    runs, others = by_read(aligner.align(reads)), by_read(aligner.align(turned))
    for run, other in zip(runs, others, strict=True):
        check_turned(run, other)


def test_qualities_turn_with_their_reads(anchored: Aligner, genome: dict[str, str]) -> None:
    bases = genome["phage"][4_000:4_100]
    forward, backward = anchored.align([("f", bases), ("b", reverse_complement(bases))])
    assert not forward.is_reverse
    assert backward.is_reverse
    assert qual_of(forward) == qual_of(backward)[::-1]


# --- known answers


@pytest.mark.parametrize(("length", "rate"), [(250, 0.006), (150, 0.006), (100, 0.006), (250, 0.05)])
def test_reads_go_back_to_where_they_were_cut(
    length: int, rate: float, anchored: Aligner, genome: dict[str, str]
) -> None:
    rng = np.random.default_rng(length)
    # Not from where the genome has its copies.
    starts = rng.integers(9_000, 29_000, 300)
    reads = []
    for i, start in enumerate(starts):
        bases = edited(rng, genome["phage"][start : start + length], rate)
        reads.append((f"r{i}", bases if i % 2 else reverse_complement(bases)))
    records = anchored.align(reads)
    right = [
        not record.is_unmapped
        and record.reference_name == "phage"
        and record.is_reverse == (i % 2 == 0)
        and abs(record.reference_start - record.query_alignment_start - start) <= 10
        for i, (record, start) in enumerate(zip(records, starts, strict=True))
    ]
    assert np.mean(right) >= 0.98
    assert all(ok or record.mapping_quality < 30 for ok, record in zip(right, records, strict=True))


def test_random_reads_do_not_map(aligner: Aligner) -> None:
    rng = np.random.default_rng(52)
    reads = [(f"r{i}", random_bases(rng, int(rng.integers(50, 260)))) for i in range(400)]
    low = [("poly", "A" * 150), ("dinucleotide", "AC" * 75), ("trinucleotide", "ACG" * 50)]
    assert [x.query_name for x in aligner.align(reads + low) if x.mapping_quality >= 10] == []
    pairs = aligner.align(
        reads[:200], [(name, x) for (name, _), (_, x) in zip(reads, reads[200:], strict=False)]
    )
    assert [x.query_name for x in pairs if x.mapping_quality >= 10] == []


TWO_COPIES = 5_000


@pytest.fixture(scope="module")
def copy() -> str:
    return random_bases(np.random.default_rng(53), TWO_COPIES)


def reads_over(copy: str, length: int) -> list[Read]:
    starts = range(0, TWO_COPIES - length, 97)
    return [(f"r{start}", copy[start : start + length]) for start in starts]


@pytest.mark.parametrize("turned", [False, True])
def test_two_exact_copies(turned: bool, copy: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(54)
    second = reverse_complement(copy) if turned else copy
    genome = {
        "a": random_bases(rng, 500) + copy + random_bases(rng, 500),
        "b": random_bases(rng, 900) + second,
    }
    aligner = Aligner.of(tmp_path, genome)
    reads = reads_over(copy, 150)
    records = aligner.align(reads)
    assert all(not x.is_unmapped and x.mapping_quality <= 3 for x in records)
    assert all(x.get_tag("AS") == x.get_tag("XS") == 150 for x in records)
    # Ties fall on either copy.
    assert 0.2 < np.mean([x.reference_name == "a" for x in records]) < 0.8
    pairs = aligner.align(
        reads, [(name, reverse_complement(x)) for name, x in reads_over(copy, 140)[: len(reads)]]
    )
    assert all(not x.is_unmapped and x.is_proper_pair and x.mapping_quality <= 3 for x in pairs)


def test_two_copies_that_differ(copy: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(55)
    other = substituted(rng, copy, 0.02)
    genome = {"a": random_bases(rng, 500) + copy, "b": random_bases(rng, 900) + other}
    aligner = Aligner.of(tmp_path, genome)
    differs = np.array([x != y for x, y in zip(copy, other, strict=True)])
    seen = 0
    for (name, bases), record in zip(
        reads_over(copy, 150), aligner.align(reads_over(copy, 150)), strict=True
    ):
        start = int(name[1:])
        # A difference a clip cannot hide.
        if differs[start + 6 : start + 144].any():
            seen += 1
            assert (record.reference_name, record.reference_start) == ("a", start + 500)
            # Of a copy that differs everywhere nothing need be found.
            lead = record.get_tag("AS") - (record.get_tag("XS") if record.has_tag("XS") else 0)
            # One base apart: one error in a hundred such reads, or a few, comes from the copy (fitted).
            assert record.mapping_quality >= (30 if lead >= 10 else 15)
        elif not differs[start : start + 150].any():
            assert record.mapping_quality <= 3
            assert len(bases) == record.get_tag("XS")
    assert seen > 30


def test_a_mate_tells_copies_apart(copy: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(56)
    unique = random_bases(rng, 500)
    aligner = Aligner.of(tmp_path, {"a": unique + copy, "b": random_bases(rng, 900) + copy})
    reads = [(f"r{i}", unique[100 + i : 220 + i]) for i in range(0, 100, 10)]
    mates = [(f"r{i}", reverse_complement(copy[20 + i : 140 + i])) for i in range(0, 100, 10)]
    records = aligner.align(reads, mates)
    assert [x.reference_name for x in records] == ["a"] * len(records)
    assert all(x.is_proper_pair for x in records)
    assert [x.reference_start for x in records[1::2]] == [520 + i for i in range(0, 100, 10)]
    assert all(x.mapping_quality >= 30 for x in records)


CLIPS = {pysam.CSOFT_CLIP, pysam.CHARD_CLIP}


def test_thousands_of_contigs(tmp_path: Path) -> None:
    rng = np.random.default_rng(57)
    lengths = [30 if i % 5 == 0 else int(rng.integers(120, 260)) for i in range(4_000)]
    genome = {f"c{i}": random_bases(rng, n) for i, n in enumerate(lengths)}
    names = list(genome)
    aligner = Aligner.of(tmp_path, genome)
    reads: list[Read] = []
    for i in range(1, 4_000, 41):
        ends = genome[names[i]], genome[names[(i + 1) % 4_000]]
        reads.append((f"inside{i}", ends[0][10:100]))
        reads.append((f"across{i}", ends[0][-70:] + ends[1][:50]))
    sam = aligner.sam(reads)
    assert [line.split("\t")[1][3:] for line in sam.splitlines() if line.startswith("@SQ")] == names
    split = 0
    for run, read in zip(by_read(aligner.align(reads)), reads, strict=True):
        check(run, read, genome)
        split += len(run) > 1
        i = int(read[0][6:])
        if read[0].startswith("inside") and lengths[i] > 30:
            assert [(x.reference_name, x.reference_start) for x in run] == [(names[i], 10)]
        elif not run[0].is_unmapped:
            both = {names[i], names[(i + 1) % 4_000]}
            assert {x.reference_name for x in run} <= both
            assert all({x.cigartuples[0][0], x.cigartuples[-1][0]} & CLIPS for x in run)
    assert split > 50


# --- real reads


def real(data_dir: Path, name: str) -> tuple[Path, Path]:
    return data_dir / f"{name}_R1.fq.gz", data_dir / f"{name}_R2.fq.gz"


def read_fastq(path: Path) -> Iterator[Read]:
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    for header, bases in zip(lines[::4], lines[1::4], strict=True):
        yield re.sub("/[12]$", "", header[1:].split()[0]), bases.upper()


@pytest.mark.parametrize(
    ("reference", "reads", "mapped", "proper"),
    [
        (
            "human_GRCh37_chr20_9975001-10125000.fa.gz",
            "human_NA12878_PE101_chr20_10.0-10.1Mb_500pairs",
            0.97,
            0.95,
        ),
        ("hiv1_DQ234790.fa.gz", "hiv1_PE250_300pairs", 0.97, 0.90),
        ("primate22A_human_200contigs.fa.gz", "human_10donors_PE151_chr22A_300pairs", 0.85, 0.6),
    ],
    ids=["NA12878", "HIV-1", "donors"],
)
@pytest.mark.parametrize("preset", PRESETS)
def test_real_pairs(
    preset: str, reference: str, reads: str, mapped: float, proper: float, data_dir: Path, tmp_path: Path
) -> None:
    esa("index", data_dir / reference, "-o", tmp_path / "x.esa", "--preset", preset, "-q")
    files = real(data_dir, reads)
    esa("align", tmp_path / "x.esa", *files, "-o", tmp_path / "o.sam", "-q")
    genome = {name: re.sub("[^ACGT]", "N", bases) for name, bases in read_fasta(data_dir / reference).items()}
    records = records_of(tmp_path / "o.sam")
    check_pairs(by_read(records), *(list(read_fastq(file)) for file in files), genome)
    records = primaries(records)
    assert np.mean([not x.is_unmapped for x in records]) >= mapped
    assert np.mean([x.is_proper_pair for x in records]) >= proper


def test_simulated_pairs_go_back(data_dir: Path, tmp_path: Path) -> None:
    """Pairs that dwgsim made, named contig_start1_start2_strand1_strand2_... (starts 1-based)."""
    esa("index", data_dir / "ecoli_K12_MG1655_NC_000913.3.fa.gz", "-o", tmp_path / "x.esa", "-q")
    count = 1_000
    files = []
    for end, file in enumerate(real(data_dir, "ecoli_K12_MG1655_dwgsim_PE150"), 1):
        lines = gzip.decompress(file.read_bytes()).decode().splitlines(True)
        files.append(write(tmp_path / f"{end}.fq", "".join(lines[: 4 * count])))
    esa("align", tmp_path / "x.esa", *files, "-o", tmp_path / "o.bam", "-q")
    right, sure_and_wrong = 0, []
    records = primaries(records_of(tmp_path / "o.bam"))
    for record in records:
        fields = re.fullmatch(r"(.+?)_(\d+)_(\d+)_([01])_([01])_.*", record.query_name)
        assert fields is not None
        end = 0 if record.is_read1 else 1
        start, reverse = int(fields[2 + end]) - 1, fields[4 + end] == "1"
        near = abs(record.reference_start - record.query_alignment_start - start) <= 30
        if not record.is_unmapped and near and record.is_reverse == reverse:
            right += 1
        elif record.mapping_quality >= 30:
            sure_and_wrong.append(record.query_name)
    assert len(records) == 2 * count
    assert right >= 0.985 * len(records)
    assert len(sure_and_wrong) <= 2


# --- other programs


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Read], list[Read]]:
    """A reference, its index, and pairs with all that is awkward: gaps, contig ends, N, unmapped ends."""
    folder = tmp_path_factory.mktemp("judged")
    rng = np.random.default_rng(58)
    first = random_bases(rng, 5_000) + "N" * 40 + random_bases(rng, 3_000)
    genome = {"a": first, "tiny": "ACGTTGCATT", "b": random_bases(rng, 2_000) + first[500:900]}
    reads: list[Read] = []
    mates: list[Read] = []
    for i in range(150):
        bases = genome["ab"[i % 2]]
        start = int(rng.integers(-60, len(bases) - 60))
        fragment = bases[max(0, start) : start + 300].replace("N", "G")
        fragment = random_bases(rng, max(0, -start)) + fragment
        fragment += random_bases(rng, 300 - len(fragment))
        ends = [edited(rng, fragment[:120], 0.03), reverse_complement(edited(rng, fragment[-120:], 0.03))]
        if i % 10 == 3:
            ends[i % 2] = random_bases(rng, 100)
        if i % 10 == 6:
            ends = [random_bases(rng, 80), ("", "N", "A" * 70)[i % 3]]
        if i % 10 == 9:
            ends[1] = reverse_complement(genome["a"][3_000:3_110])
        reads.append((f"p{i}", ends[i % 3 == 0]))
        mates.append((f"p{i}", ends[i % 3 != 0]))
    return folder, make_index(folder, genome), reads, mates


@pytest.mark.parametrize("paired", [False, True], ids=["single", "paired"])
@pytest.mark.parametrize("ending", ["sam", "bam"])
def test_samtools_and_picard_find_no_fault(
    ending: str,
    paired: bool,
    judged: tuple[Path, Path, list[Read], list[Read]],
    peer: Callable[[str], str],
    tmp_path: Path,
) -> None:
    samtools, picard = peer("samtools"), peer("PicardCommandLine")
    folder, index, reads, mates = judged
    files = [
        write(tmp_path / f"{i}.fq", fastq_text(part)) for i, part in enumerate((reads, mates)[: 1 + paired])
    ]
    out, ordered = tmp_path / f"o.{ending}", tmp_path / "sorted.bam"
    esa("align", index, *files, "-o", out, "-q", "-R", r"@RG\tID:x\tSM:y\tPL:ILLUMINA")
    flags = np.array([x.flag for x in records_of(out)])
    assert {4, 8, 12} <= set(flags & 12) if paired else {4} <= set(flags & 4)
    subprocess.run([samtools, "quickcheck", "-v", out], check=True)
    subprocess.run([samtools, "sort", "-o", ordered, out], check=True, capture_output=True)
    subprocess.run([samtools, "quickcheck", "-v", ordered], check=True)
    reference = folder / "ref.fa"
    subprocess.run([samtools, "faidx", reference], check=True)
    subprocess.run([samtools, "dict", "-o", folder / "ref.dict", reference], check=True)
    judge = [picard, "ValidateSamFile", f"I={ordered}", f"R={reference}", "MODE=SUMMARY"]
    done = subprocess.run(judge, capture_output=True, text=True, check=False)
    assert "No errors found" in done.stdout, done.stdout + done.stderr


# --- bwa mem's alignments of 1,000 real reads, each alone (data/README.md)

JUDGED_BY_BWA = {
    "NA12878": ("human_GRCh37_chr20_9975001-10125000", "human_NA12878_PE101_chr20_10.0-10.1Mb_500pairs", 1.0),
    "DSM30083": ("ecoli_K12_MG1655_NC_000913.3", "ecoli_DSM30083_SRR3927310_PE76", 0.92),
}
"""Set: its reference, its reads, the least share of them mapped (200 of each have gaps or clips)."""


def bwa_alignments(
    data_dir: Path, label: str, genome: dict[str, str]
) -> list[tuple[Read, pysam.AlignedSegment]]:
    """(Read, bwa mem's record of it) of each row of a set."""
    rows = [x for x in (data_dir / "bwa_mem_scores.tsv").read_text().splitlines() if not x.startswith("#")]
    columns = rows[0].split("\t")
    bases = {
        (name, str(end)): sequence
        for end, file in enumerate(real(data_dir, JUDGED_BY_BWA[label][1]), 1)
        for name, sequence in read_fastq(file)
    }
    header = pysam.AlignmentHeader.from_references(list(genome), [len(x) for x in genome.values()])
    out = []
    for row in (dict(zip(columns, line.split("\t"), strict=True)) for line in rows[1:]):
        if row["set"] == label:
            read = bases[row["name"], row["end"]]
            turned = row["strand"] == "-"
            record = pysam.AlignedSegment(header)
            record.query_name, record.query_sequence = (
                row["name"],
                reverse_complement(read) if turned else read,
            )
            record.flag, record.reference_name = 16 * turned, row["contig"]
            record.reference_start, record.cigarstring = int(row["start"]), row["cigar"]
            record.mapping_quality = int(row["mapq"])
            out.append(((row["name"], read), record))
    return out


def worth(record: pysam.AlignedSegment, genome: dict[str, str]) -> int:
    """What an alignment maximises: its score, and a bonus for each end of the read that it reaches."""
    ends = [operation for operation, _ in (record.cigartuples[0], record.cigartuples[-1])]
    score, _, _ = rescored(record, genome[record.reference_name])
    return score + END_BONUS * sum(operation != pysam.CSOFT_CLIP for operation in ends)


@pytest.mark.parametrize("label", JUDGED_BY_BWA)
def test_alignments_are_worth_those_of_bwa_mem(label: str, data_dir: Path, tmp_path: Path) -> None:
    reference, _, least_mapped = JUDGED_BY_BWA[label]
    fasta = data_dir / f"{reference}.fa.gz"
    genome = {name: re.sub("[^ACGT]", "N", bases) for name, bases in read_fasta(fasta).items()}
    theirs = bwa_alignments(data_dir, label, genome)
    assert len(theirs) == 500
    esa("index", fasta, "-o", tmp_path / "x.esa", "-q")
    aligner = Aligner(tmp_path, open_index(str(tmp_path / "x.esa")))
    ours = primaries(aligner.align([read for read, _ in theirs]))
    mapped = [(one, other) for one, (_, other) in zip(ours, theirs, strict=True) if not one.is_unmapped]
    assert len(mapped) >= least_mapped * len(theirs)
    lower = [one.query_name for one, other in mapped if worth(one, genome) < worth(other, genome)]
    assert len(lower) <= 0.01 * len(mapped), lower
    sure = [(one, other) for one, other in mapped if min(one.mapping_quality, other.mapping_quality) >= 30]
    same = [
        (one.reference_name, one.is_reverse) == (other.reference_name, other.is_reverse)
        and abs(one.reference_start - other.reference_start) <= 50
        for one, other in sure
    ]
    assert np.mean(same) >= 0.995
    assert len(sure) >= 0.75 * len(theirs)
