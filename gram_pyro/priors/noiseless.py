"""No noise: z_t = 0, which turns GRAM into a deterministic recursion (Looped Transformer, HRM, TRM)."""

import pyro.distributions as dist
from torch import Tensor

from gram_pyro.priors.base import Prior


class Noiseless(Prior):
    """A point mass at zero. Train it with guide=bootstrap.  Source: paper Table 3, "w/o stochastic guidance"."""

    is_point_mass = True

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        return dist.Delta(u.new_zeros(u.shape)).to_event(2)
