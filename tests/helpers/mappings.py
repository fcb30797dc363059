"""The memory mappings of a file in this process, as Linux reports them."""

from __future__ import annotations

from pathlib import Path

SMAPS = Path("/proc/self/smaps")


def mappings_of(file: Path) -> list[dict[str, str]]:
    """Of each mapping of the file, what stands in `SMAPS`: ``{"Rss": "12 kB", "VmFlags": "rd mr hg", ...}``."""
    found: list[dict[str, str]] = []
    ours = False
    for line in SMAPS.read_text().splitlines():
        name, colon, value = line.partition(": ")
        if not colon or " " in name:  # addresses and the file
            ours = line.endswith(f" {file}")
            found += [{}] if ours else []
        elif ours:
            found[-1][name] = value.strip()
    return found
