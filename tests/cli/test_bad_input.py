"""What is refused, and what is accepted though it is odd.

A refusal has its exit code, a message that names file, record and remedy, and leaves nothing behind: neither
a file under the final name nor a temporary one, and a former output is as it was.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pysam
import pytest
from samples import (
    esa,
    fasta_text,
    fastq_text,
    make_index,
    qual_of,
    qualities,
    random_bases,
    records_of,
    reverse_complement,
    write,
)

from esa.cli.main import run
from esa.index.manifest import FORMAT_VERSION
from esa.index.presets import PRESETS

GENOME = {
    "a": random_bases(np.random.default_rng(11), 4000),
    "b": random_bases(np.random.default_rng(12), 2500),
}
READS = [(f"read{i}", GENOME["a"][100 * i : 100 * i + 120]) for i in range(1, 9)]
MATES = [(f"read{i}", reverse_complement(GENOME["a"][100 * i + 180 : 100 * i + 300])) for i in range(1, 9)]
FORMER = b"a former output"

Refused = Callable[..., str]


def state(folder: Path) -> dict[str, str]:
    """Every file under a folder and its digest."""
    return {
        str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_index(tmp_path_factory.mktemp("index"), GENOME)


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """``refused(code, arguments, *said)``: the command ends so, says all that, and changes no file."""

    def check(code: int, arguments: list[object], *said: str) -> str:
        before = state(tmp_path)
        assert run([str(argument) for argument in arguments]) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("esa: ")
        for part in said:
            assert part in captured.err
        assert state(tmp_path) == before
        return captured.err

    return check


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """An output that is there already; a refusal must leave it alone."""
    path = tmp_path / "out.sam"
    path.write_bytes(FORMER)
    return path


# --- references --------------------------------------------------------------------------------------------

A_BASES = GENOME["a"][:300]
BAD_REFERENCES: list[tuple[str, str | bytes, tuple[str, ...]]] = [
    ("empty", "", ("empty", "give a FASTA")),
    ("blank", "\n \n", ("empty", "give a FASTA")),
    ("empty-gzip", gzip.compress(b""), ("empty", "give a FASTA")),
    (
        "duplicate",
        f">a\n{A_BASES}\n>b\n{A_BASES}\n>a x\n{A_BASES}\n",
        ("line 5, record 3", "'a'", "line 1", "name of"),
    ),
    (
        "no-sequence",
        f">a\n{A_BASES}\n>void\n>b\n{A_BASES}\n",
        ("line 3, record 'void'", "no sequence", "remove"),
    ),
    ("last-without-sequence", f">a\n{A_BASES}\n>void\n", ("line 3, record 'void'", "no sequence")),
    ("no-name", f">\n{A_BASES}\n", ("line 1, record 1", "no name")),
    ("protein", f">a\n{A_BASES}\n>p\nMKTAYIAKQRQISFVKSHFSRQ\n", ("line 4, record 'p'", "protein", "DNA")),
    ("letters", f">a\n{A_BASES}\nAC1T\n", ("line 3, record 'a'", "'1'")),
    ("fastq", fastq_text(READS), ("line 1", "'@'", "FASTA")),
    ("text", "some words\n", ("line 1", "'>'")),
    ("too-short", ">a\nACGTACGTTTAGC\n>b\nACCAGTTA\n", ("no contig holds a fragment", "longer")),
    ("all-n", f">a\n{'N' * 5000}\n", ("no contig holds a fragment",)),
    ("truncated-gzip", gzip.compress(fasta_text(GENOME).encode())[:-700], ("truncated gzip", "again")),
]


@pytest.mark.parametrize("preset", list(PRESETS))
@pytest.mark.parametrize(
    ("content", "said"), [case[1:] for case in BAD_REFERENCES], ids=[case[0] for case in BAD_REFERENCES]
)
def test_bad_reference(
    content: str | bytes, said: tuple[str, ...], preset: str, tmp_path: Path, refused: Refused
) -> None:
    reference = write(tmp_path / "ref.fa", content)
    refused(1, ["index", reference, "--preset", preset], reference, *said)


def test_bad_reference_leaves_the_former_index(tmp_path: Path, refused: Refused) -> None:
    former = make_index(tmp_path, GENOME)
    reference = write(tmp_path / "bad.fa", ">a\n>b\n")
    refused(1, ["index", reference, "-o", former, "--force"], reference)


def test_missing_reference(tmp_path: Path, refused: Refused) -> None:
    refused(1, ["index", tmp_path / "nix.fa"], f"{tmp_path / 'nix.fa'}: no such file", "check the path")
    refused(1, ["index", tmp_path, "-o", tmp_path / "x.esa"], f"{tmp_path}: is a directory")


def test_index_folder_is_missing(tmp_path: Path, refused: Refused) -> None:
    reference = write(tmp_path / "ref.fa", fasta_text(GENOME))
    refused(
        1,
        ["index", reference, "-o", tmp_path / "nix" / "x.esa"],
        f"{tmp_path / 'nix'} does not exist",
        "create",
    )


def test_index_exists(tmp_path: Path, refused: Refused) -> None:
    reference = write(tmp_path / "ref.fa", fasta_text(GENOME))
    esa("index", reference, "-q")
    refused(1, ["index", reference], f"{reference}.esa: exists", "--force")
    refused(1, ["index", reference, "-o", reference], f"{reference}: exists")
    refused(1, ["index", reference, "-o", reference, "--force"], f"{reference}: is a file")


def test_force_deletes_no_other_folder(tmp_path: Path, refused: Refused) -> None:
    reference = write(tmp_path / "ref.fa", fasta_text(GENOME))
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine" / "thesis.txt", "years of work")
    refused(1, ["index", reference, "-o", tmp_path / "mine", "--force"], "thesis.txt")


# --- reads -------------------------------------------------------------------------------------------------

RECORDS = [fastq_text([read]) for read in READS]
CORRUPT_GZIP = bytearray(gzip.compress(fastq_text(READS).encode()))
CORRUPT_GZIP[-8] ^= 0xFF  # its checksum
BAD_READS: list[tuple[str, str | bytes, tuple[str, ...]]] = [
    (
        "unequal",
        "".join([*RECORDS[:4], "@odd\nACGT\n+\nIIIII\n", *RECORDS[5:]]),
        ("record 5 ('odd')", "SEQ has 4 bases but QUAL 5", "copy"),
    ),
    ("cut-after-name", fastq_text(READS[:5]) + "@cut\n", ("record 6 ('cut')", "ends in the middle", "again")),
    ("cut-in-seq", fastq_text(READS[:5]) + "@cut\nACG", ("record 6 ('cut')", "ends in the middle")),
    ("cut-after-seq", fastq_text(READS[:5]) + "@cut\nACG\n", ("record 6 ('cut')", "ends in the middle")),
    ("cut-after-plus", fastq_text(READS[:5]) + "@cut\nACG\n+\n", ("record 6 ('cut')", "ends in the middle")),
    ("cut-in-qual", fastq_text(READS[:5]) + "@cut\nACG\n+\nII", ("record 6 ('cut')", "ends in the middle")),
    ("no-plus", fastq_text(READS[:5]) + "@odd\nACG\nACG\nIII\n", ("record 6 ('odd')", "'+'")),
    ("no-at", fastq_text(READS[:5]) + "odd\nACG\n+\nIII\n", ("record 6", "'@'")),
    ("letters", fastq_text(READS[:5]) + "@odd\nA!G\n+\nIII\n", ("record 6 ('odd')", "'!' at base 2")),
    ("quality", fastq_text(READS[:5]) + "@odd\nACG\n+\nI I\n", ("record 6 ('odd')", "QUAL")),
    ("no-name", fastq_text(READS[:5]) + "@\nACG\n+\nIII\n", ("record 6", "name is empty")),
    ("truncated-gzip", gzip.compress(fastq_text(READS).encode())[:-60], ("truncated gzip", "again")),
    ("corrupt-gzip", CORRUPT_GZIP, ("corrupt gzip", "again")),
    ("sam", "@HD\tVN:1.6\n@SQ\tSN:a\tLN:9\n", ("SAM file", "samtools fastq")),
    ("words", "some words\n", ("neither FASTQ nor FASTA",)),
]


@pytest.mark.parametrize("ending", ["sam", "bam"])
@pytest.mark.parametrize(
    ("content", "said"), [case[1:] for case in BAD_READS], ids=[case[0] for case in BAD_READS]
)
def test_bad_reads(
    content: str | bytes, said: tuple[str, ...], ending: str, index: Path, tmp_path: Path, refused: Refused
) -> None:
    reads = write(tmp_path / "reads.fq", content)
    # In small batches, so that some are written before the fault is met.
    out = tmp_path / f"out.{ending}"
    refused(1, ["align", index, reads, "-o", out, "--batch-size", 2], reads, *said)


def test_bad_reads_leave_the_former_output(
    index: Path, former: Path, tmp_path: Path, refused: Refused
) -> None:
    reads = write(tmp_path / "reads.fq", fastq_text(READS) + "@cut\n")
    refused(1, ["align", index, reads, "-o", former, "--batch-size", 2], "record 9 ('cut')")
    assert former.read_bytes() == FORMER


@pytest.mark.parametrize("which", ["R1", "R2"])
def test_bad_mates_name_the_file_at_fault(which: str, index: Path, tmp_path: Path, refused: Refused) -> None:
    reads = {"R1": READS, "R2": MATES}
    files = {name: write(tmp_path / f"{name}.fq", fastq_text(part)) for name, part in reads.items()}
    damaged = [fastq_text([read]) for read in reads[which]]
    damaged[3] = "@read4\nAC\n+\nI\n"
    write(tmp_path / f"{which}.fq", "".join(damaged))
    said = f"{files[which]}: record 4 ('read4')"
    error = refused(1, ["align", index, *files.values(), "-o", tmp_path / "o.sam"], said)
    assert files["R2" if which == "R1" else "R1"] not in error


@pytest.mark.parametrize("missing", [0, 1])
def test_missing_reads(missing: int, index: Path, tmp_path: Path, refused: Refused) -> None:
    files = [write(tmp_path / "R1.fq", fastq_text(READS)), write(tmp_path / "R2.fq", fastq_text(MATES))]
    files[missing] = str(tmp_path / "nix.fq")
    refused(1, ["align", index, *files, "-o", tmp_path / "o.sam"], "nix.fq: No such file", "check the path")


def test_reads_are_a_directory(index: Path, tmp_path: Path, refused: Refused) -> None:
    refused(1, ["align", index, tmp_path, "-o", tmp_path / "o.sam"], f"{tmp_path}: is a directory")


@pytest.mark.parametrize("batch_size", [2, 100])
@pytest.mark.parametrize("short", ["R1", "R2"])
def test_mates_of_different_number(
    short: str, batch_size: int, index: Path, tmp_path: Path, refused: Refused
) -> None:
    r1 = write(tmp_path / "R1.fq", fastq_text(READS[:5] if short == "R1" else READS))
    r2 = write(tmp_path / "R2.fq", fastq_text(MATES[:5] if short == "R2" else MATES))
    refused(
        1,
        ["align", index, r1, r2, "-o", tmp_path / "o.sam", "--batch-size", batch_size],
        r1, r2, "fewer records", "record 5", "record 6 ('read6')", "same pairs",
    )  # fmt: skip


def test_one_mate_file_is_empty(index: Path, tmp_path: Path, refused: Refused) -> None:
    r1, r2 = write(tmp_path / "R1.fq", fastq_text(READS)), write(tmp_path / "R2.fq", "")
    refused(1, ["align", index, r1, r2, "-o", tmp_path / "o.sam"], f"{r2} has fewer records than {r1}")


def test_mates_of_different_names(index: Path, tmp_path: Path, refused: Refused) -> None:
    r1 = write(tmp_path / "R1.fq", fastq_text((f"{name}/1", bases) for name, bases in READS))
    mates = [(f"{name}/2", bases) for name, bases in MATES]
    mates[5] = ("other/2", mates[5][1])
    r2 = write(tmp_path / "R2.fq", fastq_text(mates))
    refused(
        1,
        ["align", index, r1, r2, "-o", tmp_path / "o.sam", "--batch-size", 4],
        r1, r2, "record 6", "'read6' and 'other'", "same pairs",
    )  # fmt: skip


def test_interleaved_of_odd_number(index: Path, tmp_path: Path, refused: Refused) -> None:
    pairs = [read for pair in zip(READS, MATES, strict=True) for read in pair]
    reads = write(tmp_path / "reads.fq", fastq_text(pairs[:-1]))
    refused(
        1,
        ["align", index, reads, "--interleaved", "-o", tmp_path / "o.sam"],
        reads,
        "record 15 ('read8')",
        "mate",
    )


def test_interleaved_of_different_names(index: Path, tmp_path: Path, refused: Refused) -> None:
    reads = write(tmp_path / "reads.fq", fastq_text(READS))
    arguments = ["align", index, reads, "--interleaved", "-o", tmp_path / "o.sam"]
    refused(1, arguments, reads, "records 1 and 2", "'read1' and 'read2'")


@pytest.mark.parametrize("alias", ["same", "symlink", "hardlink", "relative"])
def test_same_file_twice(
    alias: str, index: Path, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = write(tmp_path / "R1.fq", fastq_text(READS))
    second: str | Path = tmp_path / "R2.fq"
    if alias == "same":
        second = reads
    elif alias == "symlink":
        os.symlink(reads, second)
    elif alias == "hardlink":
        os.link(reads, second)
    else:
        monkeypatch.chdir(tmp_path)
        second = "R1.fq"
    refused(
        2, ["align", index, reads, second, "-o", tmp_path / "o.sam"], reads, "R1 and as R2", "--interleaved"
    )


def test_interleaved_with_two_files(index: Path, tmp_path: Path, refused: Refused) -> None:
    r1, r2 = write(tmp_path / "R1.fq", fastq_text(READS)), write(tmp_path / "R2.fq", fastq_text(MATES))
    refused(2, ["align", index, r1, r2, "--interleaved", "-o", tmp_path / "o.sam"], "--interleaved")


def test_mates_of_different_formats(index: Path, tmp_path: Path, refused: Refused) -> None:
    r1, r2 = write(tmp_path / "R1.fq", fastq_text(READS)), write(tmp_path / "R2.fa", fasta_text(MATES))
    refused(1, ["align", index, r1, r2, "-o", tmp_path / "o.sam"], r1, r2, "same format")


# --- read groups -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["-R", "ID:x"], "@RG"),
        (["-R", ""], "@RG"),
        (["-R", r"@RG\tSM:y"], "no ID"),
        (["-R", r"@RG\tID:"], "ID has no value"),
        (["-R", r"@RG\tID:x\tSM"], "'SM'"),
        (["-R", r"@RG\tID:x\tID:y"], "twice"),
        (["-R", "@RG ID:x"], "@RG"),
        (["-R", r"@RG\tID:x\nSM:y"], "ID"),
        (["--rg", "SM:y"], "--rg-id"),
        (["--rg-id", ""], "ID"),
        (["--rg-id", "x", "--rg", "SM"], "'SM'"),
        (["--rg-id", "x", "--rg", "ID:y"], "twice"),
        (["--rg-id", "x", "-R", r"@RG\tID:x"], "twice"),
    ],
)
def test_bad_read_group(
    options: list[str], named: str, index: Path, former: Path, tmp_path: Path, refused: Refused
) -> None:
    reads = write(tmp_path / "reads.fq", fastq_text(READS))
    refused(
        2, ["align", index, reads, "-o", former, *options], "read group" if "-R" in options else "rg", named
    )


# --- the index ---------------------------------------------------------------------------------------------


@pytest.fixture
def copy(index: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the index, to damage."""
    shutil.copytree(index, tmp_path / "copy.esa")
    write(tmp_path / "reads.fq", fastq_text(READS))
    yield tmp_path / "copy.esa"
    shutil.rmtree(tmp_path / "copy.esa")


