"""Deep supervision: a trajectory of N segments, one optimiser step per segment, the state detached in between.

    loss = (1 - rho) E_q[...]: the segment ELBO with y ~ uniform(S(x))   guided rows: they learn to cover S(x)
         + rho  E_prior[-log p(S | h_T)]                                 free rows: they learn to end in S(x)

With `covering` M > 1 the free rows are M rollouts of each of fewer puzzles, and in the first segment, where a solution
is chosen, they are asked for all of S together: objectives.cover_loss.

The heads learn by a step of their own, once per trajectory, from the states of the free rows: these are prior rollouts.
Source: paper section 3 for the first line (rho = 0); ours for the second (a share rho of prior rollouts).
"""

from functools import partial

import torch
from pyro.infer import ELBO
from torch import Tensor, nn

from gram_pyro.core import State
from gram_pyro.guide import Guide
from gram_pyro.heads import Heads, heads_loss
from gram_pyro.inference.sampler import sample
from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.learner import Learner, TrainSettings
from gram_pyro.model import GRAM
from gram_pyro.objectives import cover_loss, segment_loss, set_loss
from gram_pyro.runs.parallel import add_up, parts, spread
from gram_pyro.runs.parts import Part, random_state_kept
from gram_pyro.segment_graph import SegmentGraph
from gram_pyro.tasks.base import Batch, ImplicitTask

HEAD_STATES = 8  # of a trajectory the heads see about so many, so that memory does not grow with its depth


class Trainer(Learner):
    """Trains a model, its guide and its heads. Args: implicit, the task if it cannot list its solutions."""

    def __init__(
        self,
        model: GRAM,
        guide: Guide,
        heads: Heads,
        objective: ELBO,
        settings: TrainSettings,
        implicit: ImplicitTask | None = None,
    ) -> None:
        super().__init__(nn.ModuleDict({"model": model, "guide": guide, "heads": heads}), settings)
        self.model, self.guide, self.heads, self.objective = model, guide, heads, objective
        if implicit and settings.covering > 1:
            raise ValueError(
                f"covering={settings.covering} needs lists of all solutions, and {type(implicit).__name__} has "
                "none: it searches for one where a rollout ended; write train.covering=1"
            )
        self.implicit, self.near = implicit, implicit.near if implicit else None
        self.graph: SegmentGraph | None = None  # if given, it runs the segments

    @property
    def averaged(self) -> GRAM:
        return self.ema.module["model"]

    @property
    def averaged_heads(self) -> Heads:
        """The heads that go with it."""
        return self.ema.module["heads"]

    def sample(self, x: Tensor, num_particles: int, num_segments: int, **options: object) -> Trajectories:
        """Prior trajectories of the averaged model."""
        return spread(partial(sample, self.averaged), x, num_particles, num_segments, **options)

    def trajectory(self, batch: Batch) -> dict[str, Tensor]:
        """Train on one batch for N segments.

        Returns: means over the segments, nats per puzzle (kl is [T]), and heads_loss, nats per state.
        """
        rollouts = [Rollout(self, batch, part) for part in parts(self.settings.accumulate)]
        for segment in range(self.settings.num_segments):
            self.guide.segment = segment
            if self.graph:
                self.graph.step(rollouts[0])
                rollouts[0].show(segment)
                continue
            for rollout in rollouts[:-1]:
                with random_state_kept(batch.x.device):
                    rollout.loss(segment).backward()
            self.step(rollouts[-1].loss(segment))
        self.teach_heads(rollouts)
        self.check_finite()
        means = {name: sum(rollout.means[name] for rollout in rollouts) for name in rollouts[0].means}
        add_up(list(means.values()))
        return means

    def teach_heads(self, rollouts: list["Rollout"]) -> None:
        """One step on what the heads see of the whole trajectory. It is their own, so that their gradient cannot shrink
        that of the model when it is clipped; other weights have none and stay."""
        for rollout in rollouts[:-1]:
            rollout.critics().backward()
        self.note(self.descend(rollouts[-1].critics()))


