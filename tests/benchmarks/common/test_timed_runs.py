"""`scripts.common.timed_runs`: what is measured of a process, and in which order."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from scripts.benchmarks.resources.runs import repeated
from scripts.common.programs import BenchError
from scripts.common.timed_runs import Run, first_pairs, in_turns, median_seconds, started, timed

MIB = 1 << 20


def run_python(code: str, folder: Path, stdout: Path | None = None) -> Run:
    return timed([sys.executable, "-I", "-S", "-c", code], stdout, folder / "log.txt")


def test_seconds_processor_and_memory_are_the_child_s(tmp_path: Path) -> None:
    ballast = bytearray(300 * MIB)  # of this process, which must not count
    ballast[::4096] = b"x" * len(ballast[::4096])
    idle = run_python("import time; time.sleep(0.3)", tmp_path)
    assert 0.3 <= idle.seconds < 3
    assert idle.processor_seconds < 0.25
    assert idle.peak_bytes < 60 * MIB
    large = run_python(f"x = bytearray({100 * MIB}); x[::4096] = b'x' * len(x[::4096])", tmp_path)
    assert 100 * MIB < large.peak_bytes < 160 * MIB


def test_output_goes_where_it_should(tmp_path: Path) -> None:
    run_python("import sys; print('out'); print('err', file=sys.stderr)", tmp_path, tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text() == "out\n"
    assert (tmp_path / "log.txt").read_text() == "err\n"


def test_a_failure_is_shown_with_its_message(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"(?s)exit code 3 from.*why"):
        run_python("import sys; print('why', file=sys.stderr); sys.exit(3)", tmp_path)
    with pytest.raises(BenchError, match="cannot start"):
        timed([tmp_path / "no-such-program"], None, tmp_path / "log.txt")


def test_nothing_outlives_an_exception() -> None:
    with pytest.raises(KeyError), started([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        raise KeyError
    assert process.returncode == -signal.SIGKILL


def test_tasks_take_turns() -> None:
    turns: list[str] = []

    def task(name: str) -> Run:
        turns.append(name)
        return Run(float(len(turns)), 0.0, 0)

    runs = in_turns({"a": lambda: task("a"), "b": lambda: task("b")}, 2)
    assert turns == ["a", "b", "a", "b"]
    assert {name: [run.seconds for run in several] for name, several in runs.items()} == {
        "a": [1, 3],
        "b": [2, 4],
    }


def test_the_first_pairs_are_copied(tmp_path: Path) -> None:
    records = [f"@{i}\nA\n+\nI\n" for i in range(3)]
    path = tmp_path / "R1.fq"
    path.write_text("".join(records))
    (short,) = first_pairs([path], 2, tmp_path)
    assert short.read_text() == "".join(records[:2])


def test_files_are_repeated(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"xy\n")
    (path,) = repeated([tmp_path / "a"], 3, tmp_path)
    assert path.read_bytes() == b"xy\n" * 3


def test_tasks_take_turns_and_their_first_run_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    turns: list[str] = []
    cost = {"a": [100.0, 1.0, 9.0, 2.0], "b": [50.0, 5.0, 4.0, 6.0]}
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def run(name: str) -> None:
        clock[0] += cost[name][turns.count(name)]
        turns.append(name)

    assert median_seconds([lambda: run("a"), lambda: run("b")], 3) == [2.0, 5.0]
    assert "".join(turns) == "abababab"
