"""Training of the compact code encoder: bits that survive noise and separate different fragments.

Each batch holds fragments and noisy copies of them. The loss is contrastive on relaxed bits, the hyperbolic tangent of
the sums. It is decoupled (Yeh et al. 2022, ECCV, "Decoupled contrastive learning"): the log mean of exp(agreement) with
the other fragments, less a pair's own agreement. So bits go on separating fragments long after the own copy is the
nearest. That mean stands for the codes that a search has to scan. Its weight trades recall against codes scanned.

The loss is summed over prefixes of the code (Kusupati et al. 2022, NeurIPS, "Matryoshka representation learning"). A
store's key is such a prefix; its length depends on the size of the genome.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from esa.encoders.codes import BITS, CodeEncoder, groups_of
from esa.errors import EsaError, UsageError
from esa.eval.recall import code_store, recall_at_cost
from esa.fragments.minimizers import MinimizerFragmenter
from esa.sequence.genome import Genome
from esa.stores.codes import MAX_KEY_BITS, default_key_bits
from esa.train.code_model import CodeModel
from esa.train.config import NoiseConfig, require
from esa.train.noise import cut, noisy
from esa.train.references import fenced, validation_reads

GROUP_SIZE = 8
"""Fragments of a hard group: neighbours when all are sorted from the minimizer outwards."""

GROUP_STRIDES = (1, 4, 16, 64)
"""Distances of a group's fragments in that order: the nearest are copies of a repeat, others share the minimizer."""

VALIDATION_READS = ((150, 0.05), (250, 0.10), (150, 0.10), (100, 0.01))
"""Length in bases and substitutions per base of the validation reads."""

VALIDATION_COUNT = 1000
"""Validation reads per set."""
SCANNED = 100.0
"""Codes scanned per read at which encoders are compared."""
LONGER_KEY = 5
"""Bits by which the validation's key is longer than its sequence requires, since the codes are for whole genomes.

With short keys all codes do about as well, and codes that are worse with long keys came out ahead.
"""

PACKED_BASES = 32
"""Bases of a fragment that one 64-bit key sorts by."""


@dataclass(frozen=True)
class CodesConfig(NoiseConfig):
    """Training of `CodeModel`.

    Attributes:
        k, window, half: of the minimizers and their fragments (`MinimizerFragmenter`).
        step: bases between the starts of groups (`CodeEncoder`).
        batch: fragments per batch.
        hard: share of the fragments drawn in groups of near copies.
        prefixes: bits of the prefixes that are trained as codes of their own.
        cost: weight of the agreement with other fragments, relative to that of pairs.
        agreement: contribution of a relaxed bit that agrees to a pair's score.
        slope: of the hyperbolic tangent.
        balance: weight of the bits' squared means.
        correlation: weight of the squared mean products of two bits.

    Raises:
        UsageError: values that cannot be trained with.
    """

    k: int = MinimizerFragmenter.k
    window: int = MinimizerFragmenter.window
    half: int = MinimizerFragmenter.half
    step: int = 2
    batch: int = 1024
    hard: float = 0.5
    prefixes: tuple[int, ...] = (20, 24, 29, BITS)
    cost: float = 1.1
    agreement: float = 1.0
    slope: float = 1.5
    balance: float = 10.0
    correlation: float = 10.0

    def __post_init__(self) -> None:
        checks = (
            (self.batch >= 2 * GROUP_SIZE, f"batch is at least {2 * GROUP_SIZE}"),
            (0 <= self.hard <= 1, "hard lies between 0 and 1"),
            (
                len(self.prefixes) > 0 and all(1 <= p <= BITS for p in self.prefixes),
                f"prefixes lie between 1 and {BITS}",
            ),
            *self.noise_checks(),
            (self.slope > 0 and self.agreement > 0, "slope and agreement are positive"),
        )
        require("codes", checks)
        try:
            groups_of(self.fragmenter.length, self.step)
        except ValueError as error:
            raise UsageError(f"[codes]: {error}") from error

    @property
    def fragmenter(self) -> MinimizerFragmenter:
        """The fragmenter of the references, and later of the reads."""
        return MinimizerFragmenter(self.k, self.window, self.half)


