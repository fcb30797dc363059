"""Reference-free DNA Embedding (RDE): a Transformer encoder with mean pooling, in torch.

After Holur et al. 2023 (arXiv:2309.11087, "Embed-Search-Align: DNA sequence alignment using Transformer models").
Fragments and reads are embedded by one encoder, trained so that a noisy read lies near the fragment it came from. Here
tokens are short runs of canonical k-mers, and positions enter only as distances. So the reverse complement of a
sequence has the same embedding by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from esa.encoders.rde_tokens import PADDING, kmer_rows, tokens_of

GATED = 4
"""Components per gate; dimensions are a multiple of it."""


@dataclass(frozen=True)
class RdeShape:
    """Sizes of the model.

    Attributes:
        k: bases of a k-mer.
        dimensions: components of an embedding, and of the vector of a k-mer.
        width: components of a token inside the Transformer.
        layers: Transformer layers; 0 gives a bag of k-mers, weighted by position.
        heads: attention heads.
        longest: bases of the longest fragment.

    Raises:
        ValueError: sizes that make no model.
    """

    k: int = 7
    dimensions: int = 256
    width: int = 64
    layers: int = 2
    heads: int = 4
    longest: int = 256

    def __post_init__(self) -> None:
        if not 2 <= self.k <= 10 or self.longest < self.k or self.layers < 0:
            raise ValueError(f"k lies between 2 and 10, longest is at least k, layers at least 0: {self}")
        if self.dimensions < GATED or self.dimensions % GATED:
            raise ValueError(f"dimensions are a multiple of {GATED}: {self}")
        if self.heads < 1 or self.width < self.heads or self.width % self.heads:
            raise ValueError(f"width is a multiple of heads: {self}")

    @property
    def tokens(self) -> int:
        """Tokens of the longest fragment."""
        return tokens_of(self.longest, self.k)


class Layer(nn.Module):
    """A Transformer layer (Vaswani et al. 2017) with normalization before each half (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.before_expansion = nn.LayerNorm(width)
        self.expansion = nn.Linear(width, 4 * width)
        self.contraction = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """The layer's output, ``float[n, tokens, width]``.

        Args:
            x: ``float[n, tokens, width]``.
            bias: ``float[heads, tokens, tokens]``, added to the attention scores.
        """
        n, tokens, width = x.shape
        q, k, v = (
            self.attention(self.before_attention(x))
            .view(n, tokens, 3, self.heads, width // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        found = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=bias.to(q.dtype).expand(n, -1, -1, -1)
        )
        x = x + self.mixed(found.transpose(1, 2).reshape(n, tokens, width))
        out: Tensor = x + self.contraction(functional.gelu(self.expansion(self.before_expansion(x))))
        return out


class RdeModel(nn.Module):
    """k-mers -> tokens -> Transformer -> mean over the tokens -> unit vector.

    A token enters as the sum of its k-mers' vectors. In the output, every `GATED` components of that sum are weighted
    by a gate that the Transformer computes, and a vector from the Transformer is added. Without training, all gates
    are equal and the added vectors are zero. An embedding is then the tapered signed projection of
    `esa.encoders.sketch`.
    """

    def __init__(self, shape: RdeShape, seed: int = 1) -> None:
        super().__init__()
        self.shape = shape
        rows = int(kmer_rows(shape.k).max()) + 1
        generator = torch.Generator().manual_seed(seed)
        signs = torch.randint(0, 2, (rows, shape.dimensions), generator=generator) * 2.0 - 1.0
        signs[PADDING] = 0
        self.kmers = nn.EmbeddingBag.from_pretrained(
            signs / shape.dimensions**0.5, freeze=False, mode="sum", padding_idx=PADDING
        )
        places = 2 * shape.tokens + 1
        self.taper = nn.Parameter(_taper(shape.tokens))
        self.enter = nn.Linear(shape.dimensions, shape.width)
        self.place = nn.Parameter(torch.zeros(places, shape.width))
        self.distance = nn.Parameter(torch.zeros(shape.heads, shape.tokens))
        self.layers = nn.ModuleList(Layer(shape.width, shape.heads) for _ in range(shape.layers))
        self.last = nn.LayerNorm(shape.width)
        self.gate = nn.Linear(shape.width, shape.dimensions // GATED)
        self.leave = nn.Linear(shape.width, shape.dimensions, bias=False)
        for zeroed in (self.gate.weight, self.gate.bias, self.leave.weight):
            nn.init.zeros_(zeroed)

    def forward(self, rows: Tensor, weights: Tensor) -> Tensor:
        """``float[n, dimensions]``, unit vectors (zero for a fragment without k-mers).

        Args:
            rows: ``int[n, tokens, SLOTS]`` of `rde_tokens.lay_out`.
            weights: ``float[n, tokens, SLOTS]`` of the same.
        """
        n, tokens, slots = rows.shape
        flat = rows.view(n * tokens, slots), weights.view(n * tokens, slots)
        x = self.kmers(flat[0], per_sample_weights=flat[1]).view(n, tokens, -1)
        at = torch.arange(tokens, device=rows.device)
        place = (2 * at - (tokens - 1)).abs()
        weight = self.taper[place, None].expand(tokens, self.shape.dimensions // GATED)
        added = x.new_zeros(())
        if len(self.layers):
            hidden = functional.layer_norm(self.enter(x), (self.shape.width,)) + self.place[place]
            bias = self.distance[:, (at[:, None] - at[None]).abs()]
            for layer in self.layers:
                hidden = layer(hidden, bias)
            hidden = self.last(hidden)
            weight = weight * (2 * torch.sigmoid(self.gate(hidden)))
            added = self.leave(hidden.mean(1))
        gated = x.view(n, tokens, -1, GATED) * weight.unsqueeze(-1)
        return functional.normalize((gated.mean(1).view(n, -1) + added).float(), dim=1)


def _taper(tokens: int) -> Tensor:
    """``float[2 * tokens + 1]``: weight of a token by its distance from the middle, in half tokens."""
    away = torch.arange(2 * tokens + 1) / max(tokens, 1)
    return 1 - 0.7 * away.clamp(max=1) ** 2
