"""`esa.train`: what training learns, that it resumes exactly, and what it refuses."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from samples import fasta_text, random_bases

from esa.cli.main import run as esa
from esa.encoders.codes import BITS
from esa.encoders.device import choose_device
from esa.encoders.projection import ProjectionEncoder
from esa.encoders.registry import WEIGHTS_NAME, create_encoder
from esa.errors import EsaError, OutputError
from esa.eval.recall import code_store, recall_at_cost, simulate_reads
from esa.io.fasta import read_genome
from esa.sequence.genome import Genome
from esa.train import loop
from esa.train.checkpoint import Progress
from esa.train.code_model import CodeModel
from esa.train.codes import SCANNED, CodesConfig, CodesTask
from esa.train.config import RunConfig
from esa.train.loop import train
from esa.train.noise import NoiseRanges, noisy
from esa.train.references import fenced, read_references
from esa.train.run import (
    CARD_NAME,
    CHECKPOINT_NAME,
    CONFIG_NAME,
    CURVES_NAME,
    PICTURE_NAME,
    read_settings,
    train_encoder,
)

DATA = Path(__file__).parents[2] / "data"
ECOLI = str(DATA / "ecoli_K12_MG1655_NC_000913.3.fa.gz")
HUMAN = str(DATA / "primate22A_human_200contigs.fa.gz")
SMALL = CodesConfig(batch=128, prefixes=(16, BITS))
QUICK = {"steps": 6, "validate_every": 2, "workers": 0}
SMALL_TOML = "[codes]\nbatch = 128\nprefixes = [16, 64]\n"


@pytest.fixture(scope="module")
def small_genome(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ref") / "small.fa"
    path.write_text(fasta_text({"a": random_bases(np.random.default_rng(1), 120_000)}))
    return str(path)


@pytest.fixture(scope="module")
def task(small_genome: str) -> CodesTask:
    return CodesTask(SMALL, *read_references([small_genome]), seed=3)


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / "config.toml").write_text(SMALL_TOML)
    return str(tmp_path / "config.toml")


def test_a_minute_of_training_beats_the_untrained_code(tmp_path: Path):
    """On a species never trained on, at equal cost."""
    summary = train_encoder(
        read_settings("codes", None, {"steps": 250, "validate_every": 250, "workers": 0}),
        [ECOLI],
        tmp_path / "out",
    )
    config = CodesConfig()
    human = read_genome(HUMAN)
    plain = ProjectionEncoder.untrained(config.fragmenter.length)
    codes = human.fetch(0, human.bases)
    plain = plain.calibrated(codes, config.fragmenter.reference(codes, human.offsets))
    for length, substitutions in ((150, 0.1), (250, 0.1), (150, 0.05)):
        reads = simulate_reads(human, 1000, length, substitutions, 5)
        untrained, trained = (
            recall_at_cost(
                config.fragmenter, encoder, code_store(human, config.fragmenter, encoder), reads, SCANNED
            )
            for encoder in (plain, summary.trained.encoder)
        )
        assert trained > untrained + 0.02, (length, substitutions)


def test_batches_depend_on_seed_and_step_alone(task: CodesTask, small_genome: str):
    again = CodesTask(SMALL, *read_references([small_genome]), seed=3)
    other = CodesTask(SMALL, *read_references([small_genome]), seed=4)
    task.batch(9)
    for name, array in task.batch(5).items():
        np.testing.assert_array_equal(array, again.batch(5)[name])
    assert (task.batch(5)["bases"] != task.batch(6)["bases"]).any()
    assert (task.batch(5)["bases"] != other.batch(5)["bases"]).any()


def test_equal_fragments_and_only_they_share_an_identity(task: CodesTask):
    batch = task.batch(1)
    bases, identity = batch["bases"], batch["identity"]
    equal = (bases[:, None] == bases[None]).all(axis=2)
    np.testing.assert_array_equal(equal, identity[:, None] == identity[None])


def test_hard_groups_are_alike(small_genome: str):
    """Hard batches come in groups of neighbours when sorted from the minimizer outwards."""
    genomes = read_references([small_genome])
    hard = CodesTask(CodesConfig(batch=128, hard=1.0), *genomes, seed=1).batch(0)["bases"]
    none = CodesTask(CodesConfig(batch=128, hard=0.0), *genomes, seed=1).batch(0)["bases"]
    minimizer = slice(SMALL.half - SMALL.k // 2, SMALL.half - SMALL.k // 2 + 4)

    def alike(bases: np.ndarray) -> float:
        groups = bases[:, minimizer].reshape(-1, 8, 4)
        return float((groups == groups[:, :1]).mean())

    assert alike(hard) > alike(none) + 0.15
    # They are neighbours, not one fragment again and again.
    distinct = [len(np.unique(group, axis=0)) for group in hard.reshape(-1, 8, hard.shape[1])]
    assert np.mean(distinct) > 7
    # Of fragments with the same minimizer, those with the same bases beside it come together.
    task = CodesTask(CodesConfig(batch=128, hard=1.0), *genomes, seed=1)
    keys = task._outward_keys(task._sorted)
    assert (keys[1:] >= keys[:-1]).all()
    beside = 2 * (2 * SMALL.half - SMALL.k)
    assert len(np.unique(keys)) > len(np.unique(keys >> np.uint64(beside))) + 500


def test_identical_copies_are_no_negatives(task: CodesTask):
    model = task.model()
    batch = {name: torch.from_numpy(array) for name, array in task.batch(0).items()}
    alone = task.loss(model, batch)[1]["contrast"]
    doubled = {name: torch.cat([value, value]) for name, value in batch.items()}
    # Each fragment twice: four times as many others in four times as many places.
    assert task.loss(model, doubled)[1]["contrast"] == pytest.approx(alone, abs=1e-3)
    doubled["identity"] = torch.arange(2 * SMALL.batch)
    assert task.loss(model, doubled)[1]["contrast"] > alone + 1


def test_the_exported_table_gives_the_model_s_bits(task: CodesTask):
    model = task.model()
    with torch.no_grad():
        model.bias.normal_(std=0.3)
        model.table.weight.add_(torch.randn_like(model.table.weight) * 0.1)
    assert isinstance(model, CodeModel)
    bases = task.batch(0)["bases"]
    with torch.no_grad():
        sums = model(torch.from_numpy(bases)).numpy()
    n, length = bases.shape
    fragments = SMALL.fragmenter.reference(bases[0], np.array([0, length]))
    fragments = type(fragments)(
        np.arange(n) * length, np.full(n, length, np.int32), np.zeros(n, np.uint8), np.zeros(n, np.int32)
    )
    exported = task.encoder(model).embed(bases.reshape(-1), fragments)
    clear = np.abs(sums) > 0.01 * np.abs(sums).max()
    np.testing.assert_array_equal((exported > 0)[clear], (sums > 0)[clear])
    assert clear.mean() > 0.9
    assert np.corrcoef(exported.ravel(), sums.ravel())[0, 1] > 0.999


def test_a_resumed_run_ends_with_the_same_weights(task: CodesTask, tmp_path: Path):
    run = RunConfig(**QUICK)
    cpu = torch.device("cpu")

    class StoppedError(Exception):
        pass

    def stop(progress: object) -> None:
        if getattr(progress, "step", 0) == 5:  # after the checkpoint of step 4
            raise StoppedError

    whole = train(task, run, tmp_path / "a", "x", device=cpu)
    with pytest.raises(StoppedError):
        train(task, run, tmp_path / "b", "x", device=cpu, report=stop)
    resumed = train(task, run, tmp_path / "b", "x", device=cpu, resume=True)
    np.testing.assert_array_equal(resumed.encoder.arrays()["table"], whole.encoder.arrays()["table"])
    a, b = load_file(tmp_path / "a"), load_file(tmp_path / "b")
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name
    for one, other in zip(whole.progress.curves, resumed.progress.curves, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_curves_are_there_while_it_runs_and_tell_of_all_batches(
    small_genome: str, tmp_path: Path, config: str, monkeypatch: pytest.MonkeyPatch
):
    """The loss of a curve's row is the mean of the batches since the row before."""
    losses = []
    real = CodesTask.loss

    def loss(*arguments: Any) -> tuple[torch.Tensor, dict[str, float]]:
        value, others = real(*arguments)
        losses.append(value.item())
        return value, others

    def stop(progress: Progress) -> None:
        if progress.step == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(CodesTask, "loss", loss)
    out = tmp_path / "out"
    changes = {"steps": 6, "validate_every": 2, "workers": 0}
    with pytest.raises(KeyboardInterrupt):
        train_encoder(read_settings("codes", config, changes), [small_genome], out, report=stop)
    rows = list(csv.DictReader((out / CURVES_NAME).read_text().splitlines()))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert float(rows[1]["loss"]) == pytest.approx((losses[2] + losses[3]) / 2, rel=1e-4)
    assert (out / PICTURE_NAME).exists()
    assert not (out / WEIGHTS_NAME).exists()


