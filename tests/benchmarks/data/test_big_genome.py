"""The genome of human size: copies diverge as they should, every class has its share, a part is a part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from esa.io.fasta import read_genome
from esa.sequence import dna

SIZE = 6_000_000
BIG = 0
"""chr1, the longest contig."""


@pytest.fixture(scope="module")
def source() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 4, 400_000).astype(np.uint8)


def small_spectrum():  # type: ignore[no-untyped-def]
    """Duplications and tiles short enough for contigs of 100 kb."""
    from scripts.data.big_genome import Spectrum

    return Spectrum(tile=5000, duplication_bases=(1000, 4000))


@pytest.fixture(scope="module")
def genome(source: NDArray[np.uint8]):  # type: ignore[no-untyped-def]
    from scripts.data.big_genome import BigGenome

    return BigGenome(source, SIZE, seed=3, spectrum=small_spectrum())


@pytest.fixture(scope="module")
def contigs(genome):  # type: ignore[no-untyped-def]
    return [genome.contig(i) for i in range(len(genome.lengths))]


def edits(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> int:
    """Edit distance, slowly."""
    row = np.arange(len(two) + 1)
    for i, base in enumerate(one):
        straight = np.minimum(row[:-1] + (two != base), row[1:] + 1)
        new = np.concatenate([[i + 1], straight])
        row = np.minimum.accumulate(new - np.arange(len(new))) + np.arange(len(new))
    return int(row[-1])


def words(codes: NDArray[np.uint8], k: int) -> NDArray[np.int64]:
    """The k-mers of a text as numbers; -1 where there is an N."""
    windows = np.lib.stride_tricks.sliding_window_view(codes.astype(np.int64), k)
    numbers = windows @ (4 ** np.arange(k))
    return np.where((windows > 3).any(axis=1), -1, numbers)


def both_strands(codes: NDArray[np.uint8], k: int) -> NDArray[np.int64]:
    return np.concatenate([words(codes, k), words(dna.reverse_complement(codes), k)])


@pytest.mark.parametrize("divergence", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_copy_has_the_edits_it_is_asked_for(divergence: float, reverse: bool) -> None:
    from scripts.data.big_genome_kernels import Stretch, copy_mutated

    rng = np.random.default_rng(5)
    text = rng.integers(0, 4, 2000).astype(np.uint8)
    out = np.full(5000, 9, np.uint8)
    end = copy_mutated(out, 10, 5000, Stretch(text, 0, 2000, reverse), divergence, np.array([7], np.uint64))
    assert (out[:10] == 9).all()
    assert (out[end:] == 9).all()
    made = dna.reverse_complement(out[10:end]) if reverse else out[10:end]
    # A tenth of the edits are indels of 1.5 bases; chance matches hide some edits at 20 %.
    expected = divergence * (0.9 + 0.1 * 1.5) * 2000
    assert expected * 0.75 <= edits(text, made) <= expected * 1.2 + 1e-9
    assert abs(len(made) - 2000) <= 60


def test_contigs_have_human_proportions(genome) -> None:  # type: ignore[no-untyped-def]
    assert len(genome.lengths) == 24
    assert SIZE - 24 <= genome.lengths.sum() <= SIZE
    assert genome.lengths[0] / genome.lengths[20] == pytest.approx(248.956 / 46.71, rel=0.001)


def test_every_class_has_its_share(genome, contigs) -> None:  # type: ignore[no-untyped-def]
    from scripts.data.big_genome import CLASSES, FAMILIES, WHOLE

    total = np.sum([tally for _, tally in contigs], axis=0)
    assert total[:, 1].sum() == genome.lengths.sum()
    share = dict(zip(CLASSES, total[:, 1] / total[:, 1].sum(), strict=True))
    spectrum = genome.spectrum
    assert share["alpha satellite"] == pytest.approx(spectrum.satellite, abs=0.001)
    assert share["N"] == pytest.approx(np.mean([np.mean(c > 3) for c, _ in contigs]), abs=0.005)
    assert share["short tandem"] + share["long tandem"] == pytest.approx(0.03, rel=0.15)
    assert share["own duplication"] + share["library duplication"] == pytest.approx(0.05, rel=0.3)
    for row, family in enumerate(FAMILIES, 1):
        pieces = family.copies * SIZE / WHOLE
        assert total[row, 0] == pytest.approx(pieces, abs=4 * np.sqrt(pieces))
        assert share[family.name] == pytest.approx(family.copies * family.mean_bases / WHOLE, rel=0.3)


def test_copies_of_the_commonest_family_are_there(genome, contigs) -> None:  # type: ignore[no-untyped-def]
    """12-mers of Alu's consensuses come back as often as copies of 10 to 15 % divergence let them."""
    repeats = genome._repeats
    whole = repeats.bases[: repeats.begin[repeats.first[1]]]
    wanted = np.unique(words(whole, 12))
    found = sum(int(np.isin(both_strands(codes, 12), wanted).sum()) for codes, _ in contigs)
    copied = sum(int(tally[1, 1]) for _, tally in contigs)
    expected = copied * np.mean((1 - np.linspace(0.10, 0.15, 51)) ** 12)
    by_chance = 2 * SIZE * len(wanted) / 4**12
    assert expected * 0.8 < found - by_chance < expected * 1.4


