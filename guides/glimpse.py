"""A guide that sees a few cells of the target at a time, so that the answer's information enters over many transitions.

    m_i = 1 where frac(1000 |<w_i, mean_cells u_t>|) < r, else 0,   w_i drawn once from N(0, 1)
    q(z_t | u_t, y) = inner(z_t | u_t, y'),   y'_i = y_i where m_i = 1, else blank

A guide that sees the whole target encodes all of it in the first transition. A prior that draws the latents of the
cells independently cannot match that: it would have to draw a consistent answer in one step. It can match a few cells
at a time.

The choice of cells is pseudo-random: it is a function of the fractional digits of u_t. So the law is a function of
(u_t, y, t), as every caller that evaluates it twice needs, and the bound is exact. prior=glimpsed knows the choice too.
"""

from collections.abc import Callable

import pyro.distributions as dist
import torch
from torch import Tensor

from gram_pyro.guide import Guide
from gram_pyro.model import GRAM
from gram_pyro.priors.glimpsed import glimpse

BLANK = 0  # the symbol of an unknown cell in every task


class Glimpse(Guide):
    """Args: model; inner, a function from the model to a guide; share r of the cells seen at a transition.

    Raises: ValueError unless 0 < r <= 1.  Source: ours; after masked diffusion, whose forward process hides cells.
    """

    def __init__(self, model: GRAM, inner: Callable[[GRAM], Guide], share: float = 0.12) -> None:
        super().__init__(model)
        if not 0 < share <= 1:
            raise ValueError(
                f"got share={share}; expected the share of cells seen at a transition, above 0 and at most 1"
            )
        self.q_inner, self.share = inner(model), share

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        seen = torch.where(glimpse(u.detach(), y.shape[-1], self.share), y, BLANK)
        return self.q_inner.posterior(u, seen, prior, t)
