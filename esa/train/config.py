"""The configuration of a training run: defaults, a TOML file over them, and TOML text of the result."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import tomli_w

from esa.errors import EsaError, UsageError
from esa.train.noise import NoiseRanges

RUN_TABLE = "run"
"""Name of the TOML table of `RunConfig`."""

Check = tuple[bool, str]
"""Whether a condition holds, and the message if it does not."""


def require(table: str, checks: Iterable[Check]) -> None:
    """Raise `UsageError` with the message of the first check of a table that fails."""
    for holds, complaint in checks:
        if not holds:
            raise UsageError(f"[{table}]: {complaint}")


@dataclass(frozen=True)
class RunConfig:
    """Duration, learning rate and stopping rules of a run.

    Attributes:
        steps: maximum number of batches.
        learning_rate: of AdamW after the warm-up; it falls to zero along half a cosine.
        warm_up: steps in which the learning rate rises.
        weight_decay: of AdamW.
        clip: upper limit of the gradient's norm.
        validate_every: steps between validations, each of which writes a checkpoint.
        patience: training stops after so many validations without a better one; 0: never.
        minutes: training stops at the next step after this wall time of a sitting; 0: never. A run stopped by the clock
            has not reached the low learning rates of its last steps; it can be resumed.
        workers: processes that make batches; 0: the training process makes them.
        seed: of all that is drawn, less than 2**32.

    Raises:
        UsageError: values out of range.
    """

    steps: int = 4000
    learning_rate: float = 3e-3
    warm_up: int = 100
    weight_decay: float = 0.0
    clip: float = 10.0
    validate_every: int = 500
    patience: int = 0
    minutes: float = 0.0
    workers: int = 1
    seed: int = 1

    def __post_init__(self) -> None:
        checks = (
            (self.steps >= 1, "steps is at least 1"),
            (self.learning_rate > 0, "learning_rate is positive"),
            (
                min(self.warm_up, self.patience, self.workers) >= 0,
                "warm_up, patience and workers are not negative",
            ),
            (0 <= self.seed < 1 << 32, "seed lies between 0 and 2**32 - 1"),
            (self.weight_decay >= 0 and self.minutes >= 0, "weight_decay and minutes are not negative"),
            (self.clip > 0, "clip is positive"),
            (self.validate_every >= 1, "validate_every is at least 1"),
        )
        require(RUN_TABLE, checks)


@dataclass(frozen=True)
class NoiseConfig:
    """Noise of the copies that an encoder is trained on (`NoiseRanges`).

    Attributes:
        max_edits: maximum edits per base; each copy has its own rate, uniform from 0.
        min_indels, max_indels: range of the share of indels among the edits, uniform.
    """

    max_edits: float = 0.2
    min_indels: float = 0.1
    max_indels: float = 0.3

    @property
    def noise(self) -> NoiseRanges:
        """The ranges, for kernels."""
        return NoiseRanges(self.max_edits, self.min_indels, self.max_indels)

    def noise_checks(self) -> tuple[Check, ...]:
        """Checks for `require`."""
        return (
            (0 <= self.max_edits < 1, "max_edits lies between 0 and 1"),
            (0 <= self.min_indels <= self.max_indels <= 1, "min_indels <= max_indels, between 0 and 1"),
        )


Config = TypeVar("Config")


def read_tables(path: str, tables: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The tables of a TOML file by name; a missing one is empty.

    Raises:
        EsaError: the file cannot be read, is no TOML, or has other tables or keys.
    """
    try:
        document = tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise EsaError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EsaError(f"{path}: is no TOML ({error})") from error
    for name, value in document.items():
        if name not in tables or not isinstance(value, dict):
            raise EsaError(f"{path}: unknown key {name!r}; there are the tables {', '.join(tables)}")
    return {name: document.get(name, {}) for name in tables}


def build(kind: type[Config], values: Mapping[str, Any], where: str) -> Config:
    """A config dataclass from the values of a TOML table, with defaults for the rest.

    Args:
        kind: the class.
        values: of the table.
        where: prefix of messages.

    Raises:
        UsageError: an unknown key, or a value of another type than its field's.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for name in values:
        if name not in names:
            raise UsageError(f"{where}: unknown key {name!r}; there are: {', '.join(names)}")
    return kind(**{name: _convert(hints[name], value, f"{where}: {name}") for name, value in values.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    """The value in its field's type: a list becomes a tuple, and an integer is accepted as a float."""
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise UsageError(f"{where} is a list")
        return tuple(_convert(get_args(hint)[0], item, where) for item in value)
    if get_origin(hint) in (Union, UnionType):
        hint = get_args(hint)[0]
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise UsageError(f"{where} is of type {hint.__name__}, not {type(value).__name__}")
    if hint is float and not math.isfinite(value):
        raise UsageError(f"{where} is a finite number, not {value}")
    return value


def render(tables: Mapping[str, Any]) -> bytes:
    """TOML text (UTF-8) of config dataclasses by table, with all fields."""
    document = {
        name: {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(config).items()}
        for name, config in tables.items()
    }
    return tomli_w.dumps(document).encode()
