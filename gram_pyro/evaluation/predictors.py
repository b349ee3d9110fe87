"""Predictors of the validity of an answer, computed without the rules. A larger number should mean valid.

    settled state     - rms(h_N - h_{N-1})
    settled beliefs   - max_cells 1/2 sum_v |p_N(v) - p_{N-3}(v)|, over the last three segments
    likelihood        log p(y | h_N) of the answer y
    halt, value       logits of the heads at h_N
    vote              share of the K trajectories of the puzzle with this answer
    views             share of symmetric images of puzzle and answer for which a new trajectory gives the answer's image
    evidence          log p(y | x) by importance weights of the guide, IWAE_K

A predictor is measured by its AUROC: the probability that a valid answer scores above an invalid one. Pooled over all
puzzles, AUROC also rewards telling easy puzzles from hard ones; within puzzles it does not.  Source: ours.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from gram_pyro.evaluation.calibration import auroc
from gram_pyro.evaluation.evidence import bound, log_weights
from gram_pyro.evaluation.statistics import Estimate, ratio
from gram_pyro.guide import Guide
from gram_pyro.inference.particles import Cloud, from_prior
from gram_pyro.inference.sampler import check_puzzles, check_sizes, land, sample
from gram_pyro.model import GRAM
from gram_pyro.networks.core import State
from gram_pyro.networks.heads import Heads
from gram_pyro.tasks.base import Batch, Task

LAST = 3  # segments over which beliefs should have settled
RESAMPLES = 200  # of puzzles, for the error of a pooled AUROC


class Observed(NamedTuple):
    """Answers [K, B, L] of prior trajectories, and predictors of their validity by name, each [K, B]."""

    answers: Tensor
    predictors: dict[str, Tensor]


@torch.no_grad()
def observe(model: GRAM, heads: Heads, x: Tensor, num_particles: int, num_segments: int, chunk: int) -> Observed:
    """K prior trajectories of every puzzle x [B, L] at full depth, and the predictors that need no further sampling.

    Raises: ValueError unless num_segments > LAST, and as `check_puzzles` and `check_sizes`; FloatingPointError if a
    number of the program is not finite.
    """
    check_puzzles(model, x), check_sizes(num_particles, num_segments)
    if num_segments <= LAST:
        raise ValueError(f"got num_segments={num_segments}; expected more than {LAST}, over which beliefs settle")
    rows = x.repeat(num_particles, 1)
    cloud = Cloud(from_prior(model, rows), model.start(rows), chunk, torch.arange(len(x)).repeat(num_particles))
    beliefs: deque[Tensor] = deque(maxlen=LAST + 1)

    def believed(index: Tensor, state: State) -> Tensor:
        return model.readout(state, rows[index]).base_dist.probs

    for _ in range(num_segments):
        cloud.advance()
        beliefs.append(cloud.read(believed))
    landed = land(cloud, model, rows, heads, num_particles)
    found = {
        "settled state": landed.change,
        "settled beliefs": (beliefs[-1] - beliefs[0]).abs().sum(-1).max(-1).values.view_as(landed.change) / 2,
    }
    found = {name: -moved for name, moved in found.items()} | {"likelihood": landed.log_likelihood}
    for head in ("halt", "value"):  # logits: probabilities of many are one
        logits = cloud.read(lambda index, state, head=head: getattr(heads(state), head))
        found[head] = logits.view_as(landed.change)
    return Observed(landed.answers, found | {"vote": vote_share(landed.answers)})


def vote_share(answers: Tensor) -> Tensor:
    """For every answer, the share of the K answers equal to it.  Shapes: [K, B, L] -> [K, B]."""
    return (answers[:, None] == answers).all(-1).double().mean(1)


def views_agree(
    model: GRAM, task: Task, x: Tensor, answers: Tensor, num_segments: int, num_views: int, seed: int, chunk: int
) -> Tensor:
    """The share of `num_views` symmetric images of (puzzle, answer) for which a new trajectory gives its image.

    Shapes: x [B, L], answers [K, B, L] -> [K, B].
    """
    rows, generator = x.repeat(len(answers), 1), torch.Generator().manual_seed(seed)
    flat, agreed = answers.flatten(0, 1), torch.zeros(answers.shape[:2])
    for _ in range(num_views):
        valid = torch.ones(len(flat), 1, dtype=torch.bool)
        view = task.augment(Batch(rows, flat, flat[:, None], valid), generator)
        again = sample(model, view.x, 1, num_segments, chunk=chunk).answers[0]
        agreed += (task.canonical(again) == task.canonical(view.y)).all(-1).view_as(agreed)
    return agreed / num_views


def evidence(
    model: GRAM, guide: Guide, x: Tensor, answers: Tensor, num_segments: int, num_weights: int, chunk: int
) -> Tensor:
    """IWAE_K bound on log p(answer | x), nats.  Shapes: x [B, L], answers [K, B, L] -> [K, B]."""
    weights = log_weights(
        model, guide, x.repeat(len(answers), 1), answers.flatten(0, 1), num_weights, num_segments, chunk
    )
    return bound(weights, num_weights).unflatten(0, answers.shape[:2])


def pooled(score: Tensor, valid: Tensor, seed: int = 0) -> Estimate:
    """AUROC over all answers, with its bootstrap error over puzzles (RESAMPLES draws with replacement).

    Shapes: score, valid [K, B].
    """
    generator, count = torch.Generator().manual_seed(seed), score.shape[1]
    again = [torch.randint(count, (count,), generator=generator) for _ in range(RESAMPLES)]
    drawn = torch.tensor([auroc(score[:, index].flatten(), valid[:, index].flatten()) for index in again])
    drawn = drawn[~drawn.isnan()]
    error = drawn.std().item() if len(drawn) > 1 else float("nan")
    return Estimate(auroc(score.flatten(), valid.flatten()), error, count)


def within(score: Tensor, valid: Tensor) -> Estimate:
    """Mean AUROC among the answers of one puzzle, over puzzles with valid and invalid ones; NaN if none has both."""
    values = torch.tensor(list(_each(score, valid)), dtype=torch.float64)
    return ratio(values) if len(values) else Estimate(float("nan"), float("nan"), 0)


def _each(score: Tensor, valid: Tensor) -> Iterator[float]:
    for b in range(score.shape[1]):
        if valid[:, b].any() and not valid[:, b].all():
            yield auroc(score[:, b], valid[:, b])
