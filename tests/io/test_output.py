"""Where alignments go, and what is left when something goes wrong."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from esa.errors import OutputError, UsageError
from esa.io.output import names_bam, open_file, open_output

HEADER = "@HD\tVN:1.6\tSO:unsorted\tGO:query\n@SQ\tSN:c\tLN:1000\n"
LINES = "".join(f"r{i}\t0\tc\t{i + 1}\t60\t4M\t*\t0\t0\tACGT\tIIII\tNM:i:0\n" for i in range(200))
TEXT = HEADER + LINES
FORMER = b"what was there before"


def write_all(path: str | None, text: str = TEXT) -> None:
    with open_output(path) as out:
        out.write(text.encode())


def write_then(path: Path, action: Callable[[], object]) -> None:
    """Write a little, do something else, write more than any pipe holds."""
    with open_output(str(path)) as out:
        out.write(TEXT.encode())
        action()
        for _ in range(100):
            out.write(LINES.encode())


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """A name to write; whatever the test does, nothing else may be in its folder afterwards."""
    path = tmp_path / "x.sam"
    yield path
    assert [p for p in tmp_path.iterdir() if p != path] == []


@pytest.fixture(params=[False, True], ids=["new", "replaces"])
def former(request: pytest.FixtureRequest, target: Path) -> Callable[[], bool]:
    """With and without a former file; tells whether it is as it was."""
    if request.param:
        target.write_bytes(FORMER)
    return lambda: target.read_bytes() == FORMER if request.param else not target.exists()


def run_script(code: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, timeout=60, check=False, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]


def test_sam_file(tmp_path: Path) -> None:
    path = tmp_path / "x.sam"
    with open_output(str(path)) as out:
        out.write(HEADER.encode())
        out.write(np.frombuffer(LINES.encode(), np.uint8)[:1000])
        assert not path.exists(), "the final name appears at the end"
        out.write(np.zeros(0, np.uint8))
        out.write(memoryview(LINES.encode())[1000:])
    assert path.read_text() == TEXT
    assert os.listdir(tmp_path) == ["x.sam"]


@pytest.mark.parametrize(
    ("path", "bam"),
    [
        ("x.bam", True),
        ("X.BAM", True),
        ("a.sam/pipe.bam", True),
        ("x.sam", False),
        ("a.bam/x.sam", False),
        ("x.bam.sam", False),
        ("/dev/stdout", False),
        ("pipe", False),
        ("bam", False),
        (".bam", False),
        ("-", False),
        (None, False),
    ],
)
def test_the_name_says_whether_it_is_bam(path: str | None, bam: bool) -> None:
    assert names_bam(path) == bam


def test_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    with open_file(str(path)) as out:
        out.write(b"{}")
        assert not path.exists()
    assert path.read_bytes() == b"{}"
    with pytest.raises(OutputError, match="it is a directory"):
        open_file(str(tmp_path))


def test_replaces_a_former_file(target: Path) -> None:
    target.write_bytes(FORMER)
    write_all(str(target))
    assert target.read_text() == TEXT


def test_mode_follows_the_umask(target: Path) -> None:
    before = os.umask(0o027)
    try:
        write_all(str(target))
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "x.sam"
    link.symlink_to("there/real.sam")
    write_all(str(link))
    assert link.is_symlink()
    assert (tmp_path / "there" / "real.sam").read_text() == TEXT
    assert os.listdir(tmp_path / "there") == ["real.sam"]


class Terminated(BaseException):
    """Like the one the CLI raises on SIGTERM."""


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, Terminated])
def test_exception_leaves_nothing(
    target: Path, former: Callable[[], bool], kind: type[BaseException]
) -> None:
    def fail() -> None:
        raise kind

    with pytest.raises(kind):
        write_then(target, fail)
    assert former()


def test_interrupt_while_closing(
    target: Path, former: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_all(str(target))
    assert former()


@pytest.mark.parametrize("name", ["", "x", "x.txt", "x.sam.gz", "x.cram", "sam", ".sam", "x.bam/"])
def test_unknown_ending(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"\.sam nor in \.bam"):
        open_output(name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", [".sam", ".bam"])
def test_refused_at_opening(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"folder{ending}").mkdir()
    (tmp_path / "file").touch()
    for name, message in (
        (f"folder{ending}", "it is a directory"),
        (f"none/x{ending}", f"there is no folder {tmp_path}/none; create it"),
        (f"file/x{ending}", "Not a directory"),
        (f"{'n' * 300}{ending}", "File name too long"),
    ):
        with pytest.raises(OutputError, match=message) as caught:
            open_output(str(tmp_path / name))
        assert str(tmp_path / name) in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", f"folder{ending}"]


def test_folder_without_permission(tmp_path: Path) -> None:
    folder = tmp_path
    if os.geteuid() == 0:
        folder = Path("/sys")  # where root may not create files either
    else:
        folder.chmod(0o555)
    with pytest.raises(OutputError, match=f"no permission to create files in {folder}; choose another"):
        open_output(str(folder / "x.sam"))


def test_write_protected_file(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target.write_bytes(FORMER)
    target.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may do anything
    with pytest.raises(OutputError, match="write-protected"):
        open_output(str(target))
    assert target.read_bytes() == FORMER


# Straight writing


@pytest.mark.parametrize("path", [None, "-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_stdout(path: str | None, capfd: pytest.CaptureFixture[str]) -> None:
    write_all(path)
    assert capfd.readouterr().out == TEXT


def test_stdout_without_descriptor(capsys: pytest.CaptureFixture[str]) -> None:
    write_all(None)
    assert capsys.readouterr().out == TEXT


WRITE = """
    import sys
    from esa.errors import OutputError
    from esa.io.output import open_output
    try:
        with open_output(sys.argv[1]) as out:
            for _ in range(int(sys.argv[2])):
                out.write(sys.argv[3].encode())
    except OutputError as error:
        sys.exit(str(error))
    except BrokenPipeError:
        sys.exit(141)
