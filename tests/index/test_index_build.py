"""`esa.index.build`: what is built, what is opened again, and that neither threads nor groups of contigs matter."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from esa.encoders.codes import BITS, CodeEncoder, grouped
from esa.encoders.projection import ProjectionEncoder
from esa.encoders.registry import create_encoder, save_encoder
from esa.errors import FastaError, IndexFormatError, OutputError, UsageError
from esa.fragments.minimizers import MinimizerFragmenter
from esa.index import build as index_build
from esa.index.build import BuildOptions, assemble, build_index, default_path
from esa.index.open import Index, open_index
from esa.index.presets import PRESETS, preset_named
from esa.io.fasta import read_fasta
from esa.sequence import dna
from esa.sequence.genome import Genome
from esa.stores.base import SearchEffort
from esa.stores.codes import CodeStore
from esa.stores.packed import unpacked_entries

LENGTHS = (4000, 20, 900, 30_000, 5, 2500)
"""Two contigs are shorter than a fragment."""
EFFORTS = {
    "anchored": SearchEffort(50, probes=8, radius=20),
    "sketch": SearchEffort(5),
    "rde": SearchEffort(5),
}


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("reference") / "ref.fa"
    with path.open("wb") as out:
        for i, n in enumerate(LENGTHS):
            codes = rng.integers(0, 4, n).astype(np.uint8)
            if n == 4000:
                codes[1000:1100] = dna.N
            out.write(b">contig%d of a test\n%s\n" % (i, dna.decode(codes)))
    return path


def build(fasta: Path, path: Path, preset: str = "anchored", threads: int = 1) -> Index:
    build_index(str(fasta), path, BuildOptions(preset, threads=threads))
    return open_index(str(path))


def fresh(fasta: Path, preset: str) -> Index:
    chosen = preset_named(preset)
    fragmenter = chosen.fragmenter({})
    encoder = create_encoder(chosen.default_encoder, chosen.kind, fragmenter.length)
    return assemble(read_fasta(str(fasta)).genome, chosen, fragmenter, encoder)[0]


def reads_of(genome: Genome, n: int = 40, length: int = 120) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    rng = np.random.default_rng(2)
    starts = rng.integers(0, genome.bases - length, n)
    return np.concatenate([genome.fetch(int(s), int(s) + length) for s in starts]), np.arange(n + 1) * length


def assert_same_searches(one: Index, two: Index) -> None:
    codes, offsets = reads_of(one.genome)
    reads = np.arange(len(offsets) - 1, dtype=np.int32)
    found = []
    for built in (one, two):
        fragments = built.fragmenter.queries(codes, offsets, reads, 0)
        found.append(built.store.search(built.encoder.embed(codes, fragments), EFFORTS[built.preset.name]))
    assert len(found[0].position)
    for field in ("offsets", "position", "reverse", "score", "truncated"):
        np.testing.assert_array_equal(getattr(found[0], field), getattr(found[1], field))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_saved_index_equals_a_fresh_one(fasta: Path, tmp_path: Path, preset: str):
    saved, made = build(fasta, tmp_path / "x.esa", preset), fresh(fasta, preset)
    assert saved.genome.names == made.genome.names
    assert saved.genome.m5 == made.genome.m5
    for field in ("lengths", "packed", "n_starts", "n_ends"):
        np.testing.assert_array_equal(getattr(saved.genome, field), getattr(made.genome, field))
    assert saved.fragmenter == made.fragmenter
    assert len(saved.store) == len(made.store) > 0
    for part, other in ((saved.store, made.store), (saved.encoder, made.encoder)):
        assert part.arrays().keys() == other.arrays().keys()
        for name, array in other.arrays().items():
            np.testing.assert_array_equal(part.arrays()[name], array)
            assert part.arrays()[name].dtype == array.dtype
    assert saved.store.parameters() == made.store.parameters()
    assert_same_searches(saved, made)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_threads_do_not_change_a_byte(fasta: Path, tmp_path: Path, preset: str):
    build(fasta, tmp_path / "one", preset, threads=1)
    build(fasta, tmp_path / "three", preset, threads=3)
    names = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "three").iterdir())
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "three" / name).read_bytes(), name


def learned_encoder(length: int) -> CodeEncoder:
    rng = np.random.default_rng(3)
    table = rng.integers(-90, 90, (length, 4, BITS)).astype(np.int8)
    return CodeEncoder(grouped(table, np.zeros(BITS, np.int16)))


@pytest.mark.parametrize(("group_bases", "chunk"), [(61, 1 << 16), (4000, 100), (5000, 7), (1 << 24, 33)])
def test_groups_of_contigs_and_chunks_do_not_matter(
    fasta: Path, monkeypatch: pytest.MonkeyPatch, group_bases: int, chunk: int
):
    """With an encoder that is not calibrated, since the calibration's sample goes by the size of a group."""
    genome = read_fasta(str(fasta)).genome
    fragmenter = MinimizerFragmenter()
    done: list[int] = []

    def run() -> tuple[Index, int]:
        return assemble(
            genome, PRESETS["anchored"], fragmenter, learned_encoder(fragmenter.length), 2, done.append
        )

    expected, bare = run()
    monkeypatch.setattr(index_build, "GROUP_BASES", group_bases)
    monkeypatch.setattr(index_build, "CHUNK_FRAGMENTS", chunk)
    done.clear()
    found, also_bare = run()
    assert bare == also_bare == 2
    assert sum(done) == genome.bases
    for name, array in expected.store.arrays().items():
        np.testing.assert_array_equal(found.store.arrays()[name], array)


