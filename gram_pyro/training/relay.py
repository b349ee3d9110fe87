"""Trajectories of different ages in one batch: a puzzle that is solved makes room for the next.

    in every segment, as long as puzzles of the new batch wait, these leave the rollout rows:
        the puzzles of which all M rollouts are right,
        then the oldest, as many as it takes for all that wait to come in by the last segment

The plain trainer runs N segments of each puzzle: most of them after it is solved, or too few. Here N segments still
take in one batch. So a puzzle stays N segments on average: an easy one less, a hard one more. A step of the optimiser
sees states of all ages, where it saw states of one.

Source: ours; a row that goes on until it halts: HRM (arXiv:2506.21734), TRM (arXiv:2510.04871).
"""

import math
from collections import Counter

import torch
from torch import Tensor

from gram_pyro.networks.core import State
from gram_pyro.tasks.base import Batch
from gram_pyro.training.batch_parts import Part
from gram_pyro.training.parallel import parts
from gram_pyro.training.trainer import Rows, Trainer


class Relay(Trainer):
    """A trainer whose rollout rows go on from one batch to the next.

    They are not stored in checkpoints: after a resume all begin together. Parts of a batch and processes each have rows
    of their own, so here their number changes the results.
    Raises: ValueError if the rollout loss is another one in the first segment.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        if self.rollout_loss.label(0) != self.rollout_loss.label(1):
            raise ValueError(
                f"got train.relay=true with rollout_loss={type(self.rollout_loss).__name__}, which is another loss in "
                "the first segment; expected one loss, for a relay has rows of all ages; write rollout_loss=set or "
                "rollout_loss=multi_sample"
            )
        self.runners: list[Runners] = []

    def rows(self, batch: Batch) -> list[Rows]:
        if self.runners:
            for runners in self.runners:
                runners.receive(batch)
        else:
            self.runners = [Runners(self, batch, part) for part in parts(self.settings.accumulate)]
        return self.runners


class Runners(Rows):
    """Rows whose puzzles come and go. They stand in the order in which they came.

    Attributes, per puzzle: solved, whether all its rollouts were right at the end of the last segment; name, which no
    other puzzle has. waiting, the rows of puzzles that are still to come. ends, of every segment of this batch, which
    trajectory each row is of and whether its answer was right; shown, the indices of those of the states in `seen`.
    """

    def __init__(self, trainer: Trainer, batch: Batch, part: Part) -> None:
        super().__init__(trainer, batch, part)
        self.name = torch.arange(len(self.rollouts.x) // self.each, device=batch.x.device)
        self.solved = torch.zeros_like(self.name, dtype=torch.bool)
        self.waiting = Batch(*(t[:0] for t in self.rollouts))
        self.ends: list[tuple[Tensor, Tensor]] = []
        self.shown: list[int] = []

    def receive(self, batch: Batch) -> None:
        """Begin new guided rows, and let the puzzles of the rollout rows wait."""
        fresh = Rows(self.trainer, batch, self.part)
        self.guided, self.guided_state, self.waiting = fresh.guided, fresh.guided_state, fresh.rollouts
        self.seen, self.ends, self.shown, self.sums, self.counts = [], [], [], {}, Counter()
        self.make_room(self.trainer.settings.num_segments)

    def show(self, segment: int) -> None:
        super().show(segment)
        if len(self.shown) < len(self.seen):
            self.shown.append(len(self.ends))
        right = self.are_right(self.rollout_state, self.rollouts)
        self.ends.append((self.rows_of(self.name), right))
        self.solved = right.unflatten(0, (-1, self.each)).all(-1)
        left = self.trainer.settings.num_segments - 1 - segment
        if left:
            self.make_room(left)

    @torch.no_grad()
    def make_room(self, left: int) -> None:
        """Replace puzzles, if `left` more segments are to take in all that wait."""
        waiting = len(self.waiting.x) // self.each
        count = min(waiting, max(math.ceil(waiting / left), int(self.solved.sum())))
        if not count:
            return
        stay = self.solved.argsort(descending=True, stable=True)[count:].sort().values
        rows = self.rows_of(stay)
        come = Batch(*(t[: count * self.each] for t in self.waiting))
        self.waiting = Batch(*(t[count * self.each :] for t in self.waiting))
        self.rollouts = joined(Batch(*(t[rows] for t in self.rollouts)), come)
        pairs = zip(self.rollout_state.select(rows), self.trainer.model.start(come.x), strict=True)
        self.rollout_state = State(*(torch.cat([kept, begun.to(kept)]) for kept, begun in pairs))
        names = torch.arange(count, device=stay.device) + 1 + self.name.max()
        self.name = torch.cat([self.name[stay], names])

    def rows_of(self, puzzles: Tensor) -> Tensor:
        """The indices of the rollouts of puzzles.  Shapes: [P] -> [P M]."""
        return (self.each * puzzles[:, None] + torch.arange(self.each, device=puzzles.device)).flatten()

    def right(self) -> tuple[Tensor, Tensor]:
        """As for `Rows`. A trajectory ends when its puzzle leaves, or for now with this batch."""
        first = self.ends[0][0].min()
        last = torch.zeros(int(self.ends[-1][0].max() - first) + 1, dtype=torch.bool, device=first.device)
        for trajectories, right in self.ends:
            last[trajectories - first] = right
        shown = [self.ends[index] for index in self.shown]
        return torch.stack([right for _, right in shown]), torch.stack([last[which - first] for which, _ in shown])


def joined(one: Batch, other: Batch) -> Batch:
    """The rows of two batches. Their lists of solutions are padded to one length."""
    length = max(one.valid.shape[1], other.valid.shape[1])
    return Batch(*map(torch.cat, zip(one.padded(length), other.padded(length), strict=True)))