def test_worker_processes_change_nothing(small_genome: str, tmp_path: Path, config: str):
    tables = []
    for workers in (0, 2):
        out = tmp_path / f"w{workers}"
        train_encoder(
            read_settings("codes", config, {**QUICK, "workers": workers}), [small_genome], out, device="cpu"
        )
        tables.append((out / WEIGHTS_NAME).read_bytes())
    assert tables[0] == tables[1]


def test_a_dead_worker_is_said_in_a_sentence(
    task: CodesTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """torch raises this in the main process, wherever it is, when a worker was killed."""

    def killed(*_: object) -> None:
        raise RuntimeError("DataLoader worker (pid 27) is killed by signal: Killed. ")

    monkeypatch.setattr(loop, "_step", killed)
    with pytest.raises(EsaError, match="a process that makes batches died"):
        train(task, RunConfig(**QUICK), tmp_path / "c", "x", device=torch.device("cpu"))


def test_early_stop_keeps_the_best(task: CodesTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.2])
    tables = []

    def validate(encoder: ProjectionEncoder) -> dict[str, float]:
        tables.append(encoder.arrays()["table"])
        return {"recall": next(scores)}

    monkeypatch.setattr(task, "validate", validate)
    run = RunConfig(steps=50, validate_every=1, patience=2, workers=0)
    trained = train(task, run, tmp_path / "c", "x", device=torch.device("cpu"))
    assert (trained.progress.step, trained.progress.best_step, trained.progress.best) == (4, 2, 0.5)
    assert trained.stopped == "no better validation in 2"
    np.testing.assert_array_equal(trained.encoder.arrays()["table"], tables[1])

    again = train(task, run, tmp_path / "c", "x", device=torch.device("cpu"), resume=True)
    assert (again.progress.step, again.stopped) == (4, trained.stopped)


