"""A guess, then a few gradient steps: the mean of another Gaussian guide, moved uphill at every single latent.

    m <- m + rate sigma^2 grad_m [log p(y | h = u_t + m) + log p(m | u_t)]            num_steps times

The step is the natural gradient of a Gaussian's mean for the segment bound as if transition t were its last, taken at
the mean of q; for the last transition that is the bound's own term, for earlier ones a look one step ahead. sigma is
left as guessed. Nothing is drawn, so q is a function of (u_t, y). The inner guide learns as if the move were constant.
The steps converge while rate sigma^2 is below twice the prior's variance, as it is unless q is wider than the prior.

Cost: per latent and step one readout and one prior density, forward and backward; no pass of the core.
"""

from collections.abc import Callable

import pyro.distributions as dist
import torch
from torch import Tensor

from gram_pyro.guide import Guide, family
from gram_pyro.model import GRAM
from gram_pyro.networks.core import State


class SemiAmortised(Guide):
    """Args: model; inner, what builds a guide of diagonal Gaussians from the model; num_steps; rate.

    Raises: ValueError unless num_steps >= 1 and rate > 0, and if the inner guide gives another law.
    Source: after semi-amortised VAEs (Kim et al. 2018), without their gradient through the steps.
    """

    def __init__(self, model: GRAM, inner: Callable[[GRAM], Guide], num_steps: int = 2, rate: float = 0.5) -> None:
        super().__init__(model)
        if num_steps < 1 or rate <= 0:
            raise ValueError(
                f"num_steps={num_steps}, rate={rate} came, and at least 1 step of a positive rate is needed"
            )
        self.q_inner, self.num_steps, self.rate = inner(model), num_steps, rate

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        guess = self.q_inner.posterior(u, y, prior, t)
        normal = getattr(guess, "base_dist", guess)
        if not isinstance(normal, dist.Normal):
            raise ValueError(
                f"guide=semi_amortised refines the mean of a Gaussian, and the inner guide gave {family(guess)}"
            )
        mean, variance = normal.loc.detach(), normal.scale.detach().square()
        for _ in range(self.num_steps):
            mean = mean + self.rate * variance * self._slope(u.detach(), y, prior, mean)
        return dist.Normal(normal.loc + (mean - normal.loc).detach(), normal.scale).to_event(2)

    @torch.enable_grad()
    def _slope(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, mean: Tensor) -> Tensor:
        """Gradient of log p(y | u + m) + log p(m | u) in m, nats per unit."""
        mean = mean.detach().requires_grad_()
        args, kwargs = getattr(self, "args_kwargs", ((), {}))  # there is no call where a law is asked for by itself
        x = args[0] if args else kwargs.get("x")
        answer = self.model.readout(State(u + mean, u), x).log_prob(y)  # the readout sees h; there is no l yet
        return torch.autograd.grad((answer + prior.log_prob(mean)).sum(), mean)[0]
