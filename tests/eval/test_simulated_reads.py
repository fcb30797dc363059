from __future__ import annotations

import gzip
from pathlib import Path

import dnaio
import numpy as np
import pytest
from numpy.typing import NDArray

from esa.errors import EsaError, OutputError, UsageError
from esa.eval import simulate
from esa.eval import simulate_kernels as kernels
from esa.eval.simulate import (
    SimulatedReads,
    SimulationParameters,
    count_fragments,
    edit_rates,
    read_names,
    write_reads,
)
from esa.eval.simulate_indels import GEOMETRIC, ZIPF, IndelLengths, indel_lengths
from esa.eval.truth import SCHEMES
from esa.io.fasta import read_genome
from esa.sequence import dna
from esa.sequence.genome import Genome

N_RUN = (3000, 3400)
ONE_BASE = IndelLengths(mean=1.0)
LENGTHS = {"chr_1": 9001, "chrB": 4002, "short": 299, "none": 40}


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("reference") / "ref.fa"
    with path.open("w") as file:
        for name, length in LENGTHS.items():
            letters = bytearray(dna.decode(rng.integers(0, 4, length).astype(np.uint8)))
            if name == "chr_1":
                letters[slice(*N_RUN)] = b"N" * (N_RUN[1] - N_RUN[0])
            file.write(f">{name}\n{letters.decode()}\n")
    return path


@pytest.fixture(scope="module")
def genome(fasta: Path) -> Genome:
    return read_genome(str(fasta))


def simulated(genome: Genome, parameters: SimulationParameters) -> SimulatedReads:
    (batch,) = simulate.simulate(genome, parameters)
    return batch