def test_the_clock_stops_a_sitting(task: CodesTask, tmp_path: Path):
    run = RunConfig(steps=100_000, minutes=1e-9, workers=0)
    for step in (1, 2):
        trained = train(task, run, tmp_path / "c", "x", device=torch.device("cpu"), resume=step > 1)
        assert trained.progress.step == step
        assert trained.stopped.startswith("after")


def test_a_run_that_the_clock_cut_goes_on_as_if_it_had_not(task: CodesTask, tmp_path: Path):
    """What is validated where the clock cuts does not compete for the best."""
    cpu = torch.device("cpu")
    run = RunConfig(**{**QUICK, "validate_every": 3})
    whole = train(task, run, tmp_path / "a", "x", device=cpu)
    cut = train(task, replace(run, minutes=1e-9), tmp_path / "b", "x", device=cpu)
    assert (cut.progress.step, len(cut.progress.curves)) == (1, 1)
    resumed = train(task, run, tmp_path / "b", "x", device=cpu, resume=True)
    np.testing.assert_array_equal(resumed.encoder.arrays()["table"], whole.encoder.arrays()["table"])
    assert [row["step"] for row in resumed.progress.curves] == [3, 6]
    assert resumed.progress.best_step == whole.progress.best_step


def test_force_leaves_nothing_of_the_run_before(small_genome: str, tmp_path: Path, config: str):
    out = tmp_path / "out"
    settings = read_settings("codes", config, QUICK)
    with pytest.raises(OutputError, match="nothing to resume"):
        train_encoder(settings, [small_genome], out, resume=True)
    assert not out.exists()
    train_encoder(settings, [small_genome], out)

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_encoder(settings, [small_genome], out, force=True, report=stop)
    assert [path.name for path in out.iterdir()] == [CONFIG_NAME]


