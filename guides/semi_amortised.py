"""Semi-amortised: at every latent, the mean of another Gaussian guide is improved by a few gradient steps.

    m <- m + rate sigma^2 grad_m [log p(y | h = u_t + m) + log p(m | u_t)]            num_steps times

A step follows the natural gradient of a Gaussian's mean, taken at the mean of q, of the segment bound as if transition
t were the last. For the last transition that is the term of the bound itself; for earlier ones, one step of lookahead.
sigma does not change. Nothing is drawn, so q is a function of (u_t, y). The inner guide learns as if the steps were
constant. The steps converge while rate sigma^2 is below twice the prior's variance, which holds unless q is wider
than the prior.

Cost per latent and step: one readout and one prior density, forward and backward; no pass of the core.
"""

from collections.abc import Callable

import pyro.distributions as dist
import torch
from torch import Tensor

from gram_pyro.guide import Guide, family
from gram_pyro.model import GRAM
from gram_pyro.networks.core import State


class SemiAmortised(Guide):
    """Args: model; inner, a function from the model to a guide of diagonal Gaussians; num_steps; rate.

    Raises: ValueError unless num_steps >= 1 and rate > 0, and if the inner guide gives another law.
    Source: after semi-amortised VAEs (Kim et al. 2018), without their gradient through the steps.
    """

    def __init__(self, model: GRAM, inner: Callable[[GRAM], Guide], num_steps: int = 2, rate: float = 0.5) -> None:
        super().__init__(model)
        if num_steps < 1 or rate <= 0:
            raise ValueError(f"got num_steps={num_steps}, rate={rate}; expected 1 step or more, and a positive rate")
        self.q_inner, self.num_steps, self.rate = inner(model), num_steps, rate

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        guess = self.q_inner.posterior(u, y, prior, t)
        normal = getattr(guess, "base_dist", guess)
        if not isinstance(normal, dist.Normal):
            raise ValueError(
                f"got an inner guide that gives {family(guess)}; expected a diagonal Gaussian, whose mean "
                "guide=semi_amortised refines; write another inner guide, such as concat"
            )
        mean, variance = normal.loc.detach(), normal.scale.detach().square()
        for _ in range(self.num_steps):
            mean = mean + self.rate * variance * self._slope(u.detach(), y, prior, mean)
        return dist.Normal(normal.loc + (mean - normal.loc).detach(), normal.scale).to_event(2)

    @torch.enable_grad()
    def _slope(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, mean: Tensor) -> Tensor:
        """Gradient of log p(y | u + m) + log p(m | u) in m, nats per unit."""
        mean = mean.detach().requires_grad_()
        args, kwargs = getattr(self, "args_kwargs", ((), {}))  # there is no call if `posterior` is called by itself
        x = args[0] if args else kwargs.get("x")
        answer = self.model.readout(State(u + mean, u), x).log_prob(y)  # the readout reads h; l is not known yet
        return torch.autograd.grad((answer + prior.log_prob(mean)).sum(), mean)[0]
