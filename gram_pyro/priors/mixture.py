"""A mixture per puzzle: z_t ~ sum_c w_c(u_t) N(mu_c(u_t), diag sigma_c^2(u_t)), one component c for all cells.

    w(u) = softmax(mean over cells of W u),   mu_c(u_cell), sigma_c(u_cell) = head(u_cell + v_c)

All cells share the component because it stands for the choice of a solution, which is a property of the whole answer. A
component per cell would be L independent choices, which need not agree.
"""

import pyro.distributions as dist
import torch
from torch import Size, Tensor, nn

from gram_pyro.distributions.gaussian import GaussianHead
from gram_pyro.networks.layers import Linear
from gram_pyro.priors.base import Prior


class ReparameterisedMixture(dist.MixtureSameFamily):
    """MixtureSameFamily of Independent normals whose draws carry a gradient.

    The gradient for means and scales is exact. That for the weights is straight-through, hence biased, as for every
    draw of a category. The density and its gradients are exact.
    """

    has_rsample = True

    def rsample(self, sample_shape: Size = torch.Size()) -> Tensor:  # noqa: B008 - torch's signature
        normal = self.component_distribution.base_dist  # batch [..., C, L, D]
        logits = self.mixture_distribution.logits
        pick = dist.OneHotCategoricalStraightThrough(logits=logits).rsample(sample_shape)
        noise = torch.randn_like(normal.loc.select(-3, 0).expand(*sample_shape, *self.batch_shape, *self.event_shape))
        return (pick[..., None, None] * (normal.loc + normal.scale * noise.unsqueeze(-3))).sum(-3)


class Mixture(Prior):
    """Args: dim D; num_components C; hidden; scale: initial deviation of every component.

    At the start all components are the same Gaussian. Their codes v_c differ, so they become different as they learn.
    The KL has no closed form; use objective=mean_field or trace_elbo.  Source: ours.
    """

    def __init__(self, dim: int, num_components: int = 4, hidden: int = 64, scale: float = 0.3) -> None:
        super().__init__()
        self.head, self.weights = GaussianHead(dim, hidden, dim, scale), Linear(dim, num_components)
        self.code = nn.Parameter(torch.randn(num_components, 1, dim))
        nn.init.zeros_(self.weights.weight)

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        weights = dist.Categorical(logits=self.weights(u.mean(-2)).to(u.dtype))
        return ReparameterisedMixture(weights, self.head(u.unsqueeze(-3) + self.code))
