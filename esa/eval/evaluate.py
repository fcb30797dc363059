"""Compares alignment files of the same reads: reads them one after another and measures them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esa.errors import EsaError, UsageError
from esa.eval import metrics
from esa.eval import truth as origins
from esa.eval.alignments import Alignments, Contigs, ReadNames, read_alignments
from esa.eval.metrics import Evaluation
from esa.eval.truth import FROM_FILE, NO_TRUTH, SCHEMES, Truth
from esa.io.output import open_file
from esa.io.records import NONE

AUTO = "auto"
TRUTH_CHOICES = (AUTO, *SCHEMES, NO_TRUTH)
ALIGNMENT_SUFFIXES = (".gz", ".bam", ".sam")


@dataclass(frozen=True)
class InputFile:
    """An alignment file and its name in the report."""

    name: str
    path: str


def parse_inputs(arguments: Sequence[str]) -> list[InputFile]:
    """Inputs from command-line words ``[NAME=]FILE``; the default name is the file's, less folder and suffix.

    Raises:
        UsageError: no file, an empty name or path, or two files with the same name.
    """
    inputs = [_parse_input(argument) for argument in arguments]
    if not inputs:
        raise UsageError("no file to evaluate: give one or more SAM or BAM files as [NAME=]FILE")
    seen: dict[str, str] = {}
    for file in inputs:
        if file.name in seen:
            raise UsageError(
                f"{seen[file.name]} and {file.path} are both called {file.name!r}; name them: NAME=FILE"
            )
        seen[file.name] = file.path
    return inputs


def _parse_input(argument: str) -> InputFile:
    name, equals, path = argument.partition("=")
    # A path may contain an equals sign: an existing file of that name is meant.
    if not equals or Path(argument).exists():
        path = argument
        name = Path(path).name
        for suffix in ALIGNMENT_SUFFIXES:
            name = name.removesuffix(suffix)
    if not name or not path:
        raise UsageError(f"{argument!r} is not of the form [NAME=]FILE")
    return InputFile(name, path)


def evaluate(files: Sequence[InputFile], truth: str = AUTO, truth_file: str | None = None) -> Evaluation:
    """Measure each file against the reads' origins, and every two against each other (`esa.eval.metrics`).

    Args:
        files: at least one, names unique (`parse_inputs`).
        truth: one of `TRUTH_CHOICES`; ``auto`` detects the scheme from the first read names.
        truth_file: SAM or BAM of the true alignments, instead of read names.

    Raises:
        UsageError: ``truth`` and ``truth_file`` contradict each other.
        EsaError: a file that cannot be read, files without a common read, reads without an origin.
    """
    if truth_file is not None and truth not in (AUTO, "mason2"):
        raise UsageError(f"--truth {truth} takes no --truth-file; leave one of them out")
    contigs = Contigs()
    sources = _TruthFile(truth_file, contigs) if truth_file is not None else _TruthNames(truth, contigs)
    collected = []
    for file in files:
        alignments, names = read_alignments(file.path, contigs)
        sources.take(alignments, names)
        collected.append(alignments)
    _check_common(collected)
    reads = np.unique(np.concatenate([alignments.key for alignments in collected]))
    found = sources.truth(reads)
    if found is not None:
        for alignments in collected:
            _check_contigs(alignments, found, contigs)
    return _measure(files, collected, reads, sources.source, found)


def evaluate_files(
    arguments: Sequence[str], truth: str = AUTO, truth_file: str | None = None, json_file: str | None = None
) -> Evaluation:
    """Evaluate ``[NAME=]FILE...``, and write the measures to ``json_file``, too.

    Raises:
        UsageError, EsaError: as `parse_inputs` and `evaluate`.
        OutputError: ``json_file`` cannot be written.
    """
    files = parse_inputs(arguments)
    if json_file is None:
        return evaluate(files, truth, truth_file)
    # Opened first, so that a path that cannot be written fails before the work.
    with open_file(json_file) as output:
        evaluation = evaluate(files, truth, truth_file)
        output.write(evaluation.to_json().encode())
    return evaluation


class _TruthNames:
    """Collects origins from read names, file by file; only one file's names are in memory at a time."""

    def __init__(self, choice: str, contigs: Contigs) -> None:
        self.source = choice
        self._contigs = contigs
        self._truths: list[Truth] = []

    def take(self, alignments: Alignments, names: ReadNames) -> None:
        if self.source == AUTO and len(alignments):
            scheme = origins.detect(names)
            self.source = scheme.name if scheme else NO_TRUTH
        if self.source not in SCHEMES:
            return
        wanted = np.ones(len(alignments), np.bool_)
        for known in self._truths:
            wanted &= ~np.isin(alignments.key, known.key)
        scheme = SCHEMES[self.source]
        self._truths.append(origins.from_names(scheme, alignments, names, wanted, self._contigs))

    def truth(self, reads: NDArray[np.int64]) -> Truth | None:
        if self.source == AUTO:
            self.source = NO_TRUTH
        return origins.concatenate(self._truths) if self._truths else None


class _TruthFile:
    """Origins from a file of true alignments, which must hold every read."""

    source = FROM_FILE

    def __init__(self, path: str, contigs: Contigs) -> None:
        self._path = path
        true, _ = read_alignments(path, contigs)
        self._whole = origins.from_alignments(true)

    def take(self, alignments: Alignments, names: ReadNames) -> None:
        unknown = ~np.isin(alignments.key, self._whole.key)
        if unknown.any():
            name = next(name for name, row in zip(names, names.row, strict=True) if unknown[row]).decode()
            raise EsaError(
                f"{alignments.path}: read {name!r} is not in {self._path}; "
                "give the true alignments of these very reads"
            )

    def truth(self, reads: NDArray[np.int64]) -> Truth | None:
        return origins.select(self._whole, reads)


def _check_common(collected: Sequence[Alignments]) -> None:
    filled = [alignments for alignments in collected if len(alignments)]
    for alignments in filled[1:]:
        if not np.isin(alignments.key, filled[0].key).any():
            raise EsaError(
                f"{filled[0].path} and {alignments.path} share no read; compare alignments of the same reads "
                "(paired or single-end in both)"
            )


def _check_contigs(alignments: Alignments, truth: Truth, contigs: Contigs) -> None:
    unknown = np.setdiff1d(truth.contig, np.append(alignments.header, NONE))
    if len(unknown):
        name = contigs.names[unknown[0]]
        raise EsaError(
            f"{alignments.path}: its header has no contig {name!r}, where reads come from; "
            f"{origins.OTHER_REFERENCE_REMEDY}"
        )


def _measure(
    files: Sequence[InputFile],
    collected: Sequence[Alignments],
    reads: NDArray[np.int64],
    source: str,
    truth: Truth | None,
) -> Evaluation:
    placements = [metrics.spread(alignments, reads) for alignments in collected]
    paired = metrics.ends_of_pairs(reads)
    return Evaluation(
        truth=source,
        reads=len(reads),
        paired_reads=int(np.count_nonzero(paired)),
        random_reads=None if truth is None else int(np.count_nonzero(truth.contig == NONE)),
        files=tuple(
            metrics.measure_file(file.name, file.path, placed, paired, truth)
            for file, placed in zip(files, placements, strict=True)
        ),
        agreements=tuple(
            metrics.measure_agreement(first.name, placements[i], second.name, placements[j])
            for (i, first), (j, second) in combinations(enumerate(files), 2)
        ),
    )