FILES = (
    "manifest.json",
    "genome_packed.npy",
    "genome_n_starts.npy",
    "store_entries.npy",
    "store_buckets.npy",
    "store_crowded.npy",
)


def test_damage_is_tried_on_files_that_are_there(index: Path) -> None:
    assert set(FILES) <= {path.name for path in index.iterdir()}


@pytest.mark.parametrize("where", [0.02, 0.5, 0.999])
@pytest.mark.parametrize("file", FILES)
def test_index_with_a_flipped_byte(
    file: str, where: float, copy: Path, tmp_path: Path, refused: Refused
) -> None:
    content = bytearray((copy / file).read_bytes())
    content[int(where * len(content))] ^= 0x10
    (copy / file).write_bytes(content)
    refused(1, ["align", copy, tmp_path / "reads.fq", "-o", tmp_path / "o.sam"], str(copy), file, "esa index")


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
@pytest.mark.parametrize("file", FILES)
def test_truncated_index(file: str, kept: float, copy: Path, tmp_path: Path, refused: Refused) -> None:
    content = (copy / file).read_bytes()
    (copy / file).write_bytes(content[: int(kept * len(content))])
    refused(1, ["align", copy, tmp_path / "reads.fq", "-o", tmp_path / "o.sam"], str(copy), file, "esa index")


