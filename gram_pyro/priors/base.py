"""A prior is a law of the latent z_t given the predicted state u_t."""

from abc import ABC, abstractmethod

import pyro.distributions as dist
from torch import Tensor, nn


class Prior(nn.Module, ABC):
    """p(z_t | u_t).

    To add one: subclass, return a law with the event dims declared, check it with `gram_pyro.contract.check_prior`, run
    it with ``prior._target_=my_module.MyPrior``. Training runs under bf16 autocast, in which linear maps return bf16:
    cast their results to ``u.dtype`` before building the law.
    """

    is_point_mass: bool = False  # True: all trajectories of a puzzle are the same, and sampling runs one of them
    num_steps: int | None = None  # of a prior whose trajectories end: the transitions they take; they may be set

    @abstractmethod
    def forward(self, u: Tensor, t: int) -> dist.TorchDistribution:
        """The law of z_t.  Shapes: u [..., L, D] -> batch [...], event [L, D]; t counts within the segment."""
