"""Discrete diffusion with uniform noise (D3PM): cells are randomised step by step; the network reverses the steps.

    q(y_t | y_{t-1}) = a_t [y_t = y_{t-1}] + (1 - a_t) / V,     A_t = a_1 ... a_t, from A_0 = 1 to A_N = 0
    p(y_{t-1} | y_t) ~ q(y_t | y_{t-1}) (A_{t-1} p(y_0 | x, y_t) + (1 - A_{t-1}) / V)
    -log p(y | x) <= sum_t E_q KL(q(y_{t-1} | y_t, y_0) || p(y_{t-1} | y_t)),   cell by cell

Source: Austin et al. 2021 (arXiv:2107.03006), cosine schedule, without its auxiliary loss: the loss is the bound.
The paper's baseline has 1000 steps. The embedding of x is added to that of y.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gram_pyro.baselines.base import Baseline
from gram_pyro.distributions.uniform_noise import step_back
from gram_pyro.networks.core import Blocks, State
from gram_pyro.networks.embed import Embedding
from gram_pyro.networks.layers import Mixer
from gram_pyro.networks.readout import Readout


def cosine_schedule(num_steps: int) -> Tensor:
    """A_0 .. A_N: cos^2(pi / 2 t / N), [N + 1]."""
    kept = (torch.arange(num_steps + 1, dtype=torch.float64) / num_steps * torch.pi / 2).cos().square()
    kept[-1] = 0.0
    return kept.to(torch.get_default_dtype())


class D3PM(Baseline):
    """Args: dim D; embed and readout, of the task's tokens; mixer over tokens, num_layers, hidden D_h as of a core;
    num_steps N.

    Raises: ValueError if num_steps is below 1.
    """

    def __init__(
        self,
        num_cells: int,
        num_symbols: int,
        relations: Tensor | None,
        dim: int,
        embed: Callable[..., Embedding],
        readout: Callable[..., Readout],
        mixer: Mixer,
        num_layers: int = 8,
        hidden: int | None = None,
        num_steps: int = 100,
    ) -> None:
        super().__init__(num_cells, num_symbols)
        if num_steps < 1:
            raise ValueError(f"got num_steps={num_steps}; expected 1 or more, the steps of drawing")
        self.num_steps = num_steps
        self.clue = embed(num_symbols=num_symbols, dim=dim)
        self.answer = self.clue.for_target()
        self.times = nn.Embedding(num_steps, dim)
        tokens = self.clue.num_tokens(num_cells)
        self.net = Blocks(dim, tokens, self.clue.relations(relations), mixer, num_layers, hidden)
        self.readout = readout(num_symbols=num_symbols, dim=dim)
        self.register_buffer("kept", cosine_schedule(num_steps), persistent=False)  # A

    def forward(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """p(y_0 | x, y_t) of every cell.  Shapes: x, y [B, L]; t [B] in 1 .. N -> [B, L, V]."""
        h = self.net(self.clue(x) + self.answer(y) + self.times(t - 1)[:, None])
        return self.readout(State(h, h), x).base_dist.probs.to(self.kept.dtype)

    def back(self, clean: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """The law of y_{t-1} given y_t if y_0 has law `clean`.  Shapes: [B, L, V], [B, L], [B] -> [B, L, V]."""
        stays, before = (self.kept[t] / self.kept[t - 1])[:, None, None], self.kept[t - 1][:, None, None]
        return step_back(F.one_hot(y, self.num_symbols), clean, stays, before)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        # The steps of a batch are spread evenly over 1 .. N: the same expectation with less noise.
        place = torch.rand(1, device=x.device) + torch.arange(len(x), device=x.device) / len(x)
        t = ((place % 1) * self.num_steps).long().clamp(max=self.num_steps - 1) + 1
        return self.num_steps * self.divergence(x, y, t).mean()

    def divergence(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """KL(q(y_{t-1} | y_t, y_0) || p(y_{t-1} | y_t)) at one draw of y_t, [B], nats: the term of step t."""
        noisy = torch.rand(y.shape, device=y.device) >= self.kept[t][:, None]
        seen = torch.where(noisy, torch.randint_like(y, self.num_symbols), y)
        q = self.back(F.one_hot(y, self.num_symbols), seen, t)
        p = self.back(self(x, seen, t), seen, t).masked_fill(q == 0, 1.0)  # 0 log 0 is 0, and so is its gradient
        return (torch.xlogy(q, q) - torch.xlogy(q, p)).sum((-2, -1))

    def draw(self, x: Tensor) -> Tensor:
        y = torch.randint_like(x, self.num_symbols)
        for step in range(self.num_steps, 0, -1):
            t = torch.full((len(x),), step, device=x.device)
            law = self.back(self(x, y, t), y, t)
            y = torch.multinomial(law.flatten(0, 1), 1).view_as(x)
        return y
