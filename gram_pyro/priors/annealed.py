"""A schedule over the transitions of a segment: z_t ~ N(mu(u_t), (f_t sigma(u_t))^2) for an inner Gaussian prior.

t counts within a segment, so the schedule starts again in each: with f = (2, 1) the first transition of every segment
has twice the deviation. For the first segments of a trajectory at sampling time see sampler=hot_start.
"""

from collections.abc import Sequence

import pyro.distributions as dist
from torch import Tensor

from gram_pyro.priors.base import Prior


class Annealed(Prior):
    """Args: inner, a prior of diagonal Gaussians; factors f_0, f_1, ..., all positive; the last one is kept.

    Raises: ValueError unless there are factors and all are positive, and if the inner law is not a diagonal Gaussian.
    Source: ours.
    """

    def __init__(self, inner: Prior, factors: Sequence[float] = (2.0, 1.0)) -> None:
        super().__init__()
        if not factors or min(factors) <= 0:
            raise ValueError(f"got factors={list(factors)}; expected at least one, all positive; write [2.0, 1.0], say")
        self.inner, self.factors = inner, tuple(factors)

    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        law = self.inner(u, t)
        normal = getattr(law, "base_dist", law)
        if not isinstance(normal, dist.Normal):
            raise ValueError(
                f"got an inner prior that gives {type(normal).__name__}; expected a diagonal Gaussian, whose deviation "
                "prior=annealed scales; write inner=gaussian, or another such prior"
            )
        factor = self.factors[min(t, len(self.factors) - 1)]
        return dist.Normal(normal.loc, factor * normal.scale).to_event(2)
