"""A core with a canvas: the first channels of every token keep what latents have drawn, and the core reads it.

    u_t = [c_{t-1}, f(h_{t-1}, e + read(c_{t-1}))_{C..D}],   h_t = u_t + z_t
    c_t the first C channels of h_t,   c_0 = 0

The blocks of a core end in a norm, so what a latent adds to its state is faint after a transition or two. A canvas
holds it for good. It is read as the puzzle is: `read` is an embedding of the drawn symbols, and of blanks where nothing
is drawn.  Source: ours; the word is DRAW's (arXiv:1502.04623).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gram_pyro.networks.core import Core, State
from gram_pyro.networks.embed import Embedding
from gram_pyro.networks.patches import whole


class Canvas(Core):
    """Args: inner, a function that builds the core; read, one that builds an embedding; dim D; num_symbols V, columns
    of an image and patch P, so that C = V P^2: a channel for every symbol of the P^2 cells of a token; the others as
    for the inner core.

    Raises: ValueError unless 0 < C < D.
    """

    def __init__(
        self,
        inner: Callable[..., Core],
        read: Callable[..., Embedding],
        dim: int,
        num_symbols: int,
        columns: int = 1,
        patch: int = 1,
        **kwargs: object,
    ) -> None:
        super().__init__()
        self.num_symbols, self.columns, self.patch = num_symbols, columns, patch
        self.num_channels = num_symbols * patch**2
        if not 0 < self.num_channels < dim:
            raise ValueError(
                f"got a canvas of {self.num_channels} channels ({num_symbols} symbols of {patch**2} cells) and "
                f"dim={dim}; expected from 1 channel to {dim - 1}, which leaves some for the state; write a larger dim"
            )
        self.inner, self.read = inner(dim=dim, **kwargs), read(num_symbols=num_symbols + 1, dim=dim)
        self.starts_at_random = self.inner.starts_at_random

    def init(self, e: Tensor) -> State:
        start = self.inner.init(e)
        return self.keep(torch.zeros_like(e), start)

    def predict(self, e: Tensor, state: State) -> State:
        return self.keep(state.h, self.inner.predict(e + self.read(self.drawn(state.h)), state))

    def perturb(self, state: State, z: Tensor) -> State:
        return self.inner.perturb(state, z)

    def drawn(self, h: Tensor) -> Tensor:
        """The symbols on the canvas, 0 where there is none.  Shapes: [..., S, D] -> [..., L] int."""
        cells = h[..., : self.num_channels].detach().unflatten(-1, (-1, self.num_symbols))
        most, symbols = cells.max(-1)
        return whole(torch.where(most > 0, symbols + 1, 0), self.columns, self.patch)

    def keep(self, h: Tensor, new: State) -> State:
        """The new state with the canvas of h."""
        channels = self.num_channels
        return new._replace(h=torch.cat([h[..., :channels], new.h[..., channels:]], -1))
