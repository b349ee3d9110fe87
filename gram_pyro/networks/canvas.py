"""A core with a canvas: the first channels of every token keep what latents have told, and no update changes them.

    u_t = [c_{t-1}, f(h_{t-1})_{C..D}],   h_t = u_t + z_t,   c_0 = 0,   c_t the first C channels of h_t

The blocks of a core end in a norm, so what a latent adds to its state is faint after a transition or two. A canvas
holds it for good, and the core reads it at every transition.  Source: ours; the word is DRAW's (arXiv:1502.04623).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gram_pyro.networks.core import Core, State


class Canvas(Core):
    """Args: inner, a function that builds the core; dim D; num_symbols V and patch P, so that C = V P^2: a channel for
    every symbol of the P^2 cells of a token; the others as for the inner core.

    Raises: ValueError unless 0 < C < D.
    """

    def __init__(
        self, inner: Callable[..., Core], dim: int, num_symbols: int, patch: int = 1, **kwargs: object
    ) -> None:
        super().__init__()
        self.num_channels = num_symbols * patch**2
        if not 0 < self.num_channels < dim:
            raise ValueError(
                f"got a canvas of {self.num_channels} channels ({num_symbols} symbols of {patch**2} cells) and "
                f"dim={dim}; expected from 1 channel to {dim - 1}, which leaves some for the state; write a larger dim"
            )
        self.inner = inner(dim=dim, **kwargs)
        self.starts_at_random = self.inner.starts_at_random

    def init(self, e: Tensor) -> State:
        start = self.inner.init(e)
        return self.keep(torch.zeros_like(e), start)

    def predict(self, e: Tensor, state: State) -> State:
        return self.keep(state.h, self.inner.predict(e, state))

    def perturb(self, state: State, z: Tensor) -> State:
        return self.inner.perturb(state, z)

    def keep(self, h: Tensor, new: State) -> State:
        """The new state with the canvas of h."""
        channels = self.num_channels
        return new._replace(h=torch.cat([h[..., :channels], new.h[..., channels:]], -1))
