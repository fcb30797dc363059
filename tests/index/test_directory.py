"""The index directory: what is written comes back, nothing else ever does, and none is lost."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from esa import __version__
from esa.errors import IndexFormatError, OutputError
from esa.index import manifest, reader
from esa.index import writer as index_writer
from esa.index.manifest import Contig, Manifest
from esa.index.reader import open_directory, read_file
from esa.index.writer import DirectoryWriter

PARAMETERS = {"fragmenter": {"window": 16, "half": 24}, "encoder": {"name": "projection", "seed": 0.5}}
CONTIGS = (Contig("chr1", 8, "0" * 32), Contig("chr2", 5, "f" * 32))
FACTS: dict[str, Any] = {
    "preset": "anchored",
    "parameters": PARAMETERS,
    "contigs": CONTIGS,
    "statistics": {"n_bases": 2, "fragments": 7},
}
ARRAYS = {
    "codes": np.arange(7, dtype=np.uint64),
    "table": np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3),
    "none": np.empty((0, 4), np.int32),
}
WEIGHTS = b"\x08\0\0\0\0\0\0\0{}      "


def build(path: Path, force: bool = False, arrays: dict[str, Any] = ARRAYS) -> Manifest:
    with DirectoryWriter(path, force) as writer:
        for name, array in arrays.items():
            writer.add(name, array)
        writer.add_file("encoder.safetensors", WEIGHTS)
        return writer.commit(**FACTS)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    build(tmp_path / "x.esa")
    return tmp_path / "x.esa"


def rewrite_manifest(index: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Alter the manifest and give it a fitting digest: what a newer version, or malice, could write."""
    path = index / manifest.MANIFEST_NAME
    document = json.loads(path.read_text())
    change(document)
    document["digest"] = manifest._own_digest(document)
    path.write_bytes(manifest._write(document))


# ---- what is written comes back


