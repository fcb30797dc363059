"""Every number that decides an alignment, by name.

The classes are ``NamedTuple``s because numba kernels take them whole.
"""

from __future__ import annotations

from typing import NamedTuple

from esa.align.levels import Level, Resolved
from esa.stores.base import MAX_SCANNED, SATELLITE_BUCKET, SearchEffort


class ClusterConfig(NamedTuple):
    """From hits to candidates.

    diagonal_slack: hits on diagonals this far apart, from the first of a cluster on, make one cluster, so that
        an indel does not part its flanks; the band of the verification reaches as far.
    max_candidates: clusters of a read that are verified, the heaviest first.
    max_paired_candidates: the same where they are weighed together with those of the mate.
    min_weight_share: Heuristic: clusters lighter than this share (per cent) of the heaviest are not verified, be it by
        themselves or together with the mate's.
    """

    diagonal_slack: int = 50
    max_candidates: int = 300
    max_paired_candidates: int = 150
    min_weight_share: int = 20


class VotingConfig(NamedTuple):
    """Diagonals in a window of the reference by k-mer votes (dense hits, mate rescue).

    k: bases of a voting k-mer.
    slack: votes on this many neighbouring diagonals count together (indels).
    min_votes: a diagonal with fewer k-mers in common is no candidate.
    """

    k: int = 8
    slack: int = 3
    min_votes: int = 6


class VerifyConfig(NamedTuple):
    """From candidates to loci.

    max_gap: longest indel that the band reaches, bases.
    gapped_margin: Heuristic: a candidate whose ungapped score is this far under the best one's is not aligned
        with gaps, unless it is among the heaviest.
    max_gapped: candidates, by ungapped score, that are aligned with gaps.
    heaviest: candidates, by weight, that are aligned with gaps if none has a score near to perfect without.
    same_locus: alignments of one strand whose diagonals differ by at most this share (per cent) of the read
        length are one locus.
    """

    max_gap: int = 50
    gapped_margin: int = 30
    max_gapped: int = 4
    heaviest: int = 3
    same_locus: int = 50


class PairConfig(NamedTuple):
    """Pairs.

    unpaired_penalty: what a pair loses that does not lie as the insert sizes say (bwa mem's -U). learning_pairs:
    pairs, the first of the input, from which insert sizes are learnt. min_sample: fewer usable pairs than this teach
    nothing. bound_iqr: pairs within this many interquartile ranges of the quartiles are proper. rescue_margin: loci
    this far under a read's best may call for the rescue of its mate. max_rescues: windows searched for a read's mate.
    max_tied_rescues: the same where further loci score as much as the best one and have no mate either; and loci that
    its
        mate led to which a read may have.
    few_fragments: an end that is not perfect, with fewer fragments searched than this, is looked for in its mate's
        window although it has a locus there: another copy of a tandem repeat may have been missed.
    min_rescued_score: an end that its mate led to is reported from this score up, or from the least score, if that is
        lower (bwa mem's 19): by chance a window of some hundred bases holds nothing that scores so much.
    longest_scored: an end of so many bases at most that after all levels has no locus to be reported by itself is
        scored on every diagonal of its mate's window, if shared k-mers lead to nothing there. (Longer ends with a part
        that aligns share some.)
    """

    unpaired_penalty: int = 17
    learning_pairs: int = 50_000
    min_sample: int = 20
    bound_iqr: float = 3.0
    rescue_margin: int = 10
    max_rescues: int = 4
    max_tied_rescues: int = 12
    few_fragments: int = 8
    min_rescued_score: int = 19
    longest_scored: int = 300


class SplitConfig(NamedTuple):
    """The parts of chimeric reads.

    min_bases: so many bases left over by the parts found are searched for one more.
    max_segments: most parts of a read, the primary alignment among them; 1: none is looked for.
    effort: of the search with the fragmenter's own fragments. They are few, and some reach beyond the bases left
        over, so their codes are uncertain: many probes. A short part in a repeat has few fragments to tell its copy
        by: many hits. (Fragmenters whose hits fix no diagonal go to the next step at once.)
    resolved: as of a `Level`, of the bases left over: what is not resolved is searched for at the last level of the
        escalation that takes reads of any length, too.
    max_candidates: clusters of what is left over that are verified.
    """

    min_bases: int = 20
    max_segments: int = 4
    effort: SearchEffort = SearchEffort(
        256,
        probes=128,
        radius=18,
        max_bucket=SATELLITE_BUCKET,
        max_edited=SATELLITE_BUCKET,
        max_scanned=MAX_SCANNED,
    )
    resolved: Resolved = ((0, 75),)
    max_candidates: int = 100


XA_MOST = 5
"""A part of a read with more other places has no XA tag (bwa mem's -h)."""


class SecondaryConfig(NamedTuple):
    """Other places for the bases that a primary or supplementary alignment aligns.

    most: of a read; 0: none is reported.
    min_share: of the score (per cent) of the alignment reported.
    all_or_none: none of a part's, if they are more than ``most`` (for XA, as in bwa mem).
    """

    most: int = 0
    min_share: int = 80
    all_or_none: bool = False


class AlignConfig(NamedTuple):
    """All of it.

    levels: the escalation, cheapest first.
    max_loci: loci kept of a read, for pairing and MAPQ; those that its mate points to come on top.
    min_score: alignments whose best part scores less are not reported (for reads of 60 bases and more), but for ends
        of proper pairs (`PairConfig.min_rescued_score`).
    seed: varies how ties are broken.
    """

    levels: tuple[Level, ...]
    cluster: ClusterConfig = ClusterConfig()
    voting: VotingConfig = VotingConfig()
    verify: VerifyConfig = VerifyConfig()
    pair: PairConfig = PairConfig()
    split: SplitConfig = SplitConfig()
    secondary: SecondaryConfig = SecondaryConfig()
    max_loci: int = 64
    min_score: int = 30
    seed: int = 0

    def reporting(self, alignments: int | None, everything: bool) -> AlignConfig:
        """With secondary alignments: up to ``alignments`` of a read in all (None: those held).

        ``everything``: whatever their score, from ``min_score`` up.
        """
        if alignments is None:
            return self._replace(secondary=SecondaryConfig(self.max_loci, min_share=0))
        share = 0 if everything else SecondaryConfig().min_share
        return self._replace(
            secondary=SecondaryConfig(alignments - 1, share),
            max_loci=max(self.max_loci, alignments),
            cluster=self.cluster._replace(
                max_candidates=max(self.cluster.max_candidates, alignments),
                max_paired_candidates=max(self.cluster.max_paired_candidates, alignments),
            ),
        )

    def with_xa(self) -> AlignConfig:
        """With the secondary alignments of bwa mem's XA tags."""
        return self._replace(secondary=SecondaryConfig(XA_MOST, all_or_none=True))
