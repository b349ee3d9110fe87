"""What prior rollouts are trained on: the share rho of the rows whose latents all come from the prior.

    set            every rollout should be right:       E_z [-log p(S | h)]
    multi_sample   of M rollouts of a puzzle one:       E_{z_1..z_M} [-log 1/M sum_m p(S | h^m)]
    cover          M rollouts share S out among them:   E_{z_1..z_M} [-mean_{y in S} log 1/M sum_m p(y | h^m)]
                   in the first segment, where a solution is chosen; then `set`

p(S | h) = sum_{y in S} p(y | h) is the probability that the answer is right. M = `train.rollouts_per_puzzle`. The three
are bounds, ordered as they stand: on log p(S | x), the same but tighter, and on the likelihood of a solution drawn
uniformly. To add one: subclass RolloutLoss, and run it with ``rollout_loss._target_=my_module.MyLoss``.  Source: ours.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

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


class Set(RolloutLoss):
    """Every rollout should be right."""

    def label(self, segment: int) -> str:
        return "set_loss"

    def __call__(
        self, model: GRAM, batch: Batch, state: State | None, segment: int, num_rollouts: int, near: Near | None
    ) -> tuple[Tensor, State]:
        return set_loss(model, batch.x, batch.solutions, batch.valid, state, near)


class MultiSample(RolloutLoss):
    """Of the rollouts of a puzzle, some should be right, so they may differ in what they try."""

    def label(self, segment: int) -> str:
        return "multi_sample_loss"

    def __call__(
        self, model: GRAM, batch: Batch, state: State | None, segment: int, num_rollouts: int, near: Near | None
    ) -> tuple[Tensor, State]:
        return multi_sample_loss(model, batch.x, batch.solutions, batch.valid, state, num_rollouts, near)


class Cover(RolloutLoss):
    """The rollouts of a puzzle are asked for all its solutions in the first segment, later each for one of them."""

    needs_lists = True

    def label(self, segment: int) -> str:
        return "set_loss" if segment else "cover_loss"

    def __call__(
        self, model: GRAM, batch: Batch, state: State | None, segment: int, num_rollouts: int, near: Near | None
    ) -> tuple[Tensor, State]:
        rows = (model, batch.x, batch.solutions, batch.valid, state)
        return set_loss(*rows) if segment else cover_loss(*rows, num_rollouts)


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


def set_loss(
    model: GRAM, x: Tensor, solutions: Tensor, valid: Tensor, state: State | None, near: Near | None = None
) -> tuple[Tensor, State]:
    """One free segment: every latent is drawn from the prior, and any solution counts: the listed ones, or those that
    `near` finds (see ImplicitTask; a puzzle for which it finds none counts for nothing).

        log p(S | x, state) >= E_{z ~ prior} log sum_{y in S} p(y | h_T)

    It is the segment ELBO of the event "the answer is a solution" with the bootstrap guide, so its KL is zero.
    Returns: loss, a scalar in nats per puzzle; the final state, detached.
    """
    state = model.reason(x, state)
    right, found = log_p_right(model, x, solutions, valid, state, near)
    return -right.where(found, 0.0).mean(), state.detach()


def multi_sample_loss(
    model: GRAM,
    x: Tensor,
    solutions: Tensor,
    valid: Tensor,
    state: State | None,
    num_rollouts: int,
    near: Near | None = None,
) -> tuple[Tensor, State]:
    """One free segment of M rollouts per puzzle of which some should be right.

        log p(S | x, state_1..state_M) >= E_{z_1..z_M ~ prior} log 1/M sum_m sum_{y in S} p(y | h_T^m)

    `set_loss` asks every rollout to be right, so one that is unsure does best to hedge; here it does best to commit, as
    long as others commit otherwise. With M = 1 they are the same.
    Shapes, returns: as `cover_loss`, with nats per puzzle.
    """
    state = model.reason(x, state)
    right, found = log_p_right(model, x, solutions, valid, state, near)
    right, found = (row.unflatten(0, (-1, num_rollouts)) for row in (right, found))
    known = right.masked_fill(~found, -math.inf).where(found.any(-1, keepdim=True), 0.0)
    each = known.logsumexp(-1) - found.sum(-1).clamp(min=1).log()
    return -each.where(found.any(-1), 0.0).mean(), state.detach()


def cover_loss(
    model: GRAM, x: Tensor, solutions: Tensor, valid: Tensor, state: State | None, num_rollouts: int
) -> tuple[Tensor, State]:
    """One free segment of M rollouts per puzzle that are asked, together, for every solution.

        mean_{y in S} log p(y | x, state) >= E_{z_1..z_M ~ prior} mean_{y in S} log 1/M sum_m p(y | h_T^m)

    It is the IWAE bound on the likelihood of a solution drawn uniformly, with the bootstrap guide: log |S| nats where
    the rollouts share the solutions out evenly, more where they agree on one.
    Shapes: rows of a puzzle stand together: x [P * M, L], solutions [P * M, N, L], valid [P * M, N].
    Returns: loss, a scalar in nats per puzzle; the final state, detached.
    """
    state = model.reason(x, state)
    each = model.readout.log_prob_each(state, x, solutions).unflatten(0, (-1, num_rollouts))  # [P, M, N]
    log_p = each.logsumexp(1) - math.log(num_rollouts)
    valid = valid[::num_rollouts]
    loss = -(log_p.masked_fill(~valid, 0.0).sum(-1) / valid.sum(-1)).mean()
    return loss, state.detach()
