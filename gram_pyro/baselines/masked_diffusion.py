"""Masked diffusion (MDLM): the network fills in cells masked at a random rate; sampling unmasks them step by step.

    -log p(y | x) <= E_{t ~ U(0, 1)} 1/t sum_{i masked} -log p(y_i | x, y_unmasked),   each cell masked with prob. t

Source: Sahoo et al. 2024 (arXiv:2406.07524), linear schedule. The embedding of x is added to that of y.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from gram_pyro.baselines.base import Baseline
from gram_pyro.networks.core import Blocks
from gram_pyro.networks.embed import TokenEmbedding
from gram_pyro.networks.layers import Linear, Mixer
from gram_pyro.networks.readout import clamp


class MaskedDiffusion(Baseline):
    """Args: dim D; mixer over cells, num_layers, hidden D_h as of a core; num_steps of sampling.

    Raises: ValueError if num_steps is below 1.
    """

    def __init__(
        self,
        num_cells: int,
        num_symbols: int,
        relations: Tensor | None,
        dim: int,
        mixer: Mixer,
        num_layers: int = 8,
        hidden: int | None = None,
        num_steps: int = 32,
    ) -> None:
        super().__init__(num_cells, num_symbols)
        if num_steps < 1:
            raise ValueError(f"got num_steps={num_steps}; expected 1 or more, the steps of sampling")
        self.num_steps, self.mask = num_steps, num_symbols
        self.clue, self.answer = TokenEmbedding(num_symbols, dim), TokenEmbedding(num_symbols + 1, dim)
        self.net = Blocks(dim, num_cells, relations, mixer, num_layers, hidden)
        self.logits = Linear(dim, num_symbols)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Logits of every cell, with clues fixed.  Shapes: x [..., L]; y [..., L], V where masked -> [..., L, V]."""
        return clamp(self.logits(self.net(self.clue(x) + self.answer(y))).float(), x)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        # The rates of a batch are spread evenly over (0, 1): the same expectation with less noise.
        rows = torch.arange(len(x), device=x.device)
        rate = ((torch.rand(1, device=x.device) + rows / len(x)) % 1).clamp(min=1e-3)[:, None]
        masked = torch.rand(x.shape, device=x.device) < rate
        logits = self(x, y.masked_fill(masked, self.mask))
        miss = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none").view_as(x)
        return (miss * masked / rate).sum() / len(x)

    def draw(self, x: Tensor) -> Tensor:
        y = torch.full_like(x, self.mask)
        times = torch.linspace(1, 0, self.num_steps + 1).tolist()
        for now, after in zip(times, times[1:], strict=False):
            probabilities = self(x, y).softmax(-1)
            drawn = torch.multinomial(probabilities.flatten(0, 1), 1).view_as(x)
            reveal = (y == self.mask) & (torch.rand(x.shape, device=x.device) < (now - after) / now)
            y = torch.where(reveal, drawn, y)
        return y
