"""`esa.train.config`: TOML to settings and back, and what is refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from esa.errors import EsaError, UsageError
from esa.train.codes import CodesConfig
from esa.train.config import RunConfig, render
from esa.train.run import read_config


def test_defaults_file_and_options_lie_over_each_other(tmp_path: Path):
    path = tmp_path / "c.toml"
    path.write_text(
        "[run]\nsteps = 7\nlearning_rate = 1\nseed = 3\n[codes]\nprefixes = [8, 64]\nbatch = 32\n"
    )
    run, codes = read_config("codes", str(path), {"seed": 9})
    assert (run.steps, run.learning_rate, run.seed) == (7, 1.0, 9)
    assert (codes.prefixes, codes.batch, codes.step) == ((8, 64), 32, CodesConfig().step)
    assert read_config("codes", None, {}) == (RunConfig(), CodesConfig())


def test_what_is_written_reads_back_the_same(tmp_path: Path):
    run, codes = RunConfig(steps=5, minutes=0.5), CodesConfig(batch=64, prefixes=(3, 9))
    path = tmp_path / "c.toml"
    path.write_bytes(render({"run": run, "codes": codes}))
    assert read_config("codes", str(path), {}) == (run, codes)
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
        ("[codes]\nstep = 0\n", r"\[codes\]"),
        ("[codes]\nmost_edits = 1.5\n", "most_edits"),
        ("[codes]\nleast_indels = 0.9\n", "least_indels"),
        ("[codes]\nk = 9\n", "no anchors"),
        ("[run\n", "is no TOML"),
    ],
)
def test_bad_settings_are_refused_by_name(tmp_path: Path, text: str, message: str):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(EsaError, match=message):
        read_config("codes", str(path), {})


def test_a_missing_file_and_an_unknown_kind_are_refused(tmp_path: Path):
    with pytest.raises(EsaError, match=r"none\.toml: No such file"):
        read_config("codes", str(tmp_path / "none.toml"), {})
    with pytest.raises(UsageError, match="unknown kind of encoder 'other'"):
        read_config("other", None, {})