def test_every_fragment_of_the_reference_is_kept_and_finds_itself(fasta: Path):
    made = fresh(fasta, "anchored")
    genome = made.genome
    codes = genome.fetch(0, genome.bases)
    fragments = made.fragmenter.reference(codes, genome.offsets)
    assert len(fragments) == len(made.store)
    effort = SearchEffort(max_hits=100, probes=1, radius=1)
    found = made.store.search(made.encoder.embed(codes, fragments), effort)
    for q in range(len(fragments)):
        rows = slice(found.offsets[q], found.offsets[q + 1])
        here = (found.position[rows] == fragments.start[q]) & (found.reverse[rows] == fragments.reverse[q])
        assert np.count_nonzero(here) == 1


@pytest.mark.parametrize(
    "parameters", [{}, {"k": 4, "window": 1, "half": 2}, {"k": 12, "window": 50, "half": 8}]
)
@pytest.mark.parametrize("piece", [1, 23, 1000])
def test_pieces_of_a_contig_have_the_fragments_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, parameters: dict[str, int], piece: int
):
    """Low complexity, so that hashes tie, and N."""
    rng = np.random.default_rng(4)
    codes = np.concatenate(
        [rng.integers(0, 4, 700), np.tile([0, 0, 1], 200), np.full(300, 3), [4] * 40, [0, 4, 1]]
    )
    codes = np.concatenate([codes, rng.integers(0, 2, 400)]).astype(np.uint8)
    genome = Genome.of_contigs({"a": codes[:30], "b": codes, "c": codes[500:1500]})
    fragmenter = MinimizerFragmenter(**parameters)
    whole = fragmenter.reference(genome.fetch(0, genome.bases), genome.offsets)
    monkeypatch.setattr(index_build, "GROUP_BASES", piece)
    with ThreadPoolExecutor(1) as pool:
        cut = list(index_build._cut(genome, fragmenter, pool))
    for field, shift in (("start", "start"), ("reverse", None), ("owner", "first")):
        found = [getattr(f, field) + (getattr(p, shift) if shift else 0) for p, _, f in cut]
        np.testing.assert_array_equal(np.concatenate(found), getattr(whole, field))


def test_no_fragment_spans_contigs_or_holds_n(fasta: Path):
    made = fresh(fasta, "anchored")
    genome, length = made.genome, made.fragmenter.length
    assert isinstance(made.store, CodeStore)
    _, position, _ = unpacked_entries(made.store.packed, np.arange(len(made.store)))
    contig = np.searchsorted(genome.offsets, position, side="right") - 1
    assert np.all(position + length <= genome.offsets[contig + 1])
    assert set(contig.tolist()) == {0, 2, 3, 5}
    for start in position[contig == 0].tolist():
        assert dna.N not in genome.fetch(int(start), int(start) + length)


