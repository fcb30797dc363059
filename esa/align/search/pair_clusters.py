"""Clusters of both ends of a pair, weighed together.

In a large repeat, each end by itself has more equal places than are verified. The right copy is known by the place
where both ends lie at a proper distance and weigh most together.
"""

from __future__ import annotations

from esa.align.inserts import FF, FR, RR, InsertRange
from esa.align.search.clusters import Clusters
from esa.kernels.arrays import I64Array
from esa.kernels.decorator import inline_njit


@inline_njit
def pair_clusters(
    first: Clusters, second: Clusters, counts: I64Array, lengths: I64Array, inserts: InsertRange
) -> None:
    """Set each cluster's ``mate``: the weight of the heaviest cluster of the other end at a proper distance.

    Heuristic: the two may lie in different contigs. Few clusters lie near a border, and
    `esa.align.pairing.choose.is_proper` checks it later.

    Args:
        first, second: Clusters of both reads, in order of strand and diagonal.
        counts: ``int64[2]``, how many of them there are.
        lengths: ``int64[2]``, bases of the reads.
        inserts: Orientation and distances of proper pairs.
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
