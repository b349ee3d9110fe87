"""Two guesses of an ARC input by evidence: how probable a grid is to all trajectories of all copies.

    s(y) = 1/A sum_a log p(a(y) | a(x)),    p(y | x) = 1/K sum_k p(y | h_k),   h_k ~ prior of the trajectories of x

A vote counts of how many trajectories a grid is the answer. Here each trajectory says of every grid that any of them
answered how probable it is: a copy is the mean over its trajectories, which is the model's p(y | x), and copies are
multiplied, so a grid has to be plausible from every side. New trajectories are drawn for it.
Source: product of experts over augmentations, Franzen et al. 2025 (arXiv:2505.07859); the mean over trajectories: ours.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gram_pyro.evaluation.arc_vote import COPIES_AT_ONCE, NUM_GUESSES, Answers, Guesses, draw_copies, score
from gram_pyro.inference.particles import Cloud, from_prior
from gram_pyro.inference.weights import log_mean_exp
from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.tasks.arc.task import NAME_CELLS, Arc
from gram_pyro.tasks.base import Puzzles

MOST = 32  # candidates of an input; the rest of many answers have a vote or two


class Candidates(NamedTuple):
    """The different grids among the answers to B inputs: the M with most votes, M = MOST at most.

    Shapes: boards [B, M, L] int64, padded; label [A, K, B], the number of the grid that an answer is, M if none.
    """

    boards: Tensor
    label: Tensor

    def votes(self, num_copies: int, num_particles: int) -> Tensor:
        """How often each is the answer in the first trajectories of the first copies, [B, M]."""
        few = self.label[:num_copies, :num_particles].flatten(0, 1).transpose(0, 1)  # [B, N]
        num_inputs, num_grids, _ = self.boards.shape
        counts = torch.zeros(num_inputs, num_grids + 1, dtype=torch.int64)
        return counts.scatter_add_(1, few, torch.ones_like(few))[:, :num_grids]


def candidates(answers: Answers) -> Candidates:
    """The grids that the answers are."""
    num_copies, num_particles, num_inputs, num_cells = answers.boards.shape
    found = [each.unique(dim=0, return_inverse=True, return_counts=True)
             for each in answers.boards.flatten(0, 1).unbind(1)]  # fmt: skip
    most = min(MOST, max(len(grids) for grids, _, _ in found))
    boards, labels = torch.zeros(num_inputs, most, num_cells, dtype=torch.int64), []
    for row, (grids, label, count) in zip(boards, found, strict=True):
        order = count.argsort(descending=True, stable=True)
        row[: len(order)] = grids[order[:most]]
        labels.append(order.argsort()[label].clamp(max=most))
    return Candidates(boards, torch.stack(labels, 1).view(num_copies, num_particles, num_inputs))


@torch.no_grad()
def evidence(
    model: GRAM,
    task: Arc,
    puzzles: Puzzles,
    boards: Tensor,
    num_copies: int,
    widths: Sequence[int],
    num_segments: int,
    *,
    seed: int,
    chunk: int,
    device: torch.device,
) -> Tensor:
    """log p(a(y) | a(x)) for M grids y of each of B untransformed inputs, by K trajectories of every copy a.

    Shapes: boards [B, M, L] -> [W, A, B, M] nats, for the W numbers K in `widths`.
    Raises: FloatingPointError if a number of the program is not finite.
    """
    torch.manual_seed(seed)
    num_particles, groups = 1 if model.has_one_path else max(widths), []
    for x, grids in zip(puzzles.x.split(COPIES_AT_ONCE), boards.split(COPIES_AT_ONCE), strict=True):
        asked = torch.cat([x[:, None, :NAME_CELLS].expand(-1, grids.shape[1], -1), grids], -1)  # [B, M, 11 + L]
        copies = []
        for symmetry, recolouring in zip(*draw_copies(num_copies, seed), strict=True):
            images = task.transform(asked, symmetry, recolouring)[..., NAME_CELLS:].to(device)
            rows = task.transform(x, symmetry, recolouring).to(device)
            found = of_trajectories(model, rows, images, num_particles, num_segments, chunk)
            copies.append(torch.stack([log_mean_exp(found[:width]) for width in widths]))
        groups.append(torch.stack(copies, 1))
    return torch.cat(groups, 2)


def of_trajectories(model: GRAM, x: Tensor, y: Tensor, num_particles: int, num_segments: int, chunk: int) -> Tensor:
    """log p(y | h_k) after K prior trajectories of each of B inputs.  Shapes: x [B, .], y [B, M, L] -> [K, B, M]."""
    rows, puzzles = x.repeat(num_particles, 1), torch.arange(len(x), device=x.device).repeat(num_particles)
    cloud = Cloud(from_prior(model, rows), model.start(rows), chunk, puzzles)
    for _ in range(num_segments):
        cloud.advance()

    def probable(index: Tensor, state: State) -> Tensor:
        return model.readout.log_prob_each(state, rows[index], y[puzzles[index]])

    return cloud.read(probable).double().cpu().view(num_particles, *y.shape[:2])


def choose(found: Candidates, log_probs: Tensor, num_particles: int) -> Guesses:
    """The two grids of most evidence among the answers of the first trajectories.  Shapes: log_probs [A, B, M]."""
    votes = found.votes(len(log_probs), num_particles)
    total = log_probs.mean(0).masked_fill(votes == 0, -torch.inf)
    best = total.topk(min(NUM_GUESSES, total.shape[1]), -1).indices
    best = torch.cat([best, best[:, :1].expand(-1, NUM_GUESSES - best.shape[1])], -1)  # of one grid: no second
    chosen = votes.gather(1, best)
    chosen[:, 1:].masked_fill_(best[:, 1:] == best[:, :1], 0)
    return Guesses(found.boards.gather(1, best[..., None].expand(-1, -1, found.boards.shape[-1])), chosen)


def judge_all(
    task: Arc,
    puzzles: Puzzles,
    found: Candidates,
    log_probs: Tensor,
    num_copies: Sequence[int],
    widths: Sequence[int],
) -> list[dict[str, float]]:
    """The scores by evidence, a row for every number of copies A and trajectories K, in the order of `score_all`.

    Shapes: log_probs [W, A, B, M], as `evidence` gives them.
    """
    rows = []
    for copies in num_copies:
        for width, of_width in zip(widths, log_probs, strict=True):
            summary = score(task, puzzles, choose(found, of_width[:copies], width)).summary()
            rows.append({f"{name}_by_evidence": summary[name] for name in ("inputs_hit", "num_solved")})
    return rows
