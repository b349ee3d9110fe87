"""Selection: one of K answers, or none.

    vote: argmax_a sum_k w_k [y_k = a]              value_vote: argmax_a sum_k w_k v_k [y_k = a]       w normalised

A selection is a function of (trajectories, check) that returns a Choice. The check judges answers by the rules,
``partial(task.is_solved, x)``; only `verified` uses it. Answers of weight zero are not chosen. Of tied particles the
first is chosen. `functools.partial`, or a file in `experiments/conf/select`, fixes options.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gram_pyro.inference.trajectories import Trajectories
from gram_pyro.inference.weights import normalise

Check = Callable[[Tensor], Tensor]


class Choice(NamedTuple):
    """One particle per puzzle.

    Shapes: index [B] int64; confidence [B] from 0 to 1, the selection's probability that its answer is right; answered
    [B] bool, False where the selection abstains.
    """

    index: Tensor
    confidence: Tensor
    answered: Tensor


Select = Callable[[Trajectories, Check], Choice]


def chosen(answers: Tensor, choice: Choice) -> Tensor:
    """The chosen answers, including those that the selection withholds.  Shapes: [K, B, L] -> [B, L]."""
    return answers.gather(0, choice.index[None, :, None].expand(1, -1, answers.shape[-1]))[0]


def agreement(answers: Tensor, mass: Tensor) -> Tensor:
    """For every particle, the total mass of the particles with the same answer.

    Memory grows with K, not K^2. Masses are summed in double and rounded to single precision, so that equal votes are
    equal and a unanimous vote is 1.
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
            f"got trajectories sampled without heads; expected the {name} head, which this selection reads; write "
            "heads=... when sampling, or select=vote"
        )
    if (bad := torch.isnan(field)).any():
        particle, puzzle = bad.nonzero()[0].tolist()
        raise ValueError(f"got the {name} NaN of particle {particle} of puzzle {puzzle}; expected a number")
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
    """The answer of largest weight; confidence is its share.  Source: the paper's majority vote, with weights."""
    confidence, index = agreement(trajectories.answers, weights(trajectories)).max(0)
    return answer_all(index, confidence)


def value_vote(trajectories: Trajectories, check: Check) -> Choice:
    """The answer of largest weight times value; confidence is its share of that mass.

    If the value head gives every particle probability zero, the plain vote decides, with confidence 0.
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
    """The particle whose state moved least in its last segment; confidence is the total weight of its answer.

    Source: EqR (arXiv:2605.21488).
    """
    index = highest(-scores(trajectories, "change"), trajectories)
    return answer_all(index, at(agreement(trajectories.answers, weights(trajectories)), index))


def draw(trajectories: Trajectories, check: Check) -> Choice:
    """One particle, drawn by weight; confidence is the total weight of its answer."""
    weight = weights(trajectories)
    index = torch.multinomial(weight.T, 1)[:, 0]
    return answer_all(index, at(agreement(trajectories.answers, weight), index))


def first_to_halt(trajectories: Trajectories, check: Check) -> Choice:
    """The particle that ran the fewest segments; of several, that of largest halt probability, which is the confidence.

    It needs a sampler with `halt_at`. Without it all particles run equally long, and this is `best_halt`.
    Raises: ValueError without the halt head.  Source: Speed is Confidence (arXiv:2601.19085).
    """
    halt = scores(trajectories, "halt")
    fewest = at(trajectories.depth, highest(-trajectories.depth.double(), trajectories))
    index = highest(halt.masked_fill(trajectories.depth > fewest, -torch.inf), trajectories)
    return answer_all(index, at(halt, index))


def verified(trajectories: Trajectories, check: Check) -> Choice:
    """The answer of largest weight among those that obey the rules, with confidence 1.

    If none does, it abstains with the vote's answer, at confidence 0. The rules overrule the weights: an answer of
    weight zero that obeys the rules is given too.
    """
    share = agreement(trajectories.answers, weights(trajectories))
    right = check(trajectories.answers)
    solved = right.any(0)
    index = torch.where(solved, share.masked_fill(~right, -1).argmax(0), share.argmax(0))
    return Choice(index, solved.to(share.dtype), solved)


def abstain(trajectories: Trajectories, check: Check, *, select: Select, threshold: float) -> Choice:
    """Another selection that abstains where its confidence is below `threshold`.

    `calibration.threshold_for` finds the threshold for a target accuracy.
    Raises: ValueError unless the threshold is between 0 and 1.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(
            f"got threshold={threshold}; expected a confidence from 0 (always answer) to 1 (answer only when certain)"
        )
    choice = select(trajectories, check)
    return choice._replace(answered=choice.answered & (choice.confidence >= threshold))
