"""The score of ARC: a vote over augmented copies of a test input, and two guesses.

    y_ak = the k-th answer to copy a, transformed back;    guesses = the two grids y with most votes  sum_ak [y_ak = y]

A test input is hit if one of its two guesses has the right size and every cell right. A task is solved if all its
inputs are hit. Ties in votes go to the grid of larger mean log p(y_ak | h). Copy 0 is the input itself, so A = 1 is no
augmentation. A guess is what a vote picks; `any` is what there was to pick: the share of inputs with a right grid among
all A K answers.  Source: TRM (arXiv:2510.04871); the rule for ties is ours.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.tasks.arc.canvas import FIRST, NUM_SYMMETRIES, SAME, draw_recolourings
from gram_pyro.tasks.arc.task import Arc
from gram_pyro.tasks.base import Puzzles

NUM_GUESSES = 2
COPIES_AT_ONCE = 1024


class Answers(NamedTuple):
    """K answers to each of A copies of B inputs, transformed back.

    Shapes: boards [A, K, B, L] uint8, to save memory; log_likelihood [A, K, B] nats.
    """

    boards: Tensor
    log_likelihood: Tensor

    def few(self, num_copies: int, num_particles: int) -> "Answers":
        """The answers of the first `num_particles` trajectories to the first `num_copies` copies."""
        return Answers(*(field[:num_copies, :num_particles] for field in self))


class Guesses(NamedTuple):
    """The grids with most votes, best first.  Shapes: boards [B, 2, L], votes [B, 2]; 0 votes: no second grid."""

    boards: Tensor
    votes: Tensor


def draw_copies(num: int, seed: int) -> tuple[Tensor, Tensor]:
    """Symmetries [A] and recolourings [A, V]: first the identity, then random ones, with equal numbers of symmetries.

    Raises: ValueError unless num >= 1.
    """
    if num < 1:
        raise ValueError(f"got {num} augmented copies; expected 1, the input itself, or more")
    generator = torch.Generator().manual_seed(seed)
    rounds = [torch.randperm(NUM_SYMMETRIES, generator=generator) for _ in range(0, num, NUM_SYMMETRIES)]
    rounds[0] = rounds[0].roll(-int((rounds[0] == 0).nonzero()))
    recolouring = draw_recolourings(num, generator)
    recolouring[0] = SAME
    return torch.cat(rounds)[:num], recolouring


@torch.no_grad()
def answer_copies(
    draw: Callable[[Tensor, int, int], Trajectories],
    task: Arc,
    puzzles: Puzzles,
    num_copies: int,
    num_particles: int,
    num_segments: int,
    seed: int,
    device: torch.device,
) -> Answers:
    """Sample answers to all copies of B untransformed puzzles, and transform them back."""
    torch.manual_seed(seed)
    symmetry, recolouring = (copies[:, None] for copies in draw_copies(num_copies, seed))
    boards, log_likelihood = [], []
    for some in puzzles.x.split(max(1, COPIES_AT_ONCE // num_copies)):
        x = task.transform(some, symmetry, recolouring)  # [A, B', 11 + L]
        sampled = draw(x.flatten(0, 1).to(device), num_particles, num_segments).to("cpu")
        answers, sure = (
            field.unflatten(1, x.shape[:2]).transpose(0, 1) for field in (sampled.answers, sampled.log_likelihood)
        )
        boards.append(task.restore(x[:, None], answers).byte())
        log_likelihood.append(sure)
    return Answers(torch.cat(boards, 2), torch.cat(log_likelihood, 2))


def vote(answers: Answers) -> Guesses:
    """The two grids with most votes."""
    boards, log_likelihood = answers.boards.flatten(0, 1), answers.log_likelihood.flatten(0, 1)  # [N, B, L], [N, B]
    guesses, votes = torch.zeros(boards.shape[1], NUM_GUESSES, boards.shape[2], dtype=torch.int64), []
    for b in range(boards.shape[1]):
        grids, label, count = boards[:, b].unique(dim=0, return_inverse=True, return_counts=True)
        sure = torch.zeros(len(grids), dtype=torch.double).index_add(0, label, log_likelihood[:, b].double()) / count
        order = sorted(range(len(grids)), key=lambda g: (-count[g].item(), -sure[g].item()))[:NUM_GUESSES]
        guesses[b, : len(order)] = grids[order]
        votes.append(count[order].tolist() + [0] * (NUM_GUESSES - len(order)))
    return Guesses(guesses, torch.tensor(votes))


class Score(NamedTuple):
    """Scores of B test inputs.

    hit [B] bool, by one of the guesses; first [B] bool, by the first; cells [B], the share of cells of the right grid
    that the first guess has right; tasks, name -> solved.
    """

    hit: Tensor
    first: Tensor
    cells: Tensor
    tasks: dict[str, bool]

    def summary(self) -> dict[str, float]:
        """Shares of tasks and inputs."""
        return {
            "tasks_solved": sum(self.tasks.values()) / len(self.tasks),
            "inputs_hit": self.hit.double().mean().item(),
            "first_guess": self.first.double().mean().item(),
            "cells": self.cells.mean().item(),
            "num_solved": sum(self.tasks.values()),
            "num_tasks": len(self.tasks),
            "num_inputs": len(self.hit),
        }


def score(task: Arc, puzzles: Puzzles, guesses: Guesses) -> Score:
    """Judge guesses on untransformed puzzles, which contain all test inputs of their tasks."""
    right = task.is_solved(puzzles.x[:, None], guesses.boards) & (guesses.votes > 0)
    truth = task.outputs(puzzles.x)
    inside = truth >= FIRST
    cells = ((guesses.boards[:, 0] == truth) & inside).sum(-1) / inside.sum(-1)
    hit, tasks = right.any(-1), {}
    for owner, one in zip(task.task_of(puzzles.x), hit.tolist(), strict=True):
        tasks[owner.name] = tasks.get(owner.name, True) and one
    return Score(hit, right[:, 0], cells.double(), tasks)


def score_all(
    task: Arc, puzzles: Puzzles, answers: Answers, num_copies: Sequence[int], widths: Sequence[int]
) -> list[dict[str, float]]:
    """A row for every number of copies A and trajectories K."""
    return [
        {"A": copies, "K": width} | score(task, puzzles, vote(some)).summary() | variety(task, puzzles, some)
        for copies in num_copies
        for width in widths
        for some in [answers.few(copies, width)]
    ]


def variety(task: Arc, puzzles: Puzzles, answers: Answers) -> dict[str, float]:
    """The share of inputs with a right grid among the A K answers, and the mean number of different answers."""
    boards = answers.boards.flatten(0, 1).transpose(0, 1)  # [B, A K, L]
    any_right = task.is_solved(puzzles.x[:, None], boards.long()).any(-1)
    distinct = [len(each.unique(dim=0)) for each in boards]
    return {"any": any_right.double().mean().item(), "distinct": sum(distinct) / len(distinct)}
