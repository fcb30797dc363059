"""Runs `esa` as if some libraries were not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

CODE = """
import json, sys
from importlib.abc import MetaPathFinder

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in libraries:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

libraries, commands = map(json.loads, sys.argv[1:])
sys.meta_path.insert(0, Blocker())
from esa.cli.main import run
for command in commands:
    if code := run(command):
        sys.exit(code)
"""


def esa_without(libraries: Sequence[str], *commands: Sequence[object]) -> subprocess.CompletedProcess[str]:
    """Run commands of `esa` one after another in a process of their own, up to the first that fails.

    Args:
        libraries: names of imports that find nothing.
        commands: the arguments of each.
    """
    words = [[str(word) for word in command] for command in commands]
    return subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(list(libraries)), json.dumps(words)],
        capture_output=True,
        text=True,
        check=False,
    )
