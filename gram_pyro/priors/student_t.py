"""Heavy tails: z_t ~ StudentT(nu, mu(u_t), diag s(u_t)), channel by channel. Large steps are more frequent."""

import math

import pyro.distributions as dist
from torch import Tensor

from gram_pyro.distributions.gaussian import GaussianHead
from gram_pyro.priors.base import Prior


class StudentT(Prior):
    """Args: dim D; df nu > 2, fixed; hidden; scale: initial standard deviation, sqrt(nu / (nu - 2)) times s.

    The KL from a Gaussian has no closed form; train with objective=mean_field or trace_elbo.
    Raises: ValueError unless df > 2, where the deviation is finite.  Source: ours.
    """

    def __init__(self, dim: int, df: float = 4.0, hidden: int = 64, scale: float = 0.3) -> None:
        super().__init__()
        if df <= 2:
            raise ValueError(f"got df={df}; expected more than 2, so that the deviation is finite")
        self.df, self.head = df, GaussianHead(dim, hidden, dim, scale * math.sqrt((df - 2) / df))

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        normal = self.head(u).base_dist
        return dist.StudentT(self.df, normal.loc, normal.scale).to_event(2)
