"""Training of the `rde` encoder: a noisy read should lie nearer to its own fragment than to any other.

The training is self-supervised. The loss is contrastive over a batch, in both directions (InfoNCE: van den Oord et al.
2018, arXiv:1807.03748). The temperature is learnt (Radford et al. 2021, ICML, "CLIP"). Prefixes of the embedding are
trained as well (Kusupati et al. 2022, NeurIPS, "Matryoshka representation learning"). A share of each batch is drawn
from repeats. A copy of a repeat is a negative, unless the read fits it as well as its origin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from esa.encoders.rde import RdeEncoder
from esa.encoders.rde_model import RdeModel, RdeShape
from esa.encoders.rde_tokens import SLOTS, kmer_rows, lay_out, tokens_of
from esa.errors import EsaError, UsageError
from esa.eval.recall import dense_recall
from esa.fragments.fixed import FixedFragmenter
from esa.sequence.genome import Genome
from esa.train.config import NoiseConfig, require
from esa.train.reads import SHARED_K, Intervals, clean_starts, mark_copies, min_hashes, read_out
from esa.train.references import validation_reads

GROUP = 8
"""Fragments of a hard group: neighbours when all are sorted by MinHash."""

START_STRIDE = 16
"""Bases between the places that fragments are drawn from."""

SAME = 0.95
"""Share of a read's k-mers from which a fragment fits the read as well as its origin does."""

SCALE = 20.0
"""Inverse temperature at the start of training."""
MAX_SCALE = 100.0
"""Upper limit of the inverse temperature."""

VALIDATION_READS = ((100, 0.01), (250, 0.05), (250, 0.10), (150, 0.10))
"""Length in bases and substitutions per base of the validation reads."""

VALIDATION_COUNT = 500
"""Validation reads per set."""
DEPTHS = (1, 50)
"""Nearest fragments among which a true one counts as found."""


@dataclass(frozen=True)
class RdeConfig(NoiseConfig):
    """Training of `RdeModel`.

    Attributes:
        length, stride: bases of a fragment, and between fragments (`FixedFragmenter`).
        k, dimensions, width, layers, heads: sizes of the model (`RdeShape`).
        prefixes: components of the prefixes that are trained as embeddings of their own.
        batch: pairs per batch; the fragments of the other pairs are a read's negatives.
        hard: share of the pairs drawn in groups of near copies.
        shortest, longest: bases of the reads, one length per batch.

    Raises:
        UsageError: values that cannot be trained with.
    """

    length: int = FixedFragmenter.length
    stride: int = FixedFragmenter.stride
    k: int = RdeShape.k
    dimensions: int = RdeShape.dimensions
    width: int = RdeShape.width
    layers: int = RdeShape.layers
    heads: int = RdeShape.heads
    prefixes: tuple[int, ...] = (64, 128, 256)
    batch: int = 1024
    hard: float = 0.5
    shortest: int = 75
    longest: int = 256

    def __post_init__(self) -> None:
        checks = (
            (self.batch >= 2 * GROUP, f"batch is at least {2 * GROUP}"),
            (0 <= self.hard <= 1, "hard lies between 0 and 1"),
            (
                len(self.prefixes) > 0
                and all(4 <= p <= self.dimensions and p % 4 == 0 for p in self.prefixes),
                "prefixes are multiples of 4 up to dimensions",
            ),
            *self.noise_checks(),
            (
                max(2 * self.k, SHARED_K) <= self.shortest <= self.longest <= self.length,
                f"2 k (and {SHARED_K}) <= shortest <= longest <= length",
            ),
        )
        require("rde", checks)
        try:
            self.fragmenter, self.shape  # noqa: B018
        except ValueError as error:
            raise UsageError(f"[rde]: {error}") from error

    @property
    def fragmenter(self) -> FixedFragmenter:
        """The fragmenter of the references, and later of the reads."""
        return FixedFragmenter(self.length, self.stride, min(self.length, FixedFragmenter.shortest))

    @property
    def shape(self) -> RdeShape:
        """Sizes of the model."""
        return RdeShape(self.k, self.dimensions, self.width, self.layers, self.heads, self.length)


class RdeTraining(nn.Module):
    """The model, with the temperature, which only training needs."""

    def __init__(self, shape: RdeShape, seed: int) -> None:
        super().__init__()
        self.model = RdeModel(shape, seed)
        self.log_scale = nn.Parameter(torch.tensor(math.log(SCALE)))


