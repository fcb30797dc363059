"""Starts one command and writes its exit code, seconds (wall, processors) and peak memory, for `timed_runs.timed`.

    python -I -S timed_child.py RESULT STDOUT STDERR COMMAND...

It is a small process for a reason. Until a new process runs its program, the kernel counts its parent's memory as its
own. So a benchmark of some hundred MB cannot learn from `wait4` that its child needed less. Imports little, and nothing
but the standard library.
"""

import os
import subprocess
import sys
import time


def main(result: str, stdout: str, stderr: str, *command: str) -> int:
    """Run the command; what it took goes to ``result``."""
    with open(stdout, "wb") as sink, open(stderr, "wb") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sink, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    with open(result, "w") as handle:
        busy = usage.ru_utime + usage.ru_stime
        # Kilobytes to bytes.
        handle.write(f"{process.returncode} {seconds!r} {busy!r} {usage.ru_maxrss * 1024}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
