"""Readout: the likelihood p(y | h_T), and the probability it gives to a whole set of solutions.

p(y | h)     = prod_cells softmax(W h_cell)[y_cell]          paper B.1 (linear head of its Table 4)
p(y | h, x)  = the same where a clue of x keeps its symbol   ours: a clue is known, and no answer may overwrite it
p(S | h)     = sum_{y in S} p(y | h)                         ours
"""

from abc import ABC, abstractmethod

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from gram_pyro.networks.core import State
from gram_pyro.networks.layers import Linear


class Readout(nn.Module, ABC):
    """Turns a state into the law of the answer.

    Every method also takes the puzzle x [B, L]. A clue of x keeps its symbol, in the law and in the answer. With x=None
    the law depends on the state alone.
    """

    answers_at_random: bool = False  # True: `answer` draws an answer

    @abstractmethod
    def forward(self, state: State, x: Tensor | None = None) -> dist.TorchDistribution:
        """A law with batch shape [...] and event shape [L]."""

    def trained(self, state: State, x: Tensor) -> dist.TorchDistribution:
        """The law of y in the program, hence in the bound that is trained: by default the one above."""
        return self(state, x)

    @abstractmethod
    def answer(self, state: State, x: Tensor | None = None) -> Tensor:
        """The most probable answer, [..., L]."""

    def log_prob_each(self, state: State, x: Tensor | None, solutions: Tensor) -> Tensor:
        """log p(y | h) of M answers per puzzle.  Shapes: solutions [B, M, L] -> [..., B, M], nats."""
        law = self(state, x)
        values = solutions.movedim(-2, 0)  # [M, B, L], so that the law broadcasts over M
        values = values.reshape(len(values), *(1,) * (len(law.batch_shape) - 1), *values.shape[1:])
        return law.log_prob(values).movedim(0, -1)

    def log_prob_of_set(self, state: State, x: Tensor | None, solutions: Tensor, valid: Tensor) -> Tensor:
        """log p(S | h) = log sum_{y in S} p(y | h), the probability that the answer is right.

        Shapes: solutions [B, M, L], valid [B, M] (False: padding) -> [..., B], nats.
        """
        return self.log_prob_each(state, x, solutions).masked_fill(~valid, -torch.inf).logsumexp(-1)


def clamp(logits: Tensor, x: Tensor) -> Tensor:
    """Logits under which every clue of x has probability 1.  Shapes: [..., B, L, V], [B, L] -> [..., B, L, V].

    Raises: ValueError if the logits are not those of the cells of x.
    """
    if logits.shape[-2] != x.shape[-1]:
        raise ValueError(
            f"got logits for {logits.shape[-2]} cells and a puzzle of {x.shape[-1]}; expected as many; if the tokens "
            "are candidates, write readout=candidates"
        )
    symbols = torch.arange(logits.shape[-1], device=x.device)
    contradicts = (x[..., None] != 0) & (x[..., None] != symbols)
    return logits.masked_fill(contradicts, -torch.inf)


class CategoricalReadout(Readout):
    """Independent categorical cells.  Shapes: h [..., L, D] -> batch [...], event [L], V symbols."""

    def __init__(self, dim: int, num_symbols: int) -> None:
        super().__init__()
        self.logits = Linear(dim, num_symbols)

    def scores(self, state: State, x: Tensor | None) -> Tensor:
        """Logits of every symbol, [..., L, V], before the clues of x are fixed."""
        return self.logits(state.h).to(state.h.dtype)

    def clamped(self, state: State, x: Tensor | None) -> Tensor:
        """Logits of every symbol, [..., L, V], with the clues of x fixed."""
        scores = self.scores(state, x)
        return scores if x is None else clamp(scores, x)

    def forward(self, state: State, x: Tensor | None = None) -> dist.TorchDistribution:
        return dist.Categorical(logits=self.clamped(state, x)).to_event(1)

    def answer(self, state: State, x: Tensor | None = None) -> Tensor:
        return self.clamped(state, x).argmax(-1)

    def log_prob_each(self, state: State, x: Tensor | None, solutions: Tensor) -> Tensor:
        # As in the base class, without a copy of the logits per solution: four times as fast with hundreds of them.
        logits = self(state, x).base_dist.logits
        num_symbols = logits.shape[-1]
        places = solutions + num_symbols * torch.arange(solutions.shape[-1], device=solutions.device)
        places = places.flatten(-2).expand(*logits.shape[:-2], -1)  # [..., B, M L] into [..., B, L V]
        return logits.flatten(-2).gather(-1, places).unflatten(-1, solutions.shape[-2:]).sum(-1)


class CluesCount(CategoricalReadout):
    """The same, trained with p(y | h) of all cells, clues too, as in the paper: the state then has to hold what is
    given. p(y | h) is at most p(y | h, x), so the bound that is trained is a lower one.
    """

    def trained(self, state: State, x: Tensor) -> dist.TorchDistribution:
        return self(state)
