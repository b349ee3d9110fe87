"""Noise that does not depend on the state: z_t ~ N(0, scale^2).  Source: paper Table 3b, "stochasticity only"."""

import pyro.distributions as dist
from torch import Tensor

from gram_pyro.priors.base import Prior


class Standard(Prior):
    """Args: scale, fixed.  Raises: ValueError unless it is positive."""

    def __init__(self, scale: float = 0.3) -> None:
        super().__init__()
        if scale <= 0:
            raise ValueError(f"got scale={scale}; expected a positive number; for no noise write prior=noiseless")
        self.scale = scale

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        return dist.Normal(u.new_zeros(u.shape), u.new_full(u.shape, self.scale)).to_event(2)