@pytest.mark.parametrize("file", FILES)
def test_index_lacks_a_file(file: str, copy: Path, tmp_path: Path, refused: Refused) -> None:
    (copy / file).unlink()
    refused(1, ["align", copy, tmp_path / "reads.fq", "-o", tmp_path / "o.sam"], str(copy), file, "esa index")


def test_index_of_another_version(copy: Path, tmp_path: Path, refused: Refused) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["format_version"] = FORMAT_VERSION + 1
    (copy / "manifest.json").write_text(json.dumps(manifest))
    refused(
        1,
        ["align", copy, tmp_path / "reads.fq", "-o", tmp_path / "o.sam"],
        str(copy), f"format {FORMAT_VERSION + 1}", "esa index",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["ref.fa", "ref.fa.gz"])
def test_fasta_in_place_of_the_index(name: str, tmp_path: Path, refused: Refused) -> None:
    reference = write(tmp_path / name, fasta_text(GENOME))
    reads = write(tmp_path / "reads.fq", fastq_text(READS))
    arguments = ["align", reference, reads, "-o", tmp_path / "o.sam"]
    refused(1, arguments, f"{reference}: is a FASTA", f"esa index {reference}")


def test_no_index(tmp_path: Path, refused: Refused) -> None:
    reads = write(tmp_path / "reads.fq", fastq_text(READS))
    out = tmp_path / "o.sam"
    (tmp_path / "folder").mkdir()
    refused(1, ["align", tmp_path / "nix.esa", reads, "-o", out], "nix.esa: no such directory", "esa index")
    refused(1, ["align", tmp_path / "folder", reads, "-o", out], "folder: is no esa index", "esa index")
    refused(1, ["align", reads, reads, "-o", out], "reads.fq: is a file", "esa index")


