"""bwa places nearly all simulated reads of an easy genome right: if few look right, origins are misread."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from esa.eval.evaluate import InputFile, evaluate
from esa.eval.metrics import Evaluation
from esa.eval.simulate import SimulationParameters, write_reads

Peer = Callable[[str], str]
LEAST_CORRECT = 0.99


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, data_dir: Path, peer: Peer) -> Path:
    path = tmp_path_factory.mktemp("lambda") / "lambda.fa"
    path.write_bytes(gzip.decompress((data_dir / "lambda_phage.fa.gz").read_bytes()))
    subprocess.run([peer("bwa"), "index", path], check=True, capture_output=True)
    return path


def aligned(peer: Peer, reference: Path, folder: Path, *reads: Path | str) -> Evaluation:
    sam = folder / "bwa.sam"
    with sam.open("wb") as output:
        command = [peer("bwa"), "mem", reference, *reads]
        subprocess.run(command, check=True, stdout=output, stderr=subprocess.DEVNULL)
    return evaluate([InputFile("bwa", str(sam))])


def check(result: Evaluation, truth: str, reads: int) -> None:
    assert (result.truth, result.reads) == (truth, reads)
    accuracy = result.files[0].accuracy
    assert accuracy is not None
    assert accuracy.correct_share is not None
    assert accuracy.correct_share >= LEAST_CORRECT


def test_dwgsim(peer: Peer, reference: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "x"
    options = ["-z1", "-N500", "-1150", "-290", "-e0.01", "-E0.01", "-r0.005", "-R0.3", "-X0.6", "-y0.1"]
    subprocess.run([peer("dwgsim"), *options, reference, prefix], check=True, capture_output=True)
    ends = [f"{prefix}.bwa.read{end}.fastq.gz" for end in (1, 2)]
    pairs = aligned(peer, reference, tmp_path, *ends)
    check(pairs, "dwgsim", 1000)
    assert 50 < (pairs.random_reads or 0) < 150
    check(aligned(peer, reference, tmp_path, ends[0]), "dwgsim", 500)


def test_wgsim(peer: Peer, reference: Path, tmp_path: Path) -> None:
    ends = [tmp_path / "1.fq", tmp_path / "2.fq"]
    options = ["-S1", "-N500", "-1150", "-290", "-e0.01", "-r0.005", "-R0.3", "-X0.6"]
    subprocess.run([peer("wgsim"), *options, reference, *ends], check=True, capture_output=True)
    check(aligned(peer, reference, tmp_path, *ends), "wgsim", 1000)
    for end in ends:
        check(aligned(peer, reference, tmp_path, end), "wgsim", 500)


@pytest.mark.parametrize("paired", [True, False])
def test_our_own(peer: Peer, reference: Path, tmp_path: Path, paired: bool) -> None:
    p = SimulationParameters(500, paired, 150, 90, substitutions=0.018, indels=0.002, random_fraction=0.1)
    report = write_reads(str(reference), str(tmp_path / "x"), p)
    check(aligned(peer, reference, tmp_path, *report.paths), "dwgsim", 500 * len(report.paths))