def test_the_stream_holds_every_piece_on_both_strands(source, contigs) -> None:  # type: ignore[no-untyped-def]
    known = np.full(4**12, -1, np.int32)
    place = words(source, 12)
    known[place] = np.arange(len(place)) // 5000
    for strand in (lambda codes: codes, dna.reverse_complement):
        seen = known[np.concatenate([words(strand(codes), 12) for codes, _ in contigs])]
        hits = np.bincount(seen[seen >= 0], minlength=len(source) // 5000)
        # Seven copies, half of them on this strand, of which one 12-mer in nine is whole; 1.3 % of words are chance.
        assert hits.min() > 300


def test_satellites_repeat_in_higher_order(genome, contigs) -> None:  # type: ignore[no-untyped-def]
    """Monomers are far apart, the copies of their array near."""
    codes, _ = contigs[BIG]
    start = next(f.start for f in genome._features(BIG) if f.name == "alpha satellite")
    array = codes[start : start + 9000]
    rng = np.random.default_rng([genome.seed, 3, BIG])
    rng.integers(0, 1 << 63, 1, np.int64)
    period = 171 * int(rng.integers(4, 17))
    near = min(edits(array[:150], array[at : at + 150]) for at in range(period - 20, period + 21))
    assert near / 150 < 0.06
    distance = edits(array[:150], array[171:321])
    assert 0.15 < distance / 150 < 0.45


def test_a_part_is_the_beginning_of_the_same_contigs(genome, contigs) -> None:  # type: ignore[no-untyped-def]
    parts = genome.parts(SIZE // 10)
    assert sum(taken for _, taken in parts) == SIZE // 10
    partial = [(i, taken) for i, taken in parts if taken < genome.lengths[i]]
    assert len(parts) == 6
    assert len(partial) == 1
    for index, taken in (*parts, (BIG, 40_001), (BIG, 3), (BIG, int(genome.lengths[BIG]) - 1)):
        codes, tally = genome.contig(index, taken)
        np.testing.assert_array_equal(codes, contigs[index][0][:taken])
        assert tally[:, 1].sum() == taken
    assert [taken for _, taken in genome.parts(None)] == genome.lengths.tolist()


def test_the_seed_decides_everything(source: NDArray[np.uint8], contigs) -> None:  # type: ignore[no-untyped-def]
    from scripts.data.big_genome import BigGenome

    again, other = (BigGenome(source, SIZE, seed, small_spectrum()).contig(20)[0] for seed in (3, 4))
    np.testing.assert_array_equal(again, contigs[20][0])
    assert np.mean(other == again) < 0.5


def test_the_files_hold_the_genome_and_its_table(genome, contigs, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from scripts.data.big_genome import CLASSES, NAMES, write_genome

    path = tmp_path / "part.fa"
    path.write_text("an older one")
    write_genome(genome, path, 300_000)
    read = read_genome(str(path))
    parts = genome.parts(300_000)
    assert read.names == tuple(NAMES[i] for i, _ in parts)
    for row, (index, taken) in enumerate(parts):
        np.testing.assert_array_equal(read.contig(row), contigs[index][0][:taken])
    assert max(map(len, path.read_text().splitlines())) == 80
    header, *rows = (tmp_path / "part.fa.tsv").read_text().splitlines()
    assert header.split("\t") == ["contig", "class", "pieces", "bases", "share"]
    assert len(rows) == (len(parts) + 1) * len(CLASSES)
    assert sum(int(row.split("\t")[3]) for row in rows if row.startswith("all\t")) == 300_000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["part.fa", "part.fa.tsv"]