def test_training_and_validation_share_no_base(small_genome: str):
    whole = read_genome(small_genome)
    training, validation = read_references([small_genome, small_genome])
    assert (training.bases, validation.bases) == (216_000, 24_000)
    codes = whole.fetch(0, whole.bases)
    np.testing.assert_array_equal(training.contig(0), codes[:108_000])
    np.testing.assert_array_equal(validation.contig(1), codes[108_000:])


def test_noise_does_not_walk_into_the_next_contig():
    """Where a contig ends nothing can be deleted from a fragment that ends there, and no base comes in."""
    genome = Genome.of_contigs({"a": np.array([0, 1, 2], np.uint8), "b": np.array([3, 3], np.uint8)})
    codes, offsets = fenced(genome)
    assert codes.tolist() == [0, 1, 2, 4, 3, 3, 4]
    assert offsets.tolist() == [0, 4, 7]
    rng = np.random.default_rng(2)
    pieces = [part for _ in range(400) for part in (rng.integers(0, 3, 100), np.full(40, 3))]
    genome = Genome.of_contigs({str(i): piece.astype(np.uint8) for i, piece in enumerate(pieces)})

    def t_at_the_end(codes: np.ndarray, offsets: np.ndarray, fence: int) -> float:
        start = offsets[1::2] - fence - SMALL.fragmenter.length
        out = np.empty((len(start), SMALL.fragmenter.length), np.uint8)
        forward = np.zeros(len(start), np.uint8)
        noisy(codes, start, forward, SMALL.k, NoiseRanges(0.3, 1.0, 1.0), np.uint64(1), out)
        return float((out[:, -1] == 3).mean())

    # An insertion brings a T now and then; the next contig would bring one with every deletion.
    assert t_at_the_end(*fenced(genome), 1) < 0.1
    assert t_at_the_end(genome.fetch(0, genome.bases), genome.offsets, 0) > 0.2
    # All of those contigs are trained on, and fenced.
    other = Genome.of_contigs({"a": rng.integers(0, 4, 5000).astype(np.uint8)})
    task = CodesTask(CodesConfig(batch=64), genome, other, seed=1)
    np.testing.assert_array_equal(task._codes, fenced(genome)[0])


def test_genomes_made_of_contigs_keep_their_n():
    codes = {"a": np.array([4, 4, 0, 1, 4], np.uint8), "b": np.array([4, 2, 3], np.uint8)}
    genome = Genome.of_contigs(codes)
    for i, contig in enumerate(codes.values()):
        np.testing.assert_array_equal(genome.contig(i), contig)
    assert Genome.of_contigs({}).bases == 0


