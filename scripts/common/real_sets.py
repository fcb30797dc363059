"""The real read sets of the data collection, each with its reference."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.common.programs import BenchError


@dataclass(frozen=True)
class RealSet:
    """Real pairs, the reference to align them to, the window of it (0-based, half-open) they came from."""

    name: str
    reads: str
    reference: str
    window: tuple[str, int, int] | None = None


CHR20 = "human_GRCh37_chr20"
ECOLI_536 = "ecoli_536_NC_008253"
MG1655 = "ecoli_K12_MG1655_NC_000913.3"
CEU_WINDOW = ("20", 20_000_000, 20_300_000)
NA12878 = RealSet(
    "NA12878 2x101", "human_NA12878_PE101_chr20_10.0-10.1Mb", CHR20, ("20", 10_000_000, 10_100_000)
)
CEU = RealSet("CEU 2x108", "human_1000G_CEU_PE108_chr20_20.0-20.3Mb", CHR20, CEU_WINDOW)
CEU76 = RealSet("CEU 2x76", "human_1000G_CEU_PE76_chr20_20.0-20.3Mb", CHR20, CEU_WINDOW)
CEU51 = RealSet("CEU 2x51-54", "human_1000G_CEU_PE51-54_chr20_20.0-20.3Mb", CHR20, CEU_WINDOW)
CEU36 = RealSet("CEU 2x36", "human_1000G_CEU_PE36_chr20_20.0-20.3Mb", CHR20, CEU_WINDOW)
HIV = RealSet("HIV-1 2x250", "hiv1_PE250", "hiv1_DQ234790")
DSM30083 = RealSet("DSM30083 2x76", "ecoli_DSM30083_SRR3927310_PE76", MG1655)
HCC1187C = RealSet("HCC1187C 2x101", "human_HCC1187C_PE101", CHR20)
DONORS = RealSet("10 donors 2x151", "human_10donors_PE151_chr22A", "primate22A_human")
MITOCHONDRION = RealSet("human MT 2x20-150", "human_MT_ERR2438055_PE150", "human_MT")
REAL_SETS = (NA12878, CEU, CEU76, CEU51, CEU36, HIV, DSM30083, HCC1187C, DONORS, MITOCHONDRION)
"""Each with the reference that its reads belong to, or with a near one. (HCC1187C: mostly they do not.)"""


def named_set(text: str) -> RealSet:
    """The real set whose name is ``text``, or begins so; spaces and capitals do not count.

    Raises:
        BenchError: no set's does, or several sets' do.
    """
    wanted = _bare(text)
    names = {_bare(real.name): real for real in REAL_SETS}
    found = [wanted] if wanted in names else [name for name in names if wanted and name.startswith(wanted)]
    if len(found) != 1:
        fault = "several real sets begin with" if found else "no real set is named"
        raise BenchError(f"{fault} {text!r} (there are {', '.join(real.name for real in REAL_SETS)})")
    return names[found[0]]


def _bare(name: str) -> str:
    return name.replace(" ", "").lower()
