"""`esa index`: what it writes, where, and what it says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from samples import esa, fasta_text, random_bases, write

from esa.cli.main import run
from esa.index.presets import PRESETS

GENOME = {
    "a": random_bases(np.random.default_rng(21), 6000),
    "b": random_bases(np.random.default_rng(22), 3000),
}


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return Path(write(tmp_path / "ref.fa", fasta_text(GENOME)))


def files_of(index: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in index.iterdir()}


def summary_of(text: str) -> dict[str, str]:
    return {line[:12].strip(): line[12:].strip() for line in text.splitlines()}


def info(index: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    esa("info", "--json", index)
    shown: dict[str, object] = json.loads(capsys.readouterr().out)
    return shown


@pytest.mark.parametrize("name", ["ref.fa", "ref.fa.gz"])
def test_default_place_is_beside_the_reference(name: str, tmp_path: Path) -> None:
    reference = write(tmp_path / name, fasta_text(GENOME))
    esa("index", reference)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name}.esa"]
    esa("info", "--verify", f"{reference}.esa")


@pytest.mark.parametrize("preset", list(PRESETS))
def test_summary(preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bases = GENOME["a"][:500] + "N" * 70 + GENOME["a"][570:700] + "RYK" + GENOME["a"][703:]
    genome = {"a": bases, "tiny": "ACGT", "b": GENOME["b"], "blank": "N" * 900}
    reference = write(tmp_path / "ref.fa", fasta_text(genome))
    esa("index", reference, "-o", tmp_path / "x.esa", "--preset", preset)
    captured = capsys.readouterr()
    assert captured.out == ""
    said = summary_of(captured.err)
    shown = info(tmp_path / "x.esa", capsys)
    size = sum(path.stat().st_size for path in (tmp_path / "x.esa").iterdir() if path.name != "manifest.json")
    assert said["index"] == str(tmp_path / "x.esa")
    assert said["preset"] == preset == shown["preset"]
    assert said["contigs"] == "4"
    assert said["no fragment"].startswith("2 contigs")
    assert said["bases"] == f"{sum(map(len, genome.values())):,}"
    assert said["N"] == "973"
    assert said["IUPAC"].startswith("3 ")
    assert int(said["fragments"].replace(",", "")) > 50
    assert said["bytes"].startswith(f"{size:,} ")
    assert float(said["seconds"]) >= 0


def test_quiet(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    esa("index", reference, "--quiet")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("preset", list(PRESETS))
def test_the_same_reference_gives_the_same_bytes(preset: str, reference: Path, tmp_path: Path) -> None:
    zipped = write(tmp_path / "copy.fa.gz", reference.read_text())
    esa("index", reference, "-o", tmp_path / "1.esa", "-t", 1, "--preset", preset)
    esa("index", zipped, "-o", tmp_path / "2.esa", "-t", 2, "--preset", preset)
    assert files_of(tmp_path / "1.esa") == files_of(tmp_path / "2.esa")


def test_force_replaces(reference: Path, tmp_path: Path) -> None:
    esa("index", reference)
    before = files_of(tmp_path / "ref.fa.esa")
    write(reference, fasta_text({"c": GENOME["b"]}))
    assert run(["index", str(reference)]) == 1
    assert files_of(tmp_path / "ref.fa.esa") == before
    esa("index", reference, "--force")
    assert files_of(tmp_path / "ref.fa.esa") != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ref.fa", "ref.fa.esa"]


def test_an_encoder_by_name(reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    esa("index", reference, "-o", tmp_path / "1.esa")
    esa("index", reference, "-o", tmp_path / "2.esa", "--encoder", "codes")
    assert files_of(tmp_path / "1.esa") == files_of(tmp_path / "2.esa")
    capsys.readouterr()
    assert run(["index", str(reference), "--encoder", "nix"]) != 0
    assert "nix" in capsys.readouterr().err
    assert not (tmp_path / "ref.fa.esa").exists()


def test_an_encoder_of_another_kind_is_refused(reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", str(reference), "--encoder", "sketch"]) != 0
    assert "sketch" in capsys.readouterr().err
    assert not Path(f"{reference}.esa").exists()


def test_thousands_of_contigs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(5)
    lengths = [20 if i % 4 == 0 else 150 for i in range(4000)]
    genome = {f"contig{i}": random_bases(rng, n) for i, n in enumerate(lengths)}
    reference = write(tmp_path / "ref.fa", fasta_text(genome))
    esa("index", reference)
    said = summary_of(capsys.readouterr().err)
    assert said["contigs"] == "4,000"
    # All of 20 bases; of 150 bases hardly one is without a minimizer.
    assert 1000 <= int(said["no fragment"].split()[0].replace(",", "")) < 1200
    contigs = info(Path(f"{reference}.esa"), capsys)["contigs"]
    assert isinstance(contigs, list)
    assert [(contig["name"], contig["length"]) for contig in contigs] == [
        (name, len(bases)) for name, bases in genome.items()
    ]


def indexing(fifo: Path, index: Path) -> subprocess.Popen[bytes]:
    """A process that reads a reference from a FIFO."""
    os.mkfifo(fifo)
    # A runner that was started in the background may have SIGINT ignored, which children inherit.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from esa.__main__ import main; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, "index", "-q", str(fifo), "-o", str(index)], stderr=subprocess.PIPE
    )


@contextmanager
def fed(fifo: Path, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Gives a process that reads a FIFO the genome, but no end of the file; in the end none of it is left."""
    try:
        while True:
            try:
                descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
                break
            except OSError:  # nobody reads it yet
                if process.poll() is not None:
                    raise AssertionError(process.communicate()[1]) from None
                time.sleep(0.02)
        with open(descriptor, "wb") as writer:
            writer.write(fasta_text(GENOME).encode())
            writer.flush()
            yield
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing(number: signal.Signals, code: int, tmp_path: Path) -> None:
    process = indexing(tmp_path / "ref.fa", tmp_path / "x.esa")
    with fed(tmp_path / "ref.fa", process):
        time.sleep(0.1)  # not needed: only that the signal meets different places
        assert len(list(tmp_path.iterdir())) == 2, "the index is built beside its final place"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert said.decode().strip() == f"esa: {'interrupted' if code == 130 else 'terminated'}"
    assert [path.name for path in tmp_path.iterdir()] == ["ref.fa"]