"""


def test_stdout_keeps_the_order(tmp_path: Path) -> None:
    code = f"print('before')\n{textwrap.dedent(WRITE)}"
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    with (tmp_path / "log").open("wb") as stdout:
        run_script(code, "-", 1, TEXT, stdout=stdout, env=buffered)
    assert (tmp_path / "log").read_text() == f"before\n{TEXT}"


@pytest.mark.parametrize("path", ["-", "/dev/stdout"])
def test_stdout_is_a_file_with_content(tmp_path: Path, path: str) -> None:
    log = tmp_path / "log"
    log.write_bytes(FORMER)
    with log.open("ab") as stdout:
        assert run_script(WRITE, path, 1, TEXT, stdout=stdout).returncode == 0
    assert log.read_bytes() == FORMER + TEXT.encode()


def test_stdout_closed(tmp_path: Path) -> None:
    done = run_script(WRITE, "-", 1, TEXT, preexec_fn=lambda: os.close(1))
    assert done.returncode == 1
    assert b"standard output: it is closed" in done.stderr


def test_stdout_full() -> None:
    with open("/dev/full", "wb") as full:
        done = run_script(WRITE, "-", 1, TEXT, stdout=full)
    assert (done.returncode, done.stderr) == (
        1,
        b"cannot write standard output: No space left on device; make room there or choose another place\n",
    )


def test_device_full() -> None:
    with pytest.raises(OutputError, match="cannot write /dev/full: No space left on device; make room"):
        write_all("/dev/full")


@pytest.mark.parametrize("name", ["pipe", "pipe.sam", "pipe.bam"])
def test_fifo(tmp_path: Path, name: str) -> None:
    fifo, copy = tmp_path / name, tmp_path / f"copy-{name}"
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: copy.write_bytes(fifo.read_bytes()))
    reader.start()
    write_all(str(fifo))
    reader.join()
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    assert copy.read_text() == TEXT


@pytest.mark.skipif(sys.platform != "linux", reason="pipes have a size on Linux")
def test_a_pipe_is_made_wider() -> None:
    reader, writer = os.pipe()
    before = fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ)
    with open_output(f"/dev/fd/{writer}") as output:
        assert fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ) > before
        output.write(b"x" * (1 << 19))  # nobody reads yet
    os.close(writer)
    with open(reader, "rb") as source:
        assert len(source.read()) == 1 << 19


def test_fifo_whose_reader_goes_away(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe.sam"
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: os.close(os.open(fifo, os.O_RDONLY)))
    reader.start()
    with pytest.raises(BrokenPipeError):
        write_then(fifo, reader.join)


def test_descriptor(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        write_all(f"/dev/fd/{file.fileno()}")
    assert (tmp_path / "file").read_text() == TEXT
    with pytest.raises(OutputError, match="cannot write /dev/fd/987: Bad file descriptor"):
        open_output("/dev/fd/987")


def test_reader_of_stdout_goes_away() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        for path in (f"/dev/fd/{write}", f"/proc/self/fd/{write}"):
            with pytest.raises(BrokenPipeError):
                write_all(path)
        done = run_script(WRITE, "-", 1, TEXT, stdout=write)
        assert (done.returncode, done.stderr) == (141, b"")
    finally:
        os.close(write)


# Failures while writing files


LIMITED = (
    """
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
"""
    + WRITE
)


def test_file_too_large(target: Path, former: Callable[[], bool]) -> None:
    noise = np.random.default_rng(1).integers(33, 127, 40_000).astype(np.uint8).tobytes().decode()
    line = f"r\t4\t*\t0\t0\t*\t*\t0\t0\t{'A' * len(noise)}\t{noise}\n"
    done = run_script(LIMITED, target, 1, HEADER + line)
    assert done.returncode == 1
    assert f"cannot write {target}: ".encode() in done.stderr
    assert b"room" in done.stderr
    assert former()


def test_rename_fails(target: Path) -> None:
    with pytest.raises(OutputError, match="Is a directory"):
        write_then(target, target.mkdir)
    assert list(target.iterdir()) == []


INTERRUPTED = """
    import sys, time
    from esa.io.output import open_output
    with open_output(sys.argv[1]) as out:
        out.write(sys.argv[2].encode())
        print("ready", flush=True)
        time.sleep(60)
"""


def test_interrupt_to_the_process_group(target: Path, former: Callable[[], bool]) -> None:
    command = [sys.executable, "-c", textwrap.dedent(INTERRUPTED), str(target), TEXT]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in stderr
    assert "Error" not in stderr.replace("KeyboardInterrupt", "")
    assert former()
