"""A segment and its optimiser step as one CUDA graph: recorded once, then replayed without Python.

A segment is hundreds of small kernels, and a small program on a large GPU spends its time waiting for Python to launch
them. The numbers are those of the same segment run as it is, noise included. Source: ours, after
https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture.
"""

from collections import Counter
from copy import copy

import pyro
import torch
from torch import Tensor
from torch.nn import functional as F

from gram_pyro.networks.core import State
from gram_pyro.tasks.base import Batch
from gram_pyro.training.objectives import MeanField_ELBO
from gram_pyro.training.parallel import this_process
from gram_pyro.training.trainer import Rollout, Trainer

WARM_UP = 3  # segments run as they are before one is recorded: what is made when first used is made by then


class SegmentGraph:
    """Runs segments of `trainer` for it, one recording per shape of the batch, and one more where the first segment is
    another; lists of solutions are padded to the next power of two, so that there are few.

    Raises: ValueError where a segment cannot be recorded.
    """

    def __init__(self, trainer: Trainer) -> None:
        check(trainer)
        self.trainer = trainer
        self.stream = torch.cuda.Stream()
        self.warm = 0
        self.recordings: dict[tuple, Recording] = {}
        self.pool = torch.cuda.graph_pool_handle()
        for group in trainer.optimiser.param_groups:  # a recorded step reads them from the GPU
            group["lr"] = torch.tensor(float(group["lr"]), device="cuda")
            group["capturable"] = True

    def __call__(self, rollout: Rollout, segment: int) -> None:
        """Move `rollout` on by a segment, and the weights by a step."""
        trainer = self.trainer
        if rollout.guided_state is None:
            begin(rollout)
        trainer.set_learning_rate()
        if self.warm < WARM_UP:
            self.warm += 1
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                numbers = advance(trainer, rollout, segment)
            torch.cuda.current_stream().wait_stream(self.stream)
        else:
            key = (trainer.rollout_loss.label(segment), *(field.shape for field in rollout.free))
            if key not in self.recordings:
                self.recordings[key] = record(trainer, rollout, segment, self.stream, self.pool)
            numbers = self.recordings[key].replay(rollout)
        trainer.count(numbers)


def record(trainer: Trainer, *args: object) -> "Recording":
    """Args: those of a Recording.  Raises: ValueError if a part of the program does what a graph cannot."""
    try:
        with pyro.validation_enabled(False):  # it looks at the numbers
            return Recording(trainer, *args)
    except RuntimeError as error:
        raise ValueError(
            f"a segment cannot be a CUDA graph here: it looks at a number, or brings one to the GPU, under the prior "
            f"{type(trainer.model.prior).__name__} and the guide {type(trainer.guide).__name__} ({first_line(error)}); "
            "write cuda_graph=false"
        ) from error


def first_line(error: BaseException) -> str:
    """Of the first error: what follows it while a recording is closed says less."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).split("\n")[0]


class Recording:
    """One graph and the tensors it reads and writes: a rollout of its own, into which others are copied."""

    def __init__(
        self, trainer: Trainer, rollout: Rollout, segment: int, stream: torch.cuda.Stream, pool: tuple[int, int]
    ) -> None:
        self.rollout = own = copy(rollout)
        self.copy_of: Rollout | None = None
        own.sums, own.counts = {}, Counter()
        own.guided, own.free = copied(rollout.guided), copied(rollout.free)
        own.guided_state, own.free_state = states = copied(rollout.guided_state), copied(rollout.free_state)
        self.graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(self.graph, pool=pool, stream=stream):
            self.numbers = advance(trainer, own, segment)
            for state, after in zip(states, (own.guided_state, own.free_state), strict=True):
                copy_to(after, state)
        own.guided_state, own.free_state = states

    def replay(self, rollout: Rollout) -> Tensor:
        """The segment of `rollout`, and its step.  Returns: as `Learner.descend`."""
        own = self.rollout
        if self.copy_of is not rollout:
            self.copy_of = rollout
            copy_to(rollout.guided, own.guided)
            copy_to(rollout.free, own.free)
            copy_to(rollout.guided_state, own.guided_state)
            copy_to(rollout.free_state, own.free_state)
        self.graph.replay()
        rollout.guided_state, rollout.free_state = own.guided_state, copied(own.free_state)
        for name, value in own.sums.items():
            rollout.log(name, value)
        return self.numbers.clone()


@torch.no_grad()
def begin(rollout: Rollout) -> None:
    """Give a new rollout the shapes that one recording serves: an initial state as of a later segment, padded lists."""
    model = rollout.trainer.model
    rollout.guided, rollout.free = padded(rollout.guided), padded(rollout.free)
    rollout.guided_state, rollout.free_state = model.start(rollout.guided.x), model.start(rollout.free.x)


def padded(batch: Batch) -> Batch:
    """The same solutions in a list as long as a power of two."""
    count = batch.valid.shape[1]
    missing = (1 << (count - 1).bit_length()) - count
    solutions = torch.cat([batch.solutions, batch.solutions[:, :1].expand(-1, missing, -1)], 1)
    return batch._replace(solutions=solutions, valid=F.pad(batch.valid, (0, missing)))


def advance(trainer: Trainer, rollout: Rollout, segment: int) -> Tensor:
    with trainer.settings.autocast(rollout.free.x.device):
        loss = rollout.advance(segment)
    return trainer.descend(loss)


def copied(fields: Batch | State) -> Batch | State:
    return type(fields)(*(field.clone() for field in fields))


def copy_to(fields: Batch | State, target: Batch | State) -> None:
    for field, place in zip(fields, target, strict=True):
        place.copy_(field)


def check(trainer: Trainer) -> None:
    """Raises: ValueError unless segments of `trainer` are sequences of kernels known beforehand."""
    device = next(trainer.program.parameters()).device.type
    reasons = {
        "the task searches for solutions on the CPU in every segment": trainer.implicit is not None,
        f"train.accumulate={trainer.settings.accumulate} is more than 1": trainer.settings.accumulate > 1,
        "there are several processes": this_process().count > 1,
        f"the guide {type(trainer.guide).__name__} acts on the number of the segment": trainer.guide.depends_on_segment,
        f"the objective {type(trainer.objective).__name__} looks at its value in every step; mean_field, balanced and "
        "even do not": not isinstance(trainer.objective, MeanField_ELBO),
        f"device={device} has none; a GPU is needed": device != "cuda",
    }  # fmt: skip
    for reason, applies in reasons.items():
        if applies:
            raise ValueError(f"a segment cannot be a CUDA graph here: {reason}; write cuda_graph=false")
