"""Progress bars on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(quiet: bool, **options: Any) -> tqdm[None]:
    """A bar of tqdm on standard error, with tqdm's options; disabled if ``quiet``, or if that is no terminal."""
    from tqdm import tqdm

    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    return tqdm(disable=quiet or not on_terminal, leave=False, **options)
