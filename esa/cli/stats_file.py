"""The JSON file of `esa align --stats`."""

from __future__ import annotations

import json
from dataclasses import asdict

from esa.align.inserts import ORIENTATIONS
from esa.align.statistics import LEVEL_COUNTS, STAGES
from esa.run.pipeline import AlignOptions, AlignSummary

KEYS = ("version", "command_line", "reads_per_second", "stages", "levels")
"""Some keys of the file, by which it is recognised."""
DIGITS = 3
"""Decimals of seconds."""


def align_stats(summary: AlignSummary, options: AlignOptions) -> str:
    """Run statistics as JSON: counts of reads, seconds by stage, and the work of each search level.

    ``stages`` holds seconds summed over all threads, so they may exceed the wall time.
    """
    inserts = summary.inserts
    spent, levels = summary.statistics.seconds, summary.statistics.levels
    content = {
        "version": options.version,
        "command_line": options.command_line,
        "threads": options.threads,
        "reads": summary.reads,
        "pairs": summary.pairs,
        "mapped": summary.mapped,
        "properly_paired": summary.proper,
        "supplementary": summary.supplementary,
        "ambiguous_bases": summary.ambiguous,
        "insert_size": inserts and {**asdict(inserts), "orientation": ORIENTATIONS[inserts.orientation]},
        "seconds": round(summary.seconds, DIGITS),
        "first_record_seconds": round(summary.first_seconds, DIGITS),
        "reads_per_second": round(summary.reads / max(summary.seconds, 1e-9), 1),
        "stages": {stage: round(spent.get(stage, 0.0), DIGITS) for stage in STAGES},
        "levels": [
            {
                "name": name,
                "share_of_reads": round(counts["reads"] / max(summary.reads, 1), 6),
                **{count: counts[count] for count in LEVEL_COUNTS},
            }
            for name, counts in levels.items()
        ],
    }
    return json.dumps(content, indent=2) + "\n"
