"""A guide with a density of any shape: the concat guide's Gaussian, transformed by coupling layers given [u_t, e_y].

    z_t = f_{u, y}(eps),  eps ~ N(mu([u_t, e_y]), diag sigma^2([u_t, e_y])),  f the identity at the start

log q is exact. The KL has no closed form; use objective=trace_elbo, or mean_field, which then estimates it.
"""

import pyro.distributions as dist
import torch
from torch import Tensor

from gram_pyro.distributions.coupling import CouplingFlow
from gram_pyro.distributions.gaussian import GaussianHead
from gram_pyro.guide import Guide
from gram_pyro.model import GRAM


class Flow(Guide):
    """Args: model; dim D, even; num_layers; hidden; scale: initial deviation.

    Source: Rezende & Mohamed 2015; the layers are RealNVP's.
    """

    def __init__(self, model: GRAM, dim: int, num_layers: int = 2, hidden: int = 64, scale: float = 0.3) -> None:
        super().__init__(model)
        self.q_embed = model.embed.for_target()
        self.q_head = GaussianHead(2 * dim, hidden, dim, scale)
        self.q_flow = CouplingFlow(dim, 2 * dim, hidden, num_layers)

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        features = torch.cat([u, self.q_embed(y).to(u.dtype).expand_as(u)], dim=-1)
        return self.q_flow(self.q_head(features), features)