def test_round_trip(tmp_path: Path) -> None:
    written = build(tmp_path / "x.esa")
    read, arrays = open_directory(tmp_path / "x.esa", verify="full", threads=2)
    assert read == written
    assert (read.preset, read.parameters, read.contigs) == ("anchored", PARAMETERS, CONTIGS)
    assert (read.tool_version, read.format_version) == (__version__, manifest.FORMAT_VERSION)
    assert read.statistics == FACTS["statistics"]
    assert read.bases == 13
    assert list(arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert type(arrays[name]) is np.ndarray
        assert arrays[name].dtype == array.dtype
        assert not arrays[name].flags.writeable
        np.testing.assert_array_equal(arrays[name], array)
    assert read_file(tmp_path / "x.esa", read, "encoder.safetensors") == WEIGHTS
    assert read.bytes == sum(f.stat().st_size for f in (tmp_path / "x.esa").iterdir() if f.suffix != ".json")


@settings(max_examples=25)
@given(
    npst.arrays(
        npst.integer_dtypes(endianness="?")
        | npst.unsigned_integer_dtypes(endianness="?")
        | npst.floating_dtypes(endianness="?", sizes=(16, 32, 64))
        | npst.boolean_dtypes(),
        npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
def test_any_array_round_trips_and_numpy_reads_its_file(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray
) -> None:
    path = tmp_path_factory.mktemp("a") / "x.esa"
    for form in (array, np.asfortranarray(array), array[::-1] if array.ndim else array):
        build(path, force=True, arrays={"a": form})
        read, arrays = open_directory(path)
        for back in (arrays["a"], np.load(path / "a.npy")):
            np.testing.assert_array_equal(back, form)
            assert back.dtype == form.dtype.newbyteorder("<")
            assert back.flags.c_contiguous
        entry = read.arrays[0]
        content = (path / entry.file).read_bytes()
        assert entry.digest == "sha256:" + hashlib.sha256(content).hexdigest()
        assert entry.bytes == len(content)


def test_an_array_larger_than_a_block_is_digested_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_writer, "BLOCK_BYTES", 1000)
    build(tmp_path / "x.esa", arrays={"a": np.arange(1001)})
    np.testing.assert_array_equal(open_directory(tmp_path / "x.esa")[1]["a"], np.arange(1001))


def test_blocks_end_where_blocks_of_the_file_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the header's length: a block that lies across two large pages would be in neither."""
    sizes = []

    class Digest:
        def update(self, block: memoryview) -> None:
            sizes.append(len(block))

        def hexdigest(self) -> str:
            return "0" * 64

    monkeypatch.setattr(index_writer.hashlib, "new", lambda _: Digest())
    monkeypatch.setattr(index_writer, "BLOCK_BYTES", 1000)
    with DirectoryWriter(tmp_path / "x.esa") as writer:
        writer.add("a", np.arange(500))
        assert (writer._temporary / "a.npy").stat().st_size == sum(sizes)
    ends = np.cumsum(sizes)
    assert {0, *range(1000, sum(sizes), 1000)} <= {0, *ends.tolist()}
    assert max(sizes) == 1000


@pytest.mark.parametrize("chunks", [[0], [1], [3, 0, 9], [10] * 12], ids=str)
def test_grown_arrays_are_those_that_are_added(chunks: list[int], tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    rows = rng.integers(0, 1000, (sum(chunks), 3)).astype(np.uint16)
    with DirectoryWriter(tmp_path / "grown.esa") as writer, DirectoryWriter(tmp_path / "added.esa") as other:
        growing = writer.grow("big", np.uint16, (3,))
        for part in np.split(rows, np.cumsum(chunks)[:-1]):
            growing.append(part)
        assert "big" not in writer
        grown = growing.finish()
        np.testing.assert_array_equal(grown, rows)
        assert grown.shape == rows.shape
        assert not len(rows) or not grown.flags.writeable
        assert "big" in writer
        other.add("big", rows)
        one, two = (w.commit(**FACTS) for w in (writer, other))
    assert one.arrays == two.arrays
    np.testing.assert_array_equal(open_directory(tmp_path / "grown.esa", verify="full")[1]["big"], rows)


def test_rows_of_another_shape_are_a_programming_error(tmp_path: Path) -> None:
    with DirectoryWriter(tmp_path / "x.esa") as writer:
        growing = writer.grow("big", np.int8, (3,))
        with pytest.raises(ValueError, match="rows of shape"):
            growing.append(np.zeros((2, 4), np.int8))


def test_the_same_index_twice_is_the_same_bytes(tmp_path: Path) -> None:
    build(tmp_path / "a")
    build(tmp_path / "b")
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_what_cannot_be_stored_is_a_programming_error(tmp_path: Path) -> None:
    with DirectoryWriter(tmp_path / "x.esa") as writer:
        writer.add("a", np.zeros(1))
        for dtype in (object, "S4", "M8[s]", np.complex128, [("a", "u1")]):
            with pytest.raises(TypeError, match="cannot be stored"):
                writer.add("b", np.zeros(1, dtype))
        for name in ("a", "../b", "", ".hidden", "b/c"):
            with pytest.raises(ValueError, match=r"cannot name|already holds"):
                writer.add(name, np.zeros(1))
        with pytest.raises(ValueError, match="cannot name"):
            writer.add_file("manifest.json", b"")
        for value in (float("nan"), np.int64(1)):
            with pytest.raises((TypeError, ValueError), match="JSON"):
                writer.commit(**FACTS | {"statistics": {"n": value}})
    assert not (tmp_path / "x.esa").exists()


# ---- the genome


# ---- damage is refused


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "x.esa"
    build(path)
    return path


@settings(max_examples=300)
@given(data=st.data())
def test_any_damage_is_refused(pristine: Path, data: st.DataObject) -> None:
    files = sorted(file.name for file in pristine.iterdir())
    file = pristine / data.draw(st.sampled_from(files))
    content = file.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    flipped = content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    extended = content + data.draw(st.binary(min_size=1, max_size=9))
    damaged = data.draw(st.sampled_from([flipped, content[:at], extended, None]))
    try:
        if damaged is None:
            file.unlink()
        else:
            file.write_bytes(damaged)
        with pytest.raises(IndexFormatError, match=r"x\.esa.*esa index"):
            open_directory(pristine)
    finally:
        file.write_bytes(content)
    open_directory(pristine)


def test_every_byte_of_the_manifest_counts(pristine: Path) -> None:
    text = (pristine / "manifest.json").read_bytes()
    manifest.parse(text, "manifest.json")
    for at in range(len(text)):
        for bit in (0x01, 0x20):
            with pytest.raises(IndexFormatError):
                manifest.parse(text[:at] + bytes([text[at] ^ bit]) + text[at + 1 :], "manifest.json")


def test_a_truncation_is_seen_without_reading(index: Path) -> None:
    os.truncate(index / "codes.npy", 130)
    with pytest.raises(IndexFormatError, match=r"x.esa: codes.npy: 130 bytes instead of 184: rebuild"):
        open_directory(index, verify="sizes")


@settings(max_examples=100)
@given(text=st.binary(max_size=50) | st.text(max_size=50).map(str.encode), wrap=st.booleans())
def test_any_manifest_of_a_stranger_is_refused(text: bytes, wrap: bool) -> None:
    text = b'{"format": "esa-index", "format_version": 1, "digest": "' + text + b'"}' if wrap else text
    with pytest.raises(IndexFormatError):
        manifest.parse(text, "manifest.json")


MALFORMED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown key": (lambda d: d.update(blocks=[]), "unknown key 'blocks'"),
    "missing key": (lambda d: d.pop("preset"), "missing key 'preset'"),
    "unknown key of an array": (lambda d: d["arrays"][0].update(order="F"), "unknown key 'order'"),
    "array no object": (lambda d: d["arrays"].append(3), "no object"),
    "parameters no object": (lambda d: d.update(parameters=[]), "parameters is no dict"),
    "contigs no list": (lambda d: d.update(contigs={}), "contigs is no list"),
    "outside the directory": (lambda d: d["arrays"][0].update(file="../codes.npy"), "'../codes.npy'"),
    "the manifest as a file": (lambda d: d["files"][0].update(file="manifest.json"), "'manifest.json'"),
    "objects": (lambda d: d["arrays"][0].update(dtype="|O"), r"dtype '\|O'"),
    "negative shape": (lambda d: d["arrays"][0].update(shape=[-1, -7]), "shape"),
    "huge shape": (lambda d: d["arrays"][2].update(shape=[0, 10**400]), "shape"),
    "many dimensions": (lambda d: d["arrays"][2].update(shape=[0] * 100_000), "shape"),
    "boolean size": (lambda d: d["files"][0].update(bytes=True), "bytes True"),
    "wrong kind of digest": (lambda d: d["files"][0].update(digest="md5:0"), "digest 'md5:0'"),
    "contig without bases": (lambda d: d["contigs"][0].update(length=0), "length 0"),
    "bad M5": (lambda d: d["contigs"][0].update(m5="x" * 32), "m5 'xxx"),
    "contig twice": (lambda d: d["contigs"].append(d["contigs"][0]), "two contigs of one name"),
    "array twice": (lambda d: d["arrays"].append(d["arrays"][0]), "two arrays or files of one name"),
    "file twice": (lambda d: d["arrays"][1].update(file="codes.npy"), "two arrays or files of one file"),
    "other dtype": (lambda d: d["arrays"][0].update(dtype="<i8"), "codes.npy: its header does not say <i8"),
    "other shape": (lambda d: d["arrays"][1].update(shape=[3, 2]), "table.npy: its header does not say <f4"),
    "size that does not fit": (
        lambda d: d["arrays"][0].update(shape=[8]),
        r"codes.npy: its size does not fit",
    ),
    "overflowing shape": (lambda d: d["arrays"][2].update(shape=[0, 2**62, 2**62]), "none.npy"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_an_intact_manifest_that_makes_no_sense_is_refused(index: Path, case: str) -> None:
    change, message = MALFORMED[case]
    rewrite_manifest(index, change)
    with pytest.raises(IndexFormatError, match=message):
        open_directory(index, verify="sizes")


@pytest.mark.parametrize("version", [0, 2, "1", None, 1.0, True, [1]])
def test_another_version_is_refused_by_both_names(index: Path, version: Any) -> None:
    rewrite_manifest(index, lambda document: document.update(format_version=version, unknown=1))
    with pytest.raises(
        IndexFormatError,
        match=rf"index format .*, but this esa \(.*\) reads format {manifest.FORMAT_VERSION}: rebuild",
    ) as e:
        open_directory(index)
    assert repr(version) in str(e.value)


def test_a_reformatted_manifest_is_refused(index: Path) -> None:
    path = index / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text())))
    with pytest.raises(IndexFormatError, match=r"manifest.json: was altered"):
        open_directory(index)


def test_deeply_nested_json_is_refused() -> None:
    with pytest.raises(IndexFormatError, match="is not JSON"):
        manifest.parse(b'{"a":' + b"[" * 100_000, "m")


def test_every_altered_file_is_named(index: Path) -> None:
    for name in ("codes.npy", "encoder.safetensors"):
        content = (index / name).read_bytes()
        (index / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(IndexFormatError, match=r"encoder.safetensors, codes.npy: altered .*rebuild"):
        open_directory(index)


def test_a_file_is_checked_again_when_it_is_read(index: Path) -> None:
    facts, _ = open_directory(index)
    with pytest.raises(IndexFormatError, match="holds no file 'weights'"):
        read_file(index, facts, "weights")
    (index / "encoder.safetensors").write_bytes(WEIGHTS[:-1] + b"!")
    with pytest.raises(IndexFormatError, match=r"encoder.safetensors: altered"):
        read_file(index, facts, "encoder.safetensors")
    (index / "encoder.safetensors").unlink()
    with pytest.raises(IndexFormatError, match=r"encoder.safetensors: No such file"):
        read_file(index, facts, "encoder.safetensors")


def test_what_is_no_regular_file_is_refused(index: Path) -> None:
    (index / "codes.npy").unlink()
    os.mkfifo(index / "codes.npy")
    with pytest.raises(IndexFormatError, match=r"codes.npy: is no file"):
        open_directory(index)


def test_auto_reads_the_smallest_files_up_to_a_limit(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts, _ = open_directory(index)
    sizes = {entry.file: entry.bytes for entry in facts.entries}
    largest = max(sizes, key=lambda file: sizes[file])
    content = (index / largest).read_bytes()
    (index / largest).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    monkeypatch.setattr(reader, "AUTO_VERIFY_BYTES", sum(sizes.values()))
    with pytest.raises(IndexFormatError, match=largest):
        open_directory(index)
    monkeypatch.setattr(reader, "AUTO_VERIFY_BYTES", sum(sizes.values()) - 1)
    open_directory(index)
    open_directory(index, verify="sizes")
    with pytest.raises(IndexFormatError, match=largest):
        open_directory(index, verify="full")


def test_a_damaged_header_is_refused_without_reading_the_rest(index: Path) -> None:
    content = bytearray((index / "codes.npy").read_bytes())
    content[content.index(b"u8")] = ord("i")
    (index / "codes.npy").write_bytes(content)
    with pytest.raises(IndexFormatError, match=r"codes.npy: its header"):
        open_directory(index, verify="sizes")


NOT_AN_INDEX = {
    "FASTA": (b">chr1\nACGT\n", r"is a FASTA, not an index: run 'esa index .*' first"),
    "gzipped FASTA": (gzip.compress(b">chr1\nACGT\n" * 9000), "is a FASTA, not an index"),
    "other file": (b"\0\1\2", "is a file, not an index"),
    "damaged gzip": (b"\x1f\x8b\x08\0\0\0", "is a file, not an index"),
}


@pytest.mark.parametrize("case", NOT_AN_INDEX)
def test_a_file_in_place_of_the_index_is_refused(tmp_path: Path, case: str) -> None:
    content, message = NOT_AN_INDEX[case]
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(IndexFormatError, match=message):
        open_directory(tmp_path / "x")


def test_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IndexFormatError, match=r"missing: no such directory: give"):
        open_directory(tmp_path / "missing")
    with pytest.raises(IndexFormatError, match=r"is no esa index \(it holds no manifest.json\)"):
        open_directory(tmp_path)
    (tmp_path / "manifest.json").write_text('{"name": "a web app"}')
    with pytest.raises(IndexFormatError, match=r"is not the manifest of an esa index"):
        open_directory(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(IndexFormatError, match="is a file, not an index"):
        open_directory(tmp_path / "pipe")


# ---- nothing half-made under the final name, nothing lost


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def build_and_fail(path: Path, error: type[BaseException]) -> None:
    with DirectoryWriter(path) as writer:
        writer.add("codes", ARRAYS["codes"])
        writer.grow("big", np.uint8, (10,)).append(np.zeros((3, 10), np.uint8))
        assert listing(path.parent) == [writer._temporary.name]
        raise error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_build_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        build_and_fail(tmp_path / "x.esa", error)
    assert listing(tmp_path) == []


def test_leaving_without_commit_leaves_nothing(tmp_path: Path) -> None:
    with DirectoryWriter(tmp_path / "x.esa") as writer:
        writer.add("codes", ARRAYS["codes"])
    assert listing(tmp_path) == []


def test_what_a_killed_build_leaves_is_no_index(tmp_path: Path) -> None:
    writer = DirectoryWriter(tmp_path / "x.esa").__enter__()
    writer.add("codes", ARRAYS["codes"])
    with pytest.raises(IndexFormatError, match="is no esa index"):
        open_directory(writer._temporary)
    assert writer._temporary.name.startswith(".x.esa.tmp-")
    build(tmp_path / "x.esa")
    open_directory(tmp_path / "x.esa")


def test_an_existing_path_needs_force_before_any_work(index: Path) -> None:
    before = (index / "manifest.json").read_bytes()
    with pytest.raises(OutputError, match=r"x.esa: exists: replace it with --force"):
        DirectoryWriter(index)
    assert listing(index.parent) == ["x.esa"]
    assert (index / "manifest.json").read_bytes() == before


def test_force_replaces_an_index(index: Path) -> None:
    old = open_directory(index)[1]["codes"]
    build(index, force=True, arrays={"new": np.arange(3)})
    assert list(open_directory(index, verify="full")[1]) == ["new"]
    assert listing(index) == ["encoder.safetensors", "manifest.json", "new.npy"]
    assert listing(index.parent) == ["x.esa"]
    np.testing.assert_array_equal(old, ARRAYS["codes"])  # whoever had it open keeps it


def test_force_replaces_a_damaged_index_and_an_empty_directory(index: Path, tmp_path: Path) -> None:
    with open(index / "manifest.json", "ab") as file:
        file.write(b"damage")
    (index / "codes.npy").unlink()
    build(index, force=True)
    assert set(open_directory(index)[1]) == set(ARRAYS)
    (tmp_path / "empty").mkdir()
    build(tmp_path / "empty", force=True)
    assert set(open_directory(tmp_path / "empty")[1]) == set(ARRAYS)


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_force_deletes_only_regular_files(kind: str, index: Path, tmp_path: Path) -> None:
    """Whatever has the name of an array of the index."""
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (index / "codes.npy").unlink()
    if kind == "folder":
        (index / "codes.npy").mkdir()
        (index / "codes.npy" / "notes.txt").write_text("mine")
    else:
        (index / "codes.npy").symlink_to(mine)
    with pytest.raises(OutputError, match=r"holds 'codes.npy', which is no part of an esa index"):
        DirectoryWriter(index, force=True)
    assert mine.read_text() == "mine"
    assert kind == "link" or (index / "codes.npy" / "notes.txt").read_text() == "mine"


def test_force_deletes_nothing_but_an_index(index: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(OutputError, match=r"photos: holds 'cat.jpg', which is no part of an esa index"):
        DirectoryWriter(photos, force=True)
    (photos / "manifest.json").write_text('{"photos": "esa-index"}')
    with pytest.raises(OutputError, match=r"photos: holds 'manifest.json', which"):
        DirectoryWriter(photos, force=True)
    (index / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"x.esa: holds 'notes.txt', which"):
        DirectoryWriter(index, force=True)
    with pytest.raises(OutputError, match=r"cat.jpg: is a file"):
        DirectoryWriter(photos / "cat.jpg", force=True)
    with pytest.raises(OutputError, match=r"/: exists"):
        DirectoryWriter("/")
    with pytest.raises(OutputError, match=r"/: holds"):
        DirectoryWriter("/", force=True)
    assert (index / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("force", [False, True])
def test_what_appears_during_the_build_is_kept(tmp_path: Path, force: bool) -> None:
    with DirectoryWriter(tmp_path / "x.esa", force) as writer:
        (tmp_path / "x.esa").mkdir()
        (tmp_path / "x.esa" / "mine").write_bytes(b"")
        with pytest.raises(OutputError, match=r"holds 'mine'" if force else "exists"):
            writer.commit(**FACTS)
    assert listing(tmp_path) == ["x.esa"]
    assert listing(tmp_path / "x.esa") == ["mine"]


@pytest.mark.parametrize("failing", [0, 1])
def test_a_swap_that_fails_keeps_the_old_index(
    index: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    renames: list[str] = []
    rename = os.rename

    def fail_once(source: Path, target: Path) -> None:
        renames.append(str(source))
        if len(renames) == failing + 1:
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(index_writer.os, "rename", fail_once)
    with pytest.raises(KeyboardInterrupt):
        build(index, force=True, arrays={"new": np.arange(3)})
    assert list(open_directory(index)[1]) == list(ARRAYS)
    assert listing(index.parent) == ["x.esa"]


def test_a_link_to_an_index_stays_a_link(index: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.esa"
    link.symlink_to(index)
    build(link, force=True, arrays={"new": np.arange(3)})
    assert link.is_symlink()
    assert list(open_directory(index)[1]) == ["new"]


def test_an_output_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"the folder .*/no/such does not exist"):
        DirectoryWriter(tmp_path / "no/such/x.esa")


@pytest.mark.parametrize("call", ["mkdir", "fsync", "rename"])
def test_a_failing_disk_is_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index_writer.os, call, fail)
    with pytest.raises(OutputError, match=r"x.esa: cannot be written: No space left on device: make room"):
        build(tmp_path / "x.esa")
    assert listing(tmp_path) == []


def grow(writer: DirectoryWriter, name: str, rows: NDArray[np.float64]) -> None:
    growing = writer.grow(name, np.float64, ())
    growing.append(rows[:9])
    growing.append(rows[9:])


@pytest.mark.parametrize("method", ["add", "grow"])
def test_an_array_too_large_for_the_disk_fails_at_once(tmp_path: Path, method: str) -> None:
    limit = 10_000
    make = grow if method == "grow" else DirectoryWriter.add
    with DirectoryWriter(tmp_path / "x.esa") as writer:
        # The kernel refuses to make a file longer, as it would on a full disk.
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
        try:
            with pytest.raises(OutputError, match=r"x.esa: cannot be written: File too large"):
                make(writer, "big", np.zeros(limit))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert listing(tmp_path) == []
