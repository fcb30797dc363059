"""The `esa` command as a whole: the overview, start-up, the error boundary."""

from __future__ import annotations

import gzip
import importlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from samples import esa, fasta_text, make_index, random_bases, records_of, write

from esa import __version__
from esa.cli import main
from esa.cli.main import SUBCOMMANDS, run

HEAVY = ("numba", "torch", "numpy", "faiss", "pysam", "Bio", "tqdm")
"""Modules that `esa --help` must do without."""


def modules_after(arguments: list[str], folder: Path) -> set[str]:
    """Top-level modules that a process has imported when a command of it is done."""
    code = (
        "import sys, json; from esa.cli.main import run; code = run(json.loads(sys.argv[1])); "
        "open(sys.argv[2], 'w').write(json.dumps(sorted({name.split('.')[0] for name in sys.modules}))); "
        "sys.exit(code)"
    )
    listed = folder / "modules.json"
    subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments), str(listed)], check=True, capture_output=True
    )
    return set(json.loads(listed.read_text()))


def test_overview_imports_nothing_heavy(tmp_path: Path) -> None:
    imported = modules_after(["--help"], tmp_path)
    assert "click" in imported
    assert imported.isdisjoint(HEAVY)


NOT_FOR_ALIGN = ("torch", "faiss", "matplotlib", "pysam", "Bio", "dnaio", "transformers")
"""Modules that `esa align` with the default preset must do without.

safetensors is not among them: a first run builds an index to compile the kernels, which reads the encoder's weights.
"""

OVERVIEW_SECONDS = 0.3


