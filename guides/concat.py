"""The paper's guide: a diagonal Gaussian computed from the predicted state and an embedding of the target.

q(z_t | u_t, y) = N(mu([u_t, e_y]), diag sigma^2([u_t, e_y]))
"""

import pyro.distributions as dist
import torch
from torch import Tensor

from gram_pyro.distributions.gaussian import GaussianHead
from gram_pyro.guide import Guide
from gram_pyro.model import GRAM


class Concat(Guide):
    """Args: model; dim D; hidden D_h; scale: initial standard deviation (the prior's).

    Source: paper Eq. 12. The paper does not state how y enters; concatenation is what its reproductions do.
    """

    def __init__(self, model: GRAM, dim: int, hidden: int = 64, scale: float = 0.3) -> None:
        super().__init__(model)
        self.q_embed = model.embed.for_target()
        self.q_head = GaussianHead(2 * dim, hidden, dim, scale)

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        return self.q_head(torch.cat([u, self.q_embed(y).to(u.dtype).expand_as(u)], dim=-1))
