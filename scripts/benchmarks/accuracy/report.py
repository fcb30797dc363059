"""The tables of the accuracy grid, as text or Markdown, and as data for the JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scripts.benchmarks.accuracy.cells import CellResult, Outcome
from scripts.benchmarks.accuracy.verdicts import (
    BEST_NOISES,
    CONFIDENT_MAPQ,
    OURS,
    PEER,
    best_peer,
    cell_verdicts,
    comparison,
    peers_of,
    pooled,
    pooled_easy,
    required_percent,
    robust,
)
from scripts.common.stats import CalibrationBin, Comparison, calibration, fragments_right, histogram, percent
from scripts.common.tables import Table, number
from scripts.common.verdicts import CALIBRATED, CORRECT, VS_BEST, VS_PEER, Verdict

SHOWN_MAPQ = (10, 30)
CALIBRATED_ALIGNERS = (OURS, PEER)


@dataclass(frozen=True)
class Figures:
    """One aligner in one cell, as printed and as kept in the JSON file."""

    correct: float
    wrong: float
    unmapped: float
    fragments: float
    kept: tuple[float, ...]
    wrong_per_million: tuple[float, ...]


def figures_of(outcome: Outcome, ends: int) -> Figures:
    """The figures of an outcome; ``ends``: reads per fragment."""
    counts = histogram(outcome.mapped, outcome.right, outcome.mapq)
    levels = [counts.at_least(mapq) for mapq in SHOWN_MAPQ]
    return Figures(
        percent(outcome.right),
        percent(outcome.mapped & ~outcome.right),
        percent(~outcome.mapped),
        percent(fragments_right(outcome.right, ends)),
        tuple(level.kept_percent for level in levels),
        tuple(level.wrong_per_million for level in levels),
    )


def accuracy_table(results: Sequence[CellResult]) -> Table:
    """A row per cell and aligner."""
    rows = []
    for result in results:
        for name, outcome in result.outcomes.items():
            f = figures_of(outcome, result.cell.ends)
            row = [str(result.cell), name, number(f.correct, 3), number(f.wrong, 3), number(f.unmapped, 3)]
            row.append(number(f.fragments, 3) if result.cell.ends == 2 else "")
            for kept, wrong in zip(f.kept, f.wrong_per_million, strict=True):
                row += [number(kept), number(wrong, 1)]
            rows.append(row)
    columns = ["genome:length:divergence:layout", "aligner", "correct %", "wrong %", "unmapped %", "pairs %"]
    for mapq in SHOWN_MAPQ:
        columns += [f"kept % >={mapq}", f"wrong/M >={mapq}"]
    caption = (
        "Of all reads, primary record only. pairs %: both ends right. "
        "kept and wrong per million of the kept, at MAPQ >= 10 and >= 30."
    )
    return Table("Accuracy", caption, tuple(columns), rows)


def _compared(seen: Comparison, noises: float) -> list[str]:
    return [f"{seen.b:,}", f"{seen.c:,}", f"{seen.excess:,}", f"{seen.limit(noises):,.0f}"]


def comparison_table(results: Sequence[CellResult]) -> Table | None:
    """Paired comparisons with bwa mem and with the best peer; None if no cell has both esa and bwa mem."""
    rows = []
    for result in results:
        if OURS not in result.outcomes or PEER not in result.outcomes:
            continue
        best = best_peer(result)
        against_best = comparison(result, result.outcomes[best])
        verdicts = {v.rule: str(v) for v in cell_verdicts(result)}
        required = required_percent(result)
        target = "" if required is None else f">= {required:.2f} {verdicts[CORRECT]}"
        rows.append(
            [
                str(result.cell),
                f"{result.fragments:,}",
                *_compared(comparison(result, result.outcomes[PEER]), 1.0),
                verdicts.get(VS_PEER, "-"),
                best,
                *_compared(against_best, BEST_NOISES),
                verdicts.get(VS_BEST, "-"),
                target,
            ]
        )
    if not rows:
        return None
    columns = ("cell", "n", "b", "c", "b-c", "limit", "bwa", "best peer", "b", "c", "b-c", "limit", "best")
    caption = (
        "n fragments (reads, or pairs right at both ends); b: only the peer is right, c: only esa is. "
        "esa falls short if b - c exceeds the limit (0.0003 n + 2 sqrt(b + c); twice that against the best). "
        "Verdicts where the project has set the rule (<= 5 %, >= 100 bp); the last column is a correct % to reach."
    )
    return Table("esa beside its peers, paired", caption, (*columns, "target"), rows)


def robust_table(results: Sequence[CellResult]) -> Table | None:
    """The reads that bwa mem places right in every order; None if no reads were shuffled."""
    rows = []
    for result in results:
        found = robust(result)
        if found is not None:
            shares = [number(x, 3) for x in (found.share, found.ours, found.peer)]
            rows.append([str(found.cell), *shares, f"{found.spread:,}", f"{result.fragments:,}"])
    if not rows:
        return None
    caption = (
        "The reads that bwa mem places right in every one of the shuffled orders, and how many of them esa and "
        "bwa mem (unshuffled) have right. Last: the most fragments by which bwa mem differs from itself."
    )
    columns = ("cell", "robust % of reads", "esa %", "bwa %", "bwa vs itself", "of n")
    return Table("Reads that luck does not decide", caption, columns, rows)


def calibration_table(results: Sequence[CellResult], name: str, genome: str | None) -> Table | None:
    """An aligner's stated against its observed error, over the cells of one genome (None: of all)."""
    chosen = [r for r in results if genome in (None, r.cell.genome) and name in r.outcomes]
    counts = pooled(chosen, name)
    if counts is None:
        return None
    rows = [_bin_row(b) for b in calibration(counts)]
    where = f"{genome or 'all genomes'}, {len(chosen)} cells, {counts.total:,} reads"
    caption = (
        "Mapped reads by MAPQ (40 and up together); errors per million. A bin of 10,000 reads or more is "
        "overconfident if the stated error is under a third of the lower end of the 95 % interval."
    )
    columns = ("MAPQ", "reads", "wrong", "observed", "95 % from", "to", "stated", "")
    return Table(f"Calibration of {name}: {where}", caption, columns, rows)


