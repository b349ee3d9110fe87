"""M rollouts together should find all solutions: E_{z_1..z_M} [-mean_{y in S} log 1/M sum_m p(y | h^m)]."""

import math

from torch import Tensor

from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.tasks.base import Batch
from gram_pyro.training.rollout_losses.base import Near, RolloutLoss
from gram_pyro.training.rollout_losses.set_likelihood import set_loss


class Cover(RolloutLoss):
    """In the first segment the rollouts of a puzzle should together find all solutions, later each should find one."""

    needs_lists = True

    def label(self, segment: int) -> str:
        return "set_loss" if segment else "cover_loss"

    def __call__(
        self, model: GRAM, batch: Batch, state: State | None, segment: int, num_rollouts: int, near: Near | None
    ) -> tuple[Tensor, State]:
        rows = (model, batch.x, batch.solutions, batch.valid, state)
        return set_loss(*rows) if segment else cover_loss(*rows, num_rollouts)


def cover_loss(
    model: GRAM, x: Tensor, solutions: Tensor, valid: Tensor, state: State | None, num_rollouts: int
) -> tuple[Tensor, State]:
    """Run one segment of M rollouts per puzzle that should together find every solution.

        mean_{y in S} log p(y | x, state) >= E_{z_1..z_M ~ prior} mean_{y in S} log 1/M sum_m p(y | h_T^m)

    It is the IWAE bound on the likelihood of a solution drawn uniformly, with the bootstrap guide. The loss is log |S|
    nats if the solutions are divided evenly among the rollouts, and more if the rollouts agree on one.
    Shapes: x [P * M, L], solutions [P * M, N, L], valid [P * M, N]; the rows of a puzzle are consecutive.
    Returns: loss, a scalar in nats per puzzle; the final state, detached.
    """
    state = model.reason(x, state)
    each = model.readout.log_prob_each(state, x, solutions).unflatten(0, (-1, num_rollouts))  # [P, M, N]
    log_p = each.logsumexp(1) - math.log(num_rollouts)
    valid = valid[::num_rollouts]
    loss = -(log_p.masked_fill(~valid, 0.0).sum(-1) / valid.sum(-1)).mean()
    return loss, state.detach()
