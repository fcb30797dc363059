"""`esa.encoders.device`, and what `--device` leads to; CUDA itself where there is one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from samples import Aligner, Read, fasta_text, random_bases, reverse_complement, substituted, write

from esa.cli.main import run
from esa.encoders.device import accelerator, choose_device
from esa.errors import EsaError, UsageError
from esa.index import open as index_open
from esa.index.build import BuildOptions, build_index
from esa.index.open import on_device, open_index

CPU = torch.device("cpu")
needs_no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA")


def test_the_cpu_is_no_accelerator() -> None:
    assert choose_device("cpu") == CPU
    assert accelerator("cpu") is None
    with pytest.raises(UsageError, match="auto, cpu, cuda"):
        choose_device("tpu")


@needs_no_cuda
def test_cuda_is_refused_where_there_is_none() -> None:
    assert choose_device("auto") == CPU
    assert accelerator("auto") is None
    for choose in (choose_device, accelerator):
        with pytest.raises(EsaError, match="no CUDA device"):
            choose("cuda")


def test_cuda_is_chosen_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("auto", "cuda"):
        assert choose_device(name).type == "cuda"
        assert accelerator(name) == choose_device(name)
    assert choose_device("cpu") == CPU


def test_the_cpu_is_chosen_without_torch() -> None:
    code = (
        "import sys; from esa.encoders.device import accelerator; accelerator('cpu'); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@needs_no_cuda
@pytest.mark.parametrize(
    ("preset", "code", "message"), [("anchored", 2, "CPU alone"), ("sketch", 1, "no CUDA device")]
)
def test_the_commands_refuse_what_they_cannot_use(
    preset: str, code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = write(tmp_path / "ref.fa", fasta_text({"a": random_bases(np.random.default_rng(1), 3000)}))
    path = str(tmp_path / "x.esa")
    assert run(["index", reference, "-o", path, "--preset", preset, "--device", "cuda"]) == code
    assert message in capsys.readouterr().err
    assert not Path(path).exists()
    assert run(["index", reference, "-o", path, "--preset", preset, "--device", "auto", "-q"]) == 0
    reads = write(tmp_path / "r.fq", "@r\nACGT\n+\nIIII\n")
    assert run(["align", path, reads, "--device", "cuda"]) == code
    assert message in capsys.readouterr().err
    assert run(["align", path, reads, "--device", "auto", "-q", "-o", str(tmp_path / "x.sam")]) == 0


@pytest.mark.parametrize("preset", ["sketch", "rde"])
def test_reads_are_aligned_alike_by_torch(preset: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    bases = random_bases(rng, 20_000)
    genome = {"a": bases, "b": substituted(rng, bases[3000:6000], 0.05) + "N" * 70 + "ACGTTGCA" * 20}
    aligner = Aligner.of(tmp_path, genome, preset=preset)
    starts = rng.integers(0, len(bases) - 200, 60).tolist()
    reads: list[Read] = [
        (f"r{i}", substituted(rng, bases[s : s + 100 + i], 0.03)) for i, s in enumerate(starts)
    ]
    reads = [(name, reverse_complement(r) if i % 2 else r) for i, (name, r) in enumerate(reads)]
    reads.append(("nowhere", random_bases(rng, 150)))
    there = Aligner(tmp_path, on_device(aligner.index, CPU))
    assert there.sam(reads) == aligner.sam(reads)


@pytest.mark.parametrize("preset", ["sketch", "rde"])
def test_an_index_is_built_alike_by_torch(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bases = random_bases(np.random.default_rng(3), 9000)
    reference = write(tmp_path / "ref.fa", fasta_text({"a": bases[:4000] + "N" * 300 + bases[4000:]}))
    build_index(reference, tmp_path / "one", BuildOptions(preset))
    monkeypatch.setattr(index_open, "accelerator", lambda name: CPU if name == "cuda" else None)
    build_index(reference, tmp_path / "two", BuildOptions(preset, device="cuda"))
    one, two = (open_index(str(tmp_path / name)) for name in ("one", "two"))
    np.testing.assert_array_equal(one.store.arrays()["vectors"], two.store.arrays()["vectors"])
    assert one.encoder.parameters() == two.encoder.parameters()
    there = open_index(str(tmp_path / "one"), device="cuda")
    assert getattr(there.store, "exact", None) is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_finds_what_the_cpu_finds(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    bases = random_bases(rng, 20_000)
    aligner = Aligner.of(tmp_path, {"a": bases}, preset="sketch")
    reads: list[Read] = [(f"r{i}", bases[i * 90 : i * 90 + 150]) for i in range(200)]
    there = Aligner(tmp_path, on_device(aligner.index, torch.device("cuda")))
    assert there.sam(reads) == aligner.sam(reads)
