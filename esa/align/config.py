"""Settings of an alignment beside the ladders (`esa.align.ladders`), by name.

Scores are in `esa.align.scoring`, numbers of one step at the top of its module. `esa align -k` and `-a` change several
of these at once, so they stand together. The classes are ``NamedTuple``s because numba kernels take them whole.

Defaults that bwa mem has are said to be its. The others were set by hand with `make bench-accuracy`, those of split
reads with `make bench-split`; a docstring that names a script says that the number was swept with it.
"""

from __future__ import annotations

from typing import NamedTuple

from esa.align.levels import Level
from esa.align.state import Resolved
from esa.stores.base import MAX_SCANNED, SATELLITE_BUCKET, SearchEffort


class ClusterConfig(NamedTuple):
    """From hits to candidates.

    Attributes:
        diagonal_slack: hits on diagonals up to this far from the first of a cluster make one cluster, so that an indel
            does not separate its flanks. The band of the verification reaches as far.
        max_candidates: clusters of a read that are verified, the heaviest first.
        max_paired_candidates: the same where clusters of both mates are weighed together.
        min_weight_share: Heuristic: clusters lighter than this share (per cent) of the heaviest are not verified,
            whether weighed alone or together with the mate's.
    """

    diagonal_slack: int = 50
    max_candidates: int = 300
    max_paired_candidates: int = 150
    min_weight_share: int = 20


class VotingConfig(NamedTuple):
    """Diagonals in a window of the reference by k-mer votes (dense hits, mate rescue).

    Attributes:
        k: bases of a voting k-mer.
        slack: votes on this many neighbouring diagonals count together (indels).
        min_votes: a diagonal with fewer shared k-mers is no candidate.
    """

    k: int = 8
    slack: int = 3
    min_votes: int = 6


class VerifyConfig(NamedTuple):
    """From candidates to loci.

    Attributes:
        max_gap: longest indel that the band reaches, bases.
        gapped_margin: Heuristic: a candidate whose ungapped score is this far under the best one's is not aligned
            with gaps, unless it is among the heaviest.
        max_gapped: candidates, by ungapped score, that are aligned with gaps.
        heaviest: candidates, by weight, that are aligned with gaps if none is near to perfect without.
        same_locus: alignments of one strand are one locus if their diagonals differ by at most this share (per cent)
            of the read length.
    """

    max_gap: int = 50
    gapped_margin: int = 30
    max_gapped: int = 4
    heaviest: int = 3
    same_locus: int = 50


class PairConfig(NamedTuple):
    """Pairs.

    Attributes:
        unpaired_penalty: what a pair loses that does not lie as the insert sizes say (bwa mem's -U).
        learning_pairs: pairs from which insert sizes are learnt, the first ones of the input.
        min_sample: with fewer usable pairs nothing is learnt.
        bound_iqr: pairs within this many interquartile ranges of the quartiles are proper.
        rescue_margin: loci down to this far under a read's best may call for the rescue of its mate.
        max_rescues: windows searched for a read's mate.
        max_tied_rescues: the same where further loci score as much as the best one and have no mate either. Also the
            most loci that a read may have from its mate.
        few_fragments: an end that is not perfect, with fewer fragments searched than this, is looked for in its mate's
            window although it has a locus there. Another copy of a tandem repeat may have been missed.
        min_rescued_score: an end found by its mate is reported from this score up, or from the minimum score if that is
            lower (bwa mem's 19). By chance a window of some hundred bases holds nothing that scores so much.
        longest_scored: longest end, in bases, that is scored on every diagonal of its mate's window. This is done if
            after all levels it has no locus to be reported by itself, and shared k-mers lead to nothing there. (Longer
            ends with a stretch that aligns share some.)
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
    """The segments of split (chimeric) reads.

    Attributes:
        min_bases: bases left over by the segments found from which on one more is searched for.
        max_segments: most segments of a read, the primary alignment among them; 1: none is looked for.
        effort: of the search with the fragmenter's own fragments. They are few, and some reach beyond the bases left
            over, so their codes are uncertain: many probes. A short segment in a repeat has few fragments to tell its
            copy by: many hits.
        resolved: as of `esa.align.levels.Level`, of the bases left over. What is not resolved is searched for at the
            last level of the ladder for reads of any length, too.
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
"""A segment of a read with more other places has no XA tag (bwa mem's -h)."""


class SecondaryConfig(NamedTuple):
    """Other places for the bases that a primary or supplementary alignment aligns.

    Attributes:
        most: of a read; 0: none is reported.
        min_share: threshold of the score, as a share (per cent) of that of the alignment reported.
        all_or_none: none of a segment's, if there are more than ``most`` (for XA, as in bwa mem).
    """

    most: int = 0
    min_share: int = 80
    all_or_none: bool = False


class AlignConfig(NamedTuple):
    """All settings of an alignment.

    Attributes:
        levels: the ladder of levels, cheapest first.
        max_loci: loci kept of a read, for pairing and MAPQ; those found by its mate come on top.
        min_score: alignments with a lower local score are not reported (of reads of 60 bases and more), except ends of
            proper pairs (`PairConfig.min_rescued_score`).
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