def test_the_command_writes_an_encoder_with_its_papers(small_genome: str, tmp_path: Path, config: str):
    out = tmp_path / "made" / "here"
    arguments = ["train", "codes", "--ref", small_genome, "-o", str(out), "--config", config]
    arguments += ["--steps", "4", "--workers", "0", "--seed", "8", "-q"]
    assert esa(arguments) == 0
    assert {p.name for p in out.iterdir()} == {
        *(CARD_NAME, CHECKPOINT_NAME, CONFIG_NAME, CURVES_NAME, PICTURE_NAME),
        *(WEIGHTS_NAME, "encoder.json"),
    }
    assert create_encoder(str(out), "codes", 32).dimensions == BITS
    rows = list(csv.DictReader((out / CURVES_NAME).read_text().splitlines()))
    assert [row["step"] for row in rows] == ["4"]
    assert 0 < float(rows[0]["recall"]) <= 1
    card = (out / CARD_NAME).read_text()
    assert "108,000 bases of `small.fa`" in card
    assert "Steps | 4 (all steps done)" in card
    assert "seed = 8" in (out / CONFIG_NAME).read_text()
    assert (out / PICTURE_NAME).read_bytes().startswith(b"\x89PNG")
    # What it trained with can be trained with again.
    assert esa([*arguments[:6], "--config", str(out / CONFIG_NAME), "--force", "-q"]) == 0
    # A directory says what it was trained with; who makes the batches does not matter.
    assert esa([*arguments[:6], "--resume", "-q", "--workers", "1", "--minutes", "5"]) == 0
    assert esa([*arguments[:6], "--resume", "--force", "-q"]) == 2
    index = tmp_path / "index"
    assert esa(["index", small_genome, "-o", str(index), "--encoder", str(out), "-q"]) == 0


def test_what_cannot_be_trained_is_refused(
    small_genome: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    tiny = tmp_path / "tiny.fa"
    tiny.write_text(">a\n" + "ACGTTGCA" * 100 + "\n")
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").write_text("x")

    def message(*arguments: str, code: int = 1) -> str:
        assert esa(["train", "codes", "-q", *arguments]) == code
        return capsys.readouterr().err

    new = str(tmp_path / "new")
    assert "800 bases are too few to train on" in message("--ref", str(tiny), "-o", new)
    assert "no such file" in message("--ref", str(tmp_path / "none.fa"), "-o", new)
    assert "is not empty; --resume" in message("--ref", small_genome, "-o", str(full))
    assert "no directory" in message("--ref", small_genome, "-o", str(tiny))
    assert "checkpoint.safetensors" in message("--ref", small_genome, "-o", new, "--resume")
    assert "Missing option" in message("-o", new, code=2)
    big = tmp_path / "big.toml"
    big.write_text("[codes]\nbatch = 1000000\n")
    assert "fewer than a batch" in message(
        "--ref", small_genome, "-o", str(tmp_path / "n"), "--config", str(big)
    )
    if not torch.cuda.is_available():
        assert "no CUDA device" in message("--ref", small_genome, "-o", new, "--device", "cuda")
        with pytest.raises(EsaError, match="CUDA"):
            choose_device("cuda")


def test_a_checkpoint_of_another_run_is_refused(small_genome: str, tmp_path: Path, config: str):
    out = tmp_path / "out"
    train_encoder(read_settings("codes", config, QUICK), [small_genome], out)
    with pytest.raises(EsaError, match="other settings or references"):
        train_encoder(read_settings("codes", config, {**QUICK, "seed": 2}), [small_genome], out, resume=True)
    with pytest.raises(OutputError, match="not empty"):
        train_encoder(read_settings("codes", config, QUICK), [small_genome], out)
    content = bytearray((out / CHECKPOINT_NAME).read_bytes())
    content[-1] ^= 1
    (out / CHECKPOINT_NAME).write_bytes(content)
    with pytest.raises(EsaError, match="altered"):
        train_encoder(read_settings("codes", config, QUICK), [small_genome], out, resume=True)
    (out / CHECKPOINT_NAME).write_bytes(b"nothing")
    with pytest.raises(EsaError, match="is no checkpoint"):
        train_encoder(read_settings("codes", config, QUICK), [small_genome], out, resume=True)
    assert json.loads((out / "encoder.json").read_text())["name"] == "codes"


def test_a_loss_that_is_no_number_stops_the_run(
    task: CodesTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(task, "loss", lambda model, batch: (model.bias.sum() * torch.nan, {}))
    with pytest.raises(EsaError, match="the loss is nan at step 0"):
        train(task, RunConfig(**QUICK), tmp_path / "c", "x", device=torch.device("cpu"))
