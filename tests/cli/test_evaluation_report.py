from __future__ import annotations

from pathlib import Path

from samfile import line, write

from esa.cli.evaluation_report import evaluation_report
from esa.eval.evaluate import evaluate, parse_inputs

NAMES = [f"chr1_101_301_0_1_{i // 9}_{i // 9}_0:0:0_0:0:0_{i}" for i in range(10)]

WITH_TRUTH = """\
20 reads (10 pairs), origins from their names (dwgsim)
2 of them are random and belong nowhere

                       mapped        %      correct        %        wrong        %  in pairs, %
ours                       20  100.000           18  100.000            2   10.000      100.000
another_aligner~           18   90.000            9   50.000            9   45.000        0.000

Warning: another_aligner_of_long_name lacks 2 of the reads; there they count as unmapped.

mapping quality at least       0       1       3      10      20      30      40      50      60
ours             kept, % 100.000  90.000  90.000  90.000  90.000  90.000  90.000  90.000  90.000
                   wrong       2       0       0       0       0       0       0       0       0
           wrong/million  100000       0       0       0       0       0       0       0       0
another_aligner~ kept, %  90.000  90.000  90.000  90.000  90.000  90.000   0.000   0.000   0.000
                   wrong       9       9       9       9       9       9       0       0       0
           wrong/million  500000  500000  500000  500000  500000  500000       -       -       -

agreement                    both mapped   same locus, % MAPQ >= 30 both   same locus, %
ours, another_aligner~                18          50.000              18          50.000

Primary records only. Same locus: same contig and strand, and the intervals, clipped bases added
back, overlap by at least 0.1 of their union.
Correct: mapped to the locus of origin; % of the reads that have one. Wrong: mapped but not
correct, % of all reads. Kept: reads of at least that mapping quality, % of all reads.
In pairs: flagged as properly paired, % of the reads of pairs.
"""

WITHOUT_TRUTH = """\
1 read, origins unknown: how far the files agree, not which is right

                       mapped        %
a                           1  100.000

mapping quality at least       0       1       3      10      20      30      40      50      60
a                kept, % 100.000 100.000 100.000 100.000 100.000 100.000 100.000 100.000 100.000

Primary records only. Same locus: same contig and strand, and the intervals, clipped bases added
back, overlap by at least 0.1 of their union.
Kept: reads of at least that mapping quality, % of all reads.
"""


def test_report_with_truth(tmp_path: Path) -> None:
    ours, other = [], []
    for i, name in enumerate(NAMES):
        mapq = 0 if i == 9 else 60
        ours += [line(name, 0x43, mapq=mapq), line(name, 0x93, position=301, mapq=mapq)]
        if i < 9:
            other += [line(name, 0x41, mapq=30), line(name, 0x91, "chr2", 301, 30)]
    inputs = [
        f"ours={write(tmp_path / 'a.sam', *ours)}",
        f"another_aligner_of_long_name={write(tmp_path / 'b.sam', *other)}",
    ]
    text = evaluation_report(evaluate(parse_inputs(inputs)))
    assert text == WITH_TRUTH
    assert max(map(len, text.splitlines())) <= 100


def test_report_without_truth(tmp_path: Path) -> None:
    assert evaluation_report(evaluate(parse_inputs([write(tmp_path / "a.sam", line("x"))]))) == WITHOUT_TRUTH


def test_long_names_keep_to_100_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.sam", line("x"))
    text = evaluation_report(evaluate(parse_inputs([f"{letter * 40}={path}" for letter in "abc"])))
    assert max(map(len, text.splitlines())) <= 100
