"""Deep supervision: a trajectory of N segments, one optimiser step per segment, the state detached in between.

    loss = (1 - rho) E_q[...]: the segment ELBO with y ~ uniform(S(x))   guided rows: they learn to cover S(x)
         + rho  E_prior[-log p(S | h_T)]                                 rollout rows: they learn to end in S(x)

The loss of the rollout rows is a choice, `gram_pyro.training.rollout_losses`; the second line is the default. With
`rollouts_per_puzzle` M > 1 the rollout rows are M rollouts of each of fewer puzzles.

The heads are trained by separate steps after every trajectory, on states of the rollout rows, which are prior rollouts.
Source: paper section 3 for the first line (rho = 0); ours for the second (a share rho of prior rollouts).
"""

from collections import Counter
from collections.abc import Callable
from functools import partial

import torch
from pyro.infer import ELBO
from torch import Tensor, nn

from gram_pyro.guide import Guide
from gram_pyro.inference.sampler import sample
from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.networks.heads import Heads, heads_loss
from gram_pyro.tasks.base import Batch, ImplicitTask
from gram_pyro.training.batch_parts import Part, random_state_kept
from gram_pyro.training.learner import Learner, TrainSettings
from gram_pyro.training.objectives import segment_loss
from gram_pyro.training.parallel import add_up, parts, spread
from gram_pyro.training.rollout_losses import RolloutLoss, Set

HEAD_STATES = 8  # about so many states of a trajectory train the heads, so that memory does not grow with its depth


class Trainer(Learner):
    """Trains a model, its guide and its heads.

    Args: rollout_loss, the loss of rollout rows (None: `Set`); implicit, the task if it cannot list its solutions.
    Raises: ValueError if the rollout loss needs lists of solutions that the task does not have.
    """

    def __init__(
        self,
        model: GRAM,
        guide: Guide,
        heads: Heads,
        objective: ELBO,
        settings: TrainSettings,
        rollout_loss: RolloutLoss | None = None,
        implicit: ImplicitTask | None = None,
    ) -> None:
        super().__init__(nn.ModuleDict({"model": model, "guide": guide, "heads": heads}), settings)
        self.model, self.guide, self.heads, self.objective = model, guide, heads, objective
        self.rollout_loss = rollout_loss or Set()
        if implicit and self.rollout_loss.needs_lists:
            raise ValueError(
                f"got rollout_loss={type(self.rollout_loss).__name__} with the task {type(implicit).__name__}, which "
                "does not list its solutions; expected a loss that needs no lists; write rollout_loss=set or "
                "rollout_loss=multi_sample"
            )
        self.implicit, self.near = implicit, implicit.near if implicit else None
        self.graph: Callable[[Rows, int], None] | None = None  # runs a segment and its step, see cuda_graph.py

    @property
    def averaged(self) -> GRAM:
        return self.ema.module["model"]

    @property
    def averaged_heads(self) -> Heads:
        """The exponential moving average of the heads."""
        return self.ema.module["heads"]

    def sample(self, x: Tensor, num_particles: int, num_segments: int, **options: object) -> Trajectories:
        """Prior trajectories of the averaged model."""
        return spread(partial(sample, self.averaged), x, num_particles, num_segments, **options)

    def train_on(self, batch: Batch) -> dict[str, Tensor]:
        """Train on one batch for N segments.

        Returns: means over the segments, nats per puzzle (kl is [T]), and heads_loss, nats per state.
        """
        *others, last = every = self.rows(batch)
        for segment in range(self.settings.num_segments):
            if self.graph:
                self.graph(last, segment)
                last.show(segment)
                continue
            for rows in others:
                with random_state_kept(batch.x.device):
                    rows.loss(segment).backward()
            self.step(last.loss(segment))
        self.teach_heads(every)
        self.check_finite()
        means = {name: sum(rows.sums[name] for rows in every) / count for name, count in last.counts.items()}
        add_up(list(means.values()))
        return means

    def rows(self, batch: Batch) -> list["Rows"]:
        """The rows of every part of a batch that this process runs. All draw their beginnings from one random state."""
        *others, last = parts(self.settings.accumulate)
        begun = []
        for part in others:
            with random_state_kept(batch.x.device):
                begun.append(Rows(self, batch, part))
        return [*begun, Rows(self, batch, last)]

    def teach_heads(self, every: list["Rows"]) -> None:
        """Train the heads on the states of the trajectory: as many steps as states, each on all of them.

        With one step per trajectory, a short run would end with an undertrained halt head. The steps are separate from
        those of the model, so that clipping one gradient does not shrink the other. Parameters without a gradient are
        not updated.
        """
        *others, last = [(rows, rows.right()) for rows in every]
        for _ in every[0].seen:
            for rows, right in others:
                rows.heads_loss(*right).backward()
            self.note(self.descend(last[0].heads_loss(*last[1])))


