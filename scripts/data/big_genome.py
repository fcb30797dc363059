"""Makes a reference of human size, with human repeats, from the real genomes of the collection.

    python -m scripts.data.big_genome big.fa                    # 3.1 Gb, 24 contigs

    python -m scripts.data.big_genome part.fa --part 300e6      # 300 Mb of the same genome

    python -m scripts.data.big_genome small.fa --size 630e6     # a smaller genome of the same kind

The 24 contigs have lengths in the proportions of the human chromosomes (GRCh38). With ``--part``, contigs of the genome
of ``--size`` bases are written unchanged, the shortest first, and the beginning of one more. Centromeres, gaps and
repeat families are those of the whole. The same arguments give the same bytes. Pieces and bases of each class in each
contig go to ``big.fa.tsv``.

What it holds, as shares of the whole (`FAMILIES`, `SPECTRUM`):

- *Stream*, about half: the text between repeats. All genomes of the collection are cut into tiles of 64 kb. A round
  takes every tile once, in a new order; 3.1 Gb take about nine rounds. Each copy has its own strand and divergence,
  uniform between 5 and 30 %. So copies of a piece are 10-50 % apart. A third of the tiles is human chr20. These
  hold repeats of their own, which so become older.

- *Interspersed families*, 39 %: numbers of copies and bases follow table 11 of the International Human Genome
  Sequencing Consortium (2001), Nature 409:860, for 3.1 Gb. Alu has 1,090,000 copies and 10.6 % of their sequence, L1
  516,000 and 16.9 %. MIR has 393,000 copies, L2 315,000, LTR elements 443,000, DNA elements 294,000. Consensuses are
  random sequences. Alu and L1 are families of subfamilies a few per cent apart; the others, which stand for many
  families, are further apart. Divergence from the subfamily's consensus is uniform: Alu 10-15 % (90,000 young ones
  3-8 %), L1 5-20 %, LTR 15-30 %, DNA elements 20-30 %, MIR and L2 25-30 %. Figure 18 there has such ages. All but 1 %
  of the L1 copies lack their 5' ends; they have 900 bases on average. Unlike in nature, copies are never nested, and
  CpGs are not more mutable.

- *Tandem repeats*: units of 1 to 6 bases, 2 % of the genome, and of 10 to 60, 1 %. Simple sequence repeats are 3 % of
  the genome (ibid.). Each is up to 10 % from its unit.

- *Alpha satellite*: 2.5 % of every contig, in one array at 25-45 % of its length. Monomers have 171 bases and are some
  33 % apart. Higher-order repeats have 4 to 16 monomers, and their copies are 1-2 % apart (Willard & Waye 1987, Trends
  in Genetics 3:192).

- *Segmental duplications*: 5 %, 10 to 200 kb long, 1-10 % from their source. Bailey et al. (2002), Science 297:1003,
  have about 5 % of the genome, of at least 90 % identity. Half are copies of the contig itself, half of a library that
  all contigs share.

- *N*: 4 % beside the centromere, telomeres of 10 kb, gaps of 50 kb every 10 Mb.

A divergence of d % means d edits in 100 bases, a tenth of them indels (lengths geometric, mean 1.5), as everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esa.io.fasta import read_genome
from esa.sequence import dna
from scripts.common.command_line import add_data_options, guarded, script_parser
from scripts.common.programs import BenchError, note
from scripts.data.big_genome_kernels import (
    TANDEM_BASES,
    Insertions,
    Recipe,
    Repeats,
    Stream,
    Stretch,
    copy_mutated,
    fill,
    fill_array,
)

HUMAN_MEGABASES = (
    248.956, 242.194, 198.296, 190.215, 181.538, 170.806, 159.346, 145.139, 138.395, 133.797, 135.087, 133.275,
    114.364, 107.044, 101.991, 90.338, 83.257, 80.373, 58.618, 64.444, 46.710, 50.818, 156.041, 57.227,
)  # fmt: skip
"""GRCh38: chromosomes 1 to 22, X, Y."""
NAMES = tuple(f"chr{name}" for name in (*range(1, 23), "X", "Y"))
WHOLE = 3.1e9
LINE_BASES = 80
LINES_TOGETHER = 100_000
STREAM, SATELLITE, GAP = "stream", "alpha satellite", "N"
POLY_A = 25


@dataclass(frozen=True)
class Family:
    """Interspersed copies.

    Attributes:
        copies: in `WHOLE` bases.
        subfamilies, apart: how many, each at this divergence from the family's ancestor.
        length: bases of the consensus.
        whole, tail: share of full copies; the others have `SHORTEST` bases and exponentially many more (mean).
        anywhere: a short copy is any part of the consensus, not its end.
        low, high: divergence of copies from the subfamily's consensus.
    """

    name: str
    copies: int
    subfamilies: int
    apart: float
    length: int
    whole: float
    tail: float
    anywhere: bool
    low: float
    high: float

    @property
    def mean_bases(self) -> float:
        """Of a copy."""
        short = SHORTEST + self.tail * (1 - np.exp(-(self.length - SHORTEST) / self.tail))
        return float(self.whole * self.length + (1 - self.whole) * short)


SHORTEST = 60
FAMILIES = (
    Family("Alu", 1_000_000, 20, 0.05, 300, 0.8, 120, False, 0.10, 0.15),
    Family("young Alu", 90_000, 6, 0.03, 300, 0.85, 120, False, 0.03, 0.08),
    Family("L1", 516_000, 30, 0.08, 6000, 0.01, 790, False, 0.05, 0.20),
    Family("MIR", 393_000, 4, 0.10, 260, 0.05, 90, True, 0.25, 0.30),
    Family("L2", 315_000, 6, 0.10, 3300, 0.0, 220, True, 0.25, 0.30),
    Family("LTR", 443_000, 100, 0.40, 1000, 0.2, 350, True, 0.15, 0.30),
    Family("DNA", 294_000, 40, 0.50, 800, 0.1, 145, True, 0.20, 0.30),
)


@dataclass(frozen=True)
class Spectrum:
    """Everything but the families; shares are of a contig."""

    stream_divergence: tuple[float, float] = (0.05, 0.30)
    tile: int = 1 << 16
    tandem: tuple[float, float] = (0.02, 0.01)
    duplicated: float = 0.05
    duplication_bases: tuple[int, int] = (10_000, 200_000)
    duplication_divergence: tuple[float, float] = (0.01, 0.10)
    library_copies: int = 3
    satellite: float = 0.025
    monomer: int = 171
    monomers_apart: float = 0.18  # from their ancestor, so 33 % from each other
    higher_order: tuple[int, int] = (4, 16)
    array_divergence: tuple[float, float] = (
        0.005,
        0.010,
    )  # from the array's consensus, so 1-2 % from each other
    beside_satellite: float = 0.04
    telomere: int = 10_000
    gap: int = 50_000
    gap_spacing: int = 10_000_000


SPECTRUM = Spectrum()
CLASSES = (
    STREAM, *(family.name for family in FAMILIES), "short tandem", "long tandem", "own duplication",
    "library duplication", SATELLITE, GAP,
)  # fmt: skip


@dataclass(frozen=True)
class Feature:
    """What lies at a fixed place of a contig."""

    start: int
    end: int
    name: str


class BigGenome:
    """A genome of ``size`` bases, to be made contig by contig.

    Args:
        source: base codes of the real genomes, without N.
    """

    def __init__(
        self, source: NDArray[np.uint8], size: int, seed: int, spectrum: Spectrum = SPECTRUM
    ) -> None:
        self.seed = seed
        self.spectrum = spectrum
        self.lengths = np.floor(np.array(HUMAN_MEGABASES) / sum(HUMAN_MEGABASES) * size).astype(np.int64)
        self._rng = np.random.default_rng([seed, 0])
        fixed = spectrum.satellite + spectrum.beside_satellite
        inserted = sum(spectrum.tandem) + spectrum.duplicated
        inserted += sum(family.copies * family.mean_bases for family in FAMILIES) / WHOLE
        self.stream_share = 1 - inserted - fixed
        self._stream = self._tiles(source, int(size * self.stream_share))
        self._repeats = self._consensuses()
        self._alpha = self._rng.integers(0, 4, spectrum.monomer).astype(np.uint8)
        library = np.empty(int(size * spectrum.duplicated / 2 / spectrum.library_copies), np.uint8)
        plain = self._insertions(np.empty(0, np.uint8), duplications=False)
        tally = np.zeros((len(CLASSES) - 2, 2), np.int64)
        place = np.array([len(self._stream.bounds) // 2, 0])
        recipe = Recipe(self._stream, self._repeats, plain, place, seed)
        fill(library, 0, len(library), recipe, self._state(-1), tally)
        self._inserted = self._insertions(library, duplications=True)

    def contig(self, index: int, bases: int | None = None) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The first ``bases`` (None: all) codes of a contig; ``int64[CLASSES, 2]``, pieces and bases of each class."""
        length = int(self.lengths[index])
        out = np.empty(length if bases is None else bases, np.uint8)
        tally = np.zeros((len(CLASSES), 2), np.int64)
        state = self._state(index)
        place = self._place(int(self.lengths[:index].sum()))
        recipe = Recipe(self._stream, self._repeats, self._inserted, place, self.seed)
        at = 0
        features = [*self._features(index), Feature(length, length, "")]
        for feature in features:
            end = min(feature.start, len(out))
            fill(out, at, end, recipe, state, tally)
            at = min(feature.end, len(out))
            if feature.name == GAP:
                out[end:at] = dna.N
            elif at > end:
                self._fill_satellite(out, end, at, index)
            if at > end:
                tally[CLASSES.index(feature.name)] += (1, at - end)
            if at == len(out):
                break
        return out, tally

    def parts(self, bases: int | None) -> list[tuple[int, int]]:
        """(Contig, bases of it) that make up so many bases: whole contigs, the shortest first, and part of one."""
        chosen = []
        left = int(self.lengths.sum()) if bases is None else bases
        for index in np.argsort(self.lengths, kind="stable").tolist():
            taken = min(left, int(self.lengths[index]))
            if taken:
                chosen.append((index, taken))
            left -= taken
        return sorted(chosen)

    def _state(self, index: int) -> NDArray[np.uint64]:
        return (
            np.random.default_rng([self.seed, 1, index + 1])
            .integers(0, 1 << 63, 1, np.int64)
            .astype(np.uint64)
        )

    def _tiles(self, source: NDArray[np.uint8], bases: int) -> Stream:
        bounds = np.append(np.arange(0, len(source), self.spectrum.tile), len(source))
        rounds = 2 + bases // len(source)
        tiles = len(bounds) - 1
        order = np.concatenate([self._rng.permutation(tiles) for _ in range(rounds)]).astype(np.int64)
        return Stream(source, bounds.astype(np.int64), order, *self.spectrum.stream_divergence)

    def _place(self, before: int) -> NDArray[np.int64]:
        """Where the stream is behind so many bases of the genome, about: contigs go on where others end."""
        stream = self._stream
        sizes = np.diff(stream.bounds)[stream.order]
        ends = np.cumsum(sizes)
        wanted = int(before * self.stream_share) % int(ends[-1])
        use = int(np.searchsorted(ends, wanted, side="right"))
        return np.array([use, wanted - (ends[use] - sizes[use])], np.int64)

    def _consensuses(self) -> Repeats:
        bases: list[NDArray[np.uint8]] = []
        first = [0]
        state = self._rng.integers(0, 1 << 63, 1, np.int64).astype(np.uint64)
        for family in FAMILIES:
            ancestor = self._rng.integers(0, 4, family.length).astype(np.uint8)
            if not family.anywhere:
                ancestor[-POLY_A:] = 0
            bases += [mutated(ancestor, family.apart, state) for _ in range(family.subfamilies)]
            first.append(len(bases))
        begin = np.cumsum([0, *map(len, bases)])
        columns = ("whole", "tail", "anywhere", "low", "high")
        whole, tail, anywhere, low, high = (np.array([getattr(f, c) for f in FAMILIES]) for c in columns)
        return Repeats(
            np.concatenate(bases), begin, np.array(first), whole, np.full(len(FAMILIES), SHORTEST),
            tail.astype(np.float64), anywhere.astype(np.uint8), low, high,
        )  # fmt: skip

    def _insertions(self, library: NDArray[np.uint8], duplications: bool) -> Insertions:
        spectrum = self.spectrum
        shortest, longest = spectrum.duplication_bases
        mean = (longest - shortest) / np.log(longest / shortest)
        copied = spectrum.duplicated / 2 / mean if duplications else 0.0
        tandem = [share / sum(bases) for share, bases in zip(spectrum.tandem, TANDEM_BASES, strict=True)]
        rates = [*(family.copies / WHOLE for family in FAMILIES), *tandem, copied, copied]
        # Rates are of the whole; the stream, at whose bases insertions are drawn, is a part of it.
        rate = np.array(rates) / self.stream_share
        return Insertions(rate, library, shortest, longest, *spectrum.duplication_divergence)

    def _features(self, index: int) -> Iterator[Feature]:
        """Gaps and the centromere, in order; all scale with contigs under 40 Mb."""
        spectrum, length = self.spectrum, int(self.lengths[index])
        fit = min(1.0, length / (4 * spectrum.gap_spacing))
        telomere, gap = int(spectrum.telomere * fit), int(spectrum.gap * fit)
        rng = np.random.default_rng([self.seed, 2, index])
        start = int(length * rng.uniform(0.25, 0.45))
        middle = start + int(length * spectrum.satellite)
        end = middle + int(length * spectrum.beside_satellite)
        yield Feature(0, telomere, GAP)
        spacing = int(spectrum.gap_spacing * fit)
        places = [p for p in range(spacing, length - spacing // 2, spacing) if p + gap < start or p > end]
        yield from (Feature(p, p + gap, GAP) for p in places if p < start)
        yield Feature(start, middle, SATELLITE)
        yield Feature(middle, end, GAP)
        yield from (Feature(p, p + gap, GAP) for p in places if p > end)
        yield Feature(length - telomere, length, GAP)

    def _fill_satellite(self, out: NDArray[np.uint8], start: int, end: int, index: int) -> None:
        """An array of higher-order repeats of its own for each contig."""
        rng = np.random.default_rng([self.seed, 3, index])
        state = rng.integers(0, 1 << 63, 1, np.int64).astype(np.uint64)
        low, high = self.spectrum.higher_order
        monomers = [
            mutated(self._alpha, self.spectrum.monomers_apart, state)
            for _ in range(rng.integers(low, high + 1))
        ]
        fill_array(out, start, end, np.concatenate(monomers), self.spectrum.array_divergence, state)


def mutated(codes: NDArray[np.uint8], divergence: float, state: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """A copy at this divergence."""
    out = np.empty(2 * len(codes) + 100, np.uint8)
    piece = Stretch(codes, 0, len(codes), False)
    return out[: copy_mutated(out, 0, len(out), piece, divergence, state)].copy()


def real_bases(data: Path) -> NDArray[np.uint8]:
    """Base codes of all references of the collection, without N."""
    paths = sorted((data / "ref").glob("*.fa.gz"))
    if not paths:
        raise BenchError(
            f"{data}/ref holds no references: name the collection of real data with --data or ESA_DATA"
        )
    pieces = []
    for path in paths:
        genome = read_genome(str(path))
        codes = genome.fetch(0, genome.bases)
        pieces.append(codes[codes < dna.N])
    return np.concatenate(pieces)


def fasta_text(name: str, codes: NDArray[np.uint8]) -> Iterator[bytes]:
    """A FASTA record, a few megabytes at a time."""
    yield f">{name}\n".encode()
    step = LINE_BASES * LINES_TOGETHER
    for begin in range(0, len(codes), step):
        letters = dna.LETTERS[codes[begin : begin + step]]
        full = len(letters) // LINE_BASES * LINE_BASES
        lines = np.full((full // LINE_BASES, LINE_BASES + 1), ord("\n"), np.uint8)
        lines[:, :LINE_BASES] = letters[:full].reshape(-1, LINE_BASES)
        yield lines.tobytes()
        if full < len(letters):
            yield letters[full:].tobytes() + b"\n"


def summary(names: Sequence[str], tallies: Sequence[NDArray[np.int64]]) -> str:
    """The table of what is in each contig, and in all of them."""
    rows = ["contig\tclass\tpieces\tbases\tshare"]
    for name, tally in zip((*names, "all"), (*tallies, np.sum(tallies, axis=0)), strict=True):
        total = int(tally[:, 1].sum())
        for label, (pieces, bases) in zip(CLASSES, tally.tolist(), strict=True):
            rows.append(f"{name}\t{label}\t{pieces}\t{bases}\t{bases / total:.5f}")
    return "\n".join(rows) + "\n"


def write_genome(genome: BigGenome, path: Path, bases: int | None) -> None:
    """The FASTA and its table, put in place when both are complete."""
    parts = genome.parts(bases)
    tallies = []
    table = path.with_name(path.name + ".tsv")
    partial = {final: final.with_name(f"partial-{os.getpid()}-{final.name}") for final in (path, table)}
    try:
        with partial[path].open("wb") as out:
            for index, taken in parts:
                codes, tally = genome.contig(index, taken)
                tallies.append(tally)
                out.writelines(fasta_text(NAMES[index], codes))
                note(f"{NAMES[index]}: {taken:,} bases")
        partial[table].write_text(summary([NAMES[index] for index, _ in parts], tallies))
        for final, made in partial.items():
            made.replace(final)
    finally:
        for made in partial.values():
            made.unlink(missing_ok=True)


def main() -> None:
    """Run the command."""
    parser = script_parser(__doc__)
    parser.add_argument("fasta", type=Path, help="file to write")
    parser.add_argument("--size", type=float, default=WHOLE, help="bases of the genome [3.1e9]")
    parser.add_argument("--part", type=float, help="bases of it that are written [all]")
    add_data_options(parser)
    args = parser.parse_args()
    if args.size < 1e6 or (args.part is not None and not 0 < args.part <= args.size):
        raise BenchError("--size is a million bases or more, --part no more than --size")
    genome = BigGenome(real_bases(args.data), int(args.size), args.seed)
    write_genome(genome, args.fasta, None if args.part is None else int(args.part))


if __name__ == "__main__":
    guarded(main)
