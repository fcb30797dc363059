"""`scripts.common.process_memory`: parsing what Linux says, and a real process tree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from scripts.common.process_memory import (
    PeakMemory,
    parent_of,
    pss_bytes,
    total_pss,
    tree_pss,
    with_descendants,
)

ROLLUP = """\
555c525d9000-7ffdaf6b7000 ---p 00000000 00:00 0                          [rollup]
Rss:                1776 kB
Pss:                 539 kB
Pss_Dirty:           112 kB
Pss_Anon:            111 kB
Pss_File:            427 kB
SwapPss:               7 kB
"""


def test_pss_is_the_line_of_that_name() -> None:
    assert pss_bytes(ROLLUP) == 539 * 1024
    assert pss_bytes("") == 0
    assert total_pss([ROLLUP, "", ROLLUP]) == 2 * 539 * 1024


def test_parents() -> None:
    assert parent_of("Name:\tpython\nUmask:\t0022\nPid:\t77\nPPid:\t41\nTracerPid:\t0\n") == 41
    assert parent_of("") == 0


def test_descendants_of_all_generations_and_no_others() -> None:
    parents = {9: 5, 5: 2, 2: 1, 3: 1, 7: 3, 1: 0}
    assert with_descendants(2, parents) == {2, 5, 9}
    assert with_descendants(9, parents) == {9}


HOLDS = "import sys, time; held = b'x' * (40 << 20); print('up', flush=True); time.sleep(30)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLDS!r}])"


def wait_for_looks(memory: PeakMemory, looks: int) -> None:
    wanted = memory.looks + looks
    while memory.looks < wanted:
        time.sleep(0.01)


def test_a_child_s_memory_counts_and_its_peak_stays() -> None:
    words = [sys.executable, "-c", PARENT]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        with PeakMemory(process.pid) as memory:
            assert process.stdout.readline() == b"up\n"
            assert tree_pss(process.pid) > 40 << 20
            wait_for_looks(memory, 2)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            wait_for_looks(memory, 2)
    assert 40 << 20 < memory.peak_bytes < 140 << 20
