"""The guide that is the prior: q(z_t | u_t, y) = p(z_t | u_t). Nothing is amortised and the KL is zero."""

import pyro.distributions as dist
from torch import Tensor

from gram_pyro.guide import Guide


class Bootstrap(Guide):
    """The baseline of every guide, and the guide of a noiseless prior.  Source: the bootstrap particle filter."""

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        return prior
