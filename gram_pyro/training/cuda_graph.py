"""A segment and its optimiser step as one CUDA graph: recorded once, then replayed without Python.

A segment has hundreds of small kernels. With a small program, a large GPU mostly waits for Python to launch them. The
results equal those of the segment without a graph, noise included. Source: ours, after
https://docs.pytorch.org/docs/stable/notes/cuda.html#whole-network-capture.
"""

from collections import Counter
from copy import copy

import pyro
import torch
from torch import Tensor

from gram_pyro.networks.core import State
from gram_pyro.tasks.base import Batch
from gram_pyro.training.objectives import MeanField_ELBO
from gram_pyro.training.parallel import this_process
from gram_pyro.training.trainer import Rows, Trainer

WARM_UP = 3  # segments run before one is recorded, so that everything created at first use exists


class SegmentGraph:
    """Runs segments of `trainer`. It makes one recording per shape of the batch and per label of the rollout loss.

    Lists of solutions are padded to the next power of two, so that there are few shapes.
    Raises: ValueError if a segment cannot be recorded.
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

    def __call__(self, rows: Rows, segment: int) -> None:
        """Run a segment of `rows` and a step of the optimiser."""
        trainer = self.trainer
        if rows.rollout_state is None:
            begin(rows)
        trainer.set_learning_rate()
        if self.warm < WARM_UP:
            self.warm += 1
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                numbers = advance(trainer, rows, segment)
            torch.cuda.current_stream().wait_stream(self.stream)
        else:
            key = (trainer.rollout_loss.label(segment), *(field.shape for field in rows.rollouts))
            if key not in self.recordings:
                self.recordings[key] = record(trainer, rows, segment, self.stream, self.pool)
            numbers = self.recordings[key].replay(rows)
        trainer.count(numbers)


def record(trainer: Trainer, *args: object) -> "Recording":
    """Args: as for Recording.  Raises: ValueError if a part of the program does what a graph cannot record."""
    try:
        with pyro.validation_enabled(False):  # validation reads numbers on the CPU
            return Recording(trainer, *args)
    except RuntimeError as error:
        raise ValueError(
            f"a segment cannot be a CUDA graph here: it copies a number from or to the GPU, with the prior "
            f"{type(trainer.model.prior).__name__} and the guide {type(trainer.guide).__name__} ({first_line(error)}); "
            "write cuda_graph=false"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of the first error. Later errors, while a recording is closed, say less."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).split("\n")[0]


class Recording:
    """One graph and the tensors it reads and writes: its own rows, into which others are copied."""

    def __init__(
        self, trainer: Trainer, rows: Rows, segment: int, stream: torch.cuda.Stream, pool: tuple[int, int]
    ) -> None:
        self.rows = own = copy(rows)
        self.copy_of: Rows | None = None
        own.sums, own.counts = {}, Counter()
        own.guided, own.rollouts = copied(rows.guided), copied(rows.rollouts)
        own.guided_state, own.rollout_state = states = copied(rows.guided_state), copied(rows.rollout_state)
        self.graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.graph(self.graph, pool=pool, stream=stream):
            self.numbers = advance(trainer, own, segment)
            for state, after in zip(states, (own.guided_state, own.rollout_state), strict=True):
                copy_to(after, state)
        own.guided_state, own.rollout_state = states

    def replay(self, rows: Rows) -> Tensor:
        """Replay the segment and the step on `rows`.  Returns: as `Learner.descend`."""
        own = self.rows
        if self.copy_of is not rows:
            self.copy_of = rows
            copy_to(rows.guided, own.guided)
            copy_to(rows.rollouts, own.rollouts)
            copy_to(rows.guided_state, own.guided_state)
            copy_to(rows.rollout_state, own.rollout_state)
        self.graph.replay()
        rows.guided_state, rows.rollout_state = own.guided_state, copied(own.rollout_state)
        for name, value in own.sums.items():
            rows.log(name, value)
        return self.numbers.clone()


@torch.no_grad()
def begin(rows: Rows) -> None:
    """Give new rows the shapes of the recording: an explicit initial state, and padded lists."""
    model = rows.trainer.model
    rows.guided, rows.rollouts = padded(rows.guided), padded(rows.rollouts)
    rows.guided_state = rows.guided_state or model.start(rows.guided.x)
    rows.rollout_state = model.start(rows.rollouts.x)


def padded(batch: Batch) -> Batch:
    """The same batch with lists of solutions padded to a power of two."""
    return batch.padded(1 << (batch.valid.shape[1] - 1).bit_length())


def advance(trainer: Trainer, rows: Rows, segment: int) -> Tensor:
    with trainer.settings.autocast(rows.rollouts.x.device):
        loss = rows.advance(segment)
    return trainer.descend(loss)


def copied(fields: Batch | State) -> Batch | State:
    return type(fields)(*(field.clone() for field in fields))


def copy_to(fields: Batch | State, target: Batch | State) -> None:
    for field, place in zip(fields, target, strict=True):
        place.copy_(field)


def check(trainer: Trainer) -> None:
    """Raises: ValueError unless every segment of `trainer` runs a fixed sequence of kernels."""
    device = next(trainer.program.parameters()).device.type
    reasons = {
        "the task searches for solutions on the CPU in every segment": trainer.implicit is not None,
        f"train.accumulate={trainer.settings.accumulate} is more than 1": trainer.settings.accumulate > 1,
        "train.relay=true replaces rows between segments": trainer.settings.relay,
        "there are several processes": this_process().count > 1,
        f"the guide {type(trainer.guide).__name__} depends on the segment": trainer.guide.depends_on_segment,
        f"the objective {type(trainer.objective).__name__} reads its value on the CPU in every step; mean_field, "
        "balanced and even do not": not isinstance(trainer.objective, MeanField_ELBO),
        f"device={device} has no CUDA graphs; a GPU is needed": device != "cuda",
    }  # fmt: skip
    for reason, applies in reasons.items():
        if applies:
            raise ValueError(f"a segment cannot be a CUDA graph here: {reason}; write cuda_graph=false")
