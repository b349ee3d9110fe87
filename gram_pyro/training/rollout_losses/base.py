"""The base of rollout losses, and functions that several of them share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from torch import Tensor

from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.tasks.base import Batch

Near = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # (x, log_prob) -> solutions, valid: see ImplicitTask.near


class RolloutLoss(ABC):
    """The loss of a segment of prior rollouts.  Attributes: needs_lists, whether it needs all solutions of a puzzle."""

    needs_lists: bool = False

    @abstractmethod
    def label(self, segment: int) -> str:
        """The name of the loss of a segment in the log. Segments with the same label run the same operations."""

    @abstractmethod
    def __call__(
        self, model: GRAM, batch: Batch, state: State | None, segment: int, num_rollouts: int, near: Near | None
    ) -> tuple[Tensor, State]:
        """Run one segment of prior rollouts from `state`.

        Shapes: batch.x [P M, L]; the M = `num_rollouts` rows of a puzzle are consecutive.
        Returns: loss, a scalar in nats per row; the final state, detached.
        """


def log_p_right(
    model: GRAM, x: Tensor, solutions: Tensor, valid: Tensor, state: State, near: Near | None
) -> tuple[Tensor, Tensor]:
    """log p(S | h) of every row, and whether a solution of its puzzle is known, both [B].

    If `near` is given, S is the set that it finds. A row for which it finds none has an arbitrary finite value.
    """
    if near is not None:
        solutions, valid = near(x, model.readout(state, x).base_dist.logits.detach())
        solutions = solutions.where(valid[..., None], model.readout.answer(state, x)[:, None])
    found = valid.any(-1)
    return model.readout.log_prob_of_set(state, x, solutions, valid | ~found[:, None]), found


def of_known(model: GRAM, batch: Batch, state: State) -> Iterator[tuple[Tensor, Tensor]]:
    """log p(y | h) of the known answers, puzzle by puzzle: those that the batch lists for any row of the puzzle.

    A puzzle may have many rows: its rollouts, or, where boards are generated, all rows with the blank board, each of
    which lists one answer. If a batch is divided (train.accumulate, several processes), only the rows of the same part
    count.
    Yields: for each puzzle its rows [R], and log p [R, N] of its N distinct answers, nats.
    """
    _, owner = batch.x.unique(dim=0, return_inverse=True)
    for puzzle in range(int(owner.max()) + 1):
        rows = (owner == puzzle).nonzero().flatten()
        answers = batch.solutions[rows][batch.valid[rows]].unique(dim=0)
        each = answers.expand(len(rows), *answers.shape)
        yield rows, model.readout.log_prob_each(state.select(rows), batch.x[rows], each)
