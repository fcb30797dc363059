"""Peak memory of a process with all its descendants; shared pages count once (PSS of Linux)."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from scripts.common.programs import Command
from scripts.common.timed_runs import check, started

PROC = Path("/proc")
INTERVAL = 0.02
"""Seconds between two looks: a look at 500 MB takes some 2 ms."""
KILOBYTE = 1024

_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)
_RESIDENT = re.compile(r"^Rss(Anon|File):\s+(\d+) kB$", re.MULTILINE)
_PARENT = re.compile(r"^PPid:\s+(\d+)$", re.MULTILINE)


def pss_bytes(smaps_rollup: str) -> int:
    """Proportional set size, from the text of ``/proc/PID/smaps_rollup``; 0 of a process that has ended."""
    match = _PSS.search(smaps_rollup)
    return int(match[1]) * KILOBYTE if match else 0


def parent_of(status: str) -> int:
    """From the text of ``/proc/PID/status``; 0 if it has none."""
    match = _PARENT.search(status)
    return int(match[1]) if match else 0


def with_descendants(root: int, parents: Mapping[int, int]) -> set[int]:
    """``root`` and all that come from it; ``parents`` maps a process to its parent."""
    family = {root}
    grown = True
    while grown:
        born = {pid for pid, parent in parents.items() if parent in family} - family
        family |= born
        grown = bool(born)
    return family


def all_parents() -> dict[int, int]:
    """Of all processes there are."""
    pids = (int(path.name) for path in PROC.iterdir() if path.name.isdecimal())
    return {pid: parent_of(_text(pid, "status")) for pid in pids}


def tree_pss(root: int) -> int:
    """Bytes of a process and all its descendants."""
    return total_pss(_text(pid, "smaps_rollup") for pid in with_descendants(root, all_parents()))


def own_and_mapped(pid: int) -> tuple[int, int]:
    """Resident bytes of a process: its own, and of mapped files; 0 of one that has ended."""
    found = {name: int(kilobytes) * KILOBYTE for name, kilobytes in _RESIDENT.findall(_text(pid, "status"))}
    return found.get("Anon", 0), found.get("File", 0)


def total_pss(rollups: Iterable[str]) -> int:
    """The sum of `pss_bytes` over several processes."""
    return sum(map(pss_bytes, rollups))


def _text(pid: int, name: str) -> str:
    """Nothing if the process is gone."""
    try:
        return (PROC / str(pid) / name).read_text()
    except OSError:
        return ""


class PeakMemory:
    """Watches a process tree while a `with` block runs."""

    def __init__(self, root: int) -> None:
        self.peak_bytes = 0
        self.looks = 0
        self._root = root
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.is_set():
            self.peak_bytes = max(self.peak_bytes, tree_pss(self._root))
            self.looks += 1
            self._done.wait(INTERVAL)


def peak_memory(command: Command, log: Path) -> int:
    """Bytes of the command with all its processes, shared pages once."""
    words = [str(word) for word in command]
    with (
        log.open("wb") as errors,
        started(words, stdout=subprocess.DEVNULL, stderr=errors) as process,
        PeakMemory(process.pid) as memory,
    ):
        process.wait()
    check(process.returncode, words, log)
    return memory.peak_bytes
