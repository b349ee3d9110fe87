"""Deep supervision: a trajectory of N segments, one optimiser step per segment, the state detached in between.

    loss = (1 - rho) E_q[...]: the segment ELBO with y ~ uniform(S(x))   guided rows: they learn to cover S(x)
         + rho  E_prior[-log p(S | h_T)]                                 free rows: they learn to end in S(x)

The heads learn, once per trajectory, from the states of the free rows: these are prior rollouts.
Source: paper section 3 for the first line (rho = 0); ours for the second (a share rho of prior rollouts).
"""

import math
from dataclasses import dataclass

import torch
from pyro.infer import ELBO
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gram_pyro.core import State
from gram_pyro.guide import Guide
from gram_pyro.heads import Heads, heads_loss
from gram_pyro.model import GRAM
from gram_pyro.objectives import segment_loss, set_loss
from gram_pyro.tasks.base import Batch


@dataclass(frozen=True)
class TrainSettings:
    """Hyper-parameters of training; paper symbols in comments."""

    updates: int  # optimiser steps in all; the learning rate follows a cosine to zero over them
    num_segments: int  # N_sup
    batch_size: int
    free_share: float = 0.0  # rho: share of rows that are prior rollouts trained on the solution set
    beta: float = 1.0  # weight of the KL; 1 is the ELBO
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    warmup: int = 100
    clip: float = 1.0
    ema: float = 0.999
    precision: str = "bf16"

    def __post_init__(self) -> None:
        if not 0 <= self.free_share < 1:
            raise ValueError(
                f"free_share={self.free_share} must be at least 0 and below 1: the guide needs rows to learn from"
            )
        if self.free_share and not 0 < self.num_free < self.batch_size:
            raise ValueError(
                f"free_share={self.free_share} of batch_size={self.batch_size} rounds to {self.num_free} free rows; "
                "both kinds of rows need at least one: choose a larger batch or another share"
            )
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r} is unknown; write one of {', '.join(PRECISIONS)}")

    @property
    def num_free(self) -> int:
        return round(self.free_share * self.batch_size)

    @property
    def num_watched(self) -> int:
        """Rows whose prior rollouts the heads learn from: the free ones, or an eighth of the batch just for that."""
        return self.num_free or max(1, self.batch_size // 8)

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context every forward pass runs in."""
        return torch.autocast(device.type, PRECISIONS[self.precision], enabled=self.precision != "fp32")


PRECISIONS = {"bf16": torch.bfloat16, "fp32": torch.float32}


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict]:
    """Matrices decay; embeddings, biases of relations and everything one-dimensional do not."""
    embeddings = {id(p) for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    decays = [
        p for n, p in module.named_parameters() if p.ndim > 1 and id(p) not in embeddings and not n.endswith("bias")
    ]
    chosen = {id(p) for p in decays}
    rest = [p for p in module.parameters() if id(p) not in chosen]
    return [{"params": decays, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


class Trainer:
    """Trains a model, its guide and its heads; holds what a checkpoint must hold."""

    def __init__(self, model: GRAM, guide: Guide, heads: Heads, objective: ELBO, settings: TrainSettings) -> None:
        self.program = nn.ModuleDict({"model": model, "guide": guide, "heads": heads})
        self.model, self.guide, self.heads, self.objective, self.settings = model, guide, heads, objective, settings
        self.ema = AveragedModel(self.program, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))
        groups = decay_groups(self.program, settings.weight_decay)
        self.optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95), fused=True)
        self.learners = [*model.parameters(), *guide.parameters()]
        self.updates = 0

    @property
    def averaged_model(self) -> GRAM:
        """The exponential moving average of the model: what is evaluated and shipped."""
        return self.ema.module["model"]

    @property
    def averaged_heads(self) -> Heads:
        """The heads that go with it."""
        return self.ema.module["heads"]

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to zero."""
        s = self.settings
        progress = (self.updates - s.warmup) / max(1, s.updates - s.warmup)
        return s.learning_rate * min(
            (self.updates + 1) / (s.warmup + 1), 0.5 * (1 + math.cos(math.pi * max(0.0, progress)))
        )

    def step(self, loss: Tensor) -> None:
        """One optimiser step.  Raises: FloatingPointError on a loss or gradient that is not finite."""
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at update {self.updates}; lower learning_rate or use precision=fp32"
            )
        # Apart from each other: the heads' gradient must not shrink the model's.
        norms = [
            nn.utils.clip_grad_norm_(params, self.settings.clip) for params in (self.learners, self.heads.parameters())
        ]
        norm = torch.stack([n.to(loss.device) for n in norms]).amax()  # on the CPU where none has a gradient
        if not torch.isfinite(norm):
            raise FloatingPointError(
                f"the gradient is {norm.item()} at update {self.updates}; lower learning_rate or use precision=fp32"
            )
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.optimiser.step()
        self.ema.update_parameters(self.program)
        self.updates += 1

    def trajectory(self, batch: Batch) -> dict[str, Tensor]:
        """Train on one batch for N segments.

        Returns: means over the segments, nats per puzzle (kl is [T]), and heads_loss, nats per state.
        """
        s, free, watched = self.settings, self.settings.num_free, self.settings.num_watched
        x, y, solutions, valid = batch
        guided_state = free_state = None
        records, rollout = [], []
        for segment in range(s.num_segments):
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
                rollout.append(free_state)
                if segment == s.num_segments - 1:
                    states = State(*(torch.stack(stream) for stream in zip(*rollout, strict=True)))
                    right = is_solution(self.model.readout.answer(states), solutions[:watched], valid[:watched])
                    miss = heads_loss(self.heads, states, right)
                    loss = loss + miss
            self.step(loss)
            records.append(record)
        means = {name: torch.stack([r[name] for r in records]).mean(0) for name in records[0]}
        return means | {"heads_loss": miss.detach()}


def is_solution(answers: Tensor, solutions: Tensor, valid: Tensor) -> Tensor:
    """Whether an answer is one of the solutions.  Shapes: [..., B, L], [B, M, L], [B, M] -> [..., B] bool."""
    return ((answers[..., None, :] == solutions).all(-1) & valid).any(-1)
