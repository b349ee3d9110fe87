"""Evaluation: sample K trajectories per unseen puzzle, judge them by the rules, and make a table."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from gram_pyro.evaluation.metrics import Tally, report, standard_error, tally
from gram_pyro.inference.kept import clock
from gram_pyro.inference.resampling import systematic
from gram_pyro.inference.selection import Select, chosen
from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.tasks.base import Puzzles, Task

Draw = Callable[[Tensor, int, int], Trajectories]  # (x, num_particles, num_segments)


def roll_out(
    draw: Draw, puzzles: Puzzles, num_particles: int, num_segments: int, seed: int, device: torch.device
) -> tuple[Trajectories, float]:
    """Sample from the initial state.  Returns: the trajectories, on the CPU; seconds."""
    torch.manual_seed(seed)
    start = clock()
    trajectories = draw(puzzles.x.to(device), num_particles, num_segments).to("cpu")
    return trajectories, clock() - start


def judge(task: Task, puzzles: Puzzles, trajectories: Trajectories) -> Tally:
    """Judge K answers as K equal draws: weighted trajectories are resampled first.

    Weighted or resampled trajectories depend on each other and are sorted by ancestor, so they are judged together.
    """
    whole = trajectories.history is not None or bool(trajectories.log_weights.any())
    if trajectories.log_weights.any():
        trajectories = trajectories.select(systematic(trajectories.log_weights))
    return tally(task, puzzles, trajectories.answers, whole)


def evaluate(
    draw: Draw,
    task: Task,
    puzzles: Puzzles,
    num_segments: int,
    widths: Sequence[int],
    seed: int,
    device: torch.device,
) -> tuple[Trajectories, Tally, dict]:
    """Sample max(widths) answers per puzzle, `num_segments` deep, with any sampler of any program.

    A sampler that weights its particles together is judged at max(widths) only.

    Returns: the trajectories; the judged answers; the table of `metrics.report` with `num_puzzles`, `seconds` of
    sampling and `segments`, the mean number run per trajectory.
    """
    trajectories, seconds = roll_out(draw, puzzles, max(widths), num_segments, seed, device)
    result = judge(task, puzzles, trajectories)
    extra = {
        "num_puzzles": puzzles.num_puzzles,
        "seconds": round(seconds, 2),
        "segments": trajectories.depth.double().mean().item(),
    }
    return trajectories, result, report(result, widths) | extra


def selected(
    task: Task, puzzles: Puzzles, trajectories: Trajectories, select: Select
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """One answer per puzzle, or none.

    Returns: confidence [B]; right [B] bool; a row: accuracy over all puzzles (an abstention counts as wrong), the share
    answered, and the accuracy among those answered (None if there are none).
    """
    choice = select(trajectories, partial(task.is_solved, puzzles.x))
    right = task.is_solved(puzzles.x, chosen(trajectories.answers, choice))
    counted = (right & choice.answered).double()
    among = right[choice.answered].double()
    row = {
        "accuracy": counted.mean().item(),
        "accuracy_se": standard_error(counted),
        "answered": choice.answered.double().mean().item(),
        "accuracy_answered": among.mean().item() if len(among) else None,
        "confidence": choice.confidence.double().mean().item(),
    }
    return choice.confidence, right, row
