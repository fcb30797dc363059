"""A checkpoint in Hugging Face's format as a dense encoder: `hf:DIR`, or `hf:DIR:max`.

It serves comparisons with published models whose weights are on disk (Nucleotide Transformer, HyenaDNA, DNABERT-2),
with mean or max pooling over the tokens. Nothing is downloaded. Such models distinguish the strands. So a fragment's
embedding is the mean of its own and its reverse complement's, and a read finds its fragment from either strand.
Needs the extra: ``pip install 'esa-align[hf]'``.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from esa.errors import EsaError, UsageError, needed_by
from esa.fragments.base import Fragments
from esa.sequence import dna

if TYPE_CHECKING:
    from esa.encoders.device import Device

PREFIX = "hf:"
POOLINGS = ("mean", "max")
WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")
"""Weight files, in order of preference. The latter are pickles, of which only tensors are loaded."""

OTHER_FILES = ("*.json", "*.txt", "*.model", "*.py")
"""Other files that the vectors depend on."""

MASK = "attention_mask"
"""The model's input that marks tokens, as opposed to padding."""

TRUST_VARIABLE = "ESA_TRUST_REMOTE_CODE"
"""Environment variable: if it is 1, code in the checkpoint's folder may run (HyenaDNA and DNABERT-2 have some)."""

BATCH = 32
"""Sequences that pass the model together."""

MULTIPLE = 4
"""Vectors are padded with zeros to a multiple of this number of components, as the store requires."""

EXAMPLE = "ACGTACGTACGT"
"""Bases that every tokenizer of DNA knows, for checks when a checkpoint is opened."""

UNUSED = "pooler"
"""Layers that pooling over the tokens does not use: their weights may be missing."""


