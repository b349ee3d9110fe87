"""From K answers to one, or none.

    vote: argmax_a sum_k w_k [y_k = a]              value_vote: argmax_a sum_k w_k v_k [y_k = a]       w normalised

A selection is a function of (trajectories, check) that returns a Choice; only `verified` uses the check, which is the
rules of the task: ``partial(task.is_solved, x)``. Answers of weight zero are not chosen, and ties go to the particle
that comes first. An option is fixed by `functools.partial`, or by a file in `experiments/conf/select`.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.inference.weights import normalise

Check = Callable[[Tensor], Tensor]


class Choice(NamedTuple):
    """One particle per puzzle.  Shapes: index [B] int64; confidence [B], between 0 and 1: the probability that its
    answer is right, as the selection sees it; answered [B] bool, False where it abstains."""

    index: Tensor
    confidence: Tensor
    answered: Tensor


Select = Callable[[Trajectories, Check], Choice]


def chosen(answers: Tensor, choice: Choice) -> Tensor:
    """The chosen answers, also where the selection abstains.  Shapes: [K, B, L] -> [B, L]."""
    return answers.gather(0, choice.index[None, :, None].expand(1, -1, answers.shape[-1]))[0]


def agreement(answers: Tensor, mass: Tensor) -> Tensor:
    """For every particle, the mass of all that give its answer.

    Memory grows with K, not K^2. Masses are summed in double and rounded to single precision, so that equal votes are
    equal and a unanimous one is 1.
    Shapes: answers [K, B, L], mass [K, B] double -> [K, B] float32.
    """
    puzzle = torch.arange(answers.shape[1], device=answers.device).expand(answers.shape[:2])
    rows = torch.cat([answers, puzzle[..., None]], -1).flatten(0, 1)
    _, label = torch.unique(rows, dim=0, return_inverse=True)
    total = mass.new_zeros(len(rows)).index_add(0, label, mass.flatten())
    return total[label].view(mass.shape).float()


def weights(trajectories: Trajectories) -> Tensor:
    """Normalised weights in double, [K, B].  Raises: as `weights.normalise`."""
    return normalise(trajectories.log_weights.double())


def scores(trajectories: Trajectories, name: str) -> Tensor:
    """The field `name`, [K, B].  Raises: ValueError if sampling ran without the head, or a score is NaN."""
    field = getattr(trajectories, name)
    if field is None:
        raise ValueError(
            f"this selection needs the {name} head, and sampling ran without heads; sample with heads=..., or use "
            "select=vote"
        )
    if (bad := torch.isnan(field)).any():
        particle, puzzle = bad.nonzero()[0].tolist()
        raise ValueError(f"the {name} of particle {particle} of puzzle {puzzle} is NaN, and a selection needs numbers")
    return field


def highest(score: Tensor, trajectories: Trajectories) -> Tensor:
    """The particle of largest score [K, B] among those of positive weight, [B]."""
    return score.masked_fill(weights(trajectories) == 0, -torch.inf).argmax(0)


def at(field: Tensor, index: Tensor) -> Tensor:
    """The entries of `field` [K, B] at particles `index` [B], [B]."""
    return field.gather(0, index[None])[0]


def answer_all(index: Tensor, confidence: Tensor) -> Choice:
    """A choice that never abstains."""
    return Choice(index, confidence, torch.ones_like(index, dtype=torch.bool))


def vote(trajectories: Trajectories, check: Check) -> Choice:
    """The answer with most weight; confidence is its share.  Source: the paper's majority vote, with weights."""
    confidence, index = agreement(trajectories.answers, weights(trajectories)).max(0)
    return answer_all(index, confidence)


def value_vote(trajectories: Trajectories, check: Check) -> Choice:
    """The answer with most weight x value; confidence is its share of that mass.

    Where the value head gives every particle probability zero there is no share: the plain vote decides, at
    confidence 0.
    Raises: ValueError without the value head.
    """
    weight = weights(trajectories)
    mass = weight * scores(trajectories, "value")
    total = mass.sum(0)
    trusted = total > 0
    share, index = agreement(trajectories.answers, torch.where(trusted, mass / total, weight)).max(0)
    return answer_all(index, share * trusted)


def best_value(trajectories: Trajectories, check: Check) -> Choice:
    """The particle of largest value; confidence is that probability.  Raises: ValueError without the value head.

    Source: the paper's best-of-N by its latent process reward model (LPRM).
    """
    value = scores(trajectories, "value")
    index = highest(value, trajectories)
    return answer_all(index, at(value, index))


def best_halt(trajectories: Trajectories, check: Check) -> Choice:
    """The particle of largest halt probability, which is the confidence.  Raises: ValueError without the halt head.

    Source: PTRM (arXiv:2605.19943).
    """
    halt = scores(trajectories, "halt")
    index = highest(halt, trajectories)
    return answer_all(index, at(halt, index))


def likelihood(trajectories: Trajectories, check: Check) -> Choice:
    """The particle whose answer is most probable given its final state; confidence is p(answer | h_N)."""
    log_likelihood = scores(trajectories, "log_likelihood")
    index = highest(log_likelihood, trajectories)
    return answer_all(index, at(log_likelihood, index).exp())


def convergence(trajectories: Trajectories, check: Check) -> Choice:
    """The particle whose state moved least in its last segment; confidence is the weight of all that give its answer.

    Source: EqR (arXiv:2605.21488).
    """
    index = highest(-scores(trajectories, "change"), trajectories)
    return answer_all(index, at(agreement(trajectories.answers, weights(trajectories)), index))


def draw(trajectories: Trajectories, check: Check) -> Choice:
    """One particle, drawn by weight; confidence is the weight of all that give its answer."""
    weight = weights(trajectories)
    index = torch.multinomial(weight.T, 1)[:, 0]
    return answer_all(index, at(agreement(trajectories.answers, weight), index))


def first_to_halt(trajectories: Trajectories, check: Check) -> Choice:
    """The particle that ran the fewest segments, of equals the one of larger halt probability, which is the confidence.

    Needs a sampler with `halt_at`; without it all run equally long, and this is `best_halt`.
    Raises: ValueError without the halt head.  Source: Speed is Confidence (arXiv:2601.19085).
    """
    halt = scores(trajectories, "halt")
    fewest = at(trajectories.depth, highest(-trajectories.depth.double(), trajectories))
    index = highest(halt.masked_fill(trajectories.depth > fewest, -torch.inf), trajectories)
    return answer_all(index, at(halt, index))


def verified(trajectories: Trajectories, check: Check) -> Choice:
    """The answer with most weight among those that pass the rules, at confidence 1.

    Where none passes, the vote's answer unanswered, at confidence 0. The rules overrule the weights: an answer of
    weight zero that passes is answered too.
    """
    share = agreement(trajectories.answers, weights(trajectories))
    right = check(trajectories.answers)
    solved = right.any(0)
    index = torch.where(solved, share.masked_fill(~right, -1).argmax(0), share.argmax(0))
    return Choice(index, solved.to(share.dtype), solved)


def abstain(trajectories: Trajectories, check: Check, *, select: Select, threshold: float) -> Choice:
    """Another selection, answered only where its confidence is at least `threshold`; `calibration.threshold_for` finds
    the threshold that keeps a promise.  Raises: ValueError unless the threshold is between 0 and 1."""
    if not 0 <= threshold <= 1:
        raise ValueError(
            f"threshold={threshold} is a confidence between 0 (always answer) and 1 (answer only when certain)"
        )
    choice = select(trajectories, check)
    return choice._replace(answered=choice.answered & (choice.confidence >= threshold))
