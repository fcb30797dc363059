"""`esa.run.precompile`: after the first run nothing is left to compile, whatever the reads and the options."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from samples import edited, fasta_text, fastq_text, random_bases, reverse_complement, substituted, write

from esa.cli import compiling
from esa.cli.main import run
from esa.errors import OutputError
from esa.index.build import BuildOptions, build_index
from esa.index.presets import DEFAULT_PRESET
from esa.kernels import cache
from esa.run import precompile

USED_BUT_NOT_WARMED = """
import sys, tempfile
from pathlib import Path
from numba.core.dispatcher import Dispatcher
from esa.run import precompile
from esa.cli.main import run

def loaded():
    values = [v for name, m in list(sys.modules.items()) if name.startswith("esa.") for v in vars(m).values()]
    kernels = [v.__dict__.get("python_entry") for v in values if isinstance(v, Dispatcher)]
    return {(k.py_func.__qualname__, str(s)) for k in kernels if k is not None for s in k.signatures}

with tempfile.TemporaryDirectory() as folder:
    precompile.call_kernels(Path(folder), threads=1)
warmed = loaded()
assert len(warmed) > 30, warmed
for line in sys.stdin.read().splitlines():
    assert run(line.split()) == 0, line
for kernel, signature in sorted(loaded() - warmed):
    print(kernel, signature)
"""


def in_a_process(program: str, text: str) -> str:
    """What a program prints, in a process that has called no kernel before."""
    path = os.pathsep.join([str(cache._PACKAGE.parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=text,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def awkward_inputs(folder: Path) -> list[str]:
    """Command lines for every sort of reads and records."""
    rng = np.random.default_rng(2)
    bases = random_bases(rng, 9000)
    contigs = {"a": bases, "b": "N" * 50 + "acgtRYK" + bases[2000:4000].lower(), "c": "ACGT", "d": "N" * 100}
    contigs |= {f"copy{i}": substituted(rng, bases[5000:5600], 0.01 * i) for i in range(8)}
    write(folder / "ref.fa.gz", fasta_text(contigs))
    reads = [("plain", bases[100:250]), ("unmapped", random_bases(rng, 150)), ("short", bases[300:340])]
    reads += [
        ("one", "A"),
        ("N", "N" * 80),
        ("half N", bases[400:480] + "N" * 70),
        ("copies", bases[5100:5250]),
    ]
    reads += [("long", edited(rng, bases[500:3500], 0.05)), ("split", bases[700:800] + bases[8000:8100])]
    reads += [("gap", bases[900:980] + bases[1010:1100]), ("far", edited(rng, bases[1500:1750], 0.12))]
    mates = [(name, reverse_complement(x)) for name, x in reads[1:] + reads[:1]]
    mates = [(reads[i][0], x) for i, (_, x) in enumerate(mates)]
    write(folder / "1.fq", fastq_text(reads))
    write(folder / "2.fq.gz", fastq_text(mates))
    write(folder / "both.fa", fasta_text([x for pair in zip(reads, mates, strict=True) for x in pair]))
    for read in reads:
        write(folder / f"{read[0].replace(' ', '_')}.fq", fastq_text([read]))
    index, one, two = f"{folder}/ref.fa.gz.esa", f"{folder}/1.fq", f"{folder}/2.fq.gz"
    lines = [
        f"{one}", f"{two} -o {folder}/x.bam", f"{one} {two}", f"{folder}/both.fa --interleaved",
        f"{one} -a --eqx", f"{one} {two} -k 3 -Y -R @RG\\tID:x\\tSM:y", f"{one} {two} --xa", f"{one} -k 1 -T 10",
        f"{one} {two} -I 300 --batch-size 2 --eqx --xa --seed 5", f"{one} {two} -a -o {folder}/y.bam",
        *(f"{path} -a -Y" for path in sorted(folder.glob("*_*.fq")) + sorted(folder.glob("[a-z]*.fq"))),
    ]  # fmt: skip
    return [
        f"index -q {folder}/ref.fa.gz",
        *(f"align -q {index} {line}" + ("" if " -o " in line else f" -o {folder}/x.sam") for line in lines),
    ]


def test_no_run_needs_a_kernel_that_the_first_has_not_compiled(tmp_path: Path) -> None:
    lines = awkward_inputs(tmp_path)
    assert in_a_process(USED_BUT_NOT_WARMED, "\n".join(lines)) == ""


def test_real_reads_need_no_other_kernels_either(tmp_path: Path, data_dir: Path) -> None:
    reference = data_dir / "human_GRCh37_chr20_9975001-10125000.fa.gz"
    stem = f"{data_dir}/human_NA12878_PE101_chr20_10.0-10.1Mb_500pairs"
    index = tmp_path / "x.esa"
    lines = [
        f"index -q {reference} -o {index}",
        f"align -q {index} {stem}_R1.fq.gz {stem}_R2.fq.gz -o {tmp_path}/x.sam",
        f"align -q {index} {data_dir}/hiv1_PE250_300pairs_R1.fq.gz -o {tmp_path}/x.bam",
    ]
    assert in_a_process(USED_BUT_NOT_WARMED, "\n".join(lines)) == ""


def nothing() -> None:
    """What is told to nobody."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Threads of each time that kernels are called to be compiled; no earlier run has left a mark."""
    called: list[int] = []
    for module in (precompile, compiling):
        monkeypatch.setattr(module, "complete_mark", lambda: tmp_path / "mark")
    monkeypatch.setattr(precompile, "call_kernels", lambda folder, threads: called.append(threads))
    monkeypatch.setattr(cache, "_NOT_KEPT", threading.Event())
    return called


