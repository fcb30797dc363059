"""What the commands print of what they did, one fact a line; the report of `esa eval` has its own module.

Types are imported for annotations alone: `esa info` need not wait for numba, nor `esa align` for torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from esa.eval.simulate import SimulationSummary
    from esa.index.build import IndexSummary
    from esa.index.manifest import Manifest
    from esa.run.pipeline import AlignSummary
    from esa.train.run import TrainSummary

CONTIGS_SHOWN = 5
"""Contigs that `manifest_summary` lists."""

_STATISTICS_LABELS = {
    "n_bases": "N",
    "iupac_bases": "IUPAC, now N",
    "fragments": "Fragments",
    "contigs_without_fragments": "Contigs without any",
}
"""Labels of the statistics that every index has; others are shown under their own names."""


def index_summary(summary: IndexSummary) -> str:
    """Summary of an index that was just built."""
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
    return labelled(lines)


def manifest_summary(manifest: Manifest, directory: Path) -> str:
    """Summary of an existing index, from its manifest."""
    facts: list[tuple[str, object]] = [
        ("Index", directory),
        ("Format", f"{manifest.format_version} (written by esa {manifest.tool_version})"),
        ("Preset", manifest.preset),
        *((f"  {key}", value) for key, value in _flat(manifest.parameters)),
        ("Contigs", len(manifest.contigs)),
        *((f"  {c.name}", f"{c.length:,} bases, M5 {c.m5}") for c in manifest.contigs[:CONTIGS_SHOWN]),
    ]
    if len(manifest.contigs) > CONTIGS_SHOWN:
        facts.append(("  ...", f"and {len(manifest.contigs) - CONTIGS_SHOWN:,} more (all of them: --json)"))
    facts += [
        ("Bases", manifest.bases),
        *((_STATISTICS_LABELS.get(key, key), value) for key, value in _flat(manifest.statistics)),
        ("On disk", f"{manifest.bytes:,} bytes, {manifest.bytes / max(manifest.bases, 1):.2f} a base"),
        *((f"  {a.name}", f"{a.bytes:,} bytes, {a.dtype[1:]} {list(a.shape)}") for a in manifest.arrays),
        *((f"  {file.name}", f"{file.bytes:,} bytes") for file in manifest.files),
    ]
    return labelled([(label, _text(value)) for label, value in facts])


def align_summary(summary: AlignSummary) -> str:
    """Summary of a run of `esa align`."""
    from esa.align.inserts import ORIENTATIONS

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
    return labelled(lines)


def train_summary(summary: TrainSummary) -> str:
    """Summary of a training run."""
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
    return labelled(lines)


def simulation_summary(summary: SimulationSummary) -> str:
    """Summary of a run of `esa simulate`."""
    kind = "pairs" if len(summary.paths) > 1 else "reads"
    text = f"{summary.fragments:,} {kind} in {' and '.join(summary.paths)}"
    if summary.skipped_contigs:
        text += f"\n{summary.skipped_contigs:,} contigs are too short for the fragments and gave none"
    return text


def labelled(lines: list[tuple[str, str]]) -> str:
    """Lines of labels and values, the values in one column."""
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def _share(part: int, whole: int) -> str:
    return f"{part:,}" + (f"  ({100 * part / whole:.2f} %)" if whole else "")


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values, under dotted names."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
