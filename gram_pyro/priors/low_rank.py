"""Correlated cells: z_t ~ N(mu(u_t), W(u_t) W(u_t)' + diag sigma^2(u_t)) over all L x D numbers of a latent.

The R columns of W are directions of the whole latent, and R numbers are drawn per puzzle. The covariance matrix is
never formed: a draw costs O(L D R), an exact density O(L D R^2 + R^3) by the matrix determinant and inversion lemmas.
"""

import pyro.distributions as dist
import torch
from torch import Size, Tensor
from torch.distributions import constraints

from gram_pyro.distributions.gaussian import GaussianHead
from gram_pyro.networks.layers import SwiGLU
from gram_pyro.priors.base import Prior


class LowRankNormal(dist.TorchDistribution):
    """LowRankMultivariateNormal with event [L, D]. bf16 autocast is off inside: it would round the Cholesky factor.

    Shapes: loc, scale [..., L, D], factor [..., L, D, R].
    """

    arg_constraints = {}
    support = constraints.independent(constraints.real, 2)
    has_rsample = True

    def __init__(self, loc: Tensor, factor: Tensor, scale: Tensor) -> None:
        with full_precision(loc):
            flat = dist.LowRankMultivariateNormal(loc.flatten(-2), factor.flatten(-3, -2), scale.square().flatten(-2))
        self._set(flat, loc.shape[-2:])

    def _set(self, flat: dist.LowRankMultivariateNormal, event_shape: Size) -> None:
        self.flat = flat
        super().__init__(flat.batch_shape, event_shape, validate_args=False)

    def expand(self, batch_shape: Size, _instance: "LowRankNormal | None" = None) -> "LowRankNormal":
        new = self._get_checked_instance(LowRankNormal, _instance)
        new._set(self.flat.expand(batch_shape), self.event_shape)
        return new

    @property
    def mean(self) -> Tensor:
        return self.flat.mean.unflatten(-1, self.event_shape)

    @property
    def variance(self) -> Tensor:
        return self.flat.variance.unflatten(-1, self.event_shape)

    def rsample(self, sample_shape: Size = torch.Size()) -> Tensor:  # noqa: B008 - torch's signature
        with full_precision(self.flat.loc):
            return self.flat.rsample(sample_shape).unflatten(-1, self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        with full_precision(value):
            return self.flat.log_prob(value.flatten(-2))


def full_precision(tensor: Tensor) -> torch.autocast:
    return torch.autocast(tensor.device.type, enabled=False)


class LowRank(Prior):
    """Args: dim D; rank R; hidden; scale: initial deviation of the diagonal part, and bound on every entry of W.

    W starts random, because its gradient is zero at W = 0. The KL from a diagonal guide has no closed form here; use
    objective=mean_field or trace_elbo.  Source: ours.
    """

    def __init__(self, dim: int, rank: int = 4, hidden: int = 64, scale: float = 0.3) -> None:
        super().__init__()
        self.rank, self.scale = rank, scale
        self.head, self.factor = GaussianHead(dim, hidden, dim, scale), SwiGLU(dim, hidden, dim * rank)

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        normal = self.head(u).base_dist
        factor = self.scale * torch.tanh(self.factor(u).to(u.dtype)).unflatten(-1, (-1, self.rank))
        return LowRankNormal(normal.loc, factor, normal.scale)