def test_overview_is_fast() -> None:
    """In processor time, and the fastest of a few: others may use this machine, too."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "esa", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < OVERVIEW_SECONDS


def test_align_with_the_default_preset_imports_no_model_and_no_plotting(tmp_path: Path) -> None:
    genome = {"a": random_bases(np.random.default_rng(1), 2000)}
    index = make_index(tmp_path, genome)
    reads = write(tmp_path / "r.fa", f">r\n{genome['a'][500:700]}\n")
    imported = modules_after(["align", str(index), reads, "-o", str(tmp_path / "o.sam")], tmp_path)
    assert "numba" in imported
    assert imported.isdisjoint(NOT_FOR_ALIGN)


def test_overview_names_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, (module, line) in SUBCOMMANDS.items():
        assert f"{name} " in shown
        assert line in shown
        assert isinstance(importlib.import_module(module).command, click.Command)


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_every_subcommand_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "-h"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: esa {command} [OPTIONS]")
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_every_option_has_a_text_and_its_default(command: str) -> None:
    """A value that an option has without being given is shown with it."""
    options = [
        parameter
        for parameter in importlib.import_module(SUBCOMMANDS[command][0]).command.params
        if isinstance(parameter, click.Option)
    ]
    for option in options:
        assert option.help is not None, option.opts
        assert option.help.endswith("."), option.opts
        shown = isinstance(option.default, int | float | str) or callable(option.default)
        if shown and not option.is_flag:
            assert option.show_default, option.opts


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"esa, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nix"], "'nix'"),
        (["--nix"], "--nix"),
        (["align"], "DIR"),
        (["align", "x.esa"], "R1"),
        (["align", "x.esa", "a", "b", "c"], "c"),
        (["align", "x.esa", "a", "--threads", "0"], "threads"),
        (["align", "x.esa", "a", "--batch-size", "0"], "batch-size"),
        (["align", "x.esa", "a", "--seed", "-1"], "seed"),
        (["align", "x.esa", "a", "--seed", str(2**64)], "seed"),
        (["align", "x.esa", "a", "-T", str(2**64)], "-T"),
        (["index"], "REF"),
        (["index", "x.fa", "--preset", "nix"], "nix"),
    ],
)
def test_wrong_usage(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert named in captured.err


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "esa: interrupted\n"),
        (OSError(28, "No space left on device", "x"), 1, "esa: No space left on device: x\n"),
        (OSError("no errno"), 1, "esa: no errno\n"),
        (main.EsaError("what"), 1, "esa: what\n"),
    ],
)
def test_error_boundary(
    raised: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(arguments: list[str]) -> None:
        raise raised

    monkeypatch.setattr(main, "_invoke", fail)
    assert run([]) == code
    assert capsys.readouterr().err == said


def test_a_programming_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    # click would make an interrupt of it.
    def fail(*arguments: object, **options: object) -> None:
        raise EOFError

    monkeypatch.setattr("esa.cli.info.open_directory", fail)
    with pytest.raises(EOFError):
        run(["info", "x.esa"])


def test_module_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "esa", "nix"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "No such command 'nix'" in done.stderr


CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]


def with_closed(closed: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    script = f'"$0" -m esa "$@" {closed}'
    command = ["bash", "-c", script, sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=120)


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_streams(closed: str, tmp_path: Path) -> None:
    """What is written into files is whole; no file takes the number of a closed descriptor, or gets what went there."""
    reference = write(tmp_path / "ref.fa", fasta_text({"a": random_bases(np.random.default_rng(1), 2000)}))
    index, sam, zipped = (tmp_path / name for name in ("i", "o.sam", "r.fa.gz"))
    zipped.write_bytes(gzip.compress(b">r\nACGT\n"))
    for arguments in (
        ("index", reference, "-o", index),
        ("align", index, write(tmp_path / "r.fa", ">r\nACGT\n"), "-o", sam),
        ("align", index, zipped, "-o", tmp_path / "z.sam"),
        ("align", index, zipped, "-o", tmp_path / "z.bam", "--stats", tmp_path / "s.json"),
        ("simulate", reference, "--pairs", 5, "-o", tmp_path / "s"),
    ):
        done = with_closed(closed, *arguments)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert sam.read_text().splitlines()[-1].startswith("r\t4\t")
    assert [record.query_name for record in records_of(tmp_path / "z.bam")] == ["r"]
    assert json.loads((tmp_path / "s.json").read_text())["reads"] == 1
    lines = gzip.decompress((tmp_path / "s_R1.fq.gz").read_bytes()).splitlines()
    assert len(lines) == 20


@pytest.mark.parametrize("closed", CLOSED)
def test_what_goes_to_a_closed_stdout_is_not_lost_without_a_word(closed: str, tmp_path: Path) -> None:
    index = make_index(tmp_path, {"a": random_bases(np.random.default_rng(1), 2000)})
    reads = write(tmp_path / "r.fa", ">r\nACGT\n")
    sam = tmp_path / "o.sam"
    assert with_closed("", "align", index, reads, "-o", sam).returncode == 0
    for arguments in (("--help",), ("info", index), ("align", index, reads), ("eval", sam)):
        done = with_closed(closed, *arguments)
        assert done.returncode == (1 if ">&-" in closed.replace("2>&-", "") else 0), arguments
        assert b"Traceback" not in done.stderr
        if done.returncode and "2>&-" not in closed:
            assert b"esa: cannot write standard output: it is closed" in done.stderr


def test_closed_stdin_holds_no_reads(tmp_path: Path) -> None:
    index = make_index(tmp_path, {"a": random_bases(np.random.default_rng(1), 2000)})
    done = with_closed("<&-", "align", index, "-")
    assert done.returncode == 1
    assert done.stderr.startswith(b"esa: standard input: is closed")


def test_a_fifo_whose_reader_goes_away_and_no_stdout(tmp_path: Path) -> None:
    index = make_index(tmp_path, {"a": random_bases(np.random.default_rng(1), 2000)})
    reads = write(tmp_path / "r.fa", ">r\nACGT\n" * 1000)
    fifo = tmp_path / "o.sam"
    os.mkfifo(fifo)
    with subprocess.Popen(["head", "-c", "1", str(fifo)], stdout=subprocess.DEVNULL):
        done = with_closed(">&-", "align", index, reads, "-o", fifo, "-q")
    assert (done.returncode, done.stderr) in [(141, b""), (0, b"")]


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    index = make_index(
        tmp_path, {f"contig{i}": random_bases(np.random.default_rng(i), 500) for i in range(9)}
    )
    readable, writable = os.pipe()
    os.close(readable)
    with os.fdopen(writable, "wb") as gone:
        for arguments in (["info", "--json", str(index)], ["--help"]):
            done = subprocess.run(
                [sys.executable, "-m", "esa", *arguments], stdout=gone, stderr=subprocess.PIPE, check=False
            )
            assert (done.returncode, done.stderr) == (141, b"")


def test_runs_do_not_disturb_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = make_index(tmp_path, {"a": random_bases(np.random.default_rng(1), 2000)})
    assert run(["info", str(tmp_path / "nix")]) == 1
    esa("info", index)
    assert "Contigs" in capsys.readouterr().out
