"""SAM on stdin to BAM on stdout, by htslib: `esa.io.output` runs this file as a process of its own.

It imports nothing of esa, so that it starts quickly and however esa itself was found. Arguments: the number
of threads besides the main one, the compression level.
"""

from __future__ import annotations

import signal
import sys

import pysam


def main(threads: str, level: str) -> int:
    """Copy and return the exit code; what went wrong is on stderr."""
    # By this signal the parent tells a reader that went away from a disk that is full.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    arguments = ["-b", "--no-PG", "-@", threads, "--output-fmt-option", f"level={level}", "-o", "-", "-"]
    try:
        pysam.samtools.view(*arguments, catch_stdout=False)
    except pysam.utils.SamtoolsError as error:
        print(str(error).partition("stderr=")[2].strip("'").replace("\\n", "\n"), end="", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
