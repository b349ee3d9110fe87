"""A correction of the prior: q(z_t | u_t, y) is the law of m + delta + f (z' - m), z' ~ p(z_t | u_t) with mean m.

    delta, f = nets([u_t, e_y]),   f = exp(3 tanh(raw / 3)), between 1/20 and 20;   delta = 0 and f = 1 at the start

For the paper's prior that is N(m + delta, (f sigma)^2). Under every prior the KL is exactly 0 at the start, and q has
the prior's family (its tails, components and correlations). The guide shares what the prior learns.
"""

import pyro.distributions as dist
import torch
from pyro.distributions.transforms import AffineTransform
from torch import Tensor, nn

from gram_pyro.guide import Guide
from gram_pyro.model import GRAM
from gram_pyro.networks.layers import SwiGLU


class Residual(Guide):
    """Args: model; dim D; hidden. The prior must be continuous; m is 0 where its mean has no closed form. The KL has a
    closed form under a diagonal Gaussian prior; under others use objective=mean_field or trace_elbo.

    Source: ours, after the ladder VAE (Sonderby et al. 2016), where the posterior corrects the prior too.
    """

    def __init__(self, model: GRAM, dim: int, hidden: int = 64) -> None:
        super().__init__(model)
        self.q_embed = model.embed.for_target()
        self.q_shift, self.q_factor = SwiGLU(2 * dim, hidden, dim), SwiGLU(2 * dim, hidden, dim)
        for net in (self.q_shift, self.q_factor):
            nn.init.zeros_(net.down.weight)

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        features = torch.cat([u, self.q_embed(y).to(u.dtype).expand_as(u)], dim=-1)
        delta, raw = self.q_shift(features).to(u.dtype), self.q_factor(features).to(u.dtype)
        factor = torch.exp(3 * torch.tanh(raw / 3))
        normal = getattr(prior, "base_dist", prior)
        if isinstance(normal, dist.Normal):  # a Normal, not a transformed law, so that the KL has a closed form
            return dist.Normal(normal.loc + delta, normal.scale * factor).to_event(2)
        move = AffineTransform(delta + (1 - factor) * centre(prior, u), factor, event_dim=2)
        return dist.TransformedDistribution(prior, [move])


def centre(law: dist.TorchDistribution, u: Tensor) -> Tensor:
    """The mean of a law, or 0 where it has no closed form."""
    try:
        return law.mean
    except NotImplementedError:
        return torch.zeros_like(u)
