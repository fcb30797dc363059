"""Clusters of both ends of a pair, weighed together.

In a large repeat each end by itself has more equal places than are verified. Where both lie as the insert sizes say,
and which of the places are worth most together, tells them apart.
"""

from __future__ import annotations

from esa.align.inserts import FF, FR, RR
from esa.kernels.decorator import inline_njit


@inline_njit
def pair_clusters(first, second, counts, lengths, inserts):  # type: ignore[no-untyped-def]
    """Give each cluster of either end the weight of the heaviest one of the mate that it may make a pair with.

    ``first``, ``second``: `esa.align.search.clusters.Clusters` of both reads, of which ``counts`` count, in order of
    strand and diagonal. ``lengths``: of the reads. ``inserts``: `esa.align.inserts.InsertRange`. (Heuristic:
    whether both lie in one contig is not asked: few clusters lie near a border, and
    `esa.align.pairing.choose.is_proper` asks later.)
    """
    same_strand = inserts.orientation == FF or inserts.orientation == RR
    # As seen from the first read's strand, its mate's 5' end lies ahead of its own, or behind.
    ahead = inserts.orientation == FR or inserts.orientation == FF
    turned = 0
    while turned < counts[1] and second.strand[turned] == 0:
        turned += 1
    begin = 0
    for strand in range(2):
        mates_strand = strand if same_strand else 1 - strand
        nearest, end = (turned, counts[1]) if mates_strand else (0, turned)
        mates_shift = lengths[1] if mates_strand else 0
        while begin < counts[0] and first.strand[begin] == strand:
            five_prime = first.diagonal[begin] + (lengths[0] if strand else 0)
            onward = ahead == (strand == 0)
            low = five_prime + (inserts.low if onward else -inserts.high) - mates_shift
            high = five_prime + (inserts.high if onward else -inserts.low) - mates_shift
            while nearest < end and second.diagonal[nearest] < low:
                nearest += 1
            k = nearest
            while k < end and second.diagonal[k] <= high:
                first.mate[begin] = max(first.mate[begin], second.weight[k])
                second.mate[k] = max(second.mate[k], first.weight[begin])
                k += 1
            begin += 1