@pytest.mark.parametrize("quiet", [False, True])
def test_the_first_run_compiles_and_says_so_once(
    calls: list[int], quiet: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "ref.fa", fasta_text({"a": random_bases(np.random.default_rng(3), 500)}))
    said = []
    for _ in range(2):
        assert run(["index", f"{tmp_path}/ref.fa", "--force", "-t", "2", *["-q"] * quiet]) == 0
        said.append(capsys.readouterr().err)
    assert calls == [2]
    assert [text.count("compiling kernels") for text in said] == [int(not quiet), 0]


def test_a_first_run_that_is_interrupted_leaves_no_mark(
    calls: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(folder: Path, threads: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(precompile, "call_kernels", interrupted)
    with pytest.raises(KeyboardInterrupt):
        precompile.compile_kernels(1, nothing, nothing)
    assert not (tmp_path / "mark").exists()


def test_other_presets_do_not_compile_what_they_do_not_need(calls: list[int], tmp_path: Path) -> None:
    write(tmp_path / "ref.fa", fasta_text({"a": random_bases(np.random.default_rng(3), 900)}))
    assert run(["index", f"{tmp_path}/ref.fa", "--preset", "sketch", "-q"]) == 0
    assert calls == []


@pytest.mark.parametrize("fault", ["the lock", "the files", "the index", "the mark"])
def test_a_full_disk_ends_no_first_run(
    calls: list[int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    def full(*args: object, **options: object) -> NoReturn:
        raise OutputError("no room") if fault == "the index" else OSError(errno.ENOSPC, "no room")

    faulty = {
        "the lock": (precompile, "alone"),
        "the files": (precompile.unfinished, "scratch_folder"),
        "the index": (precompile, "call_kernels"),
        "the mark": (Path, "touch"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*faulty[fault], full)
        precompile.compile_kernels(1, nothing, nothing)
    assert capsys.readouterr().err.count("no room") == 1
    assert not (tmp_path / "mark").exists()


def test_a_first_run_that_could_not_keep_all_leaves_no_mark(calls: list[int], tmp_path: Path) -> None:
    cache._NOT_KEPT.set()
    precompile.compile_kernels(1, nothing, nothing)
    assert calls == [1]
    assert not (tmp_path / "mark").exists()


def test_what_cannot_be_kept_is_not_compiled_ahead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def called(*args: object) -> NoReturn:
        raise AssertionError("it is compiled")

    kept = threading.Event()
    monkeypatch.setattr(cache, "_NOT_KEPT", kept)
    monkeypatch.setattr(
        precompile, "build_index", lambda *args, **options: kept.set()
    )  # its kernels fill the disk
    for name in ("_second_process", "open_index"):
        monkeypatch.setattr(precompile, name, called)
    precompile.call_kernels(tmp_path, 2)
    assert kept.is_set()


def test_a_run_that_waits_for_another_says_so_and_compiles_nothing(
    calls: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def alone(_purpose: str, waiting: Callable[[], object]) -> Iterator[None]:
        waiting()
        (tmp_path / "mark").touch()  # the other one has done it
        yield

    monkeypatch.setattr(precompile, "alone", alone)
    with compiling.compiled_kernels(DEFAULT_PRESET, 1, quiet=False):
        said = capsys.readouterr().err
    assert said.count("\n") == said.count("waiting for another process") == 1
    assert calls == []


def second_process(folder: Path) -> int:
    """Exit status of the process that compiles the later half."""
    with precompile._second_process(folder) as process:
        pass
    return process.returncode


def test_the_second_process_compiles_its_half_whatever_lies_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tmp_path / "reference.fa", fasta_text({"a": random_bases(np.random.default_rng(3), 2000)}))
    build_index(str(tmp_path / "reference.fa"), tmp_path / precompile._INDEX, BuildOptions())
    for name in ("random", "tempfile", "esa"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    assert second_process(tmp_path) == 0


def test_a_second_process_that_fails_is_no_harm(tmp_path: Path) -> None:
    assert second_process(tmp_path / "none") == 1


def test_the_mark_is_of_one_machine_and_one_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    marks = [cache.complete_mark(), cache.complete_mark()]
    assert marks[0] == marks[1]
    codegen = cache.cpu_target.target_context.codegen()
    monkeypatch.setattr(type(codegen), "magic_tuple", lambda self: ("another", "machine", ""))
    marks.append(cache.complete_mark())
    monkeypatch.setattr(cache.numba, "__version__", "another")
    marks.append(cache.complete_mark())
    assert len(set(marks)) == 3
