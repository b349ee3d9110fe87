"""The baseline of the verdict: a recursion trained without noise, sampled with noise.

    random starts   h_0, l_0 with N(0, sigma^2) added             EqR
    fixed noise     z_0 ~ N(0, sigma^2) in every segment          PTRM
    cell marginals  y_i ~ p(y_i | h_N), cells independently       not tuned; reported for comparison

The kind and the deviation of the first two are chosen on tuning puzzles with K = 5, by the largest sum of accuracy and
coverage as a share of the ceiling. While the largest deviation of a kind is its best, twice that is tried, at most
MOST_DOUBLINGS times. Tuning puzzles are unseen puzzles that the evaluation does not use, if there are
NUM_TUNING or more. Otherwise they are training puzzles. The recursion has seen those, so the chosen noise may be too
large. results.json says which puzzles were used.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch

from gram_pyro.evaluation.evaluate import Draw, evaluate
from gram_pyro.evaluation.metrics import Tally, ceiling, per_puzzle
from gram_pyro.inference.noise import drawn_answers, ptrm, random_start
from gram_pyro.tasks.base import Puzzles, Task, concatenate, subset
from gram_pyro.training.learner import Learner
from gram_pyro.training.parallel import spread
from gram_pyro.training.trainer import Trainer

KINDS = {"random starts": random_start, "fixed noise": ptrm}
MARGINALS = "cell marginals"
NUM_TUNING, WIDTH = 50, 5  # tuning puzzles, and K
MOST_DOUBLINGS = 4


class TunedNoise(NamedTuple):
    """The chosen kind and deviation, its sampler, and the tuning score of every choice."""

    kind: str
    deviation: float
    draw: Draw
    tuning: list[dict[str, object]]


def tuning_puzzles(task: Task, tested: int | None) -> tuple[Puzzles, str]:
    """Tuning puzzles, and their origin, "unseen" or "train".

    Args: tested, the number of puzzles of each test set that the evaluation uses, as `subset` draws them.
    """
    left = []
    for puzzles in task.test.values():
        if tested is not None and puzzles.num_puzzles > tested:
            order = torch.randperm(puzzles.num_puzzles, generator=torch.Generator().manual_seed(0))  # as in `subset`
            left.append(puzzles.select(order[tested:]))
    if left and (unseen := concatenate(left)).num_puzzles >= NUM_TUNING:
        return subset(unseen, NUM_TUNING), "unseen"
    return subset(task.train, NUM_TUNING), "train"


def tuning_score(result: Tally) -> float:
    """Accuracy plus, if puzzles have several solutions, coverage as a share of the ceiling."""
    values, several = per_puzzle(result, WIDTH), result.num_solutions > 1
    score = values["accuracy"].mean()
    if several.any():
        score = score + values["coverage"][several].sum() / ceiling(result.num_solutions[several], WIDTH).sum()
    return score.item()


def is_noiseless(learner: Learner) -> bool:
    """Whether the program is a recursion without noise."""
    return isinstance(learner, Trainer) and learner.averaged.is_deterministic


def tune(
    learner: Trainer,
    task: Task,
    deviations: Sequence[float],
    tested: int | None,
    num_segments: int,
    seed: int,
    device: torch.device,
    **options: object,
) -> TunedNoise:
    """The better of random starts and fixed noise, at its best deviation. Args: options, of the samplers."""
    puzzles, origin = tuning_puzzles(task, tested)

    def draw_with(kind: str, deviation: float) -> Draw:
        return partial(spread, partial(KINDS[kind], learner.averaged, scale=deviation))

    rows = []
    for kind in KINDS:

        def score(deviation: float, kind: str = kind) -> float:
            draw = partial(draw_with(kind, deviation), **options)
            return tuning_score(evaluate(draw, task, puzzles, num_segments, [WIDTH], seed, device)[1])

        for deviation, found in while_largest_is_best(score, deviations).items():
            rows.append({"kind": kind, "deviation": deviation, "puzzles": origin, "score": found})
    best = max(rows, key=lambda row: row["score"])
    return TunedNoise(best["kind"], best["deviation"], draw_with(best["kind"], best["deviation"]), rows)


def while_largest_is_best(score: Callable[[float], float], deviations: Sequence[float]) -> dict[float, float]:
    """The score of every deviation, and of twice the largest as long as that is alone the best."""
    scores = {deviation: score(deviation) for deviation in deviations}
    for _ in range(MOST_DOUBLINGS):
        largest = max(scores)
        if max(scores, key=lambda deviation: (scores[deviation], -deviation)) < largest:
            break
        scores[2 * largest] = score(2 * largest)
    return scores


def marginals(learner: Trainer) -> Draw:
    """A sampler that draws every cell from its own law at the end of the one trajectory."""
    return partial(spread, partial(drawn_answers, learner.averaged))
