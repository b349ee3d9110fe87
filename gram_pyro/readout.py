"""Readout: the likelihood p(y | h_T), and the probability it gives to a whole set of solutions.

p(y | h)  = prod_cells softmax(W h_cell)[y_cell]             paper B.1 (linear head of its Table 4)
p(S | h)  = sum_{y in S} p(y | h)                            ours
"""

from abc import ABC, abstractmethod

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from gram_pyro.core import State
from gram_pyro.layers import Linear


class Readout(nn.Module, ABC):
    """Turns a state into the law of the answer."""

    answers_at_random: bool = False  # True: `answer` draws

    @abstractmethod
    def forward(self, state: State) -> dist.TorchDistribution:
        """A law with batch shape [...] and event shape [L]."""

    @abstractmethod
    def answer(self, state: State) -> Tensor:
        """The most probable answer, [..., L]."""

    def log_prob_each(self, state: State, solutions: Tensor) -> Tensor:
        """log p(y | h) of M answers per puzzle.  Shapes: solutions [B, M, L] -> [..., B, M], nats."""
        law = self(state)
        values = solutions.movedim(-2, 0)  # [M, B, L], so that the law broadcasts over M
        values = values.reshape(len(values), *(1,) * (len(law.batch_shape) - 1), *values.shape[1:])
        return law.log_prob(values).movedim(0, -1)

    def log_prob_of_set(self, state: State, solutions: Tensor, valid: Tensor) -> Tensor:
        """log p(S | h) = log sum_{y in S} p(y | h), the probability that the answer is right.

        Shapes: solutions [B, M, L], valid [B, M] (False: padding) -> [..., B], nats.
        """
        return self.log_prob_each(state, solutions).masked_fill(~valid, -torch.inf).logsumexp(-1)


class CategoricalReadout(Readout):
    """Independent categorical cells.  Shapes: h [..., L, D] -> batch [...], event [L], V symbols."""

    def __init__(self, dim: int, num_symbols: int) -> None:
        super().__init__()
        self.logits = Linear(dim, num_symbols)

    def forward(self, state: State) -> dist.TorchDistribution:
        return dist.Categorical(logits=self.logits(state.h).to(state.h.dtype)).to_event(1)

    def answer(self, state: State) -> Tensor:
        return self.logits(state.h).argmax(-1)

    def log_prob_each(self, state: State, solutions: Tensor) -> Tensor:
        # The same as above without a copy of the logits for every solution: four times as fast with hundreds of them.
        logits = self(state).base_dist.logits
        num_symbols = logits.shape[-1]
        places = solutions + num_symbols * torch.arange(solutions.shape[-1], device=solutions.device)
        places = places.flatten(-2).expand(*logits.shape[:-2], -1)  # [..., B, M L] into [..., B, L V]
        return logits.flatten(-2).gather(-1, places).unflatten(-1, solutions.shape[-2:]).sum(-1)
