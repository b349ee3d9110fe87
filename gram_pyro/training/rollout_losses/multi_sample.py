"""Some of M rollouts of a puzzle should be right: E_{z_1..z_M} [-log 1/M sum_m p(S | h^m)]."""

import math

from torch import Tensor

from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.tasks.base import Batch
from gram_pyro.training.rollout_losses.base import Near, RolloutLoss, log_p_right


class MultiSample(RolloutLoss):
    """Some rollouts of a puzzle should be right, so rollouts may differ in what they try."""

    def label(self, segment: int) -> str:
        return "multi_sample_loss"

    def __call__(
        self, model: GRAM, batch: Batch, state: State | None, segment: int, num_rollouts: int, near: Near | None
    ) -> tuple[Tensor, State]:
        return multi_sample_loss(model, batch.x, batch.solutions, batch.valid, state, num_rollouts, near)


def multi_sample_loss(
    model: GRAM,
    x: Tensor,
    solutions: Tensor,
    valid: Tensor,
    state: State | None,
    num_rollouts: int,
    near: Near | None = None,
) -> tuple[Tensor, State]:
    """Run one segment of M rollouts per puzzle, some of which should be right.

        log p(S | x, state_1..state_M) >= E_{z_1..z_M ~ prior} log 1/M sum_m sum_{y in S} p(y | h_T^m)

    `set_loss` asks every rollout to be right, so an uncertain rollout does best to spread its probability. Here it does
    best to commit to an answer, as long as others commit to other answers. With M = 1 both losses are equal.
    Shapes, returns: as `cover_loss`, with nats per puzzle.
    """
    state = model.reason(x, state)
    right, found = log_p_right(model, x, solutions, valid, state, near)
    right, found = (row.unflatten(0, (-1, num_rollouts)) for row in (right, found))
    known = right.masked_fill(~found, -math.inf).where(found.any(-1, keepdim=True), 0.0)
    each = known.logsumexp(-1) - found.sum(-1).clamp(min=1).log()
    return -each.where(found.any(-1), 0.0).mean(), state.detach()
