"""Evaluation: sample K prior trajectories per unseen puzzle, judge them by the rules, and tabulate."""

import time
from collections.abc import Sequence

import torch

from gram_pyro.metrics import Tally, report, tally
from gram_pyro.model import GRAM
from gram_pyro.sampler import sample
from gram_pyro.tasks.base import Puzzles, Task


def evaluate(
    model: GRAM, task: Task, puzzles: Puzzles, num_segments: int, widths: Sequence[int], chunk: int, seed: int
) -> tuple[Tally, dict]:
    """Sample max(widths) trajectories, `num_segments` deep, from the initial state.

    Returns: the judged answers; the table of `metrics.report` with `num_puzzles` and `seconds` of sampling.
    """
    torch.manual_seed(seed)
    device = next(model.parameters()).device
    start = time.monotonic()
    answers = sample(model, puzzles.x.to(device), max(widths), num_segments, chunk).cpu()
    seconds = time.monotonic() - start
    result = tally(task, puzzles, answers)
    return result, report(result, widths) | {"num_puzzles": puzzles.num_puzzles, "seconds": round(seconds, 2)}
