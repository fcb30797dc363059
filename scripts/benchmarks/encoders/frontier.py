"""The frontier table of `make bench-encoders`: the gain of denser minimizers and longer keys at equal codes scanned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from esa.eval.recall import ReadSet, code_store, probe_curve, share_at_cost
from esa.fragments.minimizers import MinimizerFragmenter
from esa.stores.base import ANY_SIZE, REPEAT_BUCKET, Store
from scripts.benchmarks.encoders.embeddings import Loaded, Source, calibrated
from scripts.common.markdown_tables import MarkdownTable

BUDGETS = ((150, 1, 150), (100, 1, 100), (250, 5, 200), (250, 10, 300), (150, 10, 200))
"""Bases of a read, substitutions in 100 bases, codes scanned a read."""

WINDOWS = (12, 16, 20, 24, 32)
"""k-mers of a minimizer's window; minimizers lie about half as far apart."""
KEY_BITS = (24, 26)
LARGEST = (ANY_SIZE, REPEAT_BUCKET)
"""Codes of a bucket that is still scanned."""


def bytes_a_base(store: Store, bases: int) -> float:
    """Of the store and the genome in 2 bits a base."""
    return sum(array.nbytes for array in store.arrays().values()) / bases + 0.25


def frontier_table(loaded: list[Loaded], source: Source, count: int, seed: int) -> MarkdownTable:
    """A row per density of minimizers and length of key."""
    sets = source.reads([(length, percent) for length, percent, _ in BUDGETS], count, seed)
    labels = [f"{label} @ {scanned}" for (label, _), (*_, scanned) in zip(sets, BUDGETS, strict=True)]
    table = MarkdownTable(
        f"Minimizers and keys, {source.name}",
        f"Share of reads found @ codes scanned a read (mean). {source.caption} {count:,} reads a set, seed {seed}. "
        "Where one probe alone scans more, it is what one probe finds, times the share of its cost.",
        {"encoder": "", "window": "d", "key bits": "d", "bytes a base": ".2f", "largest bucket": ""}
        | dict.fromkeys(labels, ".4f"),
    )
    table.begin()
    for one in loaded:
        for cells in _rows(one, source, [reads for _, reads in sets]):
            table.add(one.name, *cells)
    return table


def _rows(one: Loaded, source: Source, sets: list[ReadSet]) -> Iterator[tuple[float | str, ...]]:
    assert isinstance(one.fragmenter, MinimizerFragmenter)
    for window in WINDOWS:
        other = calibrated(replace(one, fragmenter=replace(one.fragmenter, window=window)), source.searched)
        for key_bits in KEY_BITS:
            store = code_store(source.searched, other.fragmenter, other.encoder, key_bits)
            for largest in LARGEST:
                shares = (
                    share_at(other, store, reads, scanned, largest)
                    for reads, (*_, scanned) in zip(sets, BUDGETS, strict=True)
                )
                size = "any" if largest == ANY_SIZE else str(largest)
                yield (window, key_bits, bytes_a_base(store, source.searched.bases), size, *shares)


def share_at(one: Loaded, store: Store, reads: ReadSet, scanned: float, largest: int) -> float:
    """The share of reads found at ``scanned`` codes per read; ``largest``: the largest bucket that is probed."""
    curve = probe_curve(one.fragmenter, one.encoder, store, reads, scanned, max_bucket=largest)
    return share_at_cost(curve, scanned)