# --- outputs -----------------------------------------------------------------------------------------------


def test_bad_output_places(index: Path, tmp_path: Path, refused: Refused) -> None:
    reads = write(tmp_path / "reads.fq", fastq_text(READS))
    missing = tmp_path / "nix" / "o.sam"
    refused(1, ["align", index, reads, "-o", missing], f"no folder {missing.parent}", "create")
    (tmp_path / "folder.sam").mkdir()
    refused(1, ["align", index, reads, "-o", tmp_path / "folder.sam"], "folder.sam: it is a directory")
    refused(2, ["align", index, reads, "-o", tmp_path / "o.txt"], "o.txt", ".sam nor in .bam")
    refused(2, ["align", index, reads, "-o", tmp_path / "o"], ".sam nor in .bam")


# --- accepted ----------------------------------------------------------------------------------------------


def align(index: Path, tmp_path: Path, *arguments: object, ending: str = "sam") -> list[pysam.AlignedSegment]:
    out = tmp_path / f"out.{ending}"
    esa("align", index, *arguments, "-o", out, "-q")
    return records_of(out)


@pytest.mark.parametrize("ending", ["sam", "bam"])
@pytest.mark.parametrize(
    "files", [["e.fq"], ["e.fq", "e2.fq"], ["e.fq.gz"], ["e.fq", "--interleaved"], ["n.fq"]]
)
def test_empty_reads(files: list[str], ending: str, index: Path, tmp_path: Path) -> None:
    for name, content in {"e.fq": "", "e2.fq": "", "e.fq.gz": "", "n.fq": "\n"}.items():
        write(tmp_path / name, content)
    arguments = [file if file.startswith("-") else tmp_path / file for file in files]
    assert align(index, tmp_path, *arguments, ending=ending) == []
    assert (tmp_path / f"out.{ending}").stat().st_size > 0


