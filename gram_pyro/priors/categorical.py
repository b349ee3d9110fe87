"""Discrete latents: in every cell D / C one-hot vectors of C channels each, z_t in {0, 1}^(L x D).

    p(z | u) = prod_groups p_group[z],   p_group = (1 - m) softmax(logits(u)) + m / C                         m = 0.01

log_prob is a probability mass, not a density. So KL and ELBO are those of a model with discrete latents, in nats, and
the bound on log p(y | x) is exact. The *gradient* through a draw is straight-through, hence biased under every
objective that treats draws as reparameterised; objective=rws passes no gradient through draws.
Source: DreamerV3 (arXiv:2301.04104).
"""

import pyro.distributions as dist
import torch
from torch import Size, Tensor, nn
from torch.distributions import constraints, kl_divergence, register_kl

from gram_pyro.networks.layers import SwiGLU
from gram_pyro.priors.base import Prior


class OneHotGroups(constraints.Constraint):
    """Every group of `num_classes` channels of every cell is a one-hot vector."""

    is_discrete, event_dim = True, 2

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes

    def check(self, value: Tensor) -> Tensor:
        return constraints.one_hot.check(value.unflatten(-1, (-1, self.num_classes))).all(-1).all(-1)


class OneHots(dist.TorchDistribution):
    """Independent one-hot groups side by side.  Shapes: logits [..., L, G, C] -> batch [...], event [L, G C]."""

    arg_constraints = {}
    has_rsample = True  # straight-through

    def __init__(self, logits: Tensor) -> None:
        self._set(dist.OneHotCategoricalStraightThrough(logits=logits).to_event(2))

    def _set(self, groups: dist.TorchDistribution) -> None:
        self.groups = groups
        num_cells, num_groups, num_classes = groups.event_shape
        super().__init__(groups.batch_shape, Size([num_cells, num_groups * num_classes]), validate_args=False)

    def expand(self, batch_shape: Size, _instance: "OneHots | None" = None) -> "OneHots":
        new = self._get_checked_instance(OneHots, _instance)
        new._set(self.groups.expand(batch_shape))
        return new

    @property
    def logits(self) -> Tensor:
        return self.groups.base_dist.logits

    @property
    def support(self) -> constraints.Constraint:
        return OneHotGroups(self.groups.event_shape[-1])

    def rsample(self, sample_shape: Size = torch.Size()) -> Tensor:  # noqa: B008 - torch's signature
        return self.groups.rsample(sample_shape).flatten(-2)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.groups.log_prob(value.unflatten(-1, self.groups.event_shape[-2:]))


@register_kl(OneHots, OneHots)
def _kl_one_hots(q: OneHots, p: OneHots) -> Tensor:
    return kl_divergence(q.groups, p.groups)


class Categorical(Prior):
    """Args: dim D; num_classes C, which divides D; hidden; uniform: the weight m of the uniform law in every group, so
    that every latent keeps a positive probability. The prior starts uniform. Train it with guide=categorical.

    Raises: ValueError if C does not divide D, or unless 0 < m < 1.
    """

    def __init__(self, dim: int, num_classes: int = 8, hidden: int = 64, uniform: float = 0.01) -> None:
        super().__init__()
        if dim % num_classes:
            raise ValueError(
                f"got num_classes={num_classes}; expected a divisor of dim={dim}: a cell holds whole groups of channels"
            )
        if not 0 < uniform < 1:
            raise ValueError(
                f"got uniform={uniform}; expected a number between 0 and 1: at 0 a latent could get probability 0"
            )
        self.num_classes, self.uniform = num_classes, uniform
        self.net = SwiGLU(dim, hidden, dim)
        nn.init.zeros_(self.net.down.weight)

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        probs = self.net(u).to(u.dtype).unflatten(-1, (-1, self.num_classes)).softmax(-1)
        return OneHots(((1 - self.uniform) * probs + self.uniform / self.num_classes).log())