class CodesTask:
    """`esa.train.task.Task` of the compact codes.

    Args:
        config: of the training.
        training: sequence to draw batches from.
        validation: sequence to draw validation reads from.
        seed: of all that is drawn.

    Raises:
        EsaError: too little sequence.
    """

    name = "codes"

    def __init__(self, config: CodesConfig, training: Genome, validation: Genome, seed: int) -> None:
        self.config, self.seed, self._validation = config, seed, validation
        self._codes, offsets = fenced(training)
        fragments = config.fragmenter.reference(self._codes, offsets)
        if len(fragments) < config.batch:
            raise EsaError(
                f"the references give {len(fragments):,} fragments, fewer than a batch of {config.batch:,}; "
                "give longer references or a smaller batch"
            )
        self._start, self._reverse = fragments.start, fragments.reverse
        self._sorted = np.argsort(self._outward_keys(np.arange(len(fragments))), kind="stable")
        self._reads = validation_reads(validation, VALIDATION_READS, VALIDATION_COUNT, seed)
        bases = validation.fetch(0, validation.bases)
        held = len(config.fragmenter.reference(bases, validation.offsets))
        self._validation_key = min(default_key_bits(held) + LONGER_KEY, MAX_KEY_BITS)

    @property
    def fragmenter(self) -> MinimizerFragmenter:
        """The fragmenter of the encoder."""
        return self.config.fragmenter

    @property
    def validation(self) -> str:
        """Meaning of the numbers of `validate`, in words."""
        larger = 1 << LONGER_KEY
        return (
            f"share with a fragment that is found in the probed buckets at {SCANNED:.0f} codes scanned a read, as "
            f"expected of a genome {larger} times as large with a key of {self._validation_key} bits"
        )

    def batch(self, step: int) -> dict[str, NDArray[Any]]:
        """The batch of a step, which depends on the seed and the step only.

        Returns:
            ``bases`` and ``noisy`` (``uint8[batch, length]``), ``identity`` (``int64[batch]``, equal for equal
            fragments).
        """
        rng = np.random.default_rng((self.seed, step))
        drawn = self._draw(rng)
        start, reverse = self._start[drawn], self._reverse[drawn]
        c = self.config
        length = c.fragmenter.length
        clean = np.empty((len(drawn), length), np.uint8)
        copies = np.empty_like(clean)
        cut(self._codes, start, reverse, length, clean)
        noisy(self._codes, start, reverse, c.k, c.noise, np.uint64(rng.integers(1 << 63)), copies)
        return {
            "bases": clean,
            "noisy": copies,
            "identity": np.unique(clean, axis=0, return_inverse=True)[1].reshape(-1),
        }

    def model(self) -> CodeModel:
        """A new model."""
        return CodeModel(self.config.fragmenter.length, self.config.step, self.seed)

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """Contrastive loss over the prefixes, with a term for balanced and one for independent bits."""
        c = self.config
        one = torch.tanh(c.slope * model(batch["bases"]))
        other = torch.tanh(c.slope * model(batch["noisy"]))
        same = batch["identity"][:, None] == batch["identity"][None]
        contrast = one.new_zeros(())
        for bits in c.prefixes:
            score = c.agreement * one[:, :bits] @ other[:, :bits].T
            # An identical copy elsewhere is no negative: it cannot be distinguished from the fragment.
            others = score.masked_fill(same, -torch.inf).logsumexp(1) - math.log(len(score))
            contrast = contrast + (c.cost * others - score.diagonal()).mean()
        balance = one.mean(0).square().mean()
        products = one.T @ one / len(one)
        correlation = (products - torch.diag(products.diagonal())).square().mean()
        total = contrast + c.balance * balance + c.correlation * correlation
        kept = ((one > 0) == (other > 0)).float().mean()
        return total, {
            "contrast": contrast.item(),
            "balance": balance.item(),
            "correlation": correlation.item(),
            "bits_kept": kept.item(),
        }

    def encoder(self, model: nn.Module) -> CodeEncoder:
        """The encoder of a model."""
        assert isinstance(model, CodeModel)
        return model.encoder()

    def validate(self, encoder: Any) -> dict[str, float]:
        """Share of reads found at `SCANNED` codes per read: the mean over all sets, then of each set."""
        fragmenter = self.config.fragmenter
        store = code_store(self._validation, fragmenter, encoder, self._validation_key)
        shares = {
            name: recall_at_cost(fragmenter, encoder, store, reads, SCANNED, factor=1 << LONGER_KEY)
            for name, reads in self._reads.items()
        }
        return {"recall": float(np.mean(list(shares.values()))), **shares}

    def _draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Fragments of a batch: groups of near copies first, then others from anywhere."""
        groups = int(self.config.batch * self.config.hard) // GROUP_SIZE
        stride = rng.choice(GROUP_STRIDES, groups)
        room = np.maximum(1, len(self._sorted) - GROUP_SIZE * stride)
        begin = (rng.random(groups) * room).astype(np.int64)
        ranks = begin[:, None] + stride[:, None] * np.arange(GROUP_SIZE)
        near = self._sorted[np.minimum(ranks, len(self._sorted) - 1).ravel()]
        anywhere = rng.integers(0, len(self._start), self.config.batch - len(near))
        return np.concatenate([near, anywhere])

    def _outward_keys(self, chosen: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Keys that sort fragments by their minimizers, then by the bases beside them, from near to far."""
        c = self.config
        minimizer = range(c.half - c.k // 2, c.half + c.k // 2)
        flanks = [
            position
            for i in range(c.half - c.k // 2)
            for position in (minimizer.start - 1 - i, minimizer.stop + i)
        ]
        bases = np.empty((len(chosen), c.fragmenter.length), np.uint8)
        cut(self._codes, self._start[chosen], self._reverse[chosen], c.fragmenter.length, bases)
        keys = np.zeros(len(chosen), np.uint64)
        for position in [*minimizer, *flanks][:PACKED_BASES]:
            keys = keys << np.uint64(2) | bases[:, position]
        return keys