def _bin_row(b: CalibrationBin) -> list[str]:
    verdict = ("OVERCONFIDENT" if b.overconfident else "ok") if b.judged else ""
    errors = (b.observed, b.lower, b.upper, b.stated)
    return [b.label, f"{b.reads:,}", f"{b.wrong:,}", *(number(1e6 * x, 1) for x in errors), verdict]


def all_verdicts(results: Sequence[CellResult]) -> list[Verdict]:
    """Every requirement that these cells allow to judge."""
    verdicts = [verdict for result in results for verdict in cell_verdicts(result)]
    easy = pooled_easy(results, CONFIDENT_MAPQ)
    if easy is not None:
        verdicts.append(easy.verdict)
    for genome in (None, *dict.fromkeys(result.cell.genome for result in results)):
        counts = pooled([r for r in results if genome in (None, r.cell.genome)], OURS)
        if counts is None:
            continue
        judged = [b for b in calibration(counts) if b.judged]
        bad = [b.label for b in judged if b.overconfident]
        figures = f"{len(judged)} bins judged" + (f", overconfident: MAPQ {', '.join(bad)}" if bad else "")
        verdicts.append(Verdict(CALIBRATED, f"MAPQ calibrated, {genome or 'all genomes'}", figures, not bad))
    return verdicts


def verdict_table(results: Sequence[CellResult]) -> Table:
    """All verdicts, a row each."""
    verdicts = all_verdicts(results)
    short = sum(not verdict.met for verdict in verdicts)
    caption = f"{len(verdicts) - short} met, {short} short, over {len(results)} cells."
    rows = [[v.what, v.figures, str(v)] for v in verdicts]
    return Table("Verdicts", caption, ("requirement", "measured", ""), rows)


def tables(results: Sequence[CellResult]) -> list[Table]:
    """All tables that these results fill."""
    genomes = list(dict.fromkeys(result.cell.genome for result in results))
    scopes = (None, *genomes) if len(genomes) > 1 else (None,)
    calibrations = [calibration_table(results, n, g) for n in CALIBRATED_ALIGNERS for g in scopes]
    made = [
        accuracy_table(results),
        comparison_table(results),
        robust_table(results),
        *calibrations,
        verdict_table(results),
    ]
    return [x for x in made if x is not None]


def as_json(results: Sequence[CellResult]) -> dict[str, Any]:
    """The figures of every cell as numbers, the verdicts, and the tables as printed."""
    cells = []
    for result in results:
        entry: dict[str, Any] = asdict(result.cell) | {"fragments": result.fragments}
        entry["aligners"] = {
            name: asdict(figures_of(outcome, result.cell.ends)) for name, outcome in result.outcomes.items()
        }
        if OURS in result.outcomes:
            peers = peers_of(result)
            entry["paired"] = {p: asdict(comparison(result, result.outcomes[p])) for p in peers}
        cells.append(entry)
    return {
        "shown_mapq": SHOWN_MAPQ,
        "cells": cells,
        "verdicts": [asdict(verdict) for verdict in all_verdicts(results)],
        "tables": [asdict(made) for made in tables(results)],
    }
