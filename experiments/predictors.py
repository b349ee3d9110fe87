"""What predicts that an answer is valid, on puzzles with one solution and with several?

    python experiments/predictors.py checkpoint=sudoku_6x6
    python experiments/predictors.py checkpoint=nqueens_8 num_segments=6

Papers on recursive reasoning take convergence for correctness. Where a puzzle has several solutions, that needs a test:
predictors are ranked by AUROC, pooled over puzzles and within puzzles (see gram_pyro/evaluation/predictors.py). The run
folder receives predictors.json, predictors.csv and predictors.png.
"""

import math

import hydra
import torch
from omegaconf import DictConfig

from gram_pyro.evaluation.predictors import evidence, observe, pooled, views_agree, within
from gram_pyro.evaluation.tables import rows_markdown
from gram_pyro.harness.command import plain_arguments
from gram_pyro.harness.study import Study, run_study, save_study, say_where
from gram_pyro.plots.predictors import predictors_figure
from gram_pyro.tasks.base import Puzzles, subset, unseen


def known(number: float) -> float | None:
    """None where there is no number: all answers are valid, say."""
    return None if math.isnan(number) else number


def judged(study: Study, config: DictConfig, name: str, puzzles: Puzzles) -> list[dict[str, object]]:
    """A row per predictor, of one set of puzzles."""
    task, (model, guide, heads), x = study.task, study.program, puzzles.x.to(study.device)
    depth, chunk = config.num_segments, config.chunk
    torch.manual_seed(config.seed)
    with study.precision:
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


def run(study: Study, config: DictConfig) -> None:
    rows = []
    for name, puzzles in unseen(study.task).items():
        rows += judged(study, config, name, subset(puzzles, config.num_puzzles))
    save_study(study, config, "predictors", rows)
    print(rows_markdown(rows))
    predictors_figure(rows, study.folder / "predictors.png")
    say_where(study)


@hydra.main(version_base=None, config_path="conf", config_name="predictors")
def main(config: DictConfig) -> None:
    run_study(config, run)


if __name__ == "__main__":
    plain_arguments()
    main()
