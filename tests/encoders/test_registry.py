"""`esa.encoders.registry`: encoders by name, and kept in a directory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from esa.encoders import registry
from esa.encoders.base import Encoder
from esa.encoders.codes import BITS, GROUP, CodeEncoder
from esa.encoders.projection import ProjectionEncoder
from esa.encoders.registry import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    create_encoder,
    load_encoder,
    save_encoder,
)
from esa.encoders.sketch import SketchEncoder
from esa.errors import EsaError, OutputError, UsageError
from esa.fragments.base import Fragments
from esa.fragments.minimizers import MinimizerFragmenter

LENGTH = 48

LENGTH_SHIPPED = MinimizerFragmenter().length


@pytest.fixture
def learned() -> CodeEncoder:
    rng = np.random.default_rng(1)
    return CodeEncoder(rng.integers(-999, 999, (LENGTH // GROUP, 4**GROUP, BITS)).astype(np.int16))


@pytest.fixture
def saved(tmp_path: Path, learned: CodeEncoder) -> Path:
    save_encoder(learned, tmp_path / "weights")
    return tmp_path / "weights"


def embeddings(encoder: Encoder) -> np.ndarray:
    codes = np.random.default_rng(2).integers(0, 4, 500).astype(np.uint8)
    starts = np.arange(0, 400, 7)
    n = len(starts)
    fragments = Fragments(
        starts, np.full(n, LENGTH, np.int32), (starts % 2).astype(np.uint8), np.zeros(n, np.int32)
    )
    return encoder.embed(codes, fragments)


def test_encoders_have_names():
    assert isinstance(create_encoder("projection", "codes", LENGTH), ProjectionEncoder)
    assert isinstance(create_encoder("sketch", "dense", 256), SketchEncoder)


def test_an_encoder_kept_in_a_directory_embeds_the_same(saved: Path, learned: CodeEncoder):
    opened = create_encoder(str(saved), "codes", LENGTH)
    np.testing.assert_array_equal(embeddings(opened), embeddings(learned))
    assert opened.parameters() == learned.parameters()


@pytest.mark.parametrize(
    "encoder", [ProjectionEncoder.untrained(LENGTH, 7), SketchEncoder(k=5, dimensions=64)]
)
def test_parameters_and_arrays_make_the_encoder_again(encoder: Encoder):
    parameters = json.loads(json.dumps(encoder.parameters()))
    again = load_encoder(parameters, encoder.arrays())
    np.testing.assert_array_equal(embeddings(again), embeddings(encoder))


@pytest.mark.parametrize(
    ("name", "kind", "fitting"),
    [("sketch", "codes", "projection"), ("projection", "dense", "sketch")],
)
def test_an_encoder_must_fit_the_store(name: str, kind: str, fitting: str):
    with pytest.raises(UsageError, match=f"'{name}' does not fit .*{fitting}"):
        create_encoder(name, kind, LENGTH)  # type: ignore[arg-type]


def test_an_encoder_in_a_directory_must_fit_the_store_and_the_fragments(saved: Path):
    with pytest.raises(UsageError, match="does not fit"):
        create_encoder(str(saved), "dense", LENGTH)
    with pytest.raises(UsageError, match="encodes fragments of 48 bases, but the preset cuts 64"):
        create_encoder(str(saved), "codes", 64)


def test_an_unknown_name_is_a_usage_error():
    with pytest.raises(UsageError, match=r"'nonsense' is neither a name .* nor a directory"):
        create_encoder("nonsense", "codes", LENGTH)


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS_NAME).read_bytes())
    content[-5] ^= 1
    (folder / WEIGHTS_NAME).write_bytes(content)


def cut_short(folder: Path) -> None:
    (folder / WEIGHTS_NAME).write_bytes((folder / WEIGHTS_NAME).read_bytes()[:-100])


def rewrite(folder: Path, **changes: object) -> None:
    config = json.loads((folder / CONFIG_NAME).read_text())
    (folder / CONFIG_NAME).write_text(json.dumps({**config, **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_byte, f"{WEIGHTS_NAME} or {CONFIG_NAME} was altered"),
        (cut_short, f"{WEIGHTS_NAME} or {CONFIG_NAME} was altered"),
        (lambda folder: (folder / WEIGHTS_NAME).unlink(), WEIGHTS_NAME),
        (lambda folder: (folder / CONFIG_NAME).unlink(), CONFIG_NAME),
        (lambda folder: (folder / CONFIG_NAME).write_text("{"), CONFIG_NAME),
        (lambda folder: (folder / CONFIG_NAME).write_text("[1, 2]"), CONFIG_NAME),
        (lambda folder: (folder / CONFIG_NAME).write_text("7"), CONFIG_NAME),
        (lambda folder: (folder / CONFIG_NAME).write_bytes(b"\xff\xfe"), CONFIG_NAME),
        (lambda folder: rewrite(folder, name="projection"), "was altered"),
        (lambda folder: rewrite(folder, step=2.0), "was altered"),
        (lambda folder: rewrite(folder, sha256="0" * 64), WEIGHTS_NAME),
    ],
)
def test_damaged_directories_are_refused_by_name(saved: Path, damage: Callable[[Path], None], message: str):
    damage(saved)
    with pytest.raises(EsaError, match=message) as error:
        create_encoder(str(saved), "codes", LENGTH)
    assert str(saved) in str(error.value)


def test_weights_that_are_no_code_table_are_refused(tmp_path: Path, learned: CodeEncoder):
    class Wrong(CodeEncoder):
        def arrays(self) -> dict[str, np.ndarray]:
            return {"table": self.table.astype(np.float32)}

    save_encoder(Wrong(learned.table, learned.step), tmp_path / "w")
    with pytest.raises(EsaError, match="does not describe its weights"):
        create_encoder(str(tmp_path / "w"), "codes", LENGTH)


def test_a_name_that_is_a_directory_too_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(saved.parent)
    shipped = create_encoder("codes", "codes", LENGTH_SHIPPED)
    saved.rename(saved.parent / "codes")
    with pytest.raises(UsageError, match=r"say \./codes"):
        create_encoder("codes", "codes", LENGTH_SHIPPED)
    default = create_encoder(registry.shipped("codes"), "codes", LENGTH_SHIPPED)
    np.testing.assert_array_equal(default.arrays()["table"], shipped.arrays()["table"])
    mine = create_encoder("./codes", "codes", LENGTH)
    assert (mine.arrays()["table"][:1] != shipped.arrays()["table"][:1]).any()


def test_only_a_transformer_s_vectors_are_cut_short(saved: Path):
    whole, short = (create_encoder(name, "dense", 256) for name in ("rde", "rde:64"))
    codes = np.random.default_rng(2).integers(0, 4, 600).astype(np.uint8)
    fragments = Fragments(
        np.array([0, 300]), np.full(2, 256, np.int32), np.zeros(2, np.uint8), np.zeros(2, np.int32)
    )
    vectors = whole.embed(codes, fragments)[:, :64]
    expected = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(short.embed(codes, fragments), expected, atol=1e-6)
    with pytest.raises(EsaError, match="kept is a multiple of 4 up to 256"):
        create_encoder("rde:300", "dense", 256)
    with pytest.raises(UsageError, match="only a Transformer"):
        create_encoder(f"{saved}:64", "codes", LENGTH)


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path, learned: CodeEncoder):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        save_encoder(learned, tmp_path / "file" / "weights")


def test_load_encoder_knows_only_its_names():
    with pytest.raises(ValueError, match="unknown encoder 'x'"):
        load_encoder({"name": "x"}, {})
