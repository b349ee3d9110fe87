"""What all trained programs share: hyper-parameters, the optimiser step, and a moving average of the weights."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.tasks.base import Batch
from gram_pyro.training.parallel import add_up
from gram_pyro.training.precision import AUTO, autocast, choose_precision
from gram_pyro.training.schedule import schedule


@dataclass(frozen=True)
class TrainSettings:
    """Hyper-parameters of training; paper symbols in comments."""

    updates: int  # optimiser steps; the learning rate follows a cosine to zero over them
    num_segments: int  # N_sup
    batch_size: int  # of all processes together
    accumulate: int = 1  # parts of a batch, run one after the other to save memory; the results do not change
    rollout_share: float = 0.0  # rho: share of rows that are prior rollouts trained on the solution set
    rollouts_per_puzzle: int = 1  # M: rollout rows are M rollouts of each puzzle
    relay: bool = False  # a puzzle that is solved makes room for the next, see relay.py
    beta: float | str = 1.0  # weight of the KL, or its schedule; 1 is the ELBO
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    warmup: int = 100
    clip: float = 1.0
    ema: float = 0.999
    precision: str = AUTO

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise ValueError(f"got accumulate={self.accumulate}; expected 1 or more; with 1 a batch is not divided")
        if not 0 <= self.rollout_share < 1:
            raise ValueError(
                f"got rollout_share={self.rollout_share}; expected 0 or more and below 1: the guide needs some rows"
            )
        if self.rollouts_per_puzzle > 1 and self.num_rollouts < self.rollouts_per_puzzle:
            raise ValueError(
                f"got rollouts_per_puzzle={self.rollouts_per_puzzle}, and rollout_share={self.rollout_share} of "
                f"batch_size={self.batch_size} gives {self.num_rollouts} rollout rows; expected "
                f"{self.rollouts_per_puzzle} or more; "
                "write a larger rollout_share or batch_size"
            )
        if self.rollout_share and not 0 < self.num_rollouts < self.batch_size:
            raise ValueError(
                f"got rollout_share={self.rollout_share} of batch_size={self.batch_size}, which rounds to "
                f"{self.num_rollouts} rollout rows; expected a row of both kinds; write a larger batch_size or another "
                "rollout_share"
            )
        schedule(self.beta, "beta")  # raises if it is none
        choose_precision(self.precision, torch.device("cpu"))  # raises on an unknown name

    @property
    def num_rollouts(self) -> int:
        """The number of rollout rows, a multiple of `rollouts_per_puzzle`."""
        return round(self.rollout_share * self.batch_size) // self.rollouts_per_puzzle * self.rollouts_per_puzzle

    @property
    def num_watched(self) -> int:
        """The number of rows whose prior rollouts train the heads: rollout rows, or else an eighth of the batch."""
        return self.num_rollouts or max(1, self.batch_size // 8)

    def beta_at(self, update: int) -> float:
        """Weight of the KL at an update."""
        return schedule(self.beta, "beta").at(update)

    def learning_rate_at(self, update: int) -> float:
        """The learning rate at an update: linear warm-up, then a cosine to zero."""
        progress = (update - self.warmup) / max(1, self.updates - self.warmup)
        return self.learning_rate * min(
            (update + 1) / (self.warmup + 1), 0.5 * (1 + math.cos(math.pi * max(0.0, progress)))
        )

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context of every forward pass."""
        return autocast(self.precision, device)


def decay_groups(module: nn.Module, weight_decay: float) -> list[dict]:
    """Parameter groups of the optimiser: matrices decay; embeddings, biases and one-dimensional parameters do not."""
    embeddings = {id(p) for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    decays = [
        p for n, p in module.named_parameters() if p.ndim > 1 and id(p) not in embeddings and not n.endswith("bias")
    ]
    chosen = {id(p) for p in decays}
    rest = [p for p in module.parameters() if id(p) not in chosen]
    return [{"params": decays, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


class Learner(ABC):
    """A program in training, with everything that a checkpoint must hold.

    Args: program, the modules that are trained; settings.
    """

    def __init__(self, program: nn.ModuleDict, settings: TrainSettings) -> None:
        self.program, self.settings = program, settings
        self.ema = AveragedModel(program, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))
        groups = decay_groups(program, settings.weight_decay)
        self.optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95), fused=True)
        self.updates = 0
        self.unchecked: list[tuple[int, Tensor]] = []  # per step: its update; [2], its loss and gradient norm

    @abstractmethod
    def train_on(self, batch: Batch) -> dict[str, Tensor]:
        """Train on one batch, for one or more updates.  Returns: means for the log, nats per puzzle; loss first."""

    @property
    @abstractmethod
    def averaged(self) -> nn.Module:
        """The exponential moving average of the model, which is evaluated and shipped."""

    @abstractmethod
    def sample(self, x: Tensor, num_particles: int, num_segments: int, **options: object) -> Trajectories:
        """Answers of `averaged`."""

    def clip(self) -> Tensor:
        """Clip the gradient.  Returns: its norm before clipping."""
        return nn.utils.clip_grad_norm_(self.program.parameters(), self.settings.clip)

    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return self.settings.learning_rate_at(self.updates)

    def step(self, loss: Tensor) -> None:
        """One optimiser step on the summed gradients of all ranks and of earlier calls of backward().

        `check_finite` checks the numbers later: reading one here would make the GPU wait for the CPU.
        """
        self.set_learning_rate()
        self.count(self.descend(loss))

    def set_learning_rate(self) -> None:
        """Write the learning rate of the next step into the optimiser, in place if it is a tensor."""
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(self.learning_rate())
            else:
                group["lr"] = self.learning_rate()

    def descend(self, loss: Tensor) -> Tensor:
        """Update the weights.  Returns: the loss and the norm of its gradient, [2]."""
        loss.backward()
        loss = loss.detach().clone()  # add_up writes to it
        add_up([loss, *(p.grad for p in self.program.parameters() if p.grad is not None)])
        numbers = torch.stack([loss, self.clip()])
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        return numbers

    def count(self, numbers: Tensor) -> None:
        """Finish the step that returned `numbers`: update the average, count the update."""
        self.note(numbers)
        if self.updates == 0:
            self.ema.update_parameters(self.program)  # starts the average
        else:  # as update_parameters, without its counter, whose copy to the GPU would make the GPU wait
            self.ema.multi_avg_fn(list(self.ema.module.parameters()), list(self.program.parameters()), None)
        self.updates += 1

    def note(self, numbers: Tensor) -> None:
        """Store the numbers of a step for `check_finite`."""
        self.unchecked.append((self.updates, numbers))

    def check_finite(self) -> None:
        """Check the losses and gradients since the last call. Call it at the end of every trajectory, before saving.

        Raises: FloatingPointError if one is not finite. The weights have been updated by then.
        """
        steps, self.unchecked = [(update, numbers.tolist()) for update, numbers in self.unchecked], []
        for update, step in steps:
            for name, number in zip(("loss", "gradient"), step, strict=True):
                if not math.isfinite(number):
                    raise FloatingPointError(
                        f"got the {name} {number} at update {update}; expected a finite number; write a lower "
                        "learning_rate or precision=fp32"
                    )
