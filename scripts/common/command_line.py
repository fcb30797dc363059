"""The command line that scripts share: parser, common options, exit codes, and the settings for the JSON file."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scripts.common.cache import source_digest
from scripts.common.programs import ROOT, BenchError, version_of
from scripts.common.workplace import Workplace

TERMINATED = 128 + signal.SIGTERM


def settings(args: argparse.Namespace, programs: Sequence[str]) -> dict[str, Any]:
    """What a result depends on, for the JSON file."""
    return {
        "options": {name: str(value) for name, value in sorted(vars(args).items())},
        "machine": {
            "system": platform.platform(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
        },
        "versions": {"esa source": source_digest()} | {name: version_of(name) for name in programs},
    }


def script_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the script's docstring; its usage line names ``python -m MODULE``."""
    spec = sys.modules["__main__"].__spec__
    program = None if spec is None else f"python -m {spec.name.removesuffix('.__main__')}"
    return argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Data, output folder, seed and threads."""
    add_data_options(parser)
    add_out_option(parser)
    parser.add_argument("-t", "--threads", type=int, default=2, help="threads of every program")


def add_out_option(parser: argparse.ArgumentParser) -> None:
    """The output folder."""
    parser.add_argument("--out", type=Path, default=ROOT / "bench_out", help="results and cached files")


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """The data collection and the seed."""
    data = Path(os.environ.get("ESA_DATA") or ROOT.parent / "shared/data")
    parser.add_argument("--data", type=Path, default=data, help="collection of real data (or set ESA_DATA)")
    parser.add_argument("--seed", type=int, default=11, help="of the simulated and random reads")


def workplace(args: argparse.Namespace) -> Workplace:
    """The `Workplace` that the common options name."""
    return Workplace(data=args.data.resolve(), out=args.out.resolve(), threads=args.threads)


def guarded(main: Callable[[], None]) -> None:
    """Run a script's main; an expected failure is a message and exit code 1. SIGTERM, too, leaves nothing half."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        main()
    except BenchError as error:
        sys.exit(f"error: {error}")
