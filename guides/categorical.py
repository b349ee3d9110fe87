"""The guide of a categorical prior: the prior's logits plus a correction computed from the target.

    q(z_t | u_t, y) = prod_groups softmax(logits of p(z_t | u_t) + delta([u_t, e_y])),   delta = 0 at the start

The KL has a closed form, in nats between probability masses, and is exactly 0 at the start.
"""

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from gram_pyro.guide import Guide, family
from gram_pyro.model import GRAM
from gram_pyro.networks.layers import SwiGLU
from gram_pyro.priors.categorical import OneHots


class Categorical(Guide):
    """Args: model; dim D; hidden.  Raises: ValueError under any other prior than `categorical`.  Source: ours."""

    def __init__(self, model: GRAM, dim: int, hidden: int = 64) -> None:
        super().__init__(model)
        self.q_embed, self.q_net = model.embed.for_target(), SwiGLU(2 * dim, hidden, dim)
        nn.init.zeros_(self.q_net.down.weight)

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        if not isinstance(prior, OneHots):
            raise ValueError(
                f"got a prior that gives {family(prior)}; expected the one-hot latents of prior=categorical, whose "
                "logits guide=categorical corrects; write prior=categorical, or another guide"
            )
        delta = self.q_net(torch.cat([u, self.q_embed(y).to(u.dtype).expand_as(u)], dim=-1)).to(u.dtype)
        return OneHots(prior.logits + delta.unflatten(-1, prior.logits.shape[-2:]))
