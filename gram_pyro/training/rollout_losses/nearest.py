"""Every rollout is trained on the nearest of the known answers: E_z [-max_{y known} log p(y | h)].

If everything is generated from one blank puzzle, the known answers are those of all rows of the batch. All rollouts may
then have the same nearest answer; see `assignment`.  Source: ours.
"""

import torch
from torch import Tensor

from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.tasks.base import Batch
from gram_pyro.training.rollout_losses.base import Near, RolloutLoss, of_known


class Nearest(RolloutLoss):
    """The nearest of the answers that the batch lists for the puzzle; `near` is not used."""

    def label(self, segment: int) -> str:
        return "nearest_loss"

    def __call__(
        self, model: GRAM, batch: Batch, state: State | None, segment: int, num_rollouts: int, near: Near | None
    ) -> tuple[Tensor, State]:
        state = model.reason(batch.x, state)
        each = [log_p.amax(-1) for _, log_p in of_known(model, batch, state)]
        return -torch.cat(each).mean(), state.detach()
