"""Every prior rollout should be right: E_z [-log p(S | h)]."""

from torch import Tensor

from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.tasks.base import Batch
from gram_pyro.training.rollout_losses.base import Near, RolloutLoss, log_p_right


class Set(RolloutLoss):
    """Every rollout should be right."""

    def label(self, segment: int) -> str:
        return "set_loss"

    def __call__(
        self, model: GRAM, batch: Batch, state: State | None, segment: int, num_rollouts: int, near: Near | None
    ) -> tuple[Tensor, State]:
        return set_loss(model, batch.x, batch.solutions, batch.valid, state, near)


def set_loss(
    model: GRAM, x: Tensor, solutions: Tensor, valid: Tensor, state: State | None, near: Near | None = None
) -> tuple[Tensor, State]:
    """Run one segment: every latent is drawn from the prior, and any solution is right.

        log p(S | x, state) >= E_{z ~ prior} log sum_{y in S} p(y | h_T)

    It is the segment ELBO of the event "the answer is a solution" with the bootstrap guide, so its KL is zero. S are
    the listed solutions, or those that `near` finds (see ImplicitTask); a puzzle for which it finds none adds 0.
    Returns: loss, a scalar in nats per puzzle; the final state, detached.
    """
    state = model.reason(x, state)
    right, found = log_p_right(model, x, solutions, valid, state, near)
    return -right.where(found, 0.0).mean(), state.detach()
