"""Noise whose scale depends on the state and whose mean is zero: z_t ~ N(0, diag sigma^2(u_t)).

The latent can express how certain a trajectory is, but not in which direction it should move.
"""

import pyro.distributions as dist
import torch
from torch import Tensor

from gram_pyro.distributions.gaussian import positive, shift_for
from gram_pyro.networks.layers import SwiGLU
from gram_pyro.priors.base import Prior


class ZeroMean(Prior):
    """Args: dim D; hidden; scale: initial deviation of every channel.

    It lies between `standard` (fixed scale) and `gaussian` (learned mean too).  Source: ours, after paper Table 3b.
    """

    def __init__(self, dim: int, hidden: int = 64, scale: float = 0.3) -> None:
        super().__init__()
        self.raw_scale, self.shift = SwiGLU(dim, hidden, dim), shift_for(scale)
        torch.nn.init.zeros_(self.raw_scale.down.weight)

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        return dist.Normal(u.new_zeros(u.shape), positive(self.raw_scale(u).to(u.dtype), self.shift)).to_event(2)
