"""Golden SAM files: the output of `esa align` for small inputs, kept so that every change is seen.

``python tests/golden/update.py`` runs all cases, shows what changed, and rewrites the files; with ``--check`` it only
shows. A commit that changes them says why, and ``Changes-alignments: yes``.
"""

from __future__ import annotations

import difflib
import re
import sys
import tempfile
from pathlib import Path

from esa.cli.main import run

HERE = Path(__file__).resolve().parent
SMALL = HERE / "reference.fa"
LAMBDA = HERE.parent.parent / "data" / "lambda_phage.fa.gz"

CASES: dict[str, tuple[Path, list[str]]] = {
    "single": (SMALL, ["single.fq"]),
    "fasta": (SMALL, ["fasta.fa"]),
    "pairs": (SMALL, ["pairs_R1.fq", "pairs_R2.fq"]),
    "inserts": (SMALL, ["inserts_R1.fq", "inserts_R2.fq", "--eqx", "-R", r"@RG\tID:one\tSM:sample"]),
    "split": (SMALL, ["split_R1.fq", "split_R2.fq"]),
    "split_soft": (SMALL, ["split_R1.fq", "split_R2.fq", "-Y", "--eqx", "-I", "300,40"]),
    "secondary": (SMALL, ["pairs_R1.fq", "pairs_R2.fq", "-a"]),
    "xa": (SMALL, ["single.fq", "--xa"]),
    "long": (LAMBDA, ["long.fa"]),
}
"""Name of the golden file: the reference, and the arguments of `esa align` after the index."""


def produce(name: str, folder: Path, *options: str) -> str:
    """SAM of a case, without what changes from run to run (version and command line); works in ``folder``."""
    reference, arguments = CASES[name]
    index, out = folder / f"{reference.stem}.esa", folder / f"{name}.sam"
    if not index.exists():
        _esa("index", str(reference), "-o", str(index), "-q")
    files = [str(HERE / x) if (HERE / x).is_file() else x for x in arguments]
    _esa("align", str(index), *files, "-o", str(out), "-q", *options)
    return re.sub(r"^(@PG\tID:esa\tPN:esa)\t.*$", r"\1", out.read_text(), flags=re.MULTILINE)


def _esa(*arguments: str) -> None:
    if code := run(arguments):
        raise SystemExit(code)


def golden(name: str) -> Path:
    return HERE / f"{name}.sam"


def difference(name: str, new: str) -> str:
    """What a new SAM changes in the golden one, in the manner of diff; empty if nothing."""
    old = golden(name).read_text() if golden(name).exists() else ""
    lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"{name}.sam", "now", n=0)
    return "".join(lines)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in CASES:
            new = produce(name, Path(folder))
            sys.stdout.write(difference(name, new))
            if "--check" not in sys.argv[1:]:
                golden(name).write_text(new)


if __name__ == "__main__":
    main()