def test_empty_reads_have_a_summary(index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reads = write(tmp_path / "e.fq", "")
    esa("align", index, reads, "-o", tmp_path / "o.sam")
    assert capsys.readouterr().err.splitlines()[0].split() == ["reads", "0"]


def test_pairs_of_unequal_lengths(index: Path, tmp_path: Path) -> None:
    mates = [(name, bases[: 40 + 10 * i]) for i, (name, bases) in enumerate(MATES)]
    r1, r2 = write(tmp_path / "R1.fq", fastq_text(READS)), write(tmp_path / "R2.fq", fastq_text(mates))
    records = align(index, tmp_path, r1, r2)
    assert [x.query_length for x in records[1::2]] == [len(bases) for _, bases in mates]
    assert all(x.is_proper_pair for x in records)


@pytest.mark.parametrize("text", [fastq_text(READS), fasta_text(READS)], ids=["fastq", "fasta"])
def test_line_ends_of_windows(text: str, index: Path, tmp_path: Path) -> None:
    plain = align(index, tmp_path, write(tmp_path / "plain.fq", text))
    other = align(index, tmp_path, write(tmp_path / "crlf.fq", text.replace("\n", "\r\n")))
    assert [x.to_string() for x in plain] == [x.to_string() for x in other]
    assert all(not x.is_unmapped for x in plain)


def test_reference_with_line_ends_of_windows(index: Path, tmp_path: Path) -> None:
    reference = write(tmp_path / "ref.fa", fasta_text(GENOME).replace("\n", "\r\n"))
    esa("index", reference, "-q")
    reads = write(tmp_path / "r.fq", fastq_text(READS))
    assert [x.to_string() for x in align(tmp_path / "ref.fa.esa", tmp_path, reads)] == [
        x.to_string() for x in align(index, tmp_path, reads)
    ]


def members(text: str) -> bytes:
    """Gzip of several members, an empty one among them."""
    half = len(text) // 2
    return b"".join(gzip.compress(part.encode()) for part in (text[:half], "", text[half:]))


def test_multi_member_gzip(index: Path, tmp_path: Path) -> None:
    esa("index", write(tmp_path / "ref.fa", members(fasta_text(GENOME))), "-q")
    plain = align(index, tmp_path, write(tmp_path / "r.fq", fastq_text(READS)))
    other = align(tmp_path / "ref.fa.esa", tmp_path, write(tmp_path / "m.fq", members(fastq_text(READS))))
    assert [x.to_string() for x in plain] == [x.to_string() for x in other]


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("kind", ["fastq", "fasta"])
@pytest.mark.parametrize(
    "bases", ["", "A", "N" * 120, "ACGTNRYK", "A" * 100], ids=["0", "1", "N", "iupac", "A"]
)
def test_reads_that_cannot_map(bases: str, kind: str, paired: bool, index: Path, tmp_path: Path) -> None:
    text = fastq_text if kind == "fastq" else fasta_text
    reads = [READS[0], ("odd", bases), READS[1]]
    files = [write(tmp_path / "R1.fq", text(reads))]
    if paired:
        files.append(write(tmp_path / "R2.fq", text([MATES[0], ("odd", bases), MATES[1]])))
    records = [x for x in align(index, tmp_path, *files) if x.query_name == "odd"]
    assert len(records) == 1 + paired
    for x in records:
        assert x.is_unmapped
        assert (x.reference_id, x.mapping_quality, x.cigarstring) == (-1, 0, None)
        assert (x.query_sequence or "") == bases.translate(str.maketrans("RYK", "NNN"))
        assert qual_of(x) == ((kind == "fastq" and qualities(len(bases))) or "*")


@pytest.mark.parametrize("bases", ["", "A", "N" * 120], ids=["0", "1", "N"])
def test_an_odd_read_is_placed_by_its_mate(bases: str, index: Path, tmp_path: Path) -> None:
    r1 = write(tmp_path / "R1.fq", fastq_text([READS[0]]))
    r2 = write(tmp_path / "R2.fq", fastq_text([(READS[0][0], bases)]))
    first, second = align(index, tmp_path, r1, r2)
    assert not first.is_unmapped
    assert first.mate_is_unmapped
    assert second.is_unmapped
    assert (second.reference_name, second.reference_start) == (first.reference_name, first.reference_start)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_long_read(preset: str, data_dir: Path, tmp_path: Path) -> None:
    lambda_phage = data_dir / "lambda_phage.fa.gz"
    esa("index", lambda_phage, "-o", tmp_path / "l.esa", "--preset", preset, "-q")
    bases = "".join(gzip.decompress(lambda_phage.read_bytes()).decode().split("\n")[1:])
    reads = [("long", bases[20_000:30_000]), ("turned", reverse_complement(bases[5_000:15_000]))]
    reads.append(("random", random_bases(np.random.default_rng(3), 10_000)))
    records = align(tmp_path / "l.esa", tmp_path, write(tmp_path / "r.fq", fastq_text(reads)))
    assert [x.query_length for x in records] == [10_000] * 3
    for x, start in zip(records, (20_000, 5_000), strict=False):
        assert x.is_unmapped or (x.reference_start, x.cigarstring) == (start, "10000M")
    assert records[2].is_unmapped or records[2].mapping_quality < 10


def test_a_short_contig_among_longer_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contigs = {"a": GENOME["a"], "tiny": "ACGTTGCA", "b": GENOME["b"], "one": "G"}
    esa("index", write(tmp_path / "ref.fa", fasta_text(contigs)))
    summary = dict(line.split(maxsplit=1) for line in capsys.readouterr().err.splitlines())
    assert summary["contigs"] == "4"
    assert "2 contigs" in summary["no"]
    out = tmp_path / "out.sam"
    reads = [("r", GENOME["b"][300:420]), ("tiny", "ACGTTGCA")]
    records = align(tmp_path / "ref.fa.esa", tmp_path, write(tmp_path / "r.fq", fastq_text(reads)))
    assert [line.split("\t")[1:3] for line in out.read_text().splitlines() if line.startswith("@SQ")] == [
        [f"SN:{name}", f"LN:{len(bases)}"] for name, bases in contigs.items()
    ]
    assert (records[0].reference_name, records[0].reference_start) == ("b", 300)


def test_reads_without_qualities(index: Path, tmp_path: Path) -> None:
    reads = [*READS, ("turned", reverse_complement(READS[0][1]))]
    records = align(index, tmp_path, write(tmp_path / "r.fa", fasta_text(reads)))
    assert len(records) == len(reads)
    assert all(not x.is_unmapped and qual_of(x) == "*" for x in records)
    assert records[-1].is_reverse
    assert records[-1].query_sequence == READS[0][1]
