"""Deep supervision: a trajectory of N segments, one optimiser step per segment, the state detached in between.

    loss = (1 - rho) E_q[...]: the segment ELBO with y ~ uniform(S(x))   guided rows: they learn to cover S(x)
         + rho  E_prior[-log p(S | h_T)]                                 free rows: they learn to end in S(x)

The heads learn, once per trajectory, from the states of the free rows: these are prior rollouts.
Source: paper section 3 for the first line (rho = 0); ours for the second (a share rho of prior rollouts).
"""

import torch
from pyro.infer import ELBO
from torch import Tensor, nn

from gram_pyro.core import State
from gram_pyro.guide import Guide
from gram_pyro.heads import Heads, heads_loss
from gram_pyro.learner import Learner, TrainSettings
from gram_pyro.model import GRAM
from gram_pyro.objectives import segment_loss, set_loss
from gram_pyro.sampler import sample
from gram_pyro.tasks.base import Batch
from gram_pyro.trajectories import Trajectories

HEAD_STATES = 8  # of a trajectory the heads see about so many, so that memory does not grow with its depth


class Trainer(Learner):
    """Trains a model, its guide and its heads."""

    def __init__(self, model: GRAM, guide: Guide, heads: Heads, objective: ELBO, settings: TrainSettings) -> None:
        super().__init__(nn.ModuleDict({"model": model, "guide": guide, "heads": heads}), settings)
        self.model, self.guide, self.heads, self.objective = model, guide, heads, objective
        self.learners = [*model.parameters(), *guide.parameters()]

    @property
    def averaged(self) -> GRAM:
        return self.ema.module["model"]

    @property
    def averaged_heads(self) -> Heads:
        """The heads that go with it."""
        return self.ema.module["heads"]

    def clip(self) -> Tensor:
        # Apart from each other: the heads' gradient must not shrink the model's.
        parts = (self.learners, self.heads.parameters())
        norms = [nn.utils.clip_grad_norm_(params, self.settings.clip) for params in parts]
        device = self.learners[0].device  # where no parameter has a gradient, torch returns a zero on the CPU
        return torch.stack([norm.to(device) for norm in norms]).amax()

    def sample(self, x: Tensor, num_particles: int, num_segments: int, **options: object) -> Trajectories:
        """Prior trajectories of the averaged model."""
        return sample(self.averaged, x, num_particles, num_segments, **options)

    def trajectory(self, batch: Batch) -> dict[str, Tensor]:
        """Train on one batch for N segments.

        Returns: means over the segments, nats per puzzle (kl is [T]), and heads_loss, nats per state.
        """
        s, free, watched = self.settings, self.settings.num_free, self.settings.num_watched
        x, y, solutions, valid = batch
        guided_state = free_state = None
        records, rollout = [], []
        stride = max(1, s.num_segments // HEAD_STATES)
        for segment in range(s.num_segments):
            self.guide.segment = segment
            with s.autocast(x.device):
                bound, guided_state = segment_loss(
                    self.objective, self.model, self.guide, x[free:], y[free:], guided_state, s.beta
                )
                loss = (1 - free / len(x)) * bound
                record = {"loss": bound.detach(), "kl": self.guide.kl()}
                if free:
                    miss, free_state = set_loss(self.model, x[:free], solutions[:free], valid[:free], free_state)
                    loss = loss + free / len(x) * miss
                    record["set_loss"] = miss.detach()
                else:
                    with torch.no_grad():
                        free_state = self.model.reason(x[:watched], free_state)
                if (s.num_segments - 1 - segment) % stride == 0:
                    rollout.append(free_state)
                if segment == s.num_segments - 1:
                    states = State(*(torch.stack(stream) for stream in zip(*rollout, strict=True)))
                    right = is_solution(self.model.readout.answer(states), solutions[:watched], valid[:watched])
                    critics = heads_loss(self.heads, states, right)
                    loss = loss + critics
            self.step(loss)
            records.append(record)
        means = {name: torch.stack([r[name] for r in records]).mean(0) for name in records[0]}
        return means | {"heads_loss": critics.detach()}


def is_solution(answers: Tensor, solutions: Tensor, valid: Tensor) -> Tensor:
    """Whether an answer is one of the solutions.  Shapes: [..., B, L], [B, M, L], [B, M] -> [..., B] bool."""
    return ((answers[..., None, :] == solutions).all(-1) & valid).any(-1)
