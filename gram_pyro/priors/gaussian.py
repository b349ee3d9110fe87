"""Learned diagonal Gaussian: z_t ~ N(mu(u_t), diag sigma^2(u_t)).  Source: paper Eq. 8."""

import pyro.distributions as dist
from torch import Tensor

from gram_pyro.distributions.gaussian import GaussianHead
from gram_pyro.priors.base import Prior


class Gaussian(Prior):
    """The paper's prior.  Args: dim D; hidden D_h of the two heads (paper: 512); scale: initial deviation."""

    def __init__(self, dim: int, hidden: int = 64, scale: float = 0.3) -> None:
        super().__init__()
        self.head = GaussianHead(dim, hidden, dim, scale)

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        return self.head(u)
