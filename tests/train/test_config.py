"""`esa.train.config`: TOML to settings and back, and what is refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from esa.errors import EsaError, UsageError
from esa.train.codes import CodesConfig
from esa.train.config import RunConfig
from esa.train.run import Settings, read_settings


def test_defaults_file_and_options_lie_over_each_other(tmp_path: Path):
    path = tmp_path / "c.toml"
    path.write_text(
        "[run]\nsteps = 7\nlearning_rate = 1\nseed = 3\n[codes]\nprefixes = [8, 64]\nbatch = 32\n"
    )
    settings = read_settings("codes", str(path), {"seed": 9})
    run, codes = settings.run, settings.task
    assert (run.steps, run.learning_rate, run.seed) == (7, 1.0, 9)
    assert (codes.prefixes, codes.batch, codes.step) == ((8, 64), 32, CodesConfig().step)
    assert read_settings("codes", None, {}) == Settings("codes", RunConfig(), CodesConfig())


def test_what_is_written_reads_back_the_same(tmp_path: Path):
    settings = Settings("codes", RunConfig(steps=5, minutes=0.5), CodesConfig(batch=64, prefixes=(3, 9)))
    path = tmp_path / "c.toml"
    path.write_bytes(settings.text())
    assert read_settings("codes", str(path), {}) == settings
    assert len(tomllib.loads(path.read_text())["run"]) == len(RunConfig.__dataclass_fields__)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run]\nstps = 7\n", r"\[run\]: unknown key 'stps'; there are: steps, "),
        ("[codes]\nlength = 7\n", r"\[codes\]: unknown key 'length'"),
        ("[rde]\n", "unknown key 'rde'"),
        ("steps = 7\n", "unknown key 'steps'"),
        ("run = 7\n", "unknown key 'run'"),
        ("[run]\nsteps = 'seven'\n", "steps is of type int, not str"),
        ("[run]\nsteps = true\n", "steps is of type int, not bool"),
        ("[run]\nsteps = 1.5\n", "steps is of type int, not float"),
        ("[codes]\nprefixes = 8\n", "prefixes is a list"),
        ("[codes]\nprefixes = ['8']\n", "prefixes is of type int"),
        ("[run]\nsteps = 0\n", "steps is at least 1"),
        ("[run]\nlearning_rate = -1\n", "learning_rate is positive"),
        ("[run]\nseed = -1\n", "seed"),
        ("[run]\nclip = 0\n", "clip"),
        ("[run]\nvalidate_every = 0\n", "validate_every"),
        ("[codes]\nbatch = 2\n", "batch is at least"),
        ("[codes]\nprefixes = []\n", "prefixes"),
        ("[codes]\nprefixes = [65]\n", "prefixes"),
        ("[codes]\nhalf = 15\nstep = 4\n", "do not cover 30 bases"),
        ("[codes]\nstep = 0\n", r"\[codes\]: groups of 4 bases, 0 apart"),
        ("[codes]\nstep = -1\n", "groups of 4 bases, -1 apart"),
        ("[codes]\nstep = 7\n", "groups of 4 bases, 7 apart"),
        ("[codes]\ncost = nan\n", "cost is a finite number"),
        ("[run]\nseed = 4000000000000000000\n", "seed lies between"),
        ("[codes]\nmost_edits = 1.5\n", "max_edits"),
        ("[codes]\nleast_indels = 0.9\n", "min_indels"),
        ("[codes]\nk = 9\n", "no minimizers"),
        ("[run\n", "is no TOML"),
    ],
)
def test_bad_settings_are_refused_by_name(tmp_path: Path, text: str, message: str):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(EsaError, match=message):
        read_settings("codes", str(path), {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("width = -4", "width is a multiple of heads"),
        ("width = 0", "width is a multiple of heads"),
        ("heads = 5", "width is a multiple of heads"),
        ("dimensions = 6\nprefixes = [4]", "dimensions are a multiple"),
        ("length = 10\nlongest = 8\nshortest = 6\nk = 3\nstride = 5", "shortest"),
        ("prefixes = [6]", "prefixes are multiples"),
    ],
)
def test_bad_settings_of_the_transformer_are_refused(tmp_path: Path, text: str, message: str):
    path = tmp_path / "c.toml"
    path.write_text(f"[rde]\n{text}\n")
    with pytest.raises(UsageError, match=message):
        read_settings("rde", str(path), {})


def test_a_missing_file_and_an_unknown_kind_are_refused(tmp_path: Path):
    with pytest.raises(EsaError, match=r"none\.toml: No such file"):
        read_settings("codes", str(tmp_path / "none.toml"), {})
    with pytest.raises(UsageError, match="unknown kind of encoder 'other'"):
        read_settings("other", None, {})