class RdeTask:
    """`esa.train.task.Task` of the Transformer.

    Args:
        config: of the training.
        training: sequence to draw batches from.
        validation: sequence to draw validation reads from.
        seed: of all that is drawn.

    Raises:
        EsaError: too little sequence.
    """

    name = "rde"

    def __init__(self, config: RdeConfig, training: Genome, validation: Genome, seed: int) -> None:
        self.config, self.seed, self._validation = config, seed, validation
        self._codes = training.fetch(0, training.bases)
        self._start = self._clean(training, START_STRIDE)
        if len(self._start) < config.batch:
            raise EsaError(
                f"the references give {len(self._start):,} fragments, fewer than a batch of {config.batch:,}; "
                "give longer references or a smaller batch"
            )
        apart = self._clean(training, config.length)
        self._sorted = apart[np.argsort(min_hashes(self._codes, apart, config.length), kind="stable")]
        self._rows = kmer_rows(config.k)
        sets = [(min(length, config.longest), edits) for length, edits in VALIDATION_READS]
        self._reads = validation_reads(validation, sets, VALIDATION_COUNT, seed)

    @property
    def fragmenter(self) -> FixedFragmenter:
        """The fragmenter of the encoder."""
        return self.config.fragmenter

    @property
    def validation(self) -> str:
        """Meaning of the numbers of `validate`, in words."""
        codes = self._validation.fetch(0, self._validation.bases)
        fragments = len(self.fragmenter.reference(codes, self._validation.offsets))
        return f"share with a true fragment among the nearest 1 (R@1) or 50 (R@50) of the {fragments:,} there"

    def _clean(self, genome: Genome, stride: int) -> NDArray[np.int64]:
        """Starts of fragments whose reads, with all shifts and deletions, reach neither an N nor an end."""
        return clean_starts(self._codes, genome, self.config.length, self.config.length, stride)

    def batch(self, step: int) -> dict[str, NDArray[Any]]:
        """Fragments and reads as tokens (`rde_tokens.lay_out`), and which fragments are no negatives.

        Args:
            step: of the training; with the seed, it decides the batch.

        Returns:
            ``fragment_rows``, ``read_rows`` (``int32[batch, tokens, SLOTS]``), the ``_weights`` of both
            (``float32``), ``ignored`` (``bool[batch, batch]``, rows are reads).
        """
        rng = np.random.default_rng((self.seed, step))
        c = self.config
        fragment = self._draw(rng)
        length = int(rng.integers(c.shortest, c.longest + 1))
        # Fragments are a stride apart: the nearest is at most half a stride from the read's middle.
        shift = rng.integers(-c.stride // 2, c.stride // 2 + 1, len(fragment))
        start = fragment + (c.length - length) // 2 + shift
        reads = np.empty((len(fragment), length), np.uint8)
        read_out(self._codes, start, c.noise, np.uint64(rng.integers(1 << 63)), reads)
        near = np.abs(start[:, None] + length // 2 - fragment[None] - c.length // 2) < c.length
        # Near copies: those drawn in a group, and those in the same batch by chance.
        hard = int(c.batch * c.hard) // GROUP * GROUP
        number = np.arange(len(fragment))
        together = np.where(number < hard, number // GROUP, len(fragment) + number)
        for label in (together, min_hashes(self._codes, fragment, c.length)):
            mark_copies(
                self._codes, Intervals(fragment, c.length), Intervals(start, length), label, SAME, near
            )
        np.fill_diagonal(near, False)
        tokens = {"ignored": near}
        places = np.arange(len(reads), dtype=np.int64) * length
        for name, laid_out in (
            ("fragment", self._tokens(self._codes, fragment, c.length)),
            ("read", self._tokens(reads.reshape(-1), places, length)),
        ):
            tokens[f"{name}_rows"], tokens[f"{name}_weights"] = laid_out
        return tokens

    def _tokens(
        self, codes: NDArray[np.uint8], start: NDArray[np.int64], length: int
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Rows and weights of `rde_tokens.lay_out`."""
        rows = np.empty((len(start), tokens_of(length, self.config.k), SLOTS), np.int32)
        weights = np.empty(rows.shape, np.float32)
        lay_out(codes, start, length, self.config.k, self._rows, rows, weights)
        return rows, weights

    def _draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Starts of a batch's fragments: groups of near copies first, then others from anywhere."""
        groups = int(self.config.batch * self.config.hard) // GROUP
        begin = rng.integers(0, max(1, len(self._sorted) - GROUP + 1), groups)
        near = self._sorted[np.minimum(begin[:, None] + np.arange(GROUP), len(self._sorted) - 1).ravel()]
        others = self.config.batch - len(near)
        anywhere = self._start[rng.integers(0, len(self._start), others)]
        return np.concatenate([near, anywhere + rng.integers(0, START_STRIDE, others)])

    def model(self) -> RdeTraining:
        """A new model."""
        return RdeTraining(self.config.shape, self.seed)

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Contrastive loss in both directions, summed over the prefixes with equal weights."""
        assert isinstance(model, RdeTraining)
        fragments = model.model(batch["fragment_rows"], batch["fragment_weights"])
        reads = model.model(batch["read_rows"], batch["read_weights"])
        scale = model.log_scale.exp().clamp(max=MAX_SCALE)
        own = torch.arange(len(reads), device=reads.device)
        total, first = reads.new_zeros(()), reads.new_zeros(())
        for prefix in self.config.prefixes:
            cosine = (
                functional.normalize(reads[:, :prefix], dim=1)
                @ functional.normalize(fragments[:, :prefix], dim=1).T
            )
            score = (scale * cosine.float()).masked_fill(batch["ignored"], -torch.inf)
            total = (
                total + (functional.cross_entropy(score, own) + functional.cross_entropy(score.T, own)) / 2
            )
            first = (score.argmax(1) == own).float().mean()
        return total, {"batch_recall": first.item(), "scale": scale.item()}

    def encoder(self, model: nn.Module) -> RdeEncoder:
        """The encoder of a model."""
        assert isinstance(model, RdeTraining)
        return RdeEncoder.of_model(model.model)

    def validate(self, encoder: Any) -> dict[str, float]:
        """Share of reads whose nearest fragment is true: the mean over all sets, then each set's R@1 and R@50."""
        found = {
            name: dense_recall(self.fragmenter, encoder, self._validation, reads, DEPTHS)
            for name, reads in self._reads.items()
        }
        shares = {
            f"{name} R@{depth}": share
            for name, at in found.items()
            for depth, share in zip(DEPTHS, at, strict=True)
        }
        return {"recall": float(np.mean([at[0] for at in found.values()])), **shares}
