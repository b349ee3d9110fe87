"""Rank predictors of the validity of an answer, on puzzles with one solution and with several.

    python experiments/predictors.py checkpoint=sudoku_6x6
    python experiments/predictors.py checkpoint=nqueens_8 num_segments=6

Papers on recursive reasoning use convergence as a sign of correctness. This is a test for puzzles with several
solutions: predictors are ranked by AUROC, pooled over puzzles and within puzzles (see
gram_pyro/evaluation/predictors.py). The run folder receives predictors.json, predictors.csv and predictors.png.
"""

import math

import torch

from gram_pyro.evaluation.predictors import evidence, observe, pooled, views_agree, within
from gram_pyro.harness.study import Study, study
from gram_pyro.plots.predictors import predictors_figure
from gram_pyro.tasks.base import Puzzles


def known(number: float) -> float | None:
    """The number, or None if it is NaN: if all answers are valid, say."""
    return None if math.isnan(number) else number


def judged(study: Study, name: str, puzzles: Puzzles) -> list[dict[str, object]]:
    """A row per predictor for one set of puzzles."""
    config, task, (model, guide, heads), x = study.config, study.task, study.program, puzzles.x.to(study.device)
    depth, chunk = config.num_segments, config.chunk
    torch.manual_seed(config.seed)
    answers, found = observe(model, heads, x, config.num_particles, depth, chunk)
    found["views"] = views_agree(model, task, x, answers, depth, config.num_views, config.seed, chunk)
    found["evidence"] = evidence(model, guide, x, answers, depth, config.num_weights, chunk)
    valid = task.is_solved(puzzles.x, answers.cpu())
    rows = []
    for predictor, score in found.items():
        over_all, in_each = pooled(score.double().cpu(), valid, config.seed), within(score.double().cpu(), valid)
        rows.append(
            {
                "test": name,
                "solutions": puzzles.num_solutions.double().mean().item(),
                "valid": valid.double().mean().item(),
                "predictor": predictor,
                "auroc": known(over_all.mean),
                "auroc_se": known(over_all.se),
                "within": known(in_each.mean),
                "within_se": known(in_each.se),
                "mixed_puzzles": in_each.num_groups,
            }
        )
    return rows


@study
def main(study: Study) -> None:
    rows = []
    for name, puzzles in study.puzzles().items():
        rows += judged(study, name, puzzles)
        study.save("predictors", rows)
    study.report("predictors", rows)
    predictors_figure(rows, study.folder / "predictors.png")


if __name__ == "__main__":
    main()
