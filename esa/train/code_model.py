"""The code encoder as a torch model: `esa.encoders.codes.CodeEncoder` with real numbers in its table."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from esa.encoders.codes import BITS, CodeEncoder, groups_of
from esa.encoders.keys import GROUP

ROWS = 4**GROUP
"""Table rows per group."""


class CodeModel(nn.Module):
    """Sums over groups of neighbouring bases, of arbitrary functions of a group's bases.

    Training starts from a random projection of the one-hot fragment, like that of `ProjectionEncoder`.

    Args:
        length: bases of a fragment.
        step: bases between the starts of groups.
        seed: of the initial table.
    """

    def __init__(self, length: int, step: int, seed: int) -> None:
        super().__init__()
        self.step = step
        self.groups = groups_of(length, step)
        self.table = nn.EmbeddingBag(self.groups * ROWS, BITS, mode="sum")
        self.bias = nn.Parameter(torch.zeros(BITS))
        with torch.no_grad():
            self.table.weight.copy_(_projection(length, step, self.groups, seed).view(-1, BITS))
        self.first_row: Tensor
        self.register_buffer("first_row", torch.arange(self.groups) * ROWS, persistent=False)

    def forward(self, bases: Tensor) -> Tensor:
        """The sums, ``float[n, BITS]``, of oriented base codes, ``uint8[n, length]``."""
        wide = bases.long()
        end = self.step * (self.groups - 1) + 1
        rows = self.first_row.expand(len(bases), -1)
        for k in range(GROUP):
            rows = rows + (wide[:, k : k + end : self.step] << (2 * k))
        sums: Tensor = self.table(rows) + self.bias
        return sums

    def encoder(self) -> CodeEncoder:
        """The encoder with the table in integers, scaled as far as the sums fit into 16 bits."""
        with torch.no_grad():
            table = self.table.weight.view(self.groups, ROWS, BITS).cpu().numpy().astype(np.float64)
            # Constants can be moved between groups: all go to the first group.
            constant = table.mean(axis=1, keepdims=True)
            table = table - constant
            table[0] += constant.sum(axis=0) + self.bias.cpu().numpy().astype(np.float64)
        largest = np.abs(table).max(axis=1).sum(axis=0).max()
        # Rounding adds at most one half per group.
        scale = (np.iinfo(np.int16).max - self.groups) / largest
        return CodeEncoder(np.rint(table * scale).astype(np.int16), self.step)


def _projection(length: int, step: int, groups: int, seed: int) -> Tensor:
    """``float[groups, ROWS, BITS]``: a random vector for each base at each position, divided among its groups."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(length, 4, BITS, generator=generator) / math.sqrt(length)
    sharing = torch.zeros(length)
    for g in range(groups):
        sharing[g * step : g * step + GROUP] += 1
    table = torch.zeros(groups, ROWS, BITS)
    rows = torch.arange(ROWS)
    for g in range(groups):
        for k in range(GROUP):
            position = g * step + k
            table[g] += vectors[position, (rows >> (2 * k)) & 3] / sharing[position]
    return table
