"""A guide with its own core: it runs one transition on the target, so that a latent can encode the whole target.

    v = f(e_y, state (u, l_0)),   q(z_t | u_t, y) = N(mu([u_t, v]), diag sigma^2([u_t, v])),   f a core like the model's

At the initial state, a guide that sees one cell of the target per cell can only encode the target cell by cell.
"""

from copy import deepcopy

import pyro.distributions as dist
import torch
from torch import Tensor

from gram_pyro.distributions.gaussian import GaussianHead
from gram_pyro.guide import Guide
from gram_pyro.model import GRAM


class Encoder(Guide):
    """Args: model; dim D; hidden; scale: initial deviation.  The core starts with the weights of the model's core.

    Source: ours.
    """

    def __init__(self, model: GRAM, dim: int, hidden: int = 64, scale: float = 0.3) -> None:
        super().__init__(model)
        self.q_embed = model.embed.for_target()
        self.q_core = deepcopy(model.core)
        self.q_head = GaussianHead(2 * dim, hidden, dim, scale)

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        e = self.q_embed(y).to(u.dtype).expand_as(u)
        seen = self.q_core.predict(e, self.q_core.init(e)._replace(h=u)).h
        return self.q_head(torch.cat([u, seen], dim=-1))
