"""The report of `esa eval`: its measures as text for a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from esa.eval.metrics import CONFIDENT_MAPQ, MIN_OVERLAP, Evaluation
from esa.eval.truth import FROM_FILE, NO_TRUTH

MAX_NAME = 16
"""Longest file name in a table, in columns."""
ABSENT = "-"
LABEL, COUNT, PERCENT, LEVEL, LOCUS = 24, 13, 9, 8, 16
"""Widths of table columns: row labels, counts, percentages, mapping qualities, agreement."""


def evaluation_report(evaluation: Evaluation) -> str:
    """Tables of the files, of their reads by mapping quality and of their agreement, and a legend."""
    sections = [_heading(evaluation), _files(evaluation), _warnings(evaluation), _by_mapq(evaluation)]
    sections += [_agreement(evaluation), _legend(evaluation)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _percent(value: float | None) -> str:
    return ABSENT if value is None else f"{100 * value:.3f}"


def _count(value: int | None) -> str:
    return ABSENT if value is None else f"{value:,}"


def _rate(value: float | None) -> str:
    """A number in 7 columns at most."""
    return ABSENT if value is None else f"{value:.0f}"


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "~"


def _table(rows: Iterable[Sequence[str]], widths: Sequence[int]) -> str:
    """Rows of cells, the first flush left, the others flush right; a cell that is too wide moves the rest."""
    lines = []
    for first, *others in rows:
        cells = [f" {cell}".rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append((first.ljust(widths[0]) + "".join(cells)).rstrip())
    return "\n".join(lines)


def _heading(evaluation: Evaluation) -> str:
    lines = [f"{evaluation.reads:,} read" + ("" if evaluation.reads == 1 else "s")]
    if evaluation.paired_reads == evaluation.reads and evaluation.reads:
        lines[0] += f" ({evaluation.reads // 2:,} pairs)"
    elif evaluation.paired_reads:
        lines[0] += f" ({evaluation.paired_reads:,} of them ends of pairs)"
    if evaluation.truth == NO_TRUTH:
        lines[0] += ", origins unknown: how far the files agree, not which is right"
    elif evaluation.truth == FROM_FILE:
        lines[0] += ", origins from the file of true alignments"
    else:
        lines[0] += f", origins from their names ({evaluation.truth})"
    if evaluation.random_reads:
        lines.append(f"{evaluation.random_reads:,} of them are random and belong nowhere")
    return "\n".join(lines)


def _files(evaluation: Evaluation) -> str:
    head, widths = ["", "mapped", "%"], [MAX_NAME, COUNT, PERCENT]
    if evaluation.truth != NO_TRUTH:
        head += ["correct", "%", "wrong", "%"]
        widths += [COUNT, PERCENT, COUNT, PERCENT]
    if evaluation.paired_reads:
        head.append("in pairs, %")
        widths.append(COUNT)
    rows = [head]
    for file in evaluation.files:
        row = [_short(file.name), _count(file.mapped), _percent(file.mapped_share)]
        if file.accuracy is not None:
            row += [_count(file.accuracy.correct), _percent(file.accuracy.correct_share)]
            row += [_count(file.accuracy.wrong), _percent(file.accuracy.wrong_share)]
        if evaluation.paired_reads:
            row.append(_percent(file.properly_paired_share))
        rows.append(row)
    return _table(rows, widths)


def _warnings(evaluation: Evaluation) -> str:
    return "\n".join(
        f"Warning: {file.name} lacks {file.missing:,} of the reads; there they count as unmapped."
        for file in evaluation.files
        if file.missing
    )


def _by_mapq(evaluation: Evaluation) -> str:
    thresholds = [str(level.mapq) for level in evaluation.files[0].by_mapq]
    rows = [["mapping quality at least", *thresholds]]
    for file in evaluation.files:
        levels = file.by_mapq
        rows.append([f"{_short(file.name):{MAX_NAME}} kept, %", *(_percent(x.kept_share) for x in levels)])
        if file.accuracy is not None:
            rows.append(["wrong".rjust(LABEL), *(_rate(x.wrong) for x in levels)])
            rows.append(["wrong/million".rjust(LABEL), *(_rate(x.wrong_per_million) for x in levels)])
    return _table(rows, [LABEL] + [LEVEL] * len(thresholds))


def _agreement(evaluation: Evaluation) -> str:
    if not evaluation.agreements:
        return ""
    both = f"MAPQ >= {CONFIDENT_MAPQ} both"
    rows = [["agreement", "both mapped", "same locus, %", both, "same locus, %"]]
    rows += [
        [
            f"{_short(pair.first)}, {_short(pair.second)}",
            _count(pair.both_mapped),
            _percent(pair.same_locus_share),
            _count(pair.both_confident),
            _percent(pair.same_locus_confident_share),
        ]
        for pair in evaluation.agreements
    ]
    label = max(LABEL, *(len(row[0]) for row in rows))
    return _table(rows, [label] + [LOCUS] * (len(rows[0]) - 1))


def _legend(evaluation: Evaluation) -> str:
    lines = [
        "Primary records only. Same locus: same contig and strand, and the intervals, clipped bases added",
        f"back, overlap by at least {MIN_OVERLAP:g} of their union.",
    ]
    if evaluation.truth != NO_TRUTH:
        lines += [
            "Correct: mapped to the locus of origin; % of the reads that have one. Wrong: mapped but not",
            "correct, % of all reads. Kept: reads of at least that mapping quality, % of all reads.",
        ]
    else:
        lines.append("Kept: reads of at least that mapping quality, % of all reads.")
    if evaluation.paired_reads:
        lines.append("In pairs: flagged as properly paired, % of the reads of pairs.")
    return "\n".join(lines)
