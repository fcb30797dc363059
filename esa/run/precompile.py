"""Compiles all kernels that `esa align` may need with the default preset, at the first run.

numba compiles a kernel at its first call. A run would stop to compile whenever its reads need another level of the
escalation, or another kind of record. Here a small alignment with every kind of read calls all kernels. A second
process begins with the later half of them, as numba compiles one at a time in a process.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import esa
from esa.align.config import AlignConfig
from esa.align.inserts import ASSUMED
from esa.align.mapper import Mapper
from esa.errors import EsaError
from esa.index.build import BuildOptions, build_index
from esa.index.open import Index, open_index
from esa.io import unfinished
from esa.io.bam import BamFormatter
from esa.io.fastq import ReadSource
from esa.io.output import open_output
from esa.io.sam import SamFormatter
from esa.kernels.cache import all_kept, alone, complete_mark, tell_not_kept
from esa.run.pipeline import AlignOptions, align
from esa.sequence.dna import N, decode, reverse_complement
from esa.sequence.reads import ReadBatch

_SCRATCH = "esa-first-run-"
_INDEX = "reference.esa"
_GENOME = 6000
"""Bases of the genome made here."""
_PAIRS = 24
_READ, _SHORT, _LONG = 150, 45, 1500
"""Bases: short reads are searched with two edits, long ones are aligned one by one."""
_INSERT = 300

Codes = NDArray[np.uint8]


def compile_kernels(threads: int, announce: Callable[[], object], waiting: Callable[[], object]) -> None:
    """Compile the kernels that no earlier run has compiled, in two processes if ``threads`` is 2 or more.

    If that fails (a full disk, say), a run compiles each kernel when it calls it.

    Args:
        announce: called before the compilation.
        waiting: called before waiting for another process that is compiling.
    """
    mark = complete_mark()
    if mark is None or mark.exists():
        return
    try:
        with alone("warming", waiting):
            if mark.exists():  # another process was faster
                return
            announce()
            with unfinished.scratch_folder(_SCRATCH) as folder:
                call_kernels(folder, threads)
            if all_kept():
                mark.touch()
    except (OSError, EsaError) as error:  # the inputs are made here: a folder or a disk is at fault
        tell_not_kept(error)


def call_kernels(folder: Path, threads: int) -> None:
    """Call every kernel, with files in a folder. Stops if kernels cannot be cached, as that would be of no use."""
    rng = np.random.default_rng(1)
    genome = rng.integers(0, 4, _GENOME).astype(np.uint8)
    copies = {"a": genome, "b": _edited(rng, genome[1000:2500]), "c": genome[4000:4600]}
    reference = folder / "reference.fa"
    reference.write_bytes(b"".join(b">%s\n%s\n" % (name.encode(), decode(x)) for name, x in copies.items()))
    build_index(str(reference), folder / _INDEX, BuildOptions())
    reads, mates = zip(*_pairs(rng, genome), strict=True)
    paths = [folder / "R1.fq", folder / "R2.fq"]
    paths[0].write_bytes(b"".join(map(_record, reads)))
    paths[1].write_bytes(b"".join(map(_record, mates)))
    fasta = folder / "reads.fa"
    fasta.write_bytes(b"".join(b">r\n%s\n" % decode(codes) for codes in reads))
    if not all_kept():
        return
    with _second_process(folder) if threads > 1 else contextlib.nullcontext():
        index = open_index(str(folder / _INDEX))
        config = AlignConfig(index.preset.levels)
        _align(index, paths[:1], config, AlignOptions(1, "", "", eqx=True))
    # Loads what the other process has compiled.
    _align(index, paths, config, AlignOptions(1, "", ""))
    _align(index, paths, config.with_xa(), AlignOptions(1, "", "", xa=True))
    _align(index, [fasta], config.reporting(None, True), AlignOptions(1, "", "", bam=True))


def _align(index: Index, paths: list[Path], config: AlignConfig, options: AlignOptions) -> None:
    if not all_kept():
        return
    out = str(paths[0].with_name("out.bam" if options.bam else "out.sam"))
    with ReadSource(*map(str, paths)) as source, open_output(out) as sink:
        align(index, source, sink, config, options)


@contextlib.contextmanager
def _second_process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run this module's main during the context; waits for it at the end."""
    # A failure does no harm: this process compiles what is missing.
    path = os.pathsep.join(filter(None, [str(Path(esa.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        # -P: modules in the user's current folder (a random.py, say) are not imported.
        [sys.executable, "-P", "-m", "esa.run.precompile", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    )
    with unfinished.noted_process(process):
        try:
            yield process
            if all_kept():
                process.wait()
        finally:
            process.kill()
            process.wait()


def _later_half(folder: Path) -> None:
    """Compile what comes after the search, with reads that have no hits."""
    index = open_index(str(folder / _INDEX))
    config = AlignConfig(index.preset.levels)
    last = config.levels[-1:]
    mapper = Mapper(index, config._replace(levels=last))
    batch = ReadBatch.pair(np.zeros(2 * _READ, np.uint8))
    records = mapper.finish(mapper.unsearched(batch), ASSUMED)
    for kind in (SamFormatter, BamFormatter):
        kind(index.genome).format(batch, records)


def _pairs(rng: np.random.Generator, genome: Codes) -> Iterator[tuple[Codes, Codes]]:
    """Pairs of every kind: exact, edited, chimeric, with gaps, short, with N, long, random."""
    nothing = np.full(_READ, N, np.uint8)
    for i in range(_PAIRS):
        start = int(rng.integers(0, len(genome) - _LONG - _INSERT))
        read = genome[start : start + _READ]
        mate = reverse_complement(genome[start + _INSERT - _READ : start + _INSERT])
        elsewhere = genome[-start - _READ :][:_READ]
        yield (
            (read, mate),
            (_edited(rng, read), _edited(rng, mate)),
            (np.concatenate([read[: _READ // 2], elsewhere[: _READ // 2]]), mate),
            (np.concatenate([read[: _READ // 2], read[_READ // 2 + 5 :]]), rng.permutation(mate)),
            (read[:_SHORT], _edited(rng, mate[:_SHORT])),
            (np.concatenate([read[:_SHORT], nothing[:_SHORT], read]), nothing),
            (_edited(rng, genome[start : start + _LONG]), mate),
            (rng.permutation(read), rng.permutation(mate)),
        )[i % 8]


def _edited(rng: np.random.Generator, bases: Codes) -> Codes:
    """Bases with a substitution in twenty and a deletion in fifty."""
    changed = np.where(rng.random(len(bases)) < 0.05, (bases + 1) % 4, bases).astype(np.uint8)
    return changed[rng.random(len(bases)) >= 0.02]


def _record(codes: Codes) -> bytes:
    return b"@r\n%s\n+\n%s\n" % (decode(codes), b"I" * len(codes))


if __name__ == "__main__":
    _later_half(Path(sys.argv[1]))
