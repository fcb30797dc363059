"""The project's requirements on the cells of the grid, and whether they are met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.benchmarks.accuracy.cells import Cell, CellResult, Outcome
from scripts.common.stats import (
    SIGNIFICANT,
    AtMapq,
    Comparison,
    MapqHistogram,
    compare,
    fragments_right,
    histogram,
    more_wrong_p,
    percent,
    percent_of,
)
from scripts.common.verdicts import CORRECT, POOLED, VS_BEST, VS_PEER, Verdict

OURS = "esa-anchored"
PEER = "bwa"
PEERS = ("bwa", "bowtie2", "minimap2")

RULED_DIVERGENCE, RULED_LENGTH = 5.0, 100
"""Cells up to the one and from the other on are ruled by the paired comparison."""
BEST_NOISES = 2.0
"""Against the best of the peers, chosen after the fact, twice the noise counts."""
SHORT_LENGTH = 75
SHORT_POINTS = 0.1
"""Reads up to the length may have so many points of correct % less than bwa mem."""

TARGETS = {
    (10.0, 250, "single"): 97.5,
    (10.0, 250, "paired"): 98.5,
    (10.0, 150, "single"): 93.0,
    (10.0, 150, "paired"): 97.0,
}
"""Divergence, length, layout: correct % of the reads."""
TWICE_TARGET = (15.0, 250, "paired")
"""Here twice bwa mem's correct %, or `TWICE_ENOUGH`."""
TWICE_ENOUGH = 95.0

CONFIDENT_MAPQ = 30
POOLED_READS = 5_000_000
"""Pooled reads at which the pooled comparison is what the project asks for."""


def correct_percent(result: CellResult, name: str) -> float:
    """Correct reads of an aligner, in percent of all."""
    return percent(result.outcomes[name].right)


def comparison(result: CellResult, peer: Outcome) -> Comparison:
    """Of esa with an outcome of a peer, fragment by fragment."""
    ends = result.cell.ends
    ours = result.outcomes[OURS]
    return compare(fragments_right(peer.right, ends), fragments_right(ours.right, ends))


def peers_of(result: CellResult) -> list[str]:
    """The peers that took part in a cell."""
    return [name for name in PEERS if name in result.outcomes]


def best_peer(result: CellResult) -> str:
    """The peer with most fragments right."""
    ends = result.cell.ends
    return max(peers_of(result), key=lambda name: fragments_right(result.outcomes[name].right, ends).sum())


def cell_verdicts(result: CellResult) -> list[Verdict]:
    """What holds for the cell; nothing if esa or bwa did not take part."""
    if OURS not in result.outcomes or PEER not in result.outcomes:
        return []
    cell = result.cell
    verdicts = []
    if cell.divergence <= RULED_DIVERGENCE and cell.length >= RULED_LENGTH:
        best = best_peer(result)
        for rule, peer, noises in ((VS_PEER, PEER, 1.0), (VS_BEST, best, BEST_NOISES)):
            seen = comparison(result, result.outcomes[peer])
            figures = f"b - c = {seen.excess:,}, limit {seen.limit(noises):,.0f}"
            label = f"best ({best})" if rule == VS_BEST else peer
            verdicts.append(Verdict(rule, f"{cell} vs {label}", figures, not seen.falls_short(noises)))
    required = required_percent(result)
    if required is not None:
        ours = correct_percent(result, OURS)
        verdicts.append(
            Verdict(CORRECT, f"{cell} correct %", f"{ours:.3f}, required {required:.3f}", ours >= required)
        )
    return verdicts


def required_percent(result: CellResult) -> float | None:
    """The correct % that the cell asks for, if it does."""
    cell, peer = result.cell, correct_percent(result, PEER)
    key = (cell.divergence, cell.length, cell.layout)
    if cell.length <= SHORT_LENGTH:
        return peer - SHORT_POINTS
    if key == TWICE_TARGET:
        return min(2 * peer, TWICE_ENOUGH)
    return TARGETS.get(key)


@dataclass(frozen=True)
class Robust:
    """The reads that the peer has right in all orders, in per cent of all, and how many of them are right.

    Attributes:
        spread: the largest difference of fragments right (b - c) between the peer and itself in another order.
    """

    cell: Cell
    share: float
    ours: float
    peer: float
    spread: int


def robust(result: CellResult) -> Robust | None:
    """None if the peer saw no other order."""
    if not result.orders or OURS not in result.outcomes:
        return None
    among = result.orders[0].right
    for other in result.orders[1:]:
        among = among & other.right
    peer, ends = result.outcomes[PEER], result.cell.ends
    plain = fragments_right(peer.right, ends)
    spread = max(abs(compare(plain, fragments_right(o.right, ends)).excess) for o in result.orders)
    return Robust(
        result.cell,
        percent(among),
        percent_of(result.outcomes[OURS].right, among),
        percent_of(peer.right, among),
        spread,
    )


def pooled(results: Sequence[CellResult], name: str) -> MapqHistogram | None:
    """All reads of these cells together; None if the aligner took no part in one."""
    if not results or any(name not in result.outcomes for result in results):
        return None
    parts = [histogram(o.mapped, o.right, o.mapq) for o in (result.outcomes[name] for result in results)]
    total = parts[0]
    for part in parts[1:]:
        total += part
    return total


@dataclass(frozen=True)
class Pooled:
    """esa and bwa over the easy cells, at one mapping quality."""

    mapq: int
    ours: AtMapq
    peer: AtMapq

    @property
    def p(self) -> float:
        """See `more_wrong_p`."""
        return more_wrong_p(self.ours, self.peer)

    @property
    def verdict(self) -> Verdict:
        """Met if esa's error is not significantly higher and it keeps as many reads."""
        figures = (
            f"{self.ours.wrong_per_million:.1f} vs {self.peer.wrong_per_million:.1f} per million, p = {self.p:.2g}, "
            f"kept {self.ours.kept_percent:.3f} vs {self.peer.kept_percent:.3f} %, {self.ours.total:,} reads"
        )
        if self.ours.total < POOLED_READS:
            figures += f" (not yet {POOLED_READS:,})"
        met = self.p >= SIGNIFICANT and self.ours.kept_percent >= self.peer.kept_percent
        return Verdict(POOLED, f"wrong per million at MAPQ >= {self.mapq}, cells up to 2 %", figures, met)


def pooled_easy(results: Sequence[CellResult], mapq: int) -> Pooled | None:
    """esa and bwa mem over all easy cells; None if one of them misses a cell."""
    easy = [result for result in results if result.cell.easy]
    ours, peer = pooled(easy, OURS), pooled(easy, PEER)
    if ours is None or peer is None:
        return None
    return Pooled(mapq, ours.at_least(mapq), peer.at_least(mapq))
