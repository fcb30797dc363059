"""What `esa index`, `esa align` and `esa train` say when they are done."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from esa.align.inserts import ORIENTATIONS
from esa.align.statistics import LEVEL_COUNTS, STAGES
from esa.index.build import IndexSummary
from esa.run.pipeline import AlignOptions, AlignSummary

if TYPE_CHECKING:  # torch, which `esa align` never imports
    from esa.train.run import TrainSummary

DIGITS = 3
"""Of seconds in JSON."""


def index_summary(summary: IndexSummary) -> str:
    """A few lines on an index just built."""
    manifest = summary.manifest
    counts = manifest.statistics
    lines = [
        ("index", str(summary.path)),
        ("preset", manifest.preset),
        ("contigs", f"{len(manifest.contigs):,}"),
        ("bases", f"{manifest.bases:,}"),
        ("N", f"{counts['n_bases']:,}"),
        ("fragments", f"{counts['fragments']:,}"),
        ("bytes", f"{manifest.bytes:,}  ({manifest.bytes / manifest.bases:.2f} a base)"),
        ("seconds", f"{summary.seconds:.1f}"),
    ]
    if counts["contigs_without_fragments"]:
        lines.insert(3, ("no fragment", f"{counts['contigs_without_fragments']:,} contigs, too short or N"))
    if counts["iupac_bases"]:
        lines.insert(-3, ("IUPAC", f"{counts['iupac_bases']:,} ambiguous letters became N"))
    return _table(lines)


def align_summary(summary: AlignSummary) -> str:
    """A few lines on a run of `esa align`."""
    lines = [
        ("reads", f"{summary.reads:,}"),
        ("mapped", _share(summary.mapped, summary.reads)),
    ]
    if summary.inserts is not None:
        inserts = summary.inserts
        lines[1:1] = [("pairs", f"{summary.pairs:,}")]
        lines.append(("properly paired", _share(summary.proper, summary.pairs)))
        if inserts.deviation:
            source = f"from {inserts.pairs:,} pairs" if inserts.pairs else "as given"
            lines.append(
                (
                    "insert size",
                    f"{inserts.mean:.0f} +- {inserts.deviation:.0f} ({ORIENTATIONS[inserts.orientation]}, "
                    f"{inserts.low} to {inserts.high} proper; {source})",
                )
            )
        else:
            lines.append(("insert size", f"assumed FR, up to {inserts.high}: too few pairs to learn from"))
    if summary.supplementary:
        lines.append(("supplementary", f"{summary.supplementary:,} records of split reads"))
    if summary.ambiguous:
        lines.append(("IUPAC", f"{summary.ambiguous:,} ambiguous letters became N"))
    lines.append(
        ("time", f"{summary.seconds:.1f} s, {summary.reads / max(summary.seconds, 1e-9):,.0f} reads/s")
    )
    return _table(lines)


def align_stats(summary: AlignSummary, options: AlignOptions) -> str:
    """JSON for those who tune: counts of a run of `esa align`, where its time went, what each level looked at.

    Seconds of ``stages`` are those of all threads together, so they may add up to more than the wall time.
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


def train_summary(summary: TrainSummary) -> str:
    """A few lines on a finished training run."""
    progress = summary.trained.progress
    rows = [row for row in progress.curves if row["step"] == progress.best_step]
    lines = [
        ("encoder", str(summary.directory)),
        ("parameters", f"{summary.parameters:,}"),
        ("steps", f"{progress.step:,}  ({summary.trained.stopped})"),
        ("best", f"validation at step {progress.best_step:,}"),
    ]
    if rows:
        names = list(rows[0])
        lines += [(name, f"{rows[0][name]:.4f}") for name in names[names.index("recall") :]]
    if summary.no_picture:
        lines.append(("not drawn", summary.no_picture))
    lines.append(("time", f"{progress.seconds:.0f} s"))
    return _table(lines)


def _share(part: int, whole: int) -> str:
    return f"{part:,}" + (f"  ({100 * part / whole:.2f} %)" if whole else "")


def _table(lines: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)
