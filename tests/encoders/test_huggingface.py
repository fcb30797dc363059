"""`esa.encoders.huggingface` with tiny random checkpoints of real architectures, saved to disk and loaded again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from samples import fasta_text, random_bases
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from esa.cli.main import run as esa
from esa.encoders.huggingface import TRUST_VARIABLE, HuggingFaceEncoder
from esa.encoders.registry import create_encoder, load_encoder
from esa.errors import EsaError, IndexFormatError, UsageError
from esa.fragments.base import Fragments
from esa.index.open import open_index
from esa.sequence import dna
from esa.stores.base import SearchEffort

SPECIAL = ["<unk>", "<pad>", "<cls>", "<eos>", "<mask>"]


def change(directory: Path, **values: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def nucleotide_transformer(directory: Path) -> None:
    """ESM over 6-mers (here 3-mers), single bases where they do not come out even."""
    words = ["".join(kmer) for kmer in itertools.product("ACGT", repeat=3)]
    vocabulary = directory / "vocab.txt"
    vocabulary.write_text("\n".join([*SPECIAL, *words, *"ACGTN"]) + "\n")
    transformers.EsmTokenizer(str(vocabulary)).save_pretrained(directory)
    config = transformers.EsmConfig(
        vocab_size=len(SPECIAL) + 64 + 5,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        pad_token_id=1,
        mask_token_id=4,
        position_embedding_type="rotary",
        token_dropout=False,
    )
    transformers.EsmModel(config).save_pretrained(directory)


def dnabert(directory: Path) -> None:
    """BERT over pairs of bytes learnt from sequence."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    trainer = trainers.BpeTrainer(
        vocab_size=80, special_tokens=["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"], show_progress=False
    )
    rng = np.random.default_rng(1)
    tokenizer.train_from_iterator([random_bases(rng, 300) + "N" for _ in range(20)], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    names = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(directory)
    config = transformers.BertConfig(
        vocab_size=80, hidden_size=18, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    transformers.BertModel(config).save_pretrained(directory)


def by_characters(directory: Path) -> None:
    """A causal model over single bases, as HyenaDNA is."""
    tokenizer = Tokenizer(models.WordLevel({"A": 0, "C": 1, "G": 2, "T": 3, "N": 4, "[PAD]": 5}, "N"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="N"
    ).save_pretrained(directory)
    config = transformers.GPT2Config(
        vocab_size=6, n_embd=16, n_layer=1, n_head=2, n_positions=128, bos_token_id=0, eos_token_id=0
    )
    transformers.GPT2Model(config).save_pretrained(directory)


OWN_CODE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel


class OwnConfig(PretrainedConfig):
    model_type = "own"

    def __init__(self, d_model=12, **kwargs):
        self.d_model = d_model
        super().__init__(**kwargs)


class OwnModel(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.embedding = torch.nn.Embedding(8, config.d_model)
        self.convolution = torch.nn.Conv1d(config.d_model, config.d_model, 9)
        self.post_init()

    def forward(self, input_ids):
        hidden = torch.nn.functional.pad(self.embedding(input_ids).mT, (8, 0))
        return (torch.tanh(self.convolution(hidden)).mT,)
"""


def own_code(directory: Path) -> None:
    """Like HyenaDNA: code of its own, no ``hidden_size``, no attention mask, padding on the left that it takes in."""
    (directory / "own.py").write_text(OWN_CODE)
    tokenizer = Tokenizer(
        models.WordLevel({"A": 0, "C": 1, "G": 2, "T": 3, "N": 4, "[PAD]": 5, "[SEP]": 6}, "N")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(single="$A [SEP]", special_tokens=[("[SEP]", 6)])
    names = {"unk_token": "N", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=["input_ids"], padding_side="left", **names
    ).save_pretrained(directory)
    space: dict[str, Any] = {"__name__": "own"}
    exec(OWN_CODE, space)
    model = space["OwnModel"](space["OwnConfig"]())
    model.save_pretrained(directory)
    change(directory, auto_map={"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"})


MAKERS: dict[str, Callable[[Path], None]] = {
    "nucleotide_transformer": nucleotide_transformer,
    "dnabert": dnabert,
    "by_characters": by_characters,
    "own_code": own_code,
}


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUST_VARIABLE, "1")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for name, make in MAKERS.items():
        torch.manual_seed(1)
        made[name] = tmp_path_factory.mktemp(name)
        make(made[name])
    return made


@pytest.fixture(scope="module")
def codes() -> NDArray[np.uint8]:
    codes = np.random.default_rng(1).integers(0, 4, 1200).astype(np.uint8)
    codes[333] = dna.N
    return codes


def fragments_of(lengths: tuple[int, ...]) -> Fragments:
    n = len(lengths)
    return Fragments(
        np.arange(n) * 17, np.array(lengths, np.int32), np.zeros(n, np.uint8), np.zeros(n, np.int32)
    )


def embed_slowly(directory: Path, pooling: str, sequence: str) -> NDArray[np.float64]:
    """One sequence and its reverse complement at a time, without padding."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory, trust_remote_code=True)
    model = transformers.AutoModel.from_pretrained(directory, trust_remote_code=True).eval()
    complement = sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))
    sides = []
    for side in (sequence, complement):
        ids = tokenizer(side)["input_ids"]
        with torch.no_grad():
            hidden = model(torch.tensor([ids]))[0][0].double().numpy()
        special = {tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.sep_token_id}
        inside = hidden[[i for i, token in enumerate(ids) if token not in special]]
        sides.append(inside.max(axis=0) if pooling == "max" else inside.mean(axis=0))
    mean = (sides[0] + sides[1]) / 2
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("name", MAKERS)
def test_it_is_the_pooled_model(
    checkpoints: dict[str, Path], codes: NDArray[np.uint8], name: str, pooling: str
):
    lengths = (60, 60, 41, 60, 33, 100) * 7
    encoder = create_encoder(f"hf:{checkpoints[name]}" + (":max" if pooling == "max" else ""), "dense", 256)
    fragments = fragments_of(lengths)
    found = encoder.embed(codes, fragments)
    assert found.dtype == np.float32
    assert found.shape == (len(lengths), encoder.dimensions)
    assert encoder.dimensions % 4 == 0
    for i in (0, 2, 5, 19, 20, 41):
        window = codes[fragments.start[i] : fragments.start[i] + lengths[i]]
        expected = embed_slowly(checkpoints[name], pooling, dna.decode(window).decode())
        np.testing.assert_allclose(found[i, : len(expected)], expected, atol=2e-5)
        assert not found[i, len(expected) :].any()


@pytest.mark.parametrize("name", MAKERS)
def test_strand_and_neighbours_do_not_matter(
    checkpoints: dict[str, Path], codes: NDArray[np.uint8], name: str
):
    encoder = HuggingFaceEncoder.open(f"hf:{checkpoints[name]}")
    lengths = (60, 50, 60, 61)
    whole = encoder.embed(codes, fragments_of(lengths))
    alone = encoder.embed(codes, fragments_of(lengths[:1]))
    np.testing.assert_allclose(whole[0], alone[0], atol=1e-5)
    back = encoder.embed(dna.reverse_complement(codes[:60]), fragments_of((60,)))
    np.testing.assert_allclose(back, alone, atol=1e-5)


def test_an_index_with_it_finds_its_fragments(
    checkpoints: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    reference, index = tmp_path / "ref.fa", str(tmp_path / "index")
    bases = random_bases(np.random.default_rng(3), 2000)
    reference.write_text(fasta_text({"a": bases}))
    name = f"hf:{checkpoints['nucleotide_transformer']}:max"
    assert esa(["index", str(reference), "-o", index, "--preset", "sketch", "--encoder", name, "-q"]) == 0
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    opened = open_index(index)
    codes = opened.genome.fetch(0, opened.genome.bases)
    fragments = opened.fragmenter.reference(codes, opened.genome.offsets)
    embeddings = opened.encoder.embed(codes, fragments)
    np.testing.assert_array_equal(create_encoder(name, "dense", 256).embed(codes, fragments), embeddings)
    hits = opened.store.search(embeddings, SearchEffort(len(fragments)))
    for i, start in enumerate(fragments.start):
        rows = slice(hits.offsets[i], hits.offsets[i + 1])
        # Random models embed all sequences alike: the own fragment is the best but for the store's rounding.
        assert hits.score[rows][hits.position[rows] == start] >= hits.score[rows].max() - 20


def test_an_index_refuses_another_checkpoint(checkpoints: dict[str, Path], tmp_path: Path):
    moved = tmp_path / "moved"
    moved.mkdir()
    nucleotide_transformer(moved)
    reference, index = tmp_path / "ref.fa", str(tmp_path / "index")
    reference.write_text(fasta_text({"a": random_bases(np.random.default_rng(3), 500)}))
    arguments = ["--preset", "sketch", "--encoder", f"hf:{moved}", "-q"]
    assert esa(["index", str(reference), "-o", index, *arguments]) == 0
    for name in ("config.json", "vocab.txt"):
        before = (moved / name).read_text()
        (moved / name).write_text(before + "\n")
        with pytest.raises(IndexFormatError, match="not the checkpoint that the index was built with"):
            open_index(index)
        (moved / name).write_text(before)
    open_index(index)
    (moved / "model.safetensors").unlink()
    with pytest.raises(IndexFormatError, match=r"checkpoint is gone: .*holds no weights"):
        open_index(index)
    parameters = HuggingFaceEncoder.open(f"hf:{checkpoints['dnabert']}").parameters()
    assert load_encoder(parameters, {}).parameters() == parameters


def drop_tokenizer(directory: Path) -> None:
    for path in directory.glob("*token*"):
        path.unlink()
    (directory / "vocab.txt").unlink(missing_ok=True)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda d: (d / "config.json").unlink(), r"has no config\.json"),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "holds no weights"),
    "no tokenizer": (drop_tokenizer, "its tokenizer knows no bases"),
    "corrupt weights": (
        lambda d: (d / "model.safetensors").write_bytes(b"12345678nothing"),
        "cannot be loaded",
    ),
    "another shape": (lambda d: change(d, intermediate_size=64), "weights of other shapes"),
    "more layers": (lambda d: change(d, num_hidden_layers=3), "lacks weights"),
    "unknown model": (lambda d: change(d, model_type="none such"), "cannot be loaded"),
    "own code": (
        lambda d: change(
            d, model_type="own", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Model"}
        ),
        f"set {TRUST_VARIABLE}=1",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_checkpoint_is_refused(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch):
    breaks, message = BROKEN[case]
    dnabert(tmp_path)
    breaks(tmp_path)
    monkeypatch.delenv(TRUST_VARIABLE)
    with pytest.raises(EsaError, match=message) as e:
        create_encoder(f"hf:{tmp_path}", "dense", 256)
    assert str(tmp_path) in str(e.value)


def test_wrong_words_are_refused(
    tmp_path: Path, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(UsageError, match="unknown pooling 'sum'"):
        create_encoder(f"hf:{tmp_path}:sum", "dense", 256)
    with pytest.raises(UsageError, match="is not a directory"):
        create_encoder(f"hf:{tmp_path}/none", "dense", 256)
    with pytest.raises(UsageError, match="does not fit the preset's store"):
        create_encoder(f"hf:{tmp_path}", "codes", 256)
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(EsaError, match=r"pip install 'esa-align\[hf\]'"):
        create_encoder(f"hf:{checkpoints['dnabert']}", "dense", 256)
