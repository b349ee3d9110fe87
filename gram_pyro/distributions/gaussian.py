"""The diagonal Gaussian head of the paper's prior and guide.

z ~ N(mu(u), diag sigma^2(u)),  sigma = 0.001 + softplus(raw(u) + c),  sigma(0) = `scale`
"""

import math

import pyro.distributions as dist
from torch import Tensor, nn
from torch.nn import functional as F

from gram_pyro.networks.layers import SwiGLU

SMALLEST_SCALE = 1e-3


def shift_for(scale: float) -> float:
    """The c for which `positive` gives `scale` where the network returns 0."""
    return math.log(math.expm1(scale - SMALLEST_SCALE))


def positive(raw: Tensor, shift: float) -> Tensor:
    """A positive scale, 0.001 + softplus(raw + c)."""
    return SMALLEST_SCALE + F.softplus(raw + shift)


class GaussianHead(nn.Module):
    """Two SwiGLU networks, one for the mean and one for the scale; both return 0 at the start.

    Shapes: [..., L, D_in] -> batch [...], event [L, D].  Source: paper Eq. 8 and Table 4; the map to a positive scale
    and the initial scale are ours, for the paper does not state them.
    """

    def __init__(self, dim_in: int, hidden: int, dim: int, scale: float) -> None:
        super().__init__()
        self.loc, self.raw_scale = SwiGLU(dim_in, hidden, dim), SwiGLU(dim_in, hidden, dim)
        self.shift = shift_for(scale)
        for net in (self.loc, self.raw_scale):
            nn.init.zeros_(net.down.weight)

    compiles = ("moments",)

    def moments(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation."""
        scale = positive(self.raw_scale(features).to(features.dtype), self.shift)
        return self.loc(features).to(features.dtype), scale

    def forward(self, features: Tensor) -> dist.TorchDistribution:
        return dist.Normal(*self.moments(features)).to_event(2)
