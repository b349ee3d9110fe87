"""A flow: z_t = f_{u_t}(eps), eps ~ N(mu(u_t), diag sigma^2(u_t)), f coupling layers over the channels given u_t.

Any shape of density, and cells that depend on each other; draws and densities are exact and cost one pass each.
"""

import pyro.distributions as dist
from torch import Tensor

from gram_pyro.distributions.coupling import CouplingFlow
from gram_pyro.distributions.gaussian import GaussianHead
from gram_pyro.priors.base import Prior


class Flow(Prior):
    """Args: dim D, even; num_layers; hidden; scale: initial deviation. At the start it is the paper's prior.

    It has no mean in closed form, which tempering and the residual guide ask for, and no closed-form KL:
    objective=mean_field or trace_elbo.  Source: ours.
    """

    def __init__(self, dim: int, num_layers: int = 2, hidden: int = 64, scale: float = 0.3) -> None:
        super().__init__()
        self.head, self.flow = GaussianHead(dim, hidden, dim, scale), CouplingFlow(dim, dim, hidden, num_layers)

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        return self.flow(self.head(u), u)
