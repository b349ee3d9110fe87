"""Every cell sees the whole target: its state attends to all target cells before the Gaussian is computed.

    a = softmax(Q u (K (u + e_y))' / sqrt(d)) V e_y,   q(z_t | u_t, y) = N(mu([u_t, e_y + O a]), diag sigma^2(...))

A key contains the state of its cell beside the target, so a query can tell the cells apart. O is zero at the start, so
the guide starts as the concat guide.
"""

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gram_pyro.distributions.gaussian import GaussianHead
from gram_pyro.guide import Guide
from gram_pyro.model import GRAM
from gram_pyro.networks.layers import Linear, check_heads, merge_heads, split_heads


class CrossAttention(Guide):
    """Args: model; dim D; num_heads; hidden; scale: initial deviation.  Raises: ValueError unless num_heads divides D.

    Source: ours.
    """

    def __init__(self, model: GRAM, dim: int, num_heads: int = 4, hidden: int = 64, scale: float = 0.3) -> None:
        super().__init__(model)
        check_heads(dim, num_heads, multiple=1)
        self.num_heads = num_heads
        self.q_embed = model.embed.for_target()
        self.q_query, self.q_key, self.q_value, self.q_out = (Linear(dim, dim) for _ in range(4))
        self.q_head = GaussianHead(2 * dim, hidden, dim, scale)
        nn.init.zeros_(self.q_out.weight)

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        e = self.q_embed(y).to(u.dtype).expand_as(u)
        together = torch.cat([self.q_query(u), self.q_key(u + e), self.q_value(e)], dim=-1)
        seen = merge_heads(F.scaled_dot_product_attention(*split_heads(together, self.num_heads)))
        return self.q_head(torch.cat([u, e + self.q_out(seen).to(u.dtype)], dim=-1))
