"""The recursive core: the deterministic part of a transition.

l_{t,k} = f_L(l_{t,k-1} + h_{t-1} + e),  k = 1..K          paper Eq. 6, streams summed as in B.1
u_t     = f_H(h_{t-1} + l_{t,K})                             paper Eq. 7
h_t     = u_t + z_t                                         paper Eq. 9
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gram_pyro.networks.layers import Block, Mixer


class State(NamedTuple):
    """What one transition hands to the next.  Shapes: h, l [..., L, D]."""

    h: Tensor
    l: Tensor  # noqa: E741 - the paper's symbol

    def detach(self) -> "State":
        return State(self.h.detach(), self.l.detach())

    def select(self, index: Tensor) -> "State":
        """Rows of the first dimension."""
        return State(self.h[index], self.l[index])


class Core(nn.Module, ABC):
    """One shared transition. Every method accepts any leading dimensions and never mixes them."""

    starts_at_random: bool = False  # True: `init` draws a random state, so trajectories differ even without noise

    @abstractmethod
    def init(self, e: Tensor) -> State:
        """The initial state of a trajectory.  Shapes: e [..., L, D]."""

    @abstractmethod
    def predict(self, e: Tensor, state: State) -> State:
        """The deterministic part of a transition: a state whose h is u_t."""

    def perturb(self, state: State, z: Tensor) -> State:
        """Add the latent: h_t = u_t + z_t."""
        return State(state.h + z, state.l)


class Blocks(nn.Sequential):
    """A stack of blocks over L cells, the networks f_L and f_H.  Args: as for the cores below."""

    def __init__(
        self, dim: int, num_cells: int, relations: Tensor | None, mixer: Mixer, num_layers: int, hidden: int | None
    ) -> None:
        super().__init__(*(Block(dim, hidden or dim, mixer(dim, num_cells, relations)) for _ in range(num_layers)))
        self.num_cells = num_cells

    def forward(self, x: Tensor) -> Tensor:
        """Under autocast the residual stream between the blocks has half precision too, which halves the memory
        traffic. Double precision is kept, because autocast does not cast double weights.

        Raises: ValueError if the blocks fail on another number of cells; some serve every number.
        """
        kind = x.device.type
        halved = torch.is_autocast_enabled(kind) and x.dtype != torch.float64
        y = x.to(torch.get_autocast_dtype(kind)) if halved else x
        try:
            return super().forward(y).to(x.dtype)
        except (RuntimeError, AttributeError) as problem:  # a product of other shapes; no constraints of this size
            if x.shape[-2] == self.num_cells or isinstance(problem, torch.OutOfMemoryError):
                raise
            raise ValueError(
                f"got puzzles of {x.shape[-2]} cells; expected {self.num_cells}, for which the core was built; write "
                "puzzles of its task"
            ) from problem


class Hierarchical(Core):
    """K fast updates of l, then one slow update of h; separate weights f_L and f_H.  Source: paper; as HRM.

    The initial state is one D-vector per stream, the same in every cell. It is drawn once and stored with the weights,
    as in HRM and TRM.

    Args: dim D; num_cells L; relations [R, L, L] or None; mixer over cells; num_layers of f_L and of f_H;
    num_updates K; hidden D_h of the SwiGLU.
    """

    def __init__(
        self,
        dim: int,
        num_cells: int,
        relations: Tensor | None,
        mixer: Mixer,
        num_layers: int = 2,
        num_updates: int = 2,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.num_updates = num_updates
        self.low = Blocks(dim, num_cells, relations, mixer, num_layers, hidden)
        self.high = Blocks(dim, num_cells, relations, mixer, num_layers, hidden)
        self.register_buffer("h0", torch.randn(dim))
        self.register_buffer("l0", torch.randn(dim))

    def init(self, e: Tensor) -> State:
        return State(self.h0.expand_as(e), self.l0.expand_as(e))

    def predict(self, e: Tensor, state: State) -> State:
        context = state.h + e
        low = state.l
        for _ in range(self.num_updates):
            low = self.low(low + context)
        return State(self.high(state.h + low), low)


def tiny(**kwargs: object) -> Hierarchical:
    """The same recursion with one network for both streams, f_L = f_H.  Source: TRM (arXiv:2510.04871).

    Args: as Hierarchical.
    """
    core = Hierarchical(**kwargs)
    core.high = core.low
    return core


class Flat(Core):
    """No hierarchy: u = f(h + e), applied K times; l is not used.  Source: Looped Transformer, paper Table 3a.

    Args: as Hierarchical.
    """

    def __init__(
        self,
        dim: int,
        num_cells: int,
        relations: Tensor | None,
        mixer: Mixer,
        num_layers: int = 2,
        num_updates: int = 1,
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.num_updates = num_updates
        self.net = Blocks(dim, num_cells, relations, mixer, num_layers, hidden)
        self.register_buffer("h0", torch.randn(dim))

    def init(self, e: Tensor) -> State:
        return State(self.h0.expand_as(e), torch.zeros_like(e))

    def predict(self, e: Tensor, state: State) -> State:
        h = state.h
        for _ in range(self.num_updates):
            h = self.net(h + e)
        return State(h, state.l)


class DirectPrediction(Hierarchical):
    """The latent is the next state, h_t = z_t, not a correction of the predicted one.  Source: paper Table 3b.

    Args: as Hierarchical.
    """

    def perturb(self, state: State, z: Tensor) -> State:
        return State(z, state.l)
