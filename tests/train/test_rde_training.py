"""`esa.train.rde`: what a batch holds, what the loss rewards, and that a short run learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from samples import fasta_text, random_bases

from esa.cli.main import run as esa
from esa.encoders.rde import RdeEncoder
from esa.encoders.rde_model import RdeModel
from esa.errors import EsaError, UsageError
from esa.eval.recall import dense_recall, simulate_reads
from esa.fragments.fixed import FixedFragmenter
from esa.io.fasta import read_genome
from esa.train import rde
from esa.train.config import RunConfig
from esa.train.loop import train
from esa.train.rde import GROUP, RdeConfig, RdeTask, RdeTraining
from esa.train.references import read_references
from esa.train.run import read_settings, train_encoder

DATA = Path(__file__).parents[2] / "data"
ECOLI = str(DATA / "ecoli_K12_MG1655_NC_000913.3.fa.gz")
HUMAN = str(DATA / "primate22A_human_200contigs.fa.gz")
SMALL = RdeConfig(k=5, dimensions=32, width=16, layers=1, heads=2, prefixes=(16, 32), batch=64)
SMALL_TOML = (
    "[rde]\nk = 5\ndimensions = 32\nwidth = 16\nlayers = 1\nheads = 2\nprefixes = [16, 32]\nbatch = 64\n"
)
QUICK = {"steps": 4, "validate_every": 2, "workers": 0}


@pytest.fixture(scope="module")
def small_genome(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ref") / "small.fa"
    rng = np.random.default_rng(1)
    repeat = random_bases(rng, 1500)
    pieces = [part for _ in range(20) for part in (random_bases(rng, 4500), repeat)]
    path.write_text(fasta_text({"a": "".join(pieces)}))
    return str(path)


@pytest.fixture(scope="module")
def task(small_genome: str) -> RdeTask:
    return RdeTask(SMALL, *read_references([small_genome]), seed=3)


def tensors(batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array) for name, array in batch.items()}


def test_batches_depend_on_seed_and_step_alone(task: RdeTask, small_genome: str):
    again = RdeTask(SMALL, *read_references([small_genome]), seed=3)
    task.batch(9)
    for name, array in task.batch(5).items():
        np.testing.assert_array_equal(array, again.batch(5)[name])
    assert (task.batch(5)["fragment_rows"] != task.batch(6)["fragment_rows"]).any()


def test_a_read_is_of_its_fragment(task: RdeTask, small_genome: str):
    """Without noise nearly all of its k-mers are there; those of another fragment are not."""
    config = RdeConfig(**{**vars(SMALL), "max_edits": 0.0, "shortest": 150, "hard": 0.0})
    batch = RdeTask(config, *read_references([small_genome]), seed=1).batch(0)
    own, other = [], []
    for i, read in enumerate(batch["read_rows"]):
        kmers = set(read[read > 0].tolist())
        for j, held in ((i, own), ((i + 1) % 64, other)):
            held.append(len(kmers & set(batch["fragment_rows"][j].ravel().tolist())) / len(kmers))
    assert min(own) > 0.6
    assert np.mean(own) > np.mean(other) + 0.4


def test_copies_are_ignored_and_hard_groups_hold_them(task: RdeTask):
    """A quarter of this genome is one repeat; a read within it has many homes."""
    ignored = np.stack([task.batch(step)["ignored"] for step in range(20)])
    assert not ignored[:, np.arange(64), np.arange(64)].any()
    hard = int(SMALL.batch * SMALL.hard) // GROUP * GROUP
    inside = sum(ignored[:, g : g + GROUP, g : g + GROUP].mean() for g in range(0, hard, GROUP))
    assert inside / (hard // GROUP) > 5 * ignored[:, hard:, hard:].mean()


def test_what_is_ignored_does_not_count(task: RdeTask):
    model, batch = task.model(), tensors(task.batch(0))
    alone, values = task.loss(model, {**batch, "ignored": torch.zeros(64, 64, dtype=torch.bool)})
    doubled = {name: torch.cat([value, value]) for name, value in batch.items() if name != "ignored"}
    copies = torch.zeros(128, 128, dtype=torch.bool)
    copies[:64, 64:] = copies[64:, :64] = torch.eye(64, dtype=torch.bool)
    # Each other fragment twice: the more negatives, the larger the loss, but by no own copy.
    with_copies, without = (
        task.loss(model, {**doubled, "ignored": ignored})[0].item()
        for ignored in (copies, torch.zeros_like(copies))
    )
    assert without > with_copies > alone.item()
    assert values["scale"] == pytest.approx(20)


def test_the_loss_is_the_contrast_of_reads_and_fragments_both_ways(task: RdeTask):
    """Written out from the embeddings; ``ignored`` has reads in its rows, fragments in its columns."""
    model, batch = task.model(), tensors(task.batch(0))
    ignored = torch.zeros(64, 64, dtype=torch.bool)
    ignored[2, 5] = ignored[7, 1] = True
    loss = task.loss(model, {**batch, "ignored": ignored})[0].item()
    with torch.no_grad():
        fragments = model.model(batch["fragment_rows"], batch["fragment_weights"]).numpy()
        reads = model.model(batch["read_rows"], batch["read_weights"]).numpy()
    expected = 0.0
    for prefix in SMALL.prefixes:
        f, r = (
            x[:, :prefix] / np.linalg.norm(x[:, :prefix], axis=1, keepdims=True) for x in (fragments, reads)
        )
        score = np.exp(20 * r @ f.T) * ~ignored.numpy()
        own = np.diag(score)
        expected -= (np.log(own / score.sum(1)).mean() + np.log(own / score.sum(0)).mean()) / 2
    assert loss == pytest.approx(expected, rel=1e-4)


def test_reads_lie_up_to_half_a_stride_off_their_fragment(small_genome: str, monkeypatch: pytest.MonkeyPatch):
    """As windows a stride apart meet a read that begins anywhere."""
    shifts = []
    real = rde.read_out

    def seen(codes: np.ndarray, start: np.ndarray, *others: Any) -> None:
        shifts.append(start.copy())
        real(codes, start, *others)

    config = RdeConfig(**{**vars(SMALL), "shortest": 200, "longest": 200})
    task = RdeTask(config, *read_references([small_genome]), seed=3)
    monkeypatch.setattr(rde, "read_out", seen)
    for step in range(8):
        task.batch(step)
        drawn = task._draw(np.random.default_rng((3, step)))
        shifts[step] = shifts[step] - drawn - (256 - 200) // 2
    shift = np.concatenate(shifts)
    assert shift.min() < -60
    assert shift.max() > 60
    assert np.abs(shift).max() <= 64


def test_fragments_shorter_than_the_validation_s_reads_can_be_trained(small_genome: str, tmp_path: Path):
    toml = tmp_path / "short.toml"
    toml.write_text(SMALL_TOML + "length = 128\nlongest = 128\nstride = 64\n")
    settings = read_settings("rde", str(toml), {"steps": 1, "workers": 0})
    curves = train_encoder(settings, [small_genome], tmp_path / "out").trained.progress.curves
    assert "128 bp 5% R@1" in curves[0]


def test_every_part_of_the_model_learns(task: RdeTask):
    torch.manual_seed(0)
    model = task.model()
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.02 * torch.randn_like(value))
    task.loss(model, tensors(task.batch(0)))[0].backward()
    still = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert still == []


def test_a_resumed_run_ends_with_the_same_weights(task: RdeTask, tmp_path: Path):
    cpu, run = torch.device("cpu"), RunConfig(**QUICK)

    class StoppedError(Exception):
        pass

    def stop(progress: object) -> None:
        if getattr(progress, "step", 0) == 3:
            raise StoppedError

    whole = train(task, run, tmp_path / "a", "x", device=cpu)
    with pytest.raises(StoppedError):
        train(task, run, tmp_path / "b", "x", device=cpu, report=stop)
    resumed = train(task, run, tmp_path / "b", "x", device=cpu, resume=True)
    a, b = load_file(tmp_path / "a"), load_file(tmp_path / "b")
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name
    for name, array in whole.encoder.arrays().items():
        np.testing.assert_array_equal(resumed.encoder.arrays()[name], array)


def test_a_minute_of_training_beats_the_untrained_model(tmp_path: Path):
    """On a species never trained on."""
    toml = tmp_path / "small.toml"
    toml.write_text("[rde]\nk = 6\ndimensions = 64\nprefixes = [64]\nwidth = 32\nlayers = 1\nbatch = 256\n")
    changes = {"steps": 150, "validate_every": 150, "workers": 0, "learning_rate": 3e-3, "warm_up": 5}
    trained = train_encoder(read_settings("rde", str(toml), changes), [ECOLI], tmp_path / "out").trained
    assert isinstance(trained.encoder, RdeEncoder)
    untrained = RdeEncoder.of_model(RdeModel(trained.encoder.shape, 1))
    human = read_genome(HUMAN)
    reads = simulate_reads(human, 400, 150, 0.1, 5)
    before, after = (
        dense_recall(FixedFragmenter(), encoder, human, reads, (1,))[0]
        for encoder in (untrained, trained.encoder)
    )
    assert after > before + 0.04


def test_the_command_s_encoder_makes_an_index(small_genome: str, tmp_path: Path):
    (tmp_path / "c.toml").write_text(SMALL_TOML)
    out, index = tmp_path / "out", tmp_path / "index"
    arguments = ["train", "rde", "--ref", small_genome, "-o", str(out), "--config", str(tmp_path / "c.toml")]
    assert esa([*arguments, "--steps", "2", "--workers", "0", "-q"]) == 0
    assert esa(["index", small_genome, "-o", str(index), "--preset", "rde", "--encoder", str(out), "-q"]) == 0
    assert "R@50" in (out / "README.md").read_text()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch": 8}, "batch is at least 16"),
        ({"hard": 1.5}, "hard lies between"),
        ({"prefixes": (30,)}, "prefixes are multiples of 4"),
        ({"max_edits": 1.0}, "max_edits"),
        ({"min_indels": 0.5}, "min_indels <= max_indels"),
        ({"longest": 300}, "shortest <= longest <= length"),
        ({"heads": 3}, "width is a multiple of heads"),
        ({"stride": 300}, "no sequence can be covered"),
    ],
)
def test_what_cannot_be_trained_is_refused(wrong: dict[str, object], message: str):
    with pytest.raises(UsageError, match=message):
        RdeConfig(**{**vars(SMALL), **wrong})


def test_a_reference_smaller_than_a_batch_is_refused(small_genome: str):
    config = RdeConfig(**{**vars(SMALL), "batch": 100_000})
    with pytest.raises(EsaError, match="fewer than a batch"):
        RdeTask(config, *read_references([small_genome]), seed=1)


def test_the_model_is_inside_what_is_trained(task: RdeTask):
    model = task.model()
    assert isinstance(model, RdeTraining)
    assert task.encoder(model).shape == SMALL.shape
