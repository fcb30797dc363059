"""`esa simulate`: its options arrive, and how it fails. What it makes: tests/eval/test_simulated_reads.py."""

from __future__ import annotations

from pathlib import Path

import dnaio
import pytest

from esa.cli.main import run


@pytest.fixture
def lambda_phage(data_dir: Path) -> str:
    return str(data_dir / "lambda_phage.fa.gz")


def test_pairs(lambda_phage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = str(tmp_path / "x")
    options = "--pairs 40 --length 80 --length2 60 --insert 200 --insert-sd 0 --divergence 0 --quality 20"
    assert run(["simulate", lambda_phage, "-o", prefix, *options.split(), "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("40 pairs in ")
    with dnaio.open(f"{prefix}_R1.fq.gz", f"{prefix}_R2.fq.gz") as pairs:
        records = list(pairs)
    assert len(records) == 40
    for first, second in records:
        assert (len(first), len(second)) == (80, 60)
        assert first.qualities == "5" * 80
        position, position2, reverse = (int(field) for field in first.name.split("|")[-1].split("_")[1:4])
        assert (position - position2 if reverse else position2 - position) == (120 if reverse else 140)


def test_single_with_edits_and_random_reads(lambda_phage: str, tmp_path: Path) -> None:
    prefix = str(tmp_path / "x")
    edits = "--substitutions 0.1 --indels 0.05 --indel-length 2"
    options = f"--single --reads 400 {edits} --random-fraction 0.5 --no-gzip"
    assert run(["simulate", lambda_phage, "-o", prefix, *options.split()]) == 0
    with dnaio.open(f"{prefix}.fq") as reads:
        names = [record.name for record in reads]
    rand = [name for name in names if name.startswith("rand_")]
    assert 150 < len(rand) < 250
    counts = [name.split("_")[-3].split(":") for name in names if name not in rand]
    assert sum(int(count[0]) for count in counts) / len(counts) == pytest.approx(14.3, rel=0.1)
    assert sum(int(count[2]) for count in counts) / len(counts) == pytest.approx(7.2, rel=0.1)


def test_the_law_of_indels_arrives(lambda_phage: str, tmp_path: Path) -> None:
    """Without substitutions the law alone makes the files differ; an option at its default makes none."""
    texts = []
    for i, law in enumerate(
        (
            "",
            "--indel-law zipf",
            "--indel-law zipf --indel-exponent 1.7 --indel-max 30",
            "--indel-length 3",
            "--indel-law zipf --indel-exponent 0.5",
            "--indel-law zipf --indel-max 100",
            "--indel-max 2",
        )
    ):
        prefix = str(tmp_path / f"x{i}")
        options = f"--single --reads 200 --substitutions 0 --indels 0.02 --no-gzip {law}"
        assert run(["simulate", lambda_phage, "-o", prefix, *options.split()]) == 0
        texts.append(Path(f"{prefix}.fq").read_text())
    assert texts[1] == texts[2]
    assert len(set(texts)) == len(texts) - 1


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ("--pairs 3 --indel-law zipf --indel-length 2", 2, "no meaning with the zipf law"),
        ("--pairs 3 --indel-exponent 2", 2, "no meaning with the geometric law"),
        ("--pairs 3 --indel-max 0", 2, "longest indel"),
        ("--pairs 3 --indel-law normal", 2, "normal"),
        ("", 2, "give either --pairs"),
        ("--pairs 3 --single", 2, "give either --pairs"),
        ("--pairs 3 --length 500", 2, "shorter than a read"),
        ("--pairs 3 --divergence 200", 2, "between 0 and 1"),
        ("--pairs 3 --divergence 2 --indels 0.1", 2, "--divergence"),
        ("--pairs 3 --insert 60000", 1, "no contig has 60000 bases"),
    ],
)
def test_failures(
    lambda_phage: str,
    tmp_path: Path,
    options: str,
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["simulate", lambda_phage, "-o", str(tmp_path / "x"), *options.split()]) == code
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_missing_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", str(tmp_path / "no.fa"), "-o", str(tmp_path / "x"), "--pairs", "3"]) == 1
    assert "no.fa: no such file" in capsys.readouterr().err


def test_short_contigs_are_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reference = tmp_path / "ref.fa"
    reference.write_text(f">long\n{'ACGTTGCATG' * 100}\n>short\nACGT\n>none\nTT\n")
    prefix = str(tmp_path / "x")
    assert run(["simulate", str(reference), "-o", prefix, "--pairs", "3"]) == 0
    assert capsys.readouterr().err == (
        f"3 pairs in {prefix}_R1.fq.gz and {prefix}_R2.fq.gz\n"
        "2 contigs are too short for the fragments and gave none\n"
    )
