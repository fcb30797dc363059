"""A signal ends the command wherever it meets it; nothing unfinished is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from esa.cli.signals import ENDING

BEGIN = """
import os, signal, sys, threading, time
from esa.cli import main
def invoke(arguments):
    work()
main._invoke = invoke
"""

IN_A_LOCK = """
def work():
    os.kill(os.getpid(), NUMBER)
    threading.Event().wait()
"""
AT_ANOTHER_THREAD = """
def hit():
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), NUMBER)
def work():
    threading.Thread(target=hit).start()
    threading.Event().wait()
"""
IN_A_DESTRUCTOR = """
class Deaf:
    def __del__(self):
        os.kill(os.getpid(), NUMBER)
        time.sleep(0.01)
def work():
    Deaf()
    threading.Event().wait()
"""
IN_PYTHON_CODE = """
def work():
    os.kill(os.getpid(), NUMBER)
    while True:
        try:
            pass
        except:
            print("an exception came", flush=True)
"""
WRITING = """
def work():
    from esa.io.output import open_output
    with open_output(os.environ["OUT"] + "/o.sam") as out:
        os.kill(os.getpid(), NUMBER)
        while True:
            out.write(b"x")
"""
INDEXING = """
def work():
    import numpy as np
    from esa.index.writer import DirectoryWriter
    with DirectoryWriter(os.environ["OUT"] + "/x.esa") as writer:
        os.kill(os.getpid(), NUMBER)
        for i in range(1_000_000):
            writer.add(f"a{i}", np.zeros(1, np.uint8))
"""
IN_A_CHILD = """
def work():
    child = os.fork()
    if not child:
        signal.signal(NUMBER, lambda *_: os._exit(7))
        os.kill(os.getpid(), NUMBER)
        time.sleep(60)
    status = os.waitpid(child, 0)[1]
    time.sleep(0.5)
    print("child", os.waitstatus_to_exitcode(status), flush=True)
"""
WITH_CHILDREN = """
def work():
    import multiprocessing, subprocess
    from esa.io import unfinished
    forked = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    forked.start()
    run = subprocess.Popen(["sleep", "60"])
    with unfinished.noted_process(run):
        for pid in (forked.pid, run.pid):
            os.kill(pid, signal.SIGSTOP)
        print(forked.pid, run.pid, flush=True)
        os.kill(os.getpid(), NUMBER)
        threading.Event().wait()
"""
ALL = [IN_A_LOCK, AT_ANOTHER_THREAD, IN_A_DESTRUCTOR, IN_PYTHON_CODE, WRITING, INDEXING]


def run(number: int, work: str, folder: Path, ignored: bool = False) -> tuple[int, str, str]:
    script = f"NUMBER = {int(number)}{BEGIN}{work}main.main()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "OUT": str(folder)},
        # A runner in the background has SIGINT ignored, which its children inherit.
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL),
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("work", ALL, ids=["lock", "thread", "del", "python", "writing", "indexing"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_wherever_it_is(number: signal.Signals, work: str, tmp_path: Path) -> None:
    assert run(number, work, tmp_path) == (128 + number, "", f"esa: {ENDING[number]}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
def test_every_signal_that_ends_a_process(number: signal.Signals, tmp_path: Path) -> None:
    assert run(number, WRITING, tmp_path) == (128 + number, "", f"esa: {ENDING[number]}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_of_a_child_is_not_ours(tmp_path: Path) -> None:
    assert run(signal.SIGTERM, IN_A_CHILD, tmp_path) == (0, "child 7\n", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_ignored_signal_stays_ignored(number: signal.Signals, tmp_path: Path) -> None:
    # As for `nohup esa ...` and `esa ... &` in a script.
    work = "def work():\n    os.kill(os.getpid(), NUMBER)\n    time.sleep(0.3)\n    print('done')\n"
    assert run(number, work, tmp_path, ignored=True) == (0, "done\n", "")


def test_stopped_children_end_with_the_command(tmp_path: Path) -> None:
    code, out, _ = run(signal.SIGTERM, WITH_CHILDREN, tmp_path)
    assert code == 128 + signal.SIGTERM
    for pid in map(int, out.split()):
        assert wait_gone(pid)


def wait_gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            return True
        if state in "ZX":  # nobody has waited for it yet
            return True
        time.sleep(0.05)
    return False


def test_an_interrupt_while_modules_are_imported_shows_no_traceback(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Stop:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'esa.cli.main': os.kill(os.getpid(), signal.SIGINT)\n"
        "import esa.__main__\n"
        "sys.meta_path.insert(0, Stop())\n"
        "esa.__main__.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")
