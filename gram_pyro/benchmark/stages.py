"""The time of training: seconds of every stage of a trajectory."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch

from gram_pyro.benchmark.clock import Line, compared, now
from gram_pyro.tasks.base import Batch
from gram_pyro.training.trainer import Rows, Trainer

BATCH, REST = "a batch: puzzles, symmetries", "all else"


class Stopwatch:
    """Seconds by stage. An inner stage stops the clock of the outer one, so that stages add up to the whole."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, defaultdict(float)
        self.running: list[str] = []
        self.since = now(device)

    def turn(self) -> None:
        """Add the time since the last turn to the innermost stage."""
        time = now(self.device)
        self.seconds[self.running[-1] if self.running else REST] += time - self.since
        self.since = time

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.turn()
        self.running.append(name)
        try:
            yield
        finally:
            self.turn()
            self.running.pop()

    def timed(self, name: str, function: Callable) -> Callable:
        """The function, as a stage."""

        def run(*arguments: object, **options: object) -> object:
            with self.stage(name):
                return function(*arguments, **options)

        return run


@contextmanager
def watched(trainer: Trainer, device: torch.device) -> Iterator[Stopwatch]:
    """A stopwatch around the stages of a trainer, within this context. On a GPU every turn waits for the kernels before
    it, which takes time too. It cannot look into a recorded segment."""
    model, guide, watch = trainer.model, trainer.guide, Stopwatch(device)
    stages = (
        (model.embed, "forward", "embedding"),
        (model.core, "predict", "core"),
        (model.prior, "forward", "prior"),
        (guide, "posterior", "guide"),
        (model.readout, "forward", "readout"),
        (Rows, "guided_loss", "guided rows: Pyro, sampling, the bound"),
        (Rows, "rollout_loss", "rollout rows: Pyro, sampling, the set likelihood"),
        (Rows, "heads_loss", "heads"),
        (torch.Tensor, "backward", "backward"),
        (trainer, "clip", "clipping"),
        (trainer.optimiser, "step", "optimiser"),
        (trainer, "count", "moving average"),
    )
    with ExitStack() as stack:
        for owner, name, stage in stages:
            stack.enter_context(patch.object(owner, name, watch.timed(stage, getattr(owner, name))))
        yield watch


def measure_stages(
    way: str, trainer: Trainer, batches: Iterator[Batch], warmup: int, repeats: int, device: torch.device
) -> list[Line]:
    """Medians over trajectories, each with its own batch. The ratio of a stage is its share of the whole."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for repeat in range(warmup + repeats):
        with watched(trainer, device) as watch:
            with watch.stage(BATCH):
                batch = next(batches).to(device)
            trainer.train_on(batch)
            watch.turn()
        for stage, time in watch.seconds.items() if repeat >= warmup else ():
            seconds[stage].append(1e3 * time)
    medians = {stage: statistics.median(times) for stage, times in seconds.items()}
    longest_first = dict(sorted(medians.items(), key=lambda item: -item[1]))
    return compared(f"a trajectory, {way}", {"all stages": sum(medians.values())} | longest_first, "ms")
