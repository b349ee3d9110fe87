"""The guide equals the prior: q(z_t | u_t, y) = p(z_t | u_t). It learns nothing and its KL is zero."""

import pyro.distributions as dist
from torch import Tensor

from gram_pyro.guide import Guide


class Bootstrap(Guide):
    """The baseline for guides, and the guide for a noiseless prior.  Source: the bootstrap particle filter."""

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        return prior