class Rows:
    """The rows of one part of a batch and their states, segment by segment.

    Attributes: each, the number of rollout rows per puzzle; sums of logged values over the segments, and their counts.
    Losses and sums of the parts add up to those of the batch.
    """

    def __init__(self, trainer: Trainer, batch: Batch, part: Part) -> None:
        self.trainer, self.part = trainer, part
        num_rollouts, watched = trainer.settings.num_rollouts, trainer.settings.num_watched
        self.each = trainer.settings.rollouts_per_puzzle
        guided = Batch(*(t[num_rollouts:] for t in batch))
        own = part.of(len(guided.x))
        self.guided = Batch(*(t[own] for t in guided))
        puzzles = part.of(watched // self.each)
        # without rollout rows these train the heads only
        self.rollouts = Batch(*(t[puzzles].repeat_interleave(self.each, 0) for t in batch))
        self.num_guided, self.num_watched = len(batch.x) - num_rollouts, watched
        self.rollout_share = num_rollouts / len(batch.x)
        begun = trainer.guide.start(guided.x, guided.y)
        self.guided_state = begun.select(own) if begun else None
        self.rollout_state: State | None = None
        self.seen: list[State] = []  # states that train the heads
        self.sums: dict[str, Tensor] = {}
        self.counts: Counter[str] = Counter()

    def loss(self, segment: int) -> Tensor:
        """Run one segment and keep its state for the heads.  Returns: this part's share of the loss."""
        with self.trainer.settings.autocast(self.rollouts.x.device):
            loss = self.advance(segment)
        self.show(segment)
        return loss

    def advance(self, segment: int) -> Tensor:
        """Run one segment of guided and rollout rows.  Returns: this part's share of the loss."""
        with self.part.noise(self.num_guided):
            loss = (1 - self.rollout_share) * self.guided_loss(segment)
        with self.part.noise(self.num_watched // self.each, self.each):
            if self.trainer.settings.num_rollouts:
                return loss + self.rollout_share * self.rollout_loss(segment)
            with torch.no_grad():
                self.rollout_state = self.trainer.model.reason(self.rollouts.x, self.rollout_state)
        return loss

    def show(self, segment: int) -> None:
        """Keep the state of the rollout rows for the heads, at regular segments and the last one."""
        stride = max(1, self.trainer.settings.num_segments // HEAD_STATES)
        if (self.trainer.settings.num_segments - 1 - segment) % stride == 0:
            self.seen.append(self.rollout_state)

    def guided_loss(self, segment: int) -> Tensor:
        t, (x, y, *_) = self.trainer, self.guided
        share = len(x) / self.num_guided
        loss, self.guided_state = segment_loss(
            t.objective, t.model, t.guide, x, y, self.guided_state, segment, t.settings.beta_at(t.updates)
        )
        self.log("loss", share * loss)
        self.log("kl", share * t.guide.kl())
        return share * loss

    def rollout_loss(self, segment: int) -> Tensor:
        t, share = self.trainer, len(self.rollouts.x) / self.num_watched
        args = t.model, self.rollouts, self.rollout_state, segment, self.each, t.near
        loss, self.rollout_state = t.rollout_loss(*args)
        self.log(t.rollout_loss.label(segment), share * loss)
        return share * loss

    def right(self) -> tuple[Tensor, Tensor]:
        """Whether the answers of the states in `seen` are right, and those that end their trajectories, [N, B] bool."""
        right = torch.stack([self.are_right(state, self.rollouts) for state in self.seen])
        return right, right[-1:].expand_as(right)

    @torch.no_grad()
    def are_right(self, state: State, rollouts: Batch) -> Tensor:
        """Whether the answers of `state` are solutions of `rollouts`, [B] bool."""
        t, (x, _, solutions, valid) = self.trainer, rollouts
        with t.settings.autocast(x.device):
            answers = t.model.readout.answer(state, x)
        return t.implicit.is_solved(x, answers) if t.implicit else is_solution(answers, solutions, valid)

    def heads_loss(self, right: Tensor, at_end: Tensor) -> Tensor:
        """This part's share of the loss of the heads on the states in `seen`.  Args: what `right` returns."""
        x = self.rollouts.x
        with self.trainer.settings.autocast(x.device):
            loss = len(x) / self.num_watched * heads_loss(self.trainer.heads, self.seen, right, at_end)
        self.log("heads_loss", loss)
        return loss

    def log(self, name: str, value: Tensor) -> None:
        """Add the value of a segment to the mean."""
        self.sums[name] = self.sums.get(name, 0.0) + value.detach()
        self.counts[name] += 1


def is_solution(answers: Tensor, solutions: Tensor, valid: Tensor) -> Tensor:
    """Whether an answer is one of the solutions.  Shapes: [..., B, L], [B, M, L], [B, M] -> [..., B] bool."""
    return ((answers[..., None, :] == solutions).all(-1) & valid).any(-1)