@dataclass(frozen=True)
class HuggingFaceEncoder:
    """A pretrained model, pooled over its tokens.

    Attributes:
        directory: absolute path of the checkpoint.
        pooling: ``mean`` or ``max``, over the tokens that stand for bases.
        sha256: digest of the checkpoint's files.
        device: device of the model; None: the CPU.
    """

    directory: str
    pooling: str
    sha256: str
    device: Device | None = None

    name: ClassVar[str] = "hf"

    @classmethod
    def open(cls, spec: str) -> HuggingFaceEncoder:
        """The encoder of ``hf:DIR`` or ``hf:DIR:POOLING``.

        Raises:
            UsageError: an unknown pooling, or DIR is not a directory.
            EsaError: DIR is not a checkpoint, or it cannot be loaded.
        """
        directory, _, pooling = spec.removeprefix(PREFIX).partition(":")
        if pooling not in ("", *POOLINGS):
            raise UsageError(f"{spec}: unknown pooling {pooling!r}; there are: {', '.join(POOLINGS)}")
        if not Path(directory).is_dir():
            raise UsageError(f"{spec}: {directory} is not a directory")
        absolute = Path(directory).absolute()
        encoder = cls(str(absolute), pooling or POOLINGS[0], _digest(absolute))
        encoder._parts  # noqa: B018  (a checkpoint that cannot be loaded is refused now)
        try:
            encoder.dimensions  # noqa: B018
        except Exception as error:  # whatever the checkpoint's own code raises
            raise EsaError(f"{directory}: cannot embed {EXAMPLE}: {_first_line(error)}") from error
        return encoder

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> HuggingFaceEncoder:
        """The encoder that an index was built with.

        Raises:
            ValueError: its checkpoint is missing, or it was changed.
        """
        directory, sha256 = parameters["directory"], parameters["sha256"]
        try:
            found = _digest(Path(directory))
        except EsaError as error:
            raise ValueError(f"the encoder's checkpoint is gone: {error}") from error
        if found != sha256:
            raise ValueError(f"{directory}: not the checkpoint that the index was built with")
        return cls(directory, parameters["pooling"], sha256)

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        """The tokenizer and the model."""
        tokenizer, model = _load(Path(self.directory))
        return tokenizer, model if self.device is None else model.to(self.device)

    @cached_property
    def dimensions(self) -> int:
        """Components of an embedding, padded to a multiple of `MULTIPLE`."""
        # Taken from a vector, since configs have no common name for it.
        size = self._pooled([EXAMPLE]).shape[1]
        return -(-size // MULTIPLE) * MULTIPLE

    def embed(self, codes: NDArray[np.uint8], fragments: Fragments) -> NDArray[np.float32]:
        """``float32[len(fragments), dimensions]``, unit vectors; zero for a fragment without tokens."""
        out = np.zeros((len(fragments), self.dimensions), np.float32)
        # In order of length, for little padding.
        order = np.argsort(fragments.length, kind="stable")
        for begin in range(0, len(order), BATCH):
            rows = order[begin : begin + BATCH]
            windows = [
                codes[s : s + n] for s, n in zip(fragments.start[rows], fragments.length[rows], strict=True)
            ]
            mean = (
                self._pooled([dna.decode(window).decode() for window in windows])
                + self._pooled([dna.decode(dna.reverse_complement(window)).decode() for window in windows])
            ) / 2
            norm = np.linalg.norm(mean, axis=1, keepdims=True)
            out[rows, : mean.shape[1]] = mean / np.where(norm > 0, norm, 1)
        return out

    def _pooled(self, sequences: list[str]) -> NDArray[np.float32]:
        """``float32[n, hidden]``: the last layer, pooled over all tokens except special ones and padding.

        A model without attention mask could not distinguish padding from sequence. So it gets sequences with equal
        numbers of tokens together.
        """
        tokenizer, _ = self._parts
        if MASK in tokenizer.model_input_names:
            return self._pooled_together(sequences)
        tokens = np.array([len(tokenizer(sequence)["input_ids"]) for sequence in sequences])
        pooled: dict[int, NDArray[np.float32]] = {}
        for count in np.unique(tokens):
            rows = np.flatnonzero(tokens == count)
            pooled |= dict(
                zip(rows.tolist(), self._pooled_together([sequences[i] for i in rows]), strict=True)
            )
        return np.stack([pooled[i] for i in range(len(sequences))])

    def _pooled_together(self, sequences: list[str]) -> NDArray[np.float32]:
        """`_pooled` of sequences that pass the model together."""
        import torch

        tokenizer, model = self._parts
        tokens = tokenizer(
            sequences,
            padding=True,
            return_special_tokens_mask=True,
            return_attention_mask=True,
            return_tensors="pt",
        ).to(model.device)
        special = tokens.pop("special_tokens_mask").bool()
        counted = tokens[MASK].bool() & ~special
        taken = set(tokenizer.model_input_names)
        with torch.inference_mode():
            hidden = model(**{k: v for k, v in tokens.items() if k in taken})[0].float()
        inside = counted.unsqueeze(-1)
        if self.pooling == "max":
            pooled = hidden.masked_fill(~inside, -torch.inf).amax(1).masked_fill(~inside.any(1), 0)
        else:
            pooled = (hidden * inside).sum(1) / inside.sum(1).clamp(min=1)
        result: NDArray[np.float32] = pooled.cpu().numpy()
        return result

    def calibrated(self, codes: NDArray[np.uint8], fragments: Fragments) -> HuggingFaceEncoder:
        """This encoder: nothing is fitted to the reference."""
        return self

    def parameters(self) -> dict[str, Any]:
        """Parameters for the index manifest."""
        return {
            "name": self.name,
            "directory": self.directory,
            "pooling": self.pooling,
            "sha256": self.sha256,
            "dimensions": self.dimensions,
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """None: weights stay in the checkpoint."""
        return {}


def _weights(directory: Path) -> list[Path]:
    """The weight files of a checkpoint."""
    for pattern in WEIGHT_FILES:
        if found := sorted(directory.glob(pattern)):
            return found
    raise EsaError(f"{directory}: holds no weights ({' or '.join(WEIGHT_FILES)})")


def _digest(directory: Path) -> str:
    """Digest of all files that the vectors depend on: weights, configs, the tokenizer's files, and bundled code."""
    if not (directory / "config.json").is_file():
        raise EsaError(f"{directory}: has no config.json: is not a checkpoint's folder")
    digest = hashlib.sha256()
    for path in [
        *sorted(p for pattern in OTHER_FILES for p in directory.glob(pattern)),
        *_weights(directory),
    ]:
        try:
            with path.open("rb") as file:
                digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise EsaError(f"{path}: {error.strerror}: {directory} is not a checkpoint's folder") from error
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _load(directory: Path) -> tuple[Any, Any]:
    """The tokenizer and the model of a checkpoint.

    Raises:
        MissingLibraryError: transformers is missing.
        EsaError: a file is missing, weights are missing or misshapen, or the tokenizer has no bases.
    """
    with needed_by(f"encoder {PREFIX + str(directory)!r}"):
        import transformers
    transformers.logging.set_verbosity(logging.CRITICAL)
    transformers.utils.logging.disable_progress_bar()
    trusted = os.environ.get(TRUST_VARIABLE) == "1"
    kwargs: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trusted}
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(directory, **kwargs)
        model, info = transformers.AutoModel.from_pretrained(
            directory, output_loading_info=True, ignore_mismatched_sizes=True, **kwargs
        )
    except (
        Exception
    ) as error:  # whatever the checkpoint's own code or transformers raise: there is no common class
        reason = _first_line(error)
        if "trust_remote_code" in str(error):
            reason = f"brings its own code; if you trust it, set {TRUST_VARIABLE}=1"
        raise EsaError(f"{directory}: cannot be loaded: {reason}") from error
    missing = [key for key in info["missing_keys"] if UNUSED not in key]
    if missing or info["mismatched_keys"]:
        wrong = missing[0] if missing else info["mismatched_keys"]
        what = "lacks weights" if missing else "has weights of other shapes than config.json says"
        raise EsaError(f"{directory}: {what}: {wrong if missing else sorted(map(str, wrong))[0]}")
    if tokenizer.pad_token is None:
        raise EsaError(f"{directory}: its tokenizer has no token for padding")
    bases = tokenizer(EXAMPLE, add_special_tokens=False)["input_ids"]
    if all(token == tokenizer.unk_token_id for token in bases):
        # Without its files, transformers makes a tokenizer with an empty vocabulary.
        raise EsaError(f"{directory}: its tokenizer knows no bases; is a file of it missing?")
    return tokenizer, model.eval()
