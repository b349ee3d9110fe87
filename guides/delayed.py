"""A delayed guide: the prior in the first m segments of a trajectory, then another guide.

    q = p(z_t | u_t) in segments 0 .. m - 1 (KL zero),   q = inner(z_t | u_t, y) from segment m on

Later segments then train on states that prior rollouts reach, not on states that contain the answer. The index of the
segment is an argument of every call, guide(x, y, state, segment): neither a count of calls (a segment may take several
calls) nor the state gives it.
"""

from collections.abc import Callable

import pyro.distributions as dist
from torch import Tensor

from gram_pyro.guide import Guide
from gram_pyro.model import GRAM


class Delayed(Guide):
    """Args: model; inner, a function from the model to a guide; num_segments m that use the prior.

    Where guides are nested, this one must be the outermost.
    Raises: ValueError unless m >= 1.  Source: ours.
    """

    def __init__(self, model: GRAM, inner: Callable[[GRAM], Guide], num_segments: int = 1) -> None:
        super().__init__(model)
        if num_segments < 1:
            raise ValueError(
                f"got num_segments={num_segments}; expected 1 or more; for no delay write the inner guide itself"
            )
        self.q_inner, self.num_segments = inner(model), num_segments

    def posterior(self, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int) -> dist.TorchDistribution:
        """The posterior in segments from m on."""
        return self.q_inner.posterior(u, y, prior, t)

    def posterior_in(
        self, segment: int, u: Tensor, y: Tensor, prior: dist.TorchDistribution, t: int
    ) -> dist.TorchDistribution:
        return prior if segment < self.num_segments else self.posterior(u, y, prior, t)