class Rollout:
    """The rows of one part of a batch on their way through the segments.

    Attributes: each, free rows of a puzzle; covers, whether they are asked for all its solutions in the next segment;
    means, of what is logged over the segments; losses and means of the parts add up to those of the batch.
    """

    def __init__(self, trainer: Trainer, batch: Batch, part: Part) -> None:
        self.trainer, self.part = trainer, part
        free, watched, self.each = trainer.settings.num_free, trainer.settings.num_watched, trainer.settings.covering
        self.guided = Batch(*(t[free:][part.of(len(t) - free)] for t in batch))
        puzzles = part.of(watched // self.each)
        self.free = Batch(*(t[puzzles].repeat_interleave(self.each, 0) for t in batch))  # if none is: what is watched
        self.num_guided, self.num_watched, self.free_share = len(batch.x) - free, watched, free / len(batch.x)
        self.covers = self.each > 1
        self.guided_state: State | None = None
        self.free_state: State | None = None
        self.seen: list[State] = []  # by the heads
        self.means: dict[str, Tensor] = {}

    def loss(self, segment: int) -> Tensor:
        """Run one segment, seen by the heads.  Returns: this part's share of its loss."""
        with self.trainer.settings.autocast(self.free.x.device):
            loss = self.advance()
        self.show(segment)
        return loss

    def advance(self) -> Tensor:
        """Move both states on by a segment.  Returns: this part's share of the loss."""
        with self.part.noise(self.num_guided):
            loss = (1 - self.free_share) * self.bound()
        with self.part.noise(self.num_watched // self.each, self.each):
            if self.trainer.settings.num_free:
                return loss + self.free_share * self.miss()
            with torch.no_grad():
                self.free_state = self.trainer.model.reason(self.free.x, self.free_state)
        return loss

    def show(self, segment: int) -> None:
        """Keep the state of the free rows for the heads, every so many segments, the last among them."""
        stride = max(1, self.trainer.settings.num_segments // HEAD_STATES)
        if (self.trainer.settings.num_segments - 1 - segment) % stride == 0:
            self.seen.append(self.free_state)

    def bound(self) -> Tensor:
        t, (x, y, *_) = self.trainer, self.guided
        share = len(x) / self.num_guided
        bound, self.guided_state = segment_loss(t.objective, t.model, t.guide, x, y, self.guided_state, t.settings.beta)
        self.log("loss", share * bound, t.settings.num_segments)
        self.log("kl", share * t.guide.kl(), t.settings.num_segments)
        return share * bound

    def miss(self) -> Tensor:
        x, _, solutions, valid = self.free
        share = len(x) / self.num_watched
        model, state = self.trainer.model, self.free_state
        if self.covers:
            self.covers = False
            miss, self.free_state = cover_loss(model, x, solutions, valid, state, self.each)
            self.log("cover_loss", share * miss, 1)
        else:
            miss, self.free_state = set_loss(model, x, solutions, valid, state, self.trainer.near)
            self.log("set_loss", share * miss, self.trainer.settings.num_segments - (self.each > 1))
        return share * miss

    def critics(self) -> Tensor:
        """This part's share of the loss of the heads over the states they saw."""
        t, (x, _, solutions, valid) = self.trainer, self.free
        states = State(*(torch.stack(stream) for stream in zip(*self.seen, strict=True)))
        with t.settings.autocast(x.device):
            answers = t.model.readout.answer(states)
            right = t.implicit.is_solved(x, answers) if t.implicit else is_solution(answers, solutions, valid)
            critics = len(x) / self.num_watched * heads_loss(t.heads, states, right)
        self.means["heads_loss"] = critics.detach()
        return critics

    def log(self, name: str, value: Tensor, num_segments: int) -> None:
        """Take the value into the mean over so many segments."""
        self.means[name] = self.means.get(name, 0.0) + value.detach() / num_segments


def is_solution(answers: Tensor, solutions: Tensor, valid: Tensor) -> Tensor:
    """Whether an answer is one of the solutions.  Shapes: [..., B, L], [B, M, L], [B, M] -> [..., B] bool."""
    return ((answers[..., None, :] == solutions).all(-1) & valid).any(-1)
