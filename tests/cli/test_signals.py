"""No interrupt is lost, however it meets Python."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

BEGIN = """
import os, signal, sys, threading, time
from esa.cli import main, signals
signals.REPEAT = 0.1
def invoke(arguments):
    try:
        work()
    finally:
        print("cleaned", flush=True)
main._invoke = invoke
"""

AT_ANOTHER_THREAD = """
def hit():
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), NUMBER)
def work():
    threading.Thread(target=hit).start()
    threading.Event().wait()
"""
"""What the main thread also meets when the signal comes just before it blocks."""

SWALLOWED = """
class Deaf:
    def __del__(self):
        os.kill(os.getpid(), NUMBER)
        time.sleep(0.01)
def work():
    sys.stderr, kept = open(os.devnull, "w"), sys.stderr
    Deaf()
    sys.stderr = kept
    threading.Event().wait()
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


def said(number: int, work: str) -> tuple[int, str, str]:
    script = f"NUMBER = {int(number)}{BEGIN}{work}main.main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("work", [AT_ANOTHER_THREAD, SWALLOWED], ids=["another thread", "swallowed"])
@pytest.mark.parametrize(
    ("number", "code", "line"),
    [(signal.SIGINT, 130, "esa: interrupted\n"), (signal.SIGTERM, 143, "esa: terminated\n")],
)
def test_a_signal_that_python_loses_arrives(work: str, number: int, code: int, line: str) -> None:
    assert said(number, work) == (code, "cleaned\n", line)


def test_a_signal_of_a_child_is_not_ours() -> None:
    assert said(signal.SIGTERM, IN_A_CHILD) == (0, "child 7\ncleaned\n", "")


def test_an_ignored_interrupt_stays_ignored() -> None:
    # As for `nohup esa ...` and `esa ... &` in a script.
    work = "def work():\n    os.kill(os.getpid(), NUMBER)\n    time.sleep(0.3)\n"
    script = f"NUMBER = {int(signal.SIGINT)}{BEGIN}{work}main.main()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert (done.returncode, done.stdout) == (0, b"cleaned\n")