def names_in(folder: Path) -> list[str]:
    """What lies in a folder, random parts of hidden names left out."""
    return sorted(re.sub(r"-[0-9a-f]{8}$", "", path.name) for path in folder.iterdir())


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(
    reference: Path, tmp_path: Path
) -> None:
    killed = indexing(tmp_path / "killed", tmp_path / "x.esa")
    with fed(tmp_path / "killed", killed):
        killed.kill()
        killed.wait()
    living = indexing(tmp_path / "living", tmp_path / "x.esa")
    with fed(tmp_path / "living", living):
        # The second one has removed what the first one left, by the time that it reads.
        assert names_in(tmp_path) == [".x.esa.tmp", "killed", "living", "ref.fa"]
        esa("index", reference, "-o", tmp_path / "x.esa")
        assert names_in(tmp_path) == [".x.esa.tmp", "killed", "living", "ref.fa", "x.esa"]
        assert living.poll() is None
        living.kill()
        living.wait()
    esa("index", reference, "-o", tmp_path / "other.esa")
    assert ".x.esa.tmp" in names_in(tmp_path), "only of the same target"
    esa("index", reference, "-o", tmp_path / "x.esa", "--force")
    assert names_in(tmp_path) == ["killed", "living", "other.esa", "ref.fa", "x.esa"]
    assert files_of(tmp_path / "x.esa") == files_of(tmp_path / "other.esa")


def test_what_is_nobody_s_for_certain_stays(reference: Path, tmp_path: Path) -> None:
    nameless = tmp_path / ".x.esa.tmp-00000001"
    nameless.mkdir()
    (tmp_path / ".x.esa.tmp-mine").mkdir()
    replaced = tmp_path / ".x.esa.old-00000002"
    replaced.mkdir()
    esa("index", reference, "-o", tmp_path / "x.esa")
    # An old index stays while no other is there; then a process was killed that would have removed it.
    assert names_in(tmp_path) == [".x.esa.old", ".x.esa.tmp", ".x.esa.tmp-mine", "ref.fa", "x.esa"]
    esa("index", reference, "-o", tmp_path / "x.esa", "--force")
    assert names_in(tmp_path) == [".x.esa.tmp", ".x.esa.tmp-mine", "ref.fa", "x.esa"]


def test_a_full_disk_leaves_nothing(reference: Path, tmp_path: Path) -> None:
    # A limit on file sizes (here 1 or 2 kB) stands in for a disk that fills up.
    limited = 'ulimit -f 2; exec "$0" -m esa index "$1" -o "$2"'
    done = subprocess.run(
        ["bash", "-c", limited, sys.executable, reference, tmp_path / "x.esa"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"{tmp_path / 'x.esa'}: cannot be written: File too large: make room" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["ref.fa"]
