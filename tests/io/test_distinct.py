"""`esa.io.distinct`: nothing that is read is overwritten, and nothing that esa did not write is replaced."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from esa.errors import UsageError
from esa.io.distinct import require_distinct, require_new, require_replaceable


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    path = tmp_path / "r.fq"
    path.write_text("@r\nA\n+\nI\n")
    return path


def links(path: Path) -> dict[str, Path]:
    """Other names of a file."""
    folder = path.parent
    (folder / "soft").symlink_to(path)
    os.link(path, folder / "hard")
    (folder / "sub").mkdir()
    (folder / "chain").symlink_to(folder / "soft")
    return {
        "itself": path,
        "a link": folder / "soft",
        "a chain of links": folder / "chain",
        "a hard link": folder / "hard",
        "through its folder": folder / "sub" / ".." / path.name,
    }


@pytest.mark.parametrize(
    "name", ["itself", "a link", "a chain of links", "a hard link", "through its folder"]
)
def test_an_output_that_is_an_input(name: str, reads: Path) -> None:
    with pytest.raises(UsageError, match=r"-o .* is also R1"):
        require_distinct({"R1": str(reads), "R2": None}, {"-o": str(links(reads)[name])})


def test_two_outputs_that_are_one(tmp_path: Path) -> None:
    new = tmp_path / "new.sam"
    (tmp_path / "here").symlink_to(tmp_path)
    for other in (new, tmp_path / "here" / "new.sam"):
        with pytest.raises(UsageError, match=r"--stats .* is also -o"):
            require_distinct({}, {"-o": str(new), "--stats": str(other)})
    require_distinct({}, {"-o": str(new), "--stats": str(tmp_path / "new.json")})


def test_an_output_in_the_index(tmp_path: Path, reads: Path) -> None:
    index = tmp_path / "x.esa"
    index.mkdir()
    array = index / "genome.npy"
    array.write_bytes(b"1")
    (tmp_path / "link").symlink_to(index)
    os.link(array, tmp_path / "elsewhere.sam")
    for path in (array, index / "new.sam", tmp_path / "link" / "new.sam", index / "no" / "such" / "x.sam"):
        with pytest.raises(UsageError, match="index"):
            require_distinct({"R1": str(reads)}, {"-o": str(path)}, str(index))
    with pytest.raises(UsageError, match=r"-o .*elsewhere.sam is also the index"):
        require_distinct({}, {"-o": str(tmp_path / "elsewhere.sam")}, str(index))
    require_distinct({}, {"-o": str(tmp_path / "x.esa.sam")}, str(index))


def test_devices_may_be_everything_at_once(tmp_path: Path) -> None:
    require_distinct({"R1": os.devnull}, {"-o": os.devnull, "--stats": os.devnull})
    require_distinct({"R1": str(tmp_path / "missing")}, {"-o": str(tmp_path / "no" / "folder")})


def test_standard_input_and_output(reads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with reads.open() as source, reads.open("a") as sink:
        monkeypatch.setattr("sys.stdin", source)
        monkeypatch.setattr("sys.stdout", sink)
        for path_in, path_out in (("-", str(reads)), (str(reads), "-"), ("-", "-")):
            with pytest.raises(UsageError, match="is also R1"):
                require_distinct({"R1": path_in}, {"standard output": path_out})


KEYS = ("version", "levels")


@pytest.mark.parametrize(
    "content", ["@r\nA\n+\nI\n", "{}", '{"version": 1}', "[1]", '"x"', "{", "\x1f\x8b\x00"]
)
def test_a_file_of_another_kind_is_not_replaced(content: str, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"--stats .* is no such file of esa.*--force"):
        require_replaceable("--stats", str(path), KEYS, force=False)
    require_replaceable("--stats", str(path), KEYS, force=True)


def test_what_may_be_replaced(tmp_path: Path) -> None:
    ours, empty, fifo = (tmp_path / name for name in ("s.json", "empty", "fifo"))
    ours.write_text(json.dumps({"version": 1, "levels": [], "more": 2}))
    empty.touch()
    os.mkfifo(fifo)
    for path in (str(ours), str(empty), str(fifo), os.devnull, str(tmp_path / "new"), None):
        require_replaceable("--stats", path, KEYS, force=False)


def test_new_files(tmp_path: Path) -> None:
    old = tmp_path / "r_R1.fq.gz"
    require_new([str(old)], force=False)
    old.touch()
    with pytest.raises(UsageError, match="exists: replace it with --force"):
        require_new([str(tmp_path / "x"), str(old)], force=False)
    require_new([str(old)], force=True)
