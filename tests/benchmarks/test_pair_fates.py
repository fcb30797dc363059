"""`scripts.benchmarks.real.pair_fates` on pairs of a genome with three copies of a sequence, the last with an error."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from scripts.benchmarks.real import pair_fates

LENGTH, SIZE = 60, 200
STARTS = (100, 1100, 2100)


def reverse_complement(bases: str) -> str:
    return bases[::-1].translate(str.maketrans("ACGT", "TGCA"))


def write_files(folder: Path, reported: list[list[int]]) -> tuple[Path, list[Path]]:
    """The genome, and a SAM file for each list of places: those of pairs that all come from the first copy."""
    rng = np.random.default_rng(1)
    genome = list("".join(rng.choice(list("ACGT"), 3000)))
    for start in STARTS[1:]:
        genome[start : start + SIZE] = genome[100 : 100 + SIZE]
    genome[2130] = "A" if genome[2130] != "A" else "C"
    text = "".join(genome)
    reference = folder / "genome.fa"
    reference.write_text(f">one\n{text}\n")
    files = []
    for i, places in enumerate(reported):
        lines = ["@SQ\tSN:one\tLN:3000"]
        first, second = text[100 : 100 + LENGTH], text[100 + SIZE - LENGTH : 100 + SIZE]
        for number, place in enumerate(places):
            name = f"one_101_{101 + SIZE - LENGTH}_0_1_0_0_0:0:0_0:0:0_{number}"
            mate, score = place + SIZE - LENGTH, LENGTH - 5 * (place == STARTS[2])
            lines.append(
                f"{name}\t99\tone\t{place + 1}\t60\t60M\t=\t{mate + 1}\t{SIZE}\t{first}\t*\tAS:i:{score}"
            )
            lines.append(
                f"{name}\t147\tone\t{mate + 1}\t60\t60M\t=\t{place + 1}\t{-SIZE}\t{second}\t*\tAS:i:{LENGTH}"
            )
        files.append(folder / f"{i}.sam")
        files[-1].write_text("\n".join(lines) + "\n")
    return reference, files


def test_fates_of_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    reference, files = write_files(
        tmp_path,
        [[*STARTS, STARTS[1], STARTS[0]], [STARTS[0], STARTS[1], STARTS[0], STARTS[0], STARTS[0]]],
    )
    monkeypatch.setattr(sys, "argv", ["pair_fates.py", str(reference), *map(str, files)])
    pair_fates.main()
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines() if ".sam" in line]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    # Both ends of three pairs: the second copy is as good, the third is not.
    assert cells[0] == ["0.sam", "6", "2 (2)", "4 (2)", "0 (0)", "0 (0)"]
    assert cells[1] == ["1.sam", "2", "0 (0)", "2 (0)", "0 (0)", "0 (0)"]
