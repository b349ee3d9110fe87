"""Running trajectories: R states that advance segment by segment; some of them may have halted."""

from collections.abc import Callable

import torch
from torch import Tensor

from gram_pyro.inference.finite import Finite
from gram_pyro.model import GRAM
from gram_pyro.networks.core import State

Propose = Callable[[Tensor, State, int], tuple[State, Tensor]]


class Cloud:
    """R trajectories at the same segment.

    Args: propose(index [r], state of those rows, index of the segment) -> their state after the segment, and log p / q
    of the latents drawn ([r], nats); state, the initial one, which is written to; chunk, the number of rows advanced at
    once, which bounds memory; puzzles [R], the puzzle of every row, for messages.

    Attributes: halted [R] bool; depth [R] int64, segments run; change [R], rms of h_n - h_{n-1} of the last segment.
    A halted trajectory leaves the batch: it keeps its state and costs nothing.
    """

    def __init__(self, propose: Propose, state: State, chunk: int, puzzles: Tensor | None = None) -> None:
        num = len(state.h)
        self.propose, self.state, self.chunk, self.segment = propose, state, chunk, 0
        self.puzzles = torch.arange(num, device=state.h.device) if puzzles is None else puzzles
        self.halted = torch.zeros(num, dtype=torch.bool, device=state.h.device)
        self.depth = torch.zeros(num, dtype=torch.int64, device=state.h.device)
        self.change = state.h.new_zeros(num)

    def advance(self) -> Tensor:
        """Run one segment of every trajectory that has not halted.  Returns: log p / q of the latents, [R], nats.

        Raises: FloatingPointError if a number is not finite.
        """
        log_ratio = torch.zeros_like(self.change)
        active = (~self.halted).nonzero().squeeze(1)
        for index in active.split(self.chunk) if len(active) else ():
            before = self.state.select(index)
            with Finite(self.segment + 1, self.puzzles[index]):
                after, log_ratio[index] = self.propose(index, before, self.segment)
            self.change[index] = (after.h - before.h).square().mean((-2, -1)).sqrt().to(self.change.dtype)
            for whole, part in zip(self.state, after, strict=True):
                whole[index] = part.to(whole.dtype)
        self.depth[active] += 1
        self.segment += 1
        return log_ratio

    def select(self, index: Tensor) -> None:
        """Continue from the rows at `index` [R]."""
        self.state = self.state.select(index)
        self.halted, self.depth, self.change = self.halted[index], self.depth[index], self.change[index]

    def read(self, function: Callable[[Tensor, State], Tensor], index: Tensor | None = None) -> Tensor:
        """function(index, state of those rows), `chunk` rows at a time.  Args: index of the rows; None: all rows."""
        index = torch.arange(len(self.halted), device=self.halted.device) if index is None else index
        return torch.cat([function(part, self.state.select(part)) for part in index.split(self.chunk)])


def from_prior(model: GRAM, x: Tensor) -> Propose:
    """Advance by drawing every latent from the prior: p / q is 1.  Shapes: x [R, L]."""

    def propose(index: Tensor, state: State, segment: int) -> tuple[State, Tensor]:
        state = model.reason(x[index], state)
        return state, state.h.new_zeros(len(index))

    return propose
