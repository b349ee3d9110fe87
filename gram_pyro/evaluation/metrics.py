"""Metrics of K answers per puzzle, judged by the rules of the task.

For one group of K answers to a puzzle with M solutions, m of them found:

    accuracy = share of the K answers that are right      any     = [m >= 1]
    vote     = [most frequent answer is right]            distinct = m
    coverage = m / M                                      entropy = -sum_a f_a log f_a, f = answer frequencies, nats
    violations = rules broken per answer

With N >= K sampled answers, metrics are averages over all N // K disjoint groups. A perfect sampler (uniform over the M
solutions) finds m = M (1 - (1 - 1/M)^K) on average: the ceiling.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gram_pyro.evaluation.statistics import Estimate, ratio
from gram_pyro.tasks.base import ImplicitTask, Puzzles, Task

METRICS = ("accuracy", "any", "vote", "coverage", "distinct", "entropy", "violations")


class Tally(NamedTuple):
    """Judged answers.

    Shapes: violations [N, B], rules broken; label [N, B], equal for equal answers to a puzzle; num_solutions [B], NaN
    if they are too many to count (then coverage and its ceiling are NaN); groups [B], see `Task.groups` (None: every
    puzzle is its own group).
    whole: the N answers were weighted or resampled together. A part of them differs from a run with fewer particles, so
    they are judged at width N only.
    """

    violations: Tensor
    label: Tensor
    num_solutions: Tensor
    groups: Tensor | None = None
    whole: bool = False

    @property
    def solved(self) -> Tensor:
        """Whether an answer is right, [N, B] bool."""
        return self.violations == 0

    def widths(self, wanted: Sequence[int]) -> list[int]:
        """The widths at which these answers can be judged: those wanted, or N alone if they are whole."""
        return [len(self.solved)] if self.whole else list(wanted)


def tally(task: Task, puzzles: Puzzles, answers: Tensor, whole: bool = False) -> Tally:
    """Judge answers [N, B, L] to B puzzles by the rules and the clues, not by a stored solution."""
    _, label = torch.unique(task.canonical(answers).flatten(0, 1), dim=0, return_inverse=True)
    known = puzzles.num_solutions
    count = torch.full_like(known, torch.nan, dtype=torch.double) if isinstance(task, ImplicitTask) else known
    violations = task.violations(puzzles.x, answers)
    return Tally(violations, label.view(answers.shape[:2]), count, task.groups(puzzles.x), whole)


def join(parts: Sequence[Tally]) -> Tally:
    """Join the judged answers to several sets of puzzles. Puzzles of different sets are in different groups."""
    fields = [torch.cat(field, dim=-1) for field in zip(*(part[:3] for part in parts), strict=True)]
    if all(part.groups is None for part in parts):
        return Tally(*fields, whole=any(part.whole for part in parts))
    groups, start = [], 0
    for part in parts:
        count = len(part.num_solutions)
        own = (
            torch.arange(count, device=part.num_solutions.device)
            if part.groups is None
            else torch.unique(part.groups, return_inverse=True)[1]
        )
        groups.append(own + start)
        start += count
    return Tally(*fields, torch.cat(groups), any(part.whole for part in parts))


def per_puzzle(result: Tally, width: int) -> dict[str, Tensor]:
    """Every metric at `width` answers, [B], averaged over the groups of `width` answers.

    Raises: ValueError if there are too few answers, or if they are whole and more than `width`.
    """
    if result.whole and width < len(result.solved):
        raise ValueError(
            f"got width {width} of {len(result.solved)} answers that were weighted together; expected all of them; "
            f"write num_particles={width} to run the sampler at that width"
        )
    num_groups = len(result.solved) // width
    if num_groups == 0:
        raise ValueError(
            f"got {len(result.solved)} answers per puzzle; expected at least the width {width}; write a larger "
            "num_particles"
        )
    solved = result.solved[: num_groups * width].unflatten(0, (num_groups, width)).double()
    label = result.label[: num_groups * width].unflatten(0, (num_groups, width))
    agrees = label[:, :, None] == label[:, None]  # [groups, width, width, B]
    count = agrees.sum(1)
    winner = count.argmax(1, keepdim=True)
    first = agrees.long().argmax(1) == torch.arange(width, device=count.device)[:, None]  # integers: ties are exact
    found = (solved * first).sum(1)
    values = {
        "accuracy": solved.mean(1),
        "any": solved.amax(1),
        "vote": solved.gather(1, winner).squeeze(1),
        "coverage": found / result.num_solutions,
        "distinct": found,
        "entropy": -(count / width).log().mean(1),
        "violations": result.violations[: num_groups * width].unflatten(0, (num_groups, width)).double().mean(1),
    }
    return {name: value.mean(0) for name, value in values.items()}


def ceiling(num_solutions: Tensor, width: int) -> Tensor:
    """The expected coverage of a perfect sampler with `width` draws, [B]."""
    return 1 - (1 - 1 / num_solutions.double()) ** width


def pooled(coverage: Tensor, num_solutions: Tensor, groups: Tensor | None = None) -> Estimate:
    """Coverage pooled over (puzzle, solution) rows, as the paper seems to count: a puzzle counts once per solution.

    Few puzzles have much of the weight, so the error over puzzles is large.
    """
    weight = num_solutions.double() ** 2
    return ratio(coverage.double() * weight, weight, groups)


def standard_error(values: Tensor, groups: Tensor | None = None) -> float:
    """The standard error of the mean over puzzles. The puzzles of a group count as one observation."""
    return ratio(values, groups=groups).se


def report(result: Tally, widths: Sequence[int]) -> dict[str, dict[int, float]]:
    """The table of an evaluation: metric -> width -> mean over puzzles.

    It has METRIC_se beside each METRIC, pooled coverage, and coverage as a share of a perfect sampler's. Whole answers
    have one width, their number.
    """
    table: dict[str, dict[int, float]] = {}
    for width in result.widths(widths):
        values = per_puzzle(result, width)
        row = {name: value.mean().item() for name, value in values.items()}
        row |= {f"{name}_se": standard_error(value, result.groups) for name, value in values.items()}
        best = ceiling(result.num_solutions, width)
        everything = pooled(values["coverage"], result.num_solutions, result.groups)
        row["coverage_pooled"], row["coverage_pooled_se"] = everything.mean, everything.se
        row["ceiling"] = best.mean().item()
        row["ceiling_pooled"] = pooled(best, result.num_solutions).mean
        row["coverage_share"] = row["coverage"] / row["ceiling"]
        for name, value in row.items():
            table.setdefault(name, {})[width] = value
    return table