def test_the_calibrated_encoder_is_kept_and_balanced(fasta: Path, tmp_path: Path):
    build_index(str(fasta), tmp_path / "x", BuildOptions("anchored", encoder="projection"))
    opened = open_index(str(tmp_path / "x"))
    codes = opened.genome.fetch(0, opened.genome.bases)
    fragments = opened.fragmenter.reference(codes, opened.genome.offsets)
    share = (opened.encoder.embed(codes, fragments) > 0).mean(axis=0)
    assert np.abs(share - 0.5).max() < 0.02
    plain = ProjectionEncoder.untrained(opened.fragmenter.length)
    assert (opened.encoder.arrays()["table"][0] != plain.table[0]).any()


def test_the_summary_counts(fasta: Path, tmp_path: Path):
    bases: list[int] = []
    summary = build_index(str(fasta), tmp_path / "x", BuildOptions("anchored"), bases.append)
    statistics = summary.manifest.statistics
    assert sum(LENGTHS) == sum(bases)
    assert statistics["n_bases"] == 100
    assert statistics["contigs_without_fragments"] == 2
    assert statistics["fragments"] == len(open_index(str(tmp_path / "x")).store)
    assert summary.path == tmp_path / "x"
    assert summary.manifest.preset == "anchored"


def test_an_encoder_from_a_directory_is_kept_in_the_index(fasta: Path, tmp_path: Path):
    encoder = learned_encoder(MinimizerFragmenter().length)
    save_encoder(encoder, tmp_path / "weights")
    build_index(str(fasta), tmp_path / "x", BuildOptions("anchored", encoder=str(tmp_path / "weights")))
    for file in (tmp_path / "weights").iterdir():
        file.unlink()
    opened = open_index(str(tmp_path / "x"))
    np.testing.assert_array_equal(opened.encoder.arrays()["table"], encoder.table)


def test_default_path_lies_beside_the_reference():
    assert default_path("some/ref.fa.gz") == Path("some/ref.fa.gz.esa")


def test_what_cannot_be_indexed_leaves_nothing_behind(fasta: Path, tmp_path: Path):
    short = tmp_path / "short.fa"
    short.write_text(">a\nACGTACGT\n>b\n" + "N" * 500 + "\n")
    out = tmp_path / "out"
    with pytest.raises(FastaError, match="no contig holds a fragment of"):
        build_index(str(short), out, BuildOptions("anchored"))
    with pytest.raises(UsageError, match="unknown preset 'other'"):
        build_index(str(fasta), out, BuildOptions("other"))
    with pytest.raises(UsageError, match="does not fit"):
        build_index(str(fasta), out, BuildOptions("anchored", encoder="sketch"))
    with pytest.raises(FastaError):
        build_index(str(tmp_path / "missing.fa"), out, BuildOptions("anchored"))
    assert [p.name for p in tmp_path.iterdir()] == ["short.fa"]


def test_an_index_is_replaced_only_by_force(fasta: Path, tmp_path: Path):
    build_index(str(fasta), tmp_path / "x", BuildOptions("anchored"))
    with pytest.raises(OutputError, match="--force"):
        build_index(str(fasta), tmp_path / "x", BuildOptions("sketch"))
    assert open_index(str(tmp_path / "x")).preset.name == "anchored"
    build_index(str(fasta), tmp_path / "x", BuildOptions("sketch", force=True))
    assert open_index(str(tmp_path / "x")).preset.name == "sketch"


def test_parts_that_do_not_fit_each_other_are_refused(
    fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An intact index of another kind of esa: the digests agree, the parts do not."""
    build_index(str(fasta), tmp_path / "x", BuildOptions("anchored"))
    for parameters in ({"k": 11}, {"unheard_of": 1}):
        monkeypatch.setattr(MinimizerFragmenter, "parameters", lambda self, p=parameters: p)
        build_index(str(fasta), tmp_path / "x", BuildOptions("anchored", force=True))
        with pytest.raises(IndexFormatError, match="parts do not fit"):
            open_index(str(tmp_path / "x"))


def test_an_index_of_an_unknown_preset_is_refused(
    fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As a later version may write."""
    monkeypatch.setitem(PRESETS, "later", PRESETS["anchored"])
    build_index(str(fasta), tmp_path / "x", BuildOptions("later"))
    monkeypatch.delitem(PRESETS, "later")
    with pytest.raises(IndexFormatError, match="unknown preset 'later'"):
        open_index(str(tmp_path / "x"))
