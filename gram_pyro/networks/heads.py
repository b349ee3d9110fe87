"""Two heads that judge a state: is its answer right, and will the last answer be right?

    halt(h_n)  = P(the answer of segment n is right)                 when to stop                     paper Eq. 15
    value(h_n) = P(the answer of the last segment is right)          which trajectory to select       paper Eq. 16

Both are trained by cross-entropy on detached states of *prior* rollouts. They do not change the model, and learn the
mistakes of the prior. The paper reads the first token of h and fits squared errors; here no cell is the first, and
a probability is fitted by its likelihood.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gram_pyro.networks.core import State
from gram_pyro.networks.layers import SwiGLU


class HeadLogits(NamedTuple):
    """Logits of the two probabilities.  Shapes: [...]."""

    halt: Tensor
    value: Tensor


class Heads(nn.Module):
    """logit = b - log sum_cells exp(badness(h_cell)): one bad cell makes the answer wrong.

    Args: dim D; hidden.  Shapes: state with h [..., L, D] -> two logits [...].  Source: the form is ours; on 6x6 Sudoku
    it is better calibrated than a linear map of the mean of h, and far better than one of its first cell.
    """

    def __init__(self, dim: int, hidden: int = 64) -> None:
        super().__init__()
        self.badness = SwiGLU(dim, hidden, 2)
        self.bias = nn.Parameter(torch.full((2,), 3.0))

    compiles = ("logits",)

    def logits(self, h: Tensor) -> Tensor:
        """Both logits, [..., 2]."""
        return self.bias - self.badness(h).to(h.dtype).logsumexp(-2)

    def forward(self, state: State) -> HeadLogits:
        return HeadLogits(*self.logits(state.h.detach()).unbind(-1))


def heads_loss(heads: Heads, states: Sequence[State], right: Tensor, at_end: Tensor) -> Tensor:
    """Cross-entropy of both heads over rollouts of N segments, a scalar in nats per state.

    Shapes: N states with h [B, L, D], the ends of segments; right [N, B] bool, whether their answers are right;
    at_end [N, B] bool, whether those that end their trajectories are.
    """
    logits = HeadLogits(*map(torch.stack, zip(*map(heads, states), strict=True)))
    halt = F.binary_cross_entropy_with_logits(logits.halt, right.to(logits.halt.dtype))
    value = F.binary_cross_entropy_with_logits(logits.value, at_end.to(logits.value.dtype))
    return halt + value
