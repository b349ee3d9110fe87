"""A flow: z_t = f_{u_t}(eps), eps ~ N(mu(u_t), diag sigma^2(u_t)), f coupling layers over the channels given u_t.

The density may have any shape, and cells may depend on each other. Draws and densities are exact, one pass each.
"""

import pyro.distributions as dist
from torch import Tensor

from gram_pyro.distributions.coupling import CouplingFlow
from gram_pyro.distributions.gaussian import GaussianHead
from gram_pyro.priors.base import Prior


class Flow(Prior):
    """Args: dim D, even; num_layers; hidden; scale: initial deviation. It starts as the paper's prior.

    Its mean has no closed form, so tempering refuses it and guide=residual takes 0 instead. Nor has its KL; use
    objective=mean_field or trace_elbo.  Raises: as `CouplingFlow`.  Source: ours.
    """

    def __init__(self, dim: int, num_layers: int = 2, hidden: int = 64, scale: float = 0.3) -> None:
        super().__init__()
        self.head, self.flow = GaussianHead(dim, hidden, dim, scale), CouplingFlow(dim, dim, hidden, num_layers)

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        return self.flow(self.head(u), u)
