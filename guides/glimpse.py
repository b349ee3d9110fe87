"""A guide that sees a few cells of the target at a time, so that an answer of many nats arrives over many transitions.

    m_i = 1 where frac(1000 |<w_i, mean_cells u_t>|) < r, else 0,   w_i drawn once from N(0, 1)
    q(z_t | u_t, y) = inner(z_t | u_t, y'),   y'_i = y_i where m_i = 1, else blank

A guide that sees all of the target tells all of it in the first transition, and a prior that draws the latents of cells
apart cannot follow: it has to invent in one step what only fits together. A little at a time, it can.

Which cells are seen is as good as random, yet a function of the state: the digits of u_t behind the point are the
draw. So the law stays a function of (u_t, y, t), as everything that runs it twice relies on, and the bound is exact.
"""

from collections.abc import Callable
from functools import cache

import pyro.distributions as dist
import torch
from torch import Tensor

from gram_pyro.guide import Guide
from gram_pyro.model import GRAM

BLANK = 0  # the symbol of an unknown cell in every task
PERIODS = 1000.0  # of m per unit of the state: latents of any size used here move it through many


class Glimpse(Guide):
    """Args: model; inner, what builds a guide from the model; share r of the cells seen at a transition.

    Raises: ValueError unless 0 < r <= 1.  Source: ours; after masked diffusion, whose forward process hides cells.
    """

    def __init__(self, model: GRAM, inner: Callable[[GRAM], Guide], share: float = 0.12) -> None:
        super().__init__(model)
        if not 0 < share <= 1:
            raise ValueError(f"share={share} must be above 0 and at most 1, the share of cells seen at a transition")
        self.q_inner, self.share = inner(model), share

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        seen = torch.where(glimpse(u.detach(), y.shape[-1], self.share), y, BLANK)
        return self.q_inner.posterior(u, seen, prior, t)


def glimpse(u: Tensor, num_cells: int, share: float) -> Tensor:
    """Which cells are seen from a state.  Shapes: u [..., L', D] -> [..., num_cells] bool."""
    with torch.autocast(u.device.type, enabled=False):  # bf16 has no digits behind the point here
        phase = PERIODS * u.float().mean(-2) @ directions(u.shape[-1], num_cells, u.device)
    return phase.frac().abs() < share


@cache
def directions(dim: int, num_cells: int, device: torch.device) -> Tensor:
    """The w_i, always the same ones, [D, num_cells]."""
    return torch.randn(dim, num_cells, generator=torch.Generator().manual_seed(0), dtype=torch.float32).to(device)
