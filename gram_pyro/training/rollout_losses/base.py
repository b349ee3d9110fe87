"""What a rollout loss is, and what several of them share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from torch import Tensor

from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.tasks.base import Batch

Near = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # (x, log_prob) -> solutions, valid: see ImplicitTask.near


class RolloutLoss(ABC):
    """Attributes: needs_lists, whether all solutions of a puzzle have to be known."""

    needs_lists: bool = False

    @abstractmethod
    def label(self, segment: int) -> str:
        """What the loss of a segment is called in the log. Segments of one label run the same operations."""

    @abstractmethod
    def __call__(
        self, model: GRAM, batch: Batch, state: State | None, segment: int, num_rollouts: int, near: Near | None
    ) -> tuple[Tensor, State]:
        """Run one segment of prior rollouts from `state`.

        Shapes: rows of a puzzle stand together, M = `num_rollouts` of each: batch.x [P M, L].
        Returns: loss, a scalar in nats per row; the state it ends in, detached.
        """


def log_p_right(
    model: GRAM, x: Tensor, solutions: Tensor, valid: Tensor, state: State, near: Near | None
) -> tuple[Tensor, Tensor]:
    """log p(S | h) of every row, and whether a solution of its puzzle is known, both [B].

    Where `near` is given, S is what it finds; a row for which it finds nothing has any finite number.
    """
    if near is not None:
        solutions, valid = near(x, model.readout(state, x).base_dist.logits.detach())
        solutions = solutions.where(valid[..., None], model.readout.answer(state, x)[:, None])
    found = valid.any(-1)
    return model.readout.log_prob_of_set(state, x, solutions, valid | ~found[:, None]), found


def of_known(model: GRAM, batch: Batch, state: State) -> Iterator[tuple[Tensor, Tensor]]:
    """log p(y | h) of the answers that are known for a puzzle, puzzle by puzzle: those listed for any row of it.

    A puzzle may stand in many rows: rollouts side by side, or the blank board of all that is to be generated, whose
    rows bring an answer each. Of a batch that is trained on part by part (train.accumulate, several processes) the rows
    of a part alone count.
    Returns: for each puzzle its rows [R], and log p [R, N] of its N distinct answers, nats.
    """
    _, owner = batch.x.unique(dim=0, return_inverse=True)
    for puzzle in range(int(owner.max()) + 1):
        rows = (owner == puzzle).nonzero().flatten()
        answers = batch.solutions[rows][batch.valid[rows]].unique(dim=0)
        each = answers.expand(len(rows), *answers.shape)
        yield rows, model.readout.log_prob_each(state.select(rows), batch.x[rows], each)
