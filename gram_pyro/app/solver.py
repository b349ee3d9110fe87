"""Solve one puzzle: run K trajectories, and collect the distinct right answers with their confidence.

    votes(y) = number of trajectories with answer y              weight(y) = sum_k w_k [y_k = y], w normalised
    confidence(y) = mean halt probability of these
    entropy_i = -sum_v f_iv log f_iv,  f_iv = sum_k w_k [y_ki = v]                 of cell i, nats; y canonical

solve.py prints them, and the demo page shows them. Source: ours.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from gram_pyro.app.puzzle import TASKS, Board
from gram_pyro.app.watch import Thoughts, Watch
from gram_pyro.harness.build import build_task
from gram_pyro.harness.load import Program, build_program, serves_every_size, stored_config
from gram_pyro.inference.sampler import Sampler, check_sizes
from gram_pyro.inference.search import search
from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.inference.weights import normalise
from gram_pyro.tasks.base import Task
from gram_pyro.training.precision import AUTO, autocast


class Solution(NamedTuple):
    """A right answer [L]; the number of its trajectories, their weight, and their mean halt probability."""

    answer: Tensor
    votes: int
    weight: float
    confidence: float


class Outcome(NamedTuple):
    """The results of K trajectories for one puzzle.

    answers [K, L]; right [K] bool, by the rules; halt [K], probabilities; weight [K], normalised; depth [K], segments
    run; entropy [L], of every cell, nats; solutions, distinct and sorted by votes, none if it abstains; earlier, the
    number of trajectories drawn before these K, none of them right.
    """

    answers: Tensor
    right: Tensor
    halt: Tensor
    weight: Tensor
    depth: Tensor
    entropy: Tensor
    solutions: list[Solution]
    earlier: int = 0


def open_weights(weights: str | Path, board: Board | None = None, trust: bool = False) -> tuple[Task, Program]:
    """The task and program of shipped weights, or of a .safetensors file; for boards like `board` if they serve them.

    Raises: as `load`.
    """
    config = stored_config(weights, trust)
    task = build_task(config, {})
    # Of a graph, no weight depends on the number of vertices.
    serves = board is not None and (serves_every_size(config) or board.kind == "graph")
    if serves and isinstance(task, TASKS[board.kind]) and task.n != board.n:
        task = build_task(config, {"n": board.n})
    return task, build_program(config, task, weights)


def draw(
    program: Program, x: Tensor, sampler: Sampler, num_particles: int, num_segments: int, **options: Any
) -> Trajectories:
    """K trajectories of puzzles x [B, L]; `options` are those of the sampler.  Raises: ValueError, as the sampler."""
    with autocast(AUTO, x.device):
        return sampler(program.model, x, num_particles, num_segments, heads=program.heads, **options)


def solve(
    task: Task,
    program: Program,
    x: Tensor,
    sampler: Sampler,
    num_particles: int,
    num_segments: int,
    *,
    most: int = 0,
    seed: int = 0,
    **options: Any,
) -> Outcome:
    """Run K trajectories of puzzle x [L], options as for `draw`, and judge them by the rules. While none is right, K
    others are run, up to `most` in all."""
    check_sizes(num_particles, num_segments)
    torch.manual_seed(seed)

    def draw_more(x: Tensor, num_particles: int) -> Trajectories:
        return draw(program, x, sampler, num_particles, num_segments, **options)

    most = max(most, num_particles)
    rounds = search(draw_more, task.is_solved, x[None], num_particles, most)
    bar = {"total": -(-most // num_particles), "desc": "none right yet", "unit": "round", "leave": False, "delay": 3}
    *_, last = tqdm(rounds, **bar)
    return judge(task, x, last.trajectories)._replace(earlier=last.earlier)


def think(
    task: Task,
    program: Program,
    x: Tensor,
    sampler: Sampler,
    num_particles: int,
    num_segments: int,
    *,
    seed: int = 0,
    note: Callable[[int], None] = lambda _: None,
    **options: Any,
) -> tuple[Outcome, Thoughts]:
    """K watched trajectories, all in memory together. After every segment `note` is called with its number."""
    torch.manual_seed(seed)
    with Watch(program, x, note) as watch:
        found = draw(program, x[None], sampler, num_particles, num_segments, chunk=num_particles, **options)
    return judge(task, x, found), watch.replay(found)


def judge(task: Task, x: Tensor, found: Trajectories) -> Outcome:
    """The outcome of trajectories of one puzzle x [L], sampled with heads."""
    answers, halt, weight = found.answers[:, 0], found.halt[:, 0], normalise(found.log_weights.double())[:, 0]
    right = task.is_solved(x, answers)
    distinct, label = task.canonical(answers[right]).unique(dim=0, return_inverse=True)
    solutions = []
    for index, answer in enumerate(distinct):
        mine = label == index
        share, sure = weight[right][mine].sum().item(), halt[right][mine].mean().item()
        solutions.append(Solution(answer, int(mine.sum()), share, sure))
    solutions.sort(key=lambda s: (s.votes, s.confidence), reverse=True)
    entropy = cell_entropy(task.canonical(answers), weight)
    return Outcome(answers, right, halt, weight, found.depth[:, 0], entropy, solutions)


def cell_entropy(answers: Tensor, weight: Tensor) -> Tensor:
    """Entropy of every cell over weighted answers.  Shapes: answers [K, L], weight [K] -> [L], nats."""
    frequency = torch.einsum("k,klv->lv", weight, F.one_hot(answers).to(weight.dtype))
    return torch.special.entr(frequency).sum(-1)
