"""Every rollout is trained on its own answer: E_{z_1..z_R} [-max_a 1/R sum_r log p(y_a(r) | h^r)].

a assigns to each of the R rollouts of a puzzle one of its N known answers, none more than ceil(R / N) times, so that
the total log-probability is largest.  Source: ours; scipy.optimize.linear_sum_assignment.
"""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.tasks.base import Batch
from gram_pyro.training.rollout_losses.base import Near, RolloutLoss, of_known


class Assignment(RolloutLoss):
    """The best assignment of the rows of a puzzle to the answers that the batch lists for it; `near` is not used.

    A CUDA graph cannot record it, because the assignment is computed on the CPU.
    """

    def label(self, segment: int) -> str:
        return "assignment_loss"

    def __call__(
        self, model: GRAM, batch: Batch, state: State | None, segment: int, num_rollouts: int, near: Near | None
    ) -> tuple[Tensor, State]:
        state = model.reason(batch.x, state)
        each = [log_p.gather(-1, assigned(log_p)) for _, log_p in of_known(model, batch, state)]
        return -torch.cat(each).mean(), state.detach()


def assigned(log_p: Tensor) -> Tensor:
    """The answer of every row in the assignment with the largest sum.  Shapes: log_p [R, N] -> [R, 1] int64."""
    rows, answers = log_p.shape
    places = log_p.detach().double().repeat(1, -(-rows // answers))  # every answer as often as it may be used
    found = linear_sum_assignment(places.clamp(min=-1e9).cpu(), maximize=True)[1] % answers
    return torch.from_numpy(found).to(log_p.device)[:, None]
