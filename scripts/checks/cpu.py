"""Are the records the same, byte for byte, on processors without AVX-512 and without AVX2?

    python -m scripts.checks.cpu [--pairs 100000] [--levels x86-64-v3,x86-64-v2]

Indexes and aligns with kernels compiled for this machine and for the processor levels named. These are v3 (AVX2, no
AVX-512) and v2 (SSE4.2, no AVX). Compares the arrays of the index and the SAM, without @PG. numpy and the C library
also choose code by the processor; they are set to avoid the same instructions. Data: E. coli K-12 with simulated and
real pairs of data/, and chromosome 20 with pairs of `esa simulate` if ESA_DATA has it. Each level compiles its own
kernels, a minute or so; they are kept in bench_out/cpu.

Equal outputs are by design: kernels compute in integers. The logarithm of MAPQ is the C library's, not that of Intel's
SVML, which numba uses where it is installed. Without fast-math, numba neither contracts nor reorders floating-point
arithmetic. `esa.align.extend.lanes`, which has vectors of its own, is compared lane by lane in the tests.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from scripts.checks.output_differences import array_digests, output_lines
from scripts.common.cache import digest
from scripts.common.command_line import add_common_options, guarded, script_parser, workplace
from scripts.common.programs import ESA, BenchError, note, run
from scripts.common.real_sets import CHR20, DSM30083, MG1655
from scripts.common.tables import table
from scripts.common.workplace import DATA, Workplace

HOST = "this machine"
LEVELS = ("x86-64-v3", "x86-64-v2")
_AVX512 = ("AVX512F", "AVX512CD", "AVX512VL", "AVX512BW", "AVX512DQ")
_AVX2 = ("AVX2", "FMA", "AVX", "F16C", "BMI1", "BMI2")
ABSENT = {"x86-64-v3": _AVX512, "x86-64-v2": (*_AVX512, *_AVX2)}
"""What each level lacks, in glibc's names."""
_FEATURE_OF_LEVEL = {"x86-64-v3": ("AVX2", "FMA3"), "x86-64-v2": ()}
"""numpy's features beyond its baseline that a level has."""


def environment(level: str, kernels: Path) -> dict[str, str]:
    """Variables under which a process computes as on a processor of that level; its kernels are kept apart."""
    variables = dict(os.environ) | {"NUMBA_CACHE_DIR": str(kernels / level.replace(" ", "-"))}
    if level == HOST:
        return variables
    if level not in ABSENT:
        raise BenchError(f"no such level: {level} (there are {', '.join(ABSENT)})")
    hidden = ",".join(f"-{name}" for name in ABSENT[level])
    return variables | {
        "NUMBA_CPU_NAME": level,
        "NUMBA_CPU_FEATURES": "",
        "NPY_DISABLE_CPU_FEATURES": " ".join(_numpy_features(level)),
        "GLIBC_TUNABLES": f"glibc.cpu.hwcaps={hidden}",
    }


def _numpy_features(level: str) -> list[str]:
    """What numpy would use here and may not on that level."""
    core = np._core._multiarray_umath  # type: ignore[attr-defined]
    return [
        name
        for name in core.__cpu_dispatch__
        if core.__cpu_features__.get(name) and name not in _FEATURE_OF_LEVEL[level]
    ]


@dataclass(frozen=True)
class Case:
    """A reference and reads."""

    name: str
    reference: Path
    reads: Sequence[Path]


def cases(place: Workplace, pairs: int, seed: int) -> list[Case]:
    """References and reads that are compared."""

    def of(stem: str) -> list[Path]:
        return [DATA / f"{stem}_{end}.fq.gz" for end in ("R1", "R2")]

    ecoli = DATA / f"{MG1655}.fa.gz"
    found = [
        Case("E. coli, simulated", ecoli, of("ecoli_K12_MG1655_dwgsim_PE150")),
        Case("E. coli, real", ecoli, of(DSM30083.reads)),
    ]
    if (place.data / "ref" / f"{CHR20}.fa.gz").exists():
        chr20 = place.reference(CHR20)
        prefix = place.out / "cpu" / f"chr20-{pairs}-{seed}"
        options = ["--pairs", str(pairs), "--length", "150", "--divergence", "2", "--seed", str(seed)]
        prefix.parent.mkdir(parents=True, exist_ok=True)
        run([*ESA, "simulate", chr20, "-o", prefix, *options])
        found.append(Case("chr20, simulated", chr20, [Path(f"{prefix}_R{end}.fq.gz") for end in (1, 2)]))
    return found


def digests(case: Case, place: Workplace, level: str) -> tuple[str, str]:
    """Of the index's arrays and of the SAM without @PG, both made at that level."""
    variables = environment(level, place.out / "cpu")
    index, sam = place.out / "cpu" / "check.esa", place.out / "cpu" / "check.sam"
    threads = ["-q", "-t", str(place.threads)]
    run([*ESA, "index", case.reference, "--force", "-o", index, *threads], env=variables)
    run([*ESA, "align", index, *case.reads, "-o", sam, *threads], env=variables)
    return digest(*chain.from_iterable(array_digests(index).items())), sam_digest(sam)


def sam_digest(path: Path) -> str:
    """Of the lines but @PG."""
    whole = hashlib.sha256()
    for line in output_lines(path):
        whole.update(line + b"\n")
    return whole.hexdigest()[:12]


def verdict(found: Mapping[str, tuple[str, str]]) -> str:
    """Whether all levels gave the same."""
    return "same" if len(set(found.values())) == 1 else "DIFFERENT"


def main() -> None:
    """Run the command."""
    parser = script_parser(__doc__)
    add_common_options(parser)
    parser.add_argument("--pairs", type=int, default=100_000, help="of chromosome 20")
    parser.add_argument("--levels", default=",".join(LEVELS), help="with commas between")
    args = parser.parse_args()
    place = workplace(args)
    levels = [HOST, *args.levels.split(",")]
    rows, verdicts = [], []
    for case in cases(place, args.pairs, args.seed):
        found = {}
        for level in levels:
            note(f"{case.name}, {level}")
            found[level] = digests(case, place, level)
        verdicts.append(verdict(found))
        rows += [[case.name, level, *found[level], verdicts[-1]] for level in levels]
    print(table(["reads", "processor", "index", "SAM", ""], rows))
    sys.exit(any(each != "same" for each in verdicts))


if __name__ == "__main__":
    guarded(main)