def oriented(
    genome: Genome, reads: SimulatedReads, i: int, end: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The read as it lies on the forward strand, and its contig from its leftmost position."""
    codes = reads.codes[end][i]
    if reads.reverse[i, end]:
        codes = dna.reverse_complement(codes)
    return codes, genome.contig(int(reads.contig[i]))[reads.position[i, end] :]


def edit_distance(read: NDArray[np.uint8], reference: NDArray[np.uint8]) -> int:
    """Of the read to a prefix of the reference. The obvious dynamic programming."""
    row = np.arange(len(reference) + 1)
    for base in read.tolist():
        diagonal = row[:-1] + (reference != base)
        row = np.concatenate(([row[0] + 1], np.minimum(diagonal, row[1:] + 1)))
        row = np.minimum.accumulate(row - np.arange(len(row))) + np.arange(len(row))
    return int(row.min())


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(("length", "length2"), [(70, 70), (150, 31), (1, 1), (40, 300)])
def test_without_edits_reads_are_the_reference(
    genome: Genome, paired: bool, length: int, length2: int
) -> None:
    reads = simulated(
        genome, SimulationParameters(400, paired, length, length2, insert_mean=300, insert_sd=30)
    )
    assert [codes.shape for codes in reads.codes] == [(400, length), (400, length2)][: 1 + paired]
    for i in range(400):
        for end in range(1 + paired):
            codes, reference = oriented(genome, reads, i, end)
            assert (codes == reference[: len(codes)]).all()
            assert (codes < dna.N).all()
    assert not reads.edits.any()


def test_places_are_spread_over_long_contigs_and_strands(genome: Genome) -> None:
    reads = simulated(
        genome, SimulationParameters(20_000, length=60, length2=60, insert_mean=300, insert_sd=0)
    )
    share = np.bincount(reads.contig, minlength=4) / 20_000
    assert share[2:].tolist() == [0, 0]
    # The first contig has two pieces between which N lies; a fragment touches none of it.
    places = np.array([9001 - 300 + 1 - (N_RUN[1] - N_RUN[0]) - 300 + 1, 4002 - 300 + 1])
    assert share[:2] == pytest.approx(places / places.sum(), abs=0.015)
    start = reads.position.min(axis=1)
    assert start[reads.contig == 1].min() < 10
    assert start[reads.contig == 1].max() > 4002 - 300 - 10
    assert reads.reverse.mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.015)
    assert (reads.reverse[:, 0] != reads.reverse[:, 1]).all()
    left = np.where(reads.reverse[:, 0], reads.position[:, 1], reads.position[:, 0])
    assert (left == start).all()


def test_insert_sizes(genome: Genome) -> None:
    lengths = np.array([50, 80])
    reads = simulated(
        genome, SimulationParameters(20_000, length=50, length2=80, insert_mean=250, insert_sd=25)
    )
    inserts = (reads.position + lengths).max(axis=1) - reads.position.min(axis=1)
    assert inserts.mean() == pytest.approx(250, abs=0.6)
    assert inserts.std() == pytest.approx(25, abs=0.6)
    tight = simulated(genome, SimulationParameters(2000, length=50, length2=80, insert_mean=80, insert_sd=25))
    inserts = (tight.position + lengths).max(axis=1) - tight.position.min(axis=1)
    assert inserts.min() == 80


def test_substitutions_are_as_many_as_asked_and_counted(genome: Genome) -> None:
    reads = simulated(genome, SimulationParameters(2000, length=100, length2=60, substitutions=0.05))
    found = np.zeros((2000, 2), int)
    changes = np.zeros((4, 4), int)
    for i in range(2000):
        for end in range(2):
            codes, reference = oriented(genome, reads, i, end)
            found[i, end] = (codes != reference[: len(codes)]).sum()
            np.add.at(changes, (reference[: len(codes)], codes), 1)
    assert (found == reads.edits[:, :, 0]).all()
    assert found.sum(axis=0) / 2000 / [100, 60] == pytest.approx([0.05, 0.05], rel=0.03)
    off_diagonal = changes[~np.eye(4, dtype=bool)]
    assert off_diagonal / off_diagonal.sum() == pytest.approx(np.full(12, 1 / 12), rel=0.12)


def test_indels_are_as_many_as_asked_and_the_position_holds(genome: Genome) -> None:
    reads = simulated(
        genome,
        SimulationParameters(
            300, length=100, length2=100, substitutions=0.01, indels=0.02, indel_lengths=ONE_BASE
        ),
    )
    edits = reads.edits.sum(axis=2)
    assert reads.edits[:, :, 1].mean() == pytest.approx(0.02 * 99, rel=0.1)
    found = np.zeros_like(edits)
    for i in range(300):
        for end in range(2):
            codes, reference = oriented(genome, reads, i, end)
            found[i, end] = edit_distance(codes, reference[:130])
    # Neighbouring edits may cancel: never more than were made, and hardly fewer.
    assert (found <= edits).all()
    assert found.sum() > 0.95 * edits.sum()


def test_insertions_and_deletions_balance(genome: Genome) -> None:
    """Reads with one indel differ in what they span: one base more or less, each as often."""
    p = SimulationParameters(20_000, paired=False, length=100, indels=0.01, indel_lengths=ONE_BASE)
    reads = simulated(genome, p)
    reverse = reads.reverse[:, 0] & (reads.edits[:, 0, 1] == 1)
    kinds = []
    for i in np.flatnonzero(reverse)[:1000]:
        codes, reference = oriented(genome, reads, int(i), 0)
        spans = [span for span in (99, 101) if (codes[-3:] == reference[span - 3 : span]).all()]
        kinds += spans if len(spans) == 1 else []
    assert len(kinds) > 900
    assert kinds.count(99) / len(kinds) == pytest.approx(0.5, abs=0.05)


LAWS_OF_INDELS = [
    IndelLengths(),
    IndelLengths(mean=4.0, longest=6),
    IndelLengths(ZIPF),
    IndelLengths(ZIPF, exponent=1.2, longest=80),
]


def chi_square(counts: NDArray[np.int64], law: IndelLengths) -> tuple[float, int]:
    """Of the counts of lengths 1 and up, rare ones together, and the degrees of freedom."""
    expected = law.probabilities() * counts.sum()
    common = expected >= 20
    if not common.all():
        counts = np.append(counts[common], counts[~common].sum())
        expected = np.append(expected[common], expected[~common].sum())
    return float(((counts - expected) ** 2 / expected).sum()), len(counts) - 1


def walked_indels(law: IndelLengths, length: int, walks: int) -> NDArray[np.int64]:
    """Counts of the indels' lengths in walks over reads of one length."""
    state, source, change = np.array([9], np.uint64), np.empty(length, np.int64), np.empty(length, np.uint8)
    counts = np.zeros(law.longest, np.int64)
    for _ in range(walks):
        kernels._walk(state, 0.0, 0.02, law.stops(), source, change)
        # Where an indel may be cut by the read's end, none is counted: the long ones would be missed.
        whole = length - 2 * law.longest
        places = np.flatnonzero(source >= 0)
        inserted = np.diff(places) - 1
        deleted = np.diff(source[places]) - 1
        for sizes in (inserted, deleted):
            sizes = sizes[places[:-1] < whole]
            counts += np.bincount(sizes[sizes > 0] - 1, minlength=law.longest)
    return counts


@pytest.mark.parametrize("law", LAWS_OF_INDELS, ids=str)
def test_indels_have_the_lengths_of_their_law(law: IndelLengths) -> None:
    """`bincount` would give more counts than the law has lengths if one were longer."""
    statistic, degrees = chi_square(walked_indels(law, 500, 3000), law)
    assert statistic < degrees + 4 * np.sqrt(2 * degrees)
    # Such a sample can tell the law from its neighbours.
    other = IndelLengths(law.law, law.mean * 1.1, law.exponent + 0.1, law.longest)
    wrong, _ = chi_square(walked_indels(law, 500, 3000), other)
    assert wrong > degrees + 4 * np.sqrt(2 * degrees)


@pytest.mark.parametrize("law", LAWS_OF_INDELS, ids=str)
def test_laws_are_probabilities(law: IndelLengths) -> None:
    p = law.probabilities()
    assert p.sum() == pytest.approx(1)
    k = np.arange(1, law.longest + 1)
    if law.law == ZIPF:
        assert p == pytest.approx(k**-law.exponent / (k**-law.exponent).sum())
    else:
        # What is too long is of the greatest length.
        geometric = (1 - 1 / law.mean) ** (k - 1) / law.mean
        assert p[:-1] == pytest.approx(geometric[:-1])
        assert p[-1] == pytest.approx((1 - 1 / law.mean) ** (law.longest - 1))


def test_options_of_the_law() -> None:
    assert indel_lengths(None, None, None, None) == IndelLengths()
    assert indel_lengths(ZIPF, None, 1.2, 50) == IndelLengths(ZIPF, exponent=1.2, longest=50)
    assert indel_lengths(GEOMETRIC, 3.0, None, None) == IndelLengths(mean=3.0)
    for law, mean, exponent in ((ZIPF, 2.0, None), (GEOMETRIC, None, 1.2)):
        with pytest.raises(UsageError, match="has no meaning with the"):
            indel_lengths(law, mean, exponent, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"law": "normal"}, "one of geometric, zipf"),
        ({"mean": 0.5}, "at least 1"),
        ({"exponent": -0.1}, "not negative"),
        ({"exponent": float("nan")}, "not negative"),
        ({"longest": 0}, "1 to 10,000"),
        ({"longest": 10_001}, "1 to 10,000"),
    ],
)
def test_laws_that_cannot_be(changes: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        IndelLengths(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("paired", [True, False])
def test_the_law_and_its_maximum_arrive_in_the_reads(genome: Genome, paired: bool) -> None:
    """All indels of just 20 bases, or of just one: what a read spans tells them apart."""
    spans = {}
    for longest in (1, 20):
        law = IndelLengths(ZIPF, exponent=0, longest=longest)
        p = SimulationParameters(300, paired, 60, 60, 300, 0, indels=0.02, indel_lengths=law)
        reads = simulated(genome, p)
        end = paired * 1
        rows = np.flatnonzero((reads.edits[:, end, 1] == 1) & ~reads.reverse[:, end])
        places = [oriented(genome, reads, int(i), end) for i in rows]
        spans[longest] = [
            shift
            for codes, reference in places
            for shift in (-longest, longest)
            if (codes[-8:] == reference[60 - 8 + shift : 60 + shift]).all()
        ]
        assert len(rows) > 20
    assert len(spans[1]) > 0.6 * len(rows)
    assert set(spans[1]) == {-1, 1}
    assert 0 < len(spans[20]) < 0.3 * len(rows)


def test_random_reads(genome: Genome) -> None:
    reads = simulated(genome, SimulationParameters(4000, random_fraction=0.25))
    rand = reads.contig == -1
    assert rand.mean() == pytest.approx(0.25, abs=0.03)
    names = read_names(reads, genome.names)
    assert [name.startswith("rand_") for name in names] == rand.tolist()
    bases = np.bincount(reads.codes[0][rand].ravel(), minlength=4)
    assert bases / bases.sum() == pytest.approx([0.25] * 4, abs=0.01)


@pytest.mark.parametrize("paired", [True, False])
def test_names_say_what_was_simulated(genome: Genome, paired: bool) -> None:
    reads = simulated(
        genome, SimulationParameters(300, paired, substitutions=0.02, indels=0.01, random_fraction=0.1)
    )
    names = read_names(reads, genome.names)
    assert len(set(names)) == 300
    scheme = SCHEMES["dwgsim"]
    for i, name in enumerate(names):
        match = scheme.pattern.fullmatch(name.encode())
        assert match
        counts = [count.split(":") for count in name.split("_")[-3:-1]]
        for end in range(1 + paired):
            origin = scheme.origin(match, end + 1 if paired else 0)
            assert counts[end] == [str(reads.edits[i, end, 0]), "0", str(reads.edits[i, end, 1])]
            if reads.contig[i] < 0:
                assert origin.contig is None
                continue
            assert origin.contig == genome.names[reads.contig[i]].encode()
            start = origin.reverse_start if reads.reverse[i, end] else origin.forward_start
            assert start == reads.position[i, end]


def test_reads_do_not_depend_on_batches_or_their_number(
    genome: Genome, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = SimulationParameters(
        50, divergence_free := True, substitutions=0.02, indels=0.01, random_fraction=0.1
    )
    assert divergence_free
    whole = simulated(genome, p)
    fewer = simulated(genome, SimulationParameters(20, substitutions=0.02, indels=0.01, random_fraction=0.1))
    assert (fewer.codes[1] == whole.codes[1][:20]).all()
    monkeypatch.setattr(simulate, "BATCH_BASES", 300 * 7)
    parts = list(simulate.simulate(genome, p))
    assert [part.first for part in parts] == list(range(0, 50, 7))
    assert (np.concatenate([part.codes[0] for part in parts]) == whole.codes[0]).all()
    names = [name for part in parts for name in read_names(part, genome.names)]
    assert names == read_names(whole, genome.names)


def test_seeds_differ(genome: Genome) -> None:
    first, again, second = (simulated(genome, SimulationParameters(50, seed=seed)) for seed in (1, 1, 2))
    assert (first.position == again.position).all()
    assert (first.position != second.position).all(axis=1).mean() > 0.9


def test_reference_without_a_place(fasta: Path, tmp_path: Path, genome: Genome) -> None:
    with pytest.raises(EsaError, match="no contig has 20000 bases"):
        simulated(genome, SimulationParameters(1, insert_mean=20_000))
    path = tmp_path / "n.fa"
    path.write_text(">n\n" + ("ACGT" * 20 + "N") * 50)
    with pytest.raises(EsaError, match="mostly N"):
        simulated(read_genome(str(path)), SimulationParameters(1))


def test_a_contig_as_long_as_the_reads(tmp_path: Path) -> None:
    path = tmp_path / "tight.fa"
    path.write_text(">tight\n" + "ACGTTGCATT" * 10)
    genome = read_genome(str(path))
    reads = simulated(
        genome, SimulationParameters(200, paired=False, length=100, substitutions=0.01, indels=0.01)
    )
    assert (reads.position >= 0).all()
    assert (reads.position <= 60).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fragments": -1}, "must not be negative"),
        ({"length": 0}, "at least one base"),
        ({"length2": 0}, "at least one base"),
        ({"substitutions": 1.5}, "between 0 and 1"),
        ({"indels": -0.1}, "between 0 and 1"),
        ({"random_fraction": float("nan")}, "between 0 and 1"),
        ({"substitutions": 0.6, "indels": 0.6}, "exceed 1"),
        ({"quality": 94}, "between 0 and 93"),
        ({"insert_mean": 149}, "shorter than a read"),
        ({"insert_sd": -1}, "insert size"),
        ({"insert_mean": float("inf")}, "insert size"),
        ({"seed": -1}, "seed"),
    ],
)
def test_parameters_that_cannot_be(changes: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SimulationParameters(**({"fragments": 1} | changes))  # type: ignore[arg-type]


def test_rates_and_numbers() -> None:
    assert edit_rates(5) == pytest.approx((0.045, 0.005))
    assert edit_rates(None) == pytest.approx((0.0054, 0.0006))
    assert edit_rates(None, 0.1) == (0.1, 0)
    assert edit_rates(None, None, 0.1) == (0, 0.1)
    with pytest.raises(UsageError, match="--divergence"):
        edit_rates(5, indels=0.1)
    assert (count_fragments(3, None, False), count_fragments(None, 4, True)) == (3, 4)
    for wrong in ((None, None, False), (3, None, True), (3, 4, False), (3, 4, True), (None, 4, False)):
        with pytest.raises(UsageError, match="--pairs"):
            count_fragments(*wrong)


def test_written_pairs(fasta: Path, genome: Genome, tmp_path: Path) -> None:
    p = SimulationParameters(30, length=70, length2=50, substitutions=0.1, quality=12)
    summary = write_reads(str(fasta), str(tmp_path / "x"), p)
    assert summary.paths == (str(tmp_path / "x_R1.fq.gz"), str(tmp_path / "x_R2.fq.gz"))
    assert (summary.fragments, summary.skipped_contigs) == (30, 2)
    reads = simulated(genome, p)
    names = read_names(reads, genome.names)
    for end, path in enumerate(summary.paths):
        with dnaio.open(path) as file:
            records = list(file)
        assert [record.name for record in records] == [f"{name}/{end + 1}" for name in names]
        assert [record.sequence.encode() for record in records] == [dna.decode(r) for r in reads.codes[end]]
        assert {record.qualities for record in records} == {"-" * (70, 50)[end]}
    again = write_reads(str(fasta), str(tmp_path / "y"), p)
    assert Path(again.paths[0]).read_bytes() == Path(summary.paths[0]).read_bytes()


def test_written_single_reads(fasta: Path, tmp_path: Path) -> None:
    p = SimulationParameters(30, paired=False)
    (plain,) = write_reads(str(fasta), str(tmp_path / "x"), p, compress=False).paths
    (packed,) = write_reads(str(fasta), str(tmp_path / "x"), p).paths
    assert (plain, packed) == (str(tmp_path / "x.fq"), str(tmp_path / "x.fq.gz"))
    text = Path(plain).read_bytes()
    assert gzip.decompress(Path(packed).read_bytes()) == text
    assert text.count(b"\n") == 120
    assert b"/1\n" not in text


def test_no_reads_make_empty_files(fasta: Path, tmp_path: Path) -> None:
    summary = write_reads(str(fasta), str(tmp_path / "x"), SimulationParameters(0))
    assert [gzip.decompress(Path(path).read_bytes()) for path in summary.paths] == [b"", b""]


def test_a_failure_leaves_nothing(fasta: Path, tmp_path: Path) -> None:
    with pytest.raises(EsaError, match="no contig"):
        write_reads(str(fasta), str(tmp_path / "x"), SimulationParameters(1, insert_mean=20_000))
    with pytest.raises(OutputError, match="no folder"):
        write_reads(str(fasta), str(tmp_path / "no" / "x"), SimulationParameters(1))
    assert list(tmp_path.iterdir()) == []
